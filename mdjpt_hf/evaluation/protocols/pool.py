"""The labelled windows of one corpus or several in one numbering: who, what, when, and which class."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mdjpt_hf.data.corpora import TrialSet
from mdjpt_hf.data.labelled import LabelledWindows, labelled_windows
from mdjpt_hf.data.stimuli import stimulus_names
from mdjpt_hf.data.targets import Target, class_column, find_target
from mdjpt_hf.errors import ConfigurationError, CorpusError
from mdjpt_hf.modeling.montage_mdjpt import STANDARD_CHANNELS
from mdjpt_hf.schema import RATINGS

#: Targets that are classes; the first belongs to one corpus, the others to all.
LABELS = ("label", "emotion", "valence_class", "clip_valence")

_COLUMNS = ("corpus", "subject", "stimulus", "trial", "recording", "label", "order")


@dataclass(frozen=True)
class Pool:
    """Windows of all corpora, one after the other.

    Names of subjects carry their corpus (`seed/s01`), so that nobody stands twice under one name. Those of stimuli
    carry their stimulus set, which is the corpus where no other shows the same: a clip has one name in all corpora.

    Attributes:
        parts: The windows of each corpus, `(windows,)` of which make up the arrays below.
        target: One of `LABELS` or `RATINGS`. classes: Its names; of a rating its own.
        corpus, subject, stimulus: `(windows,)` strings. trial, recording: `(windows,)` numbers.
        label: `(windows,)` classes from 0, or a rating from 0 to 1.
        order: `(windows,)` rank in which the windows of a recording were recorded.
        silenced: Name of an electrode whose signal is left out of all windows.
        among_others: Whether these are windows of one corpus out of several that are evaluated together.
    """

    parts: tuple[LabelledWindows, ...]
    target: str
    classes: tuple[str, ...]
    corpus: np.ndarray
    subject: np.ndarray
    stimulus: np.ndarray
    trial: np.ndarray
    recording: np.ndarray
    label: np.ndarray
    order: np.ndarray
    silenced: str = ""
    among_others: bool = False

    def __len__(self) -> int:
        return len(self.label)

    @property
    def rated(self) -> bool:
        """Whether labels are ratings, not classes."""
        return self.target in RATINGS

    def only(self, corpus: str) -> "Pool":
        """The windows of one corpus, in the same order."""
        own = self.corpus == corpus
        arrays: dict[str, Any] = {name: getattr(self, name)[own] for name in _COLUMNS}
        parts = tuple(part for part in self.parts if part.trials.name == corpus)
        return replace(self, parts=parts, among_others=len(parts) < len(self.parts) or self.among_others, **arrays)

    def of_recording(self, number: int) -> "Pool":
        """The windows of one recording, in the same order; trials are those of all."""
        own, parts = self.recording == number, []
        for part, start in zip(self.parts, self.offsets, strict=True):
            kept = own[start : start + len(part)]
            index = replace(part.index, trial=part.index.trial[kept], start=part.index.start[kept])
            columns = {
                name: getattr(part, name)[kept] for name in ("subject", "stimulus", "trial", "recording", "label")
            }
            parts.append(replace(part, index=index, **columns))
        arrays: dict[str, Any] = {name: getattr(self, name)[own] for name in _COLUMNS}
        return replace(self, parts=tuple(parts), **arrays)

    @property
    def recorded(self) -> list[str]:
        """Standard channels that were recorded in every trial, in their order."""
        recorded = [set(names) for part in self.parts for names in part.trials.ch_names]
        return [name for name in STANDARD_CHANNELS if all(name in names for names in recorded)]

    @property
    def offsets(self) -> list[int]:
        """Where the windows of each part start."""
        return np.cumsum([0, *map(len, self.parts)])[:-1].tolist()


@dataclass(frozen=True)
class Labelling:
    """One way to deal the labels.

    Attributes:
        label: `(windows,)` classes, or ratings.
        stimulus: `(windows,)` whose place each window's stimulus takes in the splits. Splits that spread the classes
            over training and test do so for the dealt labels too: balanced by the true ones, they would put a dealt
            class on one side, and the null below chance. Where reports differ, splits do not look at them, and every
            stimulus keeps its place.
    """

    label: np.ndarray
    stimulus: np.ndarray


def open_pool(trial_sets: Sequence[TrialSet], target: str, seconds: float, stride_seconds: float | None = None) -> Pool:
    """Cut the labelled trials of corpora into windows, without overlap unless a stride is given.

    Raises:
        ConfigurationError: If there is no such target, or corpora whose own classes differ are to share them.
        CorpusError: If there are fewer than two classes, or no ratings.
    """
    if target not in (*LABELS, *RATINGS):
        known = ", ".join((*LABELS, *RATINGS))
        raise ConfigurationError(
            f"{target!r} is neither classes nor a rating", value=target, remedy=f"Use one of {known}"
        )
    found = _rating(trial_sets, target) if target in RATINGS else find_target(trial_sets, target)
    labelled = [replace(trials, label=values) for trials, values in zip(trial_sets, found.values, strict=True)]
    parts = [labelled_windows(trials, seconds, stride_seconds) for trials in labelled]
    names = [trials.name for trials in trial_sets]
    return Pool(
        parts=tuple(parts),
        target=target,
        classes=found.names,
        corpus=np.repeat(names, [len(part) for part in parts]),
        subject=_named(names, [part.subject for part in parts]),
        stimulus=np.concatenate([stimulus_names(part.trials.stimulus_set, part.stimulus) for part in parts]),
        trial=_numbered([part.trial for part in parts]),
        recording=_numbered([part.recording for part in parts]),
        label=np.concatenate([part.label for part in parts]),
        order=np.concatenate([_presentation_order(part) for part in parts]),
    )


def has_target(trials: TrialSet, target: str) -> bool:
    """Whether any trial of a corpus has a known class or rating."""
    if target in RATINGS:
        return bool((~np.isnan(trials.ratings[:, RATINGS.index(target)])).any())
    return bool((class_column(trials, target) >= 0).any())


def _rating(trial_sets: Sequence[TrialSet], name: str) -> Target:
    """One rating alone, `(trials,)` values of every corpus; NaN where it was not given."""
    found = find_target(trial_sets, "ratings")
    if name not in found.names:
        raise CorpusError(f"no trial has a rating of {name}", value=name, remedy=f"Use one of {', '.join(found.names)}")
    return Target("ratings", (name,), [values[:, found.names.index(name)] for values in found.values])


def _named(names: Sequence[str], values: Sequence[np.ndarray]) -> np.ndarray:
    return np.array([f"{name}/{value}" for name, own in zip(names, values, strict=True) for value in own])


def _numbered(numbers: Sequence[np.ndarray]) -> np.ndarray:
    """Numbers from 0 in every part become numbers that no two parts share."""
    shifted, start = [], 0
    for own in numbers:
        shifted.append(own + start)
        start += int(own.max(initial=-1)) + 1
    return np.concatenate(shifted)


def _presentation_order(windows: LabelledWindows) -> np.ndarray:
    """Rank of every window by the position of its trial in the session; where unknown, by that of its row."""
    position = windows.trials.trial[windows.trial]
    order = np.lexsort((windows.index.start, windows.trial, position))
    rank = np.empty(len(order), dtype=int)
    rank[order] = np.arange(len(order))
    return rank
