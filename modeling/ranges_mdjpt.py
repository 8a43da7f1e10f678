"""How far settings may go. What lies beyond is a slip or an attack, and is refused by name when it is read."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

#: Field -> lowest and highest value, of every entry where it is a list. Far beyond what anybody has trained.
SIZES: dict[str, tuple[float, float]] = {
    "sampling_rate": (10, 10_000),
    "num_channels": (1, 4096),
    "hidden_size": (1, 16_384),
    "num_hidden_layers": (1, 512),
    "num_attention_heads": (1, 1024),
    "intermediate_size": (1, 65_536),
    "max_clusters": (2, 1_000_000),
    "token_samples": (1, 100_000),
    "classifier_hidden_sizes": (1, 65_536),
}

#: Entries of a list, and classes of a head.
MOST_ENTRIES, MOST_LABELS = 64, 100_000

#: Weights of all layers, roughly; 32 GB in float32.
MOST_WEIGHTS = 8_000_000_000


def check_ranges(settings: Any, ranges: Mapping[str, tuple[float, float]]) -> None:
    """Refuse settings that are not finite or lie outside their range.

    Args:
        settings: An object whose attributes they are.
        ranges: Field -> lowest and highest value, both allowed.

    Raises:
        ValueError: If one does; it names field, range and value.
    """
    for field, (low, high) in ranges.items():
        value = getattr(settings, field)
        entries = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        if len(entries) > MOST_ENTRIES:
            raise ValueError(f"{field} must have at most {MOST_ENTRIES} entries, found {len(entries)}")
        for entry in entries:
            if not isinstance(entry, int | float) or not low <= entry <= high:  # NaN is in no range
                raise ValueError(f"{field} {_rule(entry, low, high)}, found {str(entry)[:50]}")


def _rule(entry: Any, low: float, high: float) -> str:
    if isinstance(entry, int | float) and entry < low:
        return f"must be at least {low:g}" if low else "must not be negative"
    return f"must lie between {low:g} and {high:g}"


def check_weights(settings: Any) -> None:
    """Refuse networks that no machine at hand could hold.

    Raises:
        ValueError: If the layers' matrices have too many weights.
    """
    hidden, inner = settings.hidden_size, settings.intermediate_size
    weights = settings.num_hidden_layers * hidden * (4 * hidden + 3 * inner)
    if weights > MOST_WEIGHTS:
        raise ValueError(
            f"num_hidden_layers {settings.num_hidden_layers}, hidden_size {hidden} and intermediate_size {inner} make "
            f"some {weights:.1g} weights; at most {MOST_WEIGHTS:.1g} are built"
        )


def check_format(found: int, known: int) -> None:
    """Refuse what a later version has written: its fields may mean something else.

    Raises:
        ValueError: If the version is not known here.
    """
    if not 1 <= found <= known:
        raise ValueError(f"format_version {found} is not known here, up to {known} is; install a newer mdjpt-hf")


#: Setting of live use -> lowest and highest value.
_STREAMING: dict[str, tuple[float, float]] = {
    "context_seconds": (0.01, 3600.0),
    "decay": (1e-6, 1.0),
    "smoothing_windows": (1, 100_000),
}


def check_streaming(settings: Any) -> None:
    """Refuse settings of live use that are not whole, or beyond sense; None is for classifiers of recordings.

    Raises:
        ValueError: If a setting is unknown, lacks, or lies outside its range.
    """
    if settings is None:
        return
    if not isinstance(settings, Mapping) or set(settings) != {*_STREAMING}:
        found = sorted(map(str, settings)) if isinstance(settings, Mapping) else type(settings).__name__
        raise ValueError(f"streaming must hold {', '.join(_STREAMING)}, found {str(found)[:100]}")
    for name, (low, high) in _STREAMING.items():
        value = settings[name]
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise ValueError(f"streaming: {name} must lie between {low:g} and {high:g}, found {str(value)[:50]}")


def check_labels(settings: Mapping[str, Any]) -> None:
    """Refuse numbers of classes for which transformers would first make as many names.

    Raises:
        ValueError: If there are too many, or none.
    """
    number = settings.get("num_labels")
    if isinstance(number, int | float) and not (1 <= number <= MOST_LABELS and math.isfinite(number)):
        raise ValueError(f"num_labels must lie between 1 and {MOST_LABELS:,}, found {str(number)[:50]}")


__all__ = ["SIZES", "check_format", "check_labels", "check_ranges", "check_streaming", "check_weights"]
