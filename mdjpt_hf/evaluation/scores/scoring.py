"""Scores of encoders under a protocol: the same windows, splits, seeds and permutations for each of them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mdjpt_hf.errors import ConfigurationError
from mdjpt_hf.evaluation.encoders import Encoder
from mdjpt_hf.evaluation.protocols import Pool, Protocol, Split
from mdjpt_hf.evaluation.readout import Answers, Features
from mdjpt_hf.evaluation.scores.by_subject import metrics_by_subject, over_subjects, tested_subjects
from mdjpt_hf.evaluation.scores.importance import channel_importance
from mdjpt_hf.evaluation.scores.metrics import abstention_curve, all_metrics, reliability
from mdjpt_hf.evaluation.scores.nulls import labellings
from mdjpt_hf.evaluation.scores.ratings import check_ratings, rating_entry
from mdjpt_hf.evaluation.scores.statistics import holm, judged, paired_p_value, subject_bootstrap, subject_scores


@dataclass(frozen=True)
class Effort:
    """How much is computed; it changes how sure a result is, not what it means.

    Args:
        permutations: Of the labels, where heads are trained on features. zero_shot_permutations: For neighbours.
        scratch_permutations: For networks trained anew in every split. seed: Everything drawn follows from it.
        importance: Whether every electrode is silenced in turn, to see what is lost without it.

    Raises:
        ConfigurationError: If there is no permutation, and so no null.
    """

    permutations: int = 100
    zero_shot_permutations: int = 500
    scratch_permutations: int = 10
    seed: int = 0
    importance: bool = False

    def __post_init__(self) -> None:
        for name in ("permutations", "zero_shot_permutations", "scratch_permutations"):
            if getattr(self, name) < 1:
                raise ConfigurationError(
                    f"{name} is {getattr(self, name)}; without any there is no null",
                    value=getattr(self, name),
                    remedy="Use at least 1, for a p-value below 0.05 at least 20",
                )

    def of(self, protocol: Protocol, encoder: Encoder) -> int:
        """Permutations for an encoder under a protocol."""
        if encoder.features is None:
            return self.scratch_permutations
        return self.zero_shot_permutations if protocol.name == "zero-shot" else self.permutations


def evaluate_pool(
    features: Features,
    encoders: Sequence[Encoder],
    protocol: Protocol,
    splits: Sequence[Split],
    effort: Effort,
    metrics: bool = True,
) -> dict[str, dict[str, Any]]:
    """Score every encoder under one protocol.

    Args:
        metrics: Whether metrics of classes beside the score are computed, which takes longer than scoring does.

    Returns:
        `dict`: Name -> entry of a record. Networks that are trained from scratch have no zero-shot score.

    Raises:
        ConfigurationError: If nothing can be scored, or ratings are to be read out by what only knows classes.
    """
    rows = {}
    pool = features.pool
    subjects = tested_subjects(pool, splits)
    if pool.rated:
        check_ratings(encoders, protocol)
    for encoder in encoders:
        if encoder.features is None and protocol.votes:
            continue
        dealt = labellings(pool, effort.of(protocol, encoder), effort.seed)
        answers = features.answers(encoder, protocol, list(splits), effort.seed, dealt)
        answered = list(zip(answers, (labelling.label for labelling in dealt), strict=True))
        rows[encoder.name] = entry_of(pool, subjects, answered, metrics)
        if effort.importance and not pool.rated and encoder.features is not None:
            found = channel_importance(features, encoder, protocol, list(splits), effort.seed, answered[0][0])
            rows[encoder.name]["importance"] = found
    if not rows:
        raise ConfigurationError(
            f"networks trained from scratch have no features for {protocol.name}",
            value=[encoder.name for encoder in encoders],
            remedy="Use another protocol, or add an encoder with features such as de",
        )
    _compare(rows)
    return rows


def entry_of(
    pool: Pool, subjects: np.ndarray, answered: list[tuple[Answers, np.ndarray]], metrics: bool = True
) -> dict[str, Any]:
    """What a record says of answers: score, null, p-value and what else there is to say of classes, or of a rating.

    Args:
        subjects: Names of those tested.
        answered: Answers and the labels asked for, the true labelling first, then permutations.
        metrics: Whether metrics of classes beside the score are computed.

    Raises:
        CorpusError: If no tested subject's ratings vary.
    """
    return rating_entry(pool, subjects, answered) if pool.rated else _entry(pool, subjects, answered, metrics)


def _entry(
    pool: Pool, subjects: np.ndarray, answered: list[tuple[Answers, np.ndarray]], metrics: bool
) -> dict[str, Any]:
    person, everybody = np.searchsorted(subjects, pool.subject), np.arange(len(subjects))  # numbers compare faster
    person[~np.isin(pool.subject, subjects)] = -1
    accuracy = np.stack(
        [subject_scores(_correct(*one), person[one[0].window], everybody) for one in answered]
    )  # NaN where a labelling leaves somebody without a tested window
    answers, label = answered[0]
    references = label[answers.window]
    edges, right, confidence, share = reliability(references, answers.probabilities)
    answered_share, abstaining = abstention_curve(references, answers.probabilities)
    found = answers.probabilities.argmax(axis=1)
    confusion = np.zeros((len(pool.classes), len(pool.classes)), dtype=int)
    np.add.at(confusion, (references, found), 1)
    return {
        **judged(accuracy),
        "metrics": over_subjects(metrics_by_subject(pool, subjects, answers, label, all_metrics)) if metrics else {},
        "confusion": confusion.tolist(),
        "reliability": {"edges": edges, "accuracy": right, "confidence": confidence, "share": share},
        "abstention": {"answered": answered_share, "accuracy": abstaining},
        "chosen": list(answers.candidate),
        "temperature": list(answers.temperature),
    }


def _correct(answers: Answers, label: np.ndarray) -> np.ndarray:
    return (answers.probabilities.argmax(axis=1) == label[answers.window]).astype(float)


def _compare(rows: dict[str, dict[str, Any]]) -> None:
    """Holm's correction over the encoders, and each paired with the first."""
    for entry, adjusted in zip(rows.values(), holm([entry["p_value"] for entry in rows.values()]), strict=True):
        entry["p_holm"] = adjusted
    first, *others = rows.values()
    for entry in others:
        difference = first["per_subject"] - entry["per_subject"]
        entry["reference_minus_this"] = asdict(subject_bootstrap(difference))
        entry["p_paired"] = paired_p_value(difference)
