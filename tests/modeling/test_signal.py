"""The shared signal path: resampling, filters, bad channels, reference, scale."""

import tracemalloc

import numpy as np
import pytest

from mdjpt_hf.errors import MontageError, SamplingRateError, SignalError, UnitError
from mdjpt_hf.modeling.filtering_mdjpt import resampled_length
from mdjpt_hf.modeling.mne_mdjpt import template_montage
from mdjpt_hf.modeling.montage_mdjpt import STANDARD_CHANNELS
from mdjpt_hf.modeling.signal_mdjpt import (
    average_reference,
    band_pass,
    check_amplitude,
    clean,
    cut_windows,
    find_bad_channels,
    interpolate_channels,
    resample,
    robust_scale,
)

RATES = [100, 125, 128, 160, 200, 250, 256, 500, 512, 1000, 1024, 2048, 499.97]


def tone(frequency, rate, seconds=12.0):
    return np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)


def decibel(signal):
    return 20 * np.log10(np.abs(signal).max())


def background(channels, rate, seconds=20.0, seed=0):
    """Smooth noise of about 10 µV, partly common to all channels."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    shared = sum(np.sin(2 * np.pi * f * time + rng.uniform(0, 6)) for f in (2.3, 6.1, 10.2, 21.0))
    own = [
        sum(np.sin(2 * np.pi * f * time + rng.uniform(0, 6)) for f in rng.uniform(1, 40, 8)) for _ in range(channels)
    ]
    return 4 * np.array(own) + 3 * shared


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("frequency", [10, 46])
def test_resampled_tone_keeps_time_and_amplitude(rate, frequency):
    signal = resample(tone(frequency, rate), rate)
    wanted = np.sin(2 * np.pi * frequency * np.arange(len(signal)) / 125)
    assert len(signal) == 1500 + (rate == 499.97)
    # a rate that is no simple fraction of the target is met to a thousandth of a sample
    np.testing.assert_allclose(signal[125:-125], wanted[125:-125], atol=5e-4 if rate % 1 == 0 else 5e-3)


@pytest.mark.parametrize(
    ("frequency", "rate"), [(70, 500), (63, 250), (70, 160), (90, 1000), (450, 1024), (1000, 2048)]
)
def test_what_the_new_rate_cannot_carry_is_removed(frequency, rate):
    assert decibel(resample(tone(frequency, rate), rate)[125:-125]) < -70


def test_resampling_up_makes_no_image():
    signal = resample(tone(40, 100), 100)[125:-125]
    spectrum = np.abs(np.fft.rfft(signal * np.hanning(len(signal))))
    frequencies = np.fft.rfftfreq(len(signal), 1 / 125)
    assert spectrum[frequencies > 50].max() < 1e-3 * spectrum.max()


@pytest.mark.parametrize("rate", [100, 128, 200, 500, 512, 2048])
def test_large_offset_leaves_no_trace(rate):
    with_offset = resample(tone(10, rate) + 60_000, rate)
    np.testing.assert_allclose(with_offset - 60_000, resample(tone(10, rate), rate), atol=1e-6)


def test_edges_of_offsets_and_drifts_do_not_ring():
    drift = 60_000 + 50 * np.arange(5000) / 500
    np.testing.assert_allclose(resample(drift, 500), 60_000 + 50 * np.arange(1250) / 125, atol=0.01)


@pytest.mark.parametrize("samples", [1, 2, 3, 700])
def test_resampled_length_is_rounded_up(samples):
    assert resample(np.ones((2, samples)), 256).shape == (2, -(-samples * 125 // 256))


@pytest.mark.parametrize("rate", [93.9, 64, 0, -125, np.nan, np.inf, None, "250", True])
def test_impossible_rates_are_refused(rate):
    with pytest.raises(SamplingRateError) as error:
        resample(np.ones(1000), rate)
    assert error.value.remedy


@pytest.mark.parametrize(
    ("frequency", "low", "high"), [(10, -0.05, 0.05), (2, -0.1, 0.1), (0.5, -6.1, -5.9), (47, -6.1, -5.9)]
)
def test_band_pass_gain(frequency, low, high):
    assert low < decibel(band_pass(tone(frequency, 125, 60), 125)[2000:-2000]) < high


@pytest.mark.parametrize(("frequency", "most"), [(50, -40), (60, -80), (0.05, -60)])
def test_band_pass_removes(frequency, most):
    assert decibel(band_pass(tone(frequency, 125, 60), 125)[2000:-2000]) < most


def test_band_pass_does_not_delay_and_removes_offset():
    signal = band_pass(tone(10, 125) + 60_000, 125)
    np.testing.assert_allclose(signal[250:-250], tone(10, 125)[250:-250], atol=0.01)
    assert np.abs(signal).max() < 1.5


def test_band_pass_takes_one_second():
    signal = band_pass(tone(10, 125, 1.0), 125)
    assert np.corrcoef(signal, tone(10, 125, 1.0))[0, 1] > 0.98


def test_bad_channels_are_the_loud_and_the_flat():
    signal = background(20, 125)
    signal[3] *= 20  # above 3 medians most of the time
    signal[7] = 0
    signal[11, :40] = 2000  # above 30 medians in 40 of 2500 samples
    signal[12, :20] = 2000  # only in 20
    assert find_bad_channels(signal) == [3, 7, 11]


def test_flat_channels_do_not_make_the_others_bad():
    signal = background(20, 125)
    signal[:12] = 0
    assert find_bad_channels(signal) == list(range(12))
    assert find_bad_channels(np.zeros((4, 500))) == [0, 1, 2, 3]


def test_interpolation_agrees_with_mne():
    mne = pytest.importorskip("mne")
    names = [name for name in STANDARD_CHANNELS if name != "Fpz"]
    rng = np.random.default_rng(0)
    places = mne.channels.make_standard_montage(template_montage()).get_positions()["ch_pos"]
    head = np.array([places[name] for name in names]) * 10
    signal = (np.sin(head @ rng.normal(size=(3, 6))) @ rng.normal(size=(6, 500))) * 10
    info = mne.create_info(names, 125.0, "eeg")
    raw = mne.io.RawArray(signal * 1e-6, info, verbose="ERROR").set_montage(template_montage())
    bads = ["F3", "Cz", "O2", "TP7"]
    raw.info["bads"] = bads
    raw.interpolate_bads(method=dict(eeg="spline"), verbose="ERROR")
    ours, theirs = interpolate_channels(signal, names, bads), raw.get_data() * 1e6
    for name in bads:
        row = names.index(name)
        assert np.corrcoef(ours[row], theirs[row])[0, 1] > 0.995, name
        assert np.abs(ours[row] - theirs[row]).mean() < 0.1 * np.abs(theirs[row]).mean(), name
    good = [row for row, name in enumerate(names) if name not in bads]
    np.testing.assert_array_equal(ours[good], signal[good])


def test_interpolation_gives_a_constant_field_back():
    names = list(STANDARD_CHANNELS)
    signal = np.full((60, 4), 5.0)
    signal[10] = 999
    np.testing.assert_allclose(interpolate_channels(signal, names, ["F2"]), 5.0, atol=1e-6)


def test_interpolation_refuses_what_it_cannot_do():
    signal = np.ones((5, 10))
    with pytest.raises(MontageError, match="no place is known for"):
        interpolate_channels(signal, ["Fz", "Cz", "Pz", "Oz", "CB1"], ["CB1"])
    with pytest.raises(MontageError, match="from 3 good"):
        interpolate_channels(signal, ["Fz", "Cz", "Pz", "Oz", "CB1"], ["Oz"])
    with pytest.raises(MontageError, match="not in the recording"):
        interpolate_channels(signal, ["Fz", "Cz", "Pz", "Oz", "F3"], ["O1"])


def test_average_reference_from_eight_channels():
    signal = background(8, 125)
    np.testing.assert_allclose(average_reference(signal), signal - signal.mean(axis=0))
    np.testing.assert_array_equal(average_reference(signal[:7]), signal[:7])


def test_robust_scale_leaves_outliers_out():
    rng = np.random.default_rng(0)
    signal = rng.normal(2.0, 10.0, (4, 10_000))
    signal[0, :50] = 1e5
    mean, std = robust_scale(signal)
    kept = signal[np.abs(signal) < 30 * np.median(np.abs(signal))]
    assert kept.size == signal.size - 50
    assert (mean, std) == pytest.approx((kept.mean(), kept.std()))
    with pytest.raises(SignalError, match="nothing is left to scale"):
        robust_scale(np.zeros((3, 100)))


@pytest.mark.parametrize("factor", [1e-6, 1e-3, 1e3, 1e6])
def test_amplitudes_of_another_unit_are_refused(factor):
    signal = background(10, 125)
    assert 3 < check_amplitude(signal) < 30
    with pytest.raises(UnitError, match="'mV'") as error:
        check_amplitude(signal * factor, unit="mV")
    assert error.value.value == pytest.approx(check_amplitude(signal) * factor)
    with pytest.raises(UnitError, match="lies outside"):
        clean(signal * factor, STANDARD_CHANNELS[:10], 125)


def test_cut_windows():
    np.testing.assert_array_equal(cut_windows(1500, 625, 250), [0, 250, 500, 750])
    np.testing.assert_array_equal(cut_windows(625, 625, 250), [0])
    assert len(cut_windows(624, 625, 250)) == 0
    with pytest.raises(SignalError):
        cut_windows(1000, 625, 0)


@pytest.mark.parametrize("rate", RATES)
def test_clean_gives_the_same_signal_at_every_rate(rate):
    names = list(STANDARD_CHANNELS[:12])
    cleaned = clean(background(12, rate), names, rate)
    wanted = clean(background(12, 125), names, 125)
    assert (cleaned.signal.dtype, cleaned.signal.shape, cleaned.ch_names) == (np.float32, (12, 2500), names)
    assert np.abs(cleaned.signal - wanted.signal)[:, 250:-250].max() < 0.05
    np.testing.assert_allclose(cleaned.signal.mean(axis=0), 0, atol=1e-4)


@pytest.mark.parametrize("channels", [1, 2, 7])
def test_clean_keeps_the_reference_of_small_montages(channels):
    signal = background(channels, 125)
    cleaned = clean(signal, STANDARD_CHANNELS[:channels], 125)
    np.testing.assert_allclose(cleaned.signal, band_pass(signal, 125), atol=1e-3)
    assert "too few to average" in " ".join(cleaned.notes)


def test_clean_interpolates_stated_and_found_bads():
    names = [*STANDARD_CHANNELS, "CB1", "CB2"]
    signal = background(62, 125)
    signal[[5, 60]] *= 50
    cleaned = clean(signal, names, 125, bads=["cz"])
    assert (cleaned.bads, cleaned.interpolated) == (["F7", "Cz", "CB1"], ["F7", "Cz"])
    assert cleaned.ch_names == [*STANDARD_CHANNELS, "CB2"]  # no place is known for CB1
    before = interpolate_channels(band_pass(np.delete(signal, 60, axis=0), 125), cleaned.ch_names, ["F7", "Cz"])
    np.testing.assert_allclose(cleaned.signal, average_reference(before), atol=2e-3)
    assert "found bad: F7, CB1" in cleaned.notes


def test_clean_says_where_a_value_is_not_finite():
    signal = background(3, 125)
    signal[1, 77] = np.nan
    with pytest.raises(SignalError, match="channel Cz, sample 77") as error:
        clean(signal, ["Fz", "Cz", "Pz"], 125)
    assert error.value.value == ("Cz", 77)
    signal[1, 77] = np.inf
    with pytest.raises(SignalError, match="inf at channel Cz"):
        clean(signal, ["Fz", "Cz", "Pz"], 125)


@pytest.mark.parametrize(
    ("signal", "names", "message"),
    [
        (np.ones((2, 500)), ["Fz"], "1 named channels"),
        (np.ones(500), ["Fz"], r"found \(500,\)"),
        (np.ones((1, 0)), ["Fz"], "shape"),
        (np.ones((1, 500), dtype=complex), ["Fz"], "complex128"),
        (np.ones((1, 124)), ["Fz"], "at least 1 s"),
        (np.full((2, 500), 7.0), ["Fz", "Cz"], "all 2 channels are flat"),
        (np.tile(tone(10, 125, 4) * 20, (9, 1)), STANDARD_CHANNELS[:9], "copies of one another"),
    ],
)
def test_clean_refuses(signal, names, message):
    with pytest.raises(SignalError, match=message):
        clean(signal, names, 125)


def test_clean_refuses_a_montage_that_is_mostly_bad():
    signal = background(10, 125)
    signal[:6] = 0
    with pytest.raises(SignalError, match="6 of 10 channels"):
        clean(signal, STANDARD_CHANNELS[:10], 125)
    with pytest.raises(MontageError, match="'Oz'"):
        clean(background(10, 125), STANDARD_CHANNELS[:10], 125, bads=["Oz"])


def test_clean_leaves_its_input_alone():
    signal = background(9, 125)
    before = signal.copy()
    clean(signal, STANDARD_CHANNELS[:9], 125, bads=["F1"])
    np.testing.assert_array_equal(signal, before)


def test_clean_of_a_long_recording_needs_little_more_than_its_result():
    signal = np.random.default_rng(0).normal(0, 10, (32, 250 * 300)).astype(np.float32)
    clean(signal[:, :1000], STANDARD_CHANNELS[:32], 250)  # filters and tables are made once
    tracemalloc.start()
    cleaned = clean(signal, STANDARD_CHANNELS[:32], 250)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * cleaned.signal.nbytes


def test_a_cap_taken_off_does_not_make_every_channel_bad():
    signal = background(20, 125)
    signal[3] *= 20
    signal[:, -100:] = 3000  # 4 % of the samples, on all channels
    assert find_bad_channels(signal) == [3]


@pytest.mark.parametrize("rate", [999.983, 500.004, 250.002, 1000.0 / 3, 124.9991])
@pytest.mark.parametrize("samples", [20_001, 300_000])
def test_rates_near_a_simple_ratio_keep_their_clock_to_the_end(rate, samples):
    """An amplifier's true rate stands in some headers; a clock rounded to the nominal one would drift away."""
    seconds = np.arange(samples) / rate
    found = resample(np.cos(2 * np.pi * 5 * seconds)[None], rate)[0]
    assert len(found) == resampled_length(samples, rate, 125.0)
    inner = slice(200, len(found) - 200)
    np.testing.assert_allclose(found[inner], np.cos(2 * np.pi * 5 * np.arange(len(found)) / 125.0)[inner], atol=2e-3)
