"""A prepared folder as Parquet, the form in which datasets are shared: `load_dataset(path)` opens and streams it."""

import json
import os
import shutil
from pathlib import Path

from datasets import Dataset

from mdjpt_hf.data.storage import CORPUS_FILE, REPORT_FILE
from mdjpt_hf.errors import CorpusError


def write_parquet(folder: str | Path, out: str | Path) -> Path:
    """Write the rows of a prepared folder as Parquet shards, one per subject, a row group per trial.

    One row group per trial lets a reader stream with the memory of a single trial.

    Args:
        folder: A folder made by `mdjpt_hf.data.prepare`.
        out: The folder to make; it appears when it is complete.

    Returns:
        `Path`: `out`, with `data/train-*.parquet` and the corpus's description beside.

    Raises:
        CorpusError: If `folder` is no prepared corpus, or `out` exists.
    """
    folder, out = Path(folder), Path(out)
    try:
        shards = json.loads((folder / CORPUS_FILE).read_text())["shards"]
    except (OSError, ValueError, KeyError) as error:
        raise CorpusError(
            "is not a prepared corpus", path=folder, remedy="Give a folder made by `mdjpt data prepare`"
        ) from error
    if out.exists():
        raise CorpusError("exists already", path=out, remedy="Choose another --out, or move it away")
    staging = out.with_name(f".{out.name}.staging")
    shutil.rmtree(staging, ignore_errors=True)
    (staging / "data").mkdir(parents=True)
    filled = [shard for shard in shards if shard["rows"]]
    for index, shard in enumerate(filled):
        rows = Dataset.from_file(str(folder / shard["file"]))
        rows.to_parquet(staging / "data" / f"train-{index:05d}-of-{len(filled):05d}.parquet", batch_size=1)
    for name in (CORPUS_FILE, REPORT_FILE):
        shutil.copyfile(folder / name, staging / name)
    os.replace(staging, out)
    return out
