"""Run protocols: every encoder on the same windows, splits, seeds and permutations; out come records."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mdjpt_hf.data.corpora import TrialSet
from mdjpt_hf.data.facts import UNKNOWN_DATASET, dataset_facts, machine_facts, software_facts
from mdjpt_hf.errors import ConfigurationError
from mdjpt_hf.evaluation.asking import Features, asker
from mdjpt_hf.evaluation.by_subject import metrics_by_subject, over_subjects, tested_subjects
from mdjpt_hf.evaluation.calibration import abstention_curve
from mdjpt_hf.evaluation.choices import Protocol
from mdjpt_hf.evaluation.encoders import Encoder
from mdjpt_hf.evaluation.importance import channel_importance
from mdjpt_hf.evaluation.metrics import all_metrics, reliability
from mdjpt_hf.evaluation.nulls import labellings, null_in_words
from mdjpt_hf.evaluation.pool import Pool, has_target, open_pool
from mdjpt_hf.evaluation.ratings import SCORE_OF_RATINGS, check_ratings, rating_entry
from mdjpt_hf.evaluation.readout import Answers
from mdjpt_hf.evaluation.records import FORMAT, SAW_LABELS
from mdjpt_hf.evaluation.splits import Split, SplitManifest, make_splits
from mdjpt_hf.evaluation.statistics import holm, null_interval, paired_p_value, subject_bootstrap, subject_scores


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
    plan = protocol.plan(corpus, seed)
    strata = np.zeros(len(pool), dtype=int) if pool.rated else pool.label
    splits = make_splits(plan, pool.subject, pool.stimulus, strata, pool.corpus)
    return SplitManifest(plan, pool.target, dict(fingerprints), tuple(splits))


def evaluate_pool(
    features: Features, encoders: Sequence[Encoder], protocol: Protocol, splits: Sequence[Split], effort: Effort
) -> dict[str, dict[str, Any]]:
    """Score every encoder under one protocol.

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
        if encoder.features is None and protocol.name == "zero-shot":
            continue
        ask = asker(features, encoder, protocol, list(splits), effort.seed)
        dealt = labellings(pool, effort.of(protocol, encoder), effort.seed)
        answered = [(ask(labelling), labelling.label) for labelling in dealt]
        entry_of = rating_entry if pool.rated else _entry
        rows[encoder.name] = entry_of(pool, subjects, answered)
        if effort.importance and not pool.rated and encoder.features is not None:
            found = channel_importance(features, encoder, protocol, list(splits), effort.seed, answered[0][0])
            rows[encoder.name]["importance"] = found
    if not rows:
        raise ConfigurationError(
            "networks trained from scratch have no features for zero-shot",
            value=[encoder.name for encoder in encoders],
            remedy="Use another protocol, or add an encoder with features such as de",
        )
    _compare(rows)
    return rows


# --- from answers to entries ---------------------------------------------------------------------------------------


def _entry(pool: Pool, subjects: np.ndarray, answered: list[tuple[Answers, np.ndarray]]) -> dict[str, Any]:
    accuracy = np.stack([_subject_accuracy(pool, subjects, answers, label) for answers, label in answered])
    null = np.nanmean(accuracy[1:], axis=1)
    score = subject_bootstrap(accuracy[0])
    answers, label = answered[0]
    references = label[answers.window]
    edges, right, confidence, share = reliability(references, answers.probabilities)
    answered_share, abstaining = abstention_curve(references, answers.probabilities)
    found = answers.probabilities.argmax(axis=1)
    confusion = np.zeros((len(pool.classes), len(pool.classes)), dtype=int)
    np.add.at(confusion, (references, found), 1)
    return {
        "score": asdict(score),
        "null": asdict(null_interval(null)),
        "p_value": float((1 + (null >= score.mean - 1e-12).sum()) / (1 + len(null))),
        "per_subject": accuracy[0],
        "metrics": over_subjects(metrics_by_subject(pool, subjects, answers, label, all_metrics)),
        "confusion": confusion.tolist(),
        "reliability": {"edges": edges, "accuracy": right, "confidence": confidence, "share": share},
        "abstention": {"answered": answered_share, "accuracy": abstaining},
        "chosen": list(answers.candidate),
        "temperature": list(answers.temperature),
    }


def _subject_accuracy(pool: Pool, subjects: np.ndarray, answers: Answers, label: np.ndarray) -> np.ndarray:
    """`(subjects,)`; NaN where a labelling leaves somebody without a tested window."""
    correct = (answers.probabilities.argmax(axis=1) == label[answers.window]).astype(float)
    return subject_scores(correct, pool.subject[answers.window], subjects)


def _compare(rows: dict[str, dict[str, Any]]) -> None:
    """Holm's correction over the encoders, and each paired with the first."""
    for entry, adjusted in zip(rows.values(), holm([entry["p_value"] for entry in rows.values()]), strict=True):
        entry["p_holm"] = adjusted
    first, *others = rows.values()
    for entry in others:
        difference = first["per_subject"] - entry["per_subject"]
        entry["reference_minus_this"] = asdict(subject_bootstrap(difference))
        entry["p_paired"] = paired_p_value(difference)


# --- records -------------------------------------------------------------------------------------------------------


def record(
    pool: Pool,
    trial_sets: Sequence[TrialSet],
    encoders: Sequence[Encoder],
    protocol: Protocol,
    manifest: SplitManifest,
    rows: dict[str, dict[str, Any]],
    effort: Effort,
) -> dict[str, Any]:
    """Everything needed to repeat, understand and compare the rows."""
    tested = np.isin(pool.subject, [name for split in manifest.splits for name in split.test])
    datasets = [dataset_facts(trials) for trials in trial_sets]
    return {
        "format": FORMAT,
        "data": next(_origin(entry) for entry in datasets if entry["name"] == manifest.plan.target),
        "corpus": manifest.plan.target,
        "target": pool.target,
        "score_name": SCORE_OF_RATINGS if pool.rated else "accuracy",
        "subjects": np.unique(pool.subject[tested]).tolist(),
        "classes": list(pool.classes),
        "windows": int(tested.sum()),
        "stimuli": len(np.unique(pool.stimulus[tested])),
        "protocol": _described(pool, protocol) | _sources(datasets, manifest.plan.target),
        "choices": asdict(protocol),
        "protocol_key": protocol.key,
        "optimistic": list(protocol.optimistic),
        "splits": {"hash": manifest.hash, "count": len(manifest.splits), "seed": manifest.plan.seed},
        "seed": effort.seed,
        "permutations": {encoder.name: effort.of(protocol, encoder) for encoder in encoders if encoder.name in rows},
        "null": null_in_words(pool),
        "software": software_facts(),
        "machine": machine_facts(_device(encoders)),
        "datasets": datasets,
        "encoders": {
            encoder.name: {**encoder.facts, "saw_this_corpus": _saw(encoder, manifest.plan.target)}
            for encoder in encoders
        },
        "results": {protocol.title: rows},
    }


def _origin(dataset: Mapping[str, Any]) -> str:
    return "simulated" if dataset["simulated"] else "recorded"


def _sources(datasets: Sequence[Mapping[str, Any]], tested: str) -> dict[str, str]:
    """What was trained on beside the tested corpus, and whether it was recorded; nothing where that is all there is."""
    others = [f"{entry['name']} ({_origin(entry)})" for entry in datasets if entry["name"] != tested]
    return {"sources": ", ".join(others)} if others else {}


def _device(encoders: Sequence[Encoder]) -> str:
    """Kind of the device that computed features: that of any encoder that is not on the processor, else `cpu`."""
    devices = [encoder.facts.get("device", "cpu") for encoder in encoders]
    return next((device for device in devices if device != "cpu"), "cpu")


def _described(pool: Pool, protocol: Protocol) -> dict[str, Any]:
    """Every choice in words, and what the windows are."""
    windows = {"montage": pool.parts[0].trials.montage, "window_seconds": _seconds(pool)}
    return {**protocol.described(), **windows, "null": null_in_words(pool)}


def _seconds(pool: Pool) -> float:
    return pool.parts[0].index.length / pool.parts[0].trials.sampling_rate


def _saw(encoder: Encoder, corpus: str) -> str:
    """Whether the checkpoint was trained on the tested corpus: "no", "yes" without labels, `SAW_LABELS` with them."""
    if corpus in encoder.facts.get("trained_with_labels_of", []):
        return SAW_LABELS
    known = encoder.facts.get("pretrained_on", [])
    if known is not None and corpus in known:
        return "yes"
    return "not on record" if known is None or UNKNOWN_DATASET in known else "no"
