"""Correlated components: directions of features in which viewers of the same moment agree, found without any label.

What a clip does to everybody who watches it is weak in EEG. It is found as inter-subject correlation is (Dmochowski et
al. 2012, doi 10.3389/fnhum.2012.00112): by the directions whose covariance between viewers is largest, relative to
their covariance within a viewer.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh

#: Part of its own that is added to every feature's variance, since covariances of so many features are nearly singular.
RIDGE = 0.01
#: Least variance that this is a part of, as a share of the largest: a map that is always zero has none of its own.
_LEAST = 1e-6
#: Correlations smaller than this share of the strongest are what rounding leaves of zero.
_ROUNDING = 1e-9


class Components(NamedTuple):
    """Directions `(count, size)`, along which features have unit variance, and their correlations between viewers."""

    directions: np.ndarray
    correlations: np.ndarray

    @property
    def weighted(self) -> np.ndarray:
        """Directions times the root of their correlation: what viewers agree in more counts more."""
        return self.directions * np.sqrt(self.correlations[:, None])


def correlated_components(between: np.ndarray, covariance: np.ndarray, count: int) -> Components:
    """The leading correlated components; none of those in which viewers do not agree at all.

    Args:
        between (`np.ndarray` of shape `(size, size)`): Covariance between two viewers of a moment, mean over pairs.
        covariance (`np.ndarray` of shape `(size, size)`): Of everything.
        count (`int`): At most so many.
    """
    variance = covariance.diagonal()
    if not variance.any():
        return Components(np.zeros((0, len(variance))), np.zeros(0))
    ridge = RIDGE * np.diag(np.maximum(variance, _LEAST * variance.max()))
    correlations, vectors = eigh(between, covariance + ridge)
    agreed = correlations[::-1] > _ROUNDING * np.abs(correlations).max()
    return Components(with_signs(vectors.T[::-1][agreed][:count]), correlations[::-1][agreed][:count])


def with_signs(directions: np.ndarray) -> np.ndarray:
    """Eigenvectors `(count, size)` have no sign of their own: the largest entry of each is made positive."""
    if not len(directions):
        return directions
    largest = np.abs(directions).argmax(axis=1)[:, None]
    return directions * np.sign(np.take_along_axis(directions, largest, axis=1))
