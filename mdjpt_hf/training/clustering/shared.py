"""Directions of features in which viewers of the same moment agree: correlated components, without any label.

Clusters of what is strong in EEG name muscles, drifts and alpha; what a clip does to everybody who watches it is weak.
It is found by correlated components (`mdjpt_hf.training.clustering.correlated`) of the features of tokens.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mdjpt_hf.data.tokens import TokenIndex
from mdjpt_hf.errors import CorpusError
from mdjpt_hf.training.clustering.correlated import correlated_components


@dataclass(frozen=True)
class Viewing:
    """A clip that several people saw, each once: numbers of their first tokens, and how many they have in common."""

    starts: np.ndarray
    tokens: int


def viewings(index: TokenIndex, held_out: frozenset[tuple[str, str]] = frozenset()) -> Iterator[Viewing]:
    """Clips of corpora aligned in time, with two viewers or more who are not held out.

    Args:
        index (`TokenIndex`): The tokens.
        held_out (`frozenset` of (dataset, subject)): People who are passed over.
    """
    seen: dict[tuple[int, str], dict[str, tuple[int, int]]] = defaultdict(dict)  # clip -> viewer -> first token, tokens
    for recording in index.recordings:
        trials = index.trial_sets[recording.dataset]
        if trials.facts.get("unaligned") or (recording.name, recording.subject) in held_out:
            continue
        firsts = index.first_token[recording.dataset][recording.trials]
        for trial, first, count in zip(recording.trials, firsts, recording.num_tokens, strict=True):
            clip = recording.dataset, str(trials.stimulus[trial])
            seen[clip].setdefault(recording.subject, (int(first), int(count)))
    for viewers in seen.values():
        if len(viewers) > 1:
            starts, counts = zip(*viewers.values(), strict=True)
            yield Viewing(np.array(starts), min(counts))


def shared_directions(
    features: np.ndarray, mean: np.ndarray, covariance: np.ndarray, viewings: Sequence[Viewing], count: int
) -> np.ndarray:
    """Leading correlated components, of unit variance times the root of the correlation between viewers.

    Args:
        features (`np.ndarray` of shape `(tokens, size)`): May be mapped from disk; one viewer's clip is read at
            a time.
        mean (`np.ndarray` of shape `(size,)`), covariance (`np.ndarray` of shape `(size, size)`): Of all tokens.
        viewings (`Sequence` of [`Viewing`]): From [`viewings`].
        count (`int`): At most so many; those in which viewers do not agree at all are left out.

    Returns:
        `np.ndarray` of shape `(directions, size)`.

    Raises:
        CorpusError: If nobody shared a clip with anybody, or viewers agree in nothing.
    """
    between, pairs = np.zeros_like(covariance), 0
    for viewing in viewings:
        total, within = np.zeros((viewing.tokens, len(mean))), np.zeros_like(covariance)
        for start in viewing.starts:
            part = np.asarray(features[start : start + viewing.tokens], dtype=np.float64) - mean
            total += part
            within += part.T @ part
        between += total.T @ total - within
        pairs += viewing.tokens * len(viewing.starts) * (len(viewing.starts) - 1)
    remedy = "Set masked.directions to variance"
    if not pairs:
        raise CorpusError("no two people saw the same clip, aligned in time", value="shared", remedy=remedy)
    found = correlated_components(between / pairs, covariance, count)
    if not len(found.directions):
        raise CorpusError("people who saw the same clip agree in nothing", value="shared", remedy=remedy)
    return found.weighted
