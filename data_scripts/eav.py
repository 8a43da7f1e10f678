"""EAV: 42 people in conversation, five emotions, 30 channels whose names the user must give."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mdjpt_hf.data_scripts.base import UnitReport
from mdjpt_hf.data_scripts.downloaded import DownloadedCorpus
from mdjpt_hf.data_scripts.marked import MarkedTrial, SourceRecording
from mdjpt_hf.data_scripts.matlab import load_matlab
from mdjpt_hf.data_scripts.products import Product, only_file
from mdjpt_hf.data_scripts.published import published
from mdjpt_hf.errors import CorpusError
from mdjpt_hf.modeling.signal_mdjpt import UNITS

RATE = 500.0
NUM_CHANNELS, NUM_TRIALS = 30, 200
#: Of the ten rows of the labels those for listening; the others are for speaking, whose muscles are louder than EEG.
LISTENING = (1, 3, 5, 7, 9)


class EAV(DownloadedCorpus):
    """The 20-s segments in which somebody listens; which electrode is which stands in no file of the download.

    Args:
        channels: Names of the 30 channels, in the order of the files; see the article and its authors.
        unit: Unit of the numbers, likewise.

    Raises:
        CorpusError: If names or unit are not given, or are no electrodes.
    """

    about, classes = published("eav")
    products: ClassVar = (Product("EAV", r"subject(?P<subject>\d{1,2})_eeg\.mat"),)
    expected_subjects: ClassVar = 42

    def __init__(
        self, source: str | Path, preprocessing: str = "basic", channels: Sequence[str] = (), unit: str | None = None
    ):
        super().__init__(source, preprocessing)
        self.channels, self.unit = tuple(channels), unit
        if len(set(self.channels)) != NUM_CHANNELS or unit not in UNITS:
            raise CorpusError(
                f"needs the names of its {NUM_CHANNELS} channels and their unit, which stand in none of its files; "
                f"given were {len(set(self.channels))} names and unit {unit!r}",
                path=self.source,
                value=self.channels,
                remedy="Ask its authors; then give --channels Fp1,Fp2,... in the order of the files, and --unit",
            )

    def options(self) -> dict[str, Any]:
        """Also what the user said of the channels."""
        return {**super().options(), "channels": list(self.channels), "unit": self.unit}

    def source_files(self) -> list[Path]:
        """Signals and labels."""
        signals = super().source_files()
        return [*signals, *map(_label_file, signals)]

    def recordings(self, subject: str, files: list[Path], report: UnitReport) -> Iterator[SourceRecording]:
        """One recording per segment of listening."""
        path = only_file(files)
        segments, labels = _segments(path), _labels(_label_file(path))
        for number in np.flatnonzero(labels[list(LISTENING)].any(axis=0)).tolist():
            label = int(np.argmax(labels[list(LISTENING), number]))
            signal = segments[:, :, number].T * UNITS[str(self.unit)]
            yield SourceRecording(
                path, 0, signal, self.channels, RATE, [MarkedTrial(f"segment{number + 1:03d}", number, label)]
            )


def _label_file(path: Path) -> Path:
    return path.with_name(f"{path.stem}_label.mat")


def _segments(path: Path) -> np.ndarray:
    """`(samples, channels, trials)`."""
    content = load_matlab(path, ("seg", "seg1").__contains__)
    for value in content.values():
        if value.ndim == 3 and value.shape[1:] == (NUM_CHANNELS, NUM_TRIALS):
            return value
    found = {name: value.shape for name, value in content.items()}
    raise CorpusError(
        f"should hold seg or seg1 of shape (samples, {NUM_CHANNELS}, {NUM_TRIALS}), found {found}",
        path=path,
        value=found,
        remedy="Copy or download it again",
    )


def _labels(path: Path) -> np.ndarray:
    """`(10, trials)`, a single 1 in every column."""
    label = load_matlab(path, "label".__eq__).get("label", np.empty(0))
    if label.shape != (10, NUM_TRIALS) or not np.isin(label, (0, 1)).all() or (label.sum(axis=0) != 1).any():
        raise CorpusError(
            f"should hold a label of shape (10, {NUM_TRIALS}) with a single 1 in every column, found {label.shape}",
            path=path,
            value=label.shape,
            remedy="Copy or download it again",
        )
    return label
