"""Metrics: offline, batch by batch, and equal to scikit-learn; calibration that calibrates."""

import evaluate
import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    cohen_kappa_score,
    f1_score,
    roc_auc_score,
)

from mdjpt_hf.errors import ConfigurationError
from mdjpt_hf.evaluation.readout import fit_temperature, scale
from mdjpt_hf.evaluation.scores import metrics


@pytest.fixture
def scored():
    """50 windows of three classes of unlike frequency, and probabilities that know a little."""
    rng = np.random.default_rng(0)
    references = rng.choice(3, 50, p=[0.7, 0.2, 0.1])
    return references, softmax(rng.normal(size=(50, 3)) + np.eye(3)[references], axis=1)


def slow_calibration_error(references, probabilities):
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == references
    error = 0.0
    for low in np.arange(10) / 10:
        inside = [i for i in range(len(references)) if low < confidence[i] <= low + 0.1]
        if inside:
            error += len(inside) / len(references) * abs(correct[inside].mean() - confidence[inside].mean())
    return error


EXPECTED = {
    metrics.Accuracy: accuracy_score,
    metrics.BalancedAccuracy: balanced_accuracy_score,
    metrics.MacroF1: lambda r, p: f1_score(r, p, average="macro"),
    metrics.CohenKappa: cohen_kappa_score,
    metrics.AUROC: lambda r, p: roc_auc_score(r, p, multi_class="ovr", average="macro"),
    metrics.AUPRC: lambda r, p: average_precision_score(np.eye(3)[r], p, average="macro"),
    metrics.ExpectedCalibrationError: slow_calibration_error,
}


@pytest.mark.parametrize("metric", EXPECTED, ids=lambda metric: metric.score_name)
def test_metrics_equal_scikit_learn_also_in_batches(metric, scored, tmp_path):
    references, probabilities = scored
    predictions = probabilities if metric in metrics.SCORE_METRICS else probabilities.argmax(axis=1)
    wanted = EXPECTED[metric](references, predictions)
    instance = metric(cache_dir=str(tmp_path))
    assert isinstance(instance, evaluate.Metric)
    (score,) = instance.compute(predictions=predictions, references=references).values()
    assert score == pytest.approx(wanted)
    for part in np.array_split(np.arange(50), 4):
        instance.add_batch(predictions=predictions[part], references=references[part])
    assert instance.compute()[instance.score_name] == pytest.approx(score)
    assert metrics.all_metrics(references, probabilities)[metric.score_name] == pytest.approx(wanted)


def one_by_one(references, probabilities):
    """What scikit-learn says of a subject who may have met a few of the classes only, each class against the rest."""
    found, occurring = probabilities.argmax(axis=1), np.unique(references)
    scores = {
        "accuracy": accuracy_score(references, found),
        "balanced_accuracy": np.mean([(found[references == value] == value).mean() for value in occurring]),
        "macro_f1": f1_score(references, found, average="macro", zero_division=0.0),
        "expected_calibration_error": slow_calibration_error(references, probabilities),
        **dict.fromkeys(("cohen_kappa", "auroc", "auprc"), np.nan),
    }
    if len({*references, *found}) > 1:
        scores["cohen_kappa"] = cohen_kappa_score(references, found)
    if len(occurring) > 1:
        for name, score in (("auroc", roc_auc_score), ("auprc", average_precision_score)):
            scores[name] = np.mean([score(references == value, probabilities[:, value]) for value in occurring])
    return scores


@pytest.mark.parametrize("seed", range(40))
def test_metrics_of_a_subject_equal_scikit_learn_one_by_one(seed):
    """Few windows, classes that do not occur or are never predicted, and answers that are the same for several."""
    rng = np.random.default_rng(seed)
    classes, windows = int(rng.integers(2, 10)), int(rng.integers(1, 30))
    references = rng.choice(rng.permutation(classes)[: rng.integers(1, classes + 1)], windows)
    probabilities = softmax(rng.normal(0, 3, (windows, classes)), axis=1)
    if seed % 2:  # shares of seven votes
        probabilities = rng.multinomial(7, np.full(classes, 1 / classes), windows) / 7
    found, wanted = metrics.all_metrics(references, probabilities), one_by_one(references, probabilities)
    assert found == pytest.approx(wanted, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_probability_that_is_no_number_is_refused(scored, value):
    references, probabilities = scored
    probabilities[3, 1] = value
    with pytest.raises(ConfigurationError, match="no number"):
        metrics.all_metrics(references, probabilities)


def test_the_metrics_can_be_told_apart(scored):
    assert len({round(value, 6) for value in metrics.all_metrics(*scored).values()}) == len(EXPECTED)


def test_a_single_class_has_no_curve_but_an_accuracy():
    scores = metrics.all_metrics(np.zeros(4, dtype=int), np.tile([0.6, 0.4], (4, 1)))
    assert np.isnan([scores["auroc"], scores["auprc"], scores["cohen_kappa"]]).all()
    assert scores["accuracy"] == scores["balanced_accuracy"] == 1


def test_probabilities_that_do_not_fit_are_refused(scored):
    references, probabilities = scored
    with pytest.raises(ConfigurationError, match="do not fit 50 references"):
        metrics.expected_calibration_error(references, probabilities[:, :1])


def test_the_temperature_of_overconfident_scores_is_found_and_lowers_the_error():
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(4000, 3))
    label = np.array([rng.choice(3, p=row) for row in softmax(logits, axis=1)])
    temperature = fit_temperature(5 * logits[:2000], label[:2000])
    assert temperature == pytest.approx(5, rel=0.1)
    before, after = (
        metrics.expected_calibration_error(label[2000:], scale(5 * logits[2000:], value)) for value in (1, temperature)
    )
    assert after < 0.05 < 0.2 < before


def test_who_abstains_where_unsure_is_right_more_often():
    rng = np.random.default_rng(2)
    probabilities = softmax(3 * rng.normal(size=(3000, 3)), axis=1)
    label = np.array([rng.choice(3, p=row) for row in probabilities])
    share, accuracy = metrics.abstention_curve(label, probabilities)
    assert share[-1] == 1 and accuracy[-1] == pytest.approx(np.mean(probabilities.argmax(axis=1) == label))
    assert accuracy[0] > accuracy[9] > accuracy[-1]
