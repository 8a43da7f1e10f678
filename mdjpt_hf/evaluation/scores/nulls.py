"""Labels dealt anew, for the null of a protocol: what it scores when features know nothing of the labels.

What is dealt are stimuli, not trials: subjects share what a stimulus does to them and what they report of it, so that
as many independent labels exist as stimuli. Trials dealt for every subject apart would make the null too narrow.

Where every class is a single stimulus (rest against task), dealing stimuli only renames the classes, which changes no
score: there every subject's are dealt apart, which tells nothing of whether the class or its stimulus was recognised.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mdjpt_hf.evaluation.protocols import Labelling, Pool, stimuli_have_one_class


def labellings(pool: Pool, permutations: int, seed: int) -> list[Labelling]:
    """The true labelling, then permutations of the stimuli of each corpus; of corpora that share stimuli, together.

    A stimulus of one class hands it over as a whole. Where subjects report differently, or share no stimulus, all of
    them are dealt by the same permutation, each keeping their own reports: see [`Reports`]. Where every class is a
    single stimulus, each subject has a permutation of their own.
    """
    rng = np.random.default_rng([seed, 7])
    corpora = [_Corpus.of(pool, names) for names in _dealt_together(pool)]
    dealt = []
    for _ in range(permutations):
        label, stimulus = pool.label.copy(), pool.stimulus.copy()
        for corpus in corpora:
            label[corpus.windows], stimulus[corpus.windows] = corpus.deal(rng)
        dealt.append(Labelling(label, stimulus))
    return [Labelling(pool.label, pool.stimulus), *dealt]


def null_in_words(pool: Pool) -> str:
    """What is permuted, in every corpus of the pool."""
    groups = _dealt_together(pool)
    ways = [
        (f"(in {' and '.join(names)}) " if len(groups) > 1 else "") + _Corpus.of(pool, names).in_words()
        for names in groups
    ]
    return f"labels permuted over {'; '.join(ways)}; everything else repeated; mean and central 95 %"


def _dealt_together(pool: Pool) -> list[tuple[str, ...]]:
    """Names of the corpora whose labels are dealt by one permutation: those with a stimulus in common, in any chain.

    Dealt apart, a clip would have two labels, and knowing clips again would look like guessing.
    """
    groups: list[tuple[set[str], set[str]]] = []
    for name in np.unique(pool.corpus).tolist():
        names, shown = {name}, set(pool.stimulus[pool.corpus == name].tolist())
        for group in [group for group in groups if group[1] & shown]:
            groups.remove(group)
            names, shown = names | group[0], shown | group[1]
        groups.append((names, shown))
    return sorted(tuple(sorted(names)) for names, _ in groups)


@dataclass(frozen=True)
class Reports:
    """Trials of one corpus, or of several that are dealt together, by subject and stimulus.

    Attributes:
        subject, stimulus, showing: `(trials,)` numbers; the last counts the trials in which this subject had met this
            stimulus before.
        trial: `(subjects, stimuli, showings)` the number of the trial, where there is one. count: `(subjects, stimuli)`
            how many there are.
    """

    subject: np.ndarray
    stimulus: np.ndarray
    showing: np.ndarray
    trial: np.ndarray
    count: np.ndarray

    @classmethod
    def of(cls, subject: np.ndarray, stimulus: np.ndarray) -> "Reports":
        """From the names of the subject and the stimulus of every trial, `(trials,)` each."""
        people, who = np.unique(subject, return_inverse=True)
        names, what = np.unique(stimulus, return_inverse=True)
        count = np.zeros((len(people), len(names)), dtype=int)
        showing = np.zeros(len(who), dtype=int)
        for number, cell in enumerate(zip(who, what, strict=True)):
            showing[number] = count[cell]
            count[cell] += 1
        trial = np.zeros((*count.shape, count.max(initial=1)), dtype=int)
        trial[who, what, showing] = np.arange(len(who))
        return cls(who, what, showing, trial, count)

    def sources(self, following: np.ndarray) -> np.ndarray:
        """Whose report every trial takes, `(trials,)` numbers, under a permutation of the stimuli.

        Everybody's report of `following[k]` takes the place of that of stimulus k. A subject who did not see it takes
        the next stimulus in that cycle which they saw; so all keep their own reports, and subjects who saw the same
        stimuli are dealt alike. Stimuli met several times hand over their reports in order.

        Args:
            following: `(stimuli,)` permutation for all subjects, or `(subjects, stimuli)` one for each.
        """
        seen = self.count > 0
        following = np.broadcast_to(following, seen.shape)
        taken, rows = following, np.arange(len(seen))[:, None]
        while (missed := seen & ~seen[rows, taken]).any():
            taken = np.where(missed, following[rows, taken], taken)
        other = taken[self.subject, self.stimulus]
        return self.trial[self.subject, other, self.showing % self.count[self.subject, other]]

    @property
    def shared(self) -> bool:
        """Whether two subjects saw the same stimulus."""
        return bool(((self.count > 0).sum(axis=0) > 1).any())


@dataclass(frozen=True)
class _Corpus:
    """What is dealt in one corpus, or in several that share stimuli: `windows` numbers of its windows, and of each its
    `place` among the trials.

    `label` and `stimulus` `(trials,)` are those of every trial; `mixed` counts the stimuli with several labels, and
    `lonely` says whether every class is a single stimulus.
    """

    windows: np.ndarray
    place: np.ndarray
    label: np.ndarray
    stimulus: np.ndarray
    reports: Reports
    mixed: int
    lonely: bool

    @classmethod
    def of(cls, pool: Pool, names: Sequence[str]) -> "_Corpus":
        windows = np.flatnonzero(np.isin(pool.corpus, names))
        _, first, place = np.unique(pool.trial[windows], return_index=True, return_inverse=True)
        label, stimulus = pool.label[windows][first], pool.stimulus[windows][first]
        reports = Reports.of(pool.subject[windows][first], stimulus)
        mixed = sum(not stimuli_have_one_class(stimulus[own], label[own]) for own in _groups(stimulus))
        lonely = not pool.rated and not mixed and len(np.unique(stimulus)) == len(np.unique(label))
        return cls(windows, place, label, stimulus, reports, mixed, lonely)

    def deal(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Labels, and the stimuli whose place in the splits is taken, `(windows,)` each."""
        names, first, number = np.unique(self.stimulus, return_index=True, return_inverse=True)
        if self.lonely:
            people = range(len(self.reports.count))
            sources = self.reports.sources(np.stack([rng.permutation(len(names)) for _ in people]))
            return self.label[sources][self.place], self.stimulus[sources][self.place]
        following = rng.permutation(len(names))
        if self.mixed or not self.reports.shared:
            sources = self.reports.sources(following)
            stimulus = self.stimulus if self.mixed else self.stimulus[sources]
            return self.label[sources][self.place], stimulus[self.place]
        return self.label[first][following][number][self.place], names[following][number][self.place]

    def in_words(self) -> str:
        if self.lonely:
            return "the stimuli of each subject apart, since every class is a single stimulus"
        if not self.reports.shared:
            return "the trials of each subject apart, since no stimulus was shown to two subjects"
        if not self.mixed:
            return "stimuli"
        seen = (self.reports.count > 0).mean()
        return (
            f"stimuli, each subject's own reports by the same permutation (reports differ for {self.mixed} of "
            f"{self.reports.count.shape[1]} stimuli; subjects saw {seen:.0%} of them, and who did not see a stimulus "
            "takes the next one of the permutation that they saw)"
        )


def _groups(names: np.ndarray) -> list[np.ndarray]:
    """Numbers of the elements of every name."""
    _, inverse = np.unique(names, return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(inverse[order])) + 1)
