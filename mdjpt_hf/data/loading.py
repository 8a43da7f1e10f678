"""One call for any corpus: published, of the Hub, or your own; always rows of the one schema."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from datasets import Dataset, IterableDataset, concatenate_datasets, config, load_from_disk

from mdjpt_hf.data.prepare import preparation_key, prepare
from mdjpt_hf.data.ranged import Files
from mdjpt_hf.data.rows import check_classes, checked_row, parquet_features
from mdjpt_hf.data.sources import names_hub_dataset, parquet_files, prepared_folder, prepared_folders
from mdjpt_hf.data.storage import CORPUS_FILE, info_metadata
from mdjpt_hf.data.streams import streamed_place
from mdjpt_hf.data_scripts import BUILDERS, builder_class
from mdjpt_hf.data_scripts.base import CorpusBuilder
from mdjpt_hf.errors import ConfigurationError, CorpusError
from mdjpt_hf.schema import TRIAL_FEATURES


def load_corpus(
    name: str | Path,
    source: str | Path | None = None,
    *,
    preprocessing: str = "basic",
    streaming: bool = False,
    workers: int = 1,
    cache_dir: str | Path | None = None,
    skip_bad: bool = False,
    **options: Any,
) -> Dataset | IterableDataset:
    """Trials of a corpus as a `datasets.Dataset` with the columns of `mdjpt_hf.schema.TRIAL_FEATURES`.

        load_corpus("seed", source="/data/SEED")                   # prepared once, cached, resumed after a crash
        load_corpus("recordings", table="my.csv")                  # your own
        load_corpus("simulated", corpora=["sim-30"])               # nothing to download
        load_corpus("user/corpus")                                 # of the Hub; "user/corpus@revision"
        load_corpus("folder")                                      # prepared, or Parquet

    What [`corpus_metadata`] finds in its info are the facts of the corpus (terms, citation, names of its classes) and
    the exact preprocessing.

    Args:
        name: One of `mdjpt data list`; a folder; or a dataset of the Hub.
        source: Where a published corpus lies as it was downloaded.
        preprocessing: `none`, `basic` or `paper`, of a corpus that is prepared here.
        streaming: Give an `IterableDataset` instead. Of the Hub, a Parquet folder or a URL of fsspec it reads a trial
            when it is asked for it, and keeps nothing; one trial reads the bytes of one.
        workers: Processes that prepare subjects side by side.
        cache_dir: Where a corpus that is prepared here is kept; by default in the cache of `datasets`.
        skip_bad: Leave out subjects that cannot be read.
        options: Of the corpus's builder, such as `table`, `seed`, `label_source`.

    Raises:
        ConfigurationError: If an option is unknown or one is missing.
        CorpusError: If the corpus cannot be read, or there is none of this name.
    """
    if str(name) in BUILDERS:
        builder = _builder(str(name), source, preprocessing, options)
        dataset = prepared_once(builder, str(name), workers, cache_dir, skip_bad)
        return _streamed(dataset) if streaming else dataset
    _refuse(options | ({"source": source} if source is not None else {}), f"{name} is prepared already")
    if streamed := streamed_place(name):
        return load_corpus(streamed, streaming=True)
    if streaming and (place := _place_to_stream(name)):
        return _stream_of(place, str(name))
    dataset = _opened(prepared_folder(name))
    return _streamed(dataset) if streaming else dataset


def corpus_metadata(dataset: Dataset | IterableDataset) -> dict[str, Any]:
    """What is known of a loaded corpus: `facts` (terms, citation, names of classes) and `options` (preprocessing)."""
    return info_metadata(dataset.info.description or "")


def prepared_once(
    builder: CorpusBuilder, name: str, workers: int = 1, cache_dir: str | Path | None = None, skip_bad: bool = False
) -> Dataset:
    """The rows of a builder, prepared if they were not yet.

    Args:
        name: Begins the name of the folder they are kept in. workers, cache_dir, skip_bad: See [`load_corpus`].

    Raises:
        CorpusError: If the corpus cannot be read.
    """
    place = Path(cache_dir or Path(config.HF_DATASETS_CACHE) / "mdjpt_hf" / "prepared")
    folder = place / f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', name)}-{preparation_key(builder)[:16]}"
    return load_from_disk(str(prepare(builder, folder, workers, skip_bad=skip_bad).folder))


def _builder(name: str, source: str | Path | None, preprocessing: str, options: dict[str, Any]) -> Any:
    kind = builder_class(name)
    known = inspect.signature(kind).parameters
    given = {"preprocessing": preprocessing, **options}
    if source is not None:
        given["source"] = Path(source).expanduser()
    _refuse({key: value for key, value in given.items() if key not in known}, f"{name} takes {', '.join(known)}")
    needed = [key for key, entry in known.items() if entry.default is entry.empty and key not in given]
    if needed:
        raise ConfigurationError(f"{name} needs {needed[0]}=...", value=needed, remedy="See `mdjpt data list`")
    return kind(**given)


def _refuse(options: dict[str, Any], why: str) -> None:
    if options:
        raise ConfigurationError(
            f"no use for {sorted(options)}", value=sorted(options), remedy=f"Leave them out: {why}"
        )


def _opened(folder: Path) -> Dataset:
    parts = prepared_folders(folder)
    if not parts:
        raise CorpusError(
            "is neither a corpus that can be prepared, nor a prepared or Parquet folder, nor a dataset of the Hub",
            path=folder,
            value=str(folder),
            remedy=f"Give a folder, user/corpus, or one of {', '.join(BUILDERS)}",
        )
    return concatenate_datasets([load_from_disk(str(part)) for part in parts])


def _streamed(dataset: Dataset) -> IterableDataset:
    stream = dataset.to_iterable_dataset(num_shards=max(1, len(dataset.cache_files)))
    stream.info.description = dataset.info.description  # which datasets 5.2 leaves behind
    return stream


def _place_to_stream(name: str | Path) -> str:
    """Where Parquet lies that is streamed as it is: a folder, a dataset of the Hub, a URL; empty for anything else."""
    path = Path(name)
    if path.is_dir():
        return str(path.resolve()) if not prepared_folders(path) and parquet_files(path) else ""
    if "://" in str(name):
        return str(name)
    return f"hf://datasets/{name}" if names_hub_dataset(name) else ""


def _stream_of(url: str, name: str) -> IterableDataset:
    files = Files(url)
    try:
        shards = list(files.listed("*.parquet") or files.listed("data/*.parquet"))
        about = files.content(CORPUS_FILE)
    except Exception as error:  # each file system, and each version of the Hub's client, has others
        where = "the Hub gives no such dataset" if url.startswith("hf://") else "cannot be streamed"
        raise CorpusError(f"{where}: {error}", path=name, value=name, remedy="Check spelling and connection") from error
    if not shards:
        raise CorpusError("holds no Parquet files", path=name, value=name, remedy="Give one made by `mdjpt data push`")
    given = {"shards": shards, "url": url}
    stream = IterableDataset.from_generator(_trials, features=TRIAL_FEATURES, gen_kwargs=given)
    stream.info.description = (about or b"").decode("utf-8")
    return stream


def _trials(shards: list[str], url: str) -> Iterator[dict[str, Any]]:
    """Row group after row group, with nothing read ahead; every trial is checked as one that is converted."""
    files = Files(url)
    for shard in shards:
        with files.opened(shard) as file, pq.ParquetFile(file, pre_buffer=False) as opened:
            check_classes(parquet_features(opened), shard)
            for group in range(opened.num_row_groups):
                rows = opened.read_row_group(group, use_threads=False)
                for row in range(len(rows)):
                    yield from checked_row(rows.slice(row, 1), f"{url}/{shard}, row {row}").to_pylist()


__all__ = ["corpus_metadata", "load_corpus", "prepared_once"]
