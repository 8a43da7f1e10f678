"""Labelled windows of several corpora as one dataset, split by subject."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from mdjpt_hf.data.corpora import TrialSet
from mdjpt_hf.data.targets import Target
from mdjpt_hf.data.windows import WindowIndex, index_windows, read_windows
from mdjpt_hf.errors import CorpusError


class LabelledDataset(Dataset):
    """Windows with their target; `group_ids` number the recordings (subject and session) they are normalised in.

    Args:
        trial_sets: Corpora. target: Of them.
        seconds, stride_seconds: Length of a window and distance between the starts of two.
    """

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
        people = [f"{self.trial_sets[c].name}/{self.trial_sets[c].subject[t]}" for c, t, _ in self.windows]
        sessions = [self.trial_sets[c].session[t] for c, t, _ in self.windows]
        self.subject = np.array(people)
        recordings = [f"{person}/{session}" for person, session in zip(people, sessions, strict=True)]
        self.recording = np.unique(recordings, return_inverse=True)[1]
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

    def read(self, chosen: np.ndarray) -> torch.Tensor:
        """Windows of one corpus, `(windows, 60, samples)`."""
        corpus = int(self.windows[chosen[0], 0])
        index = WindowIndex(self.windows[chosen, 1], self.windows[chosen, 2], self._length)
        return torch.from_numpy(read_windows(self.trial_sets[corpus], index))


def split_subjects(subject: np.ndarray, share: float, seed: int) -> np.ndarray:
    """`(windows,)`: which belong to validation subjects; every corpus gives its share, at least one.

    Args:
        subject: `(windows,)` as `corpus/subject`.

    Raises:
        CorpusError: If a corpus has fewer than two subjects.
    """
    chosen: list[str] = []
    people = np.unique(subject)
    corpora = np.array([person.split("/")[0] for person in people])
    for corpus in np.unique(corpora):
        own = people[corpora == corpus]
        if len(own) < 2:
            raise CorpusError(
                f"{corpus} has labelled windows of {len(own)} subject; one would have to train and another to validate",
                value=len(own),
                remedy="Give a corpus with two or more",
            )
        count = min(max(1, round(share * len(own))), len(own) - 1)
        chosen += np.random.default_rng([seed, len(own)]).permutation(own)[:count].tolist()
    return np.isin(subject, chosen)


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
