"""Beside published tables stands what may stand there, with what is different, and nothing else."""

import copy

import pytest

from mdjpt_hf.evaluation.protocols import BENCHMARKS
from mdjpt_hf.evaluation.reports import read_records, write_report
from mdjpt_hf.evaluation.reports.beside import beside_published
from mdjpt_hf.evaluation.run import Evaluation, evaluate
from mdjpt_hf.evaluation.scores import Effort

ARENA, _, PROBE, _ = BENCHMARKS


@pytest.fixture(scope="module")
def folder(noise_folders, tmp_path_factory):
    """Differential entropy on a corpus by the protocols of both benchmarks, and by an honest one."""
    out = tmp_path_factory.mktemp("records")
    for preset, protocols in (
        ("eeg-arena", ("within-subject",)),
        ("omnieeg", ("held-out",)),
        ("honest", ("few-shot",)),
    ):
        effort = Effort(permutations=4, zero_shot_permutations=4)
        given = Evaluation(("de",), (str(noise_folders[0]),), protocols, out / preset, preset=preset, effort=effort)
        evaluate(given, lambda text: None)
    return out


def recorded(folder, preset, corpus="seed", **changes):
    """A record of the preset, as if it were of a corpus that was recorded."""
    (record,) = copy.deepcopy(read_records([folder / preset]))
    return {**record, "data": "recorded", "corpus": corpus, **changes}


def test_a_score_carries_what_is_different_from_the_benchmark(folder):
    for preset, benchmark in (("eeg-arena", ARENA), ("omnieeg", PROBE)):
        told = recorded(folder, preset)["protocol"]["may_stand_beside"]
        assert all(text in told for text in (benchmark.name, *benchmark.differs, *benchmark.unknown))
    assert "may_stand_beside" not in recorded(folder, "honest")["protocol"]
    assert recorded(folder, "omnieeg")["protocol"]["windows_per_class"] == 40


def test_published_figures_stand_beside_ours_with_the_differences(folder):
    record = recorded(folder, "eeg-arena")
    text = "\n".join(beside_published([record, recorded(folder, "honest")]))
    metric = record["results"]["within-subject, new stimuli"]["DE"]["metrics"]["balanced_accuracy"]["mean"]
    assert "| seed | REVE-base | 0.893 | arXiv 2609.32743 |" in text and "| seed | mdJPT | 0.646 |" in text
    assert f"| seed | DE | {metric:.3f} [" in text and "this report |" in text
    assert all(f"- different here: {part}" in text for part in ARENA.differs)
    assert all(f"- not known of the benchmark: {part}" in text for part in ARENA.unknown)
    assert "Beside no published table: seed, few-shot, new stimuli." in text
    assert "OmniEEG" not in text and "across subjects" not in text


def test_who_saw_the_corpus_is_told(folder):
    record = recorded(folder, "eeg-arena")
    for saw, words in (("with labels", "DE (trained with its labels)"), ("yes", "DE (pre-trained on it)")):
        record["encoders"]["DE"]["saw_this_corpus"] = saw
        assert words in "\n".join(beside_published([record]))


def test_a_corpus_without_a_figure_says_so(folder):
    assert "| other | none at hand |" in "\n".join(beside_published([recorded(folder, "omnieeg", corpus="other")]))


@pytest.mark.parametrize("changes", [{"data": "simulated"}, {"target": "valence_class"}, {"protocol_key": "another"}])
def test_what_was_simulated_or_done_otherwise_stands_beside_nothing(folder, changes):
    assert beside_published([recorded(folder, "eeg-arena", **changes)]) == []


def test_a_report_has_the_section(folder, tmp_path):
    text = write_report([folder / "eeg-arena", folder / "omnieeg"], tmp_path).read_text()
    assert "## Beside published tables" in text and text.count("- not known of the benchmark: ") >= 5
