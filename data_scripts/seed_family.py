"""What the SEED corpora share: one cap of 62 electrodes, MAT files of trials, Neuroscan recordings, clip lists."""

import re
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np

from mdjpt_hf.data_scripts.base import UnitReport
from mdjpt_hf.data_scripts.downloaded import DownloadedCorpus
from mdjpt_hf.data_scripts.marked import MarkedTrial, SourceRecording
from mdjpt_hf.data_scripts.matlab import load_matlab, matlab_names
from mdjpt_hf.data_scripts.neuroscan import NeuroscanRecording, read_neuroscan
from mdjpt_hf.data_scripts.products import file_of_each
from mdjpt_hf.errors import CorpusError
from mdjpt_hf.modeling.montage_mdjpt import canonical_name

_NAMES = """
    FP1 FPZ FP2 AF3 AF4 F7 F5 F3 F1 FZ F2 F4 F6 F8 FT7 FC5 FC3 FC1 FCZ FC2 FC4 FC6 FT8 T7 C5 C3 C1 CZ C2 C4 C6 T8
    TP7 CP5 CP3 CP1 CPZ CP2 CP4 CP6 TP8 P7 P5 P3 P1 PZ P2 P4 P6 P8 PO7 PO5 PO3 POZ PO4 PO6 PO8 CB1 O1 OZ O2 CB2
"""
#: Rows of every MAT file, as its owners name them.
CHANNELS = tuple(_NAMES.split())
#: Hz, of every MAT file.
MAT_RATE = 200.0

BCMI_LICENCE = (
    "Licence agreement of the BCMI laboratory, Shanghai Jiao Tong University: non-commercial research after "
    "application, no passing on"
)
BCMI_REDISTRIBUTION = "The licence agreement is between the laboratory and each applicant; data go to nobody else"


class SEEDFamily(DownloadedCorpus):
    """Base of the SEED corpora: everybody sees the same clips in the same order, session by session.

    A MAT file holds one variable per trial, named by its number; a `.cnt` file is a whole session.
    """

    #: Class of every trial, session by session.
    labels: ClassVar[tuple[tuple[int, ...], ...]]
    #: Regular expression of a trial's name in a MAT file; group 1 is its number.
    variable: ClassVar[str] = r"_eeg(\d+)$"

    @abstractmethod
    def session_of(self, file: Path) -> int:
        """Session of a file from 0; of one that holds all sessions, 0."""

    @abstractmethod
    def spans(self, recording: NeuroscanRecording, file: Path, session: int) -> list[tuple[float, float]]:
        """Start and end in s of every trial in a continuous recording, in order.

        Raises:
            CorpusError: If the file does not tell.
        """

    def expected_files(self) -> int:
        """How many a subject should have."""
        return len(self.labels)

    def places(self, session: int) -> dict[int, tuple[int, int]]:
        """Number of a trial in a MAT file -> its session and position."""
        return {trial + 1: (session, trial) for trial in range(len(self.labels[session]))}

    def stimulus(self, session: int, trial: int) -> str:
        """Id of the clip; by default every session has its own clips."""
        return f"session{session + 1}-clip{trial + 1:02d}"

    def usual_seconds(self, session: int, trial: int) -> tuple[float, float] | None:
        """Shortest and longest a trial should be, None where nothing is published."""
        return None

    def recordings(self, subject: str, files: list[Path], report: UnitReport) -> Iterator[SourceRecording]:
        """Yield the sessions that are there: every `.cnt` file as one recording, every MAT file trial by trial."""
        for session, file in self.sessions(files, report):
            if file.suffix == ".cnt":
                yield self._continuous(session, file)
            else:
                yield from self._segments(session, file, report)

    def sessions(self, files: list[Path], report: UnitReport) -> list[tuple[int, Path]]:
        """Session and file, in order of sessions; a note if there are fewer than should be.

        Raises:
            CorpusError: If a session is there twice.
        """
        found = file_of_each(files, self.session_of)
        if len(found) < self.expected_files():
            report.notes.append(f"{len(found)} of {self.expected_files()} sessions are here")
        return list(found.items())

    def _continuous(self, session: int, file: Path) -> SourceRecording:
        recording = read_neuroscan(file)
        trials = [
            self._marked(session, trial, start, end - start)
            for trial, (start, end) in enumerate(self.spans(recording, file, session))
        ]
        missing = [name for name in CHANNELS if canonical_name(name) not in recording.ch_names]
        notes = [*recording.notes, *([f"lacks the channels {', '.join(missing)}"] if missing else [])]
        return SourceRecording(
            file, session, recording.signal, recording.ch_names, recording.sampling_rate, trials, notes=notes
        )

    def _segments(self, session: int, file: Path, report: UnitReport) -> Iterator[SourceRecording]:
        """Trial by trial, so that a session never stands in memory in float64."""
        places, variables = self.places(session), self._variables(file)
        if beyond := sorted(set(variables) - set(places)):
            raise CorpusError(
                f"holds a trial {beyond[0]}, but {self.about.title} has {len(places)} in such a file",
                path=file,
                value=beyond,
                remedy="Check which corpus this file belongs to",
            )
        if missing := [str(number) for number in places if number not in variables]:
            report.notes.append(f"{file.name}: lacks the trials {', '.join(missing)}")
        for number in sorted(variables):
            signal = self._matrix(file, number, variables[number])
            where, trial = places[number]
            seconds, usual = signal.shape[1] / MAT_RATE, self.usual_seconds(where, trial)
            if usual and not usual[0] <= seconds <= usual[1]:
                report.notes.append(
                    f"{file.name}: trial {number} lasts {seconds:g} s, {usual[0]:g} to {usual[1]:g} usual"
                )
            yield SourceRecording(file, where, signal, CHANNELS, MAT_RATE, [self._marked(where, trial)])

    def _variables(self, file: Path) -> dict[int, str]:
        """Number of a trial -> name of its variable. Names may begin with a person's initials: they are not told."""
        matches = [match for name in matlab_names(file) if (match := re.search(self.variable, name))]
        numbers = [int(match[1]) for match in matches]
        if not matches or len(set(numbers)) < len(numbers):
            problem = "holds the same trial twice" if matches else f"holds no trials (variables {self.variable!r})"
            raise CorpusError(
                problem,
                path=file,
                value=sorted(numbers),
                remedy="Give the folder of EEG signals; features and labels are no recordings",
            )
        return {number: match.string for number, match in zip(numbers, matches, strict=True)}

    def _matrix(self, file: Path, number: int, name: str) -> np.ndarray:
        signal = load_matlab(file, name.__eq__)[name]
        if signal.ndim != 2 or signal.shape[0] != len(CHANNELS):
            raise CorpusError(
                f"trial {number} must have shape ({len(CHANNELS)}, samples), found {signal.shape}",
                path=file,
                value=signal.shape,
                remedy="Check that this is the owners' file of EEG signals",
            )
        return signal

    def _marked(self, session: int, trial: int, onset: float = 0.0, duration: float | None = None) -> MarkedTrial:
        stimulus, label = self.stimulus(session, trial), self.labels[session][trial]
        return MarkedTrial(stimulus, trial, label, onset, duration)
