"""THU-EP: 80 people saw the 28 film clips that FACED shows as well; nine emotions."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np

from mdjpt_hf.data_scripts.base import UnitReport
from mdjpt_hf.data_scripts.downloaded import DownloadedCorpus
from mdjpt_hf.data_scripts.marked import MarkedTrial, SourceRecording
from mdjpt_hf.data_scripts.matlab import load_matlab
from mdjpt_hf.data_scripts.products import Product, only_file
from mdjpt_hf.data_scripts.published import published
from mdjpt_hf.data_scripts.tsinghua_clips import NUM_CLIPS, label_of, stimulus_of
from mdjpt_hf.errors import CorpusError

CHANNELS = tuple(
    ["Fp1", "Fp2", "Fz", "F3", "F4", "F7", "F8", "FC1", "FC2", "FC5", "FC6", "Cz", "C3", "C4", "T7", "T8"]
    + ["A1", "A2", "CP1", "CP2", "CP5", "CP6", "Pz", "P3", "P4", "P7", "P8", "PO3", "PO4", "Oz", "O1", "O2"]
)
RATE = 250.0
#: Delta to gamma, and the last, 0.5 to 47 Hz, which is the one that is read.
NUM_BANDS = 6

#: Subject -> clips its users leave out as bad; all of them for one.
_BAD = {75: tuple(range(1, NUM_CLIPS + 1)), 37: (16, 22, 25), 46: (4, 10, 18, 24, 27)}


class THUEP(DownloadedCorpus):
    """THU-EP in MATLAB 7.3 files of band-passed clips, of which the broad band is taken.

    Clips last 30 s and are in the order of their numbers; in which order they were shown, and the ratings, are not
    read. Clips that the corpus's users leave out as bad are left out with a line.
    """

    about, classes = published("thu_ep")
    products: ClassVar = (Product("EEG data", r"sub_(?P<subject>\d{1,2})\.mat"),)
    expected_subjects: ClassVar = 80

    def recordings(self, subject: str, files: list[Path], report: UnitReport) -> Iterator[SourceRecording]:
        """One recording per clip."""
        path = only_file(files)
        data = _checked(path)
        for clip in range(1, NUM_CLIPS + 1):
            if clip in _BAD.get(int(subject), ()):
                report.rejected.append(f"{path.name}: stimulus {stimulus_of(clip)} is bad, as the corpus's users say")
                continue
            marked = MarkedTrial(stimulus_of(clip), -1, label_of(clip))
            yield SourceRecording(path, 0, data[-1, clip - 1], CHANNELS, RATE, [marked])


def _checked(path: Path) -> np.ndarray:
    """`(bands, clips, channels, samples)`, the axes that MATLAB shows."""
    wanted = (NUM_BANDS, NUM_CLIPS, len(CHANNELS))
    shapes = {}
    for name, value in load_matlab(path).items():
        shapes[name] = value.shape
        if value.ndim == 4 and value.shape[:3] == wanted:
            return value
    raise CorpusError(
        f"should hold an array of shape {(*wanted, 'samples')} as MATLAB shows it, found {shapes}",
        path=path,
        value=shapes,
        remedy="Give the folder `EEG data`",
    )
