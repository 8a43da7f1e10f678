"""Whether memory grows with the number of people: `python benchmarks/units.py --units 50 200 800 3200`.

Corpora of so many people, of two short trials each, are prepared by two workers, then written as Parquet, and opened in
every way, each in a fresh process. Prints the peak of that process' own memory, looked at every few milliseconds, and
what each further person added. Mapped files do not count: the system takes them back. Workers hold one person at a
time.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from data import RATE, Noise

from mdjpt_hf.data_scripts.base import UnitReport
from mdjpt_hf.modeling.montage_mdjpt import STANDARD_CHANNELS
from mdjpt_hf.schema import Trial

SECONDS = 6.0
STEPS = {
    "prepare": "from mdjpt_hf.data.prepare import prepare\nfrom units import People\n"
    "prepare(People(int(sys.argv[2])), folder / 'prepared', workers=2, progress=False)",
    "parquet": "from mdjpt_hf.data.parquet import write_parquet\n"
    "write_parquet(folder / 'prepared', folder / 'parquet')",
    "open": "from mdjpt_hf.data.corpora import open_corpora\nopen_corpora([folder / 'prepared'])",
    "open the stream": "from mdjpt_hf.data.corpora import open_corpora\nopen_corpora([f'stream:{folder}/parquet'])",
    "open the Parquet": "from mdjpt_hf.data.corpora import open_corpora\nopen_corpora([folder / 'parquet'])",
}
_AROUND = """
import os, sys, threading, time
from pathlib import Path

def own_memory():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon"))

def watch():
    while True:
        seen[0] = max(seen[0], own_memory())
        time.sleep(0.003)

if __name__ == "__main__":
    seen, folder = [0], Path(sys.argv[1])
    threading.Thread(target=watch, daemon=True).start()
    os.environ["HF_DATASETS_CACHE"] = str(folder / "cache")
{}
    time.sleep(0.1)
    print("\\nfound", seen[0])
"""


class People(Noise):
    """Many people with two short trials each."""

    def read_unit(self, unit: str, report: UnitReport) -> Iterator[Trial]:
        """Trials of one person."""
        rng = np.random.default_rng(int(unit[1:]))
        for trial in range(2):
            signal = rng.standard_normal((60, round(SECONDS * RATE)), dtype=np.float32) * 10
            yield Trial(self.name, unit, 0, trial, f"clip{trial}", signal, RATE, list(STANDARD_CHANNELS))


def main() -> None:
    """Measure every step for every number of people."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, nargs="+", default=[50, 200, 800, 3200])
    parser.add_argument("--folder", type=Path, help="where there is room; default: the folder of temporary files")
    arguments = parser.parse_args()
    peaks: dict[str, list[float]] = {step: [] for step in STEPS}
    for units in arguments.units:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            for step in STEPS:
                peaks[step].append(peak(step, Path(folder), units))
    for step, found in peaks.items():
        grown = 1024 * (found[-1] - found[0]) / (arguments.units[-1] - arguments.units[0])
        own = ", ".join(f"{one:.0f}" for one in found)
        print(f"{step}: peak MiB for {arguments.units} people {own}; {grown:.1f} KiB more for each")


def peak(step: str, folder: Path, units: int) -> float:
    """MiB of a fresh process that takes a step."""
    script = folder / "step.py"
    script.write_text(_AROUND.format("\n".join("    " + line for line in STEPS[step].splitlines())))
    command = [sys.executable, str(script), str(folder), str(units)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return int(next(line for line in done.stdout.splitlines() if line.startswith("found")).split()[1]) / 1024


if __name__ == "__main__":
    main()
