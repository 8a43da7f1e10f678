"""Tokens: every whole 0.2 s of every trial, numbered in an order that does not depend on how the data came.

Recordings are sorted by dataset, subject and session, trials within them by presentation, so the same corpora in any
order give the same numbers, hence the same pseudo-labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mdjpt_hf.data.corpora import TrialSet
from mdjpt_hf.errors import CorpusError


@dataclass(frozen=True)
class Recording:
    """One subject's session.

    Attributes:
        dataset: Position in the sequence of trial sets. name: of the dataset. subject, session: Identity.
        trials: `(n,)` indices within the trial set, in order of presentation.
        num_tokens: `(n,)` tokens of each trial. first: number of the first token.
    """

    dataset: int
    name: str
    subject: str
    session: int
    trials: np.ndarray
    num_tokens: np.ndarray
    first: int

    @property
    def tokens(self) -> slice:
        """The numbers of its tokens."""
        return slice(self.first, self.first + int(self.num_tokens.sum()))


class TokenIndex:
    """The tokens of several datasets.

    Args:
        trial_sets (`Sequence[TrialSet]`): Datasets with different names.
        token_samples (`int`): Samples per token.
        window_samples (`int`): Trials shorter than a window have no tokens.

    Raises:
        CorpusError: If a dataset has no trial that is long enough.
    """

    def __init__(self, trial_sets: Sequence[TrialSet], token_samples: int, window_samples: int):
        self.trial_sets, self.token_samples, self.window_samples = list(trial_sets), token_samples, window_samples
        self.recordings: list[Recording] = []
        self.first_token = [np.full(len(trials), -1) for trials in self.trial_sets]
        self.num_tokens = 0
        for dataset in sorted(range(len(self.trial_sets)), key=lambda number: self.trial_sets[number].name):
            self._add(dataset)

    def _add(self, dataset: int) -> None:
        trials = self.trial_sets[dataset]
        usable = np.flatnonzero(trials.n_samples >= self.window_samples)
        if not len(usable):
            raise CorpusError(
                f"dataset {trials.name!r} has no trial of {self.window_samples / trials.sampling_rate:g} s or more",
                path=trials.folder,
                value=trials.name,
                remedy="Choose a shorter window with model.window_seconds, or leave this dataset out",
            )
        identity = (trials.rows, trials.stimulus, trials.trial, trials.session, trials.subject)
        order = usable[np.lexsort([column[usable] for column in identity])]
        keys = list(zip(trials.subject[order].tolist(), trials.session[order].tolist(), strict=True))
        for subject, session in sorted(set(keys)):
            members = order[[key == (subject, session) for key in keys]]
            counts = trials.n_samples[members] // self.token_samples
            self.recordings.append(Recording(dataset, trials.name, subject, session, members, counts, self.num_tokens))
            self.first_token[dataset][members] = self.num_tokens + np.cumsum(counts) - counts
            self.num_tokens += int(counts.sum())

    def signal(self, dataset: int, trial: int, first: int = 0, count: int | None = None) -> np.ndarray:
        """`count` tokens of a trial from token `first` on, scaled, `(60, count * token_samples)` float32."""
        trials = self.trial_sets[dataset]
        count = int(trials.n_samples[trial]) // self.token_samples - first if count is None else count
        return trials.window(trial, first * self.token_samples, count * self.token_samples)
