"""Corpora that stay where they are: `stream:user/corpus`, `stream:folder` or `stream:s3://...`, opened by their index.

A small folder in the cache stands for the corpus: what a prepared folder has, with the index in place of the signals.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datasets import config

from mdjpt_hf.data.index import INDEX_FILE, TrialIndex, index_of, read_index, write_index
from mdjpt_hf.data.ranged import Files, RangedSignals
from mdjpt_hf.data.storage import CORPUS_FILE, write_json
from mdjpt_hf.errors import CorpusError
from mdjpt_hf.runtime.ownership import lock_beside, owned
from mdjpt_hf.runtime.progress import LOGGER

#: Before a source that is to stay where it is.
PREFIX = "stream:"
_STATE_FILE = "state.json"
#: Seconds to wait for another process that reads the same shards for their index.
_PATIENCE = 3600.0


def streamed_place(source: Any) -> str:
    """What stands behind the prefix; empty where there is none."""
    text = str(source) if isinstance(source, str | Path) else ""
    return text.removeprefix(PREFIX) if text.startswith(PREFIX) else ""


def is_index_folder(folder: Path) -> bool:
    """Whether a folder stands for a corpus that lies elsewhere."""
    return (folder / INDEX_FILE).is_file() and (folder / _STATE_FILE).is_file()


def index_in(folder: Path) -> TrialIndex:
    """The index of a folder that [`index_folder`] made."""
    return read_index((folder / INDEX_FILE).read_bytes(), folder / INDEX_FILE)


def signals_of(folder: Path, index: TrialIndex | None = None) -> RangedSignals:
    """The signals that a folder stands for."""
    index = index or index_in(folder)
    url = json.loads((folder / _STATE_FILE).read_text(encoding="utf-8"))["url"]
    return RangedSignals(Files(url), index.rows, index.checked, folder.name)


def index_folder(url: str, place: str) -> Path:
    """The folder that stands for a Parquet corpus, made in the cache where it is not there.

    Args:
        url: A path, or a URL that fsspec opens and whose content stays what it is. place: Its name, for messages.

    Raises:
        CorpusError: If there are no Parquet files, or they cannot be read.
    """
    files = Files(url)
    try:
        listed = files.listed("*.parquet") or files.listed("data/*.parquet")
        about, given = files.content(CORPUS_FILE), files.content(INDEX_FILE)
    except Exception as error:  # each file system has others for what is not there
        raise CorpusError(
            f"cannot be streamed: {str(error) or type(error).__name__}",
            path=place,
            value=place,
            remedy="Check the spelling and the connection",
        ) from error
    if not listed:
        raise CorpusError(
            "holds no Parquet files", path=place, value=place, remedy="Write them with `mdjpt data parquet`"
        )
    key = json.dumps([url, listed, hashlib.sha256((about or b"") + (given or b"")).hexdigest()], default=str)
    folder = Path(config.HF_DATASETS_CACHE) / "mdjpt_hf" / f"stream-{hashlib.sha256(key.encode()).hexdigest()[:32]}"
    if not is_index_folder(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with owned(lock_beside(folder), folder, wait=_PATIENCE):
            if not is_index_folder(folder):
                index = _index(files, {name: int(info["size"]) for name, info in listed.items()}, given)
                _write(folder, url, index, json.loads(about) if about else {})
    return folder


def _index(files: Files, sizes: Mapping[str, int], given: bytes | None) -> TrialIndex:
    """The index beside the shards, if it is of these; else one made from them."""
    if given is not None:
        index = read_index(given, f"{files.url}/{INDEX_FILE}")
        if dict(index.sizes) == dict(sizes) and set(index.rows.column("file").to_pylist()) <= set(sizes):
            return index
    reason = "has no index of trials" if given is None else "has an index of other files"
    LOGGER.info("%s %s: the small columns of %d files are read for one", files.url, reason, len(sizes))
    return index_of(sizes, files.opened)


def _write(folder: Path, url: str, index: TrialIndex, metadata: Mapping[str, Any]) -> None:
    staging = folder.with_name(f".{folder.name}.staging")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    write_index(staging / INDEX_FILE, index)
    write_json(staging / CORPUS_FILE, {"recordings": [], **metadata})
    write_json(staging / _STATE_FILE, {"_fingerprint": index.fingerprint, "url": url})
    os.replace(staging, folder)
