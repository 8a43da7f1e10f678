"""Which electrodes a result rests on: what is lost on the test windows when one of them falls silent."""

from dataclasses import replace
from typing import Any

import numpy as np

from mdjpt_hf.evaluation.encoders import Encoder
from mdjpt_hf.evaluation.protocols import Pool, Protocol, Split
from mdjpt_hf.evaluation.readout import Answers, Features, asker
from mdjpt_hf.evaluation.scores.nulls import labellings
from mdjpt_hf.evaluation.scores.statistics import subject_scores


def channel_importance(
    features: Features, encoder: Encoder, protocol: Protocol, splits: list[Split], seed: int, answers: Answers
) -> dict[str, Any]:
    """Silence every electrode of the tested corpus in turn, in whole recordings, and ask again.

    Heads are those trained on intact recordings; the electrode's share in channels made from their neighbours is
    silenced as well. This costs as much as encoding the corpus once for every electrode.

    Args:
        answers: For the intact windows, with the true labels.

    Returns:
        `electrodes`, and for each of them `probability` of the true class and `accuracy` lost, mean over subjects;
        below 0 where an electrode did harm.
    """
    pool = features.pool
    (truth,) = labellings(pool, 0, seed)
    (corpus,) = np.unique(pool.corpus[answers.window])
    tested = pool if protocol.encoder_groups == "blocks-of-32" else pool.only(corpus)  # blocks reach across corpora
    names = pool.only(corpus).recorded
    lost = []
    for name in names:
        changed = features.of(encoder, protocol.encoder_groups).copy()
        found = features.encode(replace(tested, silenced=name), encoder, protocol.encoder_groups)
        changed[np.isin(pool.corpus, tested.corpus)] = found
        silenced = asker(features, encoder, protocol, splits, seed, changed)(truth)
        lost.append(_scores(pool, answers) - _scores(pool, silenced))
    probability, accuracy = np.array(lost).reshape(-1, 2).T
    return {"electrodes": names, "probability": probability, "accuracy": accuracy}


def _scores(pool: Pool, answers: Answers) -> np.ndarray:
    """Probability of the true class and accuracy, mean over subjects, `(2,)`."""
    label = pool.label[answers.window]
    probability = answers.probabilities[np.arange(len(label)), label]
    correct = answers.probabilities.argmax(axis=1) == label
    return np.nanmean(subject_scores(np.stack([probability, correct]), pool.subject[answers.window]), axis=1)
