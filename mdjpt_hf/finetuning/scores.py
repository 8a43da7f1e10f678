"""How well a classifier does on those it was trained on and on others, beside what guessing would give."""

import contextlib
from typing import Any

import numpy as np
import torch

from mdjpt_hf.errors import CorpusError
from mdjpt_hf.evaluation.engine import score_answers
from mdjpt_hf.evaluation.protocols import Pool, lonely_classes
from mdjpt_hf.evaluation.readout import scale
from mdjpt_hf.evaluation.reports import plain
from mdjpt_hf.evaluation.scores import SCORE_OF_RATINGS, all_metrics
from mdjpt_hf.finetuning.windows import LabelledDataset

#: What has to be said of a class that one stimulus alone has.
ONE_STIMULUS = "what is recognised may be the stimulus, or its place in the session, as well as the class"

#: Labels dealt anew for what guessing gives; fewer of ratings, whose score takes longer.
PERMUTATIONS, RATING_PERMUTATIONS = 500, 100


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

    Score, chance and per-subject scores are those of the one engine of evaluations, [`score_answers`].

    Returns:
        `subjects` (their number), `windows`, `metrics` over all windows, and `above_chance`: whether the score lies
        above the central 95 % of `chance`, the same score with labels dealt anew. Of classes also `classes` (name ->
        windows), those of them that are `classes_of_one_stimulus`, `score` (mean over subjects and its interval; a mean
        alone for one subject), `chance` and `per_subject` accuracies. Of ratings `metrics` holds mean absolute errors
        and those of the chosen windows' own mean, and `ratings` the same facts on the concordance of each
        whose reports vary for some subject; one of them above chance is enough.
    """
    found = _answers(model, windows, chosen)
    facts = {"subjects": len(np.unique(windows.subject[chosen])), "windows": len(chosen)}
    if windows.target.problem_type == "regression":
        return facts | _rating_score(found, windows, chosen)
    return facts | _class_score(scale(found, 1.0), windows, chosen)


@torch.no_grad()
def _answers(model: Any, windows: LabelledDataset, chosen: np.ndarray) -> np.ndarray:
    known = windows.features
    features = recording_features(model, windows, chosen) if known is None else known[chosen]
    model.classifier.eval()
    return model.classifier.scores(features.to(model.device)).float().cpu().numpy()


def _class_score(probabilities: np.ndarray, windows: LabelledDataset, chosen: np.ndarray) -> dict[str, Any]:
    pool = _pool(windows, chosen, windows.label[chosen])
    counts = np.bincount(pool.label, minlength=len(pool.classes)).tolist()
    metrics = all_metrics(pool.label, probabilities)
    return {
        "metrics": {name: metrics[name] for name in ("accuracy", "balanced_accuracy")},
        "classes": dict(zip(pool.classes, counts, strict=True)),
        "classes_of_one_stimulus": lonely_classes(pool),
        **_judged(score_answers(pool, probabilities, PERMUTATIONS)),
    }


def _judged(entry: dict[str, Any]) -> dict[str, Any]:
    """What is kept of an entry: everybody's score, their mean, and what guessing gives."""
    score, known = entry["score"], ~np.isnan(entry["per_subject"])
    told = {
        "per_subject": entry["per_subject"].round(6),
        "score": score if known.sum() > 1 else {"mean": score["mean"]},
        "chance": entry["null"],
        "above_chance": bool(score["mean"] > entry["null"]["high"]),
    }
    return plain(told)


def _pool(windows: LabelledDataset, chosen: np.ndarray, label: np.ndarray, target: str = "") -> Pool:
    """Who saw what with which label, for dealing labels; no signals."""
    columns = ("corpus", "subject", "stimulus", "trial", "recording")
    arrays: dict[str, Any] = {name: getattr(windows, name)[chosen] for name in columns}
    about = windows.target
    return Pool((), target or about.name, about.names, order=np.arange(len(chosen)), label=label, **arrays)


def _rating_score(found: np.ndarray, windows: LabelledDataset, chosen: np.ndarray) -> dict[str, Any]:
    """Mean absolute errors, and of every rating that varies the score of the engine; a rating not given is NaN."""
    wanted = windows.label[chosen]
    errors, guesses, ratings = {}, {}, {}
    for name, answers, values in zip(windows.target.names, found.T, wanted.T, strict=True):
        known = ~np.isnan(values)
        if known.any():
            errors[name] = float(np.abs(answers - values)[known].mean())
            guesses[name] = float(np.abs(values - values[known].mean())[known].mean())
            pool = _pool(windows, chosen[known], values[known], name)
            with contextlib.suppress(CorpusError):  # nobody's varies: there is nothing to agree with
                ratings[name] = _judged(score_answers(pool, answers[known, None], RATING_PERMUTATIONS))
    return {
        "metrics": {"mean_absolute_error": errors, "of_their_mean": guesses},
        "score_name": SCORE_OF_RATINGS,
        "ratings": ratings,
        "above_chance": any(told["above_chance"] for told in ratings.values()),
    }


# ---- in words


def verdict(training: dict[str, Any], validation: dict[str, Any], chosen_by: str) -> list[str]:
    """Both scores as lines to print, and a plain warning where the classifier is no better than guessing."""
    lines = [_line("training", training), _line("validation", validation) + f"; {chosen_by}"]
    if "classes" in training:
        sides = {"training": training, "validation": validation}
        lines += [f"classes of {side} subjects: {_balance(score)}" for side, score in sides.items()]
        if lonely := training["classes_of_one_stimulus"]:
            lines.append(f"a single stimulus has {', '.join(lonely)}: {ONE_STIMULUS}")
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
        agreed = [f"; concordance of {name} {_beside_chance(told)}" for name, told in score["ratings"].items()]
        return f"{who}: mean absolute error {', '.join(parts)}{''.join(agreed)}"
    balanced = f", balanced {score['metrics']['balanced_accuracy']:.3f}"
    return f"{who}: accuracy {_beside_chance(score, balanced)}"


def _beside_chance(told: dict[str, Any], more: str = "") -> str:
    score, chance = told["score"], told["chance"]
    spread = f" [{score['low']:.3f}, {score['high']:.3f}]" if "low" in score else " (one person: no interval)"
    guessing = f"guessing gives {chance['mean']:.3f} [{chance['low']:.3f}, {chance['high']:.3f}]"
    return f"{score['mean']:.3f}{spread}{more}; {guessing}"


def _balance(score: dict[str, Any]) -> str:
    return ", ".join(f"{name} {count / score['windows']:.0%}" for name, count in score["classes"].items())
