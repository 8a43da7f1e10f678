"""DASPS: 23 people imagined six situations that make anxious, each heard and then recalled, with an Emotiv EPOC."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np

from mdjpt_hf.data_scripts.base import CorpusFacts, UnitReport
from mdjpt_hf.data_scripts.downloaded import (
    DownloadedCorpus,
    MarkedTrial,
    Product,
    SourceRecording,
    only_file,
    rescaled,
)
from mdjpt_hf.data_scripts.emotiv import CHANNELS
from mdjpt_hf.data_scripts.matlab import load_matlab
from mdjpt_hf.errors import CorpusError

_RATE = 128.0
_SITUATIONS, _PARTS = 6, ("heard", "recalled")
_SCALE = (1.0, 9.0)

_CITATION = """@article{baghdadi2019dasps,
  author = {Baghdadi, Asma and Aribi, Yassine and Fourati, Rahma and Halouani, Najla and Siarry, Patrick and
            Alimi, Adel M.},
  title = {{DASPS}: A Database for Anxious States based on a Psychological Stimulation},
  journal = {arXiv preprint},
  year = {2019}, eprint = {1901.02942}, doi = {10.48550/arXiv.1901.02942}
}"""


class DASPS(DownloadedCorpus):
    """The segments in MATLAB 7.3 files: 15 s in which a situation is told, and 15 s in which it is recalled.

    There are no classes, only ratings of valence and arousal. The situations were told face to face, so that nobody
    shares a moment with anybody. The `.edf` files of the download are whole sessions without usable marks.
    """

    products: ClassVar = (Product("segments", r"S(?P<subject>\d{2})(?:preprocessed)?\.mat"),)
    expected_subjects: ClassVar = 23
    about: ClassVar = CorpusFacts(
        name="dasps",
        title="DASPS",
        licence="Terms of IEEE DataPort",
        redistributable=False,
        label_source="none",
        citation=_CITATION,
        access="With an account at IEEE DataPort, under the title of the article; give the folder of the .mat files",
        rating_scale="valence, arousal: self-assessment, 1 to 9",
        redistribution="The terms of IEEE DataPort are between it and each user",
        size="23 subjects, 6 situations, each heard and recalled",
        channels=14,
        hours=1.1,
        unaligned="situations were told face to face and recalled at one's own pace",
    )

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
