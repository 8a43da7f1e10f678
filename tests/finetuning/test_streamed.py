"""Classifiers for live use: trained, scored and used on windows from the past alone."""

import json
import logging

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from mdjpt_hf import MDJPTConfig, MDJPTFeatureExtractor, MDJPTForPreTraining
from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.data.prepare import prepare
from mdjpt_hf.data_scripts.simulated import SimulatedCorpora
from mdjpt_hf.errors import SignalError
from mdjpt_hf.finetuning.train import FinetuneConfig, finetune
from mdjpt_hf.modeling.pipeline_mdjpt import EEGEmotionPipeline
from mdjpt_hf.modeling.smoothing_mdjpt import online_normalise, running_mean
from mdjpt_hf.sharing.cards import gather_facts, model_card
from mdjpt_hf.streaming import StreamingEncoder, streaming_options

SIZES = {"patch_stride": 20, "hidden_size": 12, "num_attention_heads": 3, "intermediate_size": 17, "feature_size": 5}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    builder = SimulatedCorpora(corpora=["sim-62"], subjects=4, stimuli=3, trial_seconds=12.0)
    prepare(builder, folder / "sim-62", progress=False)
    return folder / "sim-62"


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("encoder")
    MDJPTForPreTraining(MDJPTConfig.preset("tiny", **SIZES)).save_pretrained(folder)
    MDJPTFeatureExtractor().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def made(encoder, data, tmp_path_factory):
    out = tmp_path_factory.mktemp("classifier") / "out"
    settings = {"steps": 30, "batch_size": 16, "for_streaming": True}
    return finetune(FinetuneConfig(str(encoder), (str(data),), str(out), **settings))


def test_the_checkpoint_says_what_it_was_made_for(made):
    config = json.loads((made / "config.json").read_text())
    assert config["group_mode"] == "window"
    assert config["streaming"] == {"context_seconds": 15.0, "decay": 0.99, "smoothing_windows": 5}
    model = AutoModelForSequenceClassification.from_pretrained(made)
    options = streaming_options(model)
    assert options["prior_mean"].shape == (model.config.pooled_size,) and (options["prior_variance"] > 0).all()
    facts = gather_facts(made)
    facts["datasets"] = [entry for entry in facts["datasets"] if entry["name"] != "unknown"]
    card = " ".join(model_card({**facts, "licence": "apache-2.0"}, "somebody/live").split())
    assert "live: every window is cleaned and scaled with the 15 s of its trial before it" in card
    assert "online, from the statistics of training subjects on" in card


def test_the_score_is_that_of_a_live_session_with_each_validation_subject(made, data):
    record = json.loads((made / "results" / "validation.json").read_text())
    model, (trials,) = AutoModelForSequenceClassification.from_pretrained(made), open_corpora([data])
    extractor = MDJPTFeatureExtractor.from_pretrained(made)
    correct, count = [], 0
    for person in record["subjects"]:
        own = np.flatnonzero(trials.subject == person.split("/")[1])
        for session in np.unique(trials.session[own]):
            chosen = own[trials.session[own] == session]
            chosen = chosen[np.argsort(trials.trial[chosen])]
            stream = None
            for trial in chosen:
                names = list(trials.ch_names[trial])
                if stream is None:
                    stream = StreamingEncoder(model, extractor, names, trials.sampling_rate)
                else:
                    stream.skip(round(60 * trials.sampling_rate))  # a pause between two trials
                found = stream.advance(trials.signal(trial)).windows
                count += len(found)
                correct += [int(window.logits.argmax()) == trials.label[trial] for window in found]
    assert count == record["windows"] and record["metrics"]["accuracy"] == pytest.approx(np.mean(correct), abs=0.02)


def test_whoever_asks_gets_features_from_the_past(made):
    model, extractor = AutoModelForSequenceClassification.from_pretrained(made), MDJPTFeatureExtractor()
    windows = torch.randn(6, 60, 625, generator=torch.Generator().manual_seed(0))
    mean, variance = (part.numpy().astype(float) for part in model.classifier.prior)
    with torch.no_grad():
        features = model.base_model.encode_recording(windows)
        first = online_normalise(features[:1].numpy(), mean, variance)
        wanted = model.classifier.scores(torch.from_numpy(first))
        np.testing.assert_allclose(model(windows[:1]).logits, wanted, atol=1e-4)  # the first of a session
    pipeline = EEGEmotionPipeline(model=model, feature_extractor=extractor)
    smoothed = running_mean(online_normalise(features.numpy(), mean, variance), 5)
    found = pipeline.logits(windows, 4)
    np.testing.assert_allclose(found, model.classifier.scores(torch.from_numpy(smoothed)).detach(), atol=1e-4)
    np.testing.assert_allclose(pipeline.logits(windows[:3], 4), found[:3], atol=1e-4)  # nothing of the future


def test_a_stream_takes_what_the_model_was_made_with(made):
    model, extractor = AutoModelForSequenceClassification.from_pretrained(made), MDJPTFeatureExtractor()
    signal = np.random.default_rng(0).normal(0, 15, (9, 250 * 12))
    names = ["Fp1", "Fp2", "F3", "F4", "Cz", "Pz", "O1", "O2", "T7"]
    stated = StreamingEncoder(model, extractor, names, 250.0, **streaming_options(model)).push(signal)
    by_default = StreamingEncoder(model, extractor, names, 250.0).push(signal)
    for one, other in zip(stated, by_default, strict=True):
        np.testing.assert_array_equal(one.logits, other.logits)


def test_a_prior_that_was_lost_gives_no_answers(made, tmp_path):
    from safetensors.torch import load_file, save_file

    weights = load_file(made / "model.safetensors")
    for name in ("prior_mean", "prior_variance"):
        del weights[f"classifier.{name}"]
    (tmp_path / "config.json").write_text((made / "config.json").read_text())
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert all(torch.isnan(part).all() for part in model.classifier.prior)
    names = ["Fp1", "Fp2", "F3", "F4", "Cz", "Pz", "O1", "O2", "T7"]
    with pytest.raises(SignalError, match="a prior must be a finite number"):
        StreamingEncoder(model, MDJPTFeatureExtractor(), names, 250.0)


@pytest.mark.parametrize("for_streaming", [True, False])
def test_the_encoder_may_be_trained_as_well_and_a_classifier_made_anew(made, data, tmp_path, for_streaming, caplog):
    settings = {"steps": 4, "batch_size": 16, "method": "full", "for_streaming": for_streaming}
    with caplog.at_level(logging.ERROR):
        out = finetune(FinetuneConfig(str(made), (str(data),), str(tmp_path / "out"), **settings))
    model = AutoModelForSequenceClassification.from_pretrained(out)
    assert (model.config.streaming is not None) == bool(model.classifier.prior) == for_streaming
    before = AutoModelForSequenceClassification.from_pretrained(made).mdjpt.state_dict()
    changed = [name for name, value in model.mdjpt.state_dict().items() if not torch.equal(value, before[name])]
    assert changed and all(torch.isfinite(part).all() for part in model.classifier.prior)
    protocol = json.loads((out / "results" / "validation.json").read_text())["protocol"]
    assert ("mode" in protocol) == for_streaming
