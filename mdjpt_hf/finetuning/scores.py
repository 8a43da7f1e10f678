"""How well a classifier does on those it was trained on and on others, beside what guessing would give."""

from typing import Any

import numpy as np
import torch

from mdjpt_hf.evaluation.protocols import Pool, lonely_classes
from mdjpt_hf.evaluation.scores import (
    Accuracy,
    BalancedAccuracy,
    judged,
    labellings,
    subject_scores,
)
from mdjpt_hf.finetuning.windows import LabelledDataset

#: Labels dealt anew for what guessing gives.
PERMUTATIONS = 500


@torch.no_grad()
def recording_features(model: Any, windows: LabelledDataset, chosen: np.ndarray) -> torch.Tensor:
    """Features of the chosen windows, `(windows, features)`; each recording is normalised as a whole."""
    model.eval()
    features = torch.empty(len(chosen), model.config.pooled_size)
    for recording in np.unique(windows.recording[chosen]):
        own = np.flatnonzero(windows.recording[chosen] == recording)
        encoded = model.base_model.encode_recording(windows.read(chosen[own]), batch_size=128)
        features[own] = encoded.float().cpu()
    return features


def side_score(model: Any, windows: LabelledDataset, chosen: np.ndarray) -> dict[str, Any]:
    """Scores on the chosen windows (their numbers, `(chosen,)`), in plain JSON.

    Returns:
        `subjects` (their number), `windows`, `metrics`; of classes also `classes` (name -> windows), those of them that
        are `classes_of_one_stimulus`, `per_subject` accuracies, `score` (their mean and its interval; a mean alone for
        one subject), `chance` (the same score with labels dealt anew: see `mdjpt_hf.evaluation.scores.nulls`) and
        `above_chance`; of ratings `metrics` holds the mean absolute error of each, and of answering the chosen windows'
        own mean, which no guess is better than.
    """
    found = _answers(model, windows, chosen)
    wanted, subject = windows.label[chosen], windows.subject[chosen]
    facts = {"subjects": len(np.unique(subject)), "windows": len(chosen)}
    if windows.target.problem_type == "regression":
        return facts | _rating_score(found, wanted, windows.target.names)
    return facts | _class_score(found.argmax(axis=-1), windows, chosen)


@torch.no_grad()
def _answers(model: Any, windows: LabelledDataset, chosen: np.ndarray) -> np.ndarray:
    known = windows.features
    features = recording_features(model, windows, chosen) if known is None else known[chosen]
    model.classifier.eval()
    return model.classifier.scores(features.to(model.device)).float().cpu().numpy()


def _class_score(found: np.ndarray, windows: LabelledDataset, chosen: np.ndarray) -> dict[str, Any]:
    pool = _pool(windows, chosen)
    dealt = np.stack([labelling.label for labelling in labellings(pool, PERMUTATIONS, seed=0)])
    per_subject = subject_scores((found == dealt).astype(float), pool.subject)  # the true labels first
    told = judged(per_subject)
    metrics: dict[str, float] = {}
    for metric in (Accuracy(), BalancedAccuracy()):
        metrics |= metric.compute(predictions=found, references=pool.label) or {}
    counts = np.bincount(pool.label, minlength=len(pool.classes)).tolist()
    return {
        "metrics": metrics,
        "classes": dict(zip(pool.classes, counts, strict=True)),
        "classes_of_one_stimulus": lonely_classes(pool),
        "per_subject": told["per_subject"].round(6).tolist(),
        "score": told["score"] if len(told["per_subject"]) > 1 else {"mean": told["score"]["mean"]},
        "chance": told["null"],
        "above_chance": told["score"]["mean"] > told["null"]["high"],
    }


def _pool(windows: LabelledDataset, chosen: np.ndarray) -> Pool:
    """Who saw what with which label, for dealing labels; no signals."""
    columns = ("corpus", "subject", "stimulus", "trial", "recording", "label")
    arrays: dict[str, Any] = {name: getattr(windows, name)[chosen] for name in columns}
    target = windows.target
    return Pool((), target.name, target.names, order=np.arange(len(chosen)), **arrays)


def _rating_score(found: np.ndarray, wanted: np.ndarray, names: tuple[str, ...]) -> dict[str, Any]:
    known = [name for name, values in zip(names, wanted.T, strict=True) if not np.isnan(values).all()]
    errors, guesses = (
        {
            name: float(np.nanmean(np.abs(answer - values)))
            for name, answer, values in zip(names, answers.T, wanted.T, strict=True)
            if name in known
        }
        for answers in (found, np.broadcast_to(np.nanmean(wanted, axis=0), wanted.shape))
    )
    better = [name for name in known if errors[name] < guesses[name]]
    return {"metrics": {"mean_absolute_error": errors, "of_their_mean": guesses}, "above_chance": bool(better)}


# ---- in words


def verdict(training: dict[str, Any], validation: dict[str, Any], chosen_by: str) -> list[str]:
    """Both scores as lines to print, and a plain warning where the classifier is no better than guessing."""
    lines = [_line("training", training), _line("validation", validation) + f"; {chosen_by}"]
    if "classes" in training:
        sides = {"training": training, "validation": validation}
        lines += [f"classes of {side} subjects: {_balance(score)}" for side, score in sides.items()]
        if lonely := training["classes_of_one_stimulus"]:
            lines.append(
                f"a single stimulus has {', '.join(lonely)}: what is recognised may be the stimulus, or its place in "
                "the session, as well as the class"
            )
    if not validation["above_chance"]:
        lines.append(
            "NO BETTER THAN GUESSING on people it was not trained on: nothing that this classifier says of anybody "
            "should be believed. More people or trials, other labels, or a better encoder may help"
        )
    return lines


def _line(side: str, score: dict[str, Any]) -> str:
    who = f"{side}, {score['subjects']} subject{'s' * (score['subjects'] != 1)}, {score['windows']} windows"
    if "classes" not in score:
        errors, guesses = score["metrics"]["mean_absolute_error"], score["metrics"]["of_their_mean"]
        parts = [f"{name} {error:.3f} (their mean: {guesses[name]:.3f})" for name, error in errors.items()]
        return f"{who}: mean absolute error {', '.join(parts)}"
    interval, chance = score["score"], score["chance"]
    spread = f" [{interval['low']:.3f}, {interval['high']:.3f}]" if "low" in interval else " (one person: no interval)"
    return (
        f"{who}: accuracy {interval['mean']:.3f}{spread}, balanced {score['metrics']['balanced_accuracy']:.3f}; "
        f"guessing gives {chance['mean']:.3f} [{chance['low']:.3f}, {chance['high']:.3f}]"
    )


def _balance(score: dict[str, Any]) -> str:
    return ", ".join(f"{name} {count / score['windows']:.0%}" for name, count in score["classes"].items())
