"""Prepared folders on this disk: signals mapped into memory, and what else is known of trials beside.

Each trial is a record batch of its shard. Arrow (26) keeps some 13 kB for one with all its columns, so shards are
opened one after the other, and of each stay the signals, as views, and the columns that are asked for, as one piece.
"""

import json
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from mdjpt_hf.data.checksums import AGAIN, Checksums
from mdjpt_hf.data.rows import GatheredRows
from mdjpt_hf.errors import CorpusError
from mdjpt_hf.schema import TRIAL_FEATURES


class MappedSignals:
    """Zero-copy views of the `signal` column of a prepared folder."""

    def __init__(self) -> None:
        self._values: list[np.ndarray] = []
        self._offsets: list[np.ndarray] = []
        self._starts = [0]

    def add(self, column: pa.ChunkedArray) -> None:
        """Signals of further rows."""
        for chunk in column.chunks:
            self._values.append(chunk.values.to_numpy(zero_copy_only=True))
            self._offsets.append(chunk.offsets.to_numpy())
            self._starts.append(self._starts[-1] + len(chunk))

    def view(self, row: int, num_channels: int) -> np.ndarray:
        """One trial, `(channels, samples)` float32, µV; not to be written to."""
        chunk = bisect_right(self._starts, row) - 1
        position = row - self._starts[chunk]
        begin, end = self._offsets[chunk][position : position + 2]
        return self._values[chunk][begin:end].reshape(num_channels, -1)


def mapped(folder: Path, columns: Sequence[str]) -> tuple[pa.Table, MappedSignals]:
    """Some columns of a prepared folder, and its signals, from files that are as they were written.

    Raises:
        CorpusError: If it cannot be opened, a file is damaged, a column is missing, or a signal holds NaN.
    """
    names = _shard_names(folder)
    checksums = Checksums(folder, names)
    signals, told, rows = MappedSignals(), GatheredRows(), 0
    for name in names:
        # One file after the other: of a corpus larger than memory each is still in the page cache when it is summed.
        is_known = checksums.is_known(name)
        if name in checksums.stated and not is_known:
            checksums.compare(name)
        shard = _shard(folder, name)
        if missing := sorted(set(TRIAL_FEATURES) - set(shard.column_names)):
            remedy = "Prepare it with `mdjpt data prepare`"
            raise CorpusError(f"lacks the columns {missing}", path=folder, value=missing, remedy=remedy)
        signals.add(shard.column("signal"))
        told.add(shard.select(columns))
        if not is_known:
            _check_finite(folder / name, signals, range(rows, rows + len(shard)))
        rows += len(shard)
    for name in sorted(checksums.stated.keys() - set(names)):
        checksums.compare(name)
    checksums.remember()
    return told.table(), signals


def mapped_signals(folder: Path) -> MappedSignals:
    """Its signals alone, of files that were compared before.

    Raises:
        CorpusError: If it cannot be opened.
    """
    signals = MappedSignals()
    for name in _shard_names(folder):
        signals.add(_shard(folder, name).column("signal"))
    return signals


def mapped_columns(folder: Path, columns: Sequence[str]) -> pa.Table:
    """Some of its columns alone.

    Raises:
        CorpusError: If it cannot be opened.
    """
    told = GatheredRows()
    for name in _shard_names(folder):
        told.add(_shard(folder, name).select(columns))
    return told.table()


def _shard_names(folder: Path) -> list[str]:
    """Files of a folder's rows, in order."""
    try:
        names = [entry["filename"] for entry in json.loads((folder / "state.json").read_text("utf-8"))["_data_files"]]
        if not names:
            raise ValueError("it names no files of rows")
        return names
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _not_openable(folder, error) from error


def _shard(folder: Path, name: str) -> pa.Table:
    """The table of a file, mapped into memory as `datasets.load_from_disk` maps it."""
    try:
        with pa.memory_map(str(folder / name)) as source, pa.ipc.open_stream(source) as reader:
            return reader.read_all()
    except (OSError, ValueError, TypeError, pa.ArrowException) as error:
        raise _not_openable(folder, error) from error


def _not_openable(folder: Path, error: Exception) -> CorpusError:
    again = "Delete the folder and prepare it again with `mdjpt data prepare`"
    return CorpusError(f"cannot be opened: {error}", path=folder, remedy=again)


def _check_finite(path: Path, signals: MappedSignals, rows: range) -> None:
    """Refuse signals with NaN or infinity, which no hash shows if they were written so.

    Raises:
        CorpusError: If there is one; it names the file.
    """
    for row in rows:
        if not np.isfinite(signals.view(row, 1).sum()):  # one of them makes the sum one
            raise CorpusError(f"row {row} of the corpus holds NaN or infinity", path=path, value=row, remedy=AGAIN)
