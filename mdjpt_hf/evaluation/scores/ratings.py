"""Continuous ratings: what can read them out, and what a record says of it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mdjpt_hf.errors import ConfigurationError, CorpusError
from mdjpt_hf.evaluation.encoders import Encoder
from mdjpt_hf.evaluation.protocols import Pool, Protocol
from mdjpt_hf.evaluation.readout import Answers
from mdjpt_hf.evaluation.scores.by_subject import metrics_by_subject, over_subjects
from mdjpt_hf.evaluation.scores.rating_metrics import ConcordanceCorrelation, all_rating_metrics
from mdjpt_hf.evaluation.scores.statistics import judged

#: The one score that tables, tests and nulls are about.
SCORE_OF_RATINGS = ConcordanceCorrelation.score_name

#: Windows whose answers are kept for the picture.
SHOWN_ANSWERS = 600


def check_ratings(encoders: Sequence[Encoder], protocol: Protocol) -> None:
    """Ratings are read out by ridge regression of frozen features.

    Raises:
        ConfigurationError: If the protocol or an encoder would do otherwise.
    """
    scratch = [encoder.name for encoder in encoders if encoder.features is None]
    wrong = ""
    if protocol.votes:
        wrong = f"{protocol.name} has classes vote, not ratings"
        remedy = "Use --protocol few-shot or leave-one-subject-out"
    elif protocol.windows_per_class:
        wrong, remedy = "windows are counted by class", "Add --set windows_per_class=0"
    elif protocol.head != "ridge":
        wrong, remedy = f"head {protocol.head} is a classifier", "Add --set head=ridge"
    elif scratch:
        wrong, remedy = f"{', '.join(scratch)} is trained from scratch as a classifier", "Leave it out"
    if wrong:
        raise ConfigurationError(f"ratings cannot be evaluated: {wrong}", value=protocol.name, remedy=remedy)


def rating_entry(pool: Pool, subjects: np.ndarray, answered: list[tuple[Answers, np.ndarray]]) -> dict[str, Any]:
    """The entry of an encoder: concordance per subject with interval and null, and the other metrics.

    Args:
        subjects: Names of those tested.
        answered: Answers and the labels asked for, the true labelling first, then permutations.

    Raises:
        CorpusError: If no tested subject's ratings vary.
    """
    columns = [metrics_by_subject(pool, subjects, answers, label, _score) for answers, label in answered]
    by_subject = np.stack([found[SCORE_OF_RATINGS] for found in columns])
    if np.isnan(by_subject[0]).all():
        raise CorpusError(
            f"no tested subject's {pool.target} varies", value=pool.target, remedy="Use another rating or corpus"
        )
    answers, label = answered[0]
    return {
        **judged(by_subject),
        "metrics": over_subjects(columns[0]),
        "answers": _sample(answers, label),
        "chosen": list(answers.candidate),
    }


def _score(references: np.ndarray, answers: np.ndarray) -> dict[str, float]:
    return all_rating_metrics(references, answers[:, 0])


def _sample(answers: Answers, label: np.ndarray) -> dict[str, np.ndarray]:
    count = len(answers.window)
    chosen = np.unique(np.linspace(0, count - 1, min(count, SHOWN_ANSWERS)).astype(int))
    return {"reported": label[answers.window[chosen]], "found": answers.probabilities[chosen, 0]}
