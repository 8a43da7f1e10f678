"""From a pre-trained encoder to a classifier: targets, subjects, windows, and what each method may change."""

import json
import logging
import shutil

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from mdjpt_hf import MDJPTConfig, MDJPTFeatureExtractor, MDJPTForPreTraining
from mdjpt_hf.data import load_corpus
from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.data.prepare import prepare
from mdjpt_hf.data.targets import Target, find_target
from mdjpt_hf.data_scripts.simulated import SimulatedCorpora
from mdjpt_hf.errors import CardError, CheckpointError, ConfigurationError, CorpusError
from mdjpt_hf.evaluation.encoders import Encoder
from mdjpt_hf.evaluation.protocols import Protocol, Split
from mdjpt_hf.evaluation.readout import Features
from mdjpt_hf.evaluation.reports import plain
from mdjpt_hf.evaluation.scores import Effort, evaluate_pool
from mdjpt_hf.finetuning.scores import PERMUTATIONS, _pool, recording_features, side_score, verdict
from mdjpt_hf.finetuning.train import FinetuneConfig, _load, _weighted_loss, finetune, schedule
from mdjpt_hf.finetuning.windows import LabelledDataset, RecordingSampler, split_subjects
from mdjpt_hf.schema import EMOTIONS, VALENCE_CLASSES
from mdjpt_hf.sharing.cards import gather_facts, model_card

SIZES = {
    "patch_length": 20,
    "patch_stride": 16,
    "hidden_size": 12,
    "num_attention_heads": 3,
    "intermediate_size": 17,
    "feature_size": 5,
    "spatial_channels": 6,
    "filters_per_feature": 2,
    "map_attention_kernel": 4,
    "map_attention_pool": 3,
    "projector_pool": 4,
    "classifier_hidden_sizes": [9, 8],
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """sim-62: three classes of its own; sim-14: ratings."""
    folder = tmp_path_factory.mktemp("data")
    for name in ("sim-62", "sim-14"):
        builder = SimulatedCorpora(corpora=[name], subjects=4, stimuli=3, trial_seconds=20.0)
        prepare(builder, folder / name, progress=False)
    return folder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("encoder")
    MDJPTForPreTraining(MDJPTConfig(**SIZES)).save_pretrained(folder)
    MDJPTFeatureExtractor().save_pretrained(folder)
    return str(folder)


def config(encoder, folder, out, **changes):
    settings = {"data": (str(folder / "sim-62"),), "epochs": 2, "batch_size": 16, "stride_seconds": 5.0, **changes}
    return FinetuneConfig(model=encoder, output_dir=str(out), **settings)


# ---- targets


def test_targets_keep_the_classes_that_occur(data):
    own = open_corpora([data / "sim-62"])
    label = find_target(own, "label")
    assert label.names == own[0].label_names and (label.values[0] == own[0].label).all()
    emotion = find_target(open_corpora([data]), "valence_class")
    assert set(emotion.names) <= set(VALENCE_CLASSES) and len(emotion.values) == 2
    for trials, values in zip(open_corpora([data]), emotion.values, strict=True):
        for raw, value in zip(trials.valence_class, values, strict=True):
            assert (value == -1) if raw == -1 else emotion.names[value] == VALENCE_CLASSES[raw]


def test_ratings_are_those_given(data):
    trials = open_corpora([data / "sim-14"])
    ratings = find_target(trials, "ratings")
    assert ratings.problem_type == "regression" and "valence" in ratings.names
    np.testing.assert_array_equal(ratings.values[0][:, 0], trials[0].ratings[:, 0])
    assert ratings.known(0).all()


@pytest.mark.parametrize(
    ("folders", "target", "error", "message"),
    [
        (["sim-62"], "mood", ConfigurationError, "mood"),
        (["sim-62"], "emotion", CorpusError, "1 known class"),
        (["sim-62", "sim-14"], "label", ConfigurationError, "that differ"),
    ],
)
def test_targets_that_cannot_be_had(data, folders, target, error, message):
    trial_sets = open_corpora([data / name for name in folders])
    if target == "emotion":
        trial_sets[0].emotion[:] = EMOTIONS.index("neutral")
    with pytest.raises(error, match=message):
        find_target(trial_sets, target)


def test_labels_in_words_that_everybody_shares_say_the_emotion(data):
    (trials,) = open_corpora([data / "sim-62"])
    trials.emotion[:], trials.valence_class[:] = -1, -1
    trials.label_names = (" Joy", "fear", "button")
    emotion = find_target([trials], "emotion")
    assert emotion.names == ("fear", "joy") and set(emotion.values[0][trials.label == 2]) == {-1}
    assert [emotion.names[value] for value in emotion.values[0][trials.label == 0]][0] == "joy"
    assert emotion.notes == ("sim-62: emotion is not given, so its labels are taken for it:  Joy as joy, fear as fear",)
    assert find_target([trials], "valence_class").names == ("negative", "positive")
    trials.emotion[trials.label == 0] = EMOTIONS.index("neutral")  # what is given goes before what a label may mean
    assert find_target([trials], "emotion").names == ("neutral", "fear")
    trials.label_names, trials.emotion[:] = ("a", "b", "c"), -1
    with pytest.raises(CorpusError, match="0 known classes.*column emotion.*labels here are a, b, c.*--target label"):
        find_target([trials], "emotion")


# ---- windows


def test_no_subject_is_on_both_sides_and_every_corpus_gives_some():
    subject = np.array([f"{corpus}/s{number}" for corpus in "ab" for number in range(5) for _ in range(3)])
    label = np.tile([0, 1, 2], 10)
    for seed in range(20):
        validates = split_subjects(subject, label, 0.4, seed)
        assert not set(subject[validates]) & set(subject[~validates])
        assert sorted(name[0] for name in set(subject[validates])) == ["a", "a", "b", "b"]
    assert len({split_subjects(subject, label, 0.4, seed).tobytes() for seed in range(20)}) > 5
    with pytest.raises(CorpusError, match="1 subject"):
        split_subjects(np.array(["a/s1", "a/s1"]), np.array([0, 1]), 0.2, 0)


def test_windows_carry_their_recording_and_label(data):
    trial_sets = open_corpora([data / "sim-62"])
    trials = trial_sets[0]
    windows = LabelledDataset(trial_sets, find_target(trial_sets, "label"), 5.0, 5.0)
    assert len(windows) == len(trials) * 4
    item, (_, trial, start) = windows[9], windows.windows[9]
    np.testing.assert_array_equal(item["input_values"], trials.window(trial, start, 625))
    assert item["labels"] == trials.label[trial] and start == 625
    same = windows.recording == windows.recording[9]
    people = {(trials.subject[t], trials.session[t]) for _, t, _ in windows.windows[same]}
    assert people == {(trials.subject[trial], trials.session[trial])}
    np.testing.assert_array_equal(windows.read(np.array([9]))[0], item["input_values"])


def test_the_sampler_keeps_recordings_together_and_loses_nothing():
    recording = np.repeat(np.arange(5), [40, 3, 17, 32, 8])
    sampler = RecordingSampler(recording, 16, 0)
    first = list(sampler)
    assert sorted(first) == list(range(100)) and len(sampler) == 100
    changes = (np.diff(recording[first]) != 0).sum()
    assert changes < 12 and first == list(sampler)
    sampler.set_epoch(1)
    assert list(sampler) != first


def test_rare_classes_weigh_as_much_as_frequent_ones(encoder, data, tmp_path):
    trial_sets = open_corpora([data / "sim-62"])
    windows = LabelledDataset(trial_sets, find_target(trial_sets, "label"), 5.0, 5.0)
    windows.label[:] = 0
    windows.label[:5] = 1
    loss = _weighted_loss(config(encoder, data, tmp_path), windows, np.arange(len(windows)))
    labels = torch.tensor(windows.label)
    logits = torch.zeros(len(labels), 3, requires_grad=True)
    loss({"logits": logits}, labels).backward()
    assert logits.grad[labels == 0, 0].sum() == pytest.approx(float(logits.grad[labels == 1, 1].sum()), rel=1e-4)
    assert _weighted_loss(config(encoder, data, tmp_path, class_weights=False), windows, np.arange(3)) is None


# ---- the methods


@pytest.mark.parametrize("method", ["head", "full", "lora"])
def test_what_a_method_changes(encoder, data, tmp_path, method):
    if method == "lora":
        pytest.importorskip("peft", reason="lora needs the extra [peft]")
    out = finetune(config(encoder, data, tmp_path / "out", method=method))
    before = MDJPTForPreTraining.from_pretrained(encoder).mdjpt.state_dict()
    model = AutoModelForSequenceClassification.from_pretrained(out)
    changed = [name for name, value in model.mdjpt.state_dict().items() if not torch.equal(value, before[name])]
    assert bool(changed) == (method != "head")
    if method == "lora":
        assert all(name.endswith("weight") for name in changed)
    record, result = (json.loads((out / name).read_text()) for name in ("finetune.json", "results/validation.json"))
    assert result["data"] == "simulated" and result["classes"] == list(model.config.id2label.values())
    assert record["training_windows"] == 3 * result["windows"]
    facts = gather_facts(out)
    facts["datasets"] = [entry for entry in facts["datasets"] if entry["name"] != "unknown"]
    card = model_card({**facts, "licence": "apache-2.0"}, "somebody/emotions")
    assert "simulated-data" in card and "validation subjects chose nothing" in card and method in card
    assert (out / "pipeline_mdjpt.py").exists() and (out / "preprocessor_config.json").exists()
    assert not (out / ".training").exists() and not (out / ".saving").exists()


def test_the_score_is_that_of_the_saved_model_on_whole_recordings(encoder, data, tmp_path):
    out = finetune(config(encoder, data, tmp_path / "out"))
    record = json.loads((out / "results" / "validation.json").read_text())
    model, trials = AutoModelForSequenceClassification.from_pretrained(out), open_corpora([data / "sim-62"])[0]
    correct = []
    for person in record["subjects"]:
        own = np.flatnonzero(trials.subject == person.split("/")[1])
        for session in np.unique(trials.session[own]):
            chosen = own[trials.session[own] == session]
            values = np.stack([trials.window(t, s, 625) for t in chosen for s in range(0, 2500, 625)])
            with torch.no_grad():
                features = model.mdjpt(torch.from_numpy(values), torch.zeros(len(values))).pooler_output
                found = model.classifier(features).argmax(-1).numpy()
            correct += (found == np.repeat(trials.label[chosen], 4)).tolist()
    assert record["metrics"]["accuracy"] == pytest.approx(np.mean(correct))


def test_a_base_without_a_record_is_not_passed_off_as_simulated(encoder, data, tmp_path):
    out = finetune(config(encoder, data, tmp_path / "out", epochs=1))
    with pytest.raises(CardError, match="unknown"):
        model_card(gather_facts(out), "somebody/emotions")


def test_the_record_names_every_corpus_whose_labels_were_used(encoder, data, tmp_path):
    first = finetune(config(encoder, data, tmp_path / "first", epochs=1))
    settings = {"epochs": 1, "data": (str(data / "sim-14"),), "target": "ratings"}
    second = finetune(config(str(first), data, tmp_path / "second", **settings))
    named = [json.loads((folder / "run_record.json").read_text())["labelled_datasets"] for folder in (first, second)]
    assert named == [["sim-62"], ["sim-14", "sim-62"]]


def test_windows_are_made_as_the_saved_extractor_makes_them(encoder, data, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(
        "mdjpt_hf.finetuning.train.open_corpora", lambda *given: opened.append(given[1]) or open_corpora(*given)
    )
    released = shutil.copytree(encoder, tmp_path / "released")
    MDJPTFeatureExtractor(montage="released").save_pretrained(released)
    out = finetune(config(str(released), data, tmp_path / "out", epochs=1))
    assert opened == ["released"] == [MDJPTFeatureExtractor.from_pretrained(out).montage]


def test_a_head_for_other_labels_starts_anew(encoder, data, tmp_path):
    first = finetune(config(encoder, data, tmp_path / "first", epochs=1))
    model = _load(config(str(first), data, tmp_path), Target("label", ("a", "b", "c"), []))
    old = AutoModelForSequenceClassification.from_pretrained(first)
    assert not torch.equal(model.classifier[-1].weight, old.classifier[-1].weight)


def test_training_is_told_in_lines_of_the_logger(encoder, data, tmp_path, caplog, capfd):
    with caplog.at_level(logging.INFO, "mdjpt_hf"):
        finetune(config(encoder, data, tmp_path / "out", epochs=0, steps=12))
    lines = [record.getMessage() for record in caplog.records if record.name == "mdjpt_hf"]
    assert lines[-1].startswith("finetune: 12 of 12 steps, loss ")
    assert "'loss'" not in capfd.readouterr().out


def test_ratings_become_a_regression(encoder, data, tmp_path):
    out = finetune(config(encoder, data, tmp_path / "out", data=(str(data / "sim-14"),), target="ratings"))
    model = AutoModelForSequenceClassification.from_pretrained(out)
    assert model.config.problem_type == "regression" and model.config.id2label[0] == "valence"
    record = json.loads((out / "results" / "validation.json").read_text())
    assert 0 < record["metrics"]["mean_absolute_error"]["valence"] < 1
    facts = gather_facts(out)
    facts["datasets"] = [entry for entry in facts["datasets"] if entry["name"] != "unknown"]
    card = model_card({**facts, "licence": "apache-2.0"}, "somebody/ratings")
    assert "mean absolute error" in card and "None are on record" not in card


def test_what_cannot_work_is_refused(encoder, data, tmp_path):
    for changes, message in (
        ({"method": "prompt"}, "prompt"),
        ({"validation_share": 1.5}, "1.5"),
        ({"data": ()}, "no data"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            config(encoder, data, tmp_path, **changes)
    with pytest.raises(CheckpointError, match="already holds a model"):
        finetune(config(encoder, data, encoder))


@pytest.mark.parametrize("share", [1, 2])
def test_a_copy_of_a_corpus_under_another_name_is_refused(encoder, data, tmp_path, share):
    """Also of every other trial alone, whose recordings have other scales."""
    rows = load_corpus(str(data / "sim-62"))
    rows = rows.select(range(0, len(rows), share))
    copy = rows.map(lambda row: {**row, "dataset": "copy"}, features=rows.features)
    with pytest.raises(CorpusError, match="sim-62 and copy have 8 recordings in common"):
        finetune(config(encoder, data, tmp_path / "out", data=(str(data / "sim-62"), copy)))


@pytest.mark.parametrize("method", ["full", "lora"])
def test_ratings_train_the_encoder_too(encoder, data, tmp_path, method):
    if method == "lora":
        pytest.importorskip("peft", reason="lora needs the extra [peft]")
    settings = {"data": (str(data / "sim-14"),), "target": "ratings", "epochs": 1, "stride_seconds": 10.0}
    out = finetune(config(encoder, data, tmp_path / "out", method=method, **settings))
    before = MDJPTForPreTraining.from_pretrained(encoder).mdjpt.state_dict()
    model = AutoModelForSequenceClassification.from_pretrained(out)
    assert model.config.problem_type == "regression" and len(model.config.id2label) == 2
    assert any(not torch.equal(value, before[name]) for name, value in model.mdjpt.state_dict().items())


def test_validation_subjects_end_training_and_choose_the_epoch(encoder, data, tmp_path, monkeypatch):
    """The first look is said to be the best: two more are taken, and its weights are what is kept."""
    asked, heads = [], []

    def worse_every_time(predicted):
        asked.append(len(predicted.label_ids))
        heads.append(np.array(predicted.predictions))
        return {"selection": -float(len(asked))}

    monkeypatch.setattr("mdjpt_hf.finetuning.train._selection", worse_every_time)
    out = finetune(
        config(encoder, data, tmp_path / "out", epochs=80, patience=2, evaluation_steps=4, validation_share=0.75)
    )
    assert len(asked) == 3
    record = json.loads((out / "finetune.json").read_text())
    result = json.loads((out / "results" / "validation.json").read_text())
    assert asked == [result["windows"]] * 3  # nobody who trains is asked
    assert json.loads((out / "run_record.json").read_text())["steps"] == 3 * 4
    assert (
        record["training"]["windows"] == record["training_windows"] and "optimistic" in result["protocol"]["checkpoint"]
    )
    trial_sets = open_corpora([data / "sim-62"])
    windows = LabelledDataset(trial_sets, find_target(trial_sets, "label"), 5.0, 5.0)
    validates = np.flatnonzero(split_subjects(windows.subject, windows.label, 0.75, 0))
    model = AutoModelForSequenceClassification.from_pretrained(out).eval()
    with torch.no_grad():
        kept = model.classifier(recording_features(model, windows, validates)).numpy()
    np.testing.assert_allclose(kept, heads[0], atol=1e-5)
    assert abs(kept - heads[2]).max() > 1e-4


def test_one_person_chooses_nothing_and_has_no_interval(encoder, data, tmp_path):
    out = finetune(config(encoder, data, tmp_path / "out", epochs=0, steps=7, batch_size=8))
    record, result = (json.loads((out / name).read_text()) for name in ("finetune.json", "results/validation.json"))
    assert json.loads((out / "run_record.json").read_text())["steps"] == 7
    assert record["validation"]["subjects"] == 1 and set(record["validation"]["score"]) == {"mean"}
    assert result["results"] == {} and set(result["metrics"]) == {"accuracy", "balanced_accuracy"}
    assert "chose nothing" in result["protocol"]["checkpoint"] and "no interval" in " ".join(record["verdict"])
    facts = gather_facts(out)
    facts["datasets"] = [entry for entry in facts["datasets"] if entry["name"] != "unknown"]
    card = model_card({**facts, "licence": "apache-2.0"}, "somebody/emotions")
    assert f"{result['metrics']['balanced_accuracy']:.3f}" in card
    assert result["protocol"]["stimuli"].startswith("3 of 3 were trained on as well")
    assert "one_stimulus: a single stimulus has" in card and "**⚠ a single stimulus has" in card


def test_what_the_encoder_met_elsewhere_is_on_record(encoder, data, tmp_path):
    before = shutil.copytree(encoder, tmp_path / "before")
    datasets = [{"name": "copy", "stimulus_set": "sim-62"}, {"name": "sim-14", "stimulus_set": ""}]
    (before / "run_record.json").write_text(json.dumps({"objective": "mdjpt", "datasets": datasets}))
    out = finetune(config(str(before), data, tmp_path / "out", epochs=0, steps=1, batch_size=8))
    result = json.loads((out / "results" / "validation.json").read_text())
    assert result["protocol"]["encoder"].startswith("sim-62: pre-trained on THE SAME STIMULI in copy")
    verdict = json.loads((out / "finetune.json").read_text())["verdict"]
    assert verdict[-1].startswith("encoder: sim-62: pre-trained on THE SAME STIMULI")


# ---- how long, and who is asked


@pytest.mark.parametrize(
    ("changes", "windows", "wanted"),
    [
        ({}, 60, (300, 25)),
        ({}, 60_000, (8 * 938, 938)),
        ({"epochs": 3}, 60, (3, 3)),
        ({"steps": 10}, 60_000, (10, 10)),
        ({"steps": 100, "evaluation_steps": 20}, 60, (100, 20)),
    ],
)
def test_small_corpora_get_steps_enough_and_wishes_are_followed(changes, windows, wanted):
    assert schedule(FinetuneConfig("m", ("d",), "o", **changes), windows) == wanted


@pytest.mark.parametrize(
    "changes",
    [
        *({"epochs": 2, "steps": 2}, {"steps": -1}, {"patience": 0}, {"batch_size": 0}, {"lora_rank": 0}),
        *({"learning_rate": float("nan")}, {"learning_rate": -1.0}, {"weight_decay": float("inf")}),
        *({"stride_seconds": 0.0}, {"stride_seconds": float("nan")}, {"windows_together": 0}),
    ],
)
def test_lengths_that_mean_nothing_are_refused(changes):
    with pytest.raises(ConfigurationError, match=next(iter(changes))):
        FinetuneConfig("m", ("d",), "o", **changes)


def test_both_sides_of_a_split_hold_the_classes():
    """Only s0 has class 2, and s1 to s3 have class 0 alone: whoever is drawn, training must have all."""
    subject = np.repeat([f"a/s{number}" for number in range(6)], 3)
    label = np.array([0, 1, 2, *[0] * 9, 0, 1, 1, 1, 0, 0])
    for seed in range(30):
        validates = split_subjects(subject, label, 0.2, seed)
        assert set(label[~validates]) == {0, 1, 2} and set(label[validates]) == {0, 1}
    patients = np.repeat([0, 1], 9)  # each person has one class
    for seed in range(30):
        validates = split_subjects(subject, patients, 0.34, seed)
        assert set(patients[~validates]) == set(patients[validates]) == {0, 1}
    with pytest.raises(CorpusError, match="one class alone"):
        split_subjects(subject, patients, 0.1, 0)
    with pytest.raises(CorpusError, match="would not be trained"):
        split_subjects(np.array(["a/s1", "a/s2"]), np.array([0, 1]), 0.5, 0)


# ---- what is said of it


@pytest.fixture(scope="module")
def judged(encoder, data):
    """A classifier, labelled windows, and all their numbers."""
    trial_sets = open_corpora([data / "sim-62"])
    windows = LabelledDataset(trial_sets, find_target(trial_sets, "label"), 5.0, 5.0)
    model = _load(config(encoder, data, "unused"), windows.target)
    return model, windows, np.arange(len(windows))


def test_a_coin_is_called_one(judged, monkeypatch):
    model, windows, chosen = judged
    coin = np.random.default_rng(0).normal(size=(len(windows), 3))
    monkeypatch.setattr("mdjpt_hf.finetuning.scores._answers", lambda *given: coin)
    score = side_score(model, windows, chosen)
    assert not score["above_chance"] and score["chance"]["low"] <= score["score"]["mean"] <= score["chance"]["high"]
    lines = verdict(score, score, "the last step")
    assert "NO BETTER THAN GUESSING" in lines[-1] and "negative 33%" in " ".join(lines)


def test_who_knows_the_labels_is_not(judged, monkeypatch):
    model, windows, chosen = judged
    monkeypatch.setattr("mdjpt_hf.finetuning.scores._answers", lambda *given: np.eye(3)[windows.label])
    score = side_score(model, windows, chosen)
    assert score["metrics"]["balanced_accuracy"] == 1 and score["score"]["mean"] == 1
    # Three stimuli of three classes: subjects are dealt apart, and it is said what that cannot tell.
    assert score["above_chance"] and score["chance"]["high"] < 1
    assert score["classes_of_one_stimulus"] == ["negative", "neutral", "positive"]
    assert "what is recognised may be the stimulus" in verdict(score, score, "")[-1]
    monkeypatch.setattr(windows, "stimulus", np.array([f"clip {number}" for number in windows.trial]))
    again = side_score(model, windows, chosen)
    assert again["above_chance"] and "GUESSING" not in " ".join(verdict(again, again, ""))
    assert "stimulus" not in " ".join(verdict(again, again, ""))
    assert again["classes"] == {"negative": 32, "neutral": 32, "positive": 32}


def test_a_classifier_learns_what_can_be_learnt(encoder, data, tmp_path, monkeypatch):
    """Features in thousandths, as pooled maps are, that say the label: a head that saw them unscaled would not move."""
    out = tmp_path / "out"

    def spoken(model, windows, chosen):
        noise = np.random.default_rng(0).normal(size=(len(windows), model.config.pooled_size))
        noise[:, :3] += 4 * np.eye(3)[windows.label]
        return torch.tensor(0.004 + 0.001 * noise[chosen], dtype=torch.float32)

    for module in ("scores", "train"):
        monkeypatch.setattr(f"mdjpt_hf.finetuning.{module}.recording_features", spoken)
    finetune(config(encoder, data, out, epochs=0, stride_seconds=5.0, learning_rate=2e-3))
    record = json.loads((out / "finetune.json").read_text())
    assert record["training"]["score"]["mean"] > 0.95 and record["validation"]["score"]["mean"] > 0.8


def test_the_same_answers_have_the_same_score_by_every_door(judged, monkeypatch):
    """What `finetune` says of a classifier is what an evaluation says of it on the same people, its null included."""
    model, windows, _ = judged
    monkeypatch.setattr(windows, "stimulus", np.array([f"clip {place % 4}" for place in windows.trial]))
    logits = np.random.default_rng(3).normal(size=(len(windows), 3)) + np.eye(3)[windows.label]
    monkeypatch.setattr("mdjpt_hf.finetuning.scores._answers", lambda model, windows, chosen: logits[chosen])
    people = np.unique(windows.subject)
    tested = np.isin(windows.subject, people[:3])
    told = side_score(model, windows, np.flatnonzero(tested))

    pool = _pool(windows, np.arange(len(windows)), windows.label)
    known = Encoder("classifier", {}, fit=lambda pool: lambda train, label, asked, seed: logits[None, asked])
    protocol = Protocol("leave-one-subject-out", stimulus_disjoint=False, validation=0.0)
    split = Split("seen", tuple(people[3:]), (), tuple(people[:3]))
    work = Effort(scratch_permutations=PERMUTATIONS)
    entry = plain(evaluate_pool(Features(pool), [known], protocol, [split], work)["classifier"])
    assert told["score"] == entry["score"] and told["chance"] == entry["null"]
    assert told["per_subject"] == entry["per_subject"]
    assert 0.34 < told["score"]["mean"] < 1 and told["chance"]["low"] < told["chance"]["high"]


def test_ratings_are_judged_by_the_engine(judged, monkeypatch):
    model, windows, chosen = judged
    wanted = np.random.default_rng(1).uniform(size=(len(windows), 2))
    wanted = wanted[windows.trial]  # a report for each trial
    wanted[:, 1] = 0.5
    wanted[windows.subject == windows.subject[0], 0] = np.nan
    monkeypatch.setattr(windows, "label", wanted)
    monkeypatch.setattr(windows, "stimulus", np.array([f"clip {number}" for number in windows.trial]))
    monkeypatch.setattr(windows, "target", Target("ratings", ("valence", "arousal"), []))
    for answers, good in ((np.nan_to_num(wanted), True), (np.full_like(wanted, 0.5), False)):
        monkeypatch.setattr("mdjpt_hf.finetuning.scores._answers", lambda *given, answers=answers: answers)
        told = side_score(model, windows, chosen)
        assert told["above_chance"] == good and set(told["ratings"]) == {"valence"}  # nobody's arousal varies
        assert told["ratings"]["valence"]["score"]["mean"] == pytest.approx(1.0 if good else 0.0)
        assert "concordance of valence" in verdict(told, told, "")[0]
        json.dumps(told, allow_nan=False)
