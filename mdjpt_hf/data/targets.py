"""What a classifier learns to say: one of a corpus's own columns, as numbers with names."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mdjpt_hf.data.corpora import TrialSet
from mdjpt_hf.errors import ConfigurationError, CorpusError
from mdjpt_hf.schema import EMOTIONS, RATINGS, VALENCE_CLASSES, VALENCE_OF_EMOTION

#: `label` is the corpus's own; the next two are common to all corpora; `clip_valence` says whether a stimulus is rated
#: above the corpus's median on average; `ratings` are what subjects reported.
TARGETS = ("label", "emotion", "valence_class", "clip_valence", "ratings")


@dataclass(frozen=True)
class Target:
    """A target over several corpora.

    Attributes:
        name: One of `TARGETS`. names: Of its classes, or of its ratings.
        values: For each corpus `(trials,)` classes, -1 where unknown, or `(trials, ratings)`, NaN where unknown.
        notes: What was taken for what.
    """

    name: str
    names: tuple[str, ...]
    values: list[np.ndarray]
    notes: tuple[str, ...] = ()

    @property
    def problem_type(self) -> str:
        """As the model's config calls it."""
        return "regression" if self.name == "ratings" else "single_label_classification"

    def known(self, corpus: int) -> np.ndarray:
        """`(trials,)`: which trials of a corpus have a value."""
        values = self.values[corpus]
        return values >= 0 if values.ndim == 1 else ~np.isnan(values).all(axis=1)


def find_target(trial_sets: Sequence[TrialSet], name: str) -> Target:
    """The target of these corpora, with only the classes or ratings that occur.

    Where a corpus does not say which emotion or valence a trial is, and its own label is a word of the common
    vocabulary, the label says it.

    Raises:
        ConfigurationError: If there is no such target, or corpora whose own classes differ are to share them.
        CorpusError: If no trial has a value, or all have the same class.
    """
    if name not in TARGETS:
        raise ConfigurationError(f"unknown target {name!r}", value=name, remedy=f"Use one of {', '.join(TARGETS)}")
    if name == "ratings":
        return _ratings(trial_sets)
    notes: list[str] = []
    columns = [class_column(trials, name, notes) for trials in trial_sets]
    occurring = sorted({int(value) for column in columns for value in np.unique(column) if value >= 0})
    if len(occurring) < 2:
        raise CorpusError(
            f"{name} has {len(occurring)} known class{'es' * (len(occurring) != 1)} in "
            f"{', '.join(trials.name for trials in trial_sets)}",
            value=len(occurring),
            remedy=_remedy(trial_sets, name),
        )
    place = {value: number for number, value in enumerate(occurring)}
    values = [np.array([place.get(int(value), -1) for value in column]) for column in columns]
    return Target(name, tuple(_class_names(trial_sets, name)[value] for value in occurring), values, tuple(notes))


#: Targets with words of their own, in the order of their numbers.
_VOCABULARY = {"emotion": EMOTIONS, "valence_class": VALENCE_CLASSES}


def class_column(trials: TrialSet, name: str, notes: list[str] | None = None) -> np.ndarray:
    """`(trials,)` classes of a target in a corpus, -1 where unknown; `notes` are told what was taken for what."""
    column = getattr(trials, name)
    return _from_labels(trials, name, column, [] if notes is None else notes) if name in _VOCABULARY else column


def _from_labels(trials: TrialSet, name: str, column: np.ndarray, notes: list[str]) -> np.ndarray:
    """The column, and in its unknown places what the corpus's own labels say in words that everybody shares."""
    words = _VOCABULARY[name]
    said = {number: _word(label, name) for number, label in enumerate(trials.label_names)}
    known = {number: words.index(word) for number, word in said.items() if word is not None}
    filled = np.where(column >= 0, column, [known.get(int(label), -1) for label in trials.label])
    used = sorted({int(label) for label in trials.label[(column < 0) & (filled >= 0)]})
    if used:
        pairs = ", ".join(f"{trials.label_names[number]} as {said[number]}" for number in used)
        notes.append(f"{trials.name}: {name} is not given, so its labels are taken for it: {pairs}")
    return filled


def _word(label: str, name: str) -> str | None:
    """The word of a target that a label stands for, if any."""
    word = label.strip().lower()
    if word in _VOCABULARY[name]:
        return word
    return VALENCE_OF_EMOTION.get(word) if name == "valence_class" else None


def _remedy(trial_sets: Sequence[TrialSet], name: str) -> str:
    own = sorted({label for trials in trial_sets for label in trials.label_names})
    others = [other for other in TARGETS if other != name and any(_knows(trials, other) for trials in trial_sets)]
    words = f"Give the table a column {name} with {', '.join(_VOCABULARY[name])}" if name in _VOCABULARY else ""
    labels = f"the labels here are {', '.join(own)}" if own else "there are no labels here"
    use = f"or use --target {' or '.join(others)}" if others else "or another corpus"
    return f"{words or 'Give trials of two classes or more'} ({labels}), {use}"


def _knows(trials: TrialSet, name: str) -> bool:
    """Whether a corpus has what a target needs."""
    if name == "ratings":
        return any(_has(trials, rating) for rating in range(len(RATINGS)))
    column = getattr(trials, name)
    return len(np.unique(column[column >= 0])) > 1


def _ratings(trial_sets: Sequence[TrialSet]) -> Target:
    given = [number for number in range(len(RATINGS)) if any(_has(trials, number) for trials in trial_sets)]
    if not given:
        raise CorpusError("no trial has ratings", value="ratings", remedy="Choose another target, or another corpus")
    return Target(
        "ratings", tuple(RATINGS[number] for number in given), [trials.ratings[:, given] for trials in trial_sets]
    )


def _has(trials: TrialSet, rating: int) -> bool:
    return bool((~np.isnan(trials.ratings[:, rating])).any())


def _class_names(trial_sets: Sequence[TrialSet], name: str) -> Sequence[str]:
    if name == "emotion":
        return EMOTIONS
    if name == "valence_class":
        return VALENCE_CLASSES
    if name == "clip_valence":
        return ("low", "high")
    known = {trials.label_names for trials in trial_sets}
    if len(known) > 1:
        raise ConfigurationError(
            "the corpora have classes of their own that differ: "
            + "; ".join(f"{trials.name}: {', '.join(trials.label_names)}" for trials in trial_sets),
            value=[trials.name for trials in trial_sets],
            remedy="Use the target emotion or valence_class, which all corpora share",
        )
    return next(iter(known))
