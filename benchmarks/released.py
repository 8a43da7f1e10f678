"""What the released block costs, against the paper's and against computing all it throws away.

`python benchmarks/released.py` prints windows per second of the whole encoder (paper's sizes, CPU, eager, inference)
for `block="released"`, `block="mlla"` and the straightforward version of the released program, how far the outputs
are apart, and the time of normalising and smoothing 45 sessions of 1725 windows.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from mdjpt_hf import MDJPTConfig, MDJPTModel
from mdjpt_hf.modeling.smoothing_mdjpt import lds_smooth, online_normalise
from mdjpt_hf.sharing.convert import load_released_checkpoint

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from released_reference import released_program, released_shapes, seeded_input, seeded_state  # noqa: E402

SESSIONS, WINDOWS, TRIALS, SIZE = 45, 1725, 15, 512


def main() -> None:
    """Measure and print; exit with 1 if the outputs differ or the released block is not 4 times as fast."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, default=16, help="in one batch")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    fine = compare_blocks(arguments.windows, arguments.repeats)
    time_smoothing(arguments.repeats)
    sys.exit(0 if fine else 1)


@torch.inference_mode()
def compare_blocks(num_windows: int, repeats: int) -> bool:
    """Print windows per second of the three versions and how far their features are apart."""
    state = seeded_state("benchmark", released_shapes())
    released = _open(state).mdjpt
    paper = MDJPTModel(MDJPTConfig()).eval()
    windows = torch.from_numpy(seeded_input("benchmark", "x", (num_windows, 60, 625)))
    groups = torch.arange(num_windows) // max(1, num_windows // 2)
    versions: dict[str, Callable] = {
        'block="released"': lambda: released(windows, groups).pooler_output,
        'block="mlla"': lambda: paper(windows, groups).pooler_output,
        "straightforward": lambda: released_program(state, windows, groups)["features"],
    }
    rates = _rates(versions, num_windows, repeats)
    print(f"{num_windows} windows of 60 x 625, {torch.get_num_threads()} thread(s), best of {repeats}")
    for name, rate in rates.items():
        print(f"  {name:18} {rate:7.1f} windows/s")
    fast, mlla, slow = rates.values()
    print(f"  released / mlla            {fast / mlla:.2f} (at least 4)")
    print(f"  released / straightforward {fast / slow:.2f}")
    error = _distance(versions['block="released"'](), versions["straightforward"]())
    print(f"  features, released against straightforward: relative difference {error:.1e} (at most 1e-5)")
    return fast / mlla >= 4 and error <= 1e-5


def _open(state: dict[str, torch.Tensor]):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "seeded.ckpt"
        torch.save({"state_dict": state}, path)
        return load_released_checkpoint(path)


def _rates(versions: dict[str, Callable], num_windows: int, repeats: int) -> dict[str, float]:
    """Windows per second in the least disturbed of all rounds; versions take turns to meet the same load."""
    best = dict.fromkeys(versions, 0.0)
    for _ in range(repeats):
        for name, run in versions.items():
            start = time.perf_counter()
            run()
            best[name] = max(best[name], num_windows / (time.perf_counter() - start))
    return best


def _distance(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


def time_smoothing(repeats: int) -> None:
    """Processor seconds on one core for 45 sessions of 15 trials."""
    rng = np.random.default_rng(0)
    sessions = [rng.standard_normal((WINDOWS, SIZE), dtype=np.float32) for _ in range(SESSIONS)]
    with threadpool_limits(1):
        spent = [_smooth_all(sessions) for _ in range(repeats + 1)][1:]
    normalising, smoothing, whole = (statistics.median(column) for column in zip(*spent, strict=True))
    print(f"{SESSIONS} sessions x {WINDOWS} windows x {SIZE} features, one core, processor time")
    print(f"  online normalisation {normalising:.2f} s + smoothing per trial {smoothing:.2f} s", end="")
    print(f" = {normalising + smoothing:.2f} s (at most 1); smoothing whole sessions instead {whole:.2f} s")


def _smooth_all(sessions: list[np.ndarray]) -> tuple[float, float, float]:
    times = [time.process_time()]
    normalised = [online_normalise(session, 0.0, 1.0) for session in sessions]
    times.append(time.process_time())
    for session in normalised:
        for trial in np.split(session, TRIALS):
            lds_smooth(trial)
    times.append(time.process_time())
    for session in normalised:
        lds_smooth(session)
    times.append(time.process_time())
    normalising, smoothing, whole = np.diff(times)
    return normalising, smoothing, whole


if __name__ == "__main__":
    main()
