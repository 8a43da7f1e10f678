"""Valence and arousal as numbers: metrics, readout, null, records, refusals."""

from collections.abc import Iterator

import evaluate
import numpy as np
import pytest
from noise_corpora import NoiseCorpus
from scipy.stats import pearsonr

from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.data.prepare import prepare
from mdjpt_hf.errors import ConfigurationError, CorpusError
from mdjpt_hf.evaluation.encoders import Encoder
from mdjpt_hf.evaluation.protocols import draw_splits, honest, pool_for
from mdjpt_hf.evaluation.readout import Features
from mdjpt_hf.evaluation.reports.records import read_records
from mdjpt_hf.evaluation.reports.report import write_report
from mdjpt_hf.evaluation.run import Evaluation
from mdjpt_hf.evaluation.run import evaluate as run
from mdjpt_hf.evaluation.scores import Effort, evaluate_pool, rating_metrics
from mdjpt_hf.evaluation.scores.nulls import labellings
from mdjpt_hf.schema import Trial
from mdjpt_hf.sharing.cards import _results


class RatedCorpus(NoiseCorpus):
    """Noise with subjects' own ratings; the first subject's first trial has none."""

    def read_unit(self, unit: str, report) -> Iterator[Trial]:
        for number, trial in enumerate(super().read_unit(unit, report)):
            rng = np.random.default_rng([*f"{self.name}{unit}{number}".encode()])
            trial.valence = float("nan") if unit == "s0" and not number else float(rng.uniform())
            trial.label, trial.label_name, trial.valence_class = -1, "", None
            yield trial


@pytest.fixture(scope="module")
def rated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rated")
    return [prepare(RatedCorpus(name, 6), folder / name, progress=False).folder for name in ("felt", "told")]


@pytest.fixture(scope="module")
def pool(rated):
    return pool_for(open_corpora(rated), "felt", honest("few-shot"), "valence", 5.0)[0]


def knowing_rating(strength):
    def features(pool, groups):
        noise = np.random.default_rng(0).normal(size=(len(pool), 12))
        return noise + strength * pool.label[:, None] * np.random.default_rng(1).normal(size=12)

    return Encoder(f"knows {strength}", {"weights": "none", "pretrained_on": []}, features)


def lin(references, predictions):
    """Written as in Lin's paper, with moments over n."""
    count = len(references)
    mean_r, mean_p = sum(references) / count, sum(predictions) / count
    cov = sum((r - mean_r) * (p - mean_p) for r, p in zip(references, predictions, strict=True)) / count
    var_r, var_p = (
        sum((v - m) ** 2 for v in part) / count for part, m in ((references, mean_r), (predictions, mean_p))
    )
    return 2 * cov / (var_r + var_p + (mean_r - mean_p) ** 2)


EXPECTED = {
    rating_metrics.ConcordanceCorrelation: lin,
    rating_metrics.PearsonR: lambda r, p: pearsonr(r, p).statistic,
    rating_metrics.RootMeanSquaredError: lambda r, p: np.sqrt(((r - p) ** 2).mean()),
}


@pytest.mark.parametrize("metric", EXPECTED, ids=lambda metric: metric.score_name)
def test_metrics_equal_their_definition_also_in_batches(metric, tmp_path):
    rng = np.random.default_rng(0)
    references = rng.uniform(size=40)
    predictions = 0.3 + 0.5 * references + 0.1 * rng.normal(size=40)
    wanted, instance = EXPECTED[metric](references, predictions), metric(cache_dir=str(tmp_path))
    assert isinstance(instance, evaluate.Metric)
    assert instance.compute(predictions=predictions, references=references)[metric.score_name] == pytest.approx(wanted)
    for part in np.array_split(np.arange(40), 3):
        instance.add_batch(predictions=predictions[part], references=references[part])
    assert instance.compute()[metric.score_name] == pytest.approx(wanted)


def test_concordance_punishes_what_correlation_forgives():
    references = np.linspace(0, 1, 20)
    for predictions in (references + 0.3, 0.5 * references):
        found = rating_metrics.all_rating_metrics(references, predictions)
        assert found["pearson_r"] == pytest.approx(1) and found["concordance_correlation"] < 0.9
    assert rating_metrics.concordance(references, references) == 1
    assert np.isnan(rating_metrics.concordance(np.ones(3), references[:3]))
    assert rating_metrics.concordance(references, np.full(20, 0.5)) == 0
    with pytest.raises(ConfigurationError, match="do not fit"):
        rating_metrics.pearson(references, references[:3])


def test_windows_without_a_rating_are_left_out_and_stimuli_split_in_halves(pool):
    assert len(pool) == (6 * 8 - 1) * 3 and pool.rated and pool.classes == ("valence",)
    assert pool.label.min() >= 0 and pool.label.max() <= 1
    manifest = draw_splits(pool, honest("few-shot"), "felt", {}, 0)
    assert all(len(split.train_stimuli) == len(split.test_stimuli) == 4 for split in manifest.splits)


def test_the_null_deals_ratings_over_the_trials_of_each_subject(pool):
    true, *dealt = labellings(pool, 4, seed=0)
    for labelling in dealt:
        for subject in set(pool.subject):
            own = pool.subject == subject
            assert sorted(labelling.label[own]) == sorted(true.label[own])
        assert all(len(set(labelling.label[pool.trial == trial])) == 1 for trial in set(pool.trial))
    assert all((labelling.label != true.label).any() for labelling in dealt)


@pytest.mark.parametrize("name", ["few-shot", "leave-one-subject-out"])
def test_what_is_there_is_found_and_noise_is_not(name, pool):
    protocol = honest(name)
    splits = draw_splits(pool, protocol, "felt", {}, 0).splits
    encoders = [knowing_rating(8.0), knowing_rating(0.0)]
    knows, blind = evaluate_pool(Features(pool), encoders, protocol, splits, Effort(permutations=30)).values()
    assert knows["score"]["mean"] > 0.7 > 0.3 > knows["null"]["high"] and knows["p_value"] == pytest.approx(1 / 31)
    assert knows["metrics"]["root_mean_squared_error"]["mean"] < 0.15 and knows["metrics"]["pearson_r"]["mean"] > 0.9
    assert blind["score"]["mean"] <= blind["null"]["high"] + 0.05 and blind["p_value"] > 0.05


def test_the_strength_is_chosen_by_validation_subjects_not_by_those_tested(pool):
    """With ratings that contradict each other on both sides, only what validation subjects say may count."""
    from mdjpt_hf.evaluation.readout.answers import _choose, _Task

    ratings = np.stack([pool.label[:6] + 0.5, pool.label[:6], pool.label[:6] - 0.5])[..., None]
    parts = (np.arange(6, 9), np.arange(3), np.arange(3, 6))
    ratings[2, :3, 0] = pool.label[:3]  # third candidate: right about validation, wrong about test
    ratings[1, :3, 0] += 0.3
    for protocol, wanted in ((honest("few-shot"), 2), (honest("few-shot", selection="test"), 1)):
        ((answers, candidate),) = _choose(lambda *_: [ratings], pool, protocol, [_Task(*parts, pool.label)], 0)
        assert candidate == wanted and (answers == ratings[wanted]).all()


def test_records_reports_and_cards_of_ratings(rated, tmp_path):
    task = Evaluation(
        models=("de", "random"),
        data=tuple(map(str, rated)),
        protocols=("few-shot", "cross-dataset"),
        out=tmp_path / "out",
        label="valence",
        corpora=("felt",),
        effort=Effort(permutations=3),
    )
    run(task, lambda text: None)
    records = read_records([tmp_path / "out"])
    assert {record["choices"]["name"] for record in records} == {"few-shot", "cross-dataset"}
    for record in records:
        assert record["score_name"] == "concordance_correlation" and record["target"] == "valence"
        (rows,) = record["results"].values()
        assert len(rows["DE"]["answers"]["found"]) == len(rows["DE"]["answers"]["reported"]) > 20
        assert "Concordance correlation on **felt**" in _results(record)
    text = write_report([tmp_path / "out"], tmp_path / "report").read_text()
    assert "| CCC | null | p (Holm) | Pearson r | RMSE | n |" in text and "_ratings.png" in text
    assert "confusion" not in text and (tmp_path / "report" / "felt_0_ratings.png").exists()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"label": "arousal"}, CorpusError, "no trial has a rating of arousal"),
        ({"protocols": ("zero-shot",)}, ConfigurationError, "few-shot or leave-one-subject-out"),
        ({"preset": "paper"}, ConfigurationError, "head=ridge"),
        ({"label": "boredom"}, ConfigurationError, "neither classes nor a rating"),
    ],
)
def test_what_cannot_be_judged_is_said(changes, error, message, rated, tmp_path):
    settings = {"models": ("de",), "data": (str(rated[0]),), "protocols": ("few-shot",), "label": "valence"}
    task = Evaluation(**{**settings, "corpora": ("felt",), "out": tmp_path / "out", **changes})
    with pytest.raises(error, match=message):
        run(task, lambda text: None)
