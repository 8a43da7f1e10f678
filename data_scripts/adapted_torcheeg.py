"""Folders that torcheeg prepared, as adapted recordings: chunks of one trial are put together again.

torcheeg 1.1 writes a folder for each file it read, `_record_0`, `_record_1`, ...: `info.csv` with a line for every
chunk (`clip_id`, `start_at`, `end_at` in samples, and what its corpus tells, such as `subject_id` and `trial_id`), and
`eeg/`, an LMDB store or a folder of pickles under the same `clip_id`. Names of channels, rate and unit are in neither.
Only folders are read: torcheeg itself need not be installed.
"""

import csv
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mdjpt_hf.data_scripts.adapted import AdaptedRecording, AdaptedTrial, Reader, joined, laid_apart
from mdjpt_hf.data_scripts.adapted_columns import TrialColumns, text_in
from mdjpt_hf.data_scripts.lmdb_store import read_lmdb
from mdjpt_hf.data_scripts.pickles import load_pickle
from mdjpt_hf.errors import CorpusError, require
from mdjpt_hf.modeling.filtering_mdjpt import check_rate
from mdjpt_hf.modeling.montage_mdjpt import select_channels
from mdjpt_hf.modeling.raw_mdjpt import without_marked_gaps
from mdjpt_hf.modeling.signal_mdjpt import microvolts_per

_CHUNK = ("clip_id", "start_at", "end_at")
_Line = dict[str, str]


def torcheeg_subjects(
    folder: Path,
    ch_names: Sequence[str],
    sampling_rate: float,
    unit: str,
    columns: TrialColumns,
    subject: str = "subject_id",
    session: str = "",
    trial: str = "trial_id",
) -> dict[str, Reader]:
    """Readers of the subjects in a folder that torcheeg prepared.

    Args:
        folder: The `io_path` it was given.
        ch_names: Names of the channels in the order of its rows. sampling_rate: Hz. unit: Of the numbers.
        columns, subject, session, trial: Columns of `info.csv`.

    Raises:
        CorpusError: If it is no such folder, or a column is not there.
        ConfigurationError: If it holds LMDB stores and no library that reads them is installed.
        UnitError: If the unit is unknown.
    """
    microvolts_per(unit)
    rate = float(check_rate(sampling_rate))
    records = sorted(folder.glob("_record_*"), key=lambda path: (len(path.name), path.name))
    if not records:
        raise CorpusError(
            "holds no folders _record_0, _record_1, ...", path=folder, remedy="Give the io_path of a torcheeg data set"
        )
    people: dict[str, dict[Path, list[_Line]]] = {}
    for record in records:
        for line in _lines(record / "info.csv", columns, subject, session, trial):
            people.setdefault(text_in(line, subject), {}).setdefault(record, []).append(line)
    if any((record / "eeg" / "data.mdb").is_file() for record in records):
        require("lmdb", "torcheeg", "a folder that torcheeg prepared")
    shared = (list(ch_names), rate, unit)
    return {who: partial(_of_person, own, shared, columns, session, trial) for who, own in people.items()}


def _lines(table: Path, columns: TrialColumns, *more: str) -> list[_Line]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            lines = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"cannot be read ({error})", path=table, remedy="Make the folder again") from error
    if lines:
        columns.check(lines[0], str(table), *_CHUNK, *more)
    return lines


def _of_person(
    records: dict[Path, list[_Line]],
    shared: tuple[list[str], float, str],
    columns: TrialColumns,
    session: str,
    trial: str,
) -> Iterator[AdaptedRecording]:
    ch_names, rate, unit = shared
    selection = select_channels(ch_names)
    sessions: dict[str, list[tuple[Path, list[_Line]]]] = {}
    for record, lines in records.items():
        grouped: dict[tuple[str, str], list[_Line]] = {}
        for line in lines:
            grouped.setdefault((text_in(line, session), text_in(line, trial)), []).append(line)
        for (when, _), chunks in grouped.items():
            sessions.setdefault(when, []).append((record, chunks))
    for when, own in sessions.items():
        where = f"{next(iter(records)).parent.name}, session {when or '0'}"
        signals, trials = [], []
        for record, chunks in own:
            signal, problem = _trial(record, chunks, len(ch_names))
            signals.append((np.asarray(signal[selection.indices], np.float64) * microvolts_per(unit)).astype("f4"))
            told = columns.read(chunks[0], str(record / "info.csv"))
            trials.append(AdaptedTrial(0.0, signal.shape[1] / rate, problem=problem, **told))
        recording, placed = laid_apart(signals, trials, selection, rate, (), unit)
        yield AdaptedRecording(where, when, without_marked_gaps(recording), placed)


def _trial(record: Path, chunks: Sequence[_Line], channels: int) -> tuple[np.ndarray, str]:
    """The signal of a trial, and why it cannot be used."""
    keys = [chunk["clip_id"] for chunk in chunks]
    store = record / "eeg" / "data.mdb"
    if store.is_file():
        values = read_lmdb(store, keys)
    else:
        values = [load_pickle(record / "eeg" / Path(key).name) for key in keys]
    pieces = [_checked(value, chunk, channels, record) for value, chunk in zip(values, chunks, strict=True)]
    return joined([int(float(chunk["start_at"])) for chunk in chunks], pieces, str(record))


def _checked(value: Any, chunk: _Line, channels: int, record: Path) -> np.ndarray:
    length = int(float(chunk["end_at"])) - int(float(chunk["start_at"]))
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu" or value.shape != (channels, length):
        shape = getattr(value, "shape", type(value).__name__)
        raise CorpusError(
            f"chunk {chunk['clip_id']} is {shape}, not ({channels}, {length}): features, or a signal that was changed",
            path=record,
            value=shape,
            remedy="Let torcheeg write the signals themselves, without offline_transform, and name every channel",
        )
    return value
