"""Folders that torcheeg prepared, as adapted recordings: chunks of one trial are put together again.

torcheeg 1.1 writes a folder for each file it read, `_record_0`, `_record_1`, ...: `info.csv` with a line for every
chunk (`clip_id`, `start_at`, `end_at` in samples, and what its corpus tells, such as `subject_id` and `trial_id`), and
`eeg/`, an LMDB store or a folder of pickles under the same `clip_id`. Names of channels, rate and unit are in neither.
Only folders are read: torcheeg itself need not be installed.
"""

import csv
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from itertools import pairwise
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
from mdjpt_hf.runtime.progress import LOGGER

_CHUNK = ("clip_id", "start_at", "end_at")
_Line = dict[str, str]


def torcheeg_subjects(
    folder: Path,
    ch_names: Sequence[str],
    sampling_rate: float,
    unit: str,
    columns: TrialColumns,
    subject: str,
    session: str,
    trial: str,
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
    if not session:
        _tell_one_session(folder, people, (*_CHUNK, subject, trial))
    if any((record / "eeg" / "data.mdb").is_file() for record in records):
        require("lmdb", "torcheeg", "a folder that torcheeg prepared")
    shared = (list(ch_names), rate, unit)
    return {who: partial(_of_person, own, shared, columns, session, trial) for who, own in people.items()}


def _tell_one_session(folder: Path, people: dict[str, dict[Path, list[_Line]]], known: Collection[str]) -> None:
    """Say that all of a person is taken as one session, where records or columns look like several.

    Which column tells sessions is not guessed: `session_id` is that of SEED-IV and counts trials in MAHNOB-HCI, and
    dates, of SEED, are others for everybody, so that nobody would share a session.
    """
    columns = {who: _telling(list(records.values()), known) for who, records in people.items()}
    several = [who for who, records in people.items() if len(records) > 1 or columns[who]]
    if several:
        names = ", ".join(dict.fromkeys(name for own in columns.values() for name in own))
        LOGGER.warning(
            "%s: no session= is named, so all that there is of a person is one session, also of %s, who %s several "
            "records%s; name one if what was shown depends on it",
            folder,
            f"{several[0]} and {len(several) - 1} more" if len(several) > 1 else several[0],
            "have" if len(several) > 1 else "has",
            f" or values of {names}" if names else "",
        )


def _telling(records: Sequence[Sequence[_Line]], known: Collection[str]) -> list[str]:
    """Columns that have one value in each record of a person and others in other records, or that name sessions."""
    names = [name for name in records[0][0] if name not in known]
    values = {name: [{line.get(name, "") for line in lines} for lines in records] for name in names}
    return [
        name
        for name, found in values.items()
        if len(set().union(*found)) > 1 and ("session" in name.lower() or all(len(one) == 1 for one in found))
    ]


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
    sessions: dict[str, list[tuple[Path, list[_Line], int]]] = {}
    for record, lines in records.items():
        grouped: dict[tuple[str, str], list[_Line]] = {}
        for line in lines:
            if trial and not text_in(line, trial):
                raise CorpusError(
                    f"chunk {line['clip_id']} says nothing in the column {trial}",
                    path=record / "info.csv",
                    value=line[trial],
                    remedy="Name the column that numbers trials with trial=",
                )
            grouped.setdefault((text_in(line, session), text_in(line, trial)), []).append(line)
        begin = _begin(list(grouped.values()), record)
        for (when, _), chunks in grouped.items():
            sessions.setdefault(when, []).append((record, chunks, begin))
    for when, own in sessions.items():
        where = f"{next(iter(records)).parent.name}, session {when or '0'}"
        signals, trials = [], []
        for record, chunks, begin in own:
            signal, problem = _trial(record, chunks, len(ch_names), begin)
            signals.append((np.asarray(signal[selection.indices], np.float64) * microvolts_per(unit)).astype("f4"))
            told = columns.read(chunks[0], str(record / "info.csv"))
            trials.append(AdaptedTrial(0.0, signal.shape[1] / rate, problem=problem, **told))
        recording, placed = laid_apart(signals, trials, selection, rate, (), unit)
        yield AdaptedRecording(where, when, without_marked_gaps(recording), placed)


def _begin(trials: Sequence[Sequence[_Line]], record: Path) -> int:
    """The sample at which trials of a record begin at the latest: as most do, where each counts from its own zero."""
    spans = [[_sample(chunk, end, record) for chunk in chunks for end in ("start_at", "end_at")] for chunks in trials]
    times = sorted((min(span), max(span)) for span in spans)
    if not any(following[0] < one[1] for one, following in pairwise(times)):
        return times[-1][0]  # one after the other, on the clock of the recording
    return Counter(start for start, _ in times).most_common(1)[0][0]


def _sample(chunk: _Line, column: str, record: Path) -> int:
    try:
        return int(float(chunk[column]))
    except (TypeError, ValueError, OverflowError) as error:
        raise CorpusError(
            f"chunk {chunk['clip_id']} has {column} {chunk[column]!r}",
            path=record / "info.csv",
            value=chunk[column],
            remedy="Make the folder again",
        ) from error


def _trial(record: Path, chunks: Sequence[_Line], channels: int, begin: int) -> tuple[np.ndarray, str]:
    """The signal of a trial, and why it cannot be used; its first chunk begins at sample `begin` at the latest."""
    keys = [chunk["clip_id"] for chunk in chunks]
    store = record / "eeg" / "data.mdb"
    if store.is_file():
        values = read_lmdb(store, keys)
    else:
        values = [load_pickle(record / "eeg" / Path(key).name) for key in keys]
    pieces = [_checked(value, chunk, channels, record) for value, chunk in zip(values, chunks, strict=True)]
    starts = [_sample(chunk, "start_at", record) for chunk in chunks]
    signal, problem = joined(starts, pieces, str(record))
    late = "lacks its first chunks: its moments would be taken for earlier ones" if min(starts) > begin else ""
    return signal, problem or late


def _checked(value: Any, chunk: _Line, channels: int, record: Path) -> np.ndarray:
    length = _sample(chunk, "end_at", record) - _sample(chunk, "start_at", record)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu" or value.shape != (channels, length):
        shape = getattr(value, "shape", type(value).__name__)
        raise CorpusError(
            f"chunk {chunk['clip_id']} is {shape}, not ({channels}, {length}): features, or a signal that was changed",
            path=record,
            value=shape,
            remedy="Let torcheeg write the signals themselves, without offline_transform, and name every channel",
        )
    return value
