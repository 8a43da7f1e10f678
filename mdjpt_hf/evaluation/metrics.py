"""Scores as `evaluate.Metric`s that need no Hub: made here, not loaded by name.

metric = BalancedAccuracy()
Trainer(..., compute_metrics=lambda p: metric.compute(predictions=p.predictions.argmax(-1), references=p.label_ids))
"""

from collections.abc import Callable

import datasets
import evaluate
from sklearn.metrics import accuracy_score, balanced_accuracy_score

_INPUTS = """
Args:
    predictions (`list[int]`): One class per window.
    references (`list[int]`): The true class of each.
"""


class _ClassMetric(evaluate.Metric):
    """Predicted and true classes in, one number out; a subclass says its name, its meaning and its function."""

    score_name: str
    meaning: str
    function: Callable[..., float]

    def _info(self) -> evaluate.MetricInfo:
        features = {"predictions": datasets.Value("int64"), "references": datasets.Value("int64")}
        return evaluate.MetricInfo(
            description=self.meaning,
            citation="",
            inputs_description=_INPUTS,
            features=datasets.Features(features),
        )

    def _compute(self, predictions, references) -> dict[str, float]:
        return {self.score_name: float(type(self).function(references, predictions))}


class Accuracy(_ClassMetric):
    """Share of windows classified correctly."""

    score_name = "accuracy"
    meaning = "Share of windows classified correctly."
    function = staticmethod(accuracy_score)


class BalancedAccuracy(_ClassMetric):
    """Mean over classes of the share classified correctly, so that a frequent class counts no more than a rare one."""

    score_name = "balanced_accuracy"
    meaning = "Mean recall over classes."
    function = staticmethod(balanced_accuracy_score)
