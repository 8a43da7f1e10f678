"""SEED: 15 subjects saw 15 film clips in three sessions; three classes of valence."""

from pathlib import Path
from typing import ClassVar

from mdjpt_hf.data_scripts.base import UnitReport
from mdjpt_hf.data_scripts.neuroscan import NeuroscanRecording
from mdjpt_hf.data_scripts.products import Product
from mdjpt_hf.data_scripts.published import published
from mdjpt_hf.data_scripts.seed_family import SEEDFamily
from mdjpt_hf.errors import CorpusError

# neither features, whose files have the same names, nor the numbered session folders of SEED-IV
PREPROCESSED = Product(
    "Preprocessed_EEG", r"(?!ExtractedFeatures|[123]/)[^/]+/(?P<subject>\d{1,2})_(?P<date>\d{8})\.mat"
)
RAW = Product("SEED_RAW_EEG", r"(?P<subject>\d{1,2})_(?P<session>[123])\.cnt")


class SEED(SEEDFamily):
    """SEED in the folder its owners' download was unpacked to.

    The clips and their order are the same in all three sessions, so the trial's position names the clip. Classes:
    0 negative, 1 neutral, 2 positive; in the owners' files -1, 0, 1. What the negative and the positive clips evoke
    beyond valence is not published, so only neutral is a word of the common vocabulary of emotions.
    """

    about, classes = published("seed")
    products = (PREPROCESSED, RAW)
    expected_subjects = 15
    labels = ((2, 1, 0, 0, 1, 2, 0, 1, 2, 2, 1, 0, 1, 2, 0),) * 3
    #: Start and end of the clips in the raw recordings, s.
    clips: ClassVar[tuple[tuple[float, float], ...]] = (
        *((27, 262), (290, 523), (551, 757), (784, 1022), (1050, 1235), (1262, 1457), (1484, 1721), (1748, 1964)),
        *((1993, 2258), (2287, 2524), (2551, 2786), (2812, 3045), (3072, 3307), (3335, 3573), (3599, 3805)),
    )

    def sessions(self, files: list[Path], report: UnitReport) -> list[tuple[int, Path]]:
        """Session and file: preprocessed files bear dates only, and sessions are the ranks of their dates.

        Raises:
            CorpusError: If a subject has more dates than there were sessions.
        """
        found = super().sessions(files, report)
        if self.product is RAW:
            return found
        if len(found) > len(self.labels):
            raise CorpusError(
                f"is a file of a subject with {len(found)} dates, but there were {len(self.labels)} sessions",
                path=found[-1][1],
                value=[date for date, _ in found],
                remedy="Take out what is no recording of this corpus",
            )
        return [(rank, file) for rank, (_, file) in enumerate(found)]

    def session_of(self, file: Path) -> int:
        """Number in the name of a raw recording; date of a preprocessed file."""
        parts = self.product.parts(file)
        return int(parts["session"]) - 1 if "session" in parts else int(parts["date"])

    def stimulus(self, session: int, trial: int) -> str:
        """Id of the clip: the same in every session."""
        return f"clip{trial + 1:02d}"

    def spans(self, recording: NeuroscanRecording, file: Path, session: int) -> list[tuple[float, float]]:
        """The clips' published times."""
        return list(self.clips)

    def usual_seconds(self, session: int, trial: int) -> tuple[float, float]:
        """A clip's published length; files have one sample more."""
        start, end = self.clips[trial]
        return end - start - 1, end - start + 1
