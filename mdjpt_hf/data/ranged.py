"""Signals of trials out of Parquet files, wherever these lie: one row group for one trial, the last ones kept.

Files that are here are mapped into memory where signals lie in them as they are. A signal whose index says what it was
when it was written is compared with that; another is decoded once and compared. A window then takes as long as from a
prepared folder.
"""

import os
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from glob import escape
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from mdjpt_hf.data.index import trial_hash
from mdjpt_hf.data.rows import check_signal
from mdjpt_hf.errors import CorpusError

#: Bytes of signals that a process keeps, of all corpora together.
KEPT_BYTES = 2**30
#: Seconds to wait before a file that lies elsewhere is asked for again.
PAUSES: tuple[float, ...] = (1.0, 5.0, 20.0)
#: What file systems say of a file that changes with it.
_STATE = ("size", "mtime", "etag", "ETag", "LastModified", "blob_id")


#: What the index says of a trial and the file as well, in its last bytes.
_COMPARED = ["dataset", "subject", "session", "trial", "stimulus", "n_samples", "label", "label_name", "emotion"]
_COMPARED += ["valence_class", "preprocessing"]


class KeptGroups:
    """Row groups that were read, the last ones asked for, up to a number of bytes."""

    def __init__(self, most: int = KEPT_BYTES):
        self.most, self.held = most, 0
        self._groups: OrderedDict[Any, tuple[np.ndarray, np.ndarray]] = OrderedDict()

    def get(self, key: Any, read: Callable[[], tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
        """Values and offsets of a row group, read if they are not there."""
        if key in self._groups:
            self._groups.move_to_end(key)
            return self._groups[key]
        group = self._groups[key] = read()
        self.held += group[0].nbytes
        while self.held > self.most and len(self._groups) > 1:
            self.held -= self._groups.popitem(last=False)[1][0].nbytes
        return group

    def drop(self, key: Any) -> None:
        """Keep a row group no longer."""
        if key in self._groups:
            self.held -= self._groups.pop(key)[0].nbytes


_KEPT = KeptGroups()


class Files:
    """Files of a folder, wherever it lies.

    Args:
        url: Of the folder, as fsspec knows it, or a path.
    """

    def __init__(self, url: str):
        self.url = url
        self._system: tuple[int, Any, str] | None = None  # process, file system, root

    @property
    def system(self) -> tuple[Any, str]:
        """File system and root; of every process its own, since a connection serves one."""
        if self._system is None or self._system[0] != os.getpid():
            system, root = url_to_fs(self.url)
            self._system = (os.getpid(), system, root.rstrip("/"))
        return self._system[1:]

    @property
    def is_local(self) -> bool:
        """Whether it is a folder here."""
        return isinstance(self.system[0], LocalFileSystem)

    def opened(self, name: str) -> BinaryIO:
        """A file, open for reading; little is read beyond what is asked for."""
        system, root = self.system
        return open(f"{root}/{name}", "rb") if self.is_local else system.open(f"{root}/{name}", "rb", block_size=2**16)

    def path(self, name: str) -> str:
        """Of a file that is here."""
        return f"{self.system[1]}/{name}"

    def content(self, name: str) -> bytes | None:
        """All of a small file; None where it is not there."""
        system, root = self.system
        return system.cat_file(f"{root}/{name}") if system.exists(f"{root}/{name}") else None

    def listed(self, pattern: str) -> dict[str, dict[str, Any]]:
        """Name within the folder -> what tells this state of the file from others, in order."""
        system, root = self.system
        depth = pattern.count("/") + 1
        found = sorted(system.glob(f"{escape(root)}/{pattern}", detail=True).items())
        return {
            "/".join(path.split("/")[-depth:]): {name: info[name] for name in _STATE if name in info}
            for path, info in found
        }

    def forget(self) -> None:
        """Make connections anew."""
        self._system = None


@lru_cache(maxsize=4096)
def _mapped_file(path: str, state: str) -> np.ndarray:
    """The bytes of a file in this state, mapped into memory."""
    return np.memmap(path, dtype=np.uint8, mode="r")


class RangedSignals:
    """The `signal` column of Parquet files, read a row group at a time.

    Args:
        files: Of the corpus. rows: Of a [`TrialIndex`]. checked: Whether amplitudes were looked at before.
        state: Tells these files from others that lie in the same place at another time.
    """

    def __init__(self, files: Files, rows: pa.Table, checked: bool, state: str):
        self.files, self.checked, self.state = files, checked, state
        self._file = rows.column("file").to_pylist()
        self._group, self._row = (rows.column(name).to_numpy() for name in ("row_group", "row"))
        self._samples, self._rate = (rows.column(name).to_numpy() for name in ("n_samples", "sampling_rate"))
        self._offset = rows.column("offset").to_numpy()
        self._hash = pc.fill_null(rows.column("hash"), 0).to_numpy()
        self._told, self._names = rows.select(_COMPARED), rows.column("ch_names").combine_chunks()
        self._rows_of: dict[tuple[str, int], list[int]] = {}
        for row, place in enumerate(zip(self._file, self._group.tolist(), strict=True)):
            self._rows_of.setdefault(place, []).append(row)
        self._as_they_lie: set[int] = set()  # rows whose floats in the file are those of the column

    def slow_in_words(self) -> str:
        """A line where signals of files that are here must be decoded and are more than is kept; else empty."""
        sizes = 4 * pc.list_value_length(self._names).to_numpy().astype(np.int64) * self._samples
        size = int(sizes[self._offset < 0].sum())
        if not self.files.is_local or size <= KEPT_BYTES:
            return ""
        return (
            f"{self.files.url}: {size / 1e9:.3g} GB of signals are compressed or stand in a dictionary, more than the "
            f"{KEPT_BYTES / 1e9:.2g} GB that a process keeps, and are decoded again and again: leave stream: out where "
            "the disk holds them once more"
        )

    def view(self, row: int, num_channels: int) -> np.ndarray:
        """One trial, `(channels, samples)` float32, µV; not to be written to.

        Raises:
            CorpusError: If the file cannot be read, is damaged, or holds something else.
            UnitError: If a corpus that nobody has looked at is not in µV.
        """
        if (written := self.as_written(row, num_channels)) is not None:
            return written
        file, group = self._file[row], int(self._group[row])
        values, offsets = _KEPT.get((self.state, file, group), lambda: self._read(file, group))
        place, samples = int(self._row[row]), int(self._samples[row])
        signal = values[offsets[place] : offsets[place + 1]]
        if len(signal) != num_channels * samples or not np.isfinite(signal.sum()) or not self.checked:
            check_signal(signal, num_channels, samples, float(self._rate[row]), f"{self.files.url}/{file}, row {row}")
        signal = signal.reshape(num_channels, samples)
        if self._offset[row] >= 0 and self.files.is_local and np.array_equal(self._mapped(row, num_channels), signal):
            self._as_they_lie.add(row)
            _KEPT.drop((self.state, file, group))
        return signal

    def as_written(self, row: int, num_channels: int) -> np.ndarray | None:
        """The same of a file that is here, as it lies there; None where that was not seen, and is not known from a hash
        of signal and footer.

        Decoding a list of numbers as Parquet has it costs pyarrow (26) ten times as much, mostly for where lists end.
        """
        if row not in self._as_they_lie:
            if not (self.checked and self._hash[row] and self._offset[row] >= 0 and self.files.is_local):
                return None
            with suppress(OSError, ValueError):  # of a file that is gone or empty, the reading that follows tells why
                content = _mapped_file(self.files.path(self._file[row]), self.state)
                if trial_hash(self._mapped(row, num_channels), content) == self._hash[row]:
                    self._as_they_lie.add(row)
        return self._mapped(row, num_channels) if row in self._as_they_lie else None

    def _mapped(self, row: int, num_channels: int) -> np.ndarray:
        content, start = _mapped_file(self.files.path(self._file[row]), self.state), int(self._offset[row])
        size = 4 * num_channels * int(self._samples[row])
        values = content[start : start + size]
        return values.view(np.float32).reshape(num_channels, -1) if len(values) == size > 0 else values

    def _read(self, file: str, group: int) -> tuple[np.ndarray, np.ndarray]:
        pauses = () if self.files.is_local else PAUSES
        for pause in (*pauses, None):
            try:
                return self._read_once(file, group)
            except CorpusError:
                raise
            except Exception as error:  # each file system has others for a connection that breaks
                if pause is None:
                    raise CorpusError(
                        f"row group {group} cannot be read: {str(error) or type(error).__name__}",
                        path=f"{self.files.url}/{file}",
                        value=group,
                        remedy="Check the connection and the file; a run keeps what it has saved: --resume goes on",
                    ) from error
            time.sleep(pause)
            self.files.forget()
        raise AssertionError("the last try returns or raises")

    def _compare(self, file: str, group: int, metadata: pq.RowGroupMetaData) -> None:
        """Refuse a row group that holds other trials than the index says, by what its file tells of its columns.

        Raises:
            CorpusError: If a shard was replaced and the index was not.
        """
        own = self._told.take(pa.array(self._rows_of[file, group]))
        for column in map(metadata.column, range(metadata.num_columns)):
            name, known = column.path_in_schema, column.statistics
            if name not in _COMPARED or known is None or not known.has_min_max or known.null_count:
                continue
            extremes = pc.min_max(own[name]).as_py()
            if (extremes["min"], extremes["max"]) != (known.min, known.max):
                raise CorpusError(
                    f"holds {name} {known.min!r} where the index of trials says {extremes['min']!r}",
                    path=f"{self.files.url}/{file}",
                    value=known.min,
                    remedy="Shards were changed, their index was not: delete trials.arrow, it is made again from them",
                )

    def _read_once(self, file: str, group: int) -> tuple[np.ndarray, np.ndarray]:
        with (
            self.files.opened(file) as source,
            pq.ParquetFile(source, pre_buffer=False, page_checksum_verification=True) as parquet,
        ):
            if self.checked:  # else the index was made of these files
                self._compare(file, group, parquet.metadata.row_group(group))
            column = parquet.read_row_group(group, columns=["signal"], use_threads=False).column("signal")
        column = column.cast(pa.large_list(pa.float32())).combine_chunks()
        chunk = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
        return chunk.values.to_numpy(zero_copy_only=True), chunk.offsets.to_numpy()
