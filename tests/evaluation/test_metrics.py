"""Metrics: offline, batch by batch, and equal to scikit-learn."""

import evaluate
import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from mdjpt_hf.evaluation.metrics import Accuracy, BalancedAccuracy


@pytest.mark.parametrize(
    ("metric", "expected"), [(Accuracy, accuracy_score), (BalancedAccuracy, balanced_accuracy_score)]
)
def test_metrics_equal_scikit_learn_also_in_batches(metric, expected, tmp_path):
    rng = np.random.default_rng(0)
    references, predictions = rng.choice(3, 50, p=[0.7, 0.2, 0.1]), rng.integers(0, 3, 50)
    instance = metric(cache_dir=str(tmp_path))
    assert isinstance(instance, evaluate.Metric)
    (score,) = instance.compute(predictions=predictions, references=references).values()
    assert score == pytest.approx(expected(references, predictions))
    for part in np.array_split(np.arange(50), 4):
        instance.add_batch(predictions=predictions[part], references=references[part])
    assert instance.compute()[instance.score_name] == pytest.approx(score)
    assert accuracy_score(references, predictions) != pytest.approx(balanced_accuracy_score(references, predictions))
