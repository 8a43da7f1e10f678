"""A user's own recordings, listed in one table: file, subject, stimulus, times, labels.

The table is CSV (or TSV) with a header; each line is one trial:

| column | |
|---|---|
| `file` | anything `mne.io.read_raw` opens (EDF, BDF, SET, FIF, CNT, VHDR, ...), relative to the source |
| `subject`, `stimulus` | ids without personal data; a stimulus has the same id for everybody who saw it |
| `session` | whole number, 0 if the column is left out |
| `onset` | s on the file's clock, as its own markers have it; 0 if the column is left out |
| `duration` | s, or `rest`: the rest of the file, as if the column is left out |
| `trial` | position in the session from 0; if left out, the order of onsets when the session is one file |
| `label` | name of the class |
| `emotion`, `valence_class` | words of the common vocabulary (`mdjpt_hf.schema`) |
| `valence`, `arousal`, `dominance`, `liking` | the subject's rating, rescaled to [0, 1] |

A clip shown again in a session has the same `stimulus`; the trials of that session are then numbered in `trial`.
`n/a`, `NA`, `nan` and the like mean "not known": no label, no rating; an error for who, what, where and when.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mdjpt_hf.data_scripts.base import CorpusFacts, UnitReport
from mdjpt_hf.data_scripts.files import fingerprints, read_recording
from mdjpt_hf.data_scripts.own_recordings import (
    LabelSource,
    OwnCorpus,
    add_notes,
    prepared_recording,
    problem_of,
    short_notes,
)
from mdjpt_hf.data_scripts.recordings_table import TableRow, check_overlaps, read_table, spelling_notes
from mdjpt_hf.data_scripts.showings import TABLE_TITLE
from mdjpt_hf.data_scripts.signatures import signature
from mdjpt_hf.errors import CorpusError
from mdjpt_hf.modeling.stretches_mdjpt import Span
from mdjpt_hf.preprocessing import Preprocessed, preset_settings
from mdjpt_hf.schema import RATINGS, Trial


class Recordings(OwnCorpus):
    """Corpus of the recordings a table lists; one unit of work per subject.

    Args:
        table: The CSV or TSV file.
        source: Folder the `file` column is relative to; the table's own by default.
        name: Value of the `dataset` column; the table's file name without suffix by default.
        preprocessing: Preset of `mdjpt_hf.preprocessing`, applied before trials are cut.
        unit: What the values really are ("V", "mV", "uV"), for files whose header gives a wrong unit.
        label_source: Whether `label` is what the stimulus was meant to evoke or what the subject reported.
        stimulus_set: Name of the stimuli, where other corpora show the same ones under the same ids.

    Raises:
        CorpusError: If the table or a file it names is missing, or a line is wrong; with the line number.
        ConfigurationError: If the preset is unknown.
        UnitError: If the unit is unknown.
    """

    def __init__(
        self,
        table: str | Path,
        source: str | Path | None = None,
        name: str | None = None,
        preprocessing: str = "basic",
        unit: str | None = None,
        label_source: LabelSource = "stimulus",
        stimulus_set: str = "",
    ):
        self.table = Path(table)
        folder = Path(source) if source is not None else self.table.parent
        super().__init__(folder, name or self.table.stem, preprocessing, unit, label_source)
        self.stimulus_set = stimulus_set
        self.rows = read_table(self.table)
        self.label_names = tuple(sorted({row.label for row in self.rows if row.label}))
        for row in self.rows:
            self._check_exists(row)
        check_overlaps(self.table, self.rows, self._identity)

    @property
    def facts(self) -> list[CorpusFacts]:
        """The one dataset of this builder."""
        rated = [rating for rating in RATINGS if any(not np.isnan(row.ratings[rating]) for row in self.rows)]
        return [
            CorpusFacts(
                name=self.name,
                title=TABLE_TITLE,
                licence="The owner's own recordings; no licence is given",
                redistributable=False,
                redistribution="Up to whom they belong to, and to the consent of those recorded",
                own=True,
                label_source=self.label_source if self.label_names else "none",
                label_names=self.label_names,
                rating_scale=f"{', '.join(rated)} in [0, 1], as rescaled by the owner of the table" if rated else "",
                stimulus_set=self.stimulus_set,
            )
        ]

    def units(self) -> list[str]:
        """The subjects, in the order of the table."""
        return list(dict.fromkeys(row.subject for row in self.rows))

    def notes(self) -> list[str]:
        """Ids that may mean the same, files that are listed under several people, and trials too short for a window."""
        people: dict[str, set[str]] = {}
        for row in self.rows:
            people.setdefault(row.file, set()).add(row.subject)
        shared = [
            f"{file} is listed under the subjects {', '.join(sorted(subjects))}"
            for file, subjects in people.items()
            if len(subjects) > 1
        ]
        return [*spelling_notes(self.rows), *shared, *short_notes(row.duration for row in self.rows)]

    def read_unit(self, unit: str, report: UnitReport) -> Iterator[Trial]:
        """Yield the trials of one subject, session by session and file by file.

        Raises:
            CorpusError: If a file cannot be read or is shorter than the table says.
            MDJPTError: What the signal path raises (montage, rate, unit, signal), with the file in front.
        """
        rows = [row for row in self.rows if row.subject == unit]
        # session by session: signals are scaled by what comes one after the other with the same identity
        for session, file in sorted(dict.fromkeys((row.session, row.file) for row in rows), key=lambda part: part[0]):
            recording, notes = read_recording(self.source / file, self.unit)
            report.signatures[file] = signature(recording)
            prepared = prepared_recording(self.source / file, recording, self.preprocessing)
            add_notes(report, file, [*notes, *recording.notes, *recording.selection.notes(), *prepared.notes])
            for row in (row for row in rows if (row.session, row.file) == (session, file)):
                span = self._span(row, prepared)
                if problem := problem_of(span, prepared):
                    report.rejected.append(f"{file}: the trial of line {row.line} {problem}")
                    continue
                yield self._trial(row, prepared, span)
                if any(row.overlaps(start, end) for start, end in recording.bad_spans):
                    report.notes.append(f"{file}: the trial of line {row.line} overlaps a stretch marked bad")

    def options(self) -> dict[str, Any]:
        """Table, files (name, bytes, time of change) and settings the rows depend on."""
        files = [self.source / file for file in dict.fromkeys(row.file for row in self.rows)]
        return {
            "table": hashlib.sha256(self.table.read_bytes()).hexdigest(),
            "files": [part for file in files for part in fingerprints(file, self.source)],
            "name": self.name,
            "unit": self.unit,
            "label_source": self.label_source,
            "preprocessing": preset_settings(self.preprocessing),
            **({"stimulus_set": self.stimulus_set} if self.stimulus_set else {}),
        }

    def _identity(self, file: str) -> Any:
        """The same for every name of a file: other spellings and links."""
        path = self.source / file
        return (path.stat().st_dev, path.stat().st_ino) if path.exists() else path.absolute()

    def _check_exists(self, row: TableRow) -> None:
        path = self.source / row.file
        if not path.exists() and not path.is_symlink():
            raise CorpusError(
                f"line {row.line}: the file {row.file!r} is not in {self.source}",
                path=self.table,
                value=row.file,
                remedy="Correct the table, or give the folder of the recordings as source",
            )

    def _span(self, row: TableRow, prepared: Preprocessed) -> Span:
        """Where a trial lies among the samples; it must end before the recording does."""
        span = prepared.span(row.onset, row.duration)
        if span.beyond:
            lasts = "begins at" if row.duration is None else f"lasts from {row.onset:g} to"
            end = row.onset + (row.duration or 0.0)
            raise CorpusError(
                f"line {row.line}: the trial {lasts} {end:g} s, but {row.file} ends at {prepared.end:g} s",
                path=self.table,
                value=(row.onset, row.duration),
                remedy="Onset and duration are in seconds from the start of the file",
            )
        return span

    def _trial(self, row: TableRow, prepared: Preprocessed, span: Span) -> Trial:
        return Trial(
            dataset=self.name,
            subject=row.subject,
            session=row.session,
            trial=row.trial,
            stimulus=row.stimulus,
            label=self.label_names.index(row.label) if row.label else -1,
            label_name=row.label,
            emotion=row.emotion,
            valence_class=row.valence_class,
            **prepared.cut(span) | row.ratings,
        )
