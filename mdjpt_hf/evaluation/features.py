"""Features of a corpus's windows: an encoder's, or differential entropy, side by side on the same windows."""

from dataclasses import dataclass

import numpy as np
import torch

from mdjpt_hf.data.corpora import TrialSet
from mdjpt_hf.data.spectra import differential_entropy
from mdjpt_hf.data.windows import WindowIndex, index_windows, read_windows
from mdjpt_hf.modeling.modeling_masked_eeg import MaskedEEGModel
from mdjpt_hf.modeling.modeling_mdjpt import MDJPTModel

Encoder = MDJPTModel | MaskedEEGModel


@dataclass(frozen=True)
class LabelledWindows:
    """The windows of one corpus that an evaluation uses, with who, what and which class each is.

    Attributes:
        trials: Where they come from. index: `(windows,)` which they are.
        subject, stimulus: `(windows,)` strings. trial: `(windows,)` a number per (subject, session, stimulus).
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


def encoder_features(model: Encoder, windows: LabelledWindows, batch_size: int = 128) -> np.ndarray:
    """Features of every window, `(windows, size)`; the encoder is given each recording as a whole, without labels."""
    model = model.eval()
    features = np.empty((len(windows), model.config.pooled_size), dtype=np.float32)
    for recording in np.unique(windows.recording):
        chosen = np.flatnonzero(windows.recording == recording)
        values = torch.from_numpy(read_windows(windows.trials, windows.index, chosen))
        features[chosen] = model.encode_recording(values, batch_size=batch_size).float().cpu().numpy()
    return features


def entropy_features(windows: LabelledWindows) -> np.ndarray:
    """Differential entropy of every window on its recorded channels, `(windows, channels * bands)`."""
    index, trials = windows.index, windows.trials
    return np.stack(
        [
            differential_entropy(trials.signal(int(t))[:, s : s + index.length], trials.sampling_rate)
            for t, s in zip(index.trial, index.start, strict=True)
        ]
    )


def standardise_per_subject(features: np.ndarray, subject: np.ndarray) -> np.ndarray:
    """z-score features `(windows, size)` of each subject `(windows,)`, without labels; all sets are treated alike."""
    standardised = np.empty_like(features, dtype=np.float64)
    for name in np.unique(subject):
        own = subject == name
        standardised[own] = (features[own] - features[own].mean(axis=0)) / (features[own].std(axis=0) + 1e-9)
    return standardised
