"""An encoder as one torch module from windows as they were recorded to scores: what benchmarks of others take.

open-eeg-bench, and whoever trains braindecode's models, build a module from `n_chans`, `n_times`, `n_outputs`, `sfreq`
and `chs_info`, give it `(batch, channels, samples)`, and put their own head in the place of its `final_layer`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel

from mdjpt_hf.errors import ConfigurationError
from mdjpt_hf.modeling.feature_extraction_mdjpt import MDJPTFeatureExtractor
from mdjpt_hf.runtime.writing import whole_file, writable


class EncoderModule(nn.Module):
    """The encoder of a checkpoint behind its own preparation of windows, before a linear `final_layer`.

    Each window is prepared by itself: resampled and band-passed by its Fourier series, scaled to a standard deviation
    of 1, and mapped to the standard channels. Whole recordings, for which [`MDJPTFeatureExtractor`] is, are cleaned and
    scaled as a whole; a short window by itself tells its slow waves and its level less well. Features are normalised
    over the window alone. Any unit will do.

    Args:
        n_chans, n_times, n_outputs: Channels and samples of a window, and scores.
        sfreq: Hz of the windows.
        chs_info: Of every channel a mapping with its `ch_name`, as `mne.Info["chs"]` has them.
        checkpoint: Folder or Hub id of a pre-trained model of this package.

    Attributes:
        final_layer: From `(batch, pooled_size)` features to `(batch, n_outputs)`.

    Raises:
        ConfigurationError: If channels have no names, or are not as many as windows have.
        MontageError: If no name is an electrode's. Channels that are none are not looked at.
    """

    def __init__(
        self,
        n_chans: int,
        n_times: int,
        n_outputs: int,
        sfreq: float,
        chs_info: Sequence[Mapping[str, Any]] | None = None,
        checkpoint: str = "",
    ):
        super().__init__()
        names = [str(channel["ch_name"]) for channel in chs_info or ()]
        if len(names) != n_chans or not checkpoint:
            raise ConfigurationError(
                f"windows of {n_chans} channels come with {len(names)} names, and the checkpoint is {checkpoint!r}",
                value=names,
                remedy="Give chs_info, a ch_name for every channel, and checkpoint, among the model's arguments",
            )
        extractor = _extractor(checkpoint)
        self.serves: torch.Tensor
        self.projection: torch.Tensor
        self.n_times, self.sfreq = n_times, float(sfreq)
        self.samples = round(n_times / sfreq * extractor.sampling_rate)
        self.rate, self.band = float(extractor.sampling_rate), tuple(extractor.band)
        projection = torch.from_numpy(extractor.projection(names)).float()
        serves = projection.any(dim=0)
        self.register_buffer("serves", serves, persistent=False)
        self.register_buffer("projection", projection[:, serves], persistent=False)
        alone = {"group_mode": "window"} if hasattr(AutoConfig.from_pretrained(checkpoint), "group_mode") else {}
        self.encoder = AutoModel.from_pretrained(checkpoint, **alone)
        self.final_layer = nn.Linear(self.encoder.config.pooled_size, n_outputs)

    def prepare(self, windows: torch.Tensor) -> torch.Tensor:
        """`(batch, n_chans, n_times)` in any unit to `(batch, 60, samples)` as the encoder takes them."""
        spectrum = torch.fft.rfft(windows[:, self.serves].float())
        frequency = torch.fft.rfftfreq(self.n_times, 1 / self.sfreq, device=windows.device)
        passes = (frequency >= self.band[0]) & (frequency <= self.band[1])
        wanted = self.samples // 2 + 1
        kept = nn.functional.pad((spectrum * passes)[..., :wanted], (0, max(0, wanted - spectrum.shape[-1])))
        signal = torch.fft.irfft(kept, n=self.samples) * (self.samples / self.n_times)
        deviation = signal.std(dim=(1, 2), keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)
        return self.projection @ (signal / deviation)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scores of windows, `(batch, n_chans, n_times)` to `(batch, n_outputs)`."""
        return self.final_layer(self.encoder(self.prepare(x)).pooler_output)


def save_encoder_weights(checkpoint: str, path: str) -> str:
    """Write the encoder's weights by their names in an [`EncoderModule`], for programs that ask for such a file.

    Args:
        checkpoint: Folder or Hub id of a pre-trained model of this package. path: The file to write.

    Returns:
        `str`: The path.

    Raises:
        ConfigurationError: If it cannot be written.
    """
    weights = AutoModel.from_pretrained(checkpoint).state_dict()
    with writable(Path(path)), whole_file(Path(path)) as partial:
        torch.save({f"encoder.{name}": values for name, values in weights.items()}, partial)
    return path


def _extractor(checkpoint: str) -> MDJPTFeatureExtractor:
    return AutoFeatureExtractor.from_pretrained(checkpoint)
