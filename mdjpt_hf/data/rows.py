"""Rows of the schema from elsewhere: in our types, complete, and of a signal that can be EEG."""

from collections.abc import Collection
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from datasets import Features

from mdjpt_hf.errors import CorpusError
from mdjpt_hf.modeling.signal_mdjpt import check_amplitude
from mdjpt_hf.schema import EMOTIONS, RATINGS, TRIAL_FEATURES, VALENCE_CLASSES, arrow_schema

#: In place of what a row does not say.
_UNKNOWN: dict[str, Any] = {"label": -1, "label_name": "", "emotion": -1, "valence_class": -1, "trial": -1} | {
    rating: float("nan") for rating in RATINGS
}
#: What to give instead of rows that are none of the schema.
REMEDY = "Give a dataset whose columns are those of mdjpt_hf.schema.TRIAL_FEATURES, such as `mdjpt data push` makes"
_WITHOUT_SIGNAL = tuple(name for name in TRIAL_FEATURES if name != "signal")


def parquet_features(file: Any) -> Features | None:
    """What a Parquet file, open or by its path, says of its columns; None where `datasets` does not know it."""
    try:
        schema = file.schema_arrow if isinstance(file, pq.ParquetFile) else pq.read_schema(file)
        return Features.from_arrow_schema(schema)
    except Exception:  # a schema that datasets does not know is refused when its columns are read
        return None


def check_classes(features: Features | None, name: str) -> None:
    """Refuse numbers of classes that mean something else there.

    Raises:
        CorpusError: With the names.
    """
    for column in ("emotion", "valence_class"):
        ours, theirs = TRIAL_FEATURES[column].names, getattr((features or {}).get(column), "names", None)
        if theirs is not None and theirs != ours:
            raise CorpusError(
                f"numbers {column} otherwise: {theirs}", path=name, value=theirs, remedy=f"Number them as {ours}"
            )


def checked_row(table: pa.Table, where: str) -> pa.Table:
    """One row in the schema's own types.

    Raises:
        CorpusError: If it is not of the schema, lacks a value, or its signal is of another size than it says.
        UnitError: If its signal cannot be EEG in µV.
    """
    row = typed_rows(table, where, tuple(TRIAL_FEATURES))
    signal = row.column("signal").chunk(0).flatten().to_numpy(zero_copy_only=False)
    rate = row.column("sampling_rate")[0].as_py()
    check_signal(signal, len(row.column("ch_names")[0]), row.column("n_samples")[0].as_py(), rate, where)
    return row


def typed_rows(table: pa.Table, where: str, names: Collection[str] = _WITHOUT_SIGNAL) -> pa.Table:
    """The columns of `names` in the schema's own types, with what a row need not say filled in.

    Raises:
        CorpusError: If a column is missing, of another type, or lacks a value.
    """
    missing = [name for name in names if name not in table.column_names]
    if missing:
        raise CorpusError(f"lacks the columns {missing}", path=where, value=missing, remedy=REMEDY)
    table = table.select(list(names)).combine_chunks()
    for name, value in _UNKNOWN.items():
        column = table.column(name)
        if column.null_count:
            filled = pc.fill_null(column.cast(arrow_schema().field(name).type), value)
            table = table.set_column(table.column_names.index(name), name, filled)
    empty = [name for name in table.column_names if table.column(name).null_count]
    if empty:
        raise CorpusError(f"says nothing in the columns {empty}", path=where, value=empty, remedy=REMEDY)
    schema = arrow_schema() if len(names) == len(TRIAL_FEATURES) else schema_of(names)
    try:
        table = table.cast(schema)
    except (pa.ArrowException, ValueError) as error:
        raise CorpusError(f"is of other types: {error}", path=where, value=str(table.schema), remedy=REMEDY) from error
    _check_range(table, where)
    return table


#: Lowest and highest value of columns that have such; NaN is none.
_RANGES: dict[str, tuple[float, float]] = {
    "label": (-1, 2**31),
    "emotion": (-1, len(EMOTIONS) - 1),
    "valence_class": (-1, len(VALENCE_CLASSES) - 1),
    **dict.fromkeys(RATINGS, (0, 1)),
}


def _check_range(table: pa.Table, where: str) -> None:
    """Refuse classes that have no name, ratings on the scale of an instrument, and channels of one name."""
    for name, (low, high) in _RANGES.items():
        values = table.column(name).to_numpy()
        if (wrong := values[(values < low) | (values > high)]).size:
            raise CorpusError(
                f"{name} is {wrong[0]}, not from {low:g} to {high:g}",
                path=where,
                value=float(wrong[0]),
                remedy="Rescale ratings to [0, 1], and say -1 for classes that are not known",
            )
    for names in {tuple(names) for names in table.column("ch_names").to_pylist()}:
        if len(set(names)) < len(names):
            raise CorpusError(f"has channels of one name: {list(names)}", path=where, value=names, remedy="Rename them")


def schema_of(names: Collection[str]) -> pa.Schema:
    """Of some columns of the schema."""
    return pa.schema([arrow_schema().field(name) for name in names])


class GatheredRows:
    """Rows of many files as one table, put together every now and then: a small piece takes far more than it holds."""

    together = 64

    def __init__(self) -> None:
        self._large: list[pa.Table] = []
        self._small: list[pa.Table] = []

    def add(self, piece: pa.Table) -> None:
        """Further rows; of other metadata where they may, and the same columns."""
        self._small.append(piece.combine_chunks().replace_schema_metadata())
        if len(self._small) == self.together:
            self._large.append(pa.concat_tables(self._small).combine_chunks())
            self._small = []

    def table(self) -> pa.Table:
        """All rows so far, in order."""
        return pa.concat_tables([*self._large, *self._small]).combine_chunks()


def check_signal(signal: np.ndarray, channels: int, samples: int, rate: float, where: str) -> None:
    """Refuse a flat signal `(channels * samples,)` that is none.

    Raises:
        CorpusError: If it is of another size, or holds NaN or infinity.
        UnitError: If it cannot be EEG in µV.
    """
    if not channels or samples < 1 or len(signal) != channels * samples or not rate > 0:
        raise CorpusError(
            f"has {len(signal)} values for {channels} channels of {samples} samples at {rate} Hz",
            path=where,
            value=len(signal),
            remedy="Store the signal flat, channel after channel",
        )
    if not np.isfinite(signal).all():
        raise CorpusError("holds NaN or infinity", path=where, value="signal", remedy="Leave the trial out")
    check_amplitude(signal.reshape(channels, samples), where)
