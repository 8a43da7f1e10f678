"""SEED-IV: 15 subjects saw 24 film clips in each of three sessions; four emotions."""

from pathlib import Path
from typing import ClassVar

from mdjpt_hf.data_scripts.neuroscan import NeuroscanRecording
from mdjpt_hf.data_scripts.products import Product
from mdjpt_hf.data_scripts.published import published
from mdjpt_hf.data_scripts.seed_family import SEEDFamily
from mdjpt_hf.errors import CorpusError

# features lie in eeg_feature_smooth and eye_feature_smooth under the same names
RAW_DATA = Product("eeg_raw_data", r"(?<!_smooth/)(?P<session>[123])/(?P<subject>\d{1,2})_(?P<date>\d{8})\.mat")


class SEEDIV(SEEDFamily):
    """SEED-IV in the folder its owners' download was unpacked to.

    A session is the folder a file lies in, and each has its own 24 clips, the same for everybody. What the owners call
    raw is at 200 Hz. Classes by the owners' codes: 0 neutral, 1 sad, 2 fear, 3 happy; happy is `joy` and sad is
    `sadness` in the common vocabulary.
    """

    about, classes = published("seed_iv")
    products = (RAW_DATA,)
    expected_subjects = 15
    labels = (
        (1, 2, 3, 0, 2, 0, 0, 1, 0, 1, 2, 1, 1, 1, 2, 3, 2, 2, 3, 3, 0, 3, 0, 3),
        (2, 1, 3, 0, 0, 2, 0, 2, 3, 3, 2, 3, 2, 0, 1, 1, 2, 1, 0, 3, 0, 1, 3, 1),
        (1, 2, 2, 1, 3, 3, 3, 1, 1, 2, 1, 0, 2, 3, 3, 0, 2, 3, 0, 0, 2, 0, 1, 0),
    )
    #: Whole windows of 4 s in every trial.
    windows: ClassVar[tuple[tuple[int, ...], ...]] = (
        (42, 23, 49, 32, 22, 40, 38, 52, 36, 42, 12, 27, 54, 42, 64, 35, 17, 44, 35, 12, 28, 28, 43, 34),
        (55, 25, 34, 36, 53, 27, 34, 46, 34, 20, 60, 12, 36, 27, 44, 15, 46, 49, 45, 10, 37, 44, 24, 19),
        (42, 32, 23, 45, 48, 26, 64, 23, 26, 16, 51, 41, 39, 19, 28, 44, 14, 17, 45, 22, 39, 38, 41, 39),
    )

    def session_of(self, file: Path) -> int:
        """The folder's number."""
        return int(self.product.parts(file)["session"]) - 1

    def spans(self, recording: NeuroscanRecording, file: Path, session: int) -> list[tuple[float, float]]:
        """There are none: this corpus is given away in trials only.

        Raises:
            CorpusError: Always.
        """
        raise CorpusError("is no file of SEED-IV", path=file, remedy=self.about.access)

    def usual_seconds(self, session: int, trial: int) -> tuple[float, float]:
        """Its windows of 4 s, and up to one more that is not whole at either end."""
        seconds = 4.0 * self.windows[session][trial]
        return seconds - 4, seconds + 8
