"""Spherical splines: what electrodes show at places between them."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.polynomial.legendre import legval

from .electrodes_mdjpt import ELECTRODES
from .montage_mdjpt import canonical_name

#: Fewer good electrodes than this do not span the sphere that splines are fitted on.
MIN_SPLINE_CHANNELS = 4


def spline_weights(sources: Sequence[str], targets: Sequence[str]) -> np.ndarray:
    """The `(targets, sources)` matrix of spherical spline interpolation between electrodes.

    Perrin et al. 1989, Electroencephalogr. Clin. Neurophysiol. 72:184-187, equation 1 with m = 4.
    """
    source, target = _on_sphere(sources), _on_sphere(targets)
    count = len(sources)
    system = np.ones((count + 1, count + 1))
    system[:count, :count] = _spline(source @ source.T) + 1e-5 * np.eye(count)
    system[count, count] = 0
    to_coefficients = np.linalg.inv(system)[:, :count]
    return np.hstack([_spline(target @ source.T), np.ones((len(targets), 1))]) @ to_coefficients


def _spline(cosine: np.ndarray) -> np.ndarray:
    """g(x) of Perrin et al., equation 3, for m = 4."""
    n = np.arange(1, 51)
    return legval(cosine, [0, *((2 * n + 1) / (n * (n + 1.0)) ** 4 / (4 * np.pi))])


def _on_sphere(ch_names: Sequence[str]) -> np.ndarray:
    """Unit vectors `(channels, 3)` from the middle of the head to the electrodes."""
    directions = np.array([ELECTRODES[str(canonical_name(name))] for name in ch_names]) - _head_centre()
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)


@lru_cache(maxsize=1)
def _head_centre() -> np.ndarray:
    """Centre in mm of the sphere that fits all electrodes best: |p|² = 2 p·c + const by least squares."""
    places = np.array(list(ELECTRODES.values()))
    equations = np.hstack([2 * places, np.ones((len(places), 1))])
    return np.linalg.lstsq(equations, (places**2).sum(axis=1), rcond=None)[0][:3]


def has_place(name: str) -> bool:
    """Whether the electrode's place on the head is known."""
    return canonical_name(name) in ELECTRODES
