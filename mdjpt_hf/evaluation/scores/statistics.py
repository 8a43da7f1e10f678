"""Numbers with their uncertainty: scores per subject, intervals over subjects, permutation nulls."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import permutation_test


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def subject_scores(correct: np.ndarray, subject: np.ndarray, subjects: np.ndarray | None = None) -> np.ndarray:
    """Mean over each subject's tested windows, `(..., windows)` -> `(..., subjects)`; NaN where none was tested.

    Args:
        subjects: Names, in the order of the scores; default those who are in `subject`.
    """
    names = np.unique(subject) if subjects is None else np.asarray(subjects)
    order = np.argsort(names)
    place = order[np.minimum(np.searchsorted(names, subject, sorter=order), len(names) - 1)]
    counts = names[place] == subject  # others are nobody's
    rows = [_means(row, place, counts & ~np.isnan(row), len(names)) for row in correct.reshape(-1, correct.shape[-1])]
    return np.stack(rows).reshape(*correct.shape[:-1], len(names))


def _means(row: np.ndarray, place: np.ndarray, counts: np.ndarray, subjects: int) -> np.ndarray:
    tested = np.bincount(place[counts], minlength=subjects)
    totals = np.bincount(place[counts], row[counts], subjects)
    return np.divide(totals, tested, out=np.full(subjects, np.nan), where=tested > 0)


def subject_bootstrap(scores: np.ndarray, seed: int = 0, draws: int = 10_000) -> Interval:
    """Mean over subjects with a percentile bootstrap interval; subjects are what is drawn again.

    Args:
        scores (`np.ndarray` of shape `(subjects,)`): Scores, or paired differences of two methods; NaN is left out.
    """
    scores = scores[~np.isnan(scores)]
    rng = np.random.default_rng(seed)
    means = scores[rng.integers(0, len(scores), (draws, len(scores)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(scores.mean()), float(low), float(high))


def null_interval(null_means: np.ndarray) -> Interval:
    """Mean and central 95 % of the scores under permuted labels, `(permutations,)`."""
    low, high = np.percentile(null_means, [2.5, 97.5])
    return Interval(float(null_means.mean()), float(low), float(high))


def judged(by_subject: np.ndarray) -> dict[str, Any]:
    """What every result is told with.

    Args:
        by_subject (`np.ndarray` of shape `(1 + permutations, subjects)`): Scores, those of the true labels first; NaN
            where a subject has none.

    Returns:
        `dict`: `score` and `null` with their intervals, `p_value` (the share of permutations that score as much) and
        `per_subject`.
    """
    score, null = subject_bootstrap(by_subject[0]), np.nanmean(by_subject[1:], axis=1)
    return {
        "score": asdict(score),
        "null": asdict(null_interval(null)),
        "p_value": float((1 + (null >= score.mean - 1e-12).sum()) / (1 + len(null))),
        "per_subject": by_subject[0],
    }


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: p-values of a family of tests, in the same order."""
    order = np.argsort(p_values, kind="stable")
    factors = len(p_values) - np.arange(len(p_values))
    stepped = np.maximum.accumulate(np.asarray(p_values, dtype=float)[order] * factors)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted.tolist()


def paired_p_value(differences: np.ndarray, seed: int = 0) -> float:
    """Two-sided permutation test of a mean paired difference: the sign of every subject's `(subjects,)` is flipped.

    NaN is left out; exact where there are few subjects, else 9,999 draws.
    """
    differences = differences[~np.isnan(differences)]
    if not differences.any():
        return 1.0
    result = permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=9999, rng=np.random.default_rng(seed)
    )
    return float(result.pvalue)
