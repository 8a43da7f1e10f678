"""How fast windows come from memory-mapped trials: `python benchmarks/data.py`.

Makes two simulated-size corpora of noise (the second ten times larger), then reads random windows from each in a
fresh process: windows/s on one core, the rate relative to the same windows from an array in memory, and the memory
that reading took. Memory that belongs to the page cache is reported apart: the system takes it back when it needs it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.data.prepare import prepare
from mdjpt_hf.data_scripts.base import CorpusBuilder, CorpusFacts, UnitReport
from mdjpt_hf.modeling.montage_mdjpt import STANDARD_CHANNELS, channel_projection
from mdjpt_hf.schema import Trial

RATE, SECONDS, TRIALS = 125.0, 60.0, 10
WINDOW = 625


class Noise(CorpusBuilder):
    """Subjects with trials of white noise on 60 channels."""

    def __init__(self, subjects: int, name: str = "noise"):
        super().__init__("none")
        self.subjects, self.name = subjects, name

    @property
    def facts(self) -> list[CorpusFacts]:
        """One corpus without labels."""
        return [CorpusFacts(self.name, "noise for a benchmark", "CC0-1.0", True, "none")]

    def units(self) -> list[str]:
        """One per subject."""
        return [f"s{number:03d}" for number in range(self.subjects)]

    def options(self) -> dict:
        """The size."""
        return {"subjects": self.subjects}

    def read_unit(self, unit: str, report: UnitReport) -> Iterator[Trial]:
        """Trials of one subject."""
        rng = np.random.default_rng(int(unit[1:]))
        for trial in range(TRIALS):
            signal = rng.standard_normal((60, round(SECONDS * RATE)), dtype=np.float32) * 10
            yield Trial(self.name, unit, 0, trial, f"clip{trial}", signal, RATE, list(STANDARD_CHANNELS))


def read(folder: Path, count: int) -> dict[str, float]:
    """Read random windows from a prepared corpus on one core; run in a process of its own."""
    (trials,) = open_corpora([folder])
    rng = np.random.default_rng(0)
    chosen = rng.integers(len(trials), size=count)
    starts = rng.integers(0, trials.n_samples[0] - WINDOW, size=count)
    trials.window(0, 0, WINDOW)
    before = _memory()
    _read_all(trials, chosen, starts)  # the first round fills the page cache
    mapped = _rate(lambda: _read_all(trials, chosen, starts), count)
    grown = {name: value - before[name] for name, value in _memory().items()}
    loaded = {int(index): np.array(trials.signal(int(index))) for index in np.unique(chosen)[:50]}
    projection = channel_projection(list(trials.ch_names[0]))
    indices = rng.choice(list(loaded), size=count)
    in_memory = _rate(lambda: _read_loaded(loaded, indices, starts, projection), count)
    return {"mapped": mapped, "in_memory": in_memory, **grown}


def _read_all(trials, chosen: np.ndarray, starts: np.ndarray) -> None:
    for index, start in zip(chosen.tolist(), starts.tolist(), strict=True):
        trials.window(index, start, WINDOW)


def _read_loaded(loaded, indices: np.ndarray, starts: np.ndarray, projection: np.ndarray) -> None:
    for index, start in zip(indices.tolist(), starts.tolist(), strict=True):
        window = projection @ loaded[index][:, start : start + WINDOW]
        window -= np.float32(0.1)
        window *= np.float32(0.1)


def _rate(run, count: int) -> float:
    started = time.perf_counter()
    run()
    return count / (time.perf_counter() - started)


def _memory() -> dict[str, float]:
    """MiB of this process: its own, and mapped files."""
    lines = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    return {name: int(lines[key].split()[0]) / 1024 for name, key in (("own", "RssAnon"), ("mapped_files", "RssFile"))}


def main() -> None:
    """Build both corpora and measure each in a fresh process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, default=4000)
    parser.add_argument("--subjects", type=int, default=2, help="of the smaller corpus; the larger has ten times more")
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.read:
        print(json.dumps(read(arguments.read, arguments.windows)))
        return
    with tempfile.TemporaryDirectory() as folder:
        for subjects in (arguments.subjects, 10 * arguments.subjects):
            out = Path(folder) / f"noise-{subjects}"
            started = time.perf_counter()
            prepare(Noise(subjects), out, progress=False)
            _report(out, subjects, time.perf_counter() - started, arguments.windows)


def _report(out: Path, subjects: int, seconds: float, windows: int) -> None:
    size = sum(path.stat().st_size for path in out.iterdir()) / 2**20
    command = ["env", "OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1", sys.executable, __file__, "--read", str(out)]
    finished = subprocess.run([*command, "--windows", str(windows)], check=True, capture_output=True, text=True)
    figures = json.loads(finished.stdout.splitlines()[-1])
    print(
        f"{subjects * TRIALS} trials, {size:.0f} MiB on disk, written at {size / seconds:.0f} MiB/s: "
        f"{figures['mapped']:.0f} windows/s on one core, {figures['mapped'] / figures['in_memory']:.2f} x memory; "
        f"own memory {figures['own']:+.0f} MiB, page cache {figures['mapped_files']:+.0f} MiB"
    )


if __name__ == "__main__":
    main()
