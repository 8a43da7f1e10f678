"""Labels dealt anew, for the null of a protocol: what it scores when features know nothing of the labels."""

from dataclasses import dataclass

import numpy as np

from mdjpt_hf.evaluation.pool import Pool
from mdjpt_hf.evaluation.splits import stimuli_have_one_class


@dataclass(frozen=True)
class Labelling:
    """One way to deal the labels.

    Attributes:
        label: `(windows,)` classes.
        stimulus: `(windows,)` whose place each window's stimulus takes in the splits. Splits that spread the classes
            over training and test do so for the dealt labels too: balanced by the true ones, they would put a dealt
            class on one side, and the null below chance.
    """

    label: np.ndarray
    stimulus: np.ndarray


def labellings(pool: Pool, permutations: int, seed: int) -> list[Labelling]:
    """The true labelling, then permutations: over the stimuli of each corpus, or over the trials of each subject
    where stimuli have no class of their own (subjects' own reports)."""
    rng = np.random.default_rng([seed, 7])
    if not stimuli_have_one_class(pool.stimulus, pool.label):
        dealt = [Labelling(_deal_trials(pool, rng), pool.stimulus) for _ in range(permutations)]
    else:
        dealt = [_deal_stimuli(pool, rng) for _ in range(permutations)]
    return [Labelling(pool.label, pool.stimulus), *dealt]


def null_in_words(pool: Pool) -> str:
    """What is permuted."""
    over = "stimuli" if stimuli_have_one_class(pool.stimulus, pool.label) else "the trials of each subject"
    return f"labels permuted over {over}, everything else repeated; mean and central 95 %"


def _deal_stimuli(pool: Pool, rng: np.random.Generator) -> Labelling:
    names, first, inverse = np.unique(pool.stimulus, return_index=True, return_inverse=True)
    takes_place_of = np.arange(len(names))
    for corpus in np.unique(pool.corpus):
        own = np.flatnonzero(pool.corpus[first] == corpus)
        takes_place_of[own] = rng.permutation(own)
    return Labelling(pool.label[first][takes_place_of][inverse], names[takes_place_of][inverse])


def _deal_trials(pool: Pool, rng: np.random.Generator) -> np.ndarray:
    trials, first, inverse = np.unique(pool.trial, return_index=True, return_inverse=True)
    classes = pool.label[first].copy()
    for subject in np.unique(pool.subject):
        own = np.flatnonzero(pool.subject[first] == subject)
        classes[own] = rng.permutation(classes[own])
    return classes[inverse]
