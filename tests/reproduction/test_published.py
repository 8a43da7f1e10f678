"""Published figures: each has a source, and a corpus of the paper is told from a part of it."""

from types import SimpleNamespace

import numpy as np
import pytest

from mdjpt_hf.reproduction.differences import numbered
from mdjpt_hf.reproduction.plan import Corpus
from mdjpt_hf.reproduction.published import CORPORA, PUBLISHED, QUOTED, SECONDARY, SYSTEM, published
from mdjpt_hf.reproduction.table import _line, _to_be_read_with


def test_every_figure_has_a_source_and_none_stands_twice():
    keys = [(figure.corpus, figure.protocol, figure.system, figure.metric) for figure in PUBLISHED]
    assert len(set(keys)) == len(keys)
    for figure in PUBLISHED:
        assert figure.corpus in CORPORA and "arXiv" in figure.source and figure.secondary and 0 < figure.value < 100


def test_figures_of_a_row():
    (few,) = published("faced", "few-shot")
    assert (few.value, few.source, few.note) == (23.46, QUOTED, "nine classes")
    (zero,) = published("faced", "zero-shot")
    assert (zero.value, zero.source) == (73.34, SECONDARY)
    (deap,) = published("deap", "zero-shot")
    assert deap.text == "73.3" and deap.system == SYSTEM
    assert published("mine", "zero-shot") == [] and published("seed_vii", "few-shot") == []


@pytest.mark.parametrize(
    ("name", "subjects", "seconds", "remark"),
    [
        ("deap", 32, 60.0, ""),
        ("deap", 31, 60.0, "31 of 32 subjects"),
        ("deap", 32, 5.0, "trials of 5 s instead of 59 s and more"),
        ("mine", 2, 5.0, ""),
    ],
)
def test_a_part_of_a_corpus_is_told_from_the_whole(name, subjects, seconds, remark):
    subject = np.repeat(np.arange(subjects).astype(str), 40)
    trials = SimpleNamespace(
        name=name, subject=subject, n_samples=np.full(len(subject), int(seconds * 125)), sampling_rate=125.0
    )
    assert Corpus(trials, "label").remark == remark


def test_differences_of_all_rows_stand_apart():
    everywhere, others, numbers = numbered([["a", "b"], ["c", "a"], ["a", "c", "b"]])
    assert (everywhere, others, numbers) == (["a"], ["b", "c"], [[1], [2], [1, 2]])


def test_an_encoder_that_met_the_clips_elsewhere_is_marked_in_its_row():
    met = {"saw_this_corpus": "its stimuli", "saw_stimuli_in": ["thu_ep"]}
    record = {"encoders": {"pre-trained": met}, "protocol": {"one_stimulus": "faced has a single stimulus of joy"}}
    first, second = _to_be_read_with(record)
    assert "pre-trained on THE SAME STIMULI in thu_ep" in first and "a single stimulus of joy" in second
    figure = {"accuracy": {"mean": 0.5, "low": 0.4, "high": 0.6}, "null": {"mean": 0.3, "low": 0.2, "high": 0.4}}
    scores = {name: {**figure, "auroc": {"mean": None}} for name in ("pre-trained", "random weights", "DE")}
    row = {"preset": "honest", "published": [], "scores": scores, "marked": ["pre-trained"], "title": "FACED"}
    cells = _line({**row, "data": "recorded", "classes": [], "protocol": "few-shot"}, [1], {})
    assert cells[2] == "⚠ 50.0 [40.0, 60.0]" and cells[3] == "50.0 [40.0, 60.0]"
