"""Data sets of braindecode as adapted recordings: windows of one trial are put together again.

What braindecode 1.8 does, found by running it: signals stay in V, as MNE has them, unless a preprocessor scaled them.
`i_start_in_trial` and `i_stop_in_trial` count samples of the recording, not of the trial: from its first sample in an
`EEGWindowsDataset`, and with MNE's `first_samp` added in a `WindowsDataset`, whose windows are `mne.Epochs`.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from mdjpt_hf.data_scripts.adapted import AdaptedRecording, AdaptedTrial, Reader, joined, laid_apart
from mdjpt_hf.data_scripts.adapted_columns import TrialColumns, as_text, text_in
from mdjpt_hf.errors import CorpusError, located
from mdjpt_hf.modeling.errors_mdjpt import MDJPTError
from mdjpt_hf.modeling.raw_mdjpt import read_raw
from mdjpt_hf.modeling.timeline_mdjpt import read_timeline

#: In the place of a column: the class that braindecode predicts, by the name that its windows were made with.
SESSION = "session"  # a column that is looked for, and need not be there
TARGET = "target"
#: After these no unit is left: each window, or each moment, has a scale of its own.
_UNITLESS = ("standardize", "normalize", "zscore")


def braindecode_subjects(
    dataset: Any, columns: TrialColumns, subject: str, session: str, unit: str | None
) -> dict[str, Reader]:
    """Readers of the subjects in a data set of braindecode.

    Args:
        dataset: A `BaseConcatDataset`, or one of the data sets in it.
        columns: Of `description` and of the windows' `metadata`.
        subject, session: Columns of `description`. Where nothing says of which session a person's recordings are, each
            is one.
        unit: What the numbers really are, where they are not V any more.

    Raises:
        CorpusError: If it holds no recordings, its signals were standardised, a column is not there, nothing says
            whose a recording is, or of which session it is where others of the person say so.
    """
    parts: dict[str, list[tuple[str, Any]]] = {}
    for number, part in enumerate(_parts(dataset)):
        where = f"recording {number}"
        description = _described(part, where)
        columns.check(_columns_of(part, description), where, subject, *([session] if session != SESSION else []))
        _check_scale(part, where)
        who = text_in(description, subject)
        if not who:
            raise CorpusError(
                f"{subject!r} says nothing of whose it is",
                path=where,
                value=description.get(subject),
                remedy="Fill it with set_description, or name another column with subject=",
            )
        parts.setdefault(who, []).append((where, part))
    return {who: partial(_of_parts, own, _sessions(own, session), columns, unit) for who, own in parts.items()}


def _sessions(parts: Sequence[tuple[str, Any]], column: str) -> list[str]:
    """Labels of the sessions that a person's recordings are of."""
    said = [text_in(_described(part, where), column) for where, part in parts]
    if not any(said) and len(said) > 1:
        return [str(number) for number in range(len(said))]
    if any(said) and not all(said):
        where = parts[said.index("")][0]
        raise CorpusError(
            f"{column!r} says nothing of which session it is, as it does for others of this person",
            path=where,
            value=said,
            remedy="Fill it with set_description for all of them",
        )
    return said


def _parts(dataset: Any) -> Iterator[Any]:
    """The recordings in a data set; one that was made lazily holds data sets of them."""
    if not hasattr(dataset, "datasets"):
        yield dataset
        return
    for part in dataset.datasets:
        yield from _parts(part)


def _described(part: Any, where: str) -> dict[str, Any]:
    if not hasattr(part, "description") or not (hasattr(part, "raw") or hasattr(part, "windows")):
        raise CorpusError(
            f"{type(part).__name__} is no recording of braindecode",
            path=where,
            value=type(part).__name__,
            remedy="Give a BaseConcatDataset of RawDataset, EEGWindowsDataset or WindowsDataset",
        )
    return {} if part.description is None else dict(part.description)


def _columns_of(part: Any, description: Mapping[str, Any]) -> list[str]:
    metadata = getattr(part, "metadata", None)
    return [*description, *([TARGET] if metadata is None else metadata.columns)]


def _check_scale(part: Any, where: str) -> None:
    """Refuse what has no unit any more."""
    steps = [str(step.get("fn", "")) for step in getattr(part, "raw_preproc_kwargs", [])]
    steps += [str(step.get("fn", "")) for step in getattr(part, "window_preproc_kwargs", [])]
    if lost := [step for step in steps if any(word in step.lower() for word in _UNITLESS)]:
        raise CorpusError(
            f"its signals have no unit any more: {', '.join(lost)} was applied",
            path=where,
            value=lost,
            remedy="Give the data set before that step: signals are scaled here when they are used",
        )


def _of_parts(
    parts: Sequence[tuple[str, Any]], sessions: Sequence[str], columns: TrialColumns, unit: str | None
) -> Iterator[AdaptedRecording]:
    for (where, part), when in zip(parts, sessions, strict=True):
        description = _described(part, where)
        notes = _notes(part)
        try:
            if hasattr(part, "windows"):
                recording, trials = _of_epochs(part, where, description, columns, unit)
            else:
                recording, trials = _of_raw(part, where, description, columns, unit)
        except MDJPTError as error:
            raise located(error, where) if error.path is None else error from error
        yield AdaptedRecording(where, when, recording, trials, notes)


def _of_raw(part: Any, where: str, description: dict[str, Any], columns: TrialColumns, unit: str | None):
    """A recording that is there as a whole: each trial lies where its windows do, or is all of it."""
    recording, clock = read_raw(part.raw, unit), read_timeline(part.raw)
    if not hasattr(part, "metadata"):
        target = getattr(part, "target_name", None)
        row = {TARGET: description.get(target) if isinstance(target, str) else "", **description}
        return recording, [AdaptedTrial(0.0, None, **columns.read(row, where))]
    trials = []
    for rows in _trials(part):
        starts, stops = _samples(rows)
        if max(stops) > part.raw.n_times:
            found = f"a window ends at sample {max(stops)} of a recording of {part.raw.n_times}"
            raise _resampled(found, max(stops), where)
        onset, end = clock.time_of(min(starts)), clock.time_of(max(stops) - 1) + 1 / clock.rate
        problem = _gaps(rows, starts, stops)
        told = columns.read({**description, **_told(part, rows[0])}, where)
        trials.append(AdaptedTrial(onset, end - onset, problem=problem, **told))
    return recording, trials


def _of_epochs(part: Any, where: str, description: dict[str, Any], columns: TrialColumns, unit: str | None):
    """Windows without their recording: trials are put together from them."""
    part.windows.drop_bad(verbose="error")  # those that MNE would drop as it reads them
    recording = read_raw(part.windows, unit)
    windows = [recording.signal[:, stretch.start : stretch.stop] for stretch in recording.stretches]
    signals, trials, position = [], [], 0
    for rows in _trials(part):
        starts, stops = _samples(rows)
        _check_length(starts, stops, windows[position], where)
        signal, problem = joined(starts, windows[position : position + len(rows)], where)
        position += len(rows)
        told = columns.read({**description, **_told(part, rows[0])}, where)
        problem = problem or _gaps(rows, starts, stops)
        trials.append(AdaptedTrial(0.0, signal.shape[1] / recording.sampling_rate, problem=problem, **told))
        signals.append(signal)
    return laid_apart(
        signals, trials, recording.selection, recording.sampling_rate, recording.bads, recording.unit, recording.notes
    )


def _check_length(starts: Sequence[int], stops: Sequence[int], window: np.ndarray, where: str) -> None:
    if window.shape[1] != stops[0] - starts[0]:
        found = f"windows of {window.shape[1]} samples say that they begin at {starts[0]} and end at {stops[0]}"
        raise _resampled(found, (starts[0], stops[0]), where)


def _resampled(found: str, value: Any, where: str) -> CorpusError:
    """Of windows that were resampled after they were cut: their places count samples of the rate before."""
    return CorpusError(
        found,
        path=where,
        value=value,
        remedy="Resample recordings before windows are cut, not the windows; or leave it out: it is done here",
    )


def _trials(part: Any) -> list[list[dict[str, Any]]]:
    """Rows of the metadata, those of each trial together; windows of a trial are numbered from 0."""
    metadata = part.windows.metadata if hasattr(part, "windows") else part.metadata
    if hasattr(metadata, "to_dict"):
        rows = metadata.to_dict("records")
    else:  # braindecode's own lazy table, which gives single rows only
        rows = [dict(metadata[number, :]) for number in range(len(metadata))]
    trials: list[list[dict[str, Any]]] = []
    for row in rows:
        last = trials[-1][-1] if trials else None
        if last is None or not _follows(last, row):
            trials.append([])
        trials[-1].append(row)
    return trials


def _follows(last: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    number = "i_trial_in_dataset"
    if number in row:
        return bool(last[number] == row[number])
    return bool(row["i_window_in_trial"] > last["i_window_in_trial"])


def _samples(rows: Sequence[Mapping[str, Any]]) -> tuple[list[int], list[int]]:
    return [int(row["i_start_in_trial"]) for row in rows], [int(row["i_stop_in_trial"]) for row in rows]


def _gaps(rows: Sequence[Mapping[str, Any]], starts: Sequence[int], stops: Sequence[int]) -> str:
    """Why a trial cannot be used: some of its windows were dropped, or do not touch."""
    if rows[0]["i_window_in_trial"] != 0:
        return "lacks its first windows: nobody knows when in the trial the others were"
    reach = np.maximum.accumulate(stops)[:-1]
    missing = np.asarray(starts[1:]) - reach
    return f"lacks windows: {int(missing.max())} samples are in none of them" if (missing > 0).any() else ""


def _told(part: Any, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with its class by name, where the windows were made with names; -1 stands for none."""
    mapping: dict[str, Any] = next(
        (kw["mapping"] for _, kw in getattr(part, "window_kwargs", []) if kw.get("mapping")), {}
    )
    names = {number: name for name, number in reversed(list(mapping.items()))}
    target = row.get(TARGET)
    known = not isinstance(target, list | tuple | np.ndarray) and as_text(target) not in ("", "-1")
    return {**row, TARGET: names.get(target, target) if known else ""}


def _notes(part: Any) -> list[str]:
    steps = [str(step.get("fn", "")).rpartition(".")[2] for step in getattr(part, "raw_preproc_kwargs", [])]
    notes = [f"braindecode has applied {', '.join(steps)}"] if steps else []
    return notes + (["its transform is not applied"] if getattr(part, "transform", None) is not None else [])
