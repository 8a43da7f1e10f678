"""Where rows may come from: a prepared folder, Parquet, a dataset of the Hub, a `datasets.Dataset`, a stream.

Training and evaluation read windows from anywhere in a corpus, which memory-mapped Arrow is best at. What is none is
written as a prepared folder once, in the cache of `datasets` (`HF_DATASETS_CACHE`): the same rows, the same labels,
checked. With `stream:` before it, Parquet stays where it is, and trials are read as they are needed.
"""

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import Dataset, IterableDataset, config
from huggingface_hub import HfApi, snapshot_download

from mdjpt_hf.data.index import INDEX_FILE
from mdjpt_hf.data.parquet_rows import parquet_rows
from mdjpt_hf.data.rows import REMEDY, check_classes, checked_row, parquet_features
from mdjpt_hf.data.storage import CORPUS_FILE, STATED_SCALES, file_hash, info_metadata, write_dataset_files, write_json
from mdjpt_hf.data.streams import PREFIX, index_folder, streamed_place
from mdjpt_hf.errors import CorpusError
from mdjpt_hf.runtime.ownership import lock_beside, owned
from mdjpt_hf.runtime.progress import LOGGER
from mdjpt_hf.schema import arrow_schema

_HUB_ID = re.compile(r"[\w][\w.-]*/[\w][\w.-]*(@[\w./-]+)?")
#: Seconds to wait for another process that writes the same corpus into the cache.
_PATIENCE = 6 * 3600.0


def prepared_folder(source: str | Path | Dataset) -> Path:
    """The prepared folder of a source, made in the cache where the source is none.

    Args:
        source: A prepared folder, or a folder of such; a folder with Parquet files in it or in its `data`; a dataset
            `user/corpus` or `user/corpus@revision` of the Hub, where nothing of that name lies here; or a
            `datasets.Dataset` of the schema. `stream:` before a Parquet folder, a dataset of the Hub or a URL of fsspec
            leaves the rows there: the folder then holds their index alone.

    Raises:
        CorpusError: If the Hub has no such dataset or cannot be reached, columns are missing or of another type, a row
            contradicts itself, or the cache cannot be written. A path that holds nothing of this is returned as it is.
        UnitError: If the signal of a row cannot be EEG in µV.
    """
    if isinstance(source, Dataset):
        return _from_dataset(source)
    _refuse_streams(source)
    if place := streamed_place(source):
        return Path(place) if prepared_folders(Path(place)) else index_folder(_pinned(place), place)
    path = Path(source)
    if not path.exists() and names_hub_dataset(source):
        return _from_parquet(_downloaded(str(source)), str(source))
    if path.is_dir() and not prepared_folders(path) and parquet_files(path):
        return _from_parquet(path, str(path))
    return path


def holds_corpus(source: Any) -> bool:
    """Whether [`prepared_folder`] makes something of it, as opposed to a recording or a folder of recordings."""
    if not isinstance(source, str | Path):
        return isinstance(source, Dataset)
    if streamed_place(source):
        return True
    path = Path(source)
    if not path.exists():
        return names_hub_dataset(source)
    return path.is_dir() and bool(prepared_folders(path) or parquet_files(path))


def prepared_folders(path: Path) -> list[Path]:
    """A prepared folder itself, or those directly in a folder, whatever else lies there; none if there are none."""
    if (path / "state.json").is_file():
        return [path]
    # Folders with a dot are preparations that did not finish.
    return sorted(file.parent for file in path.glob("*/state.json") if not file.parent.name.startswith("."))


def as_sources(data: Any) -> tuple[str, ...]:
    """One source or several as texts, which settings and records can hold; a `datasets.Dataset` goes into the cache."""
    if isinstance(data, str | Path | Dataset | IterableDataset):
        data = (data,)
    for source in data:
        _refuse_streams(source)
    return tuple(str(prepared_folder(source)) if isinstance(source, Dataset) else str(source) for source in data)


def names_hub_dataset(source: str | Path) -> bool:
    """Whether a text reads as `user/corpus[@revision]`, and not as a path into a folder that is here."""
    text = str(source)
    return bool(_HUB_ID.fullmatch(text)) and not Path(text.partition("/")[0]).exists()


def parquet_files(folder: Path) -> list[Path]:
    """Of a folder as the Hub has it, in order."""
    return sorted(folder.glob("*.parquet")) or sorted(folder.glob("data/*.parquet"))


def _refuse_streams(source: Any) -> None:
    """A stream of `datasets` is read from front to back, and pairs are made of trials from anywhere."""
    if isinstance(source, IterableDataset):
        raise CorpusError(
            "a datasets.IterableDataset gives trials in its own order alone, and pairs are drawn from all of them",
            path="the stream",
            value=type(source).__name__,
            remedy="Give its Parquet as a text, such as 'stream:user/corpus': trials are read as they are needed",
        )


def _pinned(place: str) -> str:
    """A path, or a URL whose content stays what it is as long as a run lasts: of the Hub, that of the commit of now.

    Raises:
        CorpusError: If it is neither here, nor on the Hub, nor a URL.
    """
    if Path(place).is_dir():
        return str(Path(place).resolve())
    if "://" in place:
        return place
    repo_id, _, revision = place.partition("@")
    try:
        if not names_hub_dataset(place):
            raise FileNotFoundError("it reads neither as user/corpus nor as a URL")
        commit = HfApi().dataset_info(repo_id, revision=revision or None).sha
    except Exception as error:  # each version of the client has others for a connection that breaks
        raise _not_found(place, error) from error
    return f"hf://datasets/{repo_id}@{commit}"


def _not_found(name: str, error: Exception) -> CorpusError:
    reason = (str(error) or type(error).__name__).splitlines()[0]
    problem = "is neither a folder here nor a dataset that the Hub gives"
    remedy = "Check the spelling and the connection; for a private or gated one log in with `hf auth login`"
    if getattr(error, "errno", None) == errno.ENOSPC:
        problem = "cannot be downloaded"
        remedy = f"Make room in the Hub's cache (HF_HOME), or leave it on the Hub: {PREFIX}{name}"
    return CorpusError(f"{problem}: {reason}", path=name, value=name, remedy=remedy)


def _downloaded(name: str) -> Path:
    """Its files, in the Hub's own cache."""
    repo_id, _, revision = name.partition("@")
    wanted = [CORPUS_FILE, INDEX_FILE, "*.parquet", "data/*.parquet"]
    try:
        return Path(snapshot_download(repo_id, repo_type="dataset", revision=revision or None, allow_patterns=wanted))
    except Exception as error:  # each version of the client has others for a connection that breaks
        raise _not_found(name, error) from error


def _from_parquet(folder: Path, name: str) -> Path:
    files = parquet_files(folder)
    if not files:
        raise CorpusError("holds no Parquet files", path=name, value=name, remedy=REMEDY)
    states = [(file.name, file.stat().st_size, file.resolve().stat().st_mtime_ns) for file in files]
    about = folder / CORPUS_FILE
    metadata = json.loads(about.read_text(encoding="utf-8")) if about.is_file() else {}
    key = hashlib.sha256(json.dumps([str(folder.resolve()), states, metadata]).encode()).hexdigest()
    check_classes(parquet_features(files[0]), name)
    return _written(key, parquet_rows(folder, files, name, key), metadata, name, sum(size for _, size, _ in states))


def _from_dataset(dataset: Dataset) -> Path:
    metadata = info_metadata(dataset.info.description or "")
    metadata = {**metadata, "recordings": [], STATED_SCALES: metadata.get("recordings", [])}
    check_classes(dataset.features, "the dataset")
    name = f"the dataset {dataset._fingerprint}"
    stored = enumerate(dataset.with_format("arrow").iter(batch_size=1))
    rows = (checked_row(row, f"{name}, row {number}") for number, row in stored)
    key = hashlib.sha256(f"{dataset._fingerprint} {dataset.info.description}".encode()).hexdigest()
    return _written(key, rows, metadata, name, dataset.data.nbytes)


def _written(key: str, rows: Iterable[pa.Table], metadata: Mapping[str, Any], name: str, size: int) -> Path:
    """A prepared folder in the cache, which appears when it is complete."""
    place = Path(config.HF_DATASETS_CACHE) / "mdjpt_hf" / key[:32]
    if (place / "state.json").is_file():
        return place
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with owned(lock_beside(place), place, wait=_PATIENCE):
            _check_room(place, size, name)
            if not (place / "state.json").is_file():
                LOGGER.info("%s: %.3g GB are written once as memory-mapped Arrow to %s", name, size / 1e9, place)
                staging = place.with_name(f".{place.name}.staging")
                shutil.rmtree(staging, ignore_errors=True)
                staging.mkdir()
                _write(staging, key, rows, metadata, name)
                os.replace(staging, place)
    except OSError as error:
        raise CorpusError(
            f"cannot be written to the cache ({error.strerror or error})",
            path=place,
            value=name,
            remedy="Make room there, name another place in the environment variable HF_DATASETS_CACHE, or leave "
            f"Parquet where it is: {PREFIX}{name}",
        ) from error
    return place


def _check_room(place: Path, size: int, name: str) -> None:
    """Refuse before hours of writing what the disk does not hold; `size` bytes are what rows take at least."""
    free = shutil.disk_usage(place.parent).free
    if not (place / "state.json").is_file() and size > free:
        raise CorpusError(
            f"takes {size / 1e9:.3g} GB as memory-mapped Arrow, and {free / 1e9:.3g} GB are free",
            path=place,
            value=size,
            remedy=f"Make room there, or leave Parquet where it is: {PREFIX}{name}",
        )


def _write(folder: Path, key: str, rows: Iterable[pa.Table], metadata: Mapping[str, Any], name: str) -> None:
    """The files of a prepared folder, a shard for each subject in turn, hashed while the next one is written."""
    shards: list[dict[str, Any]] = []
    with ThreadPoolExecutor(1) as beside:
        for unit, own in groupby(rows, _subject_of):
            path = folder / f"data-{len(shards):05d}.arrow"
            count = _write_shard(path, own)
            shards.append({"file": path.name, "unit": unit, "rows": count, "sha256": beside.submit(file_hash, path)})
    if not shards:
        raise CorpusError("holds no rows", path=name, value=0, remedy=REMEDY)
    for shard in shards:
        shard["sha256"] = shard["sha256"].result()
    write_dataset_files(folder, shards, metadata)
    write_json(folder / CORPUS_FILE, {"recordings": [], **metadata, "key": key, "shards": shards})


def _write_shard(path: Path, rows: Iterable[pa.Table]) -> int:
    """Write rows one by one, and count them."""
    count = 0
    with pa.ipc.new_stream(str(path), arrow_schema()) as writer:
        for row in rows:
            writer.write_table(row)
            count += 1
    return count


def _subject_of(row: pa.Table) -> str:
    return "/".join(row.column(name)[0].as_py() for name in ("dataset", "subject"))
