"""SEED-FRA: 8 French subjects saw 21 film clips in three sessions; three classes of valence."""

from pathlib import Path
from typing import ClassVar

from mdjpt_hf.data_scripts.neuroscan import NeuroscanRecording
from mdjpt_hf.data_scripts.products import Product
from mdjpt_hf.data_scripts.published import published
from mdjpt_hf.data_scripts.seed_family import SEEDFamily


class SEEDFRA(SEEDFamily):
    """SEED-FRA in the folder its owners' download was unpacked to.

    The clips and their order are the same in all three sessions. Classes: 0 negative, 1 neutral, 2 positive; in the
    owners' files -1, 0, 1; only neutral is a word of the common vocabulary of emotions. The times of the clips are
    known from a single source.
    """

    about, classes = published("seed_fra")
    # the folder above tells it from its German sister, whose files have the same names
    products = (Product("French/01-EEG-raw", r"French/01-EEG-raw/(?P<subject>\d{1,2})_(?P<session>[123])\.cnt"),)
    expected_subjects = 8
    labels = ((2, 0, 1, 0, 2, 1, 0, 1, 2, 0, 1, 2, 2, 1, 0, 0, 1, 2, 0, 1, 2),) * 3
    #: Start and end of the clips in every session's recording, s.
    clips: ClassVar[tuple[tuple[float, float], ...]] = (
        *((21, 193), (213, 468), (489, 667), (687, 962), (982, 1082), (1103, 1232), (1252, 1552), (1572, 1718)),
        *((1738, 1867), (1887, 2154), (2174, 2307), (2327, 2471), (2492, 2599), (2619, 2763), (2783, 2910)),
        *((2931, 3008), (3029, 3195), (3216, 3349), (3369, 3495), (3515, 3602), (3622, 3797)),
    )

    def notes(self) -> list[str]:
        """What is there, and how far the times are known."""
        return [*super().notes(), "the times of the clips are known from a single source"]

    def session_of(self, file: Path) -> int:
        """The second number of the name."""
        return int(self.product.parts(file)["session"]) - 1

    def stimulus(self, session: int, trial: int) -> str:
        """Id of the clip: the same in every session."""
        return f"clip{trial + 1:02d}"

    def spans(self, recording: NeuroscanRecording, file: Path, session: int) -> list[tuple[float, float]]:
        """The clips' times."""
        return list(self.clips)
