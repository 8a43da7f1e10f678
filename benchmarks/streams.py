"""How large a corpus may be that stays in Parquet: `python benchmarks/streams.py --hours 100 --folder DIR`.

Writes a corpus of so many hours as it lies on the Hub (60 channels at 125 Hz, trials of a minute), and measures each of
these in a fresh process, files in the page cache and not: seconds from the start of Python to the first window or the
first step, and the peak memory of the process.

    window      the first training window of `stream:FOLDER`, from a trial drawn at random
    row         the first trial of `load_corpus(FOLDER, streaming=True)`
    steps       twenty steps of `mdjpt pretrain --data stream:FOLDER`
    convert     FOLDER without `stream:`, which is written as memory-mapped Arrow; left out with `--times`

`--times 18` gives every file so many names (hard links, which need no room) and other subjects, for a corpus of 200 GB.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
from data import SECONDS, TRIALS, Noise

from mdjpt_hf.data import parquet
from mdjpt_hf.data.index import INDEX_FILE, TrialIndex, read_index, write_index
from mdjpt_hf.data.prepare import prepare
from mdjpt_hf.data.storage import CORPUS_FILE

STARTS = {
    "window": "from mdjpt_hf.data.corpora import open_corpora\n"
    "trials, = open_corpora(['stream:' + sys.argv[1]])\n"
    "said = f'{len(trials)} trials, {trials.hours:.0f} h'\n"
    "trials.window(int(numpy.random.default_rng().integers(len(trials))), 1000, 625)",
    "row": "from mdjpt_hf.data.loading import load_corpus\n"
    "said = len(next(iter(load_corpus(sys.argv[1], streaming=True)))['signal'])",
    "steps": "from mdjpt_hf.training.config import RunConfig\nfrom mdjpt_hf.pretraining import pretrain\n"
    "pretrain(RunConfig(name='long', data=('stream:' + sys.argv[1],), steps=20, steps_per_epoch=20, num_threads=1,\n"
    "    model={'preset': 'tiny'}, output_dir=sys.argv[2]))\nsaid = '20 steps'",
    "convert": "import os, shutil, time\nfrom mdjpt_hf.data.sources import prepared_folder\n"
    "wall, work = time.perf_counter(), time.process_time()\nfolder = prepared_folder(sys.argv[1])\n"
    "said = f'{time.perf_counter() - wall:.1f} s, of a processor {time.process_time() - work:.1f} s'\n"
    "shutil.rmtree(folder)",
}
_AROUND = """
import sys, resource, numpy
{}
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print("\\nfound", said, "| peak MiB", round(peak))
"""


def main() -> None:
    """Write the corpus, then measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=int, default=100, help="written to the disk: 0.11 GB each")
    parser.add_argument("--times", type=int, default=1, help="names of each file")
    parser.add_argument("--folder", type=Path, help="where there is room; default: the folder of temporary files")
    parser.add_argument("--turns", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        os.environ["HF_DATASETS_CACHE"] = f"{folder}/cache"
        corpus = write(Path(folder), round(arguments.hours * 3600 / SECONDS / TRIALS), arguments.times)
        sizes = [path.stat().st_size for path in (corpus / "data").iterdir()]
        print(f"{arguments.hours * arguments.times} h, {sum(sizes) / 1e9:.1f} GB, {len(sizes)} files")
        for turn in range(arguments.turns):
            for what in STARTS if arguments.times == 1 else list(STARTS)[:-1]:
                if turn == 0:
                    forget(corpus)
                print(f"{what}, files {'' if turn else 'not '}in the page cache: {measure(what, corpus, folder)}")


def write(folder: Path, subjects: int, times: int) -> Path:
    """A corpus of noise; further names of its files are those of other subjects."""
    parquet.MOST_FILES //= times  # trials in a file as in a corpus of the whole size
    prepare(Noise(subjects), folder / "prepared", workers=os.cpu_count() or 1, progress=False)
    corpus = parquet.write_parquet(folder / "prepared", folder / "corpus")
    for shard in (folder / "prepared").glob("*.arrow"):
        shard.unlink()
    if times > 1:
        index = read_index((corpus / INDEX_FILE).read_bytes(), corpus)
        write_index(corpus / INDEX_FILE, repeated(corpus, index, times))
        about = json.loads((corpus / CORPUS_FILE).read_text())
        about["recordings"] = [
            {**entry, "subject": entry["subject"] + suffix}
            for suffix in ("", *(f"-{copy}" for copy in range(1, times)))
            for entry in about["recordings"]
        ]
        (corpus / CORPUS_FILE).write_text(json.dumps(about))
    return corpus


def repeated(corpus: Path, index: TrialIndex, times: int) -> TrialIndex:
    """The index of a corpus whose files have further names."""
    parts, sizes = [index.rows], dict(index.sizes)
    for copy in range(1, times):
        for file, size in index.sizes.items():
            name = file.replace("train-", f"train-{copy:02d}-")
            os.link(corpus / file, corpus / name)
            sizes[name] = size
        subjects = [f"{subject}-{copy}" for subject in index.rows.column("subject").to_pylist()]
        files = [file.replace("train-", f"train-{copy:02d}-") for file in index.rows.column("file").to_pylist()]
        rows = index.rows.set_column(index.rows.column_names.index("subject"), "subject", pa.array(subjects))
        parts.append(rows.set_column(rows.column_names.index("file"), "file", pa.array(files)))
    # not checked: the files name the subjects that they were written for
    return TrialIndex(pa.concat_tables(parts).combine_chunks(), sizes, index.fingerprint, False)


def forget(corpus: Path) -> None:
    """Ask the system to drop the contents of the files."""
    for path in (corpus / "data").iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure(what: str, corpus: Path, folder: str) -> str:
    """Run one of `STARTS` in a fresh process."""
    started = time.perf_counter()
    command = [sys.executable, "-c", _AROUND.format(STARTS[what]), str(corpus), tempfile.mkdtemp(dir=folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    told = next(line for line in reversed(done.stdout.splitlines()) if line.startswith("found"))
    return f"{time.perf_counter() - started:.1f} s, {told}"


if __name__ == "__main__":
    main()
