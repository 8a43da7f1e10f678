"""Whether a corpus may be larger than memory: `python benchmarks/large.py --gigabytes 200 --folder DIR`.

A corpus of so many GB (60 channels at 125 Hz, trials of a minute, the same four seconds over and over, of every trial
others) is prepared by two workers, inspected, inspected again, when its files are known to be whole, and trained on for
twenty steps, each in a fresh process as a user would start it. Prints seconds, and the peak of the memory that the
process and its children held of their own at one time; mapped files do not count, since the system takes them back.

All bytes are written. Where the disk is smaller, a file system that compresses holds them: a signal that repeats takes
a twelfth of its size in btrfs with `compress-force=zstd:1`.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
from data import RATE, SECONDS, TRIALS, Noise

from mdjpt_hf.data_scripts.base import UnitReport
from mdjpt_hf.modeling.montage_mdjpt import STANDARD_CHANNELS
from mdjpt_hf.schema import Trial

PERIOD = 500  # samples
STEPS = {
    "prepare": [
        "-c",
        "import sys; from large import Repeating; from mdjpt_hf.data.prepare import prepare\n"
        "if __name__ == '__main__': prepare(Repeating(int(sys.argv[1])), sys.argv[2], workers=2, progress=False)",
        "{subjects}",
        "{corpus}",
    ],
    "list": ["-m", "mdjpt_hf", "data", "inspect", "{corpus}"],
    "list again": ["-m", "mdjpt_hf", "data", "inspect", "{corpus}"],
    "train": [
        *("-m", "mdjpt_hf", "pretrain", "--config", "demo", "--data", "{corpus}", "--output-dir", "{folder}/run"),
        *("--steps", "20", "--set", "guided_share=0", "--set", "num_threads=2"),
    ],
}


class Repeating(Noise):
    """Trials of four seconds of noise, over and over."""

    def read_unit(self, unit: str, report: UnitReport) -> Iterator[Trial]:
        """Trials of one subject."""
        rng = np.random.default_rng(int(unit[1:]))
        for trial in range(TRIALS):
            once = rng.standard_normal((60, PERIOD), dtype=np.float32) * 10
            signal = np.tile(once, (1, round(SECONDS * RATE) // PERIOD))
            yield Trial(self.name, unit, 0, trial, f"clip{trial}", signal, RATE, list(STANDARD_CHANNELS))


def main() -> None:
    """Make the corpus and use it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=2)
    parser.add_argument("--folder", type=Path, help="where there is room; default: the folder of temporary files")
    arguments = parser.parse_args()
    subjects = round(arguments.gigabytes * 1e9 / (TRIALS * SECONDS * RATE * 60 * 4))
    with tempfile.TemporaryDirectory(dir=arguments.folder and arguments.folder.resolve()) as folder:
        corpus = Path(folder) / "corpus"
        for name, command in STEPS.items():
            given = [part.format(subjects=subjects, corpus=corpus, folder=folder) for part in command]
            seconds, peak = watched([sys.executable, *given], Path(folder) / f"{name}.log")
            size = sum(path.stat().st_size for path in corpus.iterdir()) / 1e9
            print(f"{name}, {size:.1f} GB of {subjects} people: {seconds:.0f} s, peak {peak / 1e9:.2f} GB", flush=True)


def watched(command: list[str], log: Path) -> tuple[float, float]:
    """Seconds that a command took, and the most bytes that it and its children held of their own at once."""
    started, peak = time.perf_counter(), 0
    with log.open("w") as said:
        process = subprocess.Popen(command, cwd=Path(__file__).parent, stdout=said, stderr=subprocess.STDOUT)
    root = psutil.Process(process.pid)
    while process.poll() is None:
        peak = max(peak, sum(map(own_memory, [root, *_children(root)])))
        time.sleep(0.05)
    if process.returncode:
        raise SystemExit(log.read_text()[-2000:])
    return time.perf_counter() - started, peak


def _children(root: psutil.Process) -> list[psutil.Process]:
    try:
        return root.children(recursive=True)
    except psutil.Error:  # it has just ended
        return []


def own_memory(process: psutil.Process) -> int:
    """Bytes that are no file's, as Linux tells them; 0 of a process that has ended."""
    try:
        told = process.memory_info()
    except psutil.Error:
        return 0
    return told.rss - told.shared


if __name__ == "__main__":
    main()
