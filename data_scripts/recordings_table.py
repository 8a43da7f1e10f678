"""The table of a user's own recordings, read and checked line by line."""

import csv
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from math import nan
from pathlib import Path
from typing import Any

from mdjpt_hf.data_scripts.own_recordings import first_overlap
from mdjpt_hf.errors import CorpusError
from mdjpt_hf.schema import EMOTIONS, RATINGS, VALENCE_CLASSES

REQUIRED = ("file", "subject", "stimulus")
#: Words with which programs say that a value is not known: pandas, R, BIDS, MATLAB, spreadsheets.
UNKNOWN = ("n/a", "na", "nan", "<na>", "nat", "#n/a", "none", "null", "?", "-", "unknown", "missing")
#: Those that mean the same in columns that may be empty, where `none` or `unknown` could be a class.
_NO_VALUE = ("n/a", "na", "nan", "<na>", "#n/a", "null")
#: In the column `duration`: to the end of the file, where other lines of the table have durations.
REST = "rest"
OPTIONAL = ("session", "trial", "onset", "duration", "label", "emotion", "valence_class", *RATINGS)


@dataclass(frozen=True)
class TableRow:
    """One checked line.

    Attributes:
        line: Line number in the file, the header being 1.
        onset, duration: Seconds; a duration of None means to the end.
        trial: Position in the session, -1 where unknown.
        label, emotion, valence_class: Empty or None where not given.
        ratings: One number in [0, 1] or NaN for each of `RATINGS`.
    """

    line: int
    file: str
    subject: str
    stimulus: str
    session: int = 0
    trial: int = -1
    onset: float = 0.0
    duration: float | None = None
    label: str = ""
    emotion: str | None = None
    valence_class: str | None = None
    ratings: dict[str, float] = field(default_factory=dict)

    def overlaps(self, start: float, end: float) -> bool:
        """Whether the trial and the stretch from `start` to `end` (s) have a moment in common."""
        return start < (float("inf") if self.duration is None else self.onset + self.duration) and end >= self.onset


def read_table(path: Path) -> list[TableRow]:
    """Read and check a table; trial numbers are filled in where they follow from the onsets.

    Raises:
        CorpusError: With the line number and what to correct.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ",", strict=True)
            _check_columns(path, [name.strip() for name in reader.fieldnames or []])
            reader.fieldnames = [name.strip() for name in reader.fieldnames or []]
            lines = [_Line(path, reader.line_num, values) for values in reader if any(values.values())]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(
            f"the table cannot be read ({error})", path=path, remedy="Give a CSV file in UTF-8 with a header"
        ) from error
    if not lines:
        raise CorpusError("the table has no trials", path=path, value=0, remedy="Write one line per trial")
    _check_known(lines)
    rows = [_parse(line) for line in lines]
    _check_unique(path, rows)
    rows = _with_trials(path, rows)
    check_overlaps(path, rows)
    return rows


@dataclass
class _Line:
    """One line of the table while it is parsed."""

    path: Path
    number: int
    values: dict[str, Any]

    def text(self, column: str) -> str:
        return (self.values.get(column) or "").strip()

    def optional(self, column: str) -> str:
        """The text in a column, empty where it says that there is none."""
        text = self.text(column)
        return "" if text.lower() in _NO_VALUE else text

    def wrong(self, problem: str, value: Any, remedy: str) -> CorpusError:
        return CorpusError(f"line {self.number}: {problem}", path=self.path, value=value, remedy=remedy)

    def number_in(self, column: str, default: Any, kind: Callable = float, low: float = 0.0, high: float = 1e9) -> Any:
        """The number in a column, `default` where it is empty."""
        text = self.optional(column)
        if not text:
            return default
        try:
            value = kind(text)
        except ValueError:
            value = nan
        if not low <= value <= high:  # neither NaN nor infinity lies there
            wanted = "a whole number" if kind is int else "a number"
            limits = f"from {low:g} to {high:g}" if high < 1e9 else f"of at least {low:g}"
            raise self.wrong(
                f"{column} must be {wanted} {limits}, found {text!r}", text, f"Correct or rescale {column}"
            )
        return value

    def word(self, column: str, vocabulary: tuple[str, ...]) -> str | None:
        """The word in a column, None where it is empty."""
        text = self.optional(column)
        if text and text not in vocabulary:
            raise self.wrong(f"unknown {column} {text!r}", text, f"Use one of {', '.join(vocabulary)}")
        return text or None


def _check_known(lines: list[_Line]) -> None:
    """Refuse what is not known where it is needed: it is neither a name nor zero.

    A column that is empty in every line is one that was left out; one that has a value in some line needs one in all.
    """
    for line in lines:
        for column in (*REQUIRED, *_NEEDED):
            text = line.text(column)
            if text.lower() in UNKNOWN:
                raise line.wrong(
                    f"{column} is {text!r}, which says that it is not known",
                    text,
                    f"Give the {column}, or take the line out"
                    + "; leave the column out to do without" * (column in _NEEDED),
                )
    for column in _NEEDED:
        empty = [line for line in lines if not line.text(column)]
        if empty and len(empty) < len(lines):
            raise empty[0].wrong(
                f"{column} is empty, though other lines have one",
                "",
                f"Give it in every line ({_IF_EMPTY[column]}), or leave the column out",
            )


#: What a trial's place needs in every line, if in any, and what to write for the default.
_IF_EMPTY = {"onset": "0 for the start of the file", "duration": f"{REST!r} for the rest of the file", "session": "0"}
_NEEDED = tuple(_IF_EMPTY)


def _check_columns(path: Path, columns: list[str]) -> None:
    known = (*REQUIRED, *OPTIONAL)
    missing = [name for name in REQUIRED if name not in columns]
    if missing:
        raise CorpusError(
            f"the table lacks the columns {missing}, found {columns}",
            path=path,
            value=missing,
            remedy=f"Needed are {', '.join(REQUIRED)}; possible are {', '.join(OPTIONAL)}"
            + ("; put commas between them, or tabs in a .tsv" if len(columns) == 1 else ""),
        )
    if len(set(columns)) < len(columns):
        twice = [name for name, count in Counter(columns).items() if count > 1]
        raise CorpusError(f"columns {twice} occur twice", path=path, value=twice, remedy="Keep one of each")
    for name in columns:
        # columns of the user's own are welcome, misspelt ones of ours would be silently lost
        meant = [] if name in known else get_close_matches(name.lower(), known, n=1, cutoff=0.8)
        if meant:
            raise CorpusError(
                f"unknown column {name!r}",
                path=path,
                value=name,
                remedy=f"Call it {meant[0]!r}, or something else",
            )


def _parse(line: _Line) -> TableRow:
    if None in line.values or None in line.values.values():
        raise line.wrong("the number of fields differs from the header's", line.values, "Put quotes around commas")
    for column in REQUIRED:
        if not line.text(column):
            raise line.wrong(f"{column} is empty", "", f"Give a {column}")
    duration = None if line.text("duration").lower() == REST else line.number_in("duration", None)
    if duration == 0:
        raise line.wrong("duration is 0", 0.0, f"Write {REST!r} to take the rest of the file")
    return TableRow(
        line=line.number,
        file=line.text("file"),
        subject=line.text("subject"),
        stimulus=line.text("stimulus"),
        session=line.number_in("session", 0, int),
        trial=line.number_in("trial", -1, int),
        onset=line.number_in("onset", 0.0),
        duration=duration,
        label=line.optional("label"),
        emotion=line.word("emotion", EMOTIONS),
        valence_class=line.word("valence_class", VALENCE_CLASSES),
        ratings={rating: line.number_in(rating, nan, high=1.0) for rating in RATINGS},
    )


def _check_unique(path: Path, rows: list[TableRow]) -> None:
    """Two trials do not begin at the same time, and where trials are not numbered, nobody sees a stimulus twice."""
    shown = [row for row in rows if row.trial == -1]
    for what, checked, key in (
        ("the same subject, session and stimulus", shown, lambda row: (row.subject, row.session, row.stimulus)),
        ("the same file and onset", rows, lambda row: (row.file, row.onset)),
    ):
        first: dict[tuple, int] = {}
        for row in checked:
            if key(row) in first:
                raise CorpusError(
                    f"lines {first[key(row)]} and {row.line} have {what}: {key(row)}",
                    path=path,
                    value=(first[key(row)], row.line),
                    remedy="Remove one of them, or correct its ids or times; if the clip was shown twice, say so by "
                    "numbering the trials of the session in the column trial",
                )
            first[key(row)] = row.line


def check_overlaps(path: Path, rows: list[TableRow], identity: Callable[[str], Any] = os.path.normpath) -> None:
    """Refuse trials of one file that share samples: a stretch of signal is one person's, with one stimulus and label.

    Subject and session do not matter: under two ids, the same samples would stand on both sides of a split.

    Args:
        identity: What is the same for all spellings of a file.

    Raises:
        CorpusError: With both lines.
    """
    files = defaultdict(list)
    for row in rows:
        files[identity(row.file)].append(row)
    for overlap in filter(None, map(first_overlap, files.values())):
        one, other = overlap
        who = "" if one.subject == other.subject else f" (subjects {one.subject!r} and {other.subject!r})"
        raise CorpusError(
            f"lines {one.line} and {other.line} overlap: {one.file} at {one.onset:g} s and {other.onset:g} s{who}",
            path=path,
            value=(one.line, other.line),
            remedy="Give durations that end before the next onset, and every recording under one subject",
        )


def spelling_notes(rows: list[TableRow]) -> list[str]:
    """Ids and labels that differ only in case, leading zeros or white space, and may mean the same."""
    notes = []
    for column in ("subject", "stimulus", "label"):
        alike: dict[str, set[str]] = defaultdict(set)
        for text in {str(getattr(row, column)) for row in rows}:
            alike[re.sub(r"(?<!\d)0+(?=\d)", "", re.sub(r"\s+", "", text).casefold())].add(text)
        notes += [
            f"{column} {' and '.join(map(repr, sorted(texts)))} differ in case, zeros or spaces only"
            for texts in alike.values()
            if len(texts) > 1
        ]
    return notes


def _with_trials(path: Path, rows: list[TableRow]) -> list[TableRow]:
    sessions = defaultdict(list)
    for row in rows:
        sessions[row.subject, row.session].append(row)
    numbered: dict[int, int] = {}
    for session in sessions.values():
        numbered |= _numbers(path, session)
    return [replace(row, trial=numbered[row.line]) for row in rows]


def _numbers(path: Path, session: list[TableRow]) -> dict[int, int]:
    """Line number -> trial number of one session."""
    given = [row.trial for row in session]
    if all(trial == -1 for trial in given):
        if len({row.file for row in session}) > 1:  # the order of files is not known
            return {row.line: -1 for row in session}
        ordered = sorted(session, key=lambda row: row.onset)
        return {row.line: number for number, row in enumerate(ordered)}
    if -1 in given or len(set(given)) < len(given):
        raise CorpusError(
            f"lines {[row.line for row in session]}: trial must be given for every trial of a session, "
            f"each once, found {given}",
            path=path,
            value=given,
            remedy="Count the trials of each session from 0 as presented, or leave the column empty",
        )
    return {row.line: row.trial for row in session}
