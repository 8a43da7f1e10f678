"""Prepared folders on this disk: signals mapped into memory, and what else is known of trials beside.

Each trial is a record batch of its shard. Arrow (26) keeps some 13 kB for one with all its columns, so shards are
opened one after the other, and of each stay the signals, as views, and the columns that are asked for, as one piece.
"""

import json
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from mdjpt_hf.data.rows import GatheredRows
from mdjpt_hf.data.storage import file_hash, folder_metadata
from mdjpt_hf.errors import CorpusError
from mdjpt_hf.schema import TRIAL_FEATURES

_AGAIN = "Restore it from a copy, or delete the folder and prepare it again with `mdjpt data prepare`"


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
    """Some columns of a prepared folder, and its signals; every file is compared with its hash.

    Raises:
        CorpusError: If it cannot be opened, a file is damaged, a column is missing, or a signal holds NaN.
    """
    _check_shards(folder)
    signals, told = MappedSignals(), GatheredRows()
    for shard in _shards(folder):
        if missing := sorted(set(TRIAL_FEATURES) - set(shard.column_names)):
            remedy = "Prepare it with `mdjpt data prepare`"
            raise CorpusError(f"lacks the columns {missing}", path=folder, value=missing, remedy=remedy)
        signals.add(shard.column("signal"))
        told.add(shard.select(columns))
    table = told.table()
    _check_finite(folder, signals, len(table))
    return table, signals


def mapped_signals(folder: Path) -> MappedSignals:
    """Its signals alone, of files that were compared before.

    Raises:
        CorpusError: If it cannot be opened.
    """
    signals = MappedSignals()
    for shard in _shards(folder):
        signals.add(shard.column("signal"))
    return signals


def mapped_columns(folder: Path, columns: Sequence[str]) -> pa.Table:
    """Some of its columns alone.

    Raises:
        CorpusError: If it cannot be opened.
    """
    told = GatheredRows()
    for shard in _shards(folder):
        told.add(shard.select(columns))
    return told.table()


def _shards(folder: Path) -> Iterator[pa.Table]:
    """The tables of a folder, in order, mapped into memory as `datasets.load_from_disk` maps them."""
    try:
        names = [entry["filename"] for entry in json.loads((folder / "state.json").read_text("utf-8"))["_data_files"]]
        if not names:
            raise ValueError("it names no files of rows")
        for name in names:
            with pa.memory_map(str(folder / name)) as source, pa.ipc.open_stream(source) as reader:
                table = reader.read_all()
            yield table
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        again = "Delete the folder and prepare it again with `mdjpt data prepare`"
        raise CorpusError(f"cannot be opened: {error}", path=folder, remedy=again) from error


def _check_shards(folder: Path) -> None:
    """Compare every shard with the hash it was written with: an EEG with a flipped bit still looks like one.

    Raises:
        CorpusError: If one is missing or has changed; it names the file.
    """
    for shard in folder_metadata(folder).get("shards", []):
        path = folder / shard["file"]
        try:
            status = path.stat()
            is_whole = _hash_of(path, status.st_size, status.st_mtime_ns) == shard["sha256"]
        except OSError as error:
            raise CorpusError(
                f"cannot be opened ({error.strerror}); it holds {shard['unit']!r}", path=path, remedy=_AGAIN
            ) from error
        if not is_whole:
            raise CorpusError(
                f"cannot be opened: it has changed since it was written; it holds {shard['unit']!r}",
                path=path,
                value=shard["unit"],
                remedy=_AGAIN,
            )


def _check_finite(folder: Path, signals: "MappedSignals", rows: int) -> None:
    """Refuse signals with NaN or infinity, which no hash shows if they were written so.

    Raises:
        CorpusError: If there is one; it names the file.
    """
    shards = folder_metadata(folder).get("shards", [])
    ends = np.cumsum([shard["rows"] for shard in shards])
    for row in range(rows):
        if not np.isfinite(signals.view(row, 1).sum()):  # one of them makes the sum one
            index = int(np.searchsorted(ends, row, side="right"))
            path = folder / shards[index]["file"] if index < len(shards) else folder
            raise CorpusError(f"row {row} of the corpus holds NaN or infinity", path=path, value=row, remedy=_AGAIN)


@lru_cache(maxsize=100_000)
def _hash_of(path: Path, size: int, changed: int) -> str:
    """Of a file in this state; evaluations open the same corpora many times."""
    return file_hash(path)
