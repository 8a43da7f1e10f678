"""A prepared folder as Parquet, the form in which datasets are shared: `load_dataset(path)` opens and streams it."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset

from mdjpt_hf.data.storage import CORPUS_FILE, REPORT_FILE, write_json
from mdjpt_hf.errors import CorpusError
from mdjpt_hf.ownership import owned_output

#: Settings that say how rows were made. Names and sizes of source files, which may name people, stay here.
_PUBLIC_OPTIONS = ("preprocessing", "product", "label_source", "generator", "seed", "difficulty", "corpora", "changes")


def write_parquet(folder: str | Path, out: str | Path) -> Path:
    """Write the rows of a prepared folder as Parquet shards, one per subject, a row group per trial.

    A reader that streams needs the memory of a few trials, not of a subject: one row group per trial lets it stop
    there. datasets 5.2 with pyarrow 26 reads ten to sixteen of them ahead of the one that is asked for, whatever
    their size.

    Args:
        folder: A folder made by `mdjpt_hf.data.prepare`.
        out: The folder to make; it appears when it is complete.

    Returns:
        `Path`: `out`, with `data/train-*.parquet` and the corpus's description beside.

    Raises:
        CorpusError: If `folder` is no prepared corpus, or `out` exists.
        InUseError: If another process writes `out`.
    """
    folder, out = Path(folder), Path(out)
    try:
        corpus = json.loads((folder / CORPUS_FILE).read_text(encoding="utf-8"))
        shards = corpus["shards"]
    except (OSError, ValueError, KeyError) as error:
        raise CorpusError(
            "is not a prepared corpus", path=folder, remedy="Give a folder made by `mdjpt data prepare`"
        ) from error
    with owned_output(out):
        if out.exists():
            raise CorpusError("exists already", path=out, remedy="Choose another --out, or move it away")
        _write(folder, corpus, shards, out)
    return out


def _write(folder: Path, corpus: Mapping[str, Any], shards: Sequence[Mapping[str, Any]], out: Path) -> None:
    staging = out.with_name(f".{out.name}.staging")
    shutil.rmtree(staging, ignore_errors=True)
    (staging / "data").mkdir(parents=True)
    filled = [shard for shard in shards if shard["rows"]]
    for index, shard in enumerate(filled):
        rows = Dataset.from_file(str(folder / shard["file"]))
        rows.to_parquet(staging / "data" / f"train-{index:05d}-of-{len(filled):05d}.parquet", batch_size=1)
    report = json.loads((folder / REPORT_FILE).read_text(encoding="utf-8"))
    write_json(staging / CORPUS_FILE, public_metadata(corpus, report))
    os.replace(staging, out)


def public_metadata(corpus: Mapping[str, Any], report: Mapping[str, Any]) -> dict[str, Any]:
    """What may travel with the rows: facts, settings and counts, without the names of source files.

    Args:
        corpus, report: The content of `corpus.json` and `report.json`.
    """
    options = {name: corpus["options"][name] for name in _PUBLIC_OPTIONS if name in corpus.get("options", {})}
    return {
        **{name: corpus[name] for name in ("package_version", "facts") if name in corpus},
        "options": options,
        "counts": report.get("datasets", {}),
    }
