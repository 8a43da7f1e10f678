"""Scores as `evaluate.Metric`s that need no Hub: made here, not loaded by name.

metric = BalancedAccuracy()
Trainer(..., compute_metrics=lambda p: metric.compute(predictions=p.predictions.argmax(-1), references=p.label_ids))

Metrics of classes take one class per window as prediction, metrics of scores one probability per class.
"""

from collections.abc import Callable
from typing import Any

import datasets
import evaluate
import numpy as np
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    cohen_kappa_score,
    f1_score,
)

from mdjpt_hf.errors import ConfigurationError
from mdjpt_hf.evaluation.scores.counting import areas, confusion, scores_of_counts

CALIBRATION_BINS = 10

_CLASS_INPUTS = """
Args:
    predictions (`list[int]`): One class per window.
    references (`list[int]`): The true class of each.
"""
_SCORE_INPUTS = """
Args:
    predictions (`list[list[float]]`): One probability per class and window; each window's sum to 1.
    references (`list[int]`): The true class of each.
"""


class _Metric(evaluate.Metric):
    """Predictions and true classes in, one number out; a subclass names it and the function, and tells its meaning."""

    score_name: str
    function: Callable[..., float]
    prediction: Any = datasets.Value("int64")
    reference: Any = datasets.Value("int64")
    inputs = _CLASS_INPUTS

    def __init_subclass__(cls, score: str = "", by: Callable[..., float] | None = None) -> None:
        super().__init_subclass__()
        if by is not None:
            cls.score_name, cls.function = score, staticmethod(by)

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=self.__doc__ or self.score_name,
            citation="",
            inputs_description=self.inputs,
            features=datasets.Features({"predictions": self.prediction, "references": self.reference}),
        )

    def _compute(self, predictions, references) -> dict[str, float]:
        return {self.score_name: float(self.function(references, predictions))}


class _ScoreMetric(_Metric):
    prediction = datasets.List(datasets.Value("float64"))
    inputs = _SCORE_INPUTS


class Accuracy(_Metric, score="accuracy", by=accuracy_score):
    """Share of windows classified correctly."""


class BalancedAccuracy(_Metric, score="balanced_accuracy", by=balanced_accuracy_score):
    """Mean over classes of the share classified correctly, so that a frequent class counts no more than a rare one."""


def _macro_f1(references, predictions) -> float:
    return float(f1_score(references, predictions, average="macro", zero_division=0.0))


class MacroF1(_Metric, score="macro_f1", by=_macro_f1):
    """Mean over classes of the harmonic mean of precision and recall; 0 for a class never predicted."""


class CohenKappa(_Metric, score="cohen_kappa", by=cohen_kappa_score):
    """Agreement beyond what the frequencies of the classes give by themselves."""


def _auroc(references, predictions) -> float:
    return areas(*_checked(references, predictions))["auroc"]


def _auprc(references, predictions) -> float:
    return areas(*_checked(references, predictions))["auprc"]


class AUROC(_ScoreMetric, score="auroc", by=_auroc):
    """Area under the receiver operating characteristic, each class against the rest, mean over classes that occur."""


class AUPRC(_ScoreMetric, score="auprc", by=_auprc):
    """Average precision, each class against the rest, mean over classes that occur."""


def expected_calibration_error(references: Any, predictions: Any) -> float:
    """Mean distance between confidence and accuracy over `CALIBRATION_BINS` equal bins of the top probability."""
    references, predictions = _checked(references, predictions)
    _, accuracy, confidence, share = reliability(references, predictions)
    return float(np.sum(share * np.abs(accuracy - confidence)))


class ExpectedCalibrationError(_ScoreMetric, score="expected_calibration_error", by=expected_calibration_error):
    """How far the confidence of the predicted class lies from how often it is right."""


SCORE_METRICS: tuple[type[_Metric], ...] = (AUROC, AUPRC, ExpectedCalibrationError)


def all_metrics(references: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Every metric of this file by its name; NaN where it has no value, such as AUROC of a single class.

    Args:
        references (`np.ndarray` of shape `(windows,)`): True classes.
        probabilities (`np.ndarray` of shape `(windows, classes)`).

    Raises:
        ConfigurationError: If both do not fit each other, or a probability is no number.
    """
    references, probabilities = _checked(references, probabilities)
    counts = confusion(references, probabilities.argmax(axis=1), probabilities.shape[1])
    error = {ExpectedCalibrationError.score_name: expected_calibration_error(references, probabilities)}
    return scores_of_counts(counts) | areas(references, probabilities) | error


def reliability(references: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, ...]:
    """Bins of confidence: edges `(bins + 1,)`, then accuracy, mean confidence and share of windows, `(bins,)` each."""
    edges = np.linspace(0, 1, CALIBRATION_BINS + 1)
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == references
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, CALIBRATION_BINS - 1)
    count = np.bincount(place, minlength=CALIBRATION_BINS)
    accuracy, mean = (
        np.divide(np.bincount(place, weights, CALIBRATION_BINS), count, out=np.zeros(CALIBRATION_BINS), where=count > 0)
        for weights in (correct.astype(float), confidence)
    )
    return edges, accuracy, mean, count / len(references)


def abstention_curve(
    references: np.ndarray, probabilities: np.ndarray, points: int = 20
) -> tuple[np.ndarray, np.ndarray]:
    """Accuracy on the windows one is most sure of.

    Args:
        references: `(windows,)` true classes. probabilities: `(windows, classes)`. points: Of the curve.

    Returns:
        `tuple`: `(points,)` shares of windows answered, rising to 1, and `(points,)` the accuracy on them.
    """
    order = np.argsort(-probabilities.max(axis=1), kind="stable")
    correct = (probabilities.argmax(axis=1) == references)[order]
    answered = np.maximum(1, np.round(np.linspace(1 / points, 1, points) * len(order)).astype(int))
    return answered / len(order), np.cumsum(correct)[answered - 1] / answered


def _checked(references: Any, predictions: Any) -> tuple[np.ndarray, np.ndarray]:
    references, predictions = np.asarray(references), np.asarray(predictions, dtype=np.float64)
    fits = predictions.ndim == 2 and len(predictions) == len(references) and len(references)
    if not fits or references.min() < 0 or references.max() >= predictions.shape[1]:
        raise ConfigurationError(
            f"probabilities of shape {predictions.shape} do not fit {len(references)} references",
            value=predictions.shape,
            remedy="Give one probability per class for every window",
        )
    if not np.isfinite(predictions).all():
        raise ConfigurationError(
            "a probability is no number", value=float("nan"), remedy="Look for windows whose answers are not finite"
        )
    return references, predictions
