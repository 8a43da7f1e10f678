"""The filter as a band of a matrix against scipy's, bit by bit."""

import numpy as np
import pytest
from scipy.signal import upfirdn

from mdjpt_hf.modeling import polyphase_mdjpt
from mdjpt_hf.modeling.filtering_mdjpt import resample
from mdjpt_hf.modeling.polyphase_mdjpt import polyphase

FACTORS = [(1, 2), (1, 4), (5, 8), (125, 128), (2, 1), (125, 256), (25, 51), (3, 1)]


@pytest.fixture
def counted(monkeypatch):
    """How often the band was used."""
    calls = []
    by_band = polyphase_mdjpt._by_band
    monkeypatch.setattr(polyphase_mdjpt, "_by_band", lambda *given: calls.append(1) or by_band(*given))
    return calls


@pytest.mark.parametrize(("up", "down"), FACTORS)
@pytest.mark.parametrize("channels", [1, 7, 300])
def test_equals_upfirdn_to_the_bit(counted, up, down, channels):
    rng = np.random.default_rng(up * 1000 + down)
    taps = rng.standard_normal(41 * up + 2)
    signal = rng.standard_normal((channels, 6000 if channels < 300 else 700)) * 1e4
    whole = upfirdn(taps, signal, up, down)
    for first in (0, 1, 7, whole.shape[1] // 3):
        count = whole.shape[1] - first
        assert np.array_equal(polyphase(taps, signal, up, down, first, count), whole[:, first:])
        half = polyphase(taps, signal, up, down, first, count // 2)
        assert np.array_equal(half, whole[:, first : first + count // 2])
    assert counted


@pytest.mark.parametrize("channels", [1, 40])
def test_behind_the_end_are_zeros(channels):
    signal = np.random.default_rng(0).standard_normal((channels, 300))
    taps = np.ones(9)
    whole = upfirdn(taps, signal, 1, 2)
    longer = polyphase(taps, signal, 1, 2, 0, whole.shape[1] + 5)
    assert np.array_equal(longer[:, :-5], whole)
    assert not longer[:, -5:].any()


def test_odd_ratios_and_short_signals_are_left_to_scipy(counted):
    rng = np.random.default_rng(0)
    signal = rng.standard_normal((20, 500))
    taps = rng.standard_normal(5003 * 240)
    assert np.array_equal(polyphase(taps, signal, 5003, 5000, 600, 90), upfirdn(taps, signal, 5003, 5000)[:, 600:690])
    assert np.array_equal(polyphase(taps[:99], signal[0], 1, 2, 3, 40), upfirdn(taps[:99], signal[0], 1, 2)[3:43])
    assert not counted


@pytest.mark.parametrize("rate", [128.0, 200.0, 250.0, 256.0, 500.0, 512.0, 1000.0, 1024.0, 2048.0, 2500.0, 100.0])
def test_resampling_is_what_it_was(counted, monkeypatch, rate):
    signal = np.random.default_rng(0).standard_normal((4, round(12 * rate)))
    by_band = resample(signal, rate)
    assert counted
    monkeypatch.setattr(polyphase_mdjpt, "_FEWEST_COLUMNS", np.inf)
    assert np.array_equal(by_band, resample(signal, rate))
    assert by_band.shape == (4, 1500)
