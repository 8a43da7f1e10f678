"""What importing and asking for help cost: `python benchmarks/startup.py`.

Starts a fresh interpreter for each of transformers alone, this package, and `mdjpt --help`, in turns, so that whatever
else the machine does meets all three. Prints the median and the fastest, and what each adds to the one before it.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

#: In the order in which each contains the one before.
COMMANDS = {
    "transformers": ["-c", "from transformers import PreTrainedModel, AutoModel, AutoFeatureExtractor"],
    "import mdjpt_hf": ["-c", "import mdjpt_hf"],
    "mdjpt --help": ["-m", "mdjpt_hf", "--help"],
}
LIMIT = 0.5  # s that each may add


def main() -> None:
    """Measure, then print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    seconds = measure(arguments.repeats)
    before = None
    for name, taken in seconds.items():
        print(f"{name}: {_summary(taken)}" + (f"; {_added(taken, before)}" if before else ""))
        before = taken


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


def _added(taken: list[float], before: list[float]) -> str:
    """What a command adds to the one before it: median of the turns' differences, and between the fastest."""
    median = statistics.median(mine - other for mine, other in zip(taken, before, strict=True))
    return f"adds {median:+.2f} s (median of turns), {min(taken) - min(before):+.2f} s (fastest), limit {LIMIT} s"


if __name__ == "__main__":
    main()
