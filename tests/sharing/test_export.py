"""The same numbers from a file that needs no PyTorch."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from mdjpt_hf.cli import app
from mdjpt_hf.errors import CheckpointError, ConfigurationError, MDJPTError, SignalError
from mdjpt_hf.inference.onnx_model import OnnxModel
from mdjpt_hf.modeling.configuration_masked_eeg import MaskedEEGConfig
from mdjpt_hf.modeling.configuration_mdjpt import MDJPTConfig
from mdjpt_hf.modeling.modeling_masked_eeg import MaskedEEGModel
from mdjpt_hf.modeling.modeling_mdjpt import MDJPTForSequenceClassification, MDJPTModel
from mdjpt_hf.sharing import export
from mdjpt_hf.sharing.export import export_onnx

onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra [onnx]")
SIZES = {"hidden_size": 8, "num_attention_heads": 2}


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    torch.manual_seed(0)
    names = {"id2label": {0: "low", 1: "high"}, "label2id": {"low": 0, "high": 1}}
    folder = tmp_path_factory.mktemp("classifier")
    config = MDJPTConfig.preset("tiny", feature_size=4, spatial_channels=6, **SIZES, **names)
    MDJPTForSequenceClassification(config).save_pretrained(folder)
    return folder


@torch.no_grad()
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["classifier", "masked encoder"])
def test_any_number_and_length_of_windows_gives_what_torch_gives(classifier, tmp_path, kind):
    if kind == "classifier":
        folder, output = classifier, "logits"
        model = MDJPTForSequenceClassification.from_pretrained(folder).eval()
        ran = CliRunner().invoke(app, ["export", str(folder), "--onnx", str(tmp_path / "model.onnx")])
        assert ran.exit_code == 0 and "differs from PyTorch by" in ran.output
    else:
        folder, output = tmp_path / "encoder", "pooler_output"
        model = MaskedEEGModel(MaskedEEGConfig.preset("tiny", hidden_size=16, num_attention_heads=2)).eval()
        model.save_pretrained(folder)
        export_onnx(str(folder), tmp_path / "model.onnx")
    opened = OnnxModel(tmp_path / "model.onnx", threads=1)
    assert opened.labels == (list(model.config.id2label.values()) if kind == "classifier" else [])
    np.testing.assert_allclose(opened(np.ones((2, 60, 625))), model(torch.ones(2, 60, 625))[output], atol=1e-4)
    for refused in (torch.zeros(0, 60, 625), torch.zeros(1, 59, 625), torch.zeros(1, 60, 124), torch.zeros(60, 625)):
        if len(refused) or kind == "classifier":  # the masked network answers nothing with nothing
            with pytest.raises(SignalError):
                model(refused)
        with pytest.raises(SignalError):
            opened(refused.numpy())
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    assert [entry.name for entry in session.get_outputs()] == [output]
    assert session.get_inputs()[0].shape == ["batch", 60, "samples"]
    for count, samples in ((1, 625), (4, 625), (2, 300), (7, 1250)):
        windows = torch.randn(count, 60, samples)
        (found,) = session.run(None, {"input_values": windows.numpy()})
        np.testing.assert_allclose(found, model(windows)[output].numpy(), atol=1e-4)
    facts = session.get_modelmeta().custom_metadata_map
    assert facts["sampling_rate"] == "125" and ("high" in facts["labels"]) is (kind == "classifier")
    assert sorted(path.name for path in tmp_path.glob("*.onnx*")) == ["model.onnx"]


def test_a_file_that_no_export_wrote_is_told(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"onnx")
    for path in (tmp_path / "model.onnx", tmp_path / "missing.onnx"):
        with pytest.raises(CheckpointError, match="is no whole file of mdjpt export"):
            OnnxModel(path)


def test_a_file_is_opened_without_torch():
    code = "import sys; from mdjpt_hf.inference.onnx_model import OnnxModel; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "False\n"


@torch.no_grad()
@pytest.mark.slow
def test_a_whole_recording_is_normalised_as_predict_does(classifier, tmp_path):
    model = MDJPTForSequenceClassification.from_pretrained(classifier).eval()
    path = tmp_path / "model.onnx"
    ran = CliRunner().invoke(app, ["export", str(classifier), "--onnx", str(path), "--whole-recording"])
    assert ran.exit_code == 0 and "as `mdjpt predict` does" in ran.output
    session = onnxruntime.InferenceSession(str(path))
    assert "normalised together" in session.get_modelmeta().custom_metadata_map["input"]
    for count, samples in ((1, 625), (9, 625), (4, 300)):
        windows = torch.randn(count, 60, samples) * torch.rand(count, 1, 1)
        (found,) = session.run(None, {"input_values": windows.numpy()})
        wanted = model.classifier(model.base_model.encode_recording(windows)).numpy()
        np.testing.assert_allclose(found, wanted, atol=1e-4)
        if count > 1:
            assert np.abs(found - model(windows).logits.numpy()).max() > 1e-4
    with pytest.raises(SignalError, match="at least 125 samples"):
        model(torch.randn(2, 60, 124))
    with pytest.raises(Exception, match="out of data bounds"):  # noqa: B017 - onnxruntime has classes of its own
        session.run(None, {"input_values": np.zeros((2, 60, 124), np.float32)})


def test_what_a_file_normalises_over_is_said():
    config = MDJPTConfig.preset("tiny")
    assert "give other numbers" in export._normalisation(config, False)
    assert "as `mdjpt predict` does" in export._normalisation(config, True)
    assert (
        export._normalisation(MDJPTConfig.preset("tiny", group_mode="window"), False)
        == "every window is normalised by itself"
    )
    assert "give other numbers" in export._facts(config, False)["input"]


@pytest.mark.slow
def test_a_file_with_other_numbers_is_not_left_behind(classifier, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "TOLERANCE", -1.0)
    with pytest.raises(MDJPTError, match="differs from PyTorch by"):
        export_onnx(str(classifier), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_an_encoder_is_not_exported_with_a_head_that_guesses(tmp_path):
    MDJPTModel(MDJPTConfig.preset("tiny", feature_size=4, **SIZES)).save_pretrained(tmp_path)
    assert export._open(str(tmp_path), False)[1] == "pooler_output"
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        export_onnx(str(tmp_path / "nothing"), tmp_path / "model.onnx")
