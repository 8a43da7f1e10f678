"""Weights in half precision: every documented way to encode works, and stays near what float32 gives."""

import numpy as np
import pytest
import torch

from mdjpt_hf import (
    EEGEmotionPipeline,
    MaskedEEGConfig,
    MaskedEEGForSequenceClassification,
    MDJPTConfig,
    MDJPTFeatureExtractor,
    MDJPTForSequenceClassification,
)
from mdjpt_hf.streaming import StreamingEncoder

NAMES = ["Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2"]
LABELS = {"id2label": {0: "low", 1: "high"}}
SIGNAL = np.random.default_rng(0).normal(0, 20, (len(NAMES), 11 * 250))
SMALL = {"hidden_size": 8, "num_attention_heads": 2, "feature_size": 4, "spatial_channels": 6}
FAMILIES = {
    "mdjpt": (MDJPTConfig, MDJPTForSequenceClassification, SMALL),
    "mdjpt, window": (MDJPTConfig, MDJPTForSequenceClassification, {**SMALL, "group_mode": "window"}),
    "mdjpt, released": (MDJPTConfig, MDJPTForSequenceClassification, {**SMALL, "block": "released"}),
    "masked": (MaskedEEGConfig, MaskedEEGForSequenceClassification, {}),
}


def inputs():
    return MDJPTFeatureExtractor()(SIGNAL, ch_names=NAMES, sampling_rate=250, return_tensors="pt")


def encode_forward(model):
    return model.base_model(**inputs()).pooler_output


def encode_classifier(model):
    return model(**inputs()).logits


def encode_recording(model):
    return model.base_model.encode_recording(inputs()["input_values"])


def encode_recording_in_parts(model):
    return model.base_model.encode_recording(inputs()["input_values"], batch_size=2)


def encode_tokens(model):
    return model.base_model.token_states(inputs()["input_values"])


def run_pipeline(model, **options):
    recognise = EEGEmotionPipeline(model=model, feature_extractor=MDJPTFeatureExtractor())
    found = recognise(SIGNAL, ch_names=NAMES, sampling_rate=250, **options)
    return torch.tensor([[{s["label"]: s["score"] for s in w["scores"]}["high"]] for w in found["windows"]])


def smooth_pipeline(model):
    return run_pipeline(model, smoothing="causal", batch_size=3)


def stream(model):
    windows = StreamingEncoder(model, MDJPTFeatureExtractor(), NAMES, 250).push(SIGNAL)
    return torch.from_numpy(np.stack([np.concatenate([window.features, window.logits]) for window in windows]))


def stream_normalised(model):
    size = model.config.pooled_size if hasattr(model.config, "pooled_size") else 2 * model.config.hidden_size
    prior = {"prior_mean": np.zeros(size), "prior_variance": np.ones(size)}
    (window, *_) = StreamingEncoder(model, MDJPTFeatureExtractor(), NAMES, 250, **prior).push(SIGNAL)
    return torch.from_numpy(window.features)


WAYS = (
    encode_forward,
    encode_classifier,
    encode_recording,
    encode_recording_in_parts,
    encode_tokens,
    run_pipeline,
    smooth_pipeline,
    stream,
    stream_normalised,
)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@torch.no_grad()
def test_every_way_to_encode_works_in_half_precision(family, dtype):
    config, kind, options = FAMILIES[family]
    torch.manual_seed(0)
    model = kind(config.preset("tiny", **LABELS, **options)).eval()
    wanted = {way: way(model).float() for way in WAYS}
    model = model.to(dtype)
    for way in WAYS:
        found = way(model).float()
        assert found.shape == wanted[way].shape and found.isfinite().all(), way.__name__
        error = (found - wanted[way]).norm() / wanted[way].norm()
        assert error < (0.1 if dtype == torch.bfloat16 else 0.02), (way.__name__, float(error))


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_double_precision_and_windows_in_half_are_taken_as_well(family):
    config, kind, options = FAMILIES[family]
    torch.manual_seed(0)
    model = kind(config.preset("tiny", **LABELS, **options)).eval()
    windows = inputs()["input_values"]
    wanted = model(windows).logits
    torch.testing.assert_close(model(windows.half()).logits, wanted, atol=0.02, rtol=0.02)
    torch.testing.assert_close(model.double()(windows).logits.float(), wanted, atol=1e-4, rtol=1e-3)
