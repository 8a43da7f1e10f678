"""What importing and asking for help cost: `python benchmarks/startup.py`.

Starts a fresh interpreter that does nothing, one that imports this package, `mdjpt --help`, and a model's class with
all that it needs, in turns, so that whatever else the machine does meets all of them. Prints the median and the
fastest, and what each adds to Python itself; exits with 1 if one of the first two adds more than a second.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

PYTHON = "Python"
COMMANDS = {
    PYTHON: ["-c", "pass"],
    "import mdjpt_hf": ["-c", "import mdjpt_hf"],
    "mdjpt --help": ["-m", "mdjpt_hf", "--help"],
    "transformers' model classes": ["-c", "from transformers import PreTrainedModel, AutoModel, AutoFeatureExtractor"],
    "our model classes": ["-c", "from mdjpt_hf import MDJPTModel"],
}
LIMITS = {"import mdjpt_hf": 1.0, "mdjpt --help": 1.0}  # s that these may add to Python


def main() -> None:
    """Measure, then print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    seconds = measure(arguments.repeats)
    added = {name: _added(taken, seconds[PYTHON]) for name, taken in seconds.items()}
    for name, taken in seconds.items():
        limit = f", limit {LIMITS[name]:g} s" if name in LIMITS else ""
        print(f"{name}: {_summary(taken)}; adds {added[name]:.2f} s (median of turns){limit}")
    sys.exit(int(any(added[name] > limit for name, limit in LIMITS.items())))


def measure(repeats: int) -> dict[str, list[float]]:
    """Seconds of every start of every command, after one that fills the page cache and writes bytecode."""
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(repeats + 1):
        for name, command in COMMANDS.items():
            seconds[name].append(_start(command))
    return {name: taken[1:] for name, taken in seconds.items()}


def _start(command: list[str]) -> float:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    started = time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - started


def _summary(taken: list[float]) -> str:
    return f"median {statistics.median(taken):.2f} s, fastest {min(taken):.2f} s"


def _added(taken: list[float], before: list[float]) -> float:
    """What a command adds to another: median of the turns' differences."""
    return statistics.median(mine - other for mine, other in zip(taken, before, strict=True))


if __name__ == "__main__":
    main()
