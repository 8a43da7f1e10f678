"""The one way to a score: a corpus, encoders and a protocol in, a record out; or a classifier's answers in."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mdjpt_hf.data.corpora import TrialSet
from mdjpt_hf.evaluation.encoders import Encoder
from mdjpt_hf.evaluation.protocols import Pool, Protocol, SplitManifest, check_votes, draw_splits
from mdjpt_hf.evaluation.readout import Answers, Features
from mdjpt_hf.evaluation.reports import record
from mdjpt_hf.evaluation.scores import Effort, entry_of, evaluate_pool, labellings


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


def score_answers(pool: Pool, probabilities: np.ndarray, permutations: int, seed: int = 0) -> dict[str, Any]:
    """Score what a classifier that is trained already answered, as an encoder's answers are scored.

    Args:
        pool: The windows it was asked about.
        probabilities: `(windows, classes)`, or `(windows, 1)` ratings.
        permutations: Of the labels, dealt to these same answers. seed: Of these.

    Returns:
        `dict`: An entry of a record, see [`score_corpus`].

    Raises:
        CorpusError: If no subject's ratings vary.
    """
    windows = np.arange(len(pool))
    answers = Answers(windows, np.zeros_like(windows), probabilities, (0,), (1.0,))
    dealt = labellings(pool, permutations, seed)
    return entry_of(pool, np.unique(pool.subject), [(answers, labelling.label) for labelling in dealt])
