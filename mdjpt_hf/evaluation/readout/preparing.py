"""Features made ready for a head: normalised over recordings and smoothed over trials."""

import numpy as np

from mdjpt_hf.evaluation.protocols import Pool, Protocol
from mdjpt_hf.modeling.smoothing_mdjpt import lds_smooth, online_normalise


def prepare(features: np.ndarray, pool: Pool, protocol: Protocol, reference: np.ndarray) -> np.ndarray:
    """Normalise features over recordings and smooth them over trials as the protocol says.

    Args:
        features (`np.ndarray` of shape `(windows, size)`).
        reference (`np.ndarray` of shape `(windows,)`): Which windows online normalisation may start from. Those of
            the subject who is normalised count only where there are no others.
    """
    values = np.empty(features.shape, dtype=np.float64)
    for recording in np.unique(pool.recording):
        own = _in_order(pool, pool.recording == recording)
        values[own] = _normalise(features, own, pool, protocol, reference)
    if protocol.smoothing != "none":
        for trial in np.unique(pool.trial):
            own = _in_order(pool, pool.trial == trial)
            values[own] = lds_smooth(values[own], causal=protocol.smoothing == "causal")
    return values


def _in_order(pool: Pool, chosen: np.ndarray) -> np.ndarray:
    own = np.flatnonzero(chosen)
    return own[np.argsort(pool.order[own], kind="stable")]


def _normalise(features: np.ndarray, own: np.ndarray, pool: Pool, protocol: Protocol, reference: np.ndarray):
    values = features[own].astype(np.float64)
    if protocol.normalisation == "none":
        return values
    if protocol.normalisation == "recording":
        return (values - values.mean(axis=0)) / (values.std(axis=0) + 1e-9)
    if protocol.normalisation == "all-subjects":
        known = features
    else:
        others = reference & (pool.subject != pool.subject[own[0]])
        known = features[others if others.any() else reference]
    return online_normalise(values, known.mean(axis=0), known.var(axis=0))
