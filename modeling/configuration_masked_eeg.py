"""Configuration of masked EEG pre-training in the style of Hu et al. 2024 (doi 10.1111/coin.12659).

The publication's abstract names the method and none of its numbers; every value here is our own choice.
"""

from typing import Any

from .compatibility_mdjpt import strict
from .encoder_configuration_mdjpt import EncoderConfig
from .ranges_mdjpt import SIZES

#: Raised when a change to the network makes older checkpoints mean something else.
FORMAT_VERSION = 1

_RANGES = SIZES | {
    "window_seconds": (0.01, 3600.0),
    "spatial_filters": (1, 8192),
    "filters_per_source": (1, 4096),
    "filter_length": (1, 65_535),
    "filter_stride": (1, 65_536),
    "power_floor": (0.0, 1e6),
    "attention_dropout": (0.0, 1.0),
    "rms_norm_eps": (0.0, 1.0),
    "initializer_range": (0.0, 100.0),
    "intermediate_layer": (1, 512),
    "intermediate_weight": (0.0, 1e6),
    "unmasked_weight": (0.0, 1e6),
    "classifier_dropout": (0.0, 1.0),
}

#: Written into every saved config, so that any head opens from any checkpoint without the package installed.
AUTO_MAP = {
    "AutoConfig": "configuration_masked_eeg.MaskedEEGConfig",
    "AutoModel": "modeling_masked_eeg.MaskedEEGModel",
    "AutoModelForPreTraining": "modeling_masked_eeg.MaskedEEGForPreTraining",
    "AutoModelForSequenceClassification": "modeling_masked_eeg.MaskedEEGForSequenceClassification",
    "AutoFeatureExtractor": "feature_extraction_mdjpt.MDJPTFeatureExtractor",
}

#: Complete settings by name. `base` has 7.2 million parameters; `tiny` trains in minutes on two CPU cores.
PRESETS: dict[str, dict[str, Any]] = {
    "base": {},
    "tiny": {
        "spatial_filters": 24,
        "filters_per_source": 4,
        "hidden_size": 64,
        "initializer_range": 0.1,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 128,
        "intermediate_layer": 2,
        "max_clusters": [16, 64, 128],
    },
}


@strict
class MaskedEEGConfig(EncoderConfig):
    r"""Settings of [`MaskedEEGModel`] and its heads.

    Args:
        spatial_filters (`int`): Weighted sums of the channels that the tokeniser looks at.
        filters_per_source (`int`), filter_length (`int`, samples, odd), filter_stride (`int`, samples): Temporal
            filters of each of them, and how often they are evaluated; the stride divides `token_samples`.
        power_floor (`float`): Added to a filter's power before the logarithm; the input's variance is about 1.
        hidden_act (`str`), attention_dropout (`float`), rms_norm_eps (`float`), initializer_range (`float`),
            rope_parameters (`dict`): Of the Transformer encoder, with rotary positions and without biases.
        intermediate_layer (`int`): The layer, counted from 1, whose features are trained and clustered beside the last.
        intermediate_weight (`float`): Weight of the intermediate layer's loss.
        unmasked_weight (`float`): Weight of the tokens that are not masked.
        kwargs: Those of [`EncoderConfig`], and of transformers.
    """

    model_type = "masked_eeg"

    presets = PRESETS
    ranges = _RANGES
    auto_classes = AUTO_MAP
    known_format = FORMAT_VERSION

    spatial_filters: int = 64
    filters_per_source: int = 4
    filter_length: int = 51
    filter_stride: int = 5
    power_floor: float | int = 1e-4
    hidden_size: int = 256
    num_hidden_layers: int = 8
    intermediate_size: int = 768
    hidden_act: str = "silu"
    attention_dropout: float | int = 0.0
    rms_norm_eps: float | int = 1e-5
    initializer_range: float | int = 0.05
    rope_parameters: dict[str, Any] | None = None
    intermediate_layer: int = 5
    max_clusters: list[int] | tuple[int, ...] = (20, 100, 300)
    intermediate_weight: float | int = 0.5
    unmasked_weight: float | int = 0.0
    format_version: int = FORMAT_VERSION

    # What transformers' encoder layers also read; fixed by the design.
    attention_bias = False
    mlp_bias = False

    def __post_init__(self, **kwargs):
        self.rope_parameters = self.rope_parameters or {"rope_type": "default", "rope_theta": 1000.0}
        super().__post_init__(**kwargs)

    @property
    def num_key_value_heads(self) -> int:
        """Every attention head has keys and values of its own."""
        return self.num_attention_heads

    @property
    def max_position_embeddings(self) -> int:
        """Tokens of 30 s, the longest window the model is meant for; rotary positions do not stop there."""
        return self.num_tokens(30 * self.sampling_rate)

    @property
    def pooled_size(self) -> int:
        """Size of `pooler_output`: intermediate and last layer side by side."""
        return 2 * self.hidden_size

    def num_tokens(self, num_samples: int) -> int:
        """Whole tokens in a window of `num_samples` samples; what is left over is not read."""
        return num_samples // self.token_samples

    def validate_sizes(self):
        """Refuse sizes that cannot be built."""
        sizes = ("sampling_rate", "num_channels", "token_samples", "spatial_filters", "filters_per_source")
        more = ("filter_length", "filter_stride", "hidden_size", "num_attention_heads", "intermediate_size")
        self.refuse_below_one(*sizes, *more)
        if self.filter_length % 2 == 0:
            raise ValueError(f"filter_length must be odd, found {self.filter_length}")
        if self.token_samples % self.filter_stride:
            raise ValueError(f"filter_stride {self.filter_stride} does not divide token_samples {self.token_samples}")
        if self.hidden_size % (2 * self.num_attention_heads):
            raise ValueError(
                f"hidden_size {self.hidden_size} is not an even multiple of num_attention_heads "
                f"{self.num_attention_heads}; rotary positions turn pairs"
            )
        if not 1 <= self.intermediate_layer < self.num_hidden_layers:
            raise ValueError(
                f"intermediate_layer must lie between 1 and num_hidden_layers - 1 = {self.num_hidden_layers - 1}, "
                f"found {self.intermediate_layer}"
            )
        if (self.rope_parameters or {}).get("rope_type", "default") != "default":
            raise ValueError(f"rope_parameters must be of rope_type 'default', found {self.rope_parameters}")
        if not self.max_clusters or min(self.max_clusters) < 2:
            raise ValueError(f"max_clusters must be one or more sizes of at least 2, found {self.max_clusters}")

    def validate_weights(self):
        """Refuse loss weights that mean nothing."""
        for field in ("intermediate_weight", "unmasked_weight"):
            if getattr(self, field) < 0:
                raise ValueError(f"{field} must not be negative, found {getattr(self, field)}")
        if not self.power_floor > 0:
            raise ValueError(f"power_floor must be above 0, found {self.power_floor}")
