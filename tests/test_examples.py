"""The scripts that users copy: short, and run as they are."""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, pipeline

from mdjpt_hf import MDJPTConfig, MDJPTFeatureExtractor, MDJPTForPreTraining
from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.data.prepare import prepare
from mdjpt_hf.data_scripts.simulated import SimulatedCorpora
from mdjpt_hf.finetuning.windows import split_subjects

SCRIPT = Path(__file__).parents[1] / "examples" / "finetune_trainer.py"
SIZES = {"hidden_size": 8, "feature_size": 4, "spatial_channels": 6, "intermediate_size": 12}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """sim-62: three classes, one of them rare; sim-14: ratings."""
    folder = tmp_path_factory.mktemp("data")
    for name in ("sim-62", "sim-14"):
        builder = SimulatedCorpora(corpora=[name], subjects=5, stimuli=4, trial_seconds=10.0)
        prepare(builder, folder / name, progress=False)
    return folder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("encoder")
    MDJPTForPreTraining(MDJPTConfig.preset("tiny", **SIZES)).save_pretrained(folder)
    MDJPTFeatureExtractor().save_pretrained(folder)
    return str(folder)


@pytest.fixture
def run(monkeypatch, encoder, tmp_path):
    """Runs the script in this process; returns its names, and the folder it wrote."""

    def start(*options):
        out = tmp_path / "out"
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), encoder, "--out", str(out), "--epochs", "2", *map(str, options)])
        return runpy.run_path(str(SCRIPT), run_name="__main__"), out

    return start


def changed(out, encoder):
    before = MDJPTForPreTraining.from_pretrained(encoder).mdjpt.state_dict()
    after = AutoModelForSequenceClassification.from_pretrained(out).mdjpt.state_dict()
    assert set(before) == set(after)
    return [name for name in before if not torch.equal(before[name], after[name])]


def test_it_fits_on_a_screen_or_two():
    assert len(SCRIPT.read_text().splitlines()) < 80


@pytest.mark.slow
@pytest.mark.parametrize("method", ["full", "head", "lora"])
def test_each_method_changes_what_it_says_and_saves_a_classifier(run, data, encoder, method):
    if method == "lora":
        pytest.importorskip("peft", reason="lora needs the extra [peft]")
    names, out = run("--data", data / "sim-62", "--method", method)
    weights = changed(out, encoder)
    assert bool(weights) == (method != "head")
    if method == "lora":
        assert all(name.endswith("weight") for name in weights)
    scores = json.loads((out / "eval_results.json").read_text())
    assert 0 <= scores["eval_balanced_accuracy"] <= 1 and "eval_auroc" in scores
    (trials,) = open_corpora([data / "sim-62"])
    model = AutoModelForSequenceClassification.from_pretrained(out)
    assert tuple(model.config.id2label.values()) == trials.label_names
    recognise = pipeline("eeg-emotion-recognition", model=str(out), trust_remote_code=True)
    noise = np.random.default_rng(0).normal(0, 20, (4, 2000))
    found = recognise(noise, ch_names=["Fp1", "Fp2", "O1", "O2"], sampling_rate=200, unit="uV")
    assert found["label"] in trials.label_names


@pytest.mark.slow
def test_validation_subjects_never_train_and_stop_the_training(run, data):
    names, _ = run("--data", data / "sim-62", "--method", "head", "--epochs", "400")
    windows, trainer = names["windows"], names["trainer"]
    people = [set(windows.subject[part.indices]) for part in (names["training"], names["validation"])]
    assert not people[0] & people[1] and len(people[1]) == 1
    wanted = split_subjects(windows.subject, windows.label, 0.2, 0)
    assert (windows.subject[wanted] == next(iter(people[1]))).all()
    history = [
        entry["eval_balanced_accuracy"] for entry in trainer.state.log_history if "eval_balanced_accuracy" in entry
    ]
    looks = history[:-1]  # the last one is said after the training
    assert trainer.state.global_step < trainer.args.max_steps, "nothing ended the training"
    best = looks.index(max(looks))
    assert len(looks) == best + 1 + 5 and history[-1] == pytest.approx(max(looks))


@pytest.mark.slow
def test_rare_classes_weigh_as_much_and_ratings_are_a_regression(run, data):
    names, _ = run("--data", data / "sim-62", "--method", "head", "--epochs", "1")
    windows, train = names["windows"], names["training"].indices
    label = torch.tensor(windows.label[train])
    logits = torch.zeros(len(label), 3, requires_grad=True)
    names["weighted_loss"]({"logits": logits}, label).backward()
    pull = [float(logits.grad[label == value, value].sum()) for value in range(3)]
    assert pull == pytest.approx([pull[0]] * 3, rel=1e-4) and pull[0] < 0
    names, out = run("--data", data / "sim-14", "--target", "ratings")
    model = AutoModelForSequenceClassification.from_pretrained(out)
    assert model.config.problem_type == "regression" and {"valence", "arousal"} <= set(model.config.label2id)
    assert 0 < json.loads((out / "eval_results.json").read_text())["eval_mean_absolute_error"] < 1
