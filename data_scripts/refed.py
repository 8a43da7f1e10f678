"""REFED: 32 people saw 15 film clips and told valence and arousal all the time; EEG beside fNIRS."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np

from mdjpt_hf.data_scripts.base import UnitReport
from mdjpt_hf.data_scripts.downloaded import DownloadedCorpus
from mdjpt_hf.data_scripts.files import refuse_pointers
from mdjpt_hf.data_scripts.marked import MarkedTrial, SourceRecording, rescaled
from mdjpt_hf.data_scripts.matlab import load_matlab
from mdjpt_hf.data_scripts.products import Product, only_file
from mdjpt_hf.data_scripts.published import published
from mdjpt_hf.errors import CorpusError

NUM_CLIPS = 15
SCALE = (1.0, 255.0)
CHANNELS_FILE = "EEG_channels.csv"
#: Hz; of the corpus, and of its part that was given out for a contest.
RATES = (1000.0, 200.0)
#: How far the length of a clip may be from that of its annotation, which has about one line a second.
_TOLERANCE = 0.1


class REFED(DownloadedCorpus):
    """The clips of every subject, with the mean of what they told while they saw each; there are no classes.

    Rate and order of axes differ between releases and are read from the files: the rate is the one that makes a clip as
    long as its annotation, the channels are the axis with as many entries as `EEG_channels.csv` has lines.
    """

    about, classes = published("refed")
    products: ClassVar = (Product("data", r"data/(?:test_)?(?P<subject>\d{1,3})/EEG_videos\.mat"),)
    expected_subjects: ClassVar = 32

    def source_files(self) -> list[Path]:
        """Recordings, annotations, and the list of channels."""
        recordings = super().source_files()
        return [*recordings, *map(_annotations, recordings), *{_root(file) / CHANNELS_FILE for file in recordings}]

    def recordings(self, subject: str, files: list[Path], report: UnitReport) -> Iterator[SourceRecording]:
        """One recording per clip."""
        path = only_file(files)
        channels = _channels(_root(path) / CHANNELS_FILE)
        signals, told = _clips(path), _clips(_annotations(path))
        if missing := [clip for clip in range(1, NUM_CLIPS + 1) if clip not in signals]:
            report.notes.append(f"{path.name} of subject {subject}: lacks the clips {missing}")
        for clip, values in sorted(signals.items()):
            signal, name = _oriented(values, len(channels), path), f"video_{clip}"
            if clip not in told:
                report.rejected.append(f"subject {subject}: {name} has no annotation, which tells its rate")
                continue
            answers = _oriented(told[clip], 2, _annotations(path)).astype(float)
            rate = _rate(signal.shape[1], answers.shape[1], path, name)
            means = dict(zip(("valence", "arousal"), answers.mean(axis=1).tolist(), strict=True))
            marked = MarkedTrial(f"video{clip:02d}", -1, ratings=rescaled(means, *SCALE, _annotations(path)))
            yield SourceRecording(path, 0, signal, channels, rate, [marked])


def _root(file: Path) -> Path:
    return file.parents[2]


def _annotations(file: Path) -> Path:
    return _root(file) / "annotations" / f"{file.parent.name}_label.mat"


def _channels(path: Path) -> tuple[str, ...]:
    try:
        refuse_pointers(path)
        lines = list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))
        names = tuple(line["ch_name"].strip() for line in lines)
    except (OSError, KeyError, AttributeError, UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(
            f"cannot be read as the list of channels, with a column ch_name ({type(error).__name__}: {error})",
            path=path,
            remedy="Copy it from the download to beside the folder `data`",
        ) from error
    if len(set(names)) < max(len(names), 1):
        raise CorpusError("names no channels, or one twice", path=path, value=names, remedy="Download it again")
    return names


def _clips(path: Path) -> dict[int, np.ndarray]:
    """Clip -> what a file holds of it."""
    content = load_matlab(path, lambda name: name.startswith("video_"))
    found = {int(name.removeprefix("video_")): value for name, value in content.items() if name[6:].isdecimal()}
    if not found or not set(found) <= set(range(1, NUM_CLIPS + 1)):
        raise CorpusError(
            f"should hold video_1 to video_{NUM_CLIPS}, found {sorted(content)}",
            path=path,
            value=sorted(content),
            remedy="Copy or download it again",
        )
    return found


def _oriented(values: np.ndarray, rows: int, path: Path) -> np.ndarray:
    """`(rows, length)`, whichever axis the file has first."""
    if values.ndim == 2 and values.shape[0] != values.shape[1] and rows in values.shape:
        return values if values.shape[0] == rows else values.T
    raise CorpusError(
        f"should hold arrays with {rows} rows or columns and another length, found {values.shape}",
        path=path,
        value=values.shape,
        remedy="Copy or download it again; check that EEG_channels.csv belongs to it",
    )


def _rate(samples: int, seconds: int, path: Path, name: str) -> float:
    """The rate at which a clip lasts as long as its annotation."""
    for rate in RATES:
        if abs(samples / rate - seconds) <= max(2.0, _TOLERANCE * seconds):
            return rate
    raise CorpusError(
        f"{name} has {samples} samples and an annotation of {seconds} lines, one a second: that is neither "
        f"{' nor '.join(f'{rate:g}' for rate in RATES)} Hz",
        path=path,
        value=samples,
        remedy="Copy or download both again",
    )
