"""Ratings on the scale of an instrument, brought to [0, 1]."""

from collections.abc import Sequence
from typing import Any

from mdjpt_hf.errors import CorpusError


def on_scale(text: str, entry: Sequence[Any], path: Any, remedy: str, line: str = "") -> float:
    """A rating in [0, 1].

    Args:
        text: The rating as it was given. entry: `(column, lowest, highest)` of the instrument.
        path: Of the table, for the message. line: Which line of it, in front. remedy: Where the scale is stated.

    Raises:
        CorpusError: If it is no number, or lies off the scale.
    """
    column, low, high = str(entry[0]), float(entry[1]), float(entry[2])
    try:
        value = (float(text) - low) / (high - low)
    except (ValueError, ZeroDivisionError):
        value = float("nan")
    if not 0 <= value <= 1:
        raise CorpusError(
            f"{line}{column} is {text!r}, not from {low:g} to {high:g}", path=path, value=text, remedy=remedy
        )
    return value
