"""SEED-V: 16 subjects saw 15 film clips in each of three sessions; five emotions."""

from pathlib import Path
from typing import ClassVar

from mdjpt_hf.data_scripts.neuroscan import NeuroscanRecording
from mdjpt_hf.data_scripts.products import Product
from mdjpt_hf.data_scripts.published import published
from mdjpt_hf.data_scripts.seed_family import SEEDFamily

RAW = Product("EEG_raw", r"(?P<subject>\d{1,2})_(?P<session>[123])_(?P<date>\d{8})\.cnt")


class SEEDV(SEEDFamily):
    """SEED-V in the folder its owners' download was unpacked to.

    The digit in a file's name is the set of clips and is taken as the session; the dates show that nine subjects
    saw the sets in another order. Each set has its own 15 clips, the same for everybody. Classes by the owners' codes:
    0 disgust, 1 fear, 2 sad, 3 neutral, 4 happy; happy is `joy` and sad is `sadness` in the common vocabulary.
    """

    about, classes = published("seed_v")
    products = (RAW,)
    expected_subjects = 16
    labels = (
        (4, 1, 3, 2, 0) * 3,
        (2, 1, 3, 0, 4, 4, 0, 3, 2, 1, 3, 4, 1, 2, 0),
        (2, 1, 3, 0, 4, 4, 0, 3, 2, 1, 3, 4, 1, 2, 0),
    )
    #: Start and end of the clips in every session's recording, s.
    clips: ClassVar[tuple[tuple[tuple[float, float], ...], ...]] = (
        (
            *((30, 102), (132, 228), (287, 524), (555, 742), (773, 920), (982, 1240), (1271, 1568), (1628, 1697)),
            *((1730, 1994), (2025, 2166), (2227, 2401), (2435, 2607), (2667, 2901), (2932, 3172), (3204, 3359)),
        ),
        (
            *((30, 267), (299, 488), (548, 614), (646, 773), (836, 967), (1000, 1059), (1091, 1331), (1392, 1622)),
            *((1657, 1777), (1809, 1908), (1966, 2153), (2186, 2302), (2333, 2428), (2490, 2709), (2741, 2817)),
        ),
        (
            *((30, 321), (353, 418), (478, 643), (674, 764), (825, 877), (908, 1147), (1200, 1284), (1346, 1418)),
            *((1451, 1679), (1711, 1996), (2055, 2275), (2307, 2425), (2457, 2664), (2726, 2857), (2888, 3066)),
        ),
    )

    def session_of(self, file: Path) -> int:
        """The set of clips, the second number of the name."""
        return int(self.product.parts(file)["session"]) - 1

    def spans(self, recording: NeuroscanRecording, file: Path, session: int) -> list[tuple[float, float]]:
        """The clips' published times."""
        return list(self.clips[session])
