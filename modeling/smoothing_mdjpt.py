"""Normalisation and smoothing of features over time, as published results use them (arXiv 2510.22197).

Both work on the features of windows in presentation order and touch no labels. `online_normalise` runs over a session
and is causal; `lds_smooth` runs over a trial and looks ahead, unless told not to.
"""

from functools import lru_cache
from typing import Any

import numpy as np

from .errors_mdjpt import ConfigurationError, SignalError

VARIANCE_FLOOR = 1e-10

ROWS_IN_CACHE = 64

#: Windows of a matrix that is small, at most 2 MiB.
SMALL = 512

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
    # Moments of the distance from the first window: the same variance, without the loss of digits a mean far
    # from zero would cost.
    first = values[0].astype(np.float64)
    shifted = values - first
    steps = np.arange(len(values), dtype=np.float64)[:, None]
    mean = _running_mean(shifted.copy())
    variance = _running_mean(np.square(shifted))
    variance -= np.square(mean)
    np.maximum(variance, 0, out=variance)
    prior_weight = decay**steps
    shifted -= _blend(mean, prior_mean - first, prior_weight)
    variance = _blend(variance, prior_variance, prior_weight)
    variance += VARIANCE_FLOOR
    shifted /= np.sqrt(variance, out=variance)
    return shifted.astype(values.dtype, copy=False)


def lds_smooth(features: Any, causal: bool = False) -> np.ndarray:
    """Smooth every feature over the windows of a trial: Kalman filter and Rauch-Tung-Striebel smoother.

    The gains do not depend on the data, so both passes are one matrix product; the matrix takes 8 · windows² bytes.

    Args:
        features (array of shape `(windows, size)`): One trial in presentation order.
        causal (`bool`): The filter alone, started at the first window, so that no window sees a later one.

    Returns:
        `np.ndarray` of shape `(windows, size)`: float32 for float32 features, else float64.

    Raises:
        SignalError: If the features are not a finite matrix.
    """
    values = _sequence(features)
    return smoothing_matrix(len(values), causal).astype(values.dtype, copy=False) @ values


def smoothing_matrix(num_windows: int, causal: bool = False) -> np.ndarray:
    """The matrix of [`lds_smooth`], read-only float64 of shape `(windows, windows)`; every row sums to 1."""
    return (_small_matrix if num_windows <= SMALL else _large_matrix)(num_windows, causal)


def _matrix(num_windows: int, causal: bool) -> np.ndarray:
    filtered = np.zeros((num_windows, num_windows + 1))  # weights of the windows, then that of the prior mean
    previous, ahead = np.eye(1, num_windows + 1, num_windows)[0], FIRST_STATE_VARIANCE
    variances = np.empty(num_windows)
    for step in range(num_windows):
        gain = ahead / (ahead + OBSERVATION_NOISE)
        filtered[step] = (1 - gain) * previous
        filtered[step, step] += gain
        previous = filtered[step]
        variances[step] = (1 - gain) * ahead
        ahead = variances[step] + STATE_NOISE
    if causal:
        matrix = filtered[:, :-1].copy()
        matrix[:, 0] += filtered[:, -1]  # the prior mean is the first window
    else:
        smoothed = _look_back(filtered, variances)
        matrix = smoothed[:, :-1] + smoothed[:, -1:] / num_windows  # the prior mean is the mean of the trial
    matrix.setflags(write=False)
    return matrix


# Trials have few lengths and sessions are long: many small matrices are kept, of the large ones only the last.
_small_matrix = lru_cache(maxsize=128)(_matrix)
_large_matrix = lru_cache(maxsize=1)(_matrix)


def _look_back(filtered: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """The smoother's pass from the last window to the first, on the rows of the filter."""
    smoothed = filtered.copy()
    for step in range(len(filtered) - 2, -1, -1):
        gain = variances[step] / (variances[step] + STATE_NOISE)
        smoothed[step] += gain * (smoothed[step + 1] - filtered[step])
    return smoothed


def _running_mean(values: np.ndarray) -> np.ndarray:
    """Mean of every row and those before it, in the place of `values`.

    NumPy sums one column after the other; in blocks of rows that stays within the cache, four times as fast.
    """
    total: np.ndarray | float = 0.0
    for start in range(0, len(values), ROWS_IN_CACHE):
        block = values[start : start + ROWS_IN_CACHE]
        np.cumsum(block, axis=0, out=block)
        block += total
        total = block[-1].copy()
    values /= np.arange(1, len(values) + 1)[:, None]
    return values


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
