"""Windows: fixed-length views into trials, numbered by arithmetic instead of being stored."""

from dataclasses import dataclass

import numpy as np

from mdjpt_hf.data.corpora import TrialSet
from mdjpt_hf.modeling.montage_mdjpt import STANDARD_CHANNELS


@dataclass(frozen=True)
class WindowIndex:
    """All windows of a set of trials, in trial order.

    Attributes:
        trial: `(windows,)` index of the trial.
        start: `(windows,)` first sample within it.
        length: Samples per window.
    """

    trial: np.ndarray
    start: np.ndarray
    length: int

    def __len__(self) -> int:
        return len(self.trial)


def index_windows(n_samples: np.ndarray, length: int, stride: int) -> WindowIndex:
    """Number the windows of trials of `n_samples` `(trials,)`; trials shorter than one window have none."""
    counts = np.maximum(0, (n_samples - length) // stride + 1)
    trial = np.repeat(np.arange(len(n_samples)), counts)
    first = np.cumsum(counts) - counts
    start = (np.arange(counts.sum()) - first[trial]) * stride
    return WindowIndex(trial, start, length)


def read_windows(trials: TrialSet, index: WindowIndex, chosen: np.ndarray | None = None) -> np.ndarray:
    """Scaled windows on the standard channels, `(windows, 60, length)` float32; `chosen` picks a subset."""
    chosen = np.arange(len(index)) if chosen is None else chosen
    windows = np.empty((len(chosen), len(STANDARD_CHANNELS), index.length), dtype=np.float32)
    for position, window in enumerate(chosen):
        windows[position] = trials.window(int(index.trial[window]), int(index.start[window]), index.length)
    return windows
