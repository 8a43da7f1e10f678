"""What reports draw beyond scores: importance of electrodes, scaling with corpora, features before and after."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from mdjpt_hf.errors import RecordError
from mdjpt_hf.evaluation.encoders import Encoder, read_pool
from mdjpt_hf.evaluation.protocols import draw_splits, honest, pool_for
from mdjpt_hf.evaluation.readout import Features
from mdjpt_hf.evaluation.reports.feature_map import (
    FeatureSample,
    draw_embedding,
    join_samples,
    read_sample,
    write_sample,
)
from mdjpt_hf.evaluation.reports.figures import draw_subjects
from mdjpt_hf.evaluation.reports.importance_figure import draw_importance
from mdjpt_hf.evaluation.reports.records import check_record, read_records
from mdjpt_hf.evaluation.reports.report import write_report
from mdjpt_hf.evaluation.reports.scaling_figure import draw_scaling, scaling_points
from mdjpt_hf.evaluation.run import Evaluation, evaluate
from mdjpt_hf.evaluation.scores import Effort, evaluate_pool
from mdjpt_hf.modeling.montage_mdjpt import STANDARD_CHANNELS

EFFORT = Effort(permutations=2, zero_shot_permutations=2, importance=True)
TRUTH_AT = "Cz"


@pytest.fixture(scope="module")
def pool(noise_sets):
    return pool_for(noise_sets, "one", honest("few-shot"), "label", 5.0)[0]


def hears_one(pool, groups):
    """The class of a window, told by one electrode alone: silence it, and nothing is known."""
    power = read_pool(pool, np.arange(len(pool))).std(axis=-1)
    told = np.sign(pool.label - 0.5) * (power[:, STANDARD_CHANNELS.index(TRUTH_AT)] > 0.1)
    noise = np.random.default_rng(0).normal(size=(len(pool), 6))
    return np.column_stack([3 * told, noise])


# ---- importance


def test_a_silenced_electrode_is_gone_with_its_share_in_others(pool):
    whole = read_pool(pool, np.array([4]))[0]
    silenced = read_pool(replace(pool, silenced="Cz"), np.array([4]))[0]
    shares = pool.parts[0].trials.projection(0)[:, pool.parts[0].trials.ch_names[0].index("Cz")]
    own = STANDARD_CHANNELS.index("Cz")
    assert (silenced[own] == 0).all() and 1 < (shares > 0).sum() < 60
    np.testing.assert_allclose(silenced, whole - np.outer(shares, whole[own]), atol=1e-5)
    np.testing.assert_array_equal(silenced[shares == 0], whole[shares == 0])


@pytest.mark.parametrize("name", ["few-shot", "zero-shot"])
def test_importance_is_the_score_lost_and_lies_where_the_truth_is_told(name, pool):
    protocol = honest(name)
    splits = draw_splits(pool, protocol, "one", {}, 0).splits
    encoder = Encoder("ear", {"weights": "none"}, hears_one)
    (entry,) = evaluate_pool(Features(pool), [encoder], protocol, splits, EFFORT).values()
    found = entry["importance"]
    lost = dict(zip(found["electrodes"], found["accuracy"], strict=True))
    assert set(lost) == set(pool.parts[0].trials.ch_names[0])  # all nine are standard channels
    assert entry["score"]["mean"] > 0.95 and lost.pop(TRUTH_AT) > 0.3
    assert max(map(abs, lost.values())) == 0  # nothing else is heard
    probability = dict(zip(found["electrodes"], found["probability"], strict=True))
    assert probability.pop(TRUTH_AT) > 0.2 and max(map(abs, probability.values())) < 1e-9


@pytest.fixture
def drawn(monkeypatch):
    """Figures instead of files."""
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *args, **kwargs: figures.append(self))
    return figures


@pytest.mark.parametrize("count", [5, 19, 60])
def test_names_of_electrodes_do_not_lie_under_dots(drawn, count):
    names = list(STANDARD_CHANNELS[:count])
    found = {"electrodes": names, "probability": np.linspace(-1, 1, count).tolist()}
    draw_importance({"ear": {"importance": found}}, "", "")
    axes = drawn[0].axes[0]
    dots = [*axes.collections, *(line for line in axes.lines if line.get_marker() not in (",", "None"))]
    assert [text.get_text() for text in axes.texts] == (names if count < 60 else [])
    assert bool(dots) == (count == 60)


@pytest.mark.parametrize("count", [3, 123])
def test_every_subject_has_its_name_below_its_scores(drawn, count):
    score = np.random.default_rng(0).permutation(count) / count
    interval = {"mean": 0.5, "low": 0.4, "high": 0.6}
    entry = {"per_subject": [None, *score[1:]], "score": interval, "null": interval}
    names = [f"s{number}" for number in range(count)]
    draw_subjects({"ear": entry, "DE": entry}, names, "", "")
    axes = drawn[0].axes[0]
    shown = [label.get_text() for label in axes.get_xticklabels()]
    assert sorted(shown) == sorted(names) and shown[-1] == "s0"  # who has no score comes last
    heights = axes.lines[0].get_ydata()
    assert all(heights[place] == score[int(name[1:])] for place, name in enumerate(shown[:-1]))
    drawn[0].draw_without_rendering()
    boxes = [label.get_window_extent() for label in axes.get_xticklabels()]
    assert all(left.x1 <= right.x0 + 1 for left, right in zip(boxes, boxes[1:], strict=False))  # none covers another


# ---- scaling


def row(mean):
    return {"score": {"mean": mean, "low": mean - 0.05, "high": mean + 0.05}}


def trained(count, **facts):
    corpora = [f"c{number}" for number in range(count)]
    return {"weights": "pre-trained", "kind": "MDJPTModel", "pretrained_on": corpora, **facts}


def test_scaling_counts_corpora_on_record_and_is_drawn_only_if_they_differ(tmp_path):
    rows = {"a": row(0.4), "b": row(0.5), "c": row(0.6), "DE": row(0.45), "random weights": row(0.3)}
    facts = {"a": trained(1), "b": trained(4, saw_this_corpus="yes"), "c": trained(2)}
    facts |= {"DE": {"weights": "none"}, "random weights": {"weights": "random", "pretrained_on": []}}
    assert [(point.name, point.corpora, point.saw_tested) for point in scaling_points(rows, facts)] == [
        ("a", 1, False),
        ("b", 4, True),
        ("c", 2, False),
    ]
    assert draw_scaling(rows, facts, tmp_path / "scaling.png", "simulated", "accuracy")
    assert imread(tmp_path / "scaling.png").std() > 0.02
    unknown = {**facts, "b": trained(0, pretrained_on=None)}
    assert len(scaling_points(rows, unknown)) == 2
    alike = {**facts, "a": trained(2), "b": trained(2)}
    assert not draw_scaling(rows, alike, tmp_path / "alike.png", "", "accuracy")
    assert not (tmp_path / "alike.png").exists()


# ---- features


def sample(corpora, size=5, encoders=("DE", "model"), windows=30):
    rng = np.random.default_rng(len(corpora))
    names = {name: np.resize([f"{name}{number}" for number in range(3)], windows) for name in ("subject", "emotion")}
    names |= {"corpus": np.resize(corpora, windows), "recording": np.arange(windows) % 3}
    return FeatureSample({name: rng.normal(size=(windows, size)) for name in encoders}, ("DE",), names)


def test_corpora_are_drawn_together_each_once_with_the_encoders_they_share():
    joined = join_samples([sample(["a"]), sample(["b"], encoders=("DE", "model", "other")), sample(["b", "c"])])
    assert sorted(set(joined.names["corpus"])) == ["a", "b", "c"] and len(joined) == 60  # b alone is in b and c
    assert list(joined.features) == ["DE", "model"] and joined.before == ("DE",)
    assert len(np.unique(joined.names["recording"])) == 6  # recordings of two samples are never one
    assert list(join_samples([sample(["a"]), sample(["b"], size=4)]).features) == []
    assert len(join_samples([sample(["a"], windows=1000), sample(["b"], windows=1000)])) <= 1200


def test_samples_are_written_read_checked_and_drawn(tmp_path):
    write_sample(tmp_path / "features_a_x.npz", sample(["a"]))
    read = read_sample(tmp_path / "features_a_x.npz")
    np.testing.assert_array_equal(read.features["model"], sample(["a"]).features["model"])
    assert read.before == ("DE",) and len(read) == 30
    draw_embedding(read, tmp_path / "map.png", "simulated", "by recording")
    assert imread(tmp_path / "map.png").std() > 0.02
    broken = sample(["a"])
    write_sample(tmp_path / "broken.npz", replace(broken, names={**broken.names, "emotion": np.array(["x"])}))
    np.savez(tmp_path / "other.npz", nothing=np.zeros(3))
    whole = (tmp_path / "features_a_x.npz").read_bytes()
    for file, content in (
        ("half", whole[: len(whole) // 2]),
        ("empty", b""),
        ("flipped", whole[:200] + bytes(len(whole) - 400) + whole[-200:]),
        ("text", b"features"),
    ):
        (tmp_path / f"{file}.npz").write_bytes(content)
    np.save(tmp_path / "array.npy", np.zeros(3))
    (tmp_path / "array.npy").rename(tmp_path / "array.npz")
    for file in ("array", "broken", "other", "half", "empty", "flipped", "text"):
        with pytest.raises(RecordError, match=file):
            read_sample(tmp_path / f"{file}.npz")


def test_a_sample_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "features_a_x.npz"
    write_sample(path, sample(["a"]))

    def fail(file, **arrays):
        file.write(b"half")
        raise OSError("the disk is full")

    monkeypatch.setattr(np, "savez_compressed", fail)
    with pytest.raises(OSError, match="disk is full"):
        write_sample(path, sample(["b"]))
    assert read_sample(path).names["corpus"][0] == "a"


# ---- from the records alone


def test_a_report_needs_no_model(noise_folders, tmp_path):
    task = Evaluation(("de",), (str(noise_folders[1]),), ("few-shot",), tmp_path / "out", effort=EFFORT)
    evaluate(task, lambda text: None)
    (record,) = read_records([tmp_path / "out"])
    (rows,) = record["results"].values()
    assert len(rows["DE"]["importance"]["electrodes"]) == 9
    text = write_report([tmp_path / "out"], tmp_path / "report").read_text()
    assert "_importance.png" in text and "_scaling.png" not in text and "features_recording_as_it_comes.png" in text
    assert draw_importance(rows, tmp_path / "head.png", "x") and imread(tmp_path / "head.png").std() > 0.02
    del rows["DE"]["importance"]["accuracy"][0]
    with pytest.raises(RecordError, match=r"importance\.accuracy"):
        check_record(record)
