"""Normalisation and smoothing of features over time, as published results use them (arXiv 2510.22197).

Both work on the features of windows in presentation order and touch no labels. `online_normalise` runs over a session
and is causal; `lds_smooth` runs over a trial and looks ahead, unless told not to.
"""

from functools import lru_cache
from typing import Any

import numpy as np

from .errors_mdjpt import ConfigurationError, SignalError

VARIANCE_FLOOR = 1e-10

#: Windows that are normalised at a time, so that intermediate results stay within the cache.
ROWS_IN_CACHE = 32

#: Windows smoothed by one matrix, at most 128 KiB; longer sequences are smoothed in blocks of so many.
BLOCK = 128

#: The linear dynamical system: a scalar random walk per feature, seen through noise.
STATE_NOISE = 1e-4
OBSERVATION_NOISE = 1.0
FIRST_STATE_VARIANCE = 1e-2


def online_normalise(features: Any, prior_mean: Any, prior_variance: Any, decay: float = 0.99) -> np.ndarray:
    """z-score every window with the windows up to it, starting from a prior that fades.

    At step t = 0, 1, ...: m and s are mean and variance of windows 0 to t, w = decay^t, and
    x̂ = (x - (w μ₀ + (1 - w) m)) / √(w v₀ + (1 - w) s + 1e-10).

    Args:
        features (array of shape `(windows, size)`): One session in presentation order.
        prior_mean, prior_variance (array of shape `(size,)`, or a number): μ₀ and v₀, for example of the training
            subjects. Taken from all subjects, as the published program does, they leak the test subjects.
        decay (`float`): ρ, in (0, 1].

    Returns:
        `np.ndarray` of shape `(windows, size)`: float32 for float32 features, else float64.

    Raises:
        SignalError: If the features are not a finite matrix or a prior does not fit them.
        ConfigurationError: If the decay is out of range.
    """
    if not 0 < decay <= 1:
        raise ConfigurationError(
            f"decay must lie in (0, 1], found {decay}", value=decay, remedy="Published results use 0.99"
        )
    values = _sequence(features)
    prior_mean, prior_variance = _prior(prior_mean, values), _prior(prior_variance, values)
    if (prior_variance < 0).any():
        raise SignalError(
            f"prior_variance must not be negative, found {prior_variance.min():g}",
            value=float(prior_variance.min()),
            remedy="Give variances, not means or log variances",
        )
    return _normalised(values, prior_mean, prior_variance, decay)


class OnlineNormaliser:
    """[`online_normalise`] one window at a time.

    Args:
        prior_mean, prior_variance, decay: See [`online_normalise`].
    """

    def __init__(self, prior_mean: Any, prior_variance: Any, decay: float = 0.99):
        self.prior_mean, self.prior_variance = np.asarray(prior_mean, float), np.asarray(prior_variance, float)
        online_normalise(
            np.zeros((1, self.prior_mean.size or 1)), self.prior_mean, self.prior_variance, decay
        )  # checks
        self.decay, self.count = decay, 0
        self._total = self._squares = np.zeros(self.prior_mean.shape)

    def push(self, features: Any) -> np.ndarray:
        """The next window `(size,)`, normalised."""
        values = np.asarray(features, dtype=float)
        self._total, self._squares = self._total + values, self._squares + values**2
        weight, self.count = self.decay**self.count, self.count + 1
        mean = self._total / self.count
        variance = np.maximum(self._squares / self.count - mean**2, 0)
        centre = weight * self.prior_mean + (1 - weight) * mean
        spread = weight * self.prior_variance + (1 - weight) * variance + VARIANCE_FLOOR
        return ((values - centre) / np.sqrt(spread)).astype(np.asarray(features).dtype)


class RunningMean:
    """[`running_mean`] one window at a time.

    Args:
        windows: See [`running_mean`].

    Attributes:
        value: `(size,)`, the mean so far; None before the first window. count: Windows in it.
    """

    def __init__(self, windows: int):
        self.windows = windows
        self.reset()

    def reset(self) -> None:
        """Begin anew: what follows does not continue what came before."""
        self.value: np.ndarray | None = None
        self.count = 0

    def push(self, features: Any) -> np.ndarray:
        """The next window `(size,)`, smoothed."""
        values = np.asarray(features, dtype=float)
        self.count += 1
        share = max(1 / self.count, 1 / self.windows)
        self.value = values if self.value is None else self.value + share * (values - self.value)
        return self.value.astype(np.asarray(features).dtype)


def running_mean(features: Any, windows: int) -> np.ndarray:
    """Smooth every feature by the windows before, for live use: their mean up to so many, then one that fades as fast.

    The filter of [`lds_smooth`] is none for that. It is so sure of where it starts that a minute of windows hardly
    moves it from the first one, and looks back over some hundred.

    Args:
        features (array of shape `(windows, size)`): In presentation order, without a gap.
        windows (`int`): That count, about; 1 leaves everything as it is.

    Returns:
        `np.ndarray` of the same shape: float32 for float32 features, else float64.

    Raises:
        SignalError: If the features are not a finite matrix.
    """
    mean = RunningMean(windows)
    return np.stack([mean.push(row) for row in _sequence(features)])


def lds_smooth(features: Any, causal: bool = False) -> np.ndarray:
    """Smooth every feature over the windows of a trial: Kalman filter and Rauch-Tung-Striebel smoother.

    The gains do not depend on the data, so both passes over a short trial are one matrix product. Longer sequences are
    smoothed in blocks, which takes time and memory in proportion to their length.

    Args:
        features (array of shape `(windows, size)`): One trial in presentation order.
        causal (`bool`): The filter alone, started at the first window, so that no window sees a later one.

    Returns:
        `np.ndarray` of shape `(windows, size)`: float32 for float32 features, else float64.

    Raises:
        SignalError: If the features are not a finite matrix.
    """
    values = _sequence(features)
    if len(values) > BLOCK:
        return _smooth_blocks(values, causal)
    return smoothing_matrix(len(values), causal).astype(values.dtype, copy=False) @ values


@lru_cache(maxsize=128)  # trials have few lengths
def smoothing_matrix(num_windows: int, causal: bool = False) -> np.ndarray:
    """The matrix of [`lds_smooth`], read-only float64 of shape `(windows, windows)`; every row sums to 1."""
    gains, variances = _gains(num_windows)
    filtered = np.hstack(_weights(gains, np.dtype(float)))  # weights of the windows, then that of the prior mean
    if causal:
        matrix = filtered[:, :-1].copy()
        matrix[:, 0] += filtered[:, -1]  # the prior mean is the first window
    else:
        smoothed = _look_back(filtered, variances)
        matrix = smoothed[:, :-1] + smoothed[:, -1:] / num_windows  # the prior mean is the mean of the trial
    matrix.setflags(write=False)
    return matrix


def _gains(num_windows: int) -> tuple[np.ndarray, np.ndarray]:
    """Kalman gain and filtered variance at every step, `(windows,)` each."""
    gains, variances = np.empty((2, num_windows))
    ahead = FIRST_STATE_VARIANCE
    for step in range(num_windows):
        gains[step] = ahead / (ahead + OBSERVATION_NOISE)
        variances[step] = (1 - gains[step]) * ahead
        ahead = variances[step] + STATE_NOISE
    return gains, variances


def _look_back(filtered: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """The smoother's pass from the last window to the first, on the rows of the filter."""
    smoothed = filtered.copy()
    for step in range(len(filtered) - 2, -1, -1):
        gain = variances[step] / (variances[step] + STATE_NOISE)
        smoothed[step] += gain * (smoothed[step + 1] - filtered[step])
    return smoothed


def _smooth_blocks(values: np.ndarray, causal: bool) -> np.ndarray:
    """[`lds_smooth`] of a long sequence: filter and smoother as one weighted mean after the other."""
    forward, backward = _passes(len(values), values.dtype)
    filtered = np.empty_like(values)
    state = values[0] if causal else values.mean(axis=0, dtype=np.float64)  # the prior mean
    for rows, weights, carry in forward:
        filtered[rows] = weights @ values[rows] + carry * state
        state = filtered[rows.stop - 1]
    if causal:
        return filtered
    for rows, weights, carry in backward:
        filtered[rows] = weights @ filtered[rows] + carry * state
        state = filtered[rows.start]
    return filtered


_Pass = list[tuple[slice, np.ndarray, np.ndarray]]


@lru_cache(maxsize=4)
def _passes(num_windows: int, dtype: np.dtype) -> tuple[_Pass, _Pass]:
    """Block by block the rows, their weights `(rows, rows)`, and `(rows, 1)` of the state before (or after) them."""
    gains, variances = _gains(num_windows)
    kept = 1 - variances / (variances + STATE_NOISE)
    kept[-1] = 1  # nothing follows the last window
    forward, backward = [], []
    for start in range(0, num_windows, BLOCK):
        rows = slice(start, min(start + BLOCK, num_windows))
        forward.append((rows, *_weights(gains[rows], dtype)))
        reverse, carry = _weights(kept[rows][::-1], dtype)
        backward.append((rows, reverse[::-1, ::-1].copy(), carry[::-1]))
    return forward, backward[::-1]


def _weights(gains: np.ndarray, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Of y[t] = (1 - gain[t]) y[t - 1] + gain[t] x[t] weights of x, `(rows, rows)`, and of y before, `(rows, 1)`."""
    weights = np.zeros((len(gains), len(gains) + 1))
    previous = np.eye(1, len(gains) + 1, len(gains))[0]
    for step, gain in enumerate(gains):
        weights[step] = (1 - gain) * previous
        weights[step, step] += gain
        previous = weights[step]
    return weights[:, :-1].astype(dtype), weights[:, -1:].astype(dtype)


def _normalised(values: np.ndarray, prior_mean: np.ndarray, prior_variance: np.ndarray, decay: float) -> np.ndarray:
    """[`online_normalise`], a block of rows at a time; moments in float64, what follows in the type of the features.

    Moments are those of the distance from the first window: the same variance, without the loss of digits a mean far
    from zero would cost.
    """
    first = values[0].astype(np.float64)
    prior_mean = np.broadcast_to(prior_mean - first, first.shape).astype(values.dtype)
    prior_variance = np.broadcast_to(prior_variance, first.shape).astype(values.dtype)
    steps = np.arange(len(values), dtype=np.float64)[:, None]
    weight, share = (decay**steps).astype(values.dtype), 1 / (steps + 1)
    found = np.empty_like(values)
    sums = np.zeros((ROWS_IN_CACHE + 1, 2, values.shape[1]))
    for start in range(0, len(values), ROWS_IN_CACHE):
        rows = slice(start, start + ROWS_IN_CACHE)
        shifted = values[rows] - first
        moments = _add_up(shifted, sums) * share[rows, None]
        moments[:, 1] -= np.square(moments[:, 0])
        mean, variance = np.ascontiguousarray(moments.transpose(1, 0, 2), dtype=values.dtype)
        np.maximum(variance, 0, out=variance)
        variance = _blend(variance, prior_variance, weight[rows])
        variance += values.dtype.type(VARIANCE_FLOOR)
        np.subtract(shifted, _blend(mean, prior_mean, weight[rows]), out=found[rows], casting="same_kind")
        found[rows] /= np.sqrt(variance, out=variance)
    return found


def _add_up(rows: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """Running sums of rows and of their squares, `(rows, 2, size)`, that go on from the last of `sums`.

    They take the place of those in `sums`. Row by row: `np.cumsum` takes one column after the other, which is several
    times slower.
    """
    sums[0] = sums[-1]
    sums = sums[: len(rows) + 1]
    sums[1:, 0] = rows
    np.square(rows, out=sums[1:, 1])
    for before, row in zip(sums[:-1], sums[1:], strict=True):
        np.add(row, before, out=row)
    return sums[1:]


def _blend(running: np.ndarray, prior: np.ndarray, prior_weight: np.ndarray) -> np.ndarray:
    """`prior_weight * prior + (1 - prior_weight) * running`, in the place of `running`."""
    running -= prior
    running *= 1 - prior_weight
    running += prior
    return running


def _sequence(features: Any) -> np.ndarray:
    values = np.asarray(features)
    values = values if values.dtype == np.float32 else values.astype(np.float64)
    if values.ndim != 2 or not len(values):
        raise SignalError(
            f"features must have shape (windows, size) with at least one window, found {values.shape}",
            value=values.shape,
            remedy="Give one session or trial at a time",
        )
    if not np.isfinite(values).all():
        window = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        raise SignalError(
            f"features of window {window} are not finite",
            value=window,
            remedy="Leave the window out: it would spoil all that follow",
        )
    return values


def _prior(prior: Any, values: np.ndarray) -> np.ndarray:
    prior = np.asarray(prior, dtype=np.float64)
    if prior.shape not in ((), values.shape[1:]) or not np.isfinite(prior).all():
        raise SignalError(
            f"a prior must be a finite number or have shape {values.shape[1:]}, found shape {prior.shape}",
            value=prior.shape,
            remedy="Give one number per feature",
        )
    return prior
