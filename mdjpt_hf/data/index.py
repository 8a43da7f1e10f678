"""The index of a Parquet corpus: a row for each trial with everything but its signal, and where that lies.

It stands beside the shards, some hundred bytes a trial, and is enough to draw pairs, windows and splits. Where somebody
else wrote the shards it is made from their small columns, a read or two for each file.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from xxhash import xxh3_64

from mdjpt_hf.data.rows import REMEDY, GatheredRows, check_classes, parquet_features, schema_of, typed_rows
from mdjpt_hf.errors import CorpusError
from mdjpt_hf.schema import TRIAL_FEATURES

INDEX_FILE = "trials.arrow"

_TOLD = tuple(name for name in TRIAL_FEATURES if name != "signal")
_PLACE = {"file": pa.string(), "row_group": pa.int32(), "row": pa.int32(), "offset": pa.int64()}
_PLACED = pa.schema([*schema_of(_TOLD), *(pa.field(name, kind) for name, kind in _PLACE.items())])
_HASH = pa.field("hash", pa.uint64())
_SCHEMA = _PLACED.append(_HASH)
_ABOUT = b"mdjpt_hf"


@dataclass(frozen=True)
class TrialIndex:
    """What is known of trials without reading a signal.

    Attributes:
        rows: Columns of the schema but `signal`; `file`, `row_group`, and `row` within that; and `offset`, the byte of
            the file where the floats of the signal should begin, one after the other, -1 where they do not; and `hash`,
            [`trial_hash`] of a signal that was looked at, null where who wrote the shards did not say.
        sizes: File -> bytes.
        fingerprint: Of the prepared folder the shards were written from; of the index, where that is not known.
        checked: Whether signals were looked at when the shards were written.
    """

    rows: pa.Table
    sizes: Mapping[str, int]
    fingerprint: str
    checked: bool


def index_of(
    sizes: Mapping[str, int],
    opened: Callable[[str], BinaryIO],
    fingerprint: str = "",
    hashes: Sequence[int | None] = (),
) -> TrialIndex:
    """The index of Parquet files, from all columns but the signal.

    Args:
        sizes: File -> bytes, in order of the rows. opened: A file by its name, open for reading.
        fingerprint: Of the prepared folder they were just written from. hashes: Of its rows.

    Raises:
        CorpusError: If a file cannot be read, or rows are not of the schema.
    """
    gathered, extremes = GatheredRows(), []
    for name in sizes:
        table, own = _part(name, opened)
        gathered.add(table)
        extremes.append(own)
    if not len(rows := gathered.table()):
        raise CorpusError("hold no rows", path=", ".join(list(sizes)[:3]), value=0, remedy=REMEDY)
    told = {"sizes": dict(sizes), "extremes": extremes}
    print_of_rows = hashlib.sha256(_as_bytes(rows, told, _PLACED)).hexdigest()[:16]
    rows = rows.append_column(_HASH, pa.array(hashes or [None] * len(rows), _HASH.type))
    return TrialIndex(rows, dict(sizes), fingerprint or print_of_rows, bool(fingerprint))


def _part(name: str, opened: Callable[[str], BinaryIO]) -> tuple[pa.Table, list[str]]:
    """The rows of a file, and the extremes of the signals of each row group, which tell other signals of its size."""
    try:
        with opened(name) as file, pq.ParquetFile(file, pre_buffer=False) as parquet:
            check_classes(parquet_features(parquet), name)
            lacking = [column for column in TRIAL_FEATURES if column not in parquet.schema_arrow.names]
            if lacking:
                raise CorpusError(f"lacks the columns {lacking}", path=name, value=lacking, remedy=REMEDY)
            table = parquet.read(columns=list(_TOLD), use_threads=False)
            groups = [parquet.metadata.row_group(number) for number in range(parquet.num_row_groups)]
    except (pa.ArrowException, OSError) as error:
        raise CorpusError(
            f"cannot be read: {error}", path=name, value=name, remedy="Download or write it again"
        ) from error
    table, counts = typed_rows(table, name), [group.num_rows for group in groups]
    place = {
        "file": pa.array([name] * len(table)),
        "row_group": np.repeat(np.arange(len(counts), dtype=np.int32), counts),
        "row": np.concatenate([np.arange(count, dtype=np.int32) for count in [0, *counts]]),
        "offset": np.repeat(np.array([_plain_values(group) for group in groups], dtype=np.int64), counts),
    }
    for column, values in place.items():
        table = table.append_column(column, pa.array(values))
    return table.cast(_PLACED), [_extremes(group) for group in groups]


def _signal(group: pq.RowGroupMetaData) -> pq.ColumnChunkMetaData:
    columns = map(group.column, range(group.num_columns))
    return next(column for column in columns if column.path_in_schema.partition(".")[0] == "signal")


def _extremes(group: pq.RowGroupMetaData) -> str:
    known = _signal(group).statistics
    return f"{known.min} {known.max}" if known is not None and known.has_min_max else ""


def _plain_values(group: pq.RowGroupMetaData) -> int:
    """Where the floats of the one signal of a row group begin, if they lie in the file as they lie in memory.

    Values end a page, and a page its column; whether there was but one is seen when they are first read both ways.
    """
    column = _signal(group)
    plain = column.compression == "UNCOMPRESSED" and set(column.encodings) <= {"PLAIN", "RLE"}
    if group.num_rows != 1 or not plain or column.physical_type != "FLOAT":
        return -1
    return column.data_page_offset + column.total_compressed_size - 4 * column.num_values


def trial_hash(signal: np.ndarray, content: np.ndarray) -> int:
    """Of the floats of a signal and of what its file says of all of its rows, the footer, in the last bytes of it.

    Args:
        signal: Of any shape, one number after the other. content: The bytes of the file, or its last ones.
    """
    length = 8 + int.from_bytes(content[-8:-4].tobytes(), "little")
    digest = xxh3_64(signal.data)
    digest.update(content[-length:].data)
    return digest.intdigest()


def write_index(path: Path, index: TrialIndex) -> None:
    """Write an index to a file that [`read_index`] reads."""
    about = {"sizes": dict(index.sizes), "fingerprint": index.fingerprint, "checked": index.checked}
    path.write_bytes(_as_bytes(index.rows, about))


def _as_bytes(rows: pa.Table, about: Mapping[str, Any], schema: pa.Schema = _SCHEMA) -> bytes:
    schema = schema.with_metadata({_ABOUT: json.dumps(about)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(rows.replace_schema_metadata(schema.metadata))
    return sink.getvalue().to_pybytes()


def read_index(content: bytes, where: str | Path) -> TrialIndex:
    """An index from the bytes of its file.

    Args:
        where: For messages.

    Raises:
        CorpusError: If it is none.
    """
    try:
        rows = pa.ipc.open_file(pa.BufferReader(content)).read_all()
        about = json.loads((rows.schema.metadata or {})[_ABOUT])
        if _HASH.name not in rows.column_names:  # of versions before it was kept
            rows = rows.append_column(_HASH, pa.nulls(len(rows), _HASH.type))
        rows = rows.select(_SCHEMA.names).cast(_SCHEMA)
        return TrialIndex(rows, about["sizes"], about["fingerprint"], about["checked"])
    except (pa.ArrowException, ValueError, KeyError, TypeError, OSError) as error:
        raise CorpusError(
            f"is no index of trials: {error}", path=where, remedy="Delete it: it is made again from the shards"
        ) from error
