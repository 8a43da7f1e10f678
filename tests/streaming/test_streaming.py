"""A live signal gives what the same signal gives offline, from the past alone."""

import numpy as np
import psutil
import pytest
import torch

from mdjpt_hf.errors import ConfigurationError, MDJPTError, SignalError, UnitError
from mdjpt_hf.modeling.configuration_mdjpt import MDJPTConfig
from mdjpt_hf.modeling.feature_extraction_mdjpt import MDJPTFeatureExtractor
from mdjpt_hf.modeling.modeling_mdjpt import MDJPTForSequenceClassification, MDJPTModel
from mdjpt_hf.modeling.smoothing_mdjpt import OnlineNormaliser, online_normalise
from mdjpt_hf.streaming import StreamedWindow, StreamingEncoder

NAMES, RATE = ["Fp1", "Fp2", "F3", "F4", "Cz", "Pz", "O1", "O2", "T7"], 256.0
SIZES = {"hidden_size": 8, "num_attention_heads": 2, "feature_size": 4, "id2label": {0: "low", 1: "high"}}


@pytest.fixture(scope="module")
def classifier():
    torch.manual_seed(0)
    return MDJPTForSequenceClassification(MDJPTConfig.preset("tiny", **SIZES)).eval()


@pytest.fixture(scope="module")
def signal():
    return np.random.default_rng(0).normal(0, 15, (len(NAMES), round(24 * RATE)))


@torch.no_grad()
def offline(model, signal, extractor, context: float, prior) -> tuple[np.ndarray, np.ndarray]:
    """Every window by itself, from the recording cut off where the window ends; then normalised all at once."""
    features = []
    for end in np.arange(5.0, signal.shape[1] / RATE + 1e-9, 2.0):
        past = signal[:, max(0, round((end - context) * RATE)) : round(end * RATE)]
        found = extractor(past, ch_names=NAMES, sampling_rate=RATE, stride_seconds=1.0, return_tensors="pt")
        length = past.shape[1] / RATE
        assert found["window_onsets"][-1] == pytest.approx(length - 5)
        features.append(model.base_model(found["input_values"][-1:]).pooler_output[0].numpy())
    normalised = online_normalise(np.stack(features), *prior)
    return normalised, model.classifier(torch.from_numpy(normalised)).numpy()


@pytest.mark.parametrize("chunk", [1, 100, 512, 5000])
def test_a_stream_is_what_the_same_signal_gives_offline(classifier, signal, chunk):
    extractor = MDJPTFeatureExtractor()
    size = classifier.config.pooled_size
    prior = np.linspace(-1, 1, size), np.linspace(0.5, 2, size)
    wanted, logits = offline(classifier, signal, extractor, 9.0, prior)
    stream = StreamingEncoder(
        classifier, extractor, NAMES, RATE, context_seconds=9.0, prior_mean=prior[0], prior_variance=prior[1]
    )
    found = []
    for start in range(0, signal.shape[1], chunk):
        given = stream.push(signal[:, start : start + chunk])
        assert all(window.end <= (start + chunk) / RATE for window in given)
        found += given
    assert [window.end for window in found] == [5.0, 7.0, 9.0, 11.0, 13.0, 15.0, 17.0, 19.0, 21.0, 23.0]
    assert found[3].onset == 6.0
    np.testing.assert_allclose([window.features for window in found], wanted, atol=1e-4)
    np.testing.assert_allclose([window.logits for window in found], logits, atol=1e-4)


def test_the_future_changes_nothing_and_memory_is_bounded(classifier, signal):
    extractor = MDJPTFeatureExtractor()
    streams = [StreamingEncoder(classifier, extractor, NAMES, RATE, context_seconds=7.0) for _ in range(2)]
    other = signal.copy()
    other[:, round(11.5 * RATE) :] *= 5
    first, second = (stream.push(values) for stream, values in zip(streams, (signal, other), strict=True))
    same = [np.array_equal(a.features, b.features) for a, b in zip(first, second, strict=True)]
    assert same == [True] * 4 + [False] * 6
    assert streams[0]._buffer.shape[1] == round(7 * RATE)


def test_an_encoder_gives_features_and_units_are_told(signal):
    torch.manual_seed(0)
    model, extractor = MDJPTModel(MDJPTConfig.preset("tiny", hidden_size=8, feature_size=4)), MDJPTFeatureExtractor()
    (one,) = StreamingEncoder(model, extractor, NAMES, RATE).push(signal[:, : round(6 * RATE)])
    assert one.logits is None and one.features.shape == (model.config.pooled_size,)
    (volts,) = StreamingEncoder(model, extractor, NAMES, RATE, unit="V").push(signal[:, : round(6 * RATE)] * 1e-6)
    np.testing.assert_allclose(volts.features, one.features, atol=1e-4)


def test_one_window_at_a_time_is_online_normalisation():
    rng = np.random.default_rng(0)
    values, mean, variance = rng.normal(3, 2, (40, 6)), rng.normal(size=6), rng.random(6)
    normaliser = OnlineNormaliser(mean, variance, 0.9)
    found = [normaliser.push(row) for row in values]
    np.testing.assert_allclose(found, online_normalise(values, mean, variance, 0.9), atol=1e-6)
    with pytest.raises(SignalError, match="must not be negative"):
        OnlineNormaliser(mean, -variance)


def test_what_cannot_be_used_is_refused(classifier, signal):
    extractor = MDJPTFeatureExtractor()
    with pytest.raises(ConfigurationError, match="context_seconds is 4"):
        StreamingEncoder(classifier, extractor, NAMES, RATE, context_seconds=4)
    with pytest.raises(ConfigurationError, match="needs mean and variance"):
        StreamingEncoder(classifier, extractor, NAMES, RATE, prior_mean=0.0)
    for unit in ("volts", "", ["uV"]):
        with pytest.raises(UnitError, match="unknown unit .*Use 'uV', 'mV' or 'V'"):
            StreamingEncoder(classifier, extractor, NAMES, RATE, unit=unit)
    for names, rate in ((["Fp2", *NAMES[1:]], RATE), (NAMES, 60.0)):
        with pytest.raises(MDJPTError):
            StreamingEncoder(classifier, extractor, names, rate)
    stream = StreamingEncoder(classifier, extractor, NAMES, RATE)
    with pytest.raises(SignalError, match="shape"):
        stream.push(signal[:3])
    broken = signal[:, :1280].copy()
    broken[2, 7] = np.nan
    with pytest.raises(SignalError, match="lost the window from 0 to 5 s: samples hold NaN"):
        stream.push(broken)
    assert [window.end for window in stream.push(signal[:, :1280])] == [7.0, 9.0]  # the clock went on


def rhythm(seconds, start=0.0):
    """The same signal at the same second, however it is asked for."""
    return np.random.default_rng(round(start)).normal(0, 15, (len(NAMES), round(seconds * RATE)))


@pytest.mark.parametrize("fault", ["amplitude", "inf", "nan"])
@pytest.mark.parametrize("chunk", [1.0, 7.0])
def test_a_stream_recovers_and_says_what_it_has_lost(classifier, fault, chunk):
    """A cap is off from 10 to 16 s; every window that does not look there is that of a stream that begins later."""
    signal = np.random.default_rng(0).normal(0, 15, (len(NAMES), round(42 * RATE)))
    off = slice(round(10 * RATE), round(16 * RATE))
    signal[:, off] = {"amplitude": signal[:, off] * 1e6, "inf": np.inf, "nan": np.nan}[fault]
    stream = StreamingEncoder(classifier, MDJPTFeatureExtractor(), NAMES, RATE, context_seconds=6.0)
    found, lost = [], []
    for start in range(0, signal.shape[1], round(chunk * RATE)):
        try:
            found += stream.push(signal[:, start : start + round(chunk * RATE)])
        except MDJPTError as error:
            found += error.windows
            lost.append(str(error))
    ends = [window.end for window in found]
    assert ends[:3] == [5.0, 7.0, 9.0] and ends[-1] == 41.0 and {*range(23, 42, 2)} <= set(ends)
    assert all("lost the window from" in text for text in lost) and "to 11 s" in lost[0]
    for end in set(range(5, 42, 2)) - set(ends):
        assert any(f" to {end} s" in text for text in lost)
    later = StreamingEncoder(classifier, MDJPTFeatureExtractor(), NAMES, RATE, context_seconds=6.0)
    again = [window for window in later.push(signal[:, round(24 * RATE) :]) if window.end == 17.0]
    np.testing.assert_allclose(again[0].features, found[-1].features, atol=1e-5)


def test_a_fault_of_the_network_or_a_ctrl_c_leaves_the_stream_usable(classifier, signal, monkeypatch):
    stream = StreamingEncoder(classifier, MDJPTFeatureExtractor(), NAMES, RATE)
    for fault in (RuntimeError("out of memory"), KeyboardInterrupt()):

        def fail(*args, fault=fault, **kwargs):
            raise fault

        with monkeypatch.context() as patch:
            patch.setattr("mdjpt_hf.streaming.encoder.last_window", fail)
            with pytest.raises(type(fault)):
                stream.push(signal[:, : round(8 * RATE)])
    assert [window.end for window in stream.push(signal[:, : round(4 * RATE)])] == [17.0, 19.0]


@pytest.mark.slow
def test_eight_hours_of_a_stream_take_no_more_memory_than_one(classifier):
    """The network is left out: what a stream keeps is what is looked at."""
    stream = StreamingEncoder(classifier, MDJPTFeatureExtractor(), NAMES, RATE)
    stream._encode = lambda: StreamedWindow(0.0, stream._pushed / RATE, np.zeros(1), None)
    second, seen = rhythm(1), []
    for number in range(8 * 3600):
        windows = stream.push(second)
        assert bool(windows) == (number >= 4 and number % 2 == 0)
        if number in (3600, 8 * 3600 - 1):
            seen.append(psutil.Process().memory_info().rss)
    assert seen[1] - seen[0] < 20 * 2**20 and stream._buffer.shape[1] == round(15 * RATE)


def test_windows_of_a_long_stream_are_encoded_in_flat_memory(classifier):
    stream = StreamingEncoder(classifier, MDJPTFeatureExtractor(), NAMES, RATE, context_seconds=6.0)
    seen = []
    for number in range(60):
        stream.push(rhythm(2, number))
        if number in (20, 59):
            seen.append(psutil.Process().memory_info().rss)
    assert seen[1] - seen[0] < 20 * 2**20
