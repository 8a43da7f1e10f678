"""What clusters are like, and what they merely name: sizes, and mutual information with who, what and where."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from mdjpt_hf.data.tokens import TokenIndex

#: What labels are held against, by its name in the report. Emotion is for the report only; nothing is chosen by it.
FACTS = ("dataset", "subject", "stimulus", "emotion")


@dataclass(frozen=True)
class ClusterReport:
    """One granularity of one round.

    Attributes:
        clusters: How many. smallest, largest: Shares of all tokens. perplexity: exp of the entropy of the shares.
        nmi: Normalised mutual information with each of `FACTS`, in [0, 1]; emotion over tokens where it is known.
    """

    clusters: int
    smallest: float
    largest: float
    perplexity: float
    nmi: dict[str, float]


def report_clusters(index: TokenIndex, labels: np.ndarray, counts: list[int]) -> list[ClusterReport]:
    """Describe the labels `(tokens, granularities)` of every granularity; recordings are read one by one."""
    tables = _contingency(index, labels, counts)
    reports = []
    for number, count in enumerate(counts):
        shares = tables["dataset", number].sum(axis=0) / len(labels)
        reports.append(
            ClusterReport(
                clusters=count,
                smallest=float(shares.min()),
                largest=float(shares.max()),
                perplexity=float(np.exp(_entropy(shares))),
                nmi={fact: normalised_mutual_information(tables[fact, number]) for fact in FACTS},
            )
        )
    return reports


def _contingency(index: TokenIndex, labels: np.ndarray, counts: list[int]) -> dict[tuple[str, int], np.ndarray]:
    """Tokens per (value of the fact, cluster), for every fact and granularity."""
    rows: dict[str, dict[Any, int]] = {fact: {} for fact in FACTS}
    found: dict[tuple[str, int], list[np.ndarray]] = {(f, g): [] for f in FACTS for g in range(len(counts))}
    for recording in index.recordings:
        trials = index.trial_sets[recording.dataset]
        for trial in recording.trials:
            first = index.first_token[recording.dataset][trial]
            own = labels[first : first + int(trials.n_samples[trial]) // index.token_samples]
            values = {
                "dataset": recording.name,
                "subject": (recording.name, recording.subject),
                "stimulus": (trials.stimulus_set, trials.stimulus[trial]),
                "emotion": int(trials.valence_class[trial]),
            }
            for fact, value in values.items():
                if value == -1:  # an emotion that is not known
                    continue
                row = rows[fact].setdefault(value, len(rows[fact]))
                for number, count in enumerate(counts):
                    table = found[fact, number]
                    if row == len(table):
                        table.append(np.zeros(count))
                    table[row] += np.bincount(own[:, number], minlength=count)
    return {key: np.array(table).reshape(-1, counts[key[1]]) for key, table in found.items()}


def normalised_mutual_information(table: np.ndarray) -> float:
    """Mutual information over the mean of the two entropies, from counts `(values, clusters)`; 0 where one is 0."""
    joint = table / max(table.sum(), 1)
    entropies = _entropy(joint.sum(axis=1)), _entropy(joint.sum(axis=0))
    if min(entropies) <= 0:
        return 0.0
    return float(max(0.0, sum(entropies) - _entropy(joint.ravel())) / np.mean(entropies))


def _entropy(shares: np.ndarray) -> float:
    present = shares[shares > 0]
    return float(-(present * np.log(present)).sum())


def guess_accuracies(
    index: TokenIndex, labels: np.ndarray, counts: list[int], held_out: Collection[tuple[str, str]]
) -> list[dict[str, float]]:
    """What can be guessed about the evaluated subjects' tokens without looking at the signal, per granularity.

    Args:
        labels (`np.ndarray` of shape `(tokens, granularities)`): Clusters. counts: Of them, by granularity.
        held_out (`Collection` of (dataset, subject)): Who is evaluated, with the shares of the others; everybody
            if empty.

    Returns:
        Accuracies: `majority` (always the most frequent cluster), `unigram` (drawn with the clusters' shares),
        `dataset` and `recording` (the most frequent cluster of the token's own dataset or recording, which is told).
    """
    evaluated = [not held_out or (part.name, part.subject) in held_out for part in index.recordings]
    guesses = []
    for number, count in enumerate(counts):
        table = np.array([np.bincount(labels[part.tokens, number], minlength=count) for part in index.recordings])
        shown = table[[not chosen for chosen in evaluated]] if held_out else table
        shares, tokens = shown.sum(axis=0) / shown.sum(), table[evaluated]
        names = np.array([part.name for part in index.recordings])[evaluated]
        by_dataset = np.array([tokens[names == name].sum(axis=0) for name in np.unique(names)])
        guesses.append(
            {
                "majority": float(tokens[:, shares.argmax()].sum() / tokens.sum()),
                "unigram": float(tokens.sum(axis=0) @ shares / tokens.sum()),
                "dataset": float(by_dataset.max(axis=1).sum() / tokens.sum()),
                "recording": float(tokens.max(axis=1).sum() / tokens.sum()),
            }
        )
    return guesses
