"""Metrics of every subject, and over subjects."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from mdjpt_hf.evaluation.protocols import Pool, Split
from mdjpt_hf.evaluation.readout import Answers
from mdjpt_hf.evaluation.scores.statistics import subject_bootstrap


def tested_subjects(pool: Pool, splits: Sequence[Split]) -> np.ndarray:
    """Names of those whom any split tests, `(subjects,)` in order; scores of all labellings are about them."""
    return np.unique(pool.subject[np.isin(pool.subject, [name for split in splits for name in split.test])])


def metrics_by_subject(
    pool: Pool,
    subjects: np.ndarray,
    answers: Answers,
    label: np.ndarray,
    score: Callable[[np.ndarray, np.ndarray], dict[str, float]],
) -> dict[str, np.ndarray]:
    """Metric -> `(subjects,)`; a subject's is that over the splits that tested it, NaN where none of their windows was.

    Args:
        subjects: Names, of [`tested_subjects`]. label: `(windows,)` of the pool.
        score: (true labels, answers) of some windows -> metrics by name.
    """
    subject = pool.subject[answers.window]
    by_subject: list[dict[str, float]] = []
    for name in subjects:
        scores, counts = [], []
        for split in np.unique(answers.split[subject == name]):
            own = (subject == name) & (answers.split == split)
            scores.append(score(label[answers.window[own]], answers.probabilities[own]))
            counts.append(int(own.sum()))
        known = scores[0] if scores else {}
        by_subject.append({metric: _mean([found[metric] for found in scores], counts) for metric in known})
    metrics = max(by_subject, key=len)
    return {metric: np.array([scores.get(metric, np.nan) for scores in by_subject]) for metric in metrics}


def over_subjects(columns: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Every metric as mean over subjects with its interval and their number; without those nobody has."""
    return {
        metric: {**asdict(subject_bootstrap(values)), "n": int((~np.isnan(values)).sum())}
        for metric, values in columns.items()
        if not np.isnan(values).all()
    }


def _mean(values: list[float], counts: list[int]) -> float:
    """Mean of what is known, every window counting alike."""
    known = ~np.isnan(values)
    return float(np.average(np.array(values)[known], weights=np.array(counts)[known])) if known.any() else float("nan")
