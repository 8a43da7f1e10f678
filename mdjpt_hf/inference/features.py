"""What an encoder makes of the windows of a corpus, and of a recording."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoFeatureExtractor, AutoModel

from mdjpt_hf.data.labelled import LabelledWindows
from mdjpt_hf.data.windows import read_windows
from mdjpt_hf.errors import ConfigurationError, MDJPTError, located
from mdjpt_hf.modeling.reading_mdjpt import read_file


def open_encoder(model: Any, device: str | None = None, trust_remote_code: bool = False) -> Any:
    """The encoder in a folder or of the Hub, or within a model that is there already.

    Raises:
        ConfigurationError: If it cannot be opened, or the device is not there.
    """
    if not isinstance(model, str | Path):
        return model.base_model.eval()
    try:
        found = AutoModel.from_pretrained(str(model), trust_remote_code=trust_remote_code).eval()
        return found.to(device) if device else found
    except (OSError, ValueError, RuntimeError, AssertionError) as error:
        if isinstance(error, MDJPTError):
            raise
        raise ConfigurationError(
            f"{model} cannot be opened: {str(error).splitlines()[0]}", value=str(model), remedy="Give an encoder"
        ) from error


def open_extractor(encoder: Any, model: Any, trust_remote_code: bool) -> Any:
    """The feature extractor saved beside an encoder, or the one that belongs to a model in memory."""
    if isinstance(model, str | Path):
        return AutoFeatureExtractor.from_pretrained(str(model), trust_remote_code=trust_remote_code)
    return encoder.feature_extractor()


def features_of(encoder: Any, windows: LabelledWindows, batch_size: int) -> np.ndarray:
    """Features of every window, `(windows, size)`; the encoder is given each recording as a whole, without labels."""
    features = np.empty((len(windows), encoder.config.pooled_size), dtype=np.float32)
    for recording in np.unique(windows.recording):
        chosen = np.flatnonzero(windows.recording == recording)
        values = torch.from_numpy(read_windows(windows.trials, windows.index, chosen))
        features[chosen] = encoder.encode_recording(values, batch_size=batch_size).float().cpu().numpy()
    return features


def recording_features(
    encoder: Any, extractor: Any, source: Any, stride: float | None, unit: str | None, batch_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Features `(windows, size)` of a file or of a recording in memory, and the windows' onsets in s on its clock.

    Raises:
        MDJPTError: What reading and cutting raise, with the file in front.
    """
    recording = read_file(source, unit)[0] if isinstance(source, Path) else source
    stated = {} if isinstance(source, Path) or unit is None else {"unit": unit}
    stride = stride or extractor.window_seconds
    try:
        found = extractor(recording, return_tensors="pt", stride_seconds=stride, **stated)
    except MDJPTError as error:
        raise located(error, str(source) if isinstance(source, Path) else "") from error
    features = encoder.encode_recording(found["input_values"], batch_size=batch_size).float().cpu().numpy()
    return features, found["window_onsets"].numpy()
