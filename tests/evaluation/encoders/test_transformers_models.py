"""Models of transformers that know nothing of this package: what fits is evaluated, what does not is refused."""

import numpy as np
import pytest
import torch
from transformers import (
    BertConfig,
    BertModel,
    PatchTSTConfig,
    PatchTSTModel,
    ViTConfig,
    ViTModel,
    Wav2Vec2Config,
    Wav2Vec2Model,
)
from typer.testing import CliRunner

from mdjpt_hf.cli import app
from mdjpt_hf.errors import ConfigurationError
from mdjpt_hf.evaluation.encoders import EncoderSource, open_encoders, read_pool
from mdjpt_hf.evaluation.protocols import honest, pool_for
from mdjpt_hf.evaluation.reports.records import read_records

SAMPLES = 625


def patchtst(channels=60, samples=SAMPLES):
    sizes = {"d_model": 8, "num_attention_heads": 2, "num_hidden_layers": 1, "ffn_dim": 12}
    config = PatchTSTConfig(
        num_input_channels=channels, context_length=samples, patch_length=125, patch_stride=125, **sizes
    )
    return PatchTSTModel(config)


def wav2vec2():
    sizes = {"hidden_size": 10, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 14}
    convolutions = {"conv_dim": (6, 6), "conv_stride": (10, 5), "conv_kernel": (20, 8), "num_conv_pos_embeddings": 4}
    return Wav2Vec2Model(Wav2Vec2Config(num_conv_pos_embedding_groups=2, **sizes, **convolutions))


@pytest.fixture(scope="module")
def pool(noise_sets):
    return pool_for(noise_sets, "one", honest("zero-shot"), "label", 5.0)[0]


@pytest.fixture
def saved(tmp_path):
    def save(model, name="other"):
        torch.manual_seed(0)
        model.eval().save_pretrained(tmp_path / name)
        return str(tmp_path / name)

    return save


def features(folder, pool):
    (encoder,) = open_encoders([folder], EncoderSource())
    return encoder.features(pool, "recording")


@torch.no_grad()
def test_a_forecaster_sees_all_channels_and_keeps_them_apart(saved, pool):
    model = patchtst()
    found = features(saved(model), pool)
    assert found.shape == (len(pool), 60 * 8)
    window = torch.from_numpy(read_pool(pool, np.array([5])))
    hidden = model(past_values=window.transpose(1, 2)).last_hidden_state  # (1, channels, patches, size)
    np.testing.assert_allclose(found[5].reshape(60, 8), hidden[0].mean(dim=1), atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("make", [lambda: patchtst(channels=1), wav2vec2], ids=["forecaster", "speech"])
def test_a_model_of_one_channel_is_given_each_alone(make, saved, pool):
    model = make()
    found = features(saved(model), pool).reshape(len(pool), 60, -1)
    signal = torch.from_numpy(read_pool(pool, np.array([7])))[0, 3:4]  # one channel of one window
    named = {"past_values": signal[..., None]} if model.main_input_name == "past_values" else {"input_values": signal}
    wanted = model(**named).last_hidden_state.reshape(-1, found.shape[-1]).mean(dim=0)
    np.testing.assert_allclose(found[7, 3], wanted, atol=1e-5)
    assert abs(found[7, 3] - found[7, 4]).max() > 1e-3


def test_it_stands_in_the_table_of_the_command_line(saved, noise_folders, tmp_path):
    folder, out = saved(wav2vec2(), "speech"), tmp_path / "out"
    arguments = ["evaluate", folder, "de", "--data", str(noise_folders[0]), "--protocol", "few-shot"]
    ended = CliRunner().invoke(app, [*arguments, "--permutations", "2", "--out", str(out)])
    assert ended.exit_code == 0, ended.output
    (record,) = read_records([out])
    assert list(record["results"]["few-shot, new stimuli"]) == ["speech", "DE"]
    facts = record["encoders"]["speech"]
    assert facts["kind"] == "Wav2Vec2Model" and facts["weights"] == "pre-trained"
    assert facts["saw_this_corpus"] == "not on record"


SMALL = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 12}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: BertModel(BertConfig(vocab_size=20, **SMALL)), "BertModel .* refuses input_ids of"),
        (lambda: ViTModel(ViTConfig(image_size=16, patch_size=8, **SMALL)), "ViTModel .* refuses pixel_values of"),
        (lambda: patchtst(channels=7), "num_input_channels 7"),
        (lambda: patchtst(samples=512), r"refuses past_values of \(24, 625, 60\)"),
    ],
    ids=["text", "images", "other channels", "other length"],
)
def test_what_does_not_fit_is_refused_with_what_would(make, said, saved, pool):
    with pytest.raises(ConfigurationError, match=said) as refused:
        features(saved(make()), pool)
    assert "context_length 625" in str(refused.value) and "takes such windows" in str(refused.value)
