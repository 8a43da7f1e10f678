"""Features of a corpus's windows: an encoder's, or differential entropy, side by side on the same windows."""

import numpy as np
import torch

from mdjpt_hf.data.labelled import LabelledWindows
from mdjpt_hf.data.spectra import differential_entropy
from mdjpt_hf.data.windows import read_windows
from mdjpt_hf.modeling.modeling_masked_eeg import MaskedEEGModel
from mdjpt_hf.modeling.modeling_mdjpt import MDJPTModel

Encoder = MDJPTModel | MaskedEEGModel


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
