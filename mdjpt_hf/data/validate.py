"""Checking a prepared folder again: its files, every row, and what the rows say about each other."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets import load_from_disk

from mdjpt_hf.data.parts import part_in_words
from mdjpt_hf.data.storage import CORPUS_FILE, as_prepared, file_hash
from mdjpt_hf.errors import MDJPTError
from mdjpt_hf.runtime.progress import LOGGER
from mdjpt_hf.schema import EMOTIONS, RATINGS, TRIAL_FEATURES, VALENCE_CLASSES, Trial, trial_signal

#: Problems of one kind named one by one; more of the same are counted.
NAMED = 5


@dataclass
class Validation:
    """What was found in a prepared folder.

    Attributes:
        folder: The folder.
        trials: Rows that were looked at.
        problems: One line each; empty where everything is as it should be.
    """

    folder: Path
    trials: int = 0
    problems: list[str] = field(default_factory=list)


def validate(folder: str | Path) -> Validation:
    """Check hashes, schema, signals, amplitudes, labels, ratings and identities of a prepared folder.

    Raises:
        CorpusError: If it is no prepared folder at all.
    """
    folder = Path(folder)
    with as_prepared(folder):
        corpus = json.loads((folder / CORPUS_FILE).read_text(encoding="utf-8"))
        shards, facts = corpus["shards"], {fact["name"]: fact for fact in corpus["facts"]}
    if line := part_in_words(folder):
        LOGGER.warning("%s", line)
    result = Validation(folder, problems=list(_shard_problems(folder, shards)))
    if not result.problems:  # rows of damaged files say nothing
        result.problems = _row_problems(folder, facts, sum(shard["rows"] for shard in shards), result)
    return result


def _shard_problems(folder: Path, shards: list[dict[str, Any]]) -> Iterator[str]:
    for shard in shards:
        path = folder / shard["file"]
        if not path.exists():
            yield f"{shard['file']}: missing (subject or unit {shard['unit']})"
        elif file_hash(path) != shard["sha256"]:
            yield f"{shard['file']}: its content has changed since it was written (subject or unit {shard['unit']})"


def _row_problems(folder: Path, facts: dict[str, Any], rows: int, result: Validation) -> list[str]:
    dataset = load_from_disk(str(folder))
    if dataset.features != TRIAL_FEATURES:
        return ["the columns are not those of mdjpt_hf.schema.TRIAL_FEATURES"]
    found: dict[str, list[str]] = {}
    if len(dataset) != rows:
        found["rows"] = [f"{len(dataset)} rows, but {rows} were written"]
    identities: Counter[tuple] = Counter()
    for row in dataset.with_format("numpy"):
        result.trials += 1
        identities[tuple(row[name] for name in ("dataset", "subject", "session", "stimulus", "trial"))] += 1
        for kind, problem in _problems_of(row, facts):
            found.setdefault(kind, []).append(problem)
    repeated = [f"{identity} stands {count} times" for identity, count in identities.items() if count > 1]
    return [line for problems in [*found.values(), repeated] for line in _shortened(problems)]


def _problems_of(row: dict[str, Any], facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Kind and text of everything wrong with one row."""
    where = f"{row['dataset']}, subject {row['subject']}, session {row['session']}, stimulus {row['stimulus']}"
    if len(row["signal"]) != len(row["ch_names"]) * row["n_samples"]:
        yield "shape", f"{where}: {len(row['signal'])} numbers are not {len(row['ch_names'])} x {row['n_samples']}"
        return
    try:
        _as_trial(row).to_row()
    except MDJPTError as error:
        yield "trial", str(error)
    if row["dataset"] not in facts:
        yield "dataset", f"{where}: dataset {row['dataset']!r} is not described in {CORPUS_FILE}"
        return
    names = facts[row["dataset"]]["label_names"]
    label = int(row["label"])
    if label >= len(names) or (label >= 0 and names[label] != row["label_name"]):
        yield "label", f"{where}: label {label} {str(row['label_name'])!r} is not one of {list(names)}"


def _as_trial(row: dict[str, Any]) -> Trial:
    emotion, valence = int(row["emotion"]), int(row["valence_class"])
    ratings: dict[str, Any] = {name: float(row[name]) for name in RATINGS}
    return Trial(
        dataset=str(row["dataset"]),
        subject=str(row["subject"]),
        session=int(row["session"]),
        trial=int(row["trial"]),
        stimulus=str(row["stimulus"]),
        signal=trial_signal(row),
        sampling_rate=float(row["sampling_rate"]),
        ch_names=[str(name) for name in row["ch_names"]],
        label=int(row["label"]),
        label_name=str(row["label_name"]),
        emotion=EMOTIONS[emotion] if emotion >= 0 else None,
        valence_class=VALENCE_CLASSES[valence] if valence >= 0 else None,
        preprocessing=str(row["preprocessing"]),
        **ratings,
    )


def _shortened(problems: list[str]) -> list[str]:
    more = len(problems) - NAMED
    return problems if more <= 0 else [*problems[:NAMED], f"... and {more} more of this kind"]
