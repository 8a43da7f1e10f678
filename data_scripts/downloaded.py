"""Base of every corpus that is read from its owner's own download.

What is known of a corpus stands in `facts/`. Its module says, for each product people hold (raw files, preprocessed
files, ...), how the files are named (`products`) and how those of one subject become recordings with trials marked in
them (`marked`). What all of them need is here: recognising the product, preprocessing, cutting, labels, ids, and the
warnings about what differs from the published corpus.
"""

import itertools
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mdjpt_hf.data_scripts.base import CorpusBuilder, CorpusFacts, EmotionClass, UnitReport
from mdjpt_hf.data_scripts.files import fingerprint, refuse_pointers
from mdjpt_hf.data_scripts.marked import MarkedTrial, SourceRecording, rescaled
from mdjpt_hf.data_scripts.products import EVERYBODY, Product, file_of_each, only_file
from mdjpt_hf.errors import CorpusError
from mdjpt_hf.modeling.montage_mdjpt import select_channels
from mdjpt_hf.modeling.stretches_mdjpt import whole as unbroken
from mdjpt_hf.preprocessing import Preprocessed, check_preset, preprocess_session, preset_settings
from mdjpt_hf.schema import Trial

#: What a reader is written with, from one place.
__all__ = [
    "EVERYBODY",
    "CorpusFacts",
    "DownloadedCorpus",
    "EmotionClass",
    "MarkedTrial",
    "Product",
    "SourceRecording",
    "file_of_each",
    "only_file",
    "rescaled",
]


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
            unit=first.unit,
            stretches=[part.stretches or unbroken(part.signal.shape[1]) for part in session],
        )
        for recording, result in zip(session, prepared, strict=True):
            result.unit = recording.unit
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
            label=marked.label,
            label_name=meaning.name,
            emotion=meaning.emotion,
            valence_class=meaning.valence,
            **prepared.cut(span) | marked.ratings,
        )


def _is_here(path: Path) -> bool:
    """Whether a file is more than a pointer to data kept elsewhere."""
    try:
        refuse_pointers(path)
    except CorpusError:
        return False
    return True


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
