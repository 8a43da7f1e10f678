"""A prepared folder as Parquet, the form in which datasets are shared: `load_dataset(path)` opens and streams it.

The way back, from Parquet to a prepared folder, is in `sources.py`.
"""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset

from mdjpt_hf.data.index import INDEX_FILE, index_of, trial_hash, write_index
from mdjpt_hf.data.parts import part_in_words
from mdjpt_hf.data.ranged import Files
from mdjpt_hf.data.rows import checked_row
from mdjpt_hf.data.storage import CORPUS_FILE, as_prepared, prepared_records, public_metadata, write_json
from mdjpt_hf.errors import CorpusError, MDJPTError
from mdjpt_hf.runtime.ownership import owned_output
from mdjpt_hf.runtime.progress import LOGGER, Progress
from mdjpt_hf.schema import TRIAL_FEATURES, arrow_schema

#: Files of a corpus of one subject; one of more trials has several in each.
MOST_FILES = 5000
#: What the Hub takes in a folder; where a file for each subject would be more, files go on from one to the next.
MOST_IN_FOLDER = 10_000
#: Bytes of a page at most, of 2 GiB that there may be.
_ONE_PAGE = 2**30


def write_parquet(folder: str | Path, out: str | Path) -> Path:
    """Write the rows of a prepared folder as Parquet, a file per trial.

    Whoever asks for one trial then reads one: datasets 5.2 with pyarrow 26 reads ten to sixteen row groups of a file
    ahead of the one that is asked for, whatever their size, but never into the next file. Corpora of more than
    `MOST_FILES` trials have a few in each file, a row group per trial: of one subject, or where that would be more than
    `MOST_IN_FOLDER` files, of several, so that there are no more than `MOST_FILES`.

    Args:
        folder: A folder made by `mdjpt_hf.data.prepare`.
        out: The folder to make; it appears when it is complete.

    Signals are stored as they are, uncompressed and in one page with a checksum, so that who reads the file here maps
    them into memory; what `datasets` writes by itself (5.2) has a dictionary of all values, and is larger by half.

    Returns:
        `Path`: `out`, with `data/train-*.parquet`, the corpus's description and an index of its trials beside.

    Raises:
        CorpusError: If `folder` is no prepared corpus, or `out` exists.
        InUseError: If another process writes `out`.
    """
    folder, out = Path(folder), Path(out)
    with as_prepared(folder):
        corpus, report = prepared_records(folder)
        shards = corpus["shards"]
    if line := part_in_words(folder):
        LOGGER.warning("%s", line)
    with owned_output(out):
        if out.exists():
            raise CorpusError("exists already", path=out, remedy="Choose another --out, or move it away")
        _write(folder, shards, public_metadata(corpus, report), out)
    return out


def _write(folder: Path, shards: Sequence[Mapping[str, Any]], metadata: Mapping[str, Any], out: Path) -> None:
    staging = out.with_name(f".{out.name}.staging")
    shutil.rmtree(staging, ignore_errors=True)
    (staging / "data").mkdir(parents=True)
    hashes: list[int | None] = []
    count, parts = _parts(folder, shards)
    with Progress(count, 0, "parquet", "file") as progress:
        for index, rows in enumerate(parts):
            path = staging / "data" / f"train-{index:05d}-of-{count:05d}.parquet"
            _write_file(rows, path)
            hashes += _hashes(rows, path)
            progress.advance()
    _write_index(folder, staging, hashes)
    write_json(staging / CORPUS_FILE, metadata)
    os.replace(staging, out)


def _write_file(rows: pa.Table, path: Path) -> None:
    """A file with a row group for each trial; rows of other columns than the schema's stay as they are."""
    schema = arrow_schema() if set(TRIAL_FEATURES) <= set(rows.column_names) else rows.schema
    texts = [field.name for field in schema if pa.types.is_string(field.type)]
    packed = {name: "zstd" for name in (*schema.names, "ch_names.list.element") if name not in ("signal", "ch_names")}
    with pq.ParquetWriter(
        path,
        schema,
        compression={**packed, "signal.list.element": "NONE"},
        use_dictionary=[*texts, "ch_names.list.element"],
        data_page_size=_ONE_PAGE,
        write_page_checksum=True,
    ) as writer:
        for row in range(len(rows)):
            writer.write_table(rows.slice(row, 1))


def _hashes(rows: pa.Table, path: Path) -> list[int | None]:
    """What readers know the rows of a file by, see [`trial_hash`]; None where one is none of the schema, or no EEG."""
    if not set(TRIAL_FEATURES) <= set(rows.column_names):
        return [None] * len(rows)
    content = np.memmap(path, dtype=np.uint8, mode="r")
    return [_hash(rows.slice(number, 1), content) for number in range(len(rows))]


def _hash(row: pa.Table, content: np.ndarray) -> int | None:
    try:
        checked_row(row, "")
    except MDJPTError:
        return None
    return trial_hash(row.column("signal")[0].values.to_numpy(), content)


def _write_index(folder: Path, staging: Path, hashes: Sequence[int | None]) -> None:
    """Of folders that are whole; readers make one of others' columns, or refuse them by name."""
    if not (folder / "state.json").exists():
        return
    files = sorted((staging / "data").iterdir())
    sizes = {f"data/{file.name}": file.stat().st_size for file in files}
    fingerprint = json.loads((folder / "state.json").read_text(encoding="utf-8"))["_fingerprint"]
    write_index(staging / INDEX_FILE, index_of(sizes, Files(str(staging)).opened, fingerprint, hashes))


def _parts(folder: Path, shards: Sequence[Mapping[str, Any]]) -> tuple[int, Iterator[pa.Table]]:
    """How many files there will be, and the rows of each."""
    together = max(1, ceil(sum(shard["rows"] for shard in shards) / MOST_FILES))

    def count(groups: Sequence[Sequence[Mapping[str, Any]]]) -> int:
        return sum(ceil(sum(shard["rows"] for shard in group) / together) for group in groups)

    groups: Sequence[Sequence[Mapping[str, Any]]] = [[shard] for shard in shards]
    groups = groups if count(groups) <= MOST_IN_FOLDER else [shards]
    return count(groups), (part for group in groups for part in _batched(_trials(folder, group), together))


def _trials(folder: Path, shards: Iterable[Mapping[str, Any]]) -> Iterator[pa.Table]:
    """The rows of shards, one by one."""
    for shard in (shard for shard in shards if shard["rows"]):
        rows = Dataset.from_file(str(folder / shard["file"])).data.table
        yield from (rows.slice(row, 1) for row in range(shard["rows"]))


def _batched(trials: Iterator[pa.Table], together: int) -> Iterator[pa.Table]:
    """So many rows at a time."""
    while rows := list(islice(trials, together)):
        yield pa.concat_tables(rows)
