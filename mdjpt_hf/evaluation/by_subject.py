"""Metrics of every subject, and over subjects."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from mdjpt_hf.evaluation.pool import Pool
from mdjpt_hf.evaluation.readout import Answers
from mdjpt_hf.evaluation.statistics import subject_bootstrap


def metrics_by_subject(
    pool: Pool, answers: Answers, label: np.ndarray, score: Callable[[np.ndarray, np.ndarray], dict[str, float]]
) -> dict[str, np.ndarray]:
    """Metric -> `(tested subjects,)`, in the order of their names; a subject's is that over the splits that tested it.

    Args:
        label: `(windows,)` of the pool. score: (true labels, answers) of some windows -> metrics by name.
    """
    subject = pool.subject[answers.window]
    by_subject: list[dict[str, float]] = []
    for name in np.unique(subject):
        scores, counts = [], []
        for split in np.unique(answers.split[subject == name]):
            own = (subject == name) & (answers.split == split)
            scores.append(score(label[answers.window[own]], answers.probabilities[own]))
            counts.append(int(own.sum()))
        by_subject.append({metric: _mean([found[metric] for found in scores], counts) for metric in scores[0]})
    return {metric: np.array([scores[metric] for scores in by_subject]) for metric in by_subject[0]}


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
