"""AMIGOS: 40 people, 16 short and 4 long videos, 14 electrodes of an Emotiv EPOC; the preprocessed files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mdjpt_hf.data_scripts.base import UnitReport
from mdjpt_hf.data_scripts.downloaded import DownloadedCorpus
from mdjpt_hf.data_scripts.marked import MarkedTrial, SourceRecording, rescaled
from mdjpt_hf.data_scripts.matlab import load_matlab
from mdjpt_hf.data_scripts.products import Product, only_file
from mdjpt_hf.data_scripts.published import published
from mdjpt_hf.errors import CorpusError

CHANNELS = ("AF3", "F7", "F3", "FC5", "T7", "P7", "O1", "O2", "P8", "T8", "FC6", "F4", "F8", "AF4")
#: Identities of the videos in `VideoIDs`: short ones were seen in one session, long ones in another.
SHORT_VIDEOS = ("4", "5", "9", "10", "13", "18", "19", "20", "23", "30", "31", "34", "36", "58", "80", "138")
LONG_VIDEOS = ("N1", "P1", "B1", "U1")
#: Columns of `labels_selfassessment`; familiarity and seven yes-or-no emotions follow.
RATING_COLUMNS = ("arousal", "valence", "dominance", "liking")
SCALE = (1.0, 9.0)

_RATE = 128.0
_BASELINE = 5.0  # s before the video, in the same cell
_VARIABLES = ("joined_data", "labels_selfassessment", "VideoIDs")
_NUM_COLUMNS = 17  # time comes first; electrocardiogram and skin conductance follow the EEG
_NUM_LABELS = 12
_DOUBTED = ("09", "12", "21", "22", "23", "24", "33")


class AMIGOS(DownloadedCorpus):
    """The corpus as its `Data_Preprocessed_PNN.mat`; there are no classes, only ratings.

    People ticked any number of emotions per video, which makes no class. Session 0 is the short videos, session 1 the
    long ones. The files are not in order of presentation, so that is unknown; videos are known by `VideoIDs`, never by
    their place. A cell that is empty, or holds missing samples, is listed in the report and left out.
    """

    about, classes = published("amigos")
    products: ClassVar = (Product("preprocessed", r"Data_Preprocessed_P(?P<subject>\d{2})\.mat"),)
    expected_subjects: ClassVar = 40

    def recordings(self, subject: str, files: list[Path], report: UnitReport) -> Iterator[SourceRecording]:
        """One recording per video, short ones first."""
        path = only_file(files)
        if subject in _DOUBTED:
            report.notes.append(f"{path.name}: some users of this corpus leave subject {subject} out as damaged")
        found: dict[str, SourceRecording] = {}
        for place, (signal, labels, video) in enumerate(_cells(path), start=1):
            if recording := _recording(path, place, signal, labels, video, report):
                stimulus = recording.trials[0].stimulus
                if stimulus in found:
                    report.rejected.append(f"{path.name}: cell {place} is a second {stimulus}")
                found.setdefault(stimulus, recording)
        yield from sorted(found.values(), key=lambda recording: recording.session)


def _cells(path: Path) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Signal, self-assessment and identity of each video."""
    content = load_matlab(path, _VARIABLES.__contains__)
    columns = [content[name].ravel() for name in _VARIABLES if name in content and content[name].dtype == object]
    sizes = [len(column) for column in columns]
    if len(columns) < len(_VARIABLES) or len(set(sizes)) != 1:
        raise _foreign(path, f"{sorted(content)} with {sizes} cells")
    return zip(*(map(np.asarray, column) for column in columns), strict=True)


def _recording(
    path: Path, place: int, signal: np.ndarray, labels: np.ndarray, video: np.ndarray, report: UnitReport
) -> SourceRecording | None:
    """One video, or nothing and the reason in the report."""
    stimulus = _identity(video)
    name = f"{path.name}: cell {place}" + (f", video {stimulus}" if stimulus else "")
    problem = "" if stimulus else "does not say which video was shown"
    if signal.size == 0:
        problem = "holds no signal"
    elif signal.ndim != 2 or signal.shape[1] != _NUM_COLUMNS:
        raise _foreign(path, f"a signal of shape {signal.shape}")
    elif len(signal) <= _BASELINE * _RATE:
        problem = f"lasts {len(signal) / _RATE:g} s, which is no more than its baseline"
    if problem:
        report.rejected.append(f"{name} {problem}")
        return None
    if stimulus not in SHORT_VIDEOS + LONG_VIDEOS:
        report.notes.append(f"{name} is none of the videos of this corpus")
    if labels.size == 0:
        report.notes.append(f"{name} has no ratings")
    marked = MarkedTrial(f"video{stimulus}", -1, onset=_BASELINE, ratings=_ratings(path, labels))
    session = int(not stimulus.isdigit())
    return SourceRecording(path, session, signal[:, : len(CHANNELS)].T, CHANNELS, _RATE, [marked])


def _ratings(path: Path, labels: np.ndarray) -> dict[str, float]:
    if labels.size == 0:
        return {}
    if labels.size != _NUM_LABELS:
        raise _foreign(path, f"labels of shape {labels.shape}")
    values = labels.ravel()[: len(RATING_COLUMNS)].astype(float)
    return rescaled(dict(zip(RATING_COLUMNS, values.tolist(), strict=True)), *SCALE, path)


def _identity(video: Any) -> str:
    """The id as text, which may be stored as number or text, with cells around it; nothing where it is missing."""
    while isinstance(video, np.ndarray) and video.dtype == object and video.size == 1:
        video = video.item()
    values = np.asarray(video)
    if values.size != 1 or values.dtype.kind == "f" and np.isnan(values.item()):
        return ""
    text = str(values.item()).strip()
    return f"{float(text):g}" if text.replace(".", "", 1).isdigit() else text.upper()


def _foreign(path: Path, found: str) -> CorpusError:
    return CorpusError(
        "is no preprocessed AMIGOS file (cells joined_data of (samples, 17), labels_selfassessment of (1, 12) and "
        f"VideoIDs): found {found}",
        path=path,
        value=found,
        remedy="Download it again, unchanged",
    )
