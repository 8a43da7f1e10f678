"""What the configurations of both encoders have: the input, the task head, who wrote them, and how they are checked."""

from collections.abc import Mapping
from inspect import get_annotations
from typing import Any, ClassVar, Self, get_origin

from .compatibility_mdjpt import FieldsConfig, strict
from .ranges_mdjpt import check_format, check_labels, check_ranges, check_streaming, check_weights


@strict
class EncoderConfig(FieldsConfig):
    r"""Settings that every encoder has; [`MDJPTConfig`] and [`MaskedEEGConfig`] add those of their network.

    Args:
        sampling_rate (`int`, Hz), window_seconds (`float`), num_channels (`int`): The input, `(num_channels,
            sampling_rate * window_seconds)` per window; other window lengths are accepted at run time.
        hidden_size, num_hidden_layers, num_attention_heads, intermediate_size (`int`): The Transformer, or MLLA.
        max_clusters (`list[int]`): Size of each granularity's head of masked prediction, coarse to fine; maybe none.
        token_samples (`int`, samples): What masked prediction hides at once; 25 are 0.2 s.
        classifier_hidden_sizes (`list[int]`), classifier_dropout (`float`): The task head.
        standardised_head (`bool`, *optional*): Whether a classifier's head standardises its features, see
            [`TaskHead`]; written when one is saved. Classifiers saved before this field was there do not.
        streaming (`dict`, *optional*): Of a classifier made for live use, whose windows are normalised from the past
            alone: `context_seconds` that are looked at, `decay` of the training statistics, `smoothing_windows` before
            one that count; None for others.
        format_version (`int`), package_version (`str`): What wrote this file.
    """

    #: Complete settings by name.
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    #: Field -> lowest and highest value.
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {}
    #: Auto class -> what it opens.
    auto_classes: ClassVar[Mapping[str, str]] = {}
    #: The newest `format_version` that this code reads.
    known_format: ClassVar[int] = 1

    sampling_rate: int = 125
    window_seconds: float | int = 5.0
    num_channels: int = 60
    hidden_size: int = 128
    num_hidden_layers: int = 2
    num_attention_heads: int = 8
    intermediate_size: int = 256
    max_clusters: list[int] | tuple[int, ...] = ()
    token_samples: int = 25
    classifier_hidden_sizes: list[int] | tuple[int, ...] = (128, 64)
    classifier_dropout: float | int = 0.1
    standardised_head: bool | None = None
    streaming: dict[str, Any] | None = None
    format_version: int = 1
    package_version: str = ""

    def __post_init__(self, **kwargs):
        check_labels(kwargs)
        self.max_clusters = list(self.max_clusters)  # tuples come back from JSON as lists
        self.classifier_hidden_sizes = list(self.classifier_hidden_sizes)
        kwargs.setdefault("auto_map", dict(self.auto_classes))
        super().__post_init__(**kwargs)

    @classmethod
    def preset(cls, name: str, **overrides: Any) -> Self:
        """A named configuration, with some fields replaced.

        Raises:
            ValueError: If the name is not one of `presets`.
        """
        if name not in cls.presets:
            raise ValueError(f"unknown preset {name!r}; choose one of {', '.join(cls.presets)}")
        return cls(**{**cls.presets[name], **overrides})

    @classmethod
    def own_fields(cls) -> list[str]:
        """Names of the settings that are ours, not transformers'; those of every encoder first."""
        listed = [name for base in reversed(cls.__mro__) if issubclass(base, EncoderConfig) for name in _listed(base)]
        return list(dict.fromkeys(listed))

    @property
    def window_samples(self) -> int:
        """Samples of one window at the model's rate: 625 by default."""
        return round(self.window_seconds * self.sampling_rate)

    def validate_ranges(self):
        """Refuse values far beyond sense, NaN among them, and what a later version has written."""
        check_format(self.format_version, self.known_format)
        check_ranges(self, self.ranges)
        check_weights(self)
        check_streaming(self.streaming)

    def refuse_below_one(self, *names: str) -> None:
        """Refuse sizes of nothing.

        Raises:
            ValueError: If one of these fields is below 1.
        """
        for field in names:
            if getattr(self, field) < 1:
                raise ValueError(f"{field} must be at least 1, found {getattr(self, field)}")


def _listed(kind: type) -> list[str]:
    return [name for name, hint in get_annotations(kind).items() if get_origin(hint) is not ClassVar]
