"""A first table of own recordings, from file names and marks: to be corrected by hand, then prepared."""

import csv
import os
import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from mdjpt_hf.data_scripts.recordings_marks import KINDS, read_marks
from mdjpt_hf.errors import ConfigurationError, CorpusError, MDJPTError
from mdjpt_hf.modeling.folders_mdjpt import recordings_in
from mdjpt_hf.runtime.writing import whole_file, writable

COLUMNS = ("file", "subject", "session", "stimulus", "onset", "duration", "label")
_SUBJECT = re.compile(r"(?:^|[/_\-. ])(?:sub(?:j(?:ect)?)?|participant|vp|s|p)[-_ ]?(\d+)(?=$|[/_\-. ])", re.IGNORECASE)
_BIDS_SUBJECT = re.compile(r"(?:^|/)sub-([A-Za-z0-9]+)", re.IGNORECASE)
_SESSION = re.compile(r"(?:^|[/_\-. ])(?:ses(?:sion)?|day|visit)[-_ ]?0*(\d+)(?=$|[/_\-. ])", re.IGNORECASE)


@dataclass
class Drafted:
    """What was written: lines and people, and what to look at."""

    path: Path
    lines: int = 0
    subjects: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def draft_table(folder: str | Path, out: str | Path, events: str = "annotations") -> Drafted:
    """Write the table that `mdjpt data prepare recordings` reads, a line per mark of every recording in a folder.

    The text of a mark becomes `stimulus`; a mark without a duration lasts until the next one. The subject is what the
    file's name or folders say (`sub-07`, `s07`, `subject_7`), else the file's name. Labels are left empty.

    Args:
        folder: Of recordings, in any format MNE opens. out: The CSV to make, from whose place files are named.
        events: `annotations`, `stim` (trigger channels), or `none`: a line for each whole recording.

    Raises:
        ConfigurationError: If there is no such kind of events, or `out` exists.
        CorpusError: If the folder holds no recording that can be read, or no marks.
    """
    folder, out = Path(folder), Path(out)
    if events not in KINDS:
        raise ConfigurationError(f"unknown events {events!r}", value=events, remedy=f"Use one of {', '.join(KINDS)}")
    if out.exists():
        raise ConfigurationError("exists already", path=out, remedy="Choose another --out, or move it away")
    files = recordings_in(folder) if folder.is_dir() else []
    if not files:
        raise CorpusError("holds no recordings", path=folder, value=str(folder), remedy="Check the folder")
    drafted, rows = Drafted(out), []
    for file in files:
        name = Path(os.path.relpath(file.absolute(), out.absolute().parent)).as_posix()
        try:
            end, marks = read_marks(file, events)
        except MDJPTError as error:
            drafted.notes.append(f"left out {name}: {error}")
            continue
        if not marks and events != "none":
            drafted.notes.append(f"{name} has no marks: no line was written for it")
        rows += _lines(file.relative_to(folder), name, end, marks if events != "none" else [(0.0, end, file.stem)])
    if not rows:
        why = "; ".join(drafted.notes[:3])
        raise CorpusError(f"gives no line: {why}", path=folder, value=why, remedy="Use --events none, or stim")
    _number_repeats(rows, drafted)
    _write(out, rows)
    drafted.lines, drafted.subjects = len(rows), sorted({row["subject"] for row in rows})
    return drafted


def _lines(file: Path, name: str, end: float, marks: list[tuple[float, float, str]]) -> list[dict[str, str]]:
    who = {"file": name, "subject": subject_of(file), "session": str(session_of(file))}
    lines = []
    for number, (onset, duration, text) in enumerate(marks):
        following = marks[number + 1][0] if number + 1 < len(marks) else end
        seconds = duration or following - onset
        if seconds > 0:
            when = {"stimulus": text or "mark", "onset": _seconds(onset), "duration": _seconds(seconds)}
            lines.append({**who, **when, "label": ""})
    return lines


def _seconds(value: float) -> str:
    """To the millisecond below, so that no trial ends after its recording."""
    return f"{int(value * 1000 + 1e-6) / 1000:g}" if value < 1000 else f"{int(value * 1000 + 1e-6) / 1000:.3f}"


def subject_of(file: Path) -> str:
    """Whom a file is of, as its path says; its own name where it says nothing."""
    text = file.with_suffix("").as_posix()
    found = _BIDS_SUBJECT.search(text)
    if found:
        return found.group(1)
    numbered = _SUBJECT.search(text)
    return f"s{int(numbered.group(1)):02d}" if numbered else file.stem


def session_of(file: Path) -> int:
    """The number of the session, as the path says; 0 where it says nothing."""
    found = _SESSION.search(file.with_suffix("").as_posix())
    return int(found.group(1)) if found else 0


def _number_repeats(rows: list[dict[str, str]], drafted: Drafted) -> None:
    """Marks of the same text in a session are taken for different stimuli, since a trigger often says no more than that
    one begins; `text (2)` is a name that no mark has."""
    texts = {row["stimulus"] for row in rows}
    seen: Counter[tuple[str, ...]] = Counter()
    repeated: Counter[str] = Counter()
    for row in rows:
        key = (row["subject"], row["session"], row["stimulus"])
        seen[key] += 1
        if seen[key] > 1:
            repeated[row["stimulus"]] += 1
            row["stimulus"] = _numbered(row["stimulus"], seen[key], texts)
    for text, count in sorted(repeated.items()):
        drafted.notes.append(
            f"the mark {text!r} comes again {count} times: the lines are numbered as different stimuli; give the same "
            "stimulus, and numbers in a column trial, where the same clip was shown again"
        )


def _numbered(text: str, number: int, taken: Collection[str]) -> str:
    name = f"{text} ({number})"
    while name in taken:
        name += "'"
    return name


def _write(out: Path, rows: list[dict[str, str]]) -> None:
    with writable(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(out) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
