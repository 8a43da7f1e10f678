"""Models are called by the last part of their address, in every table, record and page."""

import pytest

from mdjpt_hf import MDJPTConfig, MDJPTModel
from mdjpt_hf.evaluation.encoders import EncoderSource, open_encoders
from mdjpt_hf.runtime.naming import model_name


@pytest.mark.parametrize(
    "address, name", [("user/model", "model"), ("runs/demo/", "demo"), (".", "here"), ("in/..", "here")]
)
def test_the_last_part_is_the_name(tmp_path, monkeypatch, address, name):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert model_name(address) == name


def test_the_present_folder_is_no_encoder_without_a_name(tmp_path, monkeypatch):
    MDJPTModel(MDJPTConfig.preset("tiny")).save_pretrained(tmp_path / "mine")
    monkeypatch.chdir(tmp_path / "mine")
    given, random = open_encoders([".", "random"], EncoderSource(reference="."))
    assert given.name == "mine" and random.facts["origin"] == "mine"
