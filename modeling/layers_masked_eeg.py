"""The tokeniser: from samples of the standard channels to one token per 0.2 s.

A token says, for every learned filter, how strong its output is (log power) and where it lies (mean). Emotion in EEG
shows mostly in band power, which a plain convolution would first have to learn to measure.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from .configuration_masked_eeg import MaskedEEGConfig


class ConvTokenizer(nn.Module):
    """Spatial filters, temporal filters, then power and mean within each token, projected to the hidden size."""

    def __init__(self, config: MaskedEEGConfig):
        super().__init__()
        filters = config.spatial_filters * config.filters_per_source
        self.token_length, self.power_floor = config.token_samples // config.filter_stride, config.power_floor
        self.spatial = nn.Conv1d(config.num_channels, config.spatial_filters, 1, bias=False)
        self.temporal = nn.Conv1d(
            config.spatial_filters,
            filters,
            config.filter_length,
            stride=config.filter_stride,
            padding=config.filter_length // 2,
            groups=config.spatial_filters,
            bias=False,
        )
        self.projection = nn.Linear(2 * filters, config.hidden_size)

    def forward(self, input_values: torch.Tensor) -> torch.Tensor:
        """`(batch, channels, samples)` -> `(batch, tokens, hidden)`."""
        filtered = self.temporal(self.spatial(input_values))
        power = F.avg_pool1d(filtered.square(), self.token_length)
        mean = F.avg_pool1d(filtered, self.token_length)
        features = torch.cat([torch.log(power + self.power_floor), mean], dim=1)
        return self.projection(features.transpose(1, 2))


def sinusoid_filters(config: MaskedEEGConfig) -> torch.Tensor:
    """Where the temporal filters start: windowed sinusoids over the band that EEG recordings share, 1 to 47 Hz.

    Their gain rises with the root of the frequency, against the fall of EEG's own spectrum. Random phases, drawn from
    the global generator.

    Returns:
        `torch.Tensor` of shape `(filters, 1, filter_length)`.
    """
    filters = config.spatial_filters * config.filters_per_source
    frequency = torch.logspace(0, math.log10(47), filters).reshape(config.filters_per_source, -1).T.reshape(-1, 1)
    phase = 2 * math.pi * torch.rand(filters, 1)
    seconds = (torch.arange(config.filter_length) - config.filter_length // 2) / config.sampling_rate
    window = torch.hann_window(config.filter_length + 2, periodic=False)[1:-1]
    waves = torch.cos(2 * math.pi * frequency * seconds + phase) * window
    return (frequency.sqrt() * waves / waves.norm(dim=1, keepdim=True))[:, None]
