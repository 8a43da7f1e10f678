"""Base of every corpus that is read from its owner's own download.

A corpus module states facts (licence, classes, channels, how many subjects there should be) and, for each product
people hold (raw files, preprocessed files, ...), how its files are named and how the files of one subject become
recordings with trials marked in them. What all of them need is here: recognising the product, preprocessing, cutting,
labels, ratings, ids, and the warnings about what differs from the published corpus.
"""

import itertools
import os
import re
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mdjpt_hf.data_scripts.base import CorpusBuilder, CorpusFacts, UnitReport
from mdjpt_hf.data_scripts.files import fingerprint, refuse_pointers
from mdjpt_hf.errors import CorpusError
from mdjpt_hf.modeling.montage_mdjpt import select_channels
from mdjpt_hf.modeling.raw_mdjpt import Recording
from mdjpt_hf.modeling.stretches_mdjpt import Stretch
from mdjpt_hf.modeling.stretches_mdjpt import whole as unbroken
from mdjpt_hf.preprocessing import Preprocessed, check_preset, preprocess_session, preset_settings
from mdjpt_hf.schema import Trial

#: What stands for the subject of a file that holds all of them.
EVERYBODY = ""


@dataclass(frozen=True)
class EmotionClass:
    """One class of a corpus and where it lies in the common vocabulary.

    Attributes:
        name: The corpus's own name.
        emotion: A word of `schema.EMOTIONS`, None where none means the same.
        valence: A word of `schema.VALENCE_CLASSES`, None where it is ambiguous.
    """

    name: str
    emotion: str | None = None
    valence: str | None = None


@dataclass(frozen=True)
class Product:
    """One form in which a corpus is given away.

    Attributes:
        name: For messages and for the reader.
        pattern: Regular expression of a file's path, with "/" between folders; matched at the end of it, so that the
            source may be the product's own folder, one above or one below. The group `subject` is the number; without
            it, a file holds all subjects and is listed under `EVERYBODY`.
    """

    name: str
    pattern: str

    def files(self, source: Path) -> dict[str, list[Path]]:
        """Subject -> its files, subjects and files in numeric order."""
        found: dict[str, list[Path]] = {}
        for path in sorted(source.rglob("*"), key=lambda path: _numeric(path.relative_to(source).as_posix())):
            match = self._match(path)
            if match and (path.is_file() or path.is_symlink()):
                number = match.groupdict().get("subject")
                found.setdefault(f"{int(number):02d}" if number else EVERYBODY, []).append(path)
        return dict(sorted(found.items(), key=lambda item: int(item[0] or 0)))

    def parts(self, path: Path) -> dict[str, str]:
        """What the named groups of the pattern say of one of its files, such as session or date."""
        match = self._match(path)
        return match.groupdict() if match else {}

    def _match(self, path: Path) -> re.Match[str] | None:
        # the whole path: the source may be ".", or lie within the folders the pattern names
        return re.search(rf"(?:^|/){self.pattern}$", Path(os.path.abspath(path)).as_posix())


@dataclass
class MarkedTrial:
    """A trial within a recording.

    Attributes:
        stimulus: The same id for everybody who saw the same clip.
        trial: Position in the session from 0; -1 where unknown.
        label: Index into the corpus's classes, -1 where there is none.
        onset, duration: s from the start of the recording, on the file's clock; None means to its end.
        ratings: The subject's own, in [0, 1], by the names of `schema.RATINGS`.
    """

    stimulus: str
    trial: int
    label: int = -1
    onset: float = 0.0
    duration: float | None = None
    ratings: dict[str, float] = field(default_factory=dict)


@dataclass
class SourceRecording:
    """A stretch of signal that was recorded in one go, and the trials in it.

    Attributes:
        file: Where it comes from, for messages.
        session: Session number, from 0.
        signal: `(channels, samples)` in µV.
        ch_names: Names as in the file; what is no scalp electrode is dropped with a note.
        sampling_rate: Hz.
        trials: The trials in it.
        bads: Channels the owner says are bad.
        notes: What the reader did or noticed, for the preparation report.
        stretches: Parts of the signal without a break, where the file tells of some.
    """

    file: Path
    session: int
    signal: np.ndarray
    ch_names: Sequence[str]
    sampling_rate: float
    trials: list[MarkedTrial]
    bads: Sequence[str] = ()
    notes: Sequence[str] = ()
    stretches: Sequence[Stretch] = ()

    @classmethod
    def of_file(
        cls, file: Path, recording: Recording, trials: list[MarkedTrial], notes: Sequence[str]
    ) -> "SourceRecording":
        """What `read_recording` returned of a file that holds a subject's one session."""
        return cls(
            file,
            0,
            recording.signal,
            recording.ch_names,
            recording.sampling_rate,
            trials,
            recording.bads,
            [*notes, *recording.notes, *recording.selection.notes()],
            recording.stretches,
        )


class DownloadedCorpus(CorpusBuilder):
    """A published corpus in the folder its owner's download was unpacked to; one unit of work per subject.

    Args:
        source: That folder, or one above or below it; which product lies in it is recognised.
        preprocessing: Preset of `mdjpt_hf.preprocessing`, applied before trials are cut.

    Raises:
        CorpusError: If the folder is missing or holds no product of this corpus; the message says what was looked for.
        ConfigurationError: If the preset is unknown.
    """

    #: In order of preference, where a folder holds several.
    products: ClassVar[tuple[Product, ...]]
    #: In label order.
    classes: ClassVar[tuple[EmotionClass, ...]] = ()
    #: Subjects of the whole corpus.
    expected_subjects: ClassVar[int]
    #: What is known of the corpus, and how to get it.
    about: ClassVar[CorpusFacts]

    def __init__(self, source: str | Path, preprocessing: str = "basic"):
        super().__init__(preprocessing)
        check_preset(preprocessing)
        self.source = Path(source)
        self.product, self.files = self._recognise()

    @property
    def facts(self) -> list[CorpusFacts]:
        """The one dataset of this builder."""
        return [self.about]

    @abstractmethod
    def recordings(self, subject: str, files: list[Path], report: UnitReport) -> Iterator[SourceRecording]:
        """Yield what was recorded from one subject, session by session, in the order of presentation.

        Raises:
            CorpusError: If a file cannot be read as this corpus; with the file.
        """

    def units(self) -> list[str]:
        """The subjects found, in numeric order."""
        return list(self.files)

    def notes(self) -> list[str]:
        """How what lies there differs from the whole corpus."""
        remarks = [f"product: {self.product.name}"]
        if len(self.units()) < self.expected_subjects:
            remarks.append(f"{len(self.units())} of the {self.expected_subjects} subjects of this corpus are here")
        return remarks

    def read_unit(self, unit: str, report: UnitReport) -> Iterator[Trial]:
        """Preprocess every recording of a subject and cut its trials."""
        files = self.files.get(unit) or self.files[EVERYBODY]
        for path in files:
            refuse_pointers(path)
        usable = (part for part in self.recordings(unit, files, report) if _is_usable(part, report))
        for session in self._judged_together(usable):
            for recording, prepared in zip(session, self._preprocess(session, report), strict=True):
                for marked in recording.trials:
                    yield from self._cut(unit, recording, prepared, marked, report)

    def _judged_together(self, recordings: Iterator[SourceRecording]) -> Iterator[list[SourceRecording]]:
        """`paper` looks for components in a whole session, even where each trial is stored alone; otherwise one."""
        number = itertools.count()

        def key(recording: SourceRecording) -> Any:
            if self.preprocessing != "paper":
                return next(number)
            return recording.session, tuple(recording.ch_names), recording.sampling_rate, tuple(recording.bads)

        for _, session in itertools.groupby(recordings, key):
            yield list(session)

    def options(self) -> dict[str, Any]:
        """Product, files (name, bytes, time of change) and settings the rows depend on."""
        return {
            "product": self.product.name,
            "files": [fingerprint(path, self.source) for path in self.source_files()],
            "preprocessing": preset_settings(self.preprocessing),
        }

    def source_files(self) -> list[Path]:
        """Every file the rows depend on; a corpus with files beside the subjects' own adds them."""
        return [path for files in self.files.values() for path in files]

    def _recognise(self) -> tuple[Product, dict[str, list[Path]]]:
        if not self.source.is_dir():
            raise CorpusError("is not a folder", path=self.source, remedy=self.about.access)
        found = [(product, files) for product in self.products if (files := product.files(self.source))]
        for product, files in found:
            if any(_is_here(path) for paths in files.values() for path in paths):
                return product, files
        if found:  # pointers only, which is said when they are read
            return found[0]
        looked = "; ".join(f"{product.name} ({product.pattern})" for product in self.products)
        raise CorpusError(
            f"holds no files of {self.about.title}; looked for {looked}", path=self.source, remedy=self.about.access
        )

    def _preprocess(self, session: list[SourceRecording], report: UnitReport) -> list[Preprocessed]:
        first = session[0]
        selection = select_channels(first.ch_names)
        whole = len(selection.indices) == len(first.ch_names)  # a long recording is not copied needlessly
        prepared = preprocess_session(
            [part.signal if whole else part.signal[selection.indices] for part in session],
            selection.ch_names,
            first.sampling_rate,
            self.preprocessing,
            [name for name in selection.ch_names if name.lower() in {bad.lower() for bad in first.bads}],
            where=str(first.file),
            stretches=[part.stretches or unbroken(part.signal.shape[1]) for part in session],
        )
        for recording, result in zip(session, prepared, strict=True):
            for note in [*recording.notes, *selection.notes(), *result.notes]:
                line = f"{recording.file.name}: {note}"
                if line not in report.notes:
                    report.notes.append(line)
        return prepared

    def _cut(
        self, subject: str, recording: SourceRecording, prepared: Preprocessed, marked: MarkedTrial, report: UnitReport
    ) -> Iterator[Trial]:
        span = prepared.span(marked.onset, marked.duration)
        problem = span.broken
        if span.beyond:
            end = prepared.end if marked.duration is None else marked.onset + marked.duration
            problem = f"lasts to {end:g} s, but the recording ends at {prepared.end:g} s"
        elif not problem and prepared.is_silent(span.start, span.stop):
            problem = "is silent: no channel varies"
        if problem:
            report.rejected.append(f"{recording.file.name}: stimulus {marked.stimulus} {problem}")
            return
        meaning = self.classes[marked.label] if marked.label >= 0 else EmotionClass("")
        yield Trial(
            dataset=self.facts[0].name,
            subject=subject,
            session=recording.session,
            trial=marked.trial,
            stimulus=marked.stimulus,
            signal=prepared.signal[:, span.start : span.stop],
            sampling_rate=prepared.sampling_rate,
            ch_names=prepared.ch_names,
            label=marked.label,
            label_name=meaning.name,
            emotion=meaning.emotion,
            valence_class=meaning.valence,
            preprocessing=prepared.id,
            **marked.ratings,
        )


def _is_here(path: Path) -> bool:
    """Whether a file is more than a pointer to data kept elsewhere."""
    try:
        refuse_pointers(path)
    except CorpusError:
        return False
    return True


def only_file(files: list[Path]) -> Path:
    """The one file of a subject.

    Raises:
        CorpusError: If there are several, as where two copies lie below the source.
    """
    if len(files) > 1:
        raise CorpusError(
            f"is there {len(files)} times: also {', '.join(str(path) for path in files[1:])}",
            path=files[0],
            value=len(files),
            remedy="Keep one copy, or give its folder as source",
        )
    return files[0]


def file_of_each(files: Sequence[Path], number_of: Callable[[Path], int]) -> dict[int, Path]:
    """Number of a session, game or clip -> its one file, in order of the numbers.

    Raises:
        CorpusError: If there are several files of one number.
    """
    found: dict[int, list[Path]] = {}
    for file in files:
        found.setdefault(number_of(file), []).append(file)
    return {number: only_file(found[number]) for number in sorted(found)}


def rescaled(ratings: Mapping[str, float], low: float, high: float, path: Path) -> dict[str, float]:
    """Ratings taken linearly from an instrument's scale to [0, 1]; those not given (NaN) are left out.

    Raises:
        CorpusError: If a rating lies outside the scale.
    """
    outside = {name: value for name, value in ratings.items() if not np.isnan(value) and not low <= value <= high}
    if outside:
        raise CorpusError(
            f"ratings outside the scale from {low:g} to {high:g}: {outside}",
            path=path,
            value=outside,
            remedy="Check that the file is the owner's own; ratings of another scale or another order look like this",
        )
    return {name: float((value - low) / (high - low)) for name, value in ratings.items() if not np.isnan(value)}


def _is_usable(recording: SourceRecording, report: UnitReport) -> bool:
    """Whether a recording holds any signal; the trials of one that does not are listed as left out."""
    problem = ""
    if not all(np.isfinite(values).all() for values in recording.signal):
        problem = "holds samples that are not numbers"
    elif recording.signal.size and not np.ptp(recording.signal, axis=1).any():
        problem = "is silent: no channel varies"
    if problem:
        name = recording.file.name
        report.rejected += [f"{name}: stimulus {marked.stimulus} {problem}" for marked in recording.trials]
    return not problem


def _numeric(text: str) -> list[Any]:
    """Sort key in which 2 comes before 10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", text)]
