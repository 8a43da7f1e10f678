"""Pairs across corpora that show the same clips: their viewers are one pool, in which each corpus begins its own pairs.

Ours; in the paper a pair is of one corpus. A pair that a corpus begins is of two of its viewers, as everywhere, or of
one of them and one of another corpus. So a step has as many pairs of every corpus as without a pool, however large the
others are, and everything else about it stays as it is.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np

from mdjpt_hf.data.corpora import TrialSet
from mdjpt_hf.data.overlap import recordings_in_common
from mdjpt_hf.data.pairs import Candidates, PairSampler
from mdjpt_hf.data.storage import corpus_options, folder_metadata
from mdjpt_hf.data_scripts.tsinghua_clips import PARTS
from mdjpt_hf.errors import PairingError


class PooledTrials:
    """Trials of corpora that show the same clips, one corpus after the other; what is asked of a `TrialSet` for pairs.

    Args:
        parts (`Sequence[TrialSet]`): The corpora.

    Attributes:
        corpus: `(trials,)` numbers of the parts. Others are those of the first part, or of all one after the other.
    """

    def __init__(self, parts: Sequence[TrialSet]):
        self.parts = list(parts)
        self.name, self.folder, self.facts = parts[0].name, parts[0].folder, parts[0].facts
        self.sampling_rate = parts[0].sampling_rate
        self.corpus = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        self._begins = np.cumsum([0, *(len(part) for part in parts)])
        self.subject, self.session, self.trial, self.stimulus, self.n_samples = (
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("subject", "session", "trial", "stimulus", "n_samples")
        )

    def __len__(self) -> int:
        return len(self.corpus)

    def window(self, index: int, start: int, length: int) -> np.ndarray:
        """One scaled window on the standard channels, `(60, length)` float32."""
        part, own = self._own(index)
        return part.window(own, start, length)

    def origin(self, index: int) -> tuple[str, int]:
        """The corpus of a trial, and its row in the prepared folder."""
        part, own = self._own(index)
        return part.origin(own)

    def _own(self, index: int) -> tuple[TrialSet, int]:
        number = int(self.corpus[index])
        return self.parts[number], index - int(self._begins[number])


class PooledCandidates(Candidates):
    """Pairs that the first corpus of a pool begins.

    Args:
        seen: `(viewers, stimuli)`: which stimuli each saw; a viewer is a subject in a session of a corpus.
        corpus, session: `(viewers,)`, in the order of the corpora.
    """

    def __init__(self, seen: np.ndarray, corpus: np.ndarray, session: np.ndarray):
        self._corpus, self._session = corpus, session
        super().__init__({0: seen})

    def may_meet(self, first: int | np.ndarray, second: int | np.ndarray) -> np.ndarray:
        """Whether viewers may be aligned: within a corpus those of one session, and those of different corpora."""
        apart = self._corpus[first] != self._corpus[second]
        return (apart | (self._session[first] == self._session[second])) & np.not_equal(first, second)

    @cached_property
    def across(self) -> int:
        """How many of them are of two corpora."""
        within = Candidates(
            {session: self._seen[0][self._own(session)] for session in np.unique(self._session).tolist()}
        )
        return len(self) - len(within)

    def _own(self, session: int) -> np.ndarray:
        return (self._corpus == 0) & (self._session == session)

    def _begin(self, session: int) -> np.ndarray:
        return np.flatnonzero(self._corpus == 0)

    def _pairs(self, session: int, firsts: np.ndarray) -> np.ndarray:
        return super()._pairs(session, firsts) & self.may_meet(firsts[:, None], np.arange(len(self._corpus)))


class PooledSampler(PairSampler):
    """Draws viewers of the first corpus of a pool together with others of it or of the other corpora.

    Args:
        trials (`PooledTrials`): The pool.
        moments (`bool`): Whether the same sample is the same moment in all corpora; windows of different ones are drawn
            apart from each other where it is not. Those of one corpus start together, if they are `aligned`.
        arguments: Of [`PairSampler`].

    Raises:
        PairingError: If nobody of the first corpus shares two stimuli with anybody.
    """

    def __init__(self, trials: PooledTrials, *arguments: Any, moments: bool = False, **named: Any):
        self.pool, self.moments = trials, moments
        super().__init__(trials, *arguments, **named)

    @property
    def corpora(self) -> tuple[str, ...]:
        """Names of those whose windows it draws."""
        return tuple(part.name for part in self.pool.parts)

    def _first_trials(self) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        """All viewers in one table, those of the first corpus first; see [`PairSampler`]."""
        pool = self.pool
        members = np.flatnonzero(pool.n_samples >= self.length)
        members = members[np.argsort(pool.trial[members], kind="stable")]
        people = np.unique(pool.subject, return_inverse=True)[1]
        keys = np.stack([pool.corpus, pool.session, people], axis=1)[members]
        viewers, row = np.unique(keys, axis=0, return_inverse=True)
        self._corpus, self._session = viewers[:, 0], viewers[:, 1]
        return {0: (viewers, self._table_of(members, row.ravel(), pool.stimulus[members]))}  # flat since NumPy 2.1

    @cached_property
    def candidates(self) -> PooledCandidates:
        """Every two viewers who share enough stimuli, one or both of the first corpus."""
        return PooledCandidates(self._table[0][1] >= 0, self._corpus, self._session)

    def _may_join(self, row: int, rows: Sequence[int]) -> bool:
        return bool(self.candidates.may_meet(row, np.array(rows)).all())

    def _starts(self, trials: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if self.moments:
            return super()._starts(trials, rng)
        corpus, starts = self.pool.corpus[trials[:, 0]], np.empty_like(trials)
        for number in np.unique(corpus):
            starts[corpus == number] = super()._starts(trials[corpus == number], rng)
        return starts

    def _impossible(self) -> PairingError:
        others = ", ".join(self.corpora[1:])
        return PairingError(
            f"dataset {self.pool.name!r} cannot be used for pre-training: nobody in it shares two stimuli with anybody "
            f"in it or in {others}, in trials of a window of {self.length / self.pool.sampling_rate:g} s or more",
            path=self.pool.folder,
            value=self.pool.name,
            remedy="Check the stimulus columns of both: the same clip has the same id in corpora of one stimulus set",
        )


def pools_of(trial_sets: Sequence[TrialSet], across: str) -> dict[str, list[TrialSet]]:
    """Corpus -> itself and the others that show its clips; only corpora that there are others for.

    Args:
        across: `"clips"` or `"moments"`.

    Raises:
        PairingError: If no two corpora show the same clips, two of them hold the same recordings, or what is known of
            them contradicts that the same sample is the same moment.
    """
    sets: dict[str, list[TrialSet]] = {}
    for trials in trial_sets:
        if not trials.facts.get("unaligned"):
            sets.setdefault(trials.stimulus_set, []).append(trials)
    pools = [together for together in sets.values() if len(together) > 1]
    if not pools:
        raise PairingError(
            f"there are no pairs across {', '.join(trials.name for trials in trial_sets)}: no two of these corpora are "
            "known to show the same clips",
            value={trials.name: trials.stimulus_set for trials in trial_sets},
            remedy="Name the stimuli of both with --stimulus-set when they are prepared, or set pairs_across: no",
        )
    for together in pools:
        _check_recordings(together)
        if across == "moments":
            _check_moments(together)
    return {
        trials.name: [trials, *(other for other in together if other is not trials)]
        for together in pools
        for trials in together
    }


def pooled_samplers(
    pools: Mapping[str, Sequence[TrialSet]], parts: Mapping[str, TrialSet], length: int, **plan: Any
) -> dict[str, PooledSampler]:
    """A sampler for every corpus of a pool.

    Args:
        pools: From [`pools_of`]. parts: What is trained on of every corpus, by its name.
        length, plan: Of [`PooledSampler`].

    Raises:
        PairingError: If a corpus gives no pair, or no two corpora of a pool give one.
    """
    samplers = {
        name: PooledSampler(PooledTrials([parts[trials.name] for trials in together]), length, **plan)
        for name, together in pools.items()
    }
    for name, sampler in samplers.items():
        if not any(samplers[corpus].candidates.across for corpus in sampler.corpora):
            ids = {corpus: np.unique(parts[corpus].stimulus).tolist()[:3] for corpus in sampler.corpora}
            raise PairingError(
                f"there are no pairs across {', '.join(sampler.corpora)}: no two of their viewers saw two clips of the "
                f"same id, which are such as {'; '.join(', '.join(some) for some in ids.values())}",
                path=parts[name].folder,
                value=ids,
                remedy="Give the same clip the same id when corpora are prepared, or set pairs_across: no",
            )
    return samplers


def _check_recordings(together: Sequence[TrialSet]) -> None:
    """Refuse one recording under two names: it would be its own partner."""
    for one, other in combinations(together, 2):
        if same := recordings_in_common(one, other):
            raise PairingError(
                f"{one.name} and {other.name} have {same} recordings in common: pairs across them would be of one "
                "person with himself or herself",
                path=other.folder,
                value=same,
                remedy="Give one of them",
            )


def _check_moments(together: Sequence[TrialSet]) -> None:
    """Refuse corpora whose sources say that they hold other parts of the clips, or do not say which."""
    told = {trials.name: part for trials in together if (part := _part_told(trials)) is not None}
    if all(told.values()) and len(set(told.values())) < 2:
        return
    words = [f"{name} holds {part or 'a part of it that no source names'}" for name, part in told.items()]
    raise PairingError(
        f"the same sample of a clip is not known to be the same moment in {', '.join(t.name for t in together)}: "
        + "; ".join(words),
        value=told,
        remedy="Set pairs_across: clips, which asks for no moment",
    )


def _part_told(trials: TrialSet) -> str | None:
    """Which part of a clip its trials hold, empty where no source tells; None for a corpus that the user speaks for."""
    known: Mapping[str, str] | None = PARTS.get(trials.name)
    options = corpus_options(folder_metadata(trials.folder), trials.name)
    return None if known is None else known.get(str(options.get("product")), "")
