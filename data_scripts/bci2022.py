"""BCI2022: 80 people of a contest's training set saw the 28 film clips that FACED shows as well; nine emotions."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np

from mdjpt_hf.data_scripts.base import UnitReport
from mdjpt_hf.data_scripts.downloaded import DownloadedCorpus
from mdjpt_hf.data_scripts.marked import MarkedTrial, SourceRecording
from mdjpt_hf.data_scripts.pickles import load_joblib
from mdjpt_hf.data_scripts.products import Product, only_file
from mdjpt_hf.data_scripts.published import published
from mdjpt_hf.data_scripts.thu_ep import CHANNELS as FIRST_BATCH
from mdjpt_hf.data_scripts.tsinghua_clips import NUM_CLIPS, label_of, stimulus_of
from mdjpt_hf.errors import CorpusError

RATE = 250.0
#: The batches order their channels differently: in the second the two ear electrodes are the last, A2 before A1.
CHANNELS = {
    "first": FIRST_BATCH,
    "second": (*(name for name in FIRST_BATCH if name not in ("A1", "A2")), "A2", "A1"),
}
CLIP_STARTS, CLIP_ENDS = 240, 241


class BCI2022(DownloadedCorpus):
    """The training set of the contest: a pickled array for each subject, 32 channels and a row of events.

    A code from 1 to 28 names the clip, 240 its start and 241 its end. In which batch a subject stands decides the order
    of the channels, so that the folders must keep their names. The unit is not stated; numbers are taken for
    microvolts, and refused where they cannot be.
    """

    about, classes = published("bci2022")
    products: ClassVar = (
        Product("TrainSet", r"TrainSet_(?P<batch>first|second)_batch/sub(?P<subject>\d{1,3})/sub\d{1,3}\.pkl"),
    )
    expected_subjects: ClassVar = 80

    def recordings(self, subject: str, files: list[Path], report: UnitReport) -> Iterator[SourceRecording]:
        """One recording with all clips."""
        file = only_file(files)
        array = load_joblib(file)
        rows = len(FIRST_BATCH) + 1
        found = array.shape if isinstance(array, np.ndarray) else type(array).__name__
        if not isinstance(array, np.ndarray) or array.ndim != 2 or array.shape[0] != rows:
            raise CorpusError(
                f"must hold an array of shape ({rows}, samples), found {found}",
                path=file,
                value=found,
                remedy="Copy or download it again",
            )
        trials = _marked(array[-1], file, report)
        yield SourceRecording(file, 0, array[:-1], CHANNELS[self.product.parts(file)["batch"]], RATE, trials)


def _marked(events: np.ndarray, file: Path, report: UnitReport) -> list[MarkedTrial]:
    """Clips in the order of presentation."""
    trials: list[MarkedTrial] = []
    clip, start = 0, -1
    for place in np.flatnonzero(events).tolist():
        code = int(events[place])
        if 1 <= code <= NUM_CLIPS:
            clip, start = code, -1
        elif code == CLIP_STARTS and clip:
            start = place
        elif code == CLIP_ENDS and start >= 0:
            seconds = (place - start) / RATE
            trials.append(MarkedTrial(stimulus_of(clip), len(trials), label_of(clip), start / RATE, seconds))
            clip, start = 0, -1
    shown = [trial.stimulus for trial in trials]
    if not trials or len(set(shown)) < len(shown):
        raise CorpusError(
            f"its events should show clips once each, found {shown}",
            path=file,
            value=shown,
            remedy="Copy or download it again",
        )
    if len(trials) < NUM_CLIPS:
        report.notes.append(f"{file.name}: {len(trials)} of {NUM_CLIPS} clips have a start and an end")
    return trials
