"""Records of results: plain JSON with everything needed to repeat and to compare them, checked when read."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mdjpt_hf.data.exposure import SAW_LABELS as SAW_LABELS
from mdjpt_hf.data.storage import write_json
from mdjpt_hf.errors import RecordError
from mdjpt_hf.schema import RATINGS

FORMAT = 1

#: What a record holds, and of which kind.
SCHEMA: dict[str, type | tuple[type, ...]] = {
    "format": int,
    "data": str,
    "corpus": str,
    "target": str,
    "score_name": str,
    "subjects": list,
    "classes": list,
    "windows": int,
    "stimuli": int,
    "protocol": dict,
    "choices": dict,
    "protocol_key": str,
    "optimistic": list,
    "splits": dict,
    "seed": int,
    "permutations": dict,
    "null": str,
    "software": dict,
    "machine": dict,
    "datasets": list,
    "encoders": dict,
    "results": dict,
}
#: Of every encoder under `results`.
ENTRY_SCHEMA: dict[str, type | tuple[type, ...]] = {
    "score": dict,
    "null": dict,
    "p_value": float,
    "p_holm": float,
    "per_subject": list,
    "metrics": dict,
    "confusion": list,
    "reliability": dict,
    "abstention": dict,
    "chosen": list,
    "temperature": list,
}
#: The same where ratings are judged; `answers` holds `reported` and `found` ratings of some windows.
RATING_SCHEMA: dict[str, type | tuple[type, ...]] = {
    name: kind
    for name, kind in {**ENTRY_SCHEMA, "answers": dict}.items()
    if name not in ("confusion", "reliability", "abstention", "temperature")
}
#: Of an encoder where it was asked for: `electrodes`, and the `probability` and `accuracy` lost without each.
IMPORTANCE_SCHEMA: dict[str, type | tuple[type, ...]] = {"electrodes": list, "probability": list, "accuracy": list}


def plain(value: Any) -> Any:
    """The same in JSON's own types; a number that is not finite becomes None."""
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value


def check_record(record: Any, path: Path | str = "") -> dict[str, Any]:
    """The record, if it is one.

    Raises:
        RecordError: With every field that is missing or of another kind.
    """
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise RecordError(
            f"is no record of format {FORMAT}", path=path, remedy="Give a JSON file written by `mdjpt evaluate`"
        )
    problems = _problems(record, SCHEMA, "")
    if not problems:
        for title, row in record["results"].items():
            for name, entry in row.items():
                schema = RATING_SCHEMA if record["target"] in RATINGS else ENTRY_SCHEMA
                found = _entry_problems(entry, schema, f"results[{title}][{name}].")
                if not found and len(entry["per_subject"]) != len(record["subjects"]):
                    found = [f"results[{title}][{name}].per_subject"]  # whose would they be?
                problems += found
    if problems:
        raise RecordError(
            f"lacks or garbles {', '.join(problems)}", path=path, value=problems, remedy="Run the evaluation again"
        )
    return record


def _entry_problems(entry: Any, schema: Mapping[str, Any], where: str) -> list[str]:
    problems = _problems(entry, schema, where)
    if problems or "importance" not in entry:
        return problems
    found, where = entry["importance"], f"{where}importance."
    problems = _problems(found, IMPORTANCE_SCHEMA, where)
    if not problems:
        problems = [where + name for name, values in found.items() if len(values) != len(found["electrodes"])]
    return problems


def _problems(values: Any, schema: Mapping[str, Any], where: str) -> list[str]:
    if not isinstance(values, dict):
        return [where.rstrip(".")]
    return [where + name for name, kind in schema.items() if not isinstance(values.get(name), kind)]


def write_record(record: dict[str, Any], path: Path) -> None:
    """Check and write a record."""
    write_json(path, check_record(plain(record), path))


def read_records(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Read records from files and from folders, where files of other kinds are passed over.

    Raises:
        RecordError: If a file is no record, or there is none at all.
    """
    records = []
    for path in map(Path, paths):
        files = sorted(path.glob("*.json")) if path.is_dir() else [path]
        for file in files:
            content = _read(file)
            if path.is_dir() and not (isinstance(content, dict) and "protocol_key" in content):
                continue  # splits lie in the same folder
            records.append(check_record(content, file))
    if not records:
        raise RecordError("no record was found", value=[str(path) for path in paths], remedy="Run `mdjpt evaluate`")
    return records


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecordError(f"cannot be read: {error}", path=path, remedy="Run the evaluation again") from error


def comparability(record: Mapping[str, Any]) -> tuple[Any, ...]:
    """Records may share a row of a table when this is equal: protocol, splits, data, classes and windows."""
    told = record["protocol"]
    windows = (told.get("window_seconds"), record["windows"], told.get("montage", "positions"))
    return (record["protocol_key"], record["splits"]["hash"], record["corpus"], tuple(record["classes"]), *windows)
