"""Weights that a checkpoint lacks: told where they should be there, quiet where they should not."""

import json
import logging
import shutil

import pytest
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForSequenceClassification

from mdjpt_hf import (
    MaskedEEGConfig,
    MaskedEEGForPreTraining,
    MaskedEEGForSequenceClassification,
    MDJPTConfig,
    MDJPTForPreTraining,
    MDJPTForSequenceClassification,
)

FAMILIES = {
    "mdjpt": (MDJPTForSequenceClassification, MDJPTForPreTraining, MDJPTConfig, "dynamics"),
    "masked_eeg": (MaskedEEGForSequenceClassification, MaskedEEGForPreTraining, MaskedEEGConfig, "layers.0"),
}


def without(folder, prefix):
    """The same checkpoint without the weights whose names begin so."""
    path = folder / "model.safetensors"
    weights = load_file(path)
    kept = {name: value for name, value in weights.items() if not name.startswith(prefix)}
    assert 0 < len(kept) < len(weights)
    save_file(kept, path, {"format": "pt"})


@pytest.fixture(params=FAMILIES)
def family(request, tmp_path):
    classifier, pretraining, config, part = FAMILIES[request.param]
    classifier(config.preset("tiny", num_labels=3)).save_pretrained(tmp_path / "classifier")
    pretraining(config.preset("tiny")).save_pretrained(tmp_path / "pretraining")
    return request.param, classifier, part, tmp_path


def test_an_encoder_that_is_partly_random_says_so(family):
    name, classifier, part, folder = family
    without(folder / "classifier", f"{name}.{part}")
    for opener in (classifier, AutoModelForSequenceClassification, AutoModel):
        with pytest.warns(UserWarning, match=rf"lacks \d+ of \d+ weights of the encoder.*at random: \S*{part}") as told:
            opener.from_pretrained(folder / "classifier")
        assert len(told) == 1


def test_weights_of_something_else_are_told_as_well(family):
    name, classifier, _, folder = family
    path = folder / "classifier" / "model.safetensors"
    weights = {f"model.{key}": value for key, value in load_file(path).items()}
    save_file(weights, path, {"format": "pt"})
    with pytest.warns(UserWarning, match="weights of the encoder"):
        classifier.from_pretrained(folder / "classifier")


def test_half_a_head_is_told_and_a_new_one_is_not(family, caplog):
    name, classifier, _, folder = family
    shutil.copytree(folder / "classifier", folder / "half")
    without(folder / "half", "classifier.0.")
    with pytest.warns(UserWarning, match=r"lacks 2 of 6 weights of the head.*classifier\.0\.bias"):
        classifier.from_pretrained(folder / "half")
    caplog.clear()
    logging.getLogger("transformers").addHandler(caplog.handler)
    try:
        _, info = classifier.from_pretrained(folder / "pretraining", output_loading_info=True)
    finally:
        logging.getLogger("transformers").removeHandler(caplog.handler)
    assert info["missing_keys"] and all(key.startswith("classifier.") for key in info["missing_keys"])
    assert "LOAD REPORT" not in caplog.text and "not initialized" not in caplog.text


def test_what_transformers_says_of_other_faults_is_kept(family, caplog):
    _, classifier, _, folder = family
    config = json.loads((folder / "classifier" / "config.json").read_text())
    config["classifier_hidden_sizes"] = [32]
    (folder / "classifier" / "config.json").write_text(json.dumps(config))
    logging.getLogger("transformers").addHandler(caplog.handler)
    try:
        with pytest.raises(RuntimeError):
            classifier.from_pretrained(folder / "classifier")
    finally:
        logging.getLogger("transformers").removeHandler(caplog.handler)
    assert "MISMATCH" in caplog.text and "classifier.{0, 3}.weight" in caplog.text
