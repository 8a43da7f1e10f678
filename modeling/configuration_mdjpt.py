"""Configuration of mdJPT (Zhang et al., NeurIPS 2025, arXiv 2510.22197): every number of the network and its losses."""

from typing import Any

from .compatibility_mdjpt import strict
from .encoder_configuration_mdjpt import EncoderConfig
from .ranges_mdjpt import SIZES

#: Raised when a change to the network makes older checkpoints mean something else.
FORMAT_VERSION = 1

_RANGES = SIZES | {
    "window_seconds": (0.01, 3600.0),
    "patch_length": (1, 65_536),
    "patch_stride": (1, 65_536),
    "feature_size": (1, 8192),
    "spatial_channels": (1, 8192),
    "filters_per_feature": (1, 256),
    "dilations": (1, 65_536),
    "filter_taps": (1, 1023),
    "map_attention_kernel": (1, 4095),
    "map_attention_pool": (1, 4095),
    "projector_pool": (1, 4095),
    "contrastive_temperature": (1e-6, 1e3),
    "cda_weight": (0.0, 1e6),
    "isa_weight": (0.0, 1e6),
    "masked_weight": (0.0, 1e6),
    "unmasked_weight": (0.0, 1e6),
    "group_norm_eps": (0.0, 1.0),
    "attention_eps": (0.0, 1.0),
    "classifier_dropout": (0.0, 1.0),
}

#: Written into every saved config, so that any head opens from any checkpoint without the package installed.
AUTO_MAP = {
    "AutoConfig": "configuration_mdjpt.MDJPTConfig",
    "AutoModel": "modeling_mdjpt.MDJPTModel",
    "AutoModelForPreTraining": "modeling_mdjpt.MDJPTForPreTraining",
    "AutoModelForSequenceClassification": "modeling_mdjpt.MDJPTForSequenceClassification",
    "AutoFeatureExtractor": "feature_extraction_mdjpt.MDJPTFeatureExtractor",
}

#: Complete settings by name. `base` is the paper's network; `fast` has an eleventh of its arithmetic, and what it loses
#: stands in docs/results/performance.md; `tiny` trains in minutes on two CPU cores.
PRESETS: dict[str, dict[str, Any]] = {
    "base": {},
    "fast": {
        "patch_stride": 20,
        "hidden_size": 64,
        "intermediate_size": 128,
        "dilations": [1, 2, 3, 5],
        "map_attention_kernel": 5,
        "map_attention_pool": 5,
        "projector_pool": 5,
    },
    "tiny": {
        "patch_stride": 20,
        "hidden_size": 24,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "feature_size": 16,
        "spatial_channels": 32,
        "filters_per_feature": 2,
        "dilations": [1, 2, 3, 5],
        "map_attention_kernel": 5,
        "map_attention_pool": 5,
        "projector_pool": 5,
    },
}


@strict
class MDJPTConfig(EncoderConfig):
    r"""Settings of [`MDJPTModel`] and its heads. The defaults are the paper's.

    Args:
        patch_length, patch_stride (`int`, samples): Tokens along time.
        feature_size (`int`): Features per channel and token after the encoder.
        spatial_channels (`int`): Virtual channels after the spatial projection.
        filters_per_feature (`int`), dilations (`list[int]`, tokens), filter_taps (`int`, tokens): The grouped
            convolutions; `num_maps` is their number.
        map_attention_kernel, map_attention_pool, projector_pool (`int`, tokens): Attention over maps, and projector.
        block (`"mlla"` or `"released"`): The paper's block, or what the authors' program really computes: each
            layer there returns the value path `u` and throws the attention away.
        covariance (`"true"`, `"released"` or `"correlation"`): What is aligned: the covariance of the paper; the
            scrambled product of the authors' program; or, ours, the correlation, which no change of scale can bring
            closer.
        ffn_norm (`bool`): LayerNorm before the feed-forward, as in MLLA (Han et al. 2024); the authors' program
            declares it and never uses it. Only for `block="mlla"`.
        contrastive_temperature, cda_weight (`float`): τ and λ of the pre-training loss.
        isa_weight (`float`): Of the contrastive loss; 0 switches it off, to see what it does.
        isa_pairs (`"one"` or `"all"`): Whether a window belongs to one pair of subjects, as in the paper, or to a pair
            with each subject of the batch who saw the same moment.
        masked_weight, unmasked_weight (`float`): Of masked prediction (Hu et al. 2024), which may be learnt beside the
            alignment, and in it of what was not hidden; `max_clusters`, empty as in the paper, says whether.
        group_norm_eps, attention_eps (`float`): Added to standard deviations and to attention's denominator.
        group_mode (`"recording"` or `"window"`): What features are normalised over outside pre-training: all windows
            of a recording, or each window alone. Fine-tuning and prediction must agree on it.
        kwargs: Those of [`EncoderConfig`], and of transformers.
    """

    model_type = "mdjpt"

    presets = PRESETS
    ranges = _RANGES
    auto_classes = AUTO_MAP
    known_format = FORMAT_VERSION

    patch_length: int = 32
    patch_stride: int = 6
    feature_size: int = 32
    spatial_channels: int = 64
    filters_per_feature: int = 4
    dilations: list[int] | tuple[int, ...] = (1, 3, 6, 12)
    filter_taps: int = 3
    map_attention_kernel: int = 15
    map_attention_pool: int = 15
    projector_pool: int = 15
    block: str = "mlla"
    covariance: str = "true"
    ffn_norm: bool = True
    contrastive_temperature: float | int = 0.07
    cda_weight: float | int = 0.01
    isa_weight: float | int = 1.0
    isa_pairs: str = "one"
    masked_weight: float | int = 1.0
    unmasked_weight: float | int = 0.0
    group_norm_eps: float | int = 1e-3
    attention_eps: float | int = 1e-5
    group_mode: str = "recording"
    format_version: int = FORMAT_VERSION

    def __post_init__(self, **kwargs):
        self.dilations = list(self.dilations)
        super().__post_init__(**kwargs)

    @property
    def num_maps(self) -> int:
        """Maps after the dilated convolutions, the size of `pooler_output`: 512 in the paper."""
        return self.feature_size * self.filters_per_feature * len(self.dilations)

    @property
    def pooled_size(self) -> int:
        """Size of `pooler_output`, by the name every encoder here has."""
        return self.num_maps

    @property
    def min_pretraining_samples(self) -> int:
        """Shortest window that leaves the projector two tokens: 566 in the paper."""
        pooled = 2 + 2 * (self.filter_taps - 1)
        return self.patch_length + (pooled * self.projector_pool - 1) * self.patch_stride

    def num_tokens(self, num_samples: int) -> int:
        """Tokens of a window of `num_samples` samples: 99 for 625 in the paper."""
        return (num_samples - self.patch_length) // self.patch_stride + 1

    def validate_choices(self):
        """Refuse values the network does not know."""
        choices = {
            "block": ("mlla", "released"),
            "covariance": ("true", "released", "correlation"),
            "isa_pairs": ("one", "all"),
            "group_mode": ("recording", "window"),
        }
        for field, allowed in choices.items():
            if getattr(self, field) not in allowed:
                raise ValueError(f"{field} must be one of {allowed}, found {getattr(self, field)!r}")

    def validate_sizes(self):
        """Refuse sizes that cannot be built."""
        sizes = (
            "num_channels",
            "patch_length",
            "patch_stride",
            "hidden_size",
            "num_attention_heads",
            "intermediate_size",
            "feature_size",
            "spatial_channels",
            "filter_taps",
            "map_attention_kernel",
            "map_attention_pool",
            "projector_pool",
        )
        self.refuse_below_one(*sizes, "num_hidden_layers", "filters_per_feature", "sampling_rate")
        if not self.dilations or min(self.dilations) < 1:
            raise ValueError(f"dilations must be one or more steps of at least 1, found {self.dilations}")
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is not a multiple of num_attention_heads {self.num_attention_heads}"
            )
        if not self.contrastive_temperature > 0:
            raise ValueError(f"contrastive_temperature must be above 0, found {self.contrastive_temperature}")
        if self.filter_taps % 2 == 0:
            raise ValueError(f"filter_taps must be odd, found {self.filter_taps}")
