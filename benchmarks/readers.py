"""How fast the owners' files are read and preprocessed: `python benchmarks/readers.py`.

Fabricates a Neuroscan recording of 62 channels at 1000 Hz and three DEAP subjects at full size (noise, in the layout of
the real files), then reads each in a fresh process with one thread. Prints seconds of recording per second of work, and
the peak memory above that of an idle process relative to the recording's size in float64.

`python benchmarks/readers.py --study 25 --against CHECKOUT` fabricates a BIDS study (EDF and BrainVision, 60 channels
at 1000 Hz and 32 at 500 Hz) of so many minutes a recording, and prepares it, and the simulated corpora, by this build
and by another one in turns: seconds of processor time on one core with children, and whether the bytes are the same.
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "data_scripts")]  # the writers the tests use

RATE, DEAP_SHAPE = 1000, (40, 40, 8064)


def main() -> None:
    """Fabricate, then measure every corpus in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=300, help="length of the Neuroscan recording")
    parser.add_argument("--study", type=float, default=0.0, metavar="MINUTES", help="prepare a study instead")
    parser.add_argument("--against", type=Path, help="another checkout of this package")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--measure", nargs=2, metavar=("WHAT", "PATH"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        what, path = arguments.measure
        kinds = {"cnt": measure_cnt, "deap": measure_deap, "study": measure_study, "simulated": measure_simulated}
        print(json.dumps(kinds[what](Path(path))))
        return
    with tempfile.TemporaryDirectory() as folder:
        if arguments.study:
            report_study(Path(folder), arguments.study, arguments.against, arguments.turns)
            return
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


def report_study(folder: Path, minutes: float, against: Path | None, turns: int) -> None:
    """A study and the simulated corpora, prepared by one build or by two in turns."""
    write_study(folder / "study", minutes)
    builds = {"this build": None, **({"the other": against.resolve()} if against else {})}
    for what in ("study", "simulated"):
        found = {name: [] for name in builds}
        for _ in range(turns):
            for name, checkout in builds.items():
                found[name].append(measure(what, folder / "study", checkout))
        seconds = {name: statistics.median(run["seconds"] for run in runs) for name, runs in found.items()}
        print(f"{what}: " + ", ".join(f"{name} {value:.1f} s of processor time" for name, value in seconds.items()))
        if against:
            hashes = {run["sha256"] for runs in found.values() for run in runs}
            ratio = seconds["the other"] / seconds["this build"]
            print(f"  {ratio:.2f} times the other's rate, {'the same bytes' if len(hashes) == 1 else 'OTHER BYTES'}")


def write_study(root: Path, minutes: float) -> None:
    """Four subjects: an EDF and a BrainVision file of a large cap, and two EDF files of a small one."""
    import mne
    from fabricated_edf import write_edf
    from fabricated_seed import CAP

    small = [name for name in CAP if not name.startswith("CB")][::2]
    for number, (suffix, names, rate) in enumerate(
        [("edf", CAP[:60], 1000), ("vhdr", CAP[:60], 1000), ("edf", small, 500), ("edf", small, 500)], start=1
    ):
        stem = f"sub-{number:02d}_task-film"
        place = root / f"sub-{number:02d}" / "eeg"
        place.mkdir(parents=True)
        rng = np.random.default_rng(number)
        signal = rng.standard_normal((len(names), round(minutes * 60) * rate), dtype=np.float32) * 12
        if suffix == "edf":
            write_edf(place / f"{stem}_eeg.edf", signal, names, rate)
        else:
            raw = mne.io.RawArray(signal * 1e-6, mne.create_info(list(names), rate, "eeg"), verbose="error")
            mne.export.export_raw(place / f"{stem}_eeg.vhdr", raw, verbose="error")
        step = minutes * 3  # s; twenty trials
        lines = [f"{trial * step:.3f}\t{step - 0.5:.3f}\tclip{trial}" for trial in range(20)]
        (place / f"{stem}_events.tsv").write_text("\n".join(["onset\tduration\tstimulus", *lines]) + "\n")
    (root / "dataset_description.json").write_text('{"Name": "Made up", "License": "CC0"}')


def measure(what: str, path: Path, checkout: Path | None = None) -> dict[str, float]:
    """Run one measurement in a fresh process, by this build or that of a checkout."""
    command = [sys.executable, __file__, "--measure", what, str(path)]
    there = {**os.environ, "PYTHONPATH": str(checkout or Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=there)
    return json.loads(done.stdout.splitlines()[-1])


def measure_study(folder: Path) -> dict[str, float | str]:
    """Prepare the study with one worker."""
    from mdjpt_hf.data_scripts.bids import BIDS

    return prepared(BIDS(folder))


def measure_simulated(folder: Path) -> dict[str, float | str]:
    """Prepare two subjects of every simulated corpus with one worker."""
    from mdjpt_hf.data_scripts.simulated import SimulatedCorpora

    return prepared(SimulatedCorpora(seed=0, subjects=2))


def prepared(builder) -> dict[str, float | str]:
    """Seconds of processor time of this process and its children, and a hash of all shards."""
    from mdjpt_hf.data.prepare import prepare
    from mdjpt_hf.data_scripts import isolation

    with tempfile.TemporaryDirectory() as folder:
        before = sum(os.times()[:4])
        prepare(builder, Path(folder) / "out", progress=False)
        isolation._only_reader().close()  # the system counts children that have ended
        seconds = sum(os.times()[:4]) - before
        shards = sorted((Path(folder) / "out").glob("data-*.arrow"))
        content = "".join(hashlib.sha256(shard.read_bytes()).hexdigest() for shard in shards)
    return {"seconds": seconds, "sha256": hashlib.sha256(content.encode()).hexdigest()}


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
