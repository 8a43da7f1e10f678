"""What judging costs besides encoding: `python benchmarks/evaluation.py`.

Prints processor time on one core, and each figure also as a ratio to the plain way of doing the same, measured in the
same run: normalising and smoothing 45 sessions of 1725 windows and 512 features, the three strengths of the ridge
head, and a labelling of the zero-shot null. Exits with 1 if results differ by more than 1e-5 or the first takes more
than a second.

With `--table FACTOR` it scores four encoders on 1440 windows instead, zero-shot and few-shot, with FACTOR times the
default permutations, and prints seconds; runs with the code of two builds alike (`PYTHONPATH`), so that both can be
measured in turns.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from sklearn import linear_model
from threadpoolctl import threadpool_limits

from mdjpt_hf.evaluation.encoders import Encoder
from mdjpt_hf.evaluation.protocols import Pool, draw_splits, honest
from mdjpt_hf.evaluation.readout import Features, Neighbours
from mdjpt_hf.evaluation.readout.ridge import STRENGTHS, Ridge
from mdjpt_hf.evaluation.scores import Effort, evaluate_pool
from mdjpt_hf.evaluation.scores.nulls import Labelling
from mdjpt_hf.modeling.smoothing_mdjpt import lds_smooth, online_normalise

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from released_reference import normalise_online, smooth_scalar  # noqa: E402

SESSIONS, WINDOWS, TRIALS, SIZE, CLASSES = 45, 1725, 15, 512, 3
ALLOWED_SECONDS, ALLOWED_DIFFERENCE = 1.0, 1e-5


def main() -> None:
    """Measure everything on one core and judge it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--table", type=int, metavar="FACTOR", help="times the default permutations")
    parser.add_argument("--head", default="ridge", help="of the few-shot rows of the table")
    arguments = parser.parse_args()
    repeats = arguments.repeats
    if arguments.table:
        return table(arguments.table, arguments.head)
    with threadpool_limits(1):
        differences, seconds = smoothing(repeats)
        differences.append(ridge_head(repeats))
        zero_shot_null(repeats)
    fine = max(differences) <= ALLOWED_DIFFERENCE and seconds <= ALLOWED_SECONDS
    print(f"largest difference {max(differences):.1e} (at most {ALLOWED_DIFFERENCE:g}): {'fine' if fine else 'FAILED'}")
    sys.exit(0 if fine else 1)


def smoothing(repeats: int) -> tuple[list[float], float]:
    """Differences from the plain loops, and seconds for all sessions smoothed trial by trial."""
    rng = np.random.default_rng(0)
    sessions = [rng.standard_normal((WINDOWS, SIZE), dtype=np.float32) for _ in range(SESSIONS)]
    normalising, normalised = _spent(lambda: [online_normalise(session, 0.0, 1.0) for session in sessions], repeats)
    by_trial, smoothed = _spent(lambda: [_by_trial(session) for session in normalised], repeats)
    whole, _ = _spent(lambda: [lds_smooth(session) for session in normalised], repeats)
    plain, wanted = _spent(lambda: _plainly(sessions[0]), 1)
    total = normalising + by_trial
    print(f"{SESSIONS} sessions x {WINDOWS} windows x {SIZE} features, float32")
    print(
        f"  online normalisation {normalising:.2f} s + smoothing per trial {by_trial:.2f} s = {total:.2f} s (at most 1)"
    )
    print(f"  {SESSIONS * plain / total:.0f} times as fast as the equations one by one")
    print(f"  with sessions smoothed as a whole {normalising + whole:.2f} s")
    return [float(np.abs(smoothed[0] - wanted).max())], total


def _by_trial(session: np.ndarray) -> np.ndarray:
    return np.concatenate([lds_smooth(trial) for trial in np.split(session, TRIALS)])


def _plainly(session: np.ndarray) -> np.ndarray:
    values = normalise_online(session.astype(np.float64), np.zeros(SIZE), np.ones(SIZE))
    return np.concatenate([np.apply_along_axis(smooth_scalar, 0, trial) for trial in np.split(values, TRIALS)])


def ridge_head(repeats: int) -> float:
    """Three strengths from one decomposition, against three fits of scikit-learn; how far their answers are apart."""
    rng = np.random.default_rng(1)
    label = rng.integers(0, CLASSES, 2000)
    train, others = rng.normal(size=(2000, SIZE)), rng.normal(size=(500, SIZE))
    ours, found = _spent(lambda: Ridge(train).values(np.eye(CLASSES)[label], others), repeats)
    inputs, asked = ((part - train.mean(axis=0)) / (train.std(axis=0) + 1e-9) for part in (train, others))
    targets = np.eye(CLASSES)[label]

    def fits() -> np.ndarray:
        return np.stack(
            [linear_model.Ridge(strength * len(inputs)).fit(inputs, targets).predict(asked) for strength in STRENGTHS]
        )

    theirs, wanted = _spent(fits, repeats)
    print(f"ridge head: {1000 * ours:.0f} ms, {theirs / ours:.1f} times as fast as {len(STRENGTHS)} single fits")
    return float(np.abs(found - wanted).max())


def zero_shot_null(repeats: int) -> None:
    """A permutation of the labels, in shares of finding the neighbours, which is done once for all of them."""
    rng = np.random.default_rng(2)
    stimulus = np.arange(WINDOWS) % TRIALS
    pool: Any = SimpleNamespace(trial=np.arange(WINDOWS) // 5, stimulus=stimulus, classes=("a", "b", "c"))
    pool = _sized(pool, WINDOWS)
    features, protocol = rng.normal(size=(WINDOWS, SIZE)), honest("zero-shot")
    finding, neighbours = _spent(lambda: Neighbours(features, pool, protocol), repeats)
    labelling = Labelling(stimulus % CLASSES, stimulus)
    answering, _ = _spent(lambda: neighbours.answer(labelling), repeats)
    print(f"zero-shot: neighbours {1000 * finding:.0f} ms; each further labelling {answering / finding:.3f} of that")


def table(factor: int, head: str) -> None:
    """Four encoders on 24 subjects x 12 clips of three classes x 5 windows, whose features are at hand."""
    grid = np.array([(s, k, w) for s in range(24) for k in range(12) for w in range(5)])
    named = {
        name: np.array([f"one/{number}" for number in grid[:, at]]) for name, at in (("subject", 0), ("stimulus", 1))
    }
    numbers = {"trial": grid[:, 0] * 12 + grid[:, 1], "recording": grid[:, 0], "order": np.arange(len(grid))}
    pool = Pool((), "label", ("a", "b", "c"), np.full(len(grid), "one"), **named, **numbers, label=grid[:, 1] % 3)
    encoders = [_noise(size) for size in (128, 129, 300, 200)]
    effort = Effort(permutations=100 * factor, zero_shot_permutations=500 * factor)
    for protocol in (honest("zero-shot"), honest("few-shot", head=head)):
        splits = draw_splits(pool, protocol, "one", {}, seed=0).splits
        wall, processor = time.perf_counter(), time.process_time()
        rows = evaluate_pool(Features(pool), encoders, protocol, splits, effort)
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        scores = ", ".join(f"{row['score']['mean']:.6f} (null {row['null']['mean']:.6f})" for row in rows.values())
        print(f"{protocol.title}, {len(pool)} windows: {wall:.2f} s, processor {processor:.2f} s; {scores}")


def _noise(size: int) -> Encoder:
    """Features that know a little of the class."""

    def features(pool: Pool, groups: str) -> np.ndarray:
        known = 0.1 * np.random.default_rng(1).normal(size=(3, size))[pool.label]
        return (known + np.random.default_rng(size).normal(size=(len(pool), size))).astype(np.float32)

    return Encoder(f"noise {size}", {"weights": "none"}, features)


def _sized(pool: SimpleNamespace, length: int) -> Any:
    return type("Pool", (SimpleNamespace,), {"__len__": lambda self: length})(**vars(pool))


def _spent(run: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Median processor seconds after one round to warm up, and what was computed."""
    result = run()
    times = []
    for _ in range(repeats):
        started = time.process_time()
        result = run()
        times.append(time.process_time() - started)
    return statistics.median(times), result


if __name__ == "__main__":
    main()
