"""Labelled windows: those of one corpus, with who, what and which class each is."""

from dataclasses import dataclass

import numpy as np

from mdjpt_hf.data.corpora import TrialSet
from mdjpt_hf.data.windows import WindowIndex, index_windows


@dataclass(frozen=True)
class LabelledWindows:
    """The windows of one corpus that an evaluation uses, with who, what and which class each is.

    Attributes:
        trials: Where they come from. index: `(windows,)` which they are.
        subject, stimulus: `(windows,)` strings. trial: `(windows,)` a number per showing of a stimulus.
        recording: `(windows,)` a number per (subject, session).
        label: `(windows,)` classes from 0; -1 where unknown.
    """

    trials: TrialSet
    index: WindowIndex
    subject: np.ndarray
    stimulus: np.ndarray
    trial: np.ndarray
    recording: np.ndarray
    label: np.ndarray

    def __len__(self) -> int:
        return len(self.label)


def labelled_windows(trials: TrialSet, seconds: float, stride_seconds: float | None = None) -> LabelledWindows:
    """Cut labelled trials into windows, without overlap unless a stride is given."""
    return all_windows(trials.select(trials.label >= 0), seconds, stride_seconds)


def all_windows(trials: TrialSet, seconds: float, stride_seconds: float | None = None) -> LabelledWindows:
    """Cut all trials into windows; the label of those that have none is -1."""
    length = round(seconds * trials.sampling_rate)
    stride = length if stride_seconds is None else round(stride_seconds * trials.sampling_rate)
    index = index_windows(trials.n_samples, length, stride)
    recordings = np.array([f"{s}\0{n}" for s, n in zip(trials.subject, trials.session, strict=True)])
    return LabelledWindows(
        trials=trials,
        index=index,
        subject=trials.subject[index.trial],
        stimulus=trials.stimulus[index.trial],
        trial=index.trial,
        recording=np.unique(recordings, return_inverse=True)[1][index.trial],
        label=trials.label[index.trial],
    )
