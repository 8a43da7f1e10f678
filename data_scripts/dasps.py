"""DASPS: 23 people imagined six situations that make anxious, each heard and then recalled, with an Emotiv EPOC."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np

from mdjpt_hf.data_scripts.base import UnitReport
from mdjpt_hf.data_scripts.downloaded import DownloadedCorpus
from mdjpt_hf.data_scripts.emotiv import CHANNELS
from mdjpt_hf.data_scripts.marked import MarkedTrial, SourceRecording, rescaled
from mdjpt_hf.data_scripts.matlab import load_matlab
from mdjpt_hf.data_scripts.products import Product, only_file
from mdjpt_hf.data_scripts.published import published
from mdjpt_hf.errors import CorpusError

_RATE = 128.0
_SITUATIONS, _PARTS = 6, ("heard", "recalled")
_SCALE = (1.0, 9.0)


class DASPS(DownloadedCorpus):
    """The segments in MATLAB 7.3 files: 15 s in which a situation is told, and 15 s in which it is recalled.

    There are no classes, only ratings of valence and arousal. The situations were told face to face, so that nobody
    shares a moment with anybody. The `.edf` files of the download are whole sessions without usable marks.
    """

    about, classes = published("dasps")
    products: ClassVar = (Product("segments", r"S(?P<subject>\d{2})(?:preprocessed)?\.mat"),)
    expected_subjects: ClassVar = 23

    def recordings(self, subject: str, files: list[Path], report: UnitReport) -> Iterator[SourceRecording]:
        """One recording per segment."""
        path = only_file(files)
        data, labels = _checked(load_matlab(path, ("data", "labels").__contains__), path)
        for number, (signal, values) in enumerate(zip(data, labels, strict=True)):
            situation, part = divmod(number, len(_PARTS))
            ratings = rescaled({"valence": float(values[0]), "arousal": float(values[1])}, *_SCALE, path)
            marked = MarkedTrial(f"situation{situation + 1}-{_PARTS[part]}", number, ratings=ratings)
            yield SourceRecording(path, 0, signal, CHANNELS, _RATE, [marked])


def _checked(content: dict[str, np.ndarray], path: Path) -> tuple[np.ndarray, np.ndarray]:
    """`(12, 14, samples)` and `(12, 2)`; MATLAB shows the axes of the file as (14, samples, 12) and (12, 2)."""
    data, labels = content.get("data", np.empty(0)), content.get("labels", np.empty(0))
    count = _SITUATIONS * len(_PARTS)
    if data.ndim == 3 and data.shape[0] == len(CHANNELS) and data.shape[2] == count and labels.shape == (count, 2):
        return np.moveaxis(data, 2, 0), labels.astype(float)
    found = f"data {data.shape} and labels {labels.shape}"
    raise CorpusError(
        f"is no file of segments: wanted data ({len(CHANNELS)}, samples, {count}) and labels ({count}, 2) as MATLAB "
        f"shows them, found {found}",
        path=path,
        value=found,
        remedy="Give the folder of the segmented .mat files",
    )
