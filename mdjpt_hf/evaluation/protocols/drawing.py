"""What a protocol works on: its windows, and the splits it draws."""

from collections.abc import Mapping, Sequence

import numpy as np

from mdjpt_hf.data.corpora import TrialSet
from mdjpt_hf.errors import ConfigurationError
from mdjpt_hf.evaluation.protocols.choices import Protocol
from mdjpt_hf.evaluation.protocols.designs import check_recordings
from mdjpt_hf.evaluation.protocols.pool import Pool, has_target, open_pool
from mdjpt_hf.evaluation.protocols.splits import SplitManifest, make_splits


def pool_for(
    trial_sets: Sequence[TrialSet], corpus: str, protocol: Protocol, target: str, seconds: float
) -> tuple[Pool, list[TrialSet]]:
    """The windows a protocol works on: of the tested corpus, or of all for cross-dataset.

    Raises:
        ConfigurationError: If classes of one corpus alone are to be used across corpora.
    """
    if protocol.name == "cross-dataset":
        if target == "label":
            raise ConfigurationError(
                "cross-dataset needs a label that corpora share", value=target, remedy="Use --label valence_class"
            )
        used = [trials for trials in trial_sets if trials.name == corpus or has_target(trials, target)]
    else:
        used = [trials for trials in trial_sets if trials.name == corpus]
    return open_pool(used, target, seconds, protocol.stride_seconds or None), used


def draw_splits(pool: Pool, protocol: Protocol, corpus: str, fingerprints: Mapping[str, str], seed: int):
    """The manifest of a protocol on a corpus."""
    if protocol.name == "cross-dataset":
        check_recordings(pool, corpus)
    plan = protocol.plan(corpus, seed)
    strata = np.zeros(len(pool), dtype=int) if pool.rated else pool.label
    splits = make_splits(plan, pool.subject, pool.stimulus, strata, pool.corpus)
    return SplitManifest(plan, pool.target, dict(fingerprints), tuple(splits))


def kept_windows(pool: Pool, protocol: Protocol, seed: int) -> np.ndarray:
    """Which windows are trained on and tested, `(windows,)` booleans: all, or so many of a subject and class.

    They are drawn once. Encoders are given the whole recordings nevertheless.
    """
    count = protocol.windows_per_class
    if not count:
        return np.ones(len(pool), dtype=bool)
    rng, kept = np.random.default_rng([seed, 11]), np.zeros(len(pool), dtype=bool)
    for subject in np.unique(pool.subject):
        for value in np.unique(pool.label[pool.subject == subject]):
            kept[rng.permutation(np.flatnonzero((pool.subject == subject) & (pool.label == value)))[:count]] = True
    return kept
