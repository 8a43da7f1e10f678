"""Recordings in, features out: what an encoder of either method does without a head."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from .feature_extraction_mdjpt import MDJPTFeatureExtractor
from .sources_mdjpt import is_list_of_recordings


class EncodesRecordings:
    """For encoders with `config` and `encode_recording`."""

    def feature_extractor(self) -> MDJPTFeatureExtractor:
        """The extractor that lies beside the model's weights; without one, one for the model's windows."""
        config: Any = self.config  # type: ignore[attr-defined]
        if config.name_or_path:
            try:
                return MDJPTFeatureExtractor.from_pretrained(config.name_or_path)
            except OSError:  # none was saved there
                pass
        return MDJPTFeatureExtractor(sampling_rate=config.sampling_rate, window_seconds=config.window_seconds)

    def encode(
        self,
        recordings: Any,
        ch_names: Sequence[str] | Sequence[Sequence[str]] | None = None,
        sampling_rate: float | Sequence[float] | None = None,
        unit: str | None = None,
        stride_seconds: float | None = None,
        batch_size: int = 32,
        feature_extractor: MDJPTFeatureExtractor | None = None,
    ) -> np.ndarray | list[np.ndarray]:
        """Features of every window of a recording, or of each of a list; each is normalised as a whole, without labels.

        Args:
            recordings: An `mne.io.Raw` or `mne.Epochs`, an array `(channels, samples)`, or a list of these.
            ch_names, sampling_rate, unit: Of arrays, see [`MDJPTFeatureExtractor.__call__`].
            stride_seconds: Between the starts of windows; by default a window, so that they do not overlap.
            batch_size: Windows at a time.
            feature_extractor: Instead of that of [`feature_extractor`].

        Returns:
            `np.ndarray` of shape `(windows, config.pooled_size)`, float32; a list of them for a list.

        Raises:
            MDJPTError: One of its kinds, if a recording cannot be used.
        """
        extractor = feature_extractor or self.feature_extractor()
        found = extractor(
            recordings,
            ch_names=ch_names,
            sampling_rate=sampling_rate,
            unit=unit,
            stride_seconds=stride_seconds or extractor.window_seconds,
        )
        windows, groups = torch.from_numpy(found["input_values"]), found["group_ids"]
        parts = [windows[np.flatnonzero(groups == group)] for group in range(int(groups.max()) + 1)]
        encode_recording: Any = self.encode_recording  # type: ignore[attr-defined]
        features = [encode_recording(part, batch_size=batch_size).float().cpu().numpy() for part in parts]
        return features if is_list_of_recordings(recordings) else features[0]
