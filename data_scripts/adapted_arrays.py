"""Arrays and `mne.Epochs` as adapted recordings: what stands in one array was recorded in one go, and no more."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from mdjpt_hf.data_scripts.adapted import AdaptedRecording, AdaptedTrial, Reader, laid_apart
from mdjpt_hf.data_scripts.adapted_columns import NO_COLUMN, TrialColumns, as_text
from mdjpt_hf.errors import CorpusError, located
from mdjpt_hf.modeling.errors_mdjpt import MDJPTError
from mdjpt_hf.modeling.filtering_mdjpt import check_rate
from mdjpt_hf.modeling.montage_mdjpt import select_channels
from mdjpt_hf.modeling.raw_mdjpt import event_rate, read_raw, stated_bads, without_marked_gaps
from mdjpt_hf.modeling.signal_mdjpt import microvolts_per

#: In the place of a column: the names of events.
EVENTS = "event"


def array_subjects(
    signals: Sequence[np.ndarray],
    ch_names: Sequence[str],
    sampling_rate: float,
    unit: str,
    subjects: Sequence[str],
    sessions: Sequence[str],
    trials: Sequence[Mapping[str, Any]],
    bads: Sequence[str] = (),
) -> dict[str, Reader]:
    """Readers of the subjects whose trials are arrays `(channels, samples)`.

    Args:
        signals, subjects, sessions, trials: One entry a trial; `trials` are fields of `AdaptedTrial`.
        ch_names, bads: Names as recorded. sampling_rate: Hz. unit: Of the numbers.

    Raises:
        UnitError: If the unit is unknown.
        CorpusError: If an array has another shape.
    """
    microvolts_per(unit)
    rate = float(check_rate(sampling_rate))
    for number, signal in enumerate(signals):
        kind = np.asarray(signal).dtype.kind
        if kind not in "fiu":
            raise CorpusError(
                f"trial {number} holds no real numbers but {np.asarray(signal).dtype}",
                value=kind,
                remedy="Give signals, as floating point or whole numbers",
            )
        if np.ndim(signal) != 2 or len(signal) != len(ch_names) or not np.size(signal):
            raise CorpusError(
                f"trial {number} has shape {np.shape(signal)}; ch_names are {len(ch_names)}",
                value=np.shape(signal),
                remedy="Give arrays (channels, samples), and a name for each channel",
            )
    shared = (list(ch_names), rate, unit, list(bads))
    groups: dict[str, dict[str, list[int]]] = {}
    for number, (subject, session) in enumerate(zip(subjects, sessions, strict=True)):
        groups.setdefault(subject, {}).setdefault(session, []).append(number)
    return {
        subject: partial(
            _of_arrays,
            {session: [(signals[k], trials[k]) for k in numbers] for session, numbers in own.items()},
            shared,
        )
        for subject, own in groups.items()
    }


def _of_arrays(
    sessions: Mapping[str, list[tuple[np.ndarray, Mapping[str, Any]]]], shared: tuple[list[str], float, str, list[str]]
) -> Iterator[AdaptedRecording]:
    ch_names, rate, unit, bads = shared
    selection = select_channels(ch_names)
    marked = stated_bads(bads, ch_names, selection)
    for session, trials in sessions.items():
        kept = [_in_microvolts(signal[selection.indices], unit) for signal, _ in trials]
        marks = [
            AdaptedTrial(0.0, signal.shape[1] / rate, **trial) for signal, (_, trial) in zip(kept, trials, strict=True)
        ]
        recording, placed = laid_apart(kept, marks, selection, rate, marked, unit)
        yield AdaptedRecording(f"session {session or '0'}", session, without_marked_gaps(recording), placed)


def _in_microvolts(signal: np.ndarray, unit: str) -> np.ndarray:
    """As files are read: scaled in float64, kept in float32."""
    return (np.asarray(signal, np.float64) * microvolts_per(unit)).astype(np.float32)


def epochs_subjects(
    people: Mapping[str, Sequence[Any]], columns: TrialColumns, subject: str, session: str, unit: str | None
) -> dict[str, Reader]:
    """Readers of the subjects in `mne.Epochs`.

    Args:
        people: Id -> `mne.Epochs` of this person, a session each; empty ids where a column says who it is. Where no
            column says of which session an epoch is, each of the sets that hold epochs of a person is one.
        columns: Of their `metadata`; `EVENTS` is the name of the event.
        subject, session: Columns of `metadata` that say who and when, or nothing.
        unit: What the numbers really are, where they are not V as MNE promises.

    Raises:
        CorpusError: If they are no epochs, a column is not there, or nothing says whose they are.
    """
    groups: dict[str, list[tuple[str, Any, np.ndarray]]] = {}
    for person, sets in people.items():
        for epochs in sets:
            rows = _rows(epochs, columns, subject, session)
            told = [as_text(row.get(subject)) if subject else person for row in rows]
            before = {who: str(len(groups.get(who, ()))) for who in told}  # sets that were there, one a session
            when = [as_text(row.get(session)) if session else before[who] for row, who in zip(rows, told, strict=True)]
            for who, which in dict.fromkeys(zip(told, when, strict=True)):
                chosen = np.flatnonzero([(who, which) == pair for pair in zip(told, when, strict=True)])
                groups.setdefault(who, []).append((which, epochs, chosen))
    return {person: partial(_of_epochs, parts, columns, unit) for person, parts in groups.items()}


def _rows(epochs: Any, columns: TrialColumns, *more: str) -> list[dict[str, Any]]:
    """What is known of every epoch, by column."""
    if not hasattr(epochs, "events") or not hasattr(epochs, "event_id"):
        raise CorpusError(
            f"{type(epochs).__name__} is not mne.Epochs",
            value=type(epochs).__name__,
            remedy="Give mne.Epochs, a list of them (one a subject), or a dict of subjects",
        )
    if hasattr(epochs, "drop_bad"):
        epochs.drop_bad(verbose="error")  # those not looked at yet would be gone when they are read
    names = {code: name for name, code in reversed(epochs.event_id.items())}
    table = [{}] * len(epochs) if epochs.metadata is None else epochs.metadata.to_dict("records")
    rows = [{EVENTS: names.get(code, ""), **row} for row, code in zip(table, epochs.events[:, 2], strict=True)]
    there = list(rows[0]) if rows else [EVENTS]
    columns.check(there, "metadata of the epochs", *(name or NO_COLUMN for name in more))
    return rows


def _of_epochs(
    parts: Sequence[tuple[str, Any, np.ndarray]], columns: TrialColumns, unit: str | None
) -> Iterator[AdaptedRecording]:
    for number, (session, epochs, chosen) in enumerate(parts):
        where = f"epochs {number}, session {session or '0'}"
        _check_epochs_apart(epochs, chosen, where)
        rows = _rows(epochs, columns)
        try:
            recording = read_raw(epochs[chosen], unit)
        except MDJPTError as error:
            raise located(error, where) from error
        pieces = [recording.signal[:, stretch.start : stretch.stop] for stretch in recording.stretches]
        before = max(0.0, -epochs.tmin) if epochs.tmax > 0 else 0.0
        length = pieces[0].shape[1] / recording.sampling_rate - before
        notes = [f"the {before:g} s of each epoch before its event are no part of its trial"] if before else []
        trials = [AdaptedTrial(before, length, **columns.read(rows[k], where)) for k in chosen.tolist()]
        apart, placed = laid_apart(
            pieces,
            trials,
            recording.selection,
            recording.sampling_rate,
            recording.bads,
            recording.unit,
            recording.notes,
        )
        yield AdaptedRecording(where, session, apart, placed, notes)


def _check_epochs_apart(epochs: Any, chosen: np.ndarray, where: str) -> None:
    """Refuse epochs that share samples, as far as their events tell: a mere numbering of epochs tells no times."""
    events = np.sort(epochs.events[chosen, 0])
    begin = max(0.0, epochs.tmin) if epochs.tmax > 0 else epochs.tmin
    samples = round((epochs.tmax - begin) * event_rate(epochs))
    steps = np.diff(events)
    if not len(steps) or (steps == 1).all() or steps.min() >= samples:
        return
    first, second = next(pair for pair in pairwise(events.tolist()) if pair[1] - pair[0] < samples)
    raise CorpusError(
        f"epochs overlap: events at samples {first} and {second}, each with {samples} samples from there",
        path=where,
        value=(first, second),
        remedy="Cut epochs that share no samples: windows are cut from whole trials later",
    )
