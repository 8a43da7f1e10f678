"""The feature extractor: from an array or an MNE recording to the model's input."""

import os
import subprocess
import sys
import textwrap

import mne
import numpy as np
import pytest
import torch
from transformers import AutoFeatureExtractor, BatchFeature

from mdjpt_hf.errors import MDJPTError, MontageError, SamplingRateError, SignalError, UnitError
from mdjpt_hf.modeling.feature_extraction_mdjpt import MDJPTFeatureExtractor
from mdjpt_hf.modeling.montage_mdjpt import STANDARD_CHANNELS, channel_projection
from mdjpt_hf.modeling.raw_mdjpt import read_raw
from mdjpt_hf.modeling.signal_mdjpt import robust_scale
from mdjpt_hf.modeling.stretches_mdjpt import mask_spans, whole
from mdjpt_hf.preprocessing import preprocess

NAMES = ["Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2", "T7", "T8", "Cz", "AF7"]


def eeg(channels=14, rate=250.0, seconds=15.0, seed=0):
    """Tones with a frequency of its own for each channel, about 10 µV."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    tones = [np.sin(2 * np.pi * (4 + 0.3 * channel) * time) for channel in range(channels)]
    noise = [
        sum(np.sin(2 * np.pi * f * time + rng.uniform(0, 6)) for f in rng.uniform(1, 40, 6)) for _ in range(channels)
    ]
    return 10 * np.array(tones) + 3 * np.array(noise)


def as_raw(signal, names, rate=250.0, types="eeg", **info):
    raw = mne.io.RawArray(signal * 1e-6, mne.create_info(list(names), rate, types), verbose="ERROR", **info)
    return raw


@pytest.fixture(scope="module")
def extractor():
    return MDJPTFeatureExtractor()


def test_shapes_types_and_keys(extractor):
    inputs = extractor(eeg(), NAMES, 250, unit="uV", return_tensors="pt")
    assert isinstance(inputs, BatchFeature)
    assert list(inputs.keys()) == ["input_values", "group_ids", "window_onsets"]
    assert inputs["input_values"].shape == (6, 60, 625) and inputs["input_values"].dtype == torch.float32
    assert inputs["group_ids"].tolist() == [0] * 6 and inputs["group_ids"].dtype == torch.int64
    assert inputs["window_onsets"].tolist() == [0, 2, 4, 6, 8, 10] and inputs["window_onsets"].dtype == torch.float32
    for tensors in (None, "np"):
        arrays = extractor(eeg(), NAMES, 250, return_tensors=tensors)
        assert [array.dtype for array in arrays.values()] == [np.float32, np.int64, np.float32]
        np.testing.assert_array_equal(arrays["input_values"], inputs["input_values"].numpy())


def test_report_is_an_attribute_and_survives_to(extractor):
    inputs = extractor(eeg(), ["EEG Fp1-REF", *NAMES[1:]], 250, return_tensors="pt")
    report = inputs.report
    moved = inputs.to(torch.float64)
    assert moved.report is report and "report" not in moved
    assert moved["input_values"].dtype == torch.float64 and moved["group_ids"].dtype == torch.int64
    assert report.renamed == {"EEG Fp1-REF": "Fp1"}
    assert (report.recorded_rate, report.sampling_rate, report.windows, report.windows_rejected) == (
        250,
        125,
        6,
        0,
    )
    assert set(report.missing) == set(STANDARD_CHANNELS) - set(NAMES)
    assert "resampled from 250 to 125 Hz" in str(report) and "6 windows" in str(report)


def test_each_channel_arrives_in_its_place_at_its_time(extractor):
    time = np.arange(15 * 250) / 250
    signal = np.random.default_rng(0).normal(0, 3, (len(NAMES), len(time)))
    burst = NAMES.index("P4")
    signal[burst] += 30 * np.sin(2 * np.pi * 10 * time) * (np.abs(time - 7.0) < 0.5)
    inputs = extractor(signal, NAMES, 250, stride_seconds=1.0)
    power = inputs["input_values"] ** 2
    recorded = [STANDARD_CHANNELS.index(name) for name in NAMES if name in STANDARD_CHANNELS]
    assert STANDARD_CHANNELS[recorded[np.argmax(power[:, recorded].sum(axis=(0, 2)))]] == "P4"
    for window, onset in zip(power[:, STANDARD_CHANNELS.index("P4")], inputs["window_onsets"], strict=True):
        if 2.5 <= onset <= 6.0:  # the whole burst lies in the window
            centre = (window * np.arange(625)).sum() / window.sum() / 125 + onset
            assert centre == pytest.approx(7.0, abs=0.2)


def test_values_are_the_basic_preparation_scaled_and_projected(extractor):
    signal, names = eeg(), [*NAMES[:-1], "CB1"]
    inputs = extractor(as_raw(signal, names))
    prepared = preprocess(signal, names, 250.0, "basic")
    mean, std = robust_scale(prepared.signal)
    wanted = channel_projection(prepared.ch_names) @ ((prepared.signal - mean) / std)
    for window, onset in zip(inputs["input_values"], inputs["window_onsets"], strict=True):
        start = round(float(onset) * 125)
        np.testing.assert_allclose(window, wanted[:, start : start + 625], atol=1e-3)
    assert (inputs.report.mean, inputs.report.std) == pytest.approx((mean, std), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(("unit", "factor"), [("uV", 1), ("mV", 1e-3), ("V", 1e-6)])
def test_units(extractor, unit, factor):
    wanted = extractor(eeg(), NAMES, 250)["input_values"]
    values = extractor(eeg() * factor, NAMES, 250, unit=unit)["input_values"]
    np.testing.assert_allclose(values, wanted, atol=1e-4)
    np.testing.assert_allclose(extractor(as_raw(eeg(), NAMES))["input_values"], wanted, atol=1e-4)


@pytest.mark.parametrize(
    ("factor", "unit"), [(1, "V"), (1, "mV"), (1e-6, "uV"), (1e-6, None), (1e-3, "V"), (1e-6, "mV")]
)
def test_unit_mistakes_are_caught(extractor, factor, unit):
    with pytest.raises(UnitError, match="typical amplitude"):
        extractor(eeg() * factor, NAMES, 250, unit=unit)


def test_raw_with_a_wrong_unit(extractor):
    wrong = as_raw(eeg() * 1e6, NAMES)  # µV stored as if they were V
    with pytest.raises(UnitError, match="'V'"):
        extractor(wrong)
    np.testing.assert_allclose(
        extractor(wrong, unit="uV")["input_values"], extractor(eeg(), NAMES, 250)["input_values"], atol=1e-4
    )
    with pytest.raises(UnitError, match="unknown unit"):
        extractor(wrong, unit="nV")


def test_order_of_channels_does_not_matter(extractor):
    order = np.random.default_rng(1).permutation(len(NAMES))
    shuffled = extractor(eeg()[order], [NAMES[i] for i in order], 250)["input_values"]
    np.testing.assert_allclose(shuffled, extractor(eeg(), NAMES, 250)["input_values"], atol=1e-4)


@pytest.mark.parametrize("channels", [4, 5, 7, 8, 32, 64, 128])
def test_any_number_of_channels(extractor, channels):
    spread = ["AF3", "AF4", "P7", "P8", "Cz", "T7", "T8", "Oz"]
    others = [*STANDARD_CHANNELS, *(name for name in _electrodes() if name not in STANDARD_CHANNELS)]
    places = [*spread, *(name for name in others if name not in spread)][:channels]
    inputs = extractor(eeg(channels, seconds=6.0), places, 250)
    assert inputs["input_values"].shape == (1, 60, 625)
    assert np.isfinite(inputs["input_values"]).all()
    assert (np.abs(inputs["input_values"]).max(axis=(0, 2)) > 0).all()


def _electrodes():
    from mdjpt_hf.modeling.electrodes_mdjpt import ELECTRODES

    return [name for name in ELECTRODES if name not in ("A1", "A2", "M1", "M2")]


@pytest.mark.parametrize("rate", [100, 128, 160, 200, 256, 500, 512, 1000, 1024, 2048])
def test_any_rate_gives_the_same_windows(extractor, rate):
    values = extractor(eeg(rate=rate), NAMES, rate)["input_values"]
    wanted = extractor(eeg(rate=125), NAMES, 125)["input_values"]
    assert values.shape == wanted.shape
    assert np.abs(values - wanted)[1:-1].max() < 0.02


def test_offsets_of_60_millivolts_change_nothing(extractor):
    offsets = np.linspace(-60_000, 60_000, len(NAMES))[:, None]
    values = extractor(eeg() + offsets, NAMES, 250)["input_values"]
    np.testing.assert_allclose(values, extractor(eeg(), NAMES, 250)["input_values"], atol=5e-3)


@pytest.mark.parametrize("dtype", [np.float32, np.int16])
def test_other_number_types(extractor, dtype):
    values = extractor((eeg() * 10).astype(dtype), NAMES, 250)["input_values"]
    np.testing.assert_allclose(values, extractor(eeg() * 10, NAMES, 250)["input_values"], atol=0.03)
    np.testing.assert_array_equal(extractor(torch.tensor(eeg()), NAMES, 250)["input_values"].shape, (6, 60, 625))


def test_half_precision_in_other_units_does_not_overflow(extractor):
    values = extractor((eeg() * 1e-6).astype(np.float16), NAMES, 250, unit="V")["input_values"]
    np.testing.assert_allclose(values, extractor(eeg(), NAMES, 250)["input_values"], atol=0.05)


def test_arrays_that_are_none(extractor):
    with pytest.raises(SignalError, match="signal is no array"):
        extractor([[1.0] * 2000, [1.0] * 1999], NAMES[:2], 250)
    with pytest.raises(MontageError, match="ch_names must list"):
        extractor(eeg(), list(range(14)), 250)


def test_channels_of_other_kinds_are_dropped(extractor):
    names = [*NAMES, "EOG L", "ECG ECG", "EEG A2-A1", "M1", "STI"]
    types = ["eeg"] * len(NAMES) + ["eog", "eeg", "eeg", "eeg", "stim"]
    signal = np.vstack([eeg(), 5 * eeg(5, seed=3)])
    inputs = extractor(as_raw(signal, names, types=types))
    assert set(inputs.report.dropped) == {"EOG L", "ECG ECG", "EEG A2-A1", "M1", "STI"}
    np.testing.assert_allclose(inputs["input_values"], extractor(eeg(), NAMES, 250)["input_values"], atol=1e-4)


def test_bads_of_the_recording_and_of_the_call_are_interpolated(extractor):
    signal = eeg()
    signal[[3, 5]] = 4 * eeg(2, seed=9)
    raw = as_raw(signal, NAMES)
    raw.info["bads"] = ["F4"]
    inputs = extractor(raw, bads=["C4"])
    assert inputs.report.bads == inputs.report.interpolated == ["F4", "C4"]
    prepared = preprocess(signal, NAMES, 250.0, bads=["F4", "C4"])
    mean, std = robust_scale(prepared.signal)
    f4 = (prepared.signal[NAMES.index("F4"), :625] - mean) / std
    np.testing.assert_allclose(inputs["input_values"][0, STANDARD_CHANNELS.index("F4")], f4, atol=1e-3)
    with pytest.raises(MontageError, match="'F5'"):
        extractor(raw, bads=["F5"])


def test_bads_among_dropped_channels_do_not_matter(extractor):
    raw = as_raw(eeg(len(NAMES) + 1), [*NAMES, "HEOG"])
    raw.info["bads"] = ["HEOG"]
    assert extractor(raw).report.bads == []


@pytest.mark.parametrize("bads", ["f4", ["f4"], iter(["F4"])], ids=["word", "list", "iterator"])
def test_bads_in_any_spelling_for_every_recording(extractor, bads):
    inputs = extractor([eeg(), eeg(seed=1)], NAMES, 250, bads=bads)
    assert [report.interpolated for report in inputs.report] == [["F4"], ["F4"]]


def test_marks_before_the_first_sample_reject_nothing():
    usable = mask_spans([(-3.0, -1.0), (-1.0, 0.5), (2.0, 2.0), (9.0, 11.0)], whole(500), 100.0, 500)
    assert np.flatnonzero(~usable).tolist() == [*range(50), 200]
    assert mask_spans([(-3.0, -1.0)], whole(500), 100.0, 500).all()


@pytest.mark.parametrize("tmin", [0.0, 3.0])
def test_stretches_marked_bad_are_left_out(extractor, tmin):
    signal = eeg(seconds=33.0)
    blink = (np.arange(signal.shape[1]) / 250 >= 16.0) & (np.arange(signal.shape[1]) / 250 < 17.0)
    signal[:, blink] += 100
    raw = as_raw(signal, NAMES).set_annotations(mne.Annotations([16.0, 30.0], [1.0, 2.0], ["BAD_blink", "eyes"]))
    inputs = extractor(raw.crop(tmin))
    onsets = inputs["window_onsets"] + tmin
    assert inputs.report.windows_rejected > 0
    assert all(onset + 5 <= 16 or onset >= 17 for onset in onsets)
    every = np.arange(0, 33 - tmin - 5 + 1e-6, 2) + tmin
    assert len(onsets) + inputs.report.windows_rejected == len(every)
    assert sum(onset + 5 <= 16 or onset >= 17 for onset in every) == len(onsets)


def test_stretches_marked_bad_do_not_scale(extractor):
    signal = eeg(seconds=30.0)
    signal[:, 2500:5000] *= 8
    raw = as_raw(signal, NAMES)
    loud = extractor(raw).report.std
    raw.set_annotations(mne.Annotations([9.5], [11.0], ["bad_movement"]))
    assert extractor(raw).report.std < 0.5 * loud


def test_all_windows_bad_is_an_error(extractor):
    raw = as_raw(eeg(), NAMES).set_annotations(mne.Annotations([0], [15], ["BAD_"]))
    with pytest.raises(SignalError, match="all 6 windows"):
        extractor(raw)


def test_lists_of_recordings(extractor):
    first, second = eeg(), eeg(4, rate=200.0, seconds=7.0)
    inputs = extractor([first, second], [NAMES, NAMES[:4]], [250, 200], return_tensors="pt")
    assert inputs["group_ids"].tolist() == [0] * 6 + [1] * 2
    assert inputs["window_onsets"].tolist() == [0, 2, 4, 6, 8, 10, 0, 2]
    alone = extractor(second, NAMES[:4], 200, return_tensors="pt")
    torch.testing.assert_close(inputs["input_values"][6:], alone["input_values"])
    assert [report.windows for report in inputs.report] == [6, 2]
    shared = extractor([as_raw(first, NAMES), first], NAMES, 250)
    np.testing.assert_allclose(shared["input_values"][:6], shared["input_values"][6:], atol=1e-4)
    with pytest.raises(SignalError, match="2 recordings were given but 3 entries of sampling_rate"):
        extractor([first, second], [NAMES, NAMES[:4]], [250, 200, 250])


@pytest.mark.parametrize("kind", ["epochs", "array"])
def test_trials_are_filtered_and_cut_each_by_itself(extractor, kind):
    """The same windows as from each trial alone, but for the scale, which all share."""
    trials = np.stack([eeg(seconds=9.0, seed=seed) * (1 + seed) + 300 * seed for seed in range(3)])
    if kind == "epochs":
        events = np.array([[2500, 0, 1], [10_000, 0, 1], [5000, 0, 1]])
        info = mne.create_info(NAMES, 250.0, "eeg")
        epochs = mne.EpochsArray(trials[[0, 2, 1]] * 1e-6, info, events[[0, 2, 1]], tmin=-1.0, verbose="ERROR")
        inputs, order, onsets = extractor(epochs), [0, 2, 1], [9.0, 19.0, 39.0]
    else:
        inputs, order, onsets = extractor(trials, NAMES, 250), [0, 1, 2], [0.0, 9.0, 18.0]
    assert inputs["trial_ids"].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert inputs["window_onsets"].tolist() == [onset + step for onset in onsets for step in (0.0, 2.0, 4.0)]
    assert inputs["group_ids"].tolist() == [0] * 9
    for place, trial in enumerate(order):
        alone = extractor(trials[trial], NAMES, 250)
        scale = alone.report.std / inputs.report.std
        found = inputs["input_values"][3 * place : 3 * place + 3]
        wanted = alone["input_values"] * scale + (alone.report.mean - inputs.report.mean) / inputs.report.std
        np.testing.assert_allclose(found, wanted, atol=2e-3)


def test_resampled_epochs_keep_their_times(extractor):
    raw = as_raw(eeg(seconds=30.0), NAMES)
    epochs = mne.make_fixed_length_epochs(raw, 10, preload=True, verbose="ERROR")
    times = extractor(epochs)["window_onsets"].tolist()
    assert times[0] == 0 and times[-1] == 24
    assert extractor(epochs.copy().resample(500))["window_onsets"].tolist() == times
    assert extractor(epochs.resample(125))["window_onsets"].tolist() == times


def test_trials_that_cannot_be_used(extractor):
    epochs = mne.EpochsArray(eeg(seconds=3.0)[None] * 1e-6, mne.create_info(NAMES, 250.0, "eeg"), verbose="ERROR")
    with pytest.raises(SignalError, match="lasts 3 s, one window 5 s"):
        extractor(epochs)
    with pytest.raises(SignalError, match="neither a recording nor epochs"):
        extractor(epochs.average())
    with pytest.raises(SignalError, match="no trials"):
        extractor(np.empty((0, 14, 2000)), NAMES, 250)
    several = extractor([eeg()[None], eeg(seconds=7.0)[None]], NAMES, 250)
    assert several["group_ids"].tolist() == [0] * 6 + [1] * 2 and "trial_ids" in several
    assert "trial_ids" not in extractor(eeg(), NAMES, 250)


def test_one_sample_less_than_a_window_is_told_in_full(extractor):
    with pytest.raises(SignalError, match=r"lasts 4\.9998 s, one window 5 s"):
        extractor(eeg(seconds=4.9998, rate=5000.0), NAMES, 5000)


def test_missing_or_contradicting_arguments(extractor):
    with pytest.raises(SamplingRateError, match="sampling_rate must be a number in Hz, found None"):
        extractor(eeg(), NAMES)
    with pytest.raises(MontageError, match="ch_names must list"):
        extractor(eeg(), sampling_rate=250)
    with pytest.raises(SamplingRateError, match="64 Hz is below 94 Hz"):
        extractor(eeg(), NAMES, 64)
    with pytest.raises(SignalError, match="named channels"):
        extractor(eeg(), NAMES[:-1], 250)
    with pytest.raises(SamplingRateError, match="differs from the 250 Hz"):
        extractor(as_raw(eeg(), NAMES), sampling_rate=500)
    with pytest.raises(MontageError, match="ch_names differ"):
        extractor(as_raw(eeg(), NAMES), NAMES[::-1])
    with pytest.raises(SignalError, match="stride_seconds"):
        extractor(eeg(), NAMES, 250, stride_seconds=0)
    signal = eeg()
    signal[2, 8] = np.nan
    with pytest.raises(SignalError, match="channel F3, sample 8"):
        extractor(signal, NAMES, 250)


def test_too_short_a_recording_says_how_long_it_is(extractor):
    with pytest.raises(SignalError, match="lasts 4.99 s, one window 5 s"):
        extractor(eeg(seconds=4.992), NAMES, 250)
    assert extractor(eeg(seconds=5.0), NAMES, 250)["input_values"].shape[0] == 1


@pytest.mark.parametrize(
    "setting",
    [
        {"window_seconds": 0},
        {"stride_seconds": -1},
        {"montage": "near"},
        {"band": [0.5, 60]},
        {"sampling_rate": 60},
        {"sampling_rate": 94},
    ],
)
def test_impossible_settings_are_refused(setting):
    with pytest.raises(MDJPTError):
        MDJPTFeatureExtractor(**setting)


def test_settings_act():
    one_second = MDJPTFeatureExtractor(window_seconds=1.0, stride_seconds=0.5, montage="released", band=[2.0, 30.0])
    inputs = one_second(eeg(), NAMES, 250)
    assert inputs["input_values"].shape == (29, 60, 125)
    time = np.arange(15 * 250) / 250
    loud = eeg() + 50 * np.sin(2 * np.pi * 40 * time) * (np.arange(14) == 3)[:, None]
    low = one_second(loud, NAMES, 250)["input_values"][10]
    spectrum = np.abs(np.fft.rfft(low[STANDARD_CHANNELS.index("F4")] * np.hanning(125)))
    assert spectrum[40] < 0.1 * spectrum[4:6].max()


def test_saved_settings_come_back(tmp_path):
    extractor = MDJPTFeatureExtractor(stride_seconds=1.0, montage="released")
    extractor.save_pretrained(tmp_path)
    loaded = MDJPTFeatureExtractor.from_pretrained(tmp_path)
    assert (loaded.stride_seconds, loaded.montage, loaded.band) == (1.0, "released", [0.5, 47.0])
    assert (loaded.feature_size, loaded.padding_value, loaded.padding_side) == (60, 0.0, "right")
    np.testing.assert_array_equal(
        loaded(eeg(), NAMES, 250)["input_values"], extractor(eeg(), NAMES, 250)["input_values"]
    )


def test_loads_as_remote_code_without_the_package_and_without_mne(tmp_path):
    import mdjpt_hf  # noqa: F401  registers the class, so that saving copies its code

    MDJPTFeatureExtractor().save_pretrained(tmp_path / "model")
    np.save(tmp_path / "signal.npy", eeg())
    code = f"""
        import sys
        class Block:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] in ("mne", "mdjpt_hf", "datasets"):
                    raise ImportError(name)
        sys.meta_path.insert(0, Block())
        import numpy as np
        from transformers import AutoFeatureExtractor
        extractor = AutoFeatureExtractor.from_pretrained("model", trust_remote_code=True)
        np.save("values.npy", extractor(np.load("signal.npy"), {NAMES}, 250)["input_values"])
    """
    # the rest as here: with other settings of its BLAS a process has other last bits
    environment = {**os.environ, "PYTHONPATH": "", "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    wanted = MDJPTFeatureExtractor()(eeg(), NAMES, 250)["input_values"]
    np.testing.assert_array_equal(np.load(tmp_path / "values.npy"), wanted)


def test_auto_class_opens_it(tmp_path):
    MDJPTFeatureExtractor(stride_seconds=1.5).save_pretrained(tmp_path)
    loaded = AutoFeatureExtractor.from_pretrained(tmp_path, trust_remote_code=False)
    assert type(loaded) is MDJPTFeatureExtractor and loaded.stride_seconds == 1.5


def test_a_recording_read_before_is_taken_and_contradictions_are_refused():
    recording = read_raw(as_raw(eeg(), NAMES))
    wanted = MDJPTFeatureExtractor()(as_raw(eeg(), NAMES))
    found = MDJPTFeatureExtractor()([recording], sampling_rate=250)
    np.testing.assert_array_equal(found["input_values"], wanted["input_values"])
    assert MDJPTFeatureExtractor()(recording, bads=[NAMES[2]]).report.bads == [NAMES[2]] and recording.bads == []
    with pytest.raises(SamplingRateError, match="differs from the 250 Hz"):
        MDJPTFeatureExtractor()(recording, sampling_rate=500)
    with pytest.raises(MontageError, match="ch_names differ"):
        MDJPTFeatureExtractor()(recording, ch_names=NAMES[::-1])
    with pytest.raises(MontageError, match="not in the recording"):
        MDJPTFeatureExtractor()(recording, bads=["C17"])
