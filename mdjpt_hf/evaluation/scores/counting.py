"""Scores of classes counted at once: what scikit-learn says, without checking its input anew for every score.

A table needs seven scores of every subject, split and encoder; checks made three quarters of an evaluation.
"""

import numpy as np
from scipy.stats import rankdata


def confusion(references: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """Counts `(classes, classes)`, true classes in rows."""
    return np.bincount(references * classes + predictions, minlength=classes**2).reshape(classes, classes)


def scores_of_counts(counts: np.ndarray) -> dict[str, float]:
    """Accuracy, balanced accuracy, macro F1 and Cohen's kappa.

    Args:
        counts (`np.ndarray` of shape `(classes, classes)`): Of [`confusion`]. Classes that neither occur nor are
            predicted count nowhere; kappa is NaN where there is a single one.
    """
    true, found, right = counts.sum(axis=1), counts.sum(axis=0), np.diag(counts)
    total, either = counts.sum(), true + found > 0
    by_chance = float(true @ found) / total
    return {
        "accuracy": float(right.sum() / total),
        "balanced_accuracy": float((right[true > 0] / true[true > 0]).mean()),
        "macro_f1": float((2 * right[either] / (true + found)[either]).mean()),
        "cohen_kappa": float((right.sum() - by_chance) / (total - by_chance)) if either.sum() > 1 else float("nan"),
    }


def areas(references: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Area under the receiver operating characteristic and average precision, each class against the rest.

    Means over the classes that occur, so that a subject who saw two emotions of nine has a score too; NaN where a
    single one does.

    Args:
        references: `(windows,)` true classes. probabilities: `(windows, classes)`.
    """
    occurring = np.unique(references)
    if len(occurring) < 2:
        return {"auroc": float("nan"), "auprc": float("nan")}
    own = references[:, None] == occurring
    scores = probabilities[:, occurring]
    return {"auroc": _auroc(own, scores), "auprc": _average_precision(own, scores)}


def _auroc(own: np.ndarray, scores: np.ndarray) -> float:
    """How often a window of a class has a higher score than one of another, ties half: the rank sum of Mann-Whitney."""
    count = own.sum(axis=0)
    above = (rankdata(scores, axis=0) * own).sum(axis=0) - count * (count + 1) / 2
    return float((above / (count * (len(own) - count))).mean())


def _average_precision(own: np.ndarray, scores: np.ndarray) -> float:
    """Mean over windows of a class of the precision at their score, windows of one score being found together."""
    order = np.argsort(-scores, axis=0, kind="stable")
    hits, scores = np.take_along_axis(own, order, axis=0), np.take_along_axis(scores, order, axis=0)
    precision = np.cumsum(hits, axis=0) / np.arange(1, len(hits) + 1)[:, None]
    ends = np.full(scores.shape, len(scores) - 1)  # where the windows of a score end
    ends[:-1] = np.where(scores[:-1] == scores[1:], len(scores) - 1, np.arange(len(scores) - 1)[:, None])
    last = np.minimum.accumulate(ends[::-1], axis=0)[::-1]
    return float(((np.take_along_axis(precision, last, axis=0) * hits).sum(axis=0) / hits.sum(axis=0)).mean())
