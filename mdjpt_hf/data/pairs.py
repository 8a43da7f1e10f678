"""Pairs: which subjects, which trials and which moment make a step of pre-training.

For every dataset and step: two different subjects of one session, or more, each two of whom are a pair; for every
stimulus that all of them saw there, or for some of these, one window start, the same for all. A stimulus shown several
times in a session stands in a step once, by the same showing for all: windows of its showings are no negatives of one
another. Everything is a function of (seed, epoch, step, dataset, pair), so any step can be made again, on any process,
in any order.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mdjpt_hf.errors import PairingError

#: With one common stimulus there is no negative window, hence nothing to learn.
MIN_COMMON_STIMULI = 2


_ROWS = 256  # subjects compared with all others at a time

#: Draws over which the size of a group of several subjects is averaged.
_DRAWS = 64


class Viewed(Protocol):
    """What is asked of trials whose viewers are paired: a `TrialSet`, or a pool of several."""

    name: str
    folder: Path
    subject: np.ndarray
    session: np.ndarray
    trial: np.ndarray
    stimulus: np.ndarray
    n_samples: np.ndarray
    sampling_rate: float

    def __len__(self) -> int: ...

    @property
    def facts(self) -> Mapping[str, Any]:
        """What is known of the corpus."""

    def window(self, index: int, start: int, length: int) -> np.ndarray:
        """One scaled window on the standard channels, `(60, length)` float32."""

    def origin(self, index: int) -> tuple[str, int]:
        """The corpus of a trial, and its row in the prepared folder."""


@dataclass(frozen=True)
class Viewing:
    """Windows of subjects who saw the same stimuli, aligned; two subjects, a pair, or several.

    Attributes:
        trials: `(subjects, n)` trial indices; column i is one stimulus.
        starts: `(subjects, n)` first samples of the windows; a column is one number, unless windows are drawn without
            alignment in time.
    """

    trials: np.ndarray
    starts: np.ndarray

    @property
    def first(self) -> np.ndarray:
        """`(n,)` trial indices of the first subject."""
        return self.trials[0]

    @property
    def second(self) -> np.ndarray:
        """`(n,)` trial indices of the second."""
        return self.trials[1]

    @property
    def start(self) -> np.ndarray:
        """`(n,)` first samples of the first subject's windows."""
        return self.starts[0]


class Candidates(Sequence[tuple[int, int, int]]):
    """Pairs of subjects who saw enough stimuli in common: session, row of the first, row of the second, in this order.

    Ten thousand subjects make fifty million pairs, so it is counted how many each subject begins, and those of one
    subject are found when one of them is asked for.

    Args:
        seen: Session -> `(subjects, stimuli)`, which stimuli each subject saw there.
    """

    def __init__(self, seen: Mapping[int, np.ndarray]):
        self._seen = {session: shown.astype(np.float32) for session, shown in seen.items()}
        self._subjects = [(session, row) for session in seen for row in self._begin(session).tolist()]
        counts = [count for session in self._seen for count in self._counts(session)]
        self._ends = np.cumsum(np.array(counts, dtype=np.int64))

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index %= len(self)
        place = int(np.searchsorted(self._ends, index, side="right"))
        session, first = self._subjects[place]
        begin = int(self._ends[place - 1]) if place else 0
        return session, first, int(self._partners(session, first)[index - begin])

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        for session, first in self._subjects:
            for second in self._partners(session, first).tolist():
                yield session, first, second

    def _partners(self, session: int, first: int) -> np.ndarray:
        """Rows that make a pair with `first`, which begins it."""
        return np.flatnonzero(self._pairs(session, np.array([first]))[0])

    def _begin(self, session: int) -> np.ndarray:
        """Rows that may begin a pair."""
        return np.arange(len(self._seen[session]))

    def _counts(self, session: int) -> list[int]:
        """How many pairs each of them begins; some rows at a time, since all have a square of their number."""
        rows = self._begin(session)
        blocks = (rows[start : start + _ROWS] for start in range(0, len(rows), _ROWS))
        return [int(count) for block in blocks for count in self._pairs(session, block).sum(axis=1)]

    def _pairs(self, session: int, firsts: np.ndarray) -> np.ndarray:
        """`(firsts, subjects)`: whether these rows begin a pair with those behind them."""
        shown = self._seen[session]
        return (shown[firsts] @ shown.T >= MIN_COMMON_STIMULI) & (np.arange(len(shown)) > firsts[:, None])


class PairSampler:
    """Draws pairs, or larger groups of subjects, from one dataset.

    Args:
        trials (`Viewed`): Trials of one dataset. Trials shorter than one window do not take part.
        length (`int`): Samples per window.
        aligned (`bool`): Whether both windows of a pair start at the same moment.
        grid (`int`, samples): Windows start at multiples of it.
        viewers (`int`): Subjects drawn together. Fewer where no more share the stimuli of the first two: a further one
            never leaves fewer of these than are drawn.
        clips (`int`): How many of the stimuli they share; 0 for all.

    Raises:
        PairingError: If no two subjects share two stimuli in a session; the message says what is missing.
    """

    def __init__(
        self, trials: Viewed, length: int, aligned: bool = True, grid: int = 1, viewers: int = 2, clips: int = 0
    ):
        self.trials = trials
        self.length = length
        self.aligned, self.grid = aligned, grid
        self.viewers, self.clips = viewers, clips
        self._again: dict[int, list[int]] = {}  # first showing -> later ones
        self._table = self._first_trials()
        if trials.facts.get("unaligned") or not len(self.candidates):
            raise self._impossible()

    def _first_trials(self) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        """Per session: subjects `(S,)` and the trial index of each subject and stimulus `(S, K)`, -1 if not seen; of a
        stimulus shown again its first presentation. Later ones go into `_again`."""
        trials, table = self.trials, {}
        usable = trials.n_samples >= self.length
        for session in np.unique(trials.session[usable]).tolist():
            members = np.flatnonzero(usable & (trials.session == session))
            members = members[np.argsort(trials.trial[members], kind="stable")]
            subjects, row = np.unique(trials.subject[members], return_inverse=True)
            table[session] = (subjects, self._table_of(members, row, trials.stimulus[members]))
        return table

    def _table_of(self, members: np.ndarray, row: np.ndarray, stimulus: np.ndarray) -> np.ndarray:
        """`(rows, stimuli)` trials out of `members`, which stand in the order of presentation."""
        stimuli, column = np.unique(stimulus, return_inverse=True)
        seen = np.full((row.max(initial=-1) + 1, len(stimuli)), -1)
        for member, cell in zip(members.tolist(), zip(row.tolist(), column.tolist(), strict=True), strict=True):
            if seen[cell] < 0:
                seen[cell] = member
            else:
                self._again.setdefault(int(seen[cell]), []).append(member)
        return seen

    @property
    def corpora(self) -> tuple[str, ...]:
        """Names of those whose windows it draws."""
        return (self.trials.name,)

    @cached_property
    def candidates(self) -> "Candidates":
        """Every session and two rows of subjects who share enough stimuli there."""
        return Candidates({session: seen >= 0 for session, (_, seen) in self._table.items()})

    def draw(self, rng: np.random.Generator) -> Viewing:
        """Subjects in random order, one random start per stimulus."""
        session, *pair = self.candidates[int(rng.integers(len(self.candidates)))]
        if rng.integers(2):
            pair.reverse()
        seen = self._table[session][1]
        rows = self._joined(seen, pair, rng) if self.viewers > 2 else pair
        trials = self._shared(seen, rows)
        if 0 < self.clips < trials.shape[1]:
            trials = trials[:, np.sort(rng.permutation(trials.shape[1])[: self.clips])]
        trials = self._one_showing(trials, rng)
        return Viewing(trials, self._starts(trials, rng))

    def _starts(self, trials: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """`(subjects, n)` first samples of windows that lie within the trials of all."""
        places = (self.trials.n_samples[trials].min(axis=0) - self.length) // self.grid + 1
        starts = [rng.integers(0, places) * self.grid]
        for _ in trials[1:]:
            starts.append(starts[0] if self.aligned else rng.integers(0, places) * self.grid)
        return np.stack(starts)

    def _one_showing(self, trials: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """`(subjects, n)` first showings; of stimuli that all of these subjects saw again, one showing by chance."""
        if not self._again:
            return trials
        chosen = trials.copy()
        for column in range(trials.shape[1]):
            showings = [[first, *self._again.get(first, ())] for first in trials[:, column].tolist()]
            if (common := min(map(len, showings))) > 1:
                number = int(rng.integers(common))
                chosen[:, column] = [own[number] for own in showings]
        return chosen

    def _joined(self, seen: np.ndarray, rows: list[int], rng: np.random.Generator) -> list[int]:
        """Two subjects and others in random order, as long as they share stimuli enough."""
        shared = self._shared(seen, rows).shape[1]
        needed = min(self.clips or shared, shared)
        for row in rng.permutation(len(seen)).tolist():
            if len(rows) == self.viewers:
                break
            if self._may_join(row, rows) and self._shared(seen, [*rows, row]).shape[1] >= needed:
                rows = [*rows, row]
        return rows

    def _may_join(self, row: int, rows: Sequence[int]) -> bool:
        """Whether somebody may be aligned with these."""
        return row not in rows

    @staticmethod
    def _shared(seen: np.ndarray, rows: Sequence[int]) -> np.ndarray:
        """`(subjects, n)` trials of the stimuli that all of these subjects saw."""
        own = seen[list(rows)]
        return own[:, (own >= 0).all(axis=0)]

    @property
    def mean_windows(self) -> float:
        """Average number of windows in a draw."""
        if self.viewers == 2 and not self.clips:
            first = islice(self.candidates, 1000)
            sizes = [self._shared(self._table[session][1], pair).size for session, *pair in first]
        else:
            sizes = [self.draw(np.random.default_rng(number)).trials.size for number in range(_DRAWS)]
        return float(np.mean(sizes))

    def _impossible(self) -> PairingError:
        trials = self.trials
        subjects = len(set(trials.subject.tolist()))
        short = int((trials.n_samples < self.length).sum())
        if unaligned := trials.facts.get("unaligned"):
            reason = f"nobody in it shared a moment with anybody, since {unaligned}"
        elif subjects < 2:
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
            remedy="Leave this dataset out, or learn without pairs: --objective masked"
            if unaligned
            else "Check the subject, session and stimulus columns, or leave this dataset out",
        )
