"""What a second process brings: `python benchmarks/processes.py`.

Pre-trains the default run's network on two corpora of noise, with one process and with two that torchrun starts, one
thread each, in turns. Every process has its own pairs, so two compute twice the windows in a step. Prints windows/s
as the runs record them, without their start, and the ratio.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from data import Noise

from mdjpt_hf.data.prepare import prepare

ROOT = Path(__file__).parents[1]
SUBJECTS = 8  # of each corpus
GOAL = 1.7


def main() -> None:
    """Make the corpora, then run both in turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=60, help="of every run")
    parser.add_argument("--log-steps", type=int, default=10, help="over which a run takes its windows/s")
    parser.add_argument("--turns", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for corpus in ("first", "second"):
            prepare(Noise(SUBJECTS, corpus), folder / "data" / corpus, progress=False)
        speeds: dict[int, list[float]] = {1: [], 2: []}
        for turn in range(arguments.turns):
            for processes, found in speeds.items():
                out = folder / f"run-{turn}-{processes}"
                found.append(run(folder / "data", out, processes, arguments.steps, arguments.log_steps))
    report(speeds)


def run(data: Path, out: Path, processes: int, steps: int, log_steps: int) -> float:
    """Windows/s of a run over all its processes: the median over the stretches that it logs, but for the first."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    command = [sys.executable, *(launcher if processes > 1 else []), str(ROOT / "pretrain.py")]
    command += ["--data", str(data), "--output-dir", str(out), "--steps", str(steps)]
    settings = {"num_threads": 1, "log_steps": log_steps, "eval_steps": steps, "checkpoint_steps": steps}
    command += [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    finished = subprocess.run(command, capture_output=True, text=True, env=environment)
    if finished.returncode:
        raise SystemExit(finished.stdout + finished.stderr)
    history = json.loads((out / "history.json").read_text())
    return statistics.median([entry["windows/s"] for entry in history if "windows/s" in entry][1:])


def report(speeds: dict[int, list[float]]) -> None:
    """Print windows/s and ratios; those of one turn were measured one after the other."""
    for processes, found in speeds.items():
        print(
            f"{processes} process{'es' if processes > 1 else ''}, one thread each: median "
            f"{statistics.median(found):.1f} windows/s, fastest {max(found):.1f}"
        )
    ratios = [two / one for one, two in zip(*speeds.values(), strict=True)]
    print(
        f"two to one: median {statistics.median(ratios):.2f} x (turns: {min(ratios):.2f} to {max(ratios):.2f}), "
        f"fastest to fastest {max(speeds[2]) / max(speeds[1]):.2f} x, goal {GOAL} x"
    )


if __name__ == "__main__":
    main()
