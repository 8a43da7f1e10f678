"""Writing: trials become Arrow shards in the layout that `datasets.load_from_disk` opens.

Each unit of work (usually a subject) is one shard, written to a temporary name and renamed, so that a shard that
exists is complete.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import DatasetInfo

from mdjpt_hf.data_scripts.showings import OPTION
from mdjpt_hf.errors import CorpusError
from mdjpt_hf.runtime.writing import whole_file
from mdjpt_hf.schema import TRIAL_FEATURES, Trial, arrow_schema

#: What stands beside the rows: facts, options, shards with their hashes, and the scale of every recording.
CORPUS_FILE = "corpus.json"
REPORT_FILE = "report.json"
#: Scales of recordings as a dataset's info has them, whose rows may have been changed since.
STATED_SCALES = "stated_recordings"

#: Where corpora were put together: corpus -> its own options.
OPTIONS_OF = "options_of"

#: Settings that say how rows were made. Names and sizes of source files, which may name people, stay here.
_PUBLIC_OPTIONS = (
    "preprocessing",
    "product",
    "label_source",
    "generator",
    "seed",
    "difficulty",
    "corpora",
    "changes",
    OPTION,
)


def write_shard(path: Path, trials: Iterable[Trial]) -> list[dict[str, Any]]:
    """Validate trials and write them as one Arrow stream, a record batch per trial.

    Returns:
        `list[dict]`: The rows without their signal, in order.

    Raises:
        SchemaError, UnitError: From [`Trial.to_row`]; nothing is left at `path` then.
    """
    temporary = path.with_suffix(".partial")
    rows = []
    try:
        with (
            pa.OSFile(str(temporary), "wb") as sink,
            pa.ipc.new_stream(sink, arrow_schema()) as writer,
        ):
            for trial in trials:
                row = trial.to_row()
                writer.write_batch(_record_batch(row))
                rows.append({name: value for name, value in row.items() if name != "signal"})
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return rows


def _record_batch(row: dict[str, Any]) -> pa.RecordBatch:
    schema = arrow_schema()
    signal = pa.LargeListArray.from_arrays(np.array([0, len(row["signal"])]), pa.array(row["signal"]))
    columns = [signal if field.name == "signal" else pa.array([row[field.name]], type=field.type) for field in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def write_dataset_files(folder: Path, shards: Sequence[Mapping[str, Any]], metadata: Mapping[str, Any]) -> None:
    """Add the two small files that make a folder of shards a dataset for `load_from_disk`.

    Args:
        shards: `file` and `sha256` of each, in order; the dataset's fingerprint follows from the hashes.
        metadata: Of [`public_metadata`]; it goes into the dataset's info, and so with it wherever it is saved.
    """
    facts = metadata.get("facts", [])
    fingerprint = hashlib.sha256("".join(shard["sha256"] for shard in shards).encode()).hexdigest()
    DatasetInfo(
        description=json.dumps(metadata, ensure_ascii=False),
        citation="\n\n".join(dict.fromkeys(entry["citation"] for entry in facts if entry.get("citation"))),
        license="; ".join(dict.fromkeys(entry["licence"] for entry in facts if entry.get("licence"))),
        features=TRIAL_FEATURES,
    ).write_to_directory(str(folder))
    state: dict[str, Any] = {
        "_data_files": [{"filename": shard["file"]} for shard in shards],
        "_fingerprint": fingerprint[:16],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }
    write_json(folder / "state.json", state)


def public_metadata(corpus: Mapping[str, Any], report: Mapping[str, Any]) -> dict[str, Any]:
    """What may travel with the rows: facts, settings, scales and counts, without the names of source files.

    Args:
        corpus, report: The content of `corpus.json` and `report.json`.
    """
    options = {name: corpus["options"][name] for name in _PUBLIC_OPTIONS if name in corpus.get("options", {})}
    return {
        **{name: corpus[name] for name in ("package_version", "facts") if name in corpus},
        "options": options,
        "recordings": corpus.get("recordings", []),
        "counts": report.get("datasets", {}),
    }


def info_metadata(description: str) -> dict[str, Any]:
    """What [`write_dataset_files`] put into a dataset's info, given its `description`; empty if there is nothing.

    `datasets` 5.2 puts the descriptions of datasets that are concatenated one after the other: they are read as one.
    """
    parts, rest, decoder = [], description.strip(), json.JSONDecoder()
    while rest:
        try:
            found, end = decoder.raw_decode(rest)
        except ValueError:
            return {}
        parts.append(found)
        rest = rest[end:].strip()
    if not parts or not all(isinstance(part, dict) for part in parts):
        return {}
    return parts[0] if len(parts) == 1 else _joined(parts)


def _joined(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Metadata of several datasets as that of one: what they agree on, and what one of them alone says."""
    facts: dict[str, dict[str, Any]] = {}
    for entry in (entry for part in parts for entry in part.get("facts", [])):
        facts[entry["name"]] = _one_corpus(facts.get(entry["name"], entry), entry)
    return {
        **_agreed(parts),
        "facts": list(facts.values()),
        "options": _agreed([part.get("options", {}) for part in parts]),
        OPTIONS_OF: _by_corpus(parts),
        "recordings": [entry for part in parts for entry in part.get("recordings", [])],
        "counts": _agreed([part.get("counts", {}) for part in parts]),
    }


def corpus_options(metadata: Mapping[str, Any], corpus: str) -> dict[str, Any]:
    """Options on record of one corpus, of the several that may stand in a folder."""
    return metadata.get(OPTIONS_OF, {}).get(corpus, metadata.get("options", {}))


def _by_corpus(parts: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Options of each corpus; where parts of one differ, of the one whose ids of stimuli may need to be read anew."""
    found: dict[str, dict[str, Any]] = {}
    for part in parts:
        for name in (entry["name"] for entry in part.get("facts", [])):
            own = corpus_options(part, name)
            if name not in found or OPTION in found[name]:
                found[name] = own
    return found


def _one_corpus(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Facts of two parts of a corpus as those of one: where they differ nothing is granted, and rows name classes."""
    careful = {"label_names": [], "redistributable": False, "licence": f"{one['licence']}; {other['licence']}"}
    return one | careful | _agreed([one, other])


def _agreed(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Entries of mappings without those that differ; what is empty differs from nothing."""
    said: dict[str, list[Any]] = {}
    for name, value in ((name, value) for part in parts for name, value in part.items()):
        said.setdefault(name, []).append(value)
    told = {name: [value for value in values if value not in ("", None)] or values for name, values in said.items()}
    return {name: values[0] for name, values in told.items() if all(value == values[0] for value in values)}


def folder_metadata(folder: Path) -> dict[str, Any]:
    """The content of `corpus.json`; of a dataset that was saved again, what went with it in its info."""
    path = folder / CORPUS_FILE
    if path.is_file():
        return json.loads(path.read_text(encoding="utf-8"))
    info = folder / "dataset_info.json"
    if not info.is_file():
        return {}
    found = info_metadata(json.loads(info.read_text(encoding="utf-8")).get("description", ""))
    return {**found, "recordings": [], STATED_SCALES: found.get("recordings", [])} if found else {}


@contextmanager
def as_prepared(folder: Path) -> Iterator[None]:
    """What is read within is read of a prepared folder.

    Raises:
        CorpusError: If it cannot be read, or lacks what is looked for: the folder is not a prepared corpus.
    """
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorpusError(
            "is not a prepared corpus", path=folder, remedy="Give a folder made by `mdjpt data prepare`"
        ) from error


def prepared_records(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What `corpus.json` and `report.json` of a prepared folder say."""
    corpus, report = (json.loads((folder / name).read_text(encoding="utf-8")) for name in (CORPUS_FILE, REPORT_FILE))
    return corpus, report


def write_json(path: Path, content: Any) -> None:
    """Write JSON so that the file is either the old one or the whole new one."""
    with whole_file(path) as partial:
        partial.write_text(json.dumps(content, indent=1, allow_nan=False), encoding="utf-8")


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
