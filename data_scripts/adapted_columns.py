"""What a table of another library says of its trials: a row each, columns by the names that its user gives."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mdjpt_hf.data_scripts.own_recordings import check_scales
from mdjpt_hf.data_scripts.rating_scales import on_scale
from mdjpt_hf.errors import CorpusError

_NOTHING = ("", "n/a", "na", "nan", "none", "null", "<na>", "nat")
#: In the place of a column: there is none.
NO_COLUMN = "-"


@dataclass(frozen=True)
class TrialColumns:
    """Columns that say what a trial was.

    Attributes:
        stimulus, label, emotion, valence_class: Names of columns; empty or `-` where there is none.
        ratings: Of `RATINGS` -> `(column, lowest, highest)` of the instrument.
    """

    stimulus: str = ""
    label: str = ""
    emotion: str = ""
    valence_class: str = ""
    ratings: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_scales(self.ratings)

    def check(self, columns: Iterable[str], where: str, *more: str) -> None:
        """Refuse names of columns, these or `more`, that a table does not have.

        Raises:
            CorpusError: With the columns there are.
        """
        there = [str(name) for name in columns]
        asked = [self.stimulus, self.label, self.emotion, self.valence_class, *more]
        asked += [str(entry[0]) for entry in self.ratings.values()]
        if missing := [name for name in asked if _is_named(name) and name not in there]:
            raise CorpusError(
                f"there is no column {missing[0]!r}",
                path=where,
                value=missing,
                remedy=f"Name one of {', '.join(there)}" if there else "The table has no columns: name none",
            )

    def read(self, row: Mapping[str, Any], where: str) -> dict[str, Any]:
        """Fields of an `AdaptedTrial` that a row tells.

        Raises:
            CorpusError: If a rating lies off its scale.
        """
        return {
            "stimulus": text_in(row, self.stimulus),
            "label": text_in(row, self.label),
            "emotion": text_in(row, self.emotion) or None,
            "valence_class": text_in(row, self.valence_class) or None,
            "ratings": {name: _rating(row, entry, where) for name, entry in self.ratings.items()},
        }


def text_in(row: Mapping[str, Any], column: str) -> str:
    """What stands in a column, as text; empty where it says nothing, or no column is named."""
    return as_text(row.get(column)) if _is_named(column) else ""


def as_text(value: Any) -> str:
    """A value as text: a whole number without a decimal point, and nothing for what is not known."""
    if isinstance(value, bytes):  # texts of HDF5 and MATLAB files
        value = value.decode(errors="replace")
    elif hasattr(value, "item") and not isinstance(value, np.generic):  # a tensor or an array of no dimensions
        value = value.item()
    if isinstance(value, float | np.floating):
        value = int(value) if float(value).is_integer() else value
    text = str(value).strip()
    return "" if text.lower() in _NOTHING else text


def one_each(value: Any, count: int, what: str) -> list[Any]:
    """A value for every trial, where one was given for all or for each.

    Raises:
        CorpusError: If they are not as many, or nothing that stands in an order: a set, a generator, a table.
    """
    if value is None or isinstance(value, str | bytes):
        return [value] * count
    ordered = isinstance(value, Sequence) or (hasattr(value, "__array__") and np.ndim(value) == 1)
    if np.ndim(value) == 0 and not isinstance(value, Iterable):
        return [value] * count
    items = list(value) if ordered else []
    if not ordered or any(np.ndim(item) or isinstance(item, Iterable) and not _is_single(item) for item in items):
        raise CorpusError(
            f"{what} is a {type(value).__name__} of which nobody can say what belongs to which trial",
            value=type(value).__name__,
            remedy="Give one value for all trials, or a list or array (trials,) with one for each",
        )
    if len(items) != count:
        raise CorpusError(
            f"{len(items)} values of {what} for {count} trials",
            value=len(items),
            remedy="Give one value for all trials, or one for each",
        )
    return items


def _is_single(item: Any) -> bool:
    return isinstance(item, str | bytes) or (hasattr(item, "__array__") and np.ndim(item) == 0)


def _is_named(column: str) -> bool:
    return column not in ("", NO_COLUMN)


def _rating(row: Mapping[str, Any], entry: Sequence[Any], where: str) -> float:
    text = as_text(row.get(str(entry[0])))
    return on_scale(text, entry, where, "Correct the scale in ratings=, or the table") if text else float("nan")
