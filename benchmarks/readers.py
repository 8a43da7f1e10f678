"""How fast the owners' files are read and preprocessed: `python benchmarks/readers.py`.

Fabricates a Neuroscan recording of 62 channels at 1000 Hz and three DEAP subjects at full size (noise, in the layout of
the real files), then reads each in a fresh process with one thread. Prints seconds of recording per second of work, and
the peak memory above that of an idle process relative to the recording's size in float64.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "data_scripts"))  # the writers the tests use

RATE, DEAP_SHAPE = 1000, (40, 40, 8064)


def main() -> None:
    """Fabricate, then measure every corpus in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=300, help="length of the Neuroscan recording")
    parser.add_argument("--measure", nargs=2, metavar=("WHAT", "PATH"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        what, path = arguments.measure
        print(json.dumps({"cnt": measure_cnt, "deap": measure_deap}[what](Path(path))))
        return
    with tempfile.TemporaryDirectory() as folder:
        report_cnt(Path(folder), arguments.seconds)
        report_deap(Path(folder))


def report_cnt(folder: Path, seconds: int) -> None:
    """`basic` on a recording of 62 channels and 4 others."""
    from fabricated_seed import CAP, write_cnt

    names = [*CAP, "M1", "M2", "VEO", "HEO"]
    rng = np.random.default_rng(0)
    write_cnt(folder / "1_1.cnt", rng.normal(0, 15, (len(names), seconds * RATE)).astype(np.float32), names, RATE)
    found = measure("cnt", folder / "1_1.cnt")
    size = len(names) * seconds * RATE * 8
    speed = seconds / found["seconds"]
    print(
        f".cnt, {len(names)} channels, {RATE} Hz, {seconds} s, basic: {speed:.0f} x real time on one "
        f"core; memory {found['bytes'] / size:.2f} x the recording in float64 ({size / 1e6:.0f} MB)"
    )


def report_deap(folder: Path) -> None:
    """Three subjects of DEAP's Python files, resampled only."""
    from python2_pickle import write_python2_pickle

    rng = np.random.default_rng(0)
    for subject in (1, 2, 3):
        content = {"data": rng.normal(0, 15, DEAP_SHAPE), "labels": rng.uniform(1, 9, (40, 4))}
        write_python2_pickle(folder / f"s{subject:02d}.dat", content)
    found = measure("deap", folder)
    print(f"DEAP pickles, 3 subjects at full size, none: {found['seconds']:.1f} s")


def measure(what: str, path: Path) -> dict[str, float]:
    """Run one measurement in a fresh process."""
    command = [sys.executable, __file__, "--measure", what, str(path)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def measure_cnt(path: Path) -> dict[str, float]:
    """Read and preprocess one recording."""
    from mdjpt_hf.data_scripts.neuroscan import read_neuroscan
    from mdjpt_hf.preprocessing import preprocess

    def work() -> None:
        recording = read_neuroscan(path)
        preprocess(recording.signal, recording.ch_names, recording.sampling_rate, "basic")

    return timed(work)


def measure_deap(folder: Path) -> dict[str, float]:
    """Read every trial of every subject."""
    from mdjpt_hf.data_scripts.base import UnitReport
    from mdjpt_hf.data_scripts.deap import DEAP

    def work() -> None:
        builder = DEAP(folder, preprocessing="none")
        for unit in builder.units():
            for trial in builder.read_unit(unit, UnitReport(unit)):
                trial.to_row()

    return timed(work)


def timed(work) -> dict[str, float]:
    """Seconds and additional bytes at the peak."""
    before, started = peak_bytes(), time.perf_counter()
    with threadpool_limits(1):
        work()
    return {"seconds": time.perf_counter() - started, "bytes": peak_bytes() - before}


def peak_bytes() -> int:
    """Most memory this process has held; not from getrusage, which a process inherits from the one that started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


if __name__ == "__main__":
    main()
