"""Rows out of a folder of Parquet, one after the other, in the schema's types and looked at."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mdjpt_hf.data.index import INDEX_FILE, read_index
from mdjpt_hf.data.ranged import Files, RangedSignals
from mdjpt_hf.data.rows import checked_row, typed_rows
from mdjpt_hf.errors import CorpusError
from mdjpt_hf.schema import TRIAL_FEATURES, arrow_schema

_TOLD = [name for name in TRIAL_FEATURES if name != "signal"]


def parquet_rows(folder: Path, files: Sequence[Path], name: str, state: str) -> Iterator[pa.Table]:
    """A row at a time, since a trial has megabytes.

    Signals that lie in their file as they were when they were looked at and written, by the index beside, are taken
    from there, a tenth of the work of decoding; others are decoded and looked at.

    Args:
        name: For messages. state: Tells these files from others that lie in the same place at another time.

    Raises:
        CorpusError: If a file cannot be read, or a row is not of the schema.
        UnitError: If a signal cannot be EEG in µV.
    """
    number, written = 0, _Written(folder, files, state)
    for file in files:
        try:
            with pq.ParquetFile(file, page_checksum_verification=True) as opened:
                rows = written.rows(opened, file)
                for row in rows or _decoded(opened, name, number):
                    yield row
                    number += 1
        except (pa.ArrowException, OSError) as error:  # a wrong checksum is an OSError
            raise CorpusError(
                f"cannot be read: {error}", path=file, value=name, remedy="Download or write it again"
            ) from error


def _decoded(opened: pq.ParquetFile, name: str, first: int) -> Iterator[pa.Table]:
    for number, batch in enumerate(opened.iter_batches(batch_size=1), first):
        yield checked_row(pa.Table.from_batches([batch]), f"{name}, row {number}")


class _Written:
    """What the index beside files says of them; nothing where there is none, or one of other files."""

    def __init__(self, folder: Path, files: Sequence[Path], state: str):
        self.folder, self.place = folder, dict[str, list[int]]()
        try:
            index = read_index((folder / INDEX_FILE).read_bytes(), folder / INDEX_FILE)
        except (OSError, CorpusError):  # rows are in the files as well
            return
        if dict(index.sizes) != {file.relative_to(folder).as_posix(): file.stat().st_size for file in files}:
            return
        self.signals = RangedSignals(Files(str(folder)), index.rows, index.checked, state)
        for number, file in enumerate(index.rows.column("file").to_pylist()):
            self.place.setdefault(file, []).append(number)

    def rows(self, opened: pq.ParquetFile, file: Path) -> list[pa.Table]:
        """The rows of a file, of which everything but the signals is read; none where a signal is not known."""
        places = self.place.get(file.relative_to(self.folder).as_posix(), [])
        if len(places) != opened.metadata.num_rows or not set(TRIAL_FEATURES) <= set(opened.schema_arrow.names):
            return []
        told = typed_rows(opened.read(columns=_TOLD, use_threads=False), str(file))
        found = []
        for row, place in enumerate(places):
            own = told.slice(row, 1)
            signal = self.signals.as_written(place, len(own.column("ch_names")[0]))
            if signal is None or signal.shape[-1] != own.column("n_samples")[0].as_py():
                return []
            found.append(_with_signal(own, signal))
        return found


def _with_signal(row: pa.Table, signal: np.ndarray) -> pa.Table:
    values = pa.array(np.require(signal.ravel(), np.float32, ["C", "A"]))
    column = pa.LargeListArray.from_arrays(pa.array([0, len(values)], pa.int64()), values)
    columns = [column if name == "signal" else row.column(name).combine_chunks() for name in TRIAL_FEATURES]
    return pa.Table.from_arrays(columns, schema=arrow_schema())
