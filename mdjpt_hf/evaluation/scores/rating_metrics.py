"""Scores of ratings (valence, arousal, ...) as `evaluate.Metric`s that need no Hub.

metric = ConcordanceCorrelation()
metric.compute(predictions=[0.2, 0.7], references=[0.1, 0.9])
"""

from typing import Any

import datasets
import numpy as np

from mdjpt_hf.errors import ConfigurationError
from mdjpt_hf.evaluation.scores.metrics import _Metric

_INPUTS = """
Args:
    predictions (`list[float]`): One rating per window.
    references (`list[float]`): What the subject reported of each, in the same unit.
"""


def concordance(references: Any, predictions: Any) -> float:
    """2 cov / (var + var + (difference of the means)^2), with moments over all windows; 1 only where both are equal.

    NaN where the references do not vary: there is nothing to agree with.
    """
    references, predictions = _checked(references, predictions)
    if not np.ptp(references):
        return float("nan")
    covariance = np.mean((references - references.mean()) * (predictions - predictions.mean()))
    spread = references.var() + predictions.var() + (references.mean() - predictions.mean()) ** 2
    return float(2 * covariance / spread)


def pearson(references: Any, predictions: Any) -> float:
    """Correlation, blind to scale and offset; NaN where either side does not vary."""
    references, predictions = _checked(references, predictions)
    if not np.ptp(references) or not np.ptp(predictions):
        return float("nan")
    return float(np.corrcoef(references, predictions)[0, 1])


def root_mean_squared_error(references: Any, predictions: Any) -> float:
    """Typical distance, in the unit of the ratings."""
    references, predictions = _checked(references, predictions)
    return float(np.sqrt(np.mean((references - predictions) ** 2)))


class _RatingMetric(_Metric):
    prediction = datasets.Value("float64")
    reference = datasets.Value("float64")
    inputs = _INPUTS


class ConcordanceCorrelation(_RatingMetric, score="concordance_correlation", by=concordance):
    """Lin's concordance correlation coefficient (CCC): correlation, which scale and offset only lower; -1 to 1."""


class PearsonR(_RatingMetric, score="pearson_r", by=pearson):
    """Pearson's correlation coefficient."""


class RootMeanSquaredError(_RatingMetric, score="root_mean_squared_error", by=root_mean_squared_error):
    """Root of the mean squared error, in the unit of the ratings."""


RATING_METRICS: tuple[type[_RatingMetric], ...] = (ConcordanceCorrelation, PearsonR, RootMeanSquaredError)


def all_rating_metrics(references: np.ndarray, predictions: np.ndarray) -> dict[str, float]:
    """Every metric of this file by its name, of `(windows,)` ratings; NaN where one has no value."""
    return {metric.score_name: metric.function(references, predictions) for metric in RATING_METRICS}


def _checked(references: Any, predictions: Any) -> tuple[np.ndarray, np.ndarray]:
    references, predictions = (np.asarray(values, dtype=np.float64) for values in (references, predictions))
    if references.shape != predictions.shape or references.ndim != 1 or not len(references):
        raise ConfigurationError(
            f"ratings of shape {predictions.shape} do not fit references of {references.shape}",
            value=predictions.shape,
            remedy="Give one rating per window",
        )
    return references, predictions
