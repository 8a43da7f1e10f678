"""Whatever interrupts a live signal: the next whole window is encoded, every gap is told, no window spans one."""

import io

import numpy as np
import pytest
import torch

from mdjpt_hf.errors import ConfigurationError, MDJPTError, SignalError, UnitError
from mdjpt_hf.modeling.configuration_mdjpt import MDJPTConfig
from mdjpt_hf.modeling.feature_extraction_mdjpt import MDJPTFeatureExtractor
from mdjpt_hf.modeling.modeling_mdjpt import MDJPTForSequenceClassification
from mdjpt_hf.modeling.montage_mdjpt import STANDARD_CHANNELS
from mdjpt_hf.modeling.smoothing_mdjpt import RunningMean, running_mean
from mdjpt_hf.streaming import StreamingEncoder
from mdjpt_hf.streaming.dropouts import find_dropouts

NAMES, RATE = ["Fp1", "Fp2", "F3", "F4", "Cz", "Pz", "O1", "O2", "T7"], 256.0
SIZES = {"hidden_size": 8, "num_attention_heads": 2, "feature_size": 4, "id2label": {0: "low", 1: "high"}}

#: What a cap sends that is on no head: from the signal it would have sent, in µV, and the seconds.
FAULTS = {
    "nan": lambda signal, time: signal * np.nan,
    "inf": lambda signal, time: signal * np.inf,
    "zeros": lambda signal, time: signal * 0,
    "the last value": lambda signal, time: np.repeat(signal[:, :1], signal.shape[1], axis=1),
    "a rail": lambda signal, time: signal * 0 + 187_500,
    "rails of both signs": lambda signal, time: 0 * signal + 187_500 * np.sign(signal[:, :1]),
    "a million times as loud": lambda signal, time: signal * 1e6,
    "a hundred times as loud": lambda signal, time: signal * 100,
    "a thousandth": lambda signal, time: signal * 1e-3,
    "hum": lambda signal, time: signal + 3000 * np.sin(2 * np.pi * 50 * time + 0.3),
}


@pytest.fixture(scope="module")
def classifier():
    torch.manual_seed(0)
    return MDJPTForSequenceClassification(MDJPTConfig.preset("tiny", **SIZES)).eval()


def make(classifier, names=NAMES, rate=RATE, **options):
    return StreamingEncoder(classifier, MDJPTFeatureExtractor(), names, rate, **{"context_seconds": 8.0, **options})


def noise(seconds, seed=0, names=NAMES, rate=RATE):
    return np.random.default_rng(seed).normal(0, 15, (len(names), round(seconds * rate)))


def feed(stream, signal, sizes):
    """Windows by their end, gaps, and texts of what was lost, of a signal pushed in chunks of these sizes in turn."""
    windows, gaps, lost, place, turn = {}, [], [], 0, 0
    while place < signal.shape[1]:
        size = sizes[turn % len(sizes)]
        try:
            found = stream.push(signal[:, place : place + size])
        except MDJPTError as error:
            found = error.windows
            lost.append(str(error))
        windows |= {round(window.end, 6): window for window in found}
        place, turn = place + size, turn + 1
    gaps += stream.gaps
    return windows, gaps, lost


def spoilt(fault, start, stop, seconds, seed=0):
    signal = noise(seconds, seed)
    part = slice(round(start * RATE), round(stop * RATE))
    signal[:, part] = FAULTS[fault](signal[:, part], np.arange(part.start, part.stop) / RATE)
    return signal


#: From when to when, in s.
PLACES = {
    "longer than all that is looked at": (20, 40),
    "shorter than a window": (20.3, 23.1),
    "under a second": (10.013, 10.711),
    "from the start": (0, 9),
}
#: Hum that is all there is to see may be that of a room; see `test_hum_that_stays`.
CASES = [
    pytest.param(fault, *place, id=f"{fault}, {name}")
    for fault in FAULTS
    for name, place in PLACES.items()
    if fault != "hum" or name in ("shorter than a window", "under a second")
]


@pytest.mark.parametrize(("fault", "start", "stop"), CASES)
def test_the_next_whole_window_is_encoded_as_if_the_stream_began_after_the_gap(classifier, fault, start, stop):
    signal = spoilt(fault, start, stop, 60 if stop > 30 else 42)[:, : round((stop + 12) * RATE)]
    windows, gaps, lost = feed(make(classifier), signal, [128])
    begin, end = round(start * RATE) / RATE, round(stop * RATE) / RATE
    ends = set(np.arange(5.0, signal.shape[1] / RATE + 1e-9, 2.0).tolist())
    whole = {last for last in ends if last <= begin or last - 5 >= end - 1e-9}
    assert set(windows) == whole
    assert all(any(f"to {last:g} s" in text for text in lost) for last in ends - whole)
    later = make(classifier)
    later.skip(round(stop * RATE))
    following = sorted(last for last in whole if last > end)[:3]
    rest = signal[:, round(stop * RATE) : round(following[-1] * RATE)]
    again = {window.end: window for window in later.advance(rest).windows}
    for last in following:
        np.testing.assert_allclose(windows[last].features, again[last].features, atol=1e-5)
    untouched = make(classifier).push(noise(60 if stop > 30 else 42)[:, : round(begin * RATE)])
    assert [window.end for window in untouched] == sorted(last for last in whole if last <= begin)
    for window in untouched[-1:]:
        np.testing.assert_array_equal(windows[window.end].features, window.features)
    if fault != "a thousandth" or start:  # at the start the first sample may be told from silence
        assert max(gap.end for gap in gaps) == pytest.approx(end, abs=1.5 / RATE)
        assert min(gap.onset for gap in gaps) == pytest.approx(begin, abs=3 / RATE)
        assert sum(gap.seconds for gap in gaps) == pytest.approx(end - begin, abs=0.05)


@pytest.mark.parametrize("sizes", [[1], [7, 1, 300, 0, 45], [5000], [100_000]], ids=str)
@pytest.mark.parametrize("fault", ["nan", "a rail", "a million times as loud"])
def test_nothing_depends_on_how_the_samples_were_cut(classifier, fault, sizes):
    signal = spoilt(fault, 9.2, 12.6, 30)
    wanted, wanted_gaps, _ = feed(make(classifier), signal, [256])
    windows, gaps, _ = feed(make(classifier), signal, sizes)
    assert list(windows) == list(wanted) and gaps == wanted_gaps
    for end, window in windows.items():
        np.testing.assert_array_equal(window.features, wanted[end].features)


def test_twenty_seconds_without_a_head_and_forty_good_ones(classifier):
    stream = make(classifier, context_seconds=15.0)
    windows, gaps, _ = feed(stream, spoilt("a million times as loud", 20, 40, 80), [256])
    assert [end for end in windows if end > 20] == [*np.arange(45.0, 80, 2)]
    assert len(gaps) == 1 and gaps[0].seconds == pytest.approx(20, abs=0.01)
    assert stream.seconds == 80


def test_hum_that_stays_is_lost_at_first_and_then_filtered_out(classifier):
    windows, gaps, _ = feed(make(classifier), spoilt("hum", 20.2, 60, 60), [128])
    assert not {21.0, 23.0, 25.0} & set(windows) and set(windows) >= {19.0, *np.arange(31.0, 60, 2)}
    assert gaps[0].onset == pytest.approx(20.2, abs=0.02) and "leaps" in gaps[0].reason
    always = feed(make(classifier), spoilt("hum", 0, 20, 20), [128])[0]
    assert len(always) == 8


@pytest.mark.parametrize("seed", range(8))
def test_whatever_comes_whole_windows_are_encoded_and_no_others(classifier, seed):
    rng = np.random.default_rng(seed)
    signal, spans = noise(40, seed), []
    for fault in rng.choice(["nan", "inf", "a rail", "a million times as loud", "a hundred times as loud"], 3):
        begin = round(rng.uniform(0, 36) * RATE)
        part = slice(begin, begin + 1 + round(rng.choice([0, 0.05, 0.4, 1, 6]) * rng.uniform(0.5, 1.5) * RATE))
        signal[:, part] = FAULTS[fault](signal[:, part], np.arange(part.start, part.stop)[: signal.shape[1]] / RATE)
        spans.append((part.start / RATE, part.stop / RATE))
    stream = make(classifier, context_seconds=float(rng.choice([5, 8, 15])))
    windows, _, _ = feed(stream, signal, rng.integers(1, 2000, 5).tolist())
    whole = {end for end in np.arange(5.0, 40.1, 2) if all(end <= start or end - 5 >= stop for start, stop in spans)}
    assert set(windows) == whole


def test_gaps_one_after_the_other_are_told_apart(classifier):
    signal = spoilt("nan", 8, 9, 60)
    for fault, start, stop in (("zeros", 15, 17.5), ("a million times as loud", 24, 24.1), ("nan", 40, 40.5)):
        part = slice(round(start * RATE), round(stop * RATE))
        signal[:, part] = FAULTS[fault](signal[:, part], np.arange(part.start, part.stop) / RATE)
    windows, gaps, _ = feed(make(classifier), signal, [64])
    told = [(round(gap.onset, 2), round(gap.seconds, 2)) for gap in gaps]
    assert told == [(8.0, 1.0), (15.0, 2.5), (24.0, 0.1), (40.0, 0.5)]
    reasons = [gap.reason for gap in gaps]
    assert "NaN" in reasons[0] and "nothing is recorded" in reasons[1] and "leaps" in reasons[2]
    spans = [(gap.onset, gap.end) for gap in gaps]
    assert not any(end - 5 < stop - 1e-6 and end > start for end in windows for start, stop in spans)
    assert set(windows) >= {7.0, 23.0, 31.0, 39.0, 47.0, 59.0}


def test_a_leap_without_a_length_is_a_break(classifier):
    """An electrode's offset settles anew: samples before and after it belong to nothing common."""
    signal = noise(30)
    signal[:, round(11.5 * RATE) :] += 40_000
    windows, gaps, _ = feed(make(classifier), signal, [100])
    assert [gap.onset for gap in gaps] == [11.5] and gaps[0].seconds == 0
    assert 11.0 in windows and 17.0 in windows and not {13.0, 15.0} & set(windows)
    begun = make(classifier).push(signal[:, round(11.5 * RATE) :])
    offset = make(classifier)
    offset.skip(round(11.5 * RATE))
    assert len(begun) == 7
    again = {window.end: window for window in offset.advance(signal[:, round(11.5 * RATE) :]).windows}
    np.testing.assert_allclose(windows[17.0].features, again[17.0].features, atol=1e-5)


@pytest.mark.parametrize("death", ["nan", "zeros", "a rail"])
def test_a_channel_that_dies_is_left_out_and_comes_back(classifier, death):
    names = [*NAMES, "C3", "C4", "P3"]
    signal = noise(60, names=names)
    part = slice(round(20.2 * RATE), round(40.2 * RATE))
    signal[2:3, part] = FAULTS[death](signal[2:3, part], np.arange(part.start, part.stop) / RATE)
    stream = make(classifier, names)
    windows, _, _ = feed(stream, signal, [64])
    assert set(windows) >= {*np.arange(5.0, 20, 2), *np.arange(29.0, 40, 2), *np.arange(51.0, 60, 2)}
    assert windows[19.0].quality["F3"] == "good" and windows[59.0].quality["F3"] == "good"
    assert windows[35.0].quality["F3"] == ("silent" if death == "nan" else "rebuilt")
    assert {windows[35.0].quality[name] for name in names} - {windows[35.0].quality["F3"]} == {"good"}
    without = make(classifier, names, bads=["F3"])
    marked, _, _ = feed(without, np.where(np.isfinite(signal), signal, 0), [64])
    np.testing.assert_allclose(windows[35.0].features, marked[35.0].features, atol=1e-5)


def test_no_more_than_half_of_the_channels_may_be_silent(classifier):
    signal = noise(30)
    signal[:5, round(10 * RATE) : round(16 * RATE)] = np.nan
    windows, gaps, lost = feed(make(classifier), signal, [128])
    assert 21.0 in windows and not {11.0, 15.0, 19.0} & set(windows) and gaps[0].seconds == pytest.approx(6)


def test_channels_that_are_no_eeg_do_no_harm(classifier):
    names = [*NAMES, "TRIGGER"]
    signal = np.vstack([noise(20), np.zeros((1, round(20 * RATE)))])
    signal[-1, ::1000], signal[-1, 1500:3000] = 1e9, np.nan
    windows, gaps, _ = feed(make(classifier, names), signal, [200])
    plain, _, _ = feed(make(classifier), signal[:-1], [200])
    assert list(windows) == list(plain) and not gaps and "TRIGGER" not in windows[5.0].quality
    np.testing.assert_allclose(windows[19.0].features, plain[19.0].features, atol=1e-6)


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_a_wrong_unit_is_told_as_one(classifier, factor):
    with pytest.raises(UnitError, match="lost the window from 0 to 5 s.*typical amplitude"):
        make(classifier).push(noise(6) * factor)


def test_signals_of_people_are_no_gap():
    """Blinks, swallowing, a bad electrode, line noise, offsets and drifts: what offline recordings hold as well."""
    time = np.arange(0, 15, 1 / RATE)
    signal = noise(15) + 60_000 * np.arange(len(NAMES))[:, None] + 300 * time
    signal[:4] += 400 * np.exp(-((time % 4 - 2) ** 2) / 0.01)
    signal[8] += 5000 * np.random.default_rng(1).normal(size=len(time))
    signal += np.random.default_rng(2).normal(0, 100, signal.shape) * ((time > 6) & (time < 7))
    signal += 1500 * np.sin(2 * np.pi * 50 * time)
    found = find_dropouts(signal, RATE)
    assert not found.off.any() and not found.breaks.any() and found.start == 0
    assert find_dropouts(signal[:, :3], RATE).start == 0


def test_skipping_is_pushing_nan(classifier):
    signal, gone = noise(50), round(13.3 * RATE)
    streams = [make(classifier), make(classifier)]
    for stream in streams:
        stream.push(signal[:, : round(11.1 * RATE)])
    lost = streams[0].skip(gone)
    with pytest.raises(SignalError) as caught:
        streams[1].push(np.full((len(NAMES), gone), np.nan))
    assert str(caught.value).count(" to ") == lost == 6
    rest = [feed(stream, signal[:, round(20 * RATE) :], [90]) for stream in streams]
    assert list(rest[0][0]) == list(rest[1][0]) and len(rest[0][0]) > 8
    assert [gap.seconds for gap in rest[0][1]] == [gap.seconds for gap in rest[1][1]]
    assert streams[0].skip(0) == 0
    day = make(classifier)
    assert day.skip(round(24 * 3600 * RATE)) == 43_198 and day._buffer.shape[1] == 0


def test_reset_is_a_new_stream(classifier):
    size = classifier.config.pooled_size
    stream = make(classifier, prior_mean=np.zeros(size), prior_variance=np.ones(size), smoothing_windows=4)
    first = feed(stream, spoilt("nan", 9, 12, 24), [64])[0]
    stream.reset()
    again = feed(stream, spoilt("nan", 9, 12, 24), [64])[0]
    assert list(first) == list(again) and len(stream.gaps) == 1
    np.testing.assert_array_equal(
        [window.features for window in first.values()], [window.features for window in again.values()]
    )


@pytest.mark.parametrize("cut", [3.0, 10.7, 17.3], ids=["before a window", "in a gap", "after it"])
@pytest.mark.parametrize("online", [True, False])
def test_a_session_is_saved_and_gone_on_with(classifier, cut, online):
    size, signal = classifier.config.pooled_size, spoilt("nan", 9.5, 12, 40)
    prior = (
        {"prior_mean": np.full(size, 0.1), "prior_variance": np.ones(size), "smoothing_windows": 4} if online else {}
    )
    straight = make(classifier, **prior)
    wanted = feed(straight, signal, [64])[0]
    stream, place = make(classifier, **prior), round(cut * RATE)
    before = feed(stream, signal[:, :place], [64])[0]
    file = io.BytesIO()
    np.savez(file, **stream.state())
    file.seek(0)
    resumed = make(classifier, **prior)
    resumed.load_state(np.load(file))  # no pickles
    windows = before | feed(resumed, signal[:, place:], [64])[0]
    assert list(windows) == list(wanted) and resumed.seconds == straight.seconds
    for end, window in windows.items():
        np.testing.assert_array_equal(window.features, wanted[end].features)
    if cut < 12:
        assert list(resumed.gaps) == list(straight.gaps)


def test_the_state_of_another_stream_is_refused(classifier):
    stream = make(classifier)
    stream.push(noise(6))
    state = stream.state()
    with pytest.raises(ConfigurationError, match=r"with sampling_rate 256.0, this one has 250.0"):
        make(classifier, rate=250.0).load_state(state)
    other = make(classifier, ["Fz", *NAMES[1:]])
    with pytest.raises(ConfigurationError, match="with ch_names"):
        other.load_state(state)
    with pytest.raises(ConfigurationError, match="lacks buffer"):
        stream.load_state({name: value for name, value in state.items() if name != "buffer"})
    with pytest.raises(ConfigurationError, match="damaged"):
        stream.load_state(state | {"buffer": np.zeros((3, 4))})
    assert stream.seconds == 6.0 and other.seconds == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(classifier, dtype):
    torch.manual_seed(0)
    half = MDJPTForSequenceClassification(MDJPTConfig.preset("tiny", **SIZES)).to(dtype)
    found, wanted = (make(model).push(noise(9)) for model in (half, classifier))
    assert len(found) == 3 and found[0].features.dtype == np.float32
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one.features, other.features, rtol=0.2, atol=0.02)
        np.testing.assert_allclose(one.logits, other.logits, atol=0.05)


def test_weights_that_are_no_numbers_give_no_answer(classifier):
    torch.manual_seed(0)
    broken = MDJPTForSequenceClassification(MDJPTConfig.preset("tiny", **SIZES))
    with torch.no_grad():
        next(broken.mdjpt.parameters()).fill_(torch.nan)
    with pytest.raises(ConfigurationError, match="lost the window from 0 to 5 s: the model's features are not numbers"):
        make(broken).push(noise(6))


def test_smoothing_is_that_of_recordings_and_begins_anew_after_a_gap(classifier):
    values = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    means = running_mean(values, 5)
    np.testing.assert_allclose(means[3], values[:4].mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(means[20], means[19] + (values[20] - means[19]) / 5, atol=1e-6)
    np.testing.assert_array_equal(running_mean(values, 1), values)
    mean = RunningMean(5)
    np.testing.assert_array_equal([mean.push(row) for row in values], means)
    signal = spoilt("nan", 13, 14, 40)
    plain, smooth = (feed(make(classifier, smoothing_windows=count), signal, [64])[0] for count in (1, 3))
    for part in (lambda end: end <= 13, lambda end: end > 13):
        rows = np.stack([window.features for end, window in plain.items() if part(end)])
        again = np.stack([window.features for end, window in smooth.items() if part(end)])
        np.testing.assert_allclose(again, running_mean(rows, 3), atol=1e-6)
    with pytest.raises(ConfigurationError, match="smoothing_windows is 0"):
        make(classifier, smoothing_windows=0)


def test_a_channel_more_than_the_cap_has_is_no_longer_a_stream(classifier):
    names = list(STANDARD_CHANNELS[:20])
    stream = make(classifier, names)
    with pytest.raises(SignalError, match=r"shape \(20, any number\), found \(19, 100\)"):
        stream.push(np.zeros((19, 100)))
    assert stream.seconds == 0
