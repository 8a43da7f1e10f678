"""Change of sampling rate and band-pass, both without delay. Signals are `(..., samples)`.

`scipy.signal` is imported where it is used: loading it takes longer than the rest of the package.
"""

from fractions import Fraction
from functools import lru_cache
from math import ceil

import numpy as np

from .errors_mdjpt import SamplingRateError
from .polyphase_mdjpt import polyphase

#: Hz; the rate, band edges and lowest usable rate of the paper's input.
TARGET_RATE = 125.0
LOW_CUTOFF = 0.5
HIGH_CUTOFF = 47.0
LOWEST_RATE = 2 * HIGH_CUTOFF

#: dB, of the anti-aliasing filter.
STOP_ATTENUATION = 80.0


def check_rate(rate: float | None, lowest: float = LOWEST_RATE) -> float:
    """The sampling rate in Hz, if it can carry the band.

    Raises:
        SamplingRateError: If it is missing, not a positive number, or below `lowest`.
    """
    if isinstance(rate, bool) or not isinstance(rate, int | float | np.integer | np.floating):
        raise SamplingRateError(
            f"sampling_rate must be a number in Hz, found {rate!r}",
            value=rate,
            remedy="Give sampling_rate=...",
        )
    if not (np.isfinite(rate) and rate > 0):
        raise SamplingRateError(
            f"sampling_rate must be positive, found {rate}", value=rate, remedy="Give the rate in Hz"
        )
    if rate < lowest:
        raise SamplingRateError(
            f"sampling_rate {rate:g} Hz is below {lowest:g} Hz, so the recording lacks part of the band "
            f"up to {lowest / 2:g} Hz",
            value=rate,
            remedy="Use a recording sampled faster; a higher rate cannot be made afterwards",
        )
    return float(rate)


def resample(signal: np.ndarray, rate: float, target: float = TARGET_RATE) -> np.ndarray:
    """Change the sampling rate without aliasing: zero-delay polyphase filters with 80 dB in the stop band.

    Components up to 47 Hz pass unchanged; above half the lower of the two rates everything is removed (below
    104 Hz the filter is as steep as it can be). Offsets and slow drifts do not ring at the edges: the signal
    is continued there by point reflection.

    Args:
        signal: `(..., samples)`.
        rate, target: Hz, at least 94, any real number.

    Returns:
        Float64 `(..., ceil(samples * target / rate))`; sample k lies at time k / target.
    """
    check_rate(rate)
    check_rate(target)
    length, lowest = resampled_length(signal.shape[-1], rate, target), min(rate, target)
    for up, down in _stages(float(rate), float(target), length):
        signal = _polyphase(signal, rate, up, down, _transition(rate * up / down, lowest))
        rate = rate * up / down
    signal = np.asarray(signal, dtype=np.float64)[..., :length]
    missing = length - signal.shape[-1]  # the ratio of two odd rates is rounded, by far less than a sample
    return np.pad(signal, [(0, 0)] * (signal.ndim - 1) + [(0, missing)], mode="edge") if missing else signal


def resampled_length(n_samples: int, rate: float, target: float) -> int:
    """Samples that `n_samples` at `rate` Hz become at `target` Hz."""
    return ceil(n_samples * target / rate - 1e-6)


def _stages(rate: float, target: float, length: int) -> list[tuple[int, int]]:
    """Up and down factors; high rates first fall cheaply, by a whole number, to 4 to 8 times the target."""
    factor = max(int(rate // (4 * target)), 1)
    exact = target * factor / rate
    # larger factors cost memory, so only odd rates of long recordings get them
    for largest in (1000, 5000, 20_000, 100_000, 500_000):
        ratio = Fraction(exact).limit_denominator(largest)
        if abs(float(ratio) / exact - 1) * length < 1e-3:  # samples by which the clock is off at the end
            break
    stages = [(1, factor), (ratio.numerator, ratio.denominator)]
    return [stage for stage in stages if stage != (1, 1)]


def _transition(rate_out: float, low: float) -> tuple[float, float]:
    """Edges in Hz of pass and stop band of a stage ending at `rate_out`; `low` is the chain's lowest rate."""
    if rate_out > 2 * low:  # an intermediate stage only has to keep clear what the last one passes
        return low / 2, rate_out - low / 2
    width = min(max(low - LOWEST_RATE, 2.0), 10.0)
    shift = min(max(low / 2 - HIGH_CUTOFF - width / 2, 0.0), width / 2)
    return low / 2 - shift - width / 2, low / 2 - shift + width / 2


@lru_cache(maxsize=16)
def _taps(rate: float, up: int, pass_edge: float, stop_edge: float) -> np.ndarray:
    from scipy.signal import firwin, kaiser_beta

    rate_up = rate * up
    half = ceil((STOP_ATTENUATION - 7.95) / (2.285 * 2 * np.pi * (stop_edge - pass_edge) / rate_up) / 2)
    window = ("kaiser", kaiser_beta(STOP_ATTENUATION))
    taps = firwin(2 * half + 1, (pass_edge + stop_edge) / 2, window=window, fs=rate_up)
    # every phase passes an offset exactly; else one of 60 mV would leave a ripple of some µV at the old rate
    for phase in range(up):
        taps[phase::up] /= taps[phase::up].sum()
    return taps


def _polyphase(signal: np.ndarray, rate: float, up: int, down: int, edges: tuple[float, float]) -> np.ndarray:
    taps = _taps(rate, up, *edges)
    half = len(taps) // 2
    # whole multiples of `down` in front keep the output grid where it was
    pad = ceil(half / up / down) * down
    padded = _reflect(np.asarray(signal, dtype=np.float64), pad)
    lead = -half % down  # zeros before the filter put its centre on the output grid
    first = (half + lead) // down + pad * up // down
    count = ceil(signal.shape[-1] * up / down)
    return polyphase(np.concatenate([np.zeros(lead), taps]), padded, up, down, first, count)


def _reflect(signal: np.ndarray, pad: int) -> np.ndarray:
    widths = [(0, 0)] * (signal.ndim - 1) + [(pad, pad)]
    if signal.shape[-1] == 1:
        return np.pad(signal, widths, mode="edge")
    return np.pad(signal, widths, mode="reflect", reflect_type="odd")


def band_pass(signal: np.ndarray, rate: float, low: float = LOW_CUTOFF, high: float = HIGH_CUTOFF) -> np.ndarray:
    """Zero-phase Butterworth band-pass, half amplitude at both edges; 50 Hz falls by more than 40 dB.

    Order 4 at the low and 20 at the high edge, counting both directions.

    Args:
        signal: `(..., samples)`, at least 1 s.
        rate: Hz, more than twice `high`.
        low, high: Band edges in Hz.
    """
    from scipy.signal import sosfiltfilt

    # the slowest part of the response, one period of the low edge, settles in the continuation
    padding = min(signal.shape[-1] - 1, int(2 * rate / low))
    return sosfiltfilt(_sections(rate, low, high), signal, axis=-1, padtype="odd", padlen=padding)


@lru_cache(maxsize=16)
def _sections(rate: float, low: float, high: float) -> np.ndarray:
    """Second-order sections of both edges. A live signal asks for the same ones every two seconds."""
    from scipy.signal import butter

    return np.vstack(
        [
            butter(2, low, "highpass", fs=rate, output="sos"),
            butter(10, high, "lowpass", fs=rate, output="sos"),
        ]
    )
