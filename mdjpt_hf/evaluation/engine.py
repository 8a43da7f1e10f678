"""The one way to a score: a corpus, encoders and a protocol in, a record out."""

from collections.abc import Sequence
from typing import Any

from mdjpt_hf.data.corpora import TrialSet
from mdjpt_hf.evaluation.encoders import Encoder
from mdjpt_hf.evaluation.protocols import Protocol, SplitManifest, check_votes, draw_splits
from mdjpt_hf.evaluation.readout import Features
from mdjpt_hf.evaluation.reports import record
from mdjpt_hf.evaluation.scores import Effort, evaluate_pool


def score_corpus(
    features: Features,
    used: Sequence[TrialSet],
    corpus: str,
    encoders: Sequence[Encoder],
    protocol: Protocol,
    effort: Effort,
    manifest: SplitManifest | None = None,
    metrics: bool = True,
) -> dict[str, Any]:
    """Score encoders on a corpus by a protocol.

    Args:
        features: Of the windows that the protocol works on; kept from one protocol to the next.
        used: The corpora these windows are of. corpus: The one that is tested.
        manifest: Splits made before; by default they are drawn from the seed of `effort`.
        metrics: Whether metrics beside the score are computed.

    Returns:
        `dict`: A record.

    Raises:
        SplitError: If the corpus is too small for the protocol.
        ConfigurationError: If nothing can be scored.
    """
    check_votes(protocol, features.pool, corpus)
    if manifest is None:
        fingerprints = {trials.name: trials.fingerprint for trials in used}
        manifest = draw_splits(features.pool, protocol, corpus, fingerprints, effort.seed)
    rows = evaluate_pool(features, encoders, protocol, manifest.splits, effort, metrics)
    return record(features.pool, used, encoders, protocol, manifest, rows, effort)
