"""DEAP: 32 people, 40 music videos of one minute each, ratings of valence, arousal, dominance and liking."""

import csv
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from mdjpt_hf.data_scripts.base import UnitReport
from mdjpt_hf.data_scripts.biosemi import read_bdf, status_changes
from mdjpt_hf.data_scripts.downloaded import DownloadedCorpus
from mdjpt_hf.data_scripts.files import read_recording
from mdjpt_hf.data_scripts.marked import MarkedTrial, SourceRecording, rescaled
from mdjpt_hf.data_scripts.matlab import load_matlab
from mdjpt_hf.data_scripts.pickles import load_pickle
from mdjpt_hf.data_scripts.products import Product, only_file
from mdjpt_hf.data_scripts.published import published
from mdjpt_hf.errors import CorpusError

#: The first 32 of 40 channels of the preprocessed files, which have one order for everybody. The original recordings
#: come in two orders and carry their own names.
PREPROCESSED_CHANNELS = (
    *("Fp1", "AF3", "F3", "F7", "FC5", "FC1", "C3", "T7", "CP5", "CP1", "P3", "P7", "PO3", "O1", "Oz", "Pz"),
    *("Fp2", "AF4", "Fz", "F4", "F8", "FC6", "FC2", "Cz", "C4", "T8", "CP6", "CP2", "P4", "P8", "PO4", "O2"),
)
NUM_VIDEOS = 40
RATINGS = ("valence", "arousal", "dominance", "liking")  # in the order of the labels
SCALE = (1.0, 9.0)
RATINGS_FILE = "participant_ratings.csv"

_PREPROCESSED_RATE = 128.0
_PREPROCESSED_SAMPLES = 8064
_BASELINE = 3.0  # s before the video, in the same segment
_VIDEO = 60.0  # s
_MUSIC_STARTS = 4  # status code of the original recordings
_SAME = 0.02  # two ratings closer than this are the same one, printed differently
_START_TOLERANCE = 2.0  # s between a marker and the start time noted for it


#: Columns of the table as copies in circulation call them -> as its owners do.
_COLUMNS = {"participant": "participant_id", "video": "experiment_id"}


class DEAP(DownloadedCorpus):
    """The corpus in its Python, MATLAB or original form; there are no classes, only ratings.

    Trials of the preprocessed files are sorted by video (`Experiment_id`), so the same place is the same video for
    everybody. The order of presentation stands only in `participant_ratings.csv`; lying anywhere below the source, it
    also corrects copies of the corpus in which valence and arousal of some trials are mirrored (9 - x). The original
    recordings are in order of presentation and need it to know the videos.
    """

    about, classes = published("deap")
    products: ClassVar = (
        Product("preprocessed, Python", r"s(?P<subject>\d{2})\.dat"),
        Product("preprocessed, MATLAB", r"s(?P<subject>\d{2})\.mat"),
        Product("original", r"s(?P<subject>\d{2})\.bdf"),
    )
    expected_subjects: ClassVar = 32

    def notes(self) -> list[str]:
        """What is there, and whether the ratings could be checked."""
        if self._ratings_file:
            return super().notes()
        return [
            *super().notes(),
            f"{RATINGS_FILE} (metadata_csv.zip) is not below the source: the order of presentation is unknown, and "
            "copies of this corpus with mirrored ratings cannot be told for certain",
        ]

    def source_files(self) -> list[Path]:
        """The subjects' files and the table of ratings."""
        return super().source_files() + ([self._ratings_file] if self._ratings_file else [])

    def recordings(self, subject: str, files: list[Path], report: UnitReport) -> Iterator[SourceRecording]:
        """One recording per trial, or the whole session of the original; in order of presentation where known."""
        if self.product.name == "original":
            yield self._original(int(subject), only_file(files))
        else:
            yield from self._preprocessed(int(subject), only_file(files), report)

    def _preprocessed(self, subject: int, path: Path, report: UnitReport) -> Iterator[SourceRecording]:
        content = load_pickle(path) if path.suffix == ".dat" else load_matlab(path, ("data", "labels").__contains__)
        data, labels = _checked(content, path)
        if data.shape[2] != _PREPROCESSED_SAMPLES:
            report.notes.append(
                f"{path.name}: trials last {data.shape[2] / _PREPROCESSED_RATE - _BASELINE:g} s instead of {_VIDEO:g}"
            )
        trials = self._sorted_by_video(subject, labels, path, report)
        for marked, segment in sorted(zip(trials, data, strict=True), key=lambda pair: pair[0].trial):
            eeg = segment[: len(PREPROCESSED_CHANNELS)]
            yield SourceRecording(path, 0, eeg, PREPROCESSED_CHANNELS, _PREPROCESSED_RATE, [marked])

    def _sorted_by_video(self, subject: int, labels: np.ndarray, path: Path, report: UnitReport) -> list[MarkedTrial]:
        """The trials of a preprocessed file with checked ratings, video 1 first."""
        position = [-1] * NUM_VIDEOS
        if self._ratings_file:
            shown = self._shown(subject)
            labels = _corrected(labels, np.array([shown[video][1] for video in sorted(shown)]), path, report)
            position = [shown[video][0] for video in sorted(shown)]
        else:
            labels = _without_impossible(labels, path, report)
        return [
            MarkedTrial(_stimulus(video), position[video - 1], onset=_BASELINE, ratings=_ratings(values, path))
            for video, values in enumerate(labels, start=1)
        ]

    def _original(self, subject: int, path: Path) -> SourceRecording:
        if self._ratings_file is None:
            raise CorpusError(
                f"the original recordings do not say which video was shown when; that stands in {RATINGS_FILE}",
                path=path,
                remedy=f"Unpack metadata_csv.zip below {self.source}, or use the preprocessed files",
            )
        shown = sorted(self._shown(subject).items(), key=lambda item: item[1][0])
        onsets = _matching(_music_onsets(path), np.array([start for _, (_, _, start) in shown]), path)
        trials = [
            MarkedTrial(_stimulus(video), place, -1, onset, _VIDEO, _ratings(values, path))
            for (video, (place, values, _)), onset in zip(shown, onsets, strict=True)
        ]
        recording, notes = read_recording(path, reader=read_bdf)
        return SourceRecording.of_file(path, recording, trials, notes)

    @cached_property
    def _ratings_file(self) -> Path | None:
        return next(iter(sorted(self.source.rglob(RATINGS_FILE))), None)

    @cached_property
    def _table(self) -> dict[int, dict[int, tuple[int, tuple[float, ...], float]]]:
        """Subject -> video -> position from 0, ratings as printed, start in s."""
        assert self._ratings_file is not None
        result: dict[int, dict[int, tuple[int, tuple[float, ...], float]]] = {}
        try:
            with self._ratings_file.open(newline="", encoding="utf-8-sig", errors="replace") as file:
                for line in csv.DictReader(file):
                    row = {_COLUMNS.get(str(name).lower(), str(name).lower()): text for name, text in line.items()}
                    values = tuple(float(row[name]) for name in RATINGS)
                    start = float(row.get("start_time") or "nan") * 1e-6
                    shown = result.setdefault(int(row["participant_id"]), {})
                    shown[int(row["experiment_id"])] = (int(row["trial"]) - 1, values, start)
        except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
            raise CorpusError(
                f"cannot be read as the table of ratings ({type(error).__name__}: {error})",
                path=self._ratings_file,
                remedy="Take it unchanged from metadata_csv.zip",
            ) from error
        return result

    def _shown(self, subject: int) -> dict[int, tuple[int, tuple[float, ...], float]]:
        """What the table says of one subject: video -> position, ratings, start."""
        shown = self._table.get(subject, {})
        positions = sorted(position for position, _, _ in shown.values())
        if sorted(shown) != list(range(1, NUM_VIDEOS + 1)) or positions != list(range(NUM_VIDEOS)):
            raise CorpusError(
                f"does not list each of {NUM_VIDEOS} videos once for participant {subject}",
                path=self._ratings_file,
                value=subject,
                remedy="Take it unchanged from metadata_csv.zip",
            )
        return shown


def _stimulus(video: int) -> str:
    return f"video{video:02d}"


def _ratings(values: np.ndarray | tuple[float, ...], path: Path) -> dict[str, float]:
    return rescaled(dict(zip(RATINGS, map(float, values), strict=True)), *SCALE, path)


def _checked(content: object, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """`(40, channels, samples)` and `(40, 4)`."""
    if isinstance(content, dict) and {"data", "labels"} <= set(content):
        data, labels = np.asarray(content["data"]), np.asarray(content["labels"])
        # which video it was is known by the place alone, so none may be missing
        fits = data.ndim == 3 and data.shape[0] == NUM_VIDEOS and data.shape[1] >= len(PREPROCESSED_CHANNELS)
        if fits and data.shape[2] > _BASELINE * _PREPROCESSED_RATE and labels.shape == (NUM_VIDEOS, len(RATINGS)):
            return data, labels.astype(float)
        found = f"data {data.shape} and labels {labels.shape}"
    else:
        found = f"variables {sorted(content)}" if isinstance(content, dict) else type(content).__name__
    raise CorpusError(
        f"is no preprocessed DEAP file: wanted data (40, 40, {_PREPROCESSED_SAMPLES}) and labels (40, 4), "
        f"found {found}",
        path=path,
        value=found,
        remedy="Download it again",
    )


def _corrected(labels: np.ndarray, printed: np.ndarray, path: Path, report: UnitReport) -> np.ndarray:
    """The ratings of the owner's table, once it is clear that the file is of the same subject and order."""
    same = np.abs(labels - printed) <= _SAME
    mirrored = np.minimum(np.abs(9 - labels - printed), np.abs(10 - labels - printed)) <= _SAME
    explained = same | (mirrored & np.isin(RATINGS, ("valence", "arousal")))
    if not explained.all():
        raise CorpusError(
            f"the ratings of {int((~explained.all(axis=1)).sum())} trials are neither those of {RATINGS_FILE} nor "
            "their mirror image",
            path=path,
            remedy="Check that the file is of this subject and that the trials were not sorted anew",
        )
    if wrong := int((~same.all(axis=1)).sum()):
        report.notes.append(
            f"{path.name}: valence or arousal of {wrong} trials is mirrored in this copy; the ratings of "
            f"{RATINGS_FILE} were taken"
        )
    return printed


def _without_impossible(labels: np.ndarray, path: Path, report: UnitReport) -> np.ndarray:
    """Without valence and arousal, if some lie below the scale: 9 - x of ratings above 8 does."""
    below = (labels[:, :2] < SCALE[0]) & (labels[:, :2] >= 0)
    if not below.any():
        return labels
    report.notes.append(
        f"{path.name}: valence or arousal of {int(below.any(axis=1).sum())} trials lies below 1, as in copies with "
        f"mirrored ratings; both were left out for every trial. With {RATINGS_FILE} below the source they are corrected"
    )
    return np.column_stack([np.full((len(labels), 2), np.nan), labels[:, 2:]])


def _music_onsets(path: Path) -> np.ndarray:
    """When videos start, in s."""
    return np.array([time for time, code in status_changes(path) if code == _MUSIC_STARTS])


def _matching(onsets: np.ndarray, noted: np.ndarray, path: Path) -> list[float]:
    """The marker of each trial; where there are too many, those that fit the start times noted."""
    if len(onsets) == len(noted):
        return onsets.tolist()
    for first in onsets[: max(0, len(onsets) - len(noted) + 1)]:
        expected = noted - noted[0] + first
        nearest = [float(onsets[np.argmin(np.abs(onsets - time))]) for time in expected]
        if np.max(np.abs(nearest - expected)) < _START_TOLERANCE and len(set(nearest)) == len(noted):
            return nearest
    raise CorpusError(
        f"holds {len(onsets)} starts of a video where {len(noted)} were shown, "
        f"and their times do not fit {RATINGS_FILE}",
        path=path,
        value=len(onsets),
        remedy="Download it again, or use the preprocessed files",
    )
