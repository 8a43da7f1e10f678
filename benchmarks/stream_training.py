"""Whether training from a stream keeps up: `python benchmarks/stream_training.py --hours 20 --folder DIR`.

The steps of the default run on a corpus of noise, from its prepared folder and from `stream:` of its Parquet, in turns
(Parquet without `stream:` is a prepared folder once it is written). A pass is as many windows as there are trials: in
the first most trials are met for the first time. Prints windows/s of the first pass and of those after it, and
processor seconds of the whole run with its workers, as ratios within a turn to those of the prepared folder.
`--processes 2` runs two, joined as `accelerate launch` joins them.

Before that, what a machine that others use tells as well: processor milliseconds of a batch from either source, in the
first pass and later, and of a step on it.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from data import SECONDS, TRIALS, Noise
from feeding import training_step

from mdjpt_hf.data.batches import PretrainingSteps
from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.data.pairs import PairSampler
from mdjpt_hf.data.parquet import write_parquet
from mdjpt_hf.data.prepare import prepare

ROOT = Path(__file__).parents[1]
WINDOWS = 64  # of a step of the default run
STEPS = 20  # over which the processor time of one is averaged
GOAL = 0.9


@dataclass
class Run:
    """What a run took: windows/s of its first pass and of the others, and processor seconds of all of its processes."""

    first: float
    later: float
    processor: float


def main() -> None:
    """Write the corpus, then train on it in every way, turn by turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=int, default=20, help="written twice: 0.11 GB each")
    parser.add_argument("--passes", type=int, default=6)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--workers", type=int, default=0, help="that feed each process")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where there is room; default: the folder of temporary files")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        os.environ["HF_DATASETS_CACHE"] = f"{folder}/cache"
        subjects = round(arguments.hours * 3600 / SECONDS / TRIALS)
        prepare(Noise(subjects), folder / "prepared", workers=os.cpu_count() or 1, progress=False)
        parquet = write_parquet(folder / "prepared", folder / "parquet")
        sources = {"prepared": str(folder / "prepared"), "stream": f"stream:{parquet}"}
        report_batches(sources, round(subjects * TRIALS / WINDOWS))
        steps = round(subjects * TRIALS / WINDOWS / arguments.processes)
        runs: dict[str, list[Run]] = {source: [] for source in sources}
        for turn in range(arguments.turns):
            for source, data in sources.items():
                out = folder / f"run-{turn}-{source}"
                runs[source].append(run(data, out, steps, steps * arguments.passes, arguments))
        report(runs)


def report_batches(sources: dict[str, str], steps: int) -> None:
    """Processor time of input and of a step, on one core."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    taken: dict[str, tuple[float, float]] = {}
    for source, data in sources.items():
        (trials,) = open_corpora([data])
        batches = PretrainingSteps([PairSampler(trials, 625, viewers=8, clips=8)], 3 * steps, steps, seed=0)
        taken[source] = milliseconds(batches, range(steps)), milliseconds(batches, range(steps, 3 * steps))
        print(f"a batch, {source}: {taken[source][0]:.1f} ms in the first pass, {taken[source][1]:.1f} later")
    step, batch = training_step(isa_pairs="all"), batches[0]
    step(batch)
    started = time.process_time()
    for _ in range(STEPS):
        step(batch)
    own = 1000 * (time.process_time() - started) / STEPS
    first, later = ((own + taken["prepared"][part]) / (own + taken["stream"][part]) for part in (0, 1))
    print(f"a step: {own:.0f} ms; stream to prepared, first pass {first:.3f} x, later {later:.3f} x, goal {GOAL}")


def milliseconds(batches: PretrainingSteps, numbers: range) -> float:
    """Of a processor for each of these batches."""
    started = time.process_time()
    for number in numbers:
        batches[number]
    return 1000 * (time.process_time() - started) / len(numbers)


def run(data: str, out: Path, steps: int, all_steps: int, arguments: argparse.Namespace) -> Run:
    """Train so many steps, some of which are a pass."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(arguments.processes)]
    command = [sys.executable, *(launcher if arguments.processes > 1 else []), str(ROOT / "pretrain.py")]
    command += ["--data", data, "--output-dir", str(out), "--steps", str(all_steps)]
    settings = {"num_threads": 1, "num_workers": arguments.workers, "log_steps": steps, "eval_steps": all_steps}
    settings |= {"checkpoint_steps": all_steps, "held_out_subjects": 0}
    command += [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    before = processor_seconds()
    finished = subprocess.run(command, capture_output=True, text=True, env=environment)
    if finished.returncode:
        raise SystemExit(finished.stdout + finished.stderr)
    history = json.loads((out / "history.json").read_text())
    first, *later = [entry["windows/s"] for entry in history if "windows/s" in entry]
    return Run(first, statistics.median(later), processor_seconds() - before)


def processor_seconds() -> float:
    """Of all processes that were started from here and have ended, with theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def report(runs: dict[str, list[Run]]) -> None:
    """Print medians, and ratios of what ran one after the other."""
    for source, found in runs.items():
        first, later, used = (statistics.median([getattr(one, name) for one in found]) for name in Run.__annotations__)
        print(f"{source}: {first:.0f} windows/s in the first pass, {later:.0f} later, {used:.1f} s of processors")
    pairs = list(zip(runs["prepared"], runs["stream"], strict=True))
    for name, words in (("first", "first pass"), ("later", "later passes"), ("processor", "processor seconds")):
        ratios = [getattr(stream, name) / getattr(mapped, name) for mapped, stream in pairs]
        goal = "" if name == "processor" else f", goal {GOAL}"
        turns = f"turns: {min(ratios):.3f} to {max(ratios):.3f}"
        print(f"stream to prepared, {words}: {statistics.median(ratios):.3f} x ({turns}){goal}")


if __name__ == "__main__":
    main()
