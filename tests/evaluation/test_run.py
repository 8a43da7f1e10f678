"""The command line from models and data to records, and splits that are used again."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
from noise_corpora import NoiseCorpus, knowing
from typer.testing import CliRunner

from mdjpt_hf import MDJPTConfig, MDJPTFeatureExtractor, MDJPTModel
from mdjpt_hf.cli import app
from mdjpt_hf.data.facts import labelled_datasets, training_record
from mdjpt_hf.data.prepare import prepare
from mdjpt_hf.errors import CheckpointError, ConfigurationError, CorpusError, RecordError, SplitError
from mdjpt_hf.evaluation.encoders import EncoderSource, open_encoders, shared_montage
from mdjpt_hf.evaluation.reports.records import check_record, comparability, read_records
from mdjpt_hf.evaluation.run import Evaluation, _say_without_importance, evaluate
from mdjpt_hf.evaluation.scores import Effort
from mdjpt_hf.modeling.montage_mdjpt import STANDARD_CHANNELS
from mdjpt_hf.sharing.cards import result_records

EFFORT = Effort(permutations=4, zero_shot_permutations=9)


@pytest.fixture(scope="module")
def finished(noise_folders, tmp_path_factory):
    """A folder of records of differential entropy on the first corpus."""
    out = tmp_path_factory.mktemp("model") / "evaluation"
    arguments = ["evaluate", "de", "random", "--data", str(noise_folders[0]), "--data", str(noise_folders[1])]
    arguments += ["--corpus", "one", "--protocol", "zero-shot", "--protocol", "few-shot", "--permutations", "4"]
    ended = CliRunner().invoke(app, [*arguments, "--out", str(out)])
    assert ended.exit_code == 0, ended.output
    assert "one, few-shot, new stimuli: DE" in ended.output and "null" in ended.output
    return out


@pytest.fixture
def checkpoint(tmp_path):
    """A maker of folders with a small encoder, its extractor and, if given, a record of its training."""

    def make(name, record=None, **extractor):
        MDJPTModel(MDJPTConfig.preset("tiny")).save_pretrained(tmp_path / name)
        MDJPTFeatureExtractor(**extractor).save_pretrained(tmp_path / name)
        if record is not None:
            (tmp_path / name / "run_record.json").write_text(json.dumps(record))
        return str(tmp_path / name)

    return make


def task(folders, out, **settings):
    values = {"models": ("de",), "protocols": ("zero-shot",), "corpora": ("one",), "effort": EFFORT, **settings}
    return Evaluation(data=tuple(map(str, folders)), out=out, **values)


@pytest.fixture(scope="module")
def rest_and_task(tmp_path_factory):
    """Six subjects and two clips, one of each class."""
    folder = tmp_path_factory.mktemp("design") / "lab"
    return prepare(NoiseCorpus("lab", 6, clips=2), folder, progress=False).folder


def test_one_stimulus_per_class_is_judged_as_far_as_it_can_be(rest_and_task, tmp_path):
    said = []
    settings = {"protocols": ("zero-shot", "few-shot", "leave-one-subject-out"), "corpora": ()}
    records = evaluate(task([rest_and_task], tmp_path / "out", **settings), said.append)
    assert len(records) == 3 and len([line for line in said if "a single stimulus of negative, positive" in line]) == 3
    for record in records:
        assert "class and stimulus are the same thing" in record["protocol"]["design"]
        assert not record["choices"]["stimulus_disjoint"] or record["choices"]["exclude"] == "trial"
        (row,) = record["results"].values()
        assert 0 < row["DE"]["score"]["mean"] < 1
    assert len(read_records([tmp_path / "out"])) == 3


@pytest.mark.parametrize(
    ("protocol", "choice"), [("zero-shot", {"exclude": "stimulus"}), ("few-shot", {"stimulus_disjoint": True})]
)
def test_what_a_design_cannot_give_is_refused_before_anything_is_computed(rest_and_task, tmp_path, protocol, choice):
    asked = task([rest_and_task], tmp_path / "out", protocols=(protocol,), corpora=(), choices=choice)
    with pytest.raises(ConfigurationError, match=f"lab has a single stimulus.*{protocol} cannot have"):
        evaluate(asked, lambda line: None)
    assert not (tmp_path / "out").exists()


def test_a_protocol_without_splits_does_not_cost_the_others(noise_folders, tmp_path):
    said = []
    few = task(noise_folders, tmp_path / "out", protocols=("few-shot", "zero-shot"), choices={"access": "labelled:6"})
    with pytest.raises(ConfigurationError, match="zero-shot cannot have access"):
        evaluate(few, said.append)
    settings = {"protocols": ("leave-one-subject-out", "zero-shot")}
    alone = prepare(NoiseCorpus("alone", 1), tmp_path / "alone", progress=False).folder
    records = evaluate(task([alone], tmp_path / "one", corpora=("alone",), **settings), said.append)
    assert [record["choices"]["name"] for record in records] == ["zero-shot"]
    assert any("leave-one-subject-out is passed over" in line for line in said)
    with pytest.raises(SplitError, match="1 subject cannot be left out"):
        evaluate(task([alone], tmp_path / "two", corpora=("alone",), protocols=settings["protocols"][:1]), said.append)
    assert not (tmp_path / "two").exists()


@pytest.mark.parametrize(
    ("choices", "words"),
    [({"folds": 2}, "no protocol has a choice folds"), ({"smothing": 1}, "Did you mean smoothing")],
)
def test_choices_that_there_are_not_are_named(noise_folders, tmp_path, choices, words):
    with pytest.raises(ConfigurationError, match=words):
        evaluate(task(noise_folders, tmp_path / "out", choices=choices), lambda line: None)


def test_a_record_holds_what_repeating_it_needs(finished):
    records = read_records([finished])
    assert len(records) == 2
    for record in records:
        assert record["corpus"] == "one" and record["data"] == "recorded" and len(record["subjects"]) == 6
        assert record["datasets"][0]["fingerprint"] and record["software"]["torch"] and record["optimistic"] == []
        assert record["encoders"]["DE"]["saw_this_corpus"] == "no"
        (rows,) = record["results"].values()
        assert list(rows) == ["DE", "random weights"] and "p_paired" in rows["random weights"]
        windows = 6 * 8 * 3 if record["choices"]["name"] == "zero-shot" else 4 * 4 * 4 * 3
        assert sum(map(sum, rows["DE"]["confusion"])) == windows  # few-shot: four draws test 4 people on 4 clips
        assert str(finished) not in json.dumps(record)


def test_cards_read_the_records(finished):
    assert len(result_records(finished.parent)) == 2


def test_splits_are_used_again_for_other_models(finished, noise_folders, tmp_path):
    again = task(noise_folders, tmp_path / "again", protocols=("few-shot",), splits=finished / "splits.json")
    again = Evaluation(**{**again.__dict__, "effort": Effort(4, seed=77)})  # another seed would draw others
    (record,) = evaluate(again, lambda text: None)
    first = next(entry for entry in read_records([finished]) if "few-shot" in next(iter(entry["results"])))
    assert record["splits"]["hash"] == first["splits"]["hash"] and comparability(record) == comparability(first)
    assert record["results"]["few-shot, new stimuli"]["DE"]["per_subject"] is not None
    with pytest.raises(SplitError, match="no splits of leave-one-subject-out for one"):
        evaluate(task(noise_folders, tmp_path / "b", protocols=("leave-one-subject-out",), splits=again.splits))


FINE_TUNED = {
    "objective": "fine-tuning (full) to label: negative, positive",
    "datasets": [{"name": "two"}, {"name": "three"}],
}


@pytest.mark.parametrize(
    ("record", "seen"),
    [
        ({"objective": "mdjpt", "datasets": [{"name": "two"}]}, "yes"),
        ({"objective": "mdjpt", "datasets": [{"name": "one"}]}, "no"),
        ({**FINE_TUNED, "labelled_datasets": ["two"]}, "with labels"),
        ({**FINE_TUNED, "labelled_datasets": ["three"]}, "yes"),
        (FINE_TUNED, "with labels"),  # it does not tell: the labels of any may have been used
        ({"objective": "mdjpt", "datasets": [{"name": "unknown"}]}, "not on record"),
        ({"objective": "mdjpt"}, "not on record"),
        (None, "not on record"),
    ],
)
def test_what_a_checkpoint_saw_of_the_corpus_is_on_record(record, seen, checkpoint, noise_folders, tmp_path):
    settings = {"models": (checkpoint("emotions", record),), "corpora": ("two",)}
    (found,) = evaluate(task(noise_folders, tmp_path / "out", **settings), lambda text: None)
    facts = found["encoders"]["emotions"]
    assert facts["saw_this_corpus"] == seen and facts["device"] == "cpu"
    assert facts.get("objective") == (record["objective"] if record and "datasets" in record else None)


def test_a_record_on_the_hub_is_found(monkeypatch, tmp_path):
    path = tmp_path / "downloaded.json"
    path.write_text(json.dumps({**FINE_TUNED, "labelled_datasets": ["two"]}))
    asked = []
    monkeypatch.setattr("mdjpt_hf.data.facts.cached_file", lambda *names: asked.append(names) or str(path))
    record = training_record("user/emotions")
    assert asked == [("user/emotions", "run_record.json")] and labelled_datasets(record) == ["two"]


#: For which the montages differ, unlike for the few channels of the other corpora.
CAP_OF_30 = STANDARD_CHANNELS[::2]


def test_windows_are_made_with_the_montage_of_the_checkpoint(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr("noise_corpora.CHANNELS", CAP_OF_30)
    noise_folders = [prepare(NoiseCorpus("one", 6), tmp_path / "data", progress=False).folder]
    models = [checkpoint(name, montage=name) for name in ("released", "positions")]
    scores = {}
    for model, name in zip(models, ("released", "positions"), strict=True):
        given = task(noise_folders, tmp_path / f"out-{name}", models=("random", "de", model), protocols=("few-shot",))
        (record,) = evaluate(given, lambda text: None)
        assert record["protocol"]["montage"] == name
        scores[name] = record["results"]["few-shot, new stimuli"]
    first, second = ([scores[name][row]["per_subject"] for name in scores] for row in ("random weights", "DE"))
    assert not np.array_equal(*first)  # the same weights, given other windows
    assert np.array_equal(*second)  # differential entropy is that of the channels which were recorded
    random = EncoderSource(reference=models[0])
    assert shared_montage(["random", "de"], random) == "released"
    assert shared_montage(["de"], EncoderSource()) == "positions"
    with pytest.raises(ConfigurationError, match="different montages: .*released released, .*positions") as error:
        evaluate(task(noise_folders, tmp_path / "both", models=tuple(models)), lambda text: None)
    assert "one montage at a time" in str(error.value) and not (tmp_path / "both").exists()


def test_an_extractor_that_cannot_be_read_is_named(checkpoint, tmp_path):
    model = checkpoint("broken")
    (tmp_path / "broken" / "preprocessor_config.json").write_text("{")
    with pytest.raises(CheckpointError, match="preprocessor_config.json that cannot be read"):
        shared_montage([model], EncoderSource())


def test_cross_dataset_tests_every_corpus_by_a_label_they_share(noise_folders, tmp_path):
    everything = {"protocols": ("cross-dataset",), "corpora": (), "label": "valence_class"}
    records = evaluate(task(noise_folders, tmp_path / "cross", **everything), lambda text: None)
    assert [(record["corpus"], len(record["subjects"])) for record in records] == [("one", 6), ("two", 4)]
    with pytest.raises(ConfigurationError, match="a label that corpora share"):
        evaluate(task(noise_folders, tmp_path / "own", **{**everything, "label": "label"}), lambda text: None)


class SimulatedNoise(NoiseCorpus):
    def options(self):
        return {**super().options(), "generator": "noise"}


def test_what_is_tested_says_whether_a_record_is_of_simulated_data(noise_folders, tmp_path):
    made = prepare(SimulatedNoise("made", 4), tmp_path / "made", progress=False).folder
    settings = {"protocols": ("cross-dataset",), "corpora": (), "label": "valence_class"}
    records = evaluate(task([made, noise_folders[0]], tmp_path / "out", **settings), lambda text: None)
    assert [(record["corpus"], record["data"], record["protocol"]["sources"]) for record in records] == [
        ("made", "simulated", "one (recorded)"),
        ("one", "recorded", "made (simulated)"),
    ]


def test_the_machine_is_the_one_that_computed_the_features(monkeypatch, noise_folders, tmp_path):
    monkeypatch.setattr("mdjpt_hf.evaluation.reports.recording.machine_facts", lambda device: {"device": device})
    for devices in (["cpu", "cuda"], ["cpu", "cpu"]):
        encoders = [replace(knowing("subject"), name=f"{n}", facts={"device": d}) for n, d in enumerate(devices)]
        monkeypatch.setattr("mdjpt_hf.evaluation.run.open_encoders", lambda *given, opened=encoders: opened)
        (record,) = evaluate(task(noise_folders, tmp_path / devices[1]), lambda text: None)
        assert record["machine"] == {"device": devices[1]} and "sources" not in record["protocol"]


def test_the_audit_is_written_as_a_table(noise_folders, tmp_path):
    out = tmp_path / "audit"
    evaluate(task(noise_folders, out, leak_audit=True), lambda text: None)
    table = (out / "leak_audit.md").read_text()
    assert table.count("| DE |") == 5 and "same trial in the neighbour set" in table
    assert len(read_records([out])) == 5


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"corpora": ("three",)}, ConfigurationError, "no corpus"),
        ({"label": "emotion"}, CorpusError, "emotion"),
        ({"label": "emotion", "corpora": ()}, CorpusError, "no corpus has emotion"),
        ({"label": "ratings"}, ConfigurationError, "neither classes nor a rating"),
        ({"preset": "hopeful"}, ConfigurationError, "preset"),
        ({"choices": {"luck": 1}}, ConfigurationError, "luck"),
        ({"protocols": ("best-of-ten",)}, ConfigurationError, "unknown protocol"),
        ({"choices": {"neighbours": 0}}, ConfigurationError, "neighbours is 0"),
        ({"models": ("no/such-model",)}, CheckpointError, "no/such-model"),
        ({"models": ("de", "de")}, ConfigurationError, "same name"),
    ],
)
def test_what_cannot_be_evaluated_is_said(settings, error, message, noise_folders, tmp_path):
    with pytest.raises(error, match=message):
        evaluate(task(noise_folders, tmp_path / "out", **settings), lambda text: None)


def test_results_are_not_overwritten(finished, noise_folders):
    with pytest.raises(RecordError, match="already holds results"):
        evaluate(task(noise_folders, finished), lambda text: None)


def test_a_failure_midway_leaves_nothing_and_an_empty_folder_may_exist(noise_folders, tmp_path, monkeypatch):
    out = tmp_path / "out"
    out.mkdir()

    def fail(path, manifests):
        raise OSError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr("mdjpt_hf.evaluation.run.save_manifests", fail)
        with pytest.raises(OSError, match="disk is full"):
            evaluate(task(noise_folders, out), lambda text: None)
    assert list(tmp_path.rglob("*")) == [out]
    evaluate(task(noise_folders, out), lambda text: None)
    assert (out / "splits.json").exists() and list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"leak_audit": True, "preset": "paper"}, "makes its own choices.*Leave out --preset and --set"),
        ({"leak_audit": True, "choices": {"nonsense": 1}}, "makes its own choices"),
        ({"leak_audit": True, "label": "valence"}, "ratings have no classes"),
        ({"label": "valence", "effort": Effort(importance=True)}, "Leave out --importance"),
    ],
)
def test_what_would_be_passed_over_in_silence_is_refused(settings, message, noise_folders, tmp_path):
    with pytest.raises(ConfigurationError, match=message):
        task(noise_folders, tmp_path / "out", **settings)


def test_networks_from_scratch_are_said_to_have_no_importance():
    said = []
    _say_without_importance([], said.append)
    assert not said
    _say_without_importance(["braindecode:EEGNet"], said.append)
    assert said[0].startswith("braindecode:EEGNet: no importance")


@pytest.mark.parametrize(
    ("label", "protocols"),
    [("valence", ("few-shot", "leave-one-subject-out")), ("label", ("zero-shot", "few-shot"))],
)
def test_default_protocols_can_judge_the_target(label, protocols, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr("mdjpt_hf.evaluation.run.evaluate", lambda task, say: asked.append(task.protocols) or [])
    command = ["evaluate", "de", "--data", "data", "--label", label, "--out", str(tmp_path / "out")]
    ended = CliRunner().invoke(app, command)
    assert ended.exit_code == 0, ended.output
    assert asked == [protocols]


def test_a_damaged_record_is_refused_with_what_it_lacks(finished, tmp_path):
    record = read_records([finished])[0]
    del record["splits"]
    with pytest.raises(RecordError, match="splits"):
        check_record(record)
    record = read_records([finished])[0]
    next(iter(record["results"].values()))["DE"]["p_value"] = "small"
    with pytest.raises(RecordError, match=r"\[DE\]\.p_value"):
        check_record(record)
    with pytest.raises(RecordError, match="no record was found"):
        read_records([tmp_path])


def test_without_braindecode_the_cure_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "braindecode", None)
    monkeypatch.setitem(sys.modules, "braindecode.models", None)
    with pytest.raises(ConfigurationError, match=r"mdjpt-hf\[braindecode\]"):
        open_encoders(["braindecode:EEGNet"], EncoderSource())


def test_importance_across_corpora_silences_features_of_the_same_channels(noise_folders, tmp_path):
    """Differential entropy is that of all standard channels where corpora are evaluated together."""
    settings = {"protocols": ("cross-dataset",), "label": "valence_class", "effort": replace(EFFORT, importance=True)}
    (record,) = evaluate(task(noise_folders, tmp_path / "out", **settings), lambda line: None)
    (rows,) = record["results"].values()
    assert len(rows["DE"]["importance"]["electrodes"]) == 9
