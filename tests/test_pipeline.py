"""The pipeline and the endpoint's handler, on a saved classifier."""

import base64
import importlib.util
import json
import re
import shutil
import sys
from pathlib import Path

import edfio
import mne
import numpy as np
import pytest
import torch
from transformers import pipeline
from typer.testing import CliRunner

import mdjpt_hf.modeling
from mdjpt_hf import (
    EEGEmotionPipeline,
    MaskedEEGConfig,
    MaskedEEGForSequenceClassification,
    MDJPTConfig,
    MDJPTFeatureExtractor,
    MDJPTForPreTraining,
    MDJPTForSequenceClassification,
    MDJPTModel,
)
from mdjpt_hf.cli import app
from mdjpt_hf.errors import ConfigurationError, MontageError, SignalError, UnitError
from mdjpt_hf.inference.prediction import predict
from mdjpt_hf.modeling.handler import EndpointHandler
from mdjpt_hf.modeling.pipeline_mdjpt import certainty
from mdjpt_hf.modeling.smoothing_mdjpt import smoothing_matrix

NAMES = ["Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2"]
LABELS = ["negative", "neutral", "positive"]
RATE = 250
TASK = "eeg-emotion-recognition"


def build(**settings):
    torch.manual_seed(0)
    labels = {"id2label": dict(enumerate(LABELS)), "label2id": {name: i for i, name in enumerate(LABELS)}}
    config = MDJPTConfig.preset("tiny", **{"problem_type": "single_label_classification", **labels, **settings})
    model = MDJPTForSequenceClassification(config).eval()
    with torch.no_grad():  # a head with opinions
        model.classifier[-1].weight.mul_(200)
    return model


def signal(seconds=21, seed=0):
    return np.random.default_rng(seed).normal(0, 10, (len(NAMES), seconds * RATE))


def raw(values):
    return mne.io.RawArray(values * 1e-6, mne.create_info(NAMES, RATE, "eeg"), verbose="ERROR")


def write_edf(path, values):
    signals = [
        edfio.EdfSignal(row, RATE, label=name, physical_dimension="uV", physical_range=(-200, 200))
        for name, row in zip(NAMES, values, strict=True)
    ]
    edfio.Edf(signals).write(path)
    return path


@pytest.fixture(scope="module")
def model():
    return build()


@pytest.fixture(scope="module")
def recognise(model):
    return EEGEmotionPipeline(model=model, feature_extractor=MDJPTFeatureExtractor())


def expected(model, values, matrix=None, **options):
    """Probabilities of every window, by hand."""
    inputs = MDJPTFeatureExtractor()(values, NAMES, RATE, return_tensors="pt", **options)
    with torch.no_grad():
        features = model.mdjpt(inputs["input_values"], torch.zeros(len(inputs["input_values"]))).pooler_output
        if matrix is not None:
            features = torch.tensor(matrix, dtype=torch.float32) @ features
        return model.classifier(features).softmax(-1).numpy(), inputs["window_onsets"].numpy()


def probabilities(result):
    """`(windows, labels)` in the order of the config."""
    return np.array(
        [[{s["label"]: s["score"] for s in w["scores"]}[name] for name in LABELS] for w in result["windows"]]
    )


def test_windows_and_recording_are_the_models_own_answer(model, recognise):
    values = signal()
    wanted, onsets = expected(model, values)
    found = recognise(values, ch_names=NAMES, sampling_rate=RATE, batch_size=3)
    assert [window["onset"] for window in found["windows"]] == pytest.approx(list(onsets))
    assert {window["duration"] for window in found["windows"]} == {5.0}
    np.testing.assert_allclose(probabilities(found), wanted, atol=1e-4)
    assert np.ptp(wanted, axis=0).max() > 1e-3  # windows differ, so order matters
    whole = wanted.mean(axis=0)
    assert found["label"] == LABELS[whole.argmax()] and found["score"] == pytest.approx(whole.max(), abs=1e-4)
    assert [s["label"] for s in found["scores"]] == [LABELS[i] for i in np.argsort(-whole)]
    for window, row in zip(found["windows"], wanted, strict=True):
        assert window["label"] == LABELS[row.argmax()]
    json.dumps(found)


@pytest.mark.parametrize("smoothing", ["causal", "lds"])
def test_smoothing_acts_on_features(model, recognise, smoothing):
    values = signal()
    plain, _ = expected(model, values)
    wanted, _ = expected(model, values, smoothing_matrix(len(plain), smoothing == "causal"))
    found = recognise(values, ch_names=NAMES, sampling_rate=RATE, smoothing=smoothing)
    np.testing.assert_allclose(probabilities(found), wanted, atol=1e-4)
    assert np.abs(plain - wanted).max() > 1e-3


def test_every_kind_of_input_gives_the_same(recognise, tmp_path):
    values = signal()
    path = write_edf(tmp_path / "one.edf", values)
    stated = {"signal": values, "ch_names": NAMES, "sampling_rate": RATE}
    millivolts = {**stated, "signal": values / 1000, "unit": "mV"}
    results = recognise([stated, millivolts, raw(values), path, str(path)])
    for result in results:
        np.testing.assert_allclose(probabilities(result), probabilities(results[0]), atol=0.02)  # 16 bits in the file
    assert probabilities(results[3]).tolist() == probabilities(results[4]).tolist()


def test_recordings_of_a_list_do_not_touch_each_other(recognise):
    one, two = ({"signal": signal(s, s), "ch_names": NAMES, "sampling_rate": RATE} for s in (9, 21))
    together, alone = recognise([one, two], batch_size=64), recognise(two)
    np.testing.assert_allclose(probabilities(together[1]), probabilities(alone), atol=1e-5)
    assert len(together[0]["windows"]) == 3


def test_window_stride_and_top_k(recognise):
    found = recognise(raw(signal()), window_seconds=4, stride_seconds=4, top_k=1)
    assert [(w["onset"], w["duration"]) for w in found["windows"]] == [(0, 4), (4, 4), (8, 4), (12, 4), (16, 4)]
    assert all(len(w["scores"]) == 1 for w in found["windows"]) and len(found["scores"]) == 1


def test_ratings_are_numbers_without_a_winner():
    names = {0: "valence", 1: "arousal"}
    model = build(problem_type="regression", id2label=names, label2id={v: k for k, v in names.items()})
    found = EEGEmotionPipeline(model=model, feature_extractor=MDJPTFeatureExtractor())(raw(signal(9)))
    assert [s["label"] for s in found["scores"]] == ["valence", "arousal"] and "label" not in found


def test_several_labels_at_once_need_not_sum_to_one():
    model = build(problem_type="multi_label_classification")
    found = EEGEmotionPipeline(model=model, feature_extractor=MDJPTFeatureExtractor())(raw(signal(9)))
    assert sum(s["score"] for s in found["scores"]) != pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("inputs", "options", "error", "message"),
    [
        ("missing.edf", {}, SignalError, "missing.edf: there is no such file"),
        ([], {}, SignalError, "no recording"),
        ({"ch_names": NAMES}, {}, SignalError, "needs 'signal'"),
        ({"signal": signal(9), "name": 1}, {}, SignalError, "'name'"),
        ((), {}, SignalError, "no recording"),
        (signal(9), {}, MontageError, "ch_names"),
        (signal(9), {"smoothing": "median"}, ConfigurationError, "median"),
        (signal(9), {"windows": 3}, ConfigurationError, "windows"),
        (signal(3), {"ch_names": NAMES, "sampling_rate": RATE}, SignalError, "3 s"),
    ],
)
def test_what_cannot_work_is_refused(recognise, inputs, options, error, message):
    with pytest.raises(error, match=message):
        recognise(inputs, **options)


def test_a_damaged_file_is_named(recognise, tmp_path):
    path = tmp_path / "bad.edf"
    path.write_bytes(b"0       " + b"x" * 100)
    with pytest.raises(SignalError, match=r"bad\.edf: MNE cannot read"):
        recognise(path)


def test_a_file_cut_short_is_named(recognise, tmp_path):
    path = tmp_path / "cut_raw.fif"
    raw(signal()).save(path, verbose="ERROR")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(SignalError, match="cut_raw.fif"):
        recognise(path)


@pytest.mark.parametrize("bare", [MDJPTModel, MDJPTForPreTraining])
def test_a_model_without_a_trained_head_is_refused(tmp_path, bare):
    model, extractor = bare(MDJPTConfig.preset("tiny")), MDJPTFeatureExtractor()
    advice = "no emotion head.*Fine-tune it first"
    with pytest.raises(ConfigurationError, match=advice):
        EEGEmotionPipeline(model=model, feature_extractor=extractor)
    with pytest.raises(ValueError, match=advice):
        pipeline(TASK, model=model, feature_extractor=extractor, trust_remote_code=True)
    model.save_pretrained(tmp_path)
    extractor.save_pretrained(tmp_path)
    opened = MDJPTForSequenceClassification.from_pretrained(tmp_path, num_labels=3)
    with pytest.raises(ConfigurationError, match=advice):  # on an encoder's folder stands a new head
        EEGEmotionPipeline(model=opened, feature_extractor=extractor)
    opened.train()(torch.randn(4, 60, 625), labels=torch.tensor([0, 1, 2, 0]))
    assert len(EEGEmotionPipeline(model=opened.eval(), feature_extractor=extractor)(raw(signal(9)))["windows"]) == 3


def test_an_unknown_unit_is_refused_before_anything_is_read(recognise):
    with pytest.raises(UnitError, match="unknown unit 'volts'"):
        recognise("no such file.edf", unit="volts")


# ---- the command


def test_the_command_prints_writes_and_draws(folder, recognise, tmp_path):
    path = write_edf(tmp_path / "one.edf", signal())
    command = ["predict", str(folder), str(path), "--json", str(tmp_path / "j"), "--picture", str(tmp_path / "p.png")]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    wanted = recognise(path)
    lines = done.stdout.splitlines()
    assert len([line for line in lines if re.match(r" +\d+\.0  ", line)]) == len(wanted["windows"])
    assert f"one.edf: {wanted['label']} ({wanted['score']:.0%})" in lines
    assert json.loads((tmp_path / "j").read_text())["windows"] == wanted["windows"]
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("score", "labels", "words"),
    [(0.34, 3, "hardly more than a guess"), (0.49, 3, "hardly more than a guess"), (0.51, 3, "unsure")]
    + [(0.74, 2, "hardly more than a guess"), (0.76, 2, "fairly sure"), (0.69, 9, "unsure"), (0.7, 9, "fairly sure")],
)
def test_what_a_score_is_worth_in_words(score, labels, words):
    assert certainty(score, labels) == words


def test_every_door_says_when_a_decision_is_hardly_more_than_a_guess(tmp_path):
    model = build()
    with torch.no_grad():
        model.classifier[-1].weight.mul_(0)
        model.classifier[-1].bias.copy_(torch.tensor([0.0, 0.1, 0.0]))
    model.save_pretrained(tmp_path / "model")
    MDJPTFeatureExtractor().save_pretrained(tmp_path / "model")
    path, words = write_edf(tmp_path / "a.edf", signal()), "hardly more than a guess"
    found = EEGEmotionPipeline(model=model, feature_extractor=MDJPTFeatureExtractor())(str(path))
    assert found["label"] == "neutral" and found["certainty"] == words
    assert f"{words}: guessing among 3 labels gives 33%" in found["notes"][-1]
    printed = predict(str(tmp_path / "model"), path)
    assert f"- neutral with 36% is {words}" in printed and "guessing among 3 labels" in printed
    answer = EndpointHandler(str(tmp_path / "model"))({"inputs": {"edf": base64.b64encode(path.read_bytes()).decode()}})
    assert answer["certainty"] == words and words in answer["notes"][-1]


def test_an_encoder_whose_head_would_guess_is_refused(tmp_path):
    MDJPTModel(MDJPTConfig.preset("tiny")).save_pretrained(tmp_path)
    MDJPTFeatureExtractor().save_pretrained(tmp_path)
    path = write_edf(tmp_path / "one.edf", signal())
    with pytest.raises(ConfigurationError, match="no emotion head"):
        predict(str(tmp_path), path)
    with pytest.raises(ValueError, match="no emotion head"):
        EndpointHandler(str(tmp_path))


# ---- saved: the pipeline and the endpoint from a folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory, model):
    folder = tmp_path_factory.mktemp("saved")
    model.save_pretrained(folder)
    MDJPTFeatureExtractor().save_pretrained(folder)
    shutil.copy(Path(mdjpt_hf.modeling.__file__).with_name("handler.py"), folder)
    return folder


def test_the_folder_alone_makes_the_pipeline(folder, recognise):
    for task in ({"task": TASK}, {}):
        loaded = pipeline(model=str(folder), trust_remote_code=True, **task)
        assert type(loaded).__name__ == "EEGEmotionPipeline"
        assert loaded(raw(signal())) == recognise(raw(signal()))


def test_the_other_family_carries_the_same_pipeline(tmp_path):
    labels = {"id2label": dict(enumerate(LABELS)), "label2id": {name: i for i, name in enumerate(LABELS)}}
    model = MaskedEEGForSequenceClassification(MaskedEEGConfig.preset("tiny", **labels)).eval()
    model.save_pretrained(tmp_path)
    MDJPTFeatureExtractor().save_pretrained(tmp_path)
    found = pipeline(TASK, model=str(tmp_path), trust_remote_code=True)(raw(signal()))
    inputs = MDJPTFeatureExtractor()(raw(signal()), return_tensors="pt")
    with torch.no_grad():
        wanted = model(**inputs).logits.softmax(-1).numpy()
    np.testing.assert_allclose(probabilities(found), wanted, atol=1e-4)


@pytest.fixture(scope="module")
def endpoint(folder):
    """As the server does it: the module lies beside the weights and gets the folder's name."""
    spec = importlib.util.spec_from_file_location("handler", folder / "handler.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["handler"] = module
    spec.loader.exec_module(module)
    yield module.EndpointHandler(str(folder)), module
    del sys.modules["handler"]


def request(seconds=9, **changes):
    return {"signal": signal(seconds).tolist(), "ch_names": NAMES, "sampling_rate": RATE, "unit": "uV", **changes}


def test_the_endpoint_answers_json_and_files(endpoint, recognise, tmp_path):
    handler, _ = endpoint
    body = json.loads(json.dumps({"inputs": request(), "parameters": {"top_k": 2, "smoothing": "causal"}}))
    answer = json.loads(json.dumps(handler(body)))
    wanted = recognise(signal(9), ch_names=NAMES, sampling_rate=RATE, top_k=2, smoothing="causal")
    assert answer["label"] == wanted["label"] and answer["score"] == pytest.approx(wanted["score"], abs=1e-4)
    encoded = base64.b64encode(write_edf(tmp_path / "one.edf", signal(9)).read_bytes()).decode()
    several = handler({"inputs": [{"edf": encoded}, request()]})
    assert [len(one["windows"]) for one in several] == [3, 3]
    assert several[0]["label"] == several[1]["label"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "no 'inputs'"),
        ([], "no 'inputs'"),
        ({"inputs": []}, "1 to 64"),
        ({"inputs": "text"}, "either 'signal' or 'edf'"),
        ({"inputs": {"signal": [[0.0]], "edf": ""}}, "either 'signal' or 'edf'"),
        ({"inputs": {"edf": "!!"}}, "base64"),
        ({"inputs": {"edf": base64.b64encode(b"GIF89a").decode()}}, "neither EDF nor BDF"),
        ({"inputs": request(sampling_rate=20)}, "20"),
        ({"inputs": request(unit="kV")}, "kV"),
        ({"inputs": request(ch_names=NAMES[:3])}, "3"),
        ({"inputs": {"signal": [[0.0, 1.0]]}}, "['ch_names', 'sampling_rate'] lacking"),
        ({"inputs": request(colour="red")}, "colour"),
        ({"inputs": {**request(), "signal": [[0.0], [0.0, 1.0]]}}, "equal length"),
        ({"inputs": {**request(), "signal": [["a", "b"]]}}, "numbers"),
        ({"inputs": {**request(), "signal": [[float("nan"), 1.0]]}}, "not finite"),
        ({"inputs": {**request(), "signal": 5}}, "list of channels"),
        ({"inputs": request(), "parameters": {"device": "cuda"}}, "device"),
        ({"inputs": request(), "parameters": {"smoothing": "loud"}}, "smoothing must be none, causal or lds"),
        *(
            ({"inputs": request(), "parameters": {"batch_size": value}}, "batch_size")
            for value in ("8", -1, 1.5, [1], True)
        ),
        *(({"inputs": request(), "parameters": {"top_k": value}}, "top_k") for value in ("2", 0, -1, 1.5, [])),
        *(
            ({"inputs": request(), "parameters": {"stride_seconds": value}}, "stride_seconds")
            for value in (0, -1, 1e308, 10**400, float("nan"), float("inf"), "1", None)
        ),
        ({"inputs": request(), "parameters": {"stride_seconds": 0.001}}, "windows"),
        ({"inputs": request(ch_names=5)}, "ch_names"),
        ({"inputs": request(unit=["uV"])}, "unit"),
        ({"inputs": request(unit=[])}, "unit"),
        ({"inputs": request(sampling_rate=10**400)}, "sampling_rate"),
        ({"inputs": request(sampling_rate=True)}, "sampling_rate"),
        ({"inputs": {**request(), "signal": [[10**400] * 2]}}, "numbers"),
        ({"inputs": {**request(), "signal": [["1.5", "2"]]}}, "numbers"),
    ],
)
def test_bad_requests_get_an_error_object(endpoint, body, message):
    answer = endpoint[0](body)
    assert set(answer) == {"error"} and message in answer["error"]["message"]
    json.dumps(answer, allow_nan=False)


def test_errors_tell_nothing_of_the_machine(endpoint, tmp_path, monkeypatch):
    handler, _ = endpoint
    short = base64.b64encode(write_edf(tmp_path / "one.edf", signal(2)).read_bytes()).decode()
    message = handler({"inputs": {"edf": short}})["error"]["message"]
    assert "lasts 2 s" in message and "/" not in message

    def fail(*args, **kwargs):
        raise RuntimeError("/secret/place")

    monkeypatch.setattr(handler, "pipeline", fail)
    answer = handler({"inputs": {"edf": short}})
    assert set(answer) == {"error"} and "secret" not in json.dumps(answer)


def test_large_requests_are_refused_before_they_cost_anything(endpoint, monkeypatch):
    handler, module = endpoint
    monkeypatch.setattr(module, "MAX_VALUES", 1000)
    assert "at most" in handler({"inputs": request()})["error"]["message"]
    monkeypatch.setattr(module, "MAX_FILE_BYTES", 10)
    assert "at most" in handler({"inputs": {"edf": "A" * 100}})["error"]["message"]
