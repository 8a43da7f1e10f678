"""Polyphase filters for many channels at once, to the bit what `scipy.signal.upfirdn` gives.

`upfirdn` sums one output after the other, and each product waits for the sum before it. Here the same filter is a band
of a sparse matrix, whose product with many columns makes the same sums in the same order, side by side. Columns are
channels and stretches of time: the filter is the same everywhere, so a small matrix serves a recording of any length.
"""

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_COLUMNS = 256  # at a time: with their samples they fit the second-level cache
_FEWEST_COLUMNS = 16  # fewer, and smaller matrices, do not outweigh what a call costs
_SMALLEST_BAND = 1 << 12  # taps in a matrix
_LARGEST_BAND = 1 << 20  # taps in a matrix, some 12 MB; ratios of odd rates would have more


def polyphase(taps: np.ndarray, signal: np.ndarray, up: int, down: int, first: int, count: int) -> np.ndarray:
    """Samples `first` to `first + count` of `scipy.signal.upfirdn(taps, signal, up, down)`, bit by bit.

    Args:
        taps: `(n,)` float64.
        signal: `(..., samples)` float64, finite: scipy multiplies some samples with zeros, which are left out here.
        up, down: Factors of the rate.
        first, count: Which samples of the result; those behind its end are zeros.

    Returns:
        Float64 `(..., count)`.
    """
    rows = signal.reshape(-1, signal.shape[-1])
    # a stretch then overlaps the next by less than its own length; odd, or stretches would share few lines of the cache
    periods = max(-(-len(taps) // (up * down)), -(-_SMALLEST_BAND // len(taps))) | 1
    stretches = -(-count // (periods * up))
    if len(rows) * stretches < _FEWEST_COLUMNS or periods * len(taps) > _LARGEST_BAND:
        result = _by_scipy(taps, rows, up, down, first, count)
    else:
        result = _by_band(taps, rows, up, down, periods, first, count)
    return result.reshape(*signal.shape[:-1], count)


def _by_scipy(taps: np.ndarray, rows: np.ndarray, up: int, down: int, first: int, count: int) -> np.ndarray:
    from scipy.signal import upfirdn

    found = upfirdn(taps, rows, up, down)[:, first : first + count]
    return np.pad(found, [(0, 0), (0, count - found.shape[1])])


def _by_band(
    taps: np.ndarray, rows: np.ndarray, up: int, down: int, periods: int, first: int, count: int
) -> np.ndarray:
    band = _band(taps.tobytes(), up, down, first * down % up, periods)
    length, width = band.shape
    step = periods * down  # samples that a stretch advances
    stretches = -(-count // length)
    start = first * down // up - (len(taps) - 1) // up  # the oldest sample that the first output sees
    result = np.empty((len(rows), stretches, length))
    each = max(1, _COLUMNS // len(rows))
    for begin in range(0, stretches, each):
        some = min(each, stretches - begin)
        span = _span(rows, start + begin * step, (some - 1) * step + width)
        columns = np.lib.stride_tricks.sliding_window_view(span, width, axis=1)[:, ::step]  # (rows, some, width)
        filtered = band @ np.ascontiguousarray(columns.transpose(2, 0, 1)).reshape(width, -1)
        result[:, begin : begin + some] = filtered.reshape(length, len(rows), some).transpose(1, 2, 0)
    return result.reshape(len(rows), -1)[:, :count]


def _span(rows: np.ndarray, start: int, length: int) -> np.ndarray:
    """`(rows, length)` samples from `start`; zeros where there are none."""
    stop = start + length
    inside = rows[:, max(start, 0) : max(stop, 0)]
    missing = length - inside.shape[1]
    before = min(max(-start, 0), missing)
    return np.pad(inside, [(0, 0), (before, missing - before)]) if missing else inside


@lru_cache(maxsize=16)
def _band(taps: bytes, up: int, down: int, phase: int, periods: int) -> "csr_array":
    """`(outputs, inputs)` matrix of a stretch whose first output lies `phase` steps of the finer grid after an input.

    Columns ascend in every row, so that products are summed from the oldest sample to the newest, as `upfirdn` does.
    """
    from scipy.sparse import csr_array

    values = np.frombuffer(taps)
    reach = (len(values) - 1) // up + 1  # inputs that an output may see
    place = np.arange(periods * up)[:, None] * down + phase
    inputs = place // up - np.arange(reach - 1, -1, -1)  # (outputs, reach), negative ones lie before the stretch
    used = place - inputs * up
    kept = used < len(values)
    indices = inputs[kept] + reach - 1
    pointers = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
    shape = (len(place), int(place[-1, 0]) // up + reach)
    return csr_array((values[used[kept]], indices.astype(np.int32), pointers.astype(np.int32)), shape=shape)
