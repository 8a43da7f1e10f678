"""MAHNOB-HCI: 30 people saw 20 film clips; what they felt, by their own word."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from mdjpt_hf.data_scripts.base import UnitReport
from mdjpt_hf.data_scripts.biosemi import read_bdf, status_changes
from mdjpt_hf.data_scripts.downloaded import DownloadedCorpus
from mdjpt_hf.data_scripts.files import read_recording, refuse_pointers
from mdjpt_hf.data_scripts.marked import MarkedTrial, SourceRecording, rescaled
from mdjpt_hf.data_scripts.products import Product
from mdjpt_hf.data_scripts.published import published
from mdjpt_hf.errors import CorpusError

SCALE = (1.0, 9.0)
SESSION_FILE = "session.xml"
#: Rating -> its attribute.
_RATINGS = {"valence": "feltVlnc", "arousal": "feltArsl", "dominance": "feltCtrl"}
#: Code of the felt emotion -> class; 7 to 10 stand for nothing.
_CODES = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 11: 7, 12: 8}
#: Bytes; the real ones have a few thousand.
_LARGEST = 2**20


class MAHNOB(DownloadedCorpus):
    """The emotion trials of the corpus, a folder for each: a BDF, and `session.xml` with the answers.

    Labels are what the subject felt, by the owners' codes: neutral, anger, disgust, fear, joy, sadness, surprise,
    amusement, anxiety. Files begin 30 s before the clip and end 30 s after it; the first change of the status channel
    is its start, the second its end. Rates differ between releases (512 or 256 Hz) and are read from the header.
    """

    about, classes = published("mahnob")
    products: ClassVar = (Product("Sessions", r"Part_(?P<subject>\d+)_[NS]_Trial(?P<trial>\d+)_emotion\.bdf"),)
    expected_subjects: ClassVar = 30

    def source_files(self) -> list[Path]:
        """Recordings, and the answers beside each."""
        recordings = super().source_files()
        return [*recordings, *(file.with_name(SESSION_FILE) for file in recordings)]

    def recordings(self, subject: str, files: list[Path], report: UnitReport) -> Iterator[SourceRecording]:
        """One recording per trial, in the order of their numbers."""
        ordered = sorted(files, key=lambda file: int(self.product.parts(file)["trial"]))
        seen: dict[str, Path] = {}
        for position, file in enumerate(ordered):
            told = _answers(file.with_name(SESSION_FILE))
            if "feltArsl" not in told:
                report.rejected.append(f"{file.name}: is no emotion trial; its {SESSION_FILE} has no feltArsl")
                continue
            stimulus = Path(told["mediaFile"]).stem
            if stimulus in seen:
                raise CorpusError(
                    f"shows {stimulus}, as {seen[stimulus]} does", path=file, value=stimulus, remedy="Keep one copy"
                )
            seen[stimulus] = file
            yield self._trial(file, position, stimulus, told)

    def _trial(self, file: Path, position: int, stimulus: str, told: dict[str, str]) -> SourceRecording:
        start, end = _span(file)
        recording, notes = read_recording(file, reader=read_bdf)
        where = file.with_name(SESSION_FILE)
        ratings = {name: _number(told, attribute, where) for name, attribute in _RATINGS.items() if attribute in told}
        code = int(_number(told, "feltEmo", where)) if "feltEmo" in told else None
        label = -1 if code is None else _CODES.get(code, -1)
        if code is not None and label < 0:
            notes = [*notes, f"feltEmo {code} stands for no emotion; it has no label"]
        marked = MarkedTrial(stimulus, position, label, start, end - start, rescaled(ratings, *SCALE, where))
        return SourceRecording.of_file(file, recording, [marked], notes)


def _span(file: Path) -> tuple[float, float]:
    """Start and end of the clip, s."""
    changes = status_changes(file)
    if len(changes) < 2:
        raise CorpusError(
            f"its status channel should say when the clip starts and ends, found {len(changes)} changes",
            path=file,
            value=changes,
            remedy="Copy or download it again, or leave this trial out",
        )
    return changes[0][0], changes[1][0]


def _answers(path: Path) -> dict[str, str]:
    """The attributes of a session."""
    try:
        refuse_pointers(path)
        content = path.read_bytes() if path.stat().st_size <= _LARGEST else b"<!"
        if b"<!" in content.replace(b"<!--", b""):
            raise ValueError("it declares a document type, or is too large")  # entities could make it grow
        told = dict(ElementTree.fromstring(content).attrib)
    except (OSError, ValueError, ElementTree.ParseError) as error:
        raise CorpusError(
            f"cannot be read as the answers of a session ({error})", path=path, remedy="Copy or download it again"
        ) from error
    if "feltArsl" in told and not told.get("mediaFile"):
        raise CorpusError("does not say which clip was shown (mediaFile)", path=path, remedy="Download it again")
    return told


def _number(told: dict[str, str], name: str, path: Path) -> float:
    try:
        return float(told[name])
    except ValueError as error:
        raise CorpusError(
            f"{name} is {told[name]!r}, wanted a number", path=path, value=told[name], remedy="Download it again"
        ) from error
