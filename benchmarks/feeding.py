"""Whether input keeps up with training: `python benchmarks/feeding.py [--hours 100]`.

Steps of the default run's network, on one core, fed from memory-mapped corpora with 0, 1 and 2 workers, in turns with
steps on one batch that stays in memory; prints their rates relative to that. Then writes a corpus of `--hours` hours,
takes it out of the page cache, and starts `mdjpt pretrain` on it in a fresh process: seconds from the start of the
process until its first step is done, and where they went.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from data import RATE, SECONDS, TRIALS, Noise
from torch.utils.data import DataLoader

from mdjpt_hf import MDJPTConfig, MDJPTForPreTraining
from mdjpt_hf.data.batches import PretrainingSteps
from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.data.pairs import PairSampler
from mdjpt_hf.data.prepare import prepare
from mdjpt_hf.data_scripts.base import UnitReport
from mdjpt_hf.modeling.montage_mdjpt import STANDARD_CHANNELS
from mdjpt_hf.schema import Trial

WORKERS = (0, 1, 2)
SUBJECTS = 8  # of each of the two corpora that feed the steps
HOURS_PER_SUBJECT = TRIALS * SECONDS / 3600
LIMIT = 10.0  # s until the first step

#: What a run prints when a part of its start is over, in order.
MARKS = {
    "imports and opening": "run 'demo'",
    "rehearsal": "(measured on one step)",
    "evaluation": "step 0:",
    "first step": "1/1",
}


class RepeatedNoise(Noise):
    """The same noise in every subject, which is cheap to make at any length."""

    def read_unit(self, unit: str, report: UnitReport) -> Iterator[Trial]:
        """Trials of one subject."""
        for trial, signal in enumerate(_signals()):
            yield Trial(self.name, unit, 0, trial, f"clip{trial}", signal, RATE, list(STANDARD_CHANNELS))


@lru_cache(maxsize=1)
def _signals() -> np.ndarray:
    """`(trials, 60, samples)` in µV."""
    shape = (TRIALS, len(STANDARD_CHANNELS), round(SECONDS * RATE))
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32) * 10


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=int, default=100, help="of the corpus that a run starts on; 0 leaves it out")
    parser.add_argument("--steps", type=int, default=10, help="in every turn")
    parser.add_argument("--turns", type=int, default=7, help="0 leaves the rates out")
    parser.add_argument("--folder", type=Path, help="where there is room; default: the folder of temporary files")
    parser.add_argument("--starts", type=int, default=3, help="of the run")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        if arguments.turns:
            report_rates(Path(folder), arguments.steps, arguments.turns)
        if arguments.hours:
            report_start(Path(folder), arguments.hours, arguments.starts)


def report_rates(folder: Path, steps: int, turns: int) -> None:
    """Steps fed by loaders next to steps on one batch in memory."""
    for name in ("first", "second"):
        prepare(Noise(SUBJECTS, name), folder / name, progress=False)
    trial_sets = open_corpora([folder / "first", folder / "second"])
    samplers = [PairSampler(trials, MDJPTConfig.preset("tiny").window_samples) for trials in trial_sets]
    batches = PretrainingSteps(samplers, num_steps=10**6, steps_per_epoch=50, seed=0)
    kept = batches[0]
    sources: dict[str, Callable[[], dict[str, torch.Tensor]]] = {"memory": lambda: kept}
    sources |= {f"{workers} workers": _endless(batches, workers).__next__ for workers in WORKERS}
    seconds = _in_turns(sources, steps, turns)
    memory = statistics.median(seconds["memory"])
    windows = len(kept["input_values"])
    print(f"one batch kept in memory: {1 / memory:.2f} steps/s of {windows} windows on one core")
    for name, taken in list(seconds.items())[1:]:
        # Ratios within a turn: what else the machine does then meets both sides.
        ratios = [kept / fed for kept, fed in zip(seconds["memory"], taken, strict=True)]
        print(
            f"memory-mapped, {name}: {statistics.median(ratios):.3f} x its rate "
            f"(turns: {min(ratios):.3f} to {max(ratios):.3f}); fastest to fastest "
            f"{min(seconds['memory']) / min(taken):.3f} x"
        )


def _endless(batches: PretrainingSteps, workers: int) -> Iterator[dict[str, torch.Tensor]]:
    """Batches as the training loop loads them."""
    return iter(DataLoader(batches, batch_size=None, sampler=range(len(batches)), num_workers=workers))


def _in_turns(sources: dict[str, Callable[[], Any]], steps: int, turns: int) -> dict[str, list[float]]:
    """Seconds a step of every turn of every source."""
    step = training_step()
    seconds: dict[str, list[float]] = {name: [] for name in sources}
    ready = 2 * max(WORKERS) + 1  # batches that workers had made while they waited for their turn
    for _ in range(turns):
        for name, batch in sources.items():
            for _ in range(ready):
                step(batch())
            started = time.perf_counter()
            for _ in range(steps):
                step(batch())
            seconds[name].append((time.perf_counter() - started) / steps)
    return seconds


def training_step(**changes: Any) -> Callable[[dict[str, torch.Tensor]], None]:
    """One step of the default run's network, with changes of its configuration."""
    torch.manual_seed(0)
    model = MDJPTForPreTraining(MDJPTConfig.preset("tiny", ffn_norm=False, **changes)).train()
    optimizer = torch.optim.Adam(model.parameters())

    def step(batch: dict[str, torch.Tensor]) -> None:
        optimizer.zero_grad()
        model(**batch).loss.backward()
        optimizer.step()

    return step


def report_start(folder: Path, hours: int, starts: int) -> None:
    """Seconds until the first step of a run on a long corpus."""
    corpus, started = folder / "long", time.perf_counter()
    needed = hours * 3600 * RATE * len(STANDARD_CHANNELS) * 4
    if shutil.disk_usage(folder).free < 1.1 * needed:
        raise SystemExit(f"{hours} h need {needed / 2**30:.0f} GiB in {folder}: give --folder, or fewer --hours")
    prepare(RepeatedNoise(round(hours / HOURS_PER_SUBJECT)), corpus, workers=os.cpu_count() or 1, progress=False)
    print(f"{hours} h written in {time.perf_counter() - started:.0f} s")
    runs = []
    print(f"imports alone: {_imports():.1f} s")
    for number in range(starts):
        cached = number > 0
        if not cached:
            _drop_from_cache(corpus)
        runs.append(_start_run(corpus, folder / f"run-{number}"))
        parts = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in runs[-1].items())
        print(
            f"start {number + 1}, files {'in' if cached else 'not in'} the page cache: first step after "
            f"{sum(runs[-1].values()):.1f} s ({parts})"
        )
    totals = [sum(run.values()) for run in runs]
    print(
        f"first step on {hours} h: median {statistics.median(totals):.1f} s, worst {max(totals):.1f} s, limit {LIMIT} s"
    )


def _drop_from_cache(folder: Path) -> None:
    """Ask the system to forget the contents of files, so that they come from disk."""
    for path in folder.iterdir():
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _imports() -> float:
    """Seconds until everything that a run imports is there."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import mdjpt_hf.cli, mdjpt_hf.pretraining"], check=True)
    return time.perf_counter() - started


def _start_run(corpus: Path, out: Path) -> dict[str, float]:
    """Seconds of each part of `mdjpt pretrain` on a corpus in a fresh process, until its first step is done."""
    command = ["-m", "mdjpt_hf", "pretrain", "--data", str(corpus), "--output-dir", str(out), "--steps", "1"]
    seconds, before = {}, 0.0
    for part, reached in _reached([*command, "--set", "num_threads=1"]).items():
        seconds[part], before = reached - before, reached
    return seconds


def _reached(command: list[str]) -> dict[str, float]:
    """Seconds from the start of Python until each of `MARKS` stands in what it prints."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    environment["PYTHONUNBUFFERED"] = "1"
    started, printed, seconds = time.perf_counter(), "", {}
    process = subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
    )
    assert process.stdout is not None
    while piece := os.read(process.stdout.fileno(), 2**16):
        printed += piece.decode(errors="replace")
        for part, mark in MARKS.items():
            if part not in seconds and mark in printed:
                seconds[part] = time.perf_counter() - started
    if process.wait() or len(seconds) < len(MARKS):
        raise SystemExit(printed)
    return seconds


if __name__ == "__main__":
    main()
