"""Pairs: which two subjects, which trials and which moment make a step of pre-training.

For every dataset and step: two different subjects of one session; for every stimulus both saw there, one window start,
the same for both. Everything is a function of (seed, epoch, step, dataset, pair), so any step can be made again, on
any process, in any order.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mdjpt_hf.data.corpora import TrialSet
from mdjpt_hf.errors import PairingError

#: With one common stimulus there is no negative window, hence nothing to learn.
MIN_COMMON_STIMULI = 2


@dataclass(frozen=True)
class Pair:
    """Windows of two subjects, aligned.

    Attributes:
        first, second: `(n,)` trial indices of the two subjects; position i of both is the same stimulus.
        start: `(n,)` first samples of the first subject's windows.
        second_start: `(n,)` of the second's; the same, unless pairs are drawn without alignment in time.
    """

    first: np.ndarray
    second: np.ndarray
    start: np.ndarray
    second_start: np.ndarray


class PairSampler:
    """Draws pairs from one dataset.

    Args:
        trials (`TrialSet`): Trials of one dataset. Trials shorter than one window do not take part.
        length (`int`): Samples per window.
        aligned (`bool`): Whether both windows of a pair start at the same moment.
        grid (`int`, samples): Windows start at multiples of it.

    Raises:
        PairingError: If no two subjects share two stimuli in a session; the message says what is missing.
    """

    def __init__(self, trials: TrialSet, length: int, aligned: bool = True, grid: int = 1):
        self.trials = trials
        self.length = length
        self.aligned, self.grid = aligned, grid
        self._table = self._first_trials()
        if not len(self.candidates):
            raise self._impossible()

    def _first_trials(self) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        """Per session: subjects `(S,)` and the trial index of each subject and stimulus `(S, K)`, -1 if not seen."""
        trials, table = self.trials, {}
        usable = trials.n_samples >= self.length
        for session in np.unique(trials.session[usable]).tolist():
            members = np.flatnonzero(usable & (trials.session == session))
            subjects, row = np.unique(trials.subject[members], return_inverse=True)
            stimuli, column = np.unique(trials.stimulus[members], return_inverse=True)
            seen = np.full((len(subjects), len(stimuli)), -1)
            # Written backwards, so that of a stimulus shown twice the first presentation stays.
            seen[row[::-1], column[::-1]] = members[::-1]
            table[session] = (subjects, seen)
        return table

    @cached_property
    def candidates(self) -> np.ndarray:
        """`(pairs, 3)`: session, and the rows of two subjects who share enough stimuli there."""
        found = [np.empty((0, 3), dtype=int)]
        for session, (_, seen) in self._table.items():
            shown = (seen >= 0).astype(int)
            first, second = np.nonzero(np.triu(shown @ shown.T >= MIN_COMMON_STIMULI, k=1))
            found.append(np.column_stack([np.full(len(first), session), first, second]))
        return np.concatenate(found)

    def draw(self, rng: np.random.Generator) -> Pair:
        """One pair: subjects in random order, one random start per common stimulus."""
        session, first, second = self.candidates[rng.integers(len(self.candidates))]
        if rng.integers(2):
            first, second = second, first
        pair = self._align(session, first, second)
        shortest = np.minimum(self.trials.n_samples[pair[0]], self.trials.n_samples[pair[1]])
        places = (shortest - self.length) // self.grid + 1
        start = rng.integers(0, places) * self.grid
        return Pair(*pair, start, start if self.aligned else rng.integers(0, places) * self.grid)

    def _align(self, session: int, first: int, second: int) -> tuple[np.ndarray, np.ndarray]:
        seen = self._table[session][1]
        both = (seen[first] >= 0) & (seen[second] >= 0)
        return seen[first][both], seen[second][both]

    @property
    def mean_windows(self) -> float:
        """Average number of windows in a pair."""
        sizes = [2 * len(self._align(*candidate)[0]) for candidate in self.candidates[:1000]]
        return float(np.mean(sizes))

    def _impossible(self) -> PairingError:
        trials = self.trials
        subjects = len(set(trials.subject.tolist()))
        short = int((trials.n_samples < self.length).sum())
        if subjects < 2:
            reason = f"it has {subjects} subject, and inter-subject alignment needs at least 2"
        elif short == len(trials):
            reason = f"all its {short} trials are shorter than a window of {self.length / trials.sampling_rate:g} s"
        else:
            reason = (
                f"no two of its {subjects} subjects share {MIN_COMMON_STIMULI} stimuli within a session "
                f"({short} of {len(trials)} trials are shorter than a window)"
            )
        return PairingError(
            f"dataset {trials.name!r} cannot be used for pre-training: {reason}",
            path=trials.folder,
            value=trials.name,
            remedy="Check the subject, session and stimulus columns, or leave this dataset out",
        )
