"""Labelled windows of several corpora as one dataset, split by subject."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from mdjpt_hf.data.corpora import TrialSet
from mdjpt_hf.data.stimuli import stimulus_names
from mdjpt_hf.data.targets import Target
from mdjpt_hf.data.windows import WindowIndex, index_windows, read_windows
from mdjpt_hf.errors import CorpusError


class LabelledDataset(Dataset):
    """Windows with their target; `group_ids` number the recordings (subject and session) they are normalised in.

    Args:
        trial_sets: Corpora. target: Of them.
        seconds, stride_seconds: Length of a window and distance between the starts of two.

    Attributes:
        features: `(windows, size)`, where they were computed once for all, and are not those of whole recordings.
    """

    features: torch.Tensor | None = None

    @property
    def length(self) -> int:
        """Of a window in samples, the same in all corpora."""
        return self._length

    def __init__(self, trial_sets: Sequence[TrialSet], target: Target, seconds: float, stride_seconds: float):
        self.trial_sets, self.target = list(trial_sets), target
        parts = []
        for number, trials in enumerate(self.trial_sets):
            length, stride = (round(value * trials.sampling_rate) for value in (seconds, stride_seconds))
            index = index_windows(np.where(target.known(number), trials.n_samples, 0), length, stride)
            self._length = length
            parts.append(np.stack([np.full(len(index), number), index.trial, index.start]))
        self.windows = np.concatenate(parts, axis=1).T
        if not len(self.windows):
            raise CorpusError(
                f"no labelled trial is as long as a window of {seconds:g} s",
                value=seconds,
                remedy="Use shorter windows, or another corpus",
            )
        corpora, trials, _ = self.windows.T
        self.corpus = np.array([self.trial_sets[number].name for number in corpora])
        self.subject, self.stimulus = self._subjects(), self._stimuli()
        sessions = [self.trial_sets[c].session[t] for c, t, _ in self.windows]
        recordings = [f"{person}/{session}" for person, session in zip(self.subject, sessions, strict=True)]
        self.recording = np.unique(recordings, return_inverse=True)[1]
        self.trial = np.unique(np.stack([corpora, trials]), axis=1, return_inverse=True)[1].ravel()
        self.label = np.stack([target.values[c][t] for c, t, _ in self.windows])

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        corpus, trial, start = self.windows[number].tolist()
        return {
            "input_values": torch.from_numpy(self.trial_sets[corpus].window(trial, start, self._length)),
            "group_ids": torch.tensor(self.recording[number]),
            "labels": torch.as_tensor(self.label[number]),
        }

    def _subjects(self) -> np.ndarray:
        """`(windows,)` names with their corpus, `seed/s01`, so that nobody stands twice under one name."""
        return np.array([f"{self.trial_sets[c].name}/{self.trial_sets[c].subject[t]}" for c, t, _ in self.windows])

    def _stimuli(self) -> np.ndarray:
        """`(windows,)` names, the same for a clip in all corpora that show it."""
        named = [stimulus_names(trials.stimulus_set, trials.stimulus) for trials in self.trial_sets]
        return np.array([named[c][t] for c, t, _ in self.windows])

    def keep(self, chosen: np.ndarray) -> None:
        """Leave out all windows but the chosen ones: `(windows,)` of bool, or their numbers."""
        for name in ("windows", "corpus", "subject", "stimulus", "recording", "trial", "label"):
            setattr(self, name, getattr(self, name)[chosen])

    def read(self, chosen: np.ndarray) -> torch.Tensor:
        """Windows of one corpus, `(windows, 60, samples)`."""
        corpus = int(self.windows[chosen[0], 0])
        index = WindowIndex(self.windows[chosen, 1], self.windows[chosen, 2], self._length)
        return torch.from_numpy(read_windows(self.trial_sets[corpus], index))


#: How many ways to share out the subjects are looked at, for one in which both sides hold the classes.
_DRAWS = 200


def split_subjects(subject: np.ndarray, label: np.ndarray, share: float, seed: int) -> np.ndarray:
    """`(windows,)`: which belong to validation subjects; every corpus gives its share, at least one.

    A class that only validation subjects have would never be trained, and a score over one class is none: of the ways
    to draw the subjects, the first is taken in which training has every class and validation as many as can be.

    Args:
        subject: `(windows,)` as `corpus/subject`.
        label: `(windows,)` classes; `(windows, ratings)` for ratings, which are not looked at.

    Raises:
        CorpusError: If a corpus has fewer than two subjects, or in every draw a class is not trained, or validation has
            one class alone.
    """
    people, who = np.unique(subject, return_inverse=True)
    corpora = np.array([person.split("/")[0] for person in people])
    held = _classes_held(who, label)
    best, validates = (-1, -1), np.zeros(len(people), dtype=bool)
    for draw in range(_DRAWS):
        chosen = _draw_subjects(people, corpora, share, [seed] if draw == 0 else [seed, draw])
        found = int(held[~chosen].any(axis=0).sum()), int(held[chosen].any(axis=0).sum())
        if found > best:
            best, validates = found, chosen
        if found == (held.shape[1],) * 2:
            break
    _check_sides(held, validates)
    return validates[who]


def _classes_held(who: np.ndarray, label: np.ndarray) -> np.ndarray:
    """`(people, classes)`: who has windows of which class; a single column for ratings."""
    if label.ndim > 1:
        return np.ones((who.max() + 1, 1), dtype=bool)
    held = np.zeros((who.max() + 1, label.max() + 1), dtype=bool)
    held[who, label] = True
    return held[:, held.any(axis=0)]


def _draw_subjects(people: np.ndarray, corpora: np.ndarray, share: float, seed: list[int]) -> np.ndarray:
    """`(people,)`: who validates in one draw."""
    chosen = np.zeros(len(people), dtype=bool)
    for corpus in np.unique(corpora):
        own = np.flatnonzero(corpora == corpus)
        if len(own) < 2:
            raise CorpusError(
                f"{corpus} has labelled windows of {len(own)} subject; one would have to train and another to validate",
                value=len(own),
                remedy="Give a corpus with two or more",
            )
        count = min(max(1, round(share * len(own))), len(own) - 1)
        chosen[np.random.default_rng([*seed, len(own)]).permutation(own)[:count]] = True
    return chosen


def _check_sides(held: np.ndarray, validates: np.ndarray) -> None:
    trained, asked = held[~validates].any(axis=0), held[validates].any(axis=0)
    if held.shape[1] == 1 or (trained.all() and asked.sum() >= 2):
        return
    reason = "validation subjects would have one class alone" if trained.all() else "a class would not be trained"
    raise CorpusError(
        f"in each of {_DRAWS} ways to share out {len(held)} subjects {reason}: too few subjects have both",
        value=held.sum(axis=0).tolist(),
        remedy="Give more subjects of every class, or another validation_share",
    )


class RecordingSampler(Sampler[int]):
    """Windows in random order, but several of one recording after one another, so that a batch holds enough of each
    to normalise it.

    Args:
        recording: `(windows,)` numbers. together: Windows of a recording that stay beside each other. seed: Of the
            order; every epoch has another.
    """

    def __init__(self, recording: np.ndarray, together: int, seed: int):
        self.recording, self.together, self.seed, self.epoch = recording, together, seed, 0

    def __len__(self) -> int:
        return len(self.recording)

    def set_epoch(self, epoch: int) -> None:
        """Called by the training loop."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng([self.seed, self.epoch])
        blocks = []
        for number in np.unique(self.recording):
            own = rng.permutation(np.flatnonzero(self.recording == number))
            blocks += np.array_split(own, max(1, round(len(own) / self.together)))
        for block in rng.permutation(len(blocks)):
            yield from blocks[block].tolist()
