"""MPED: 23 people, 28 film clips, 62 channels; refused, because which segment is which clip is not settled."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from mdjpt_hf.data_scripts.base import UnitReport
from mdjpt_hf.data_scripts.downloaded import DownloadedCorpus
from mdjpt_hf.data_scripts.marked import SourceRecording
from mdjpt_hf.data_scripts.products import Product
from mdjpt_hf.data_scripts.published import published
from mdjpt_hf.errors import CorpusError

_WHY = (
    "cannot be read: each subject has 34 segments of signal for 28 clips and some rests, and no source says which "
    "segment is which; readers in circulation give some of them another clip's label"
)
_FEATURES = "holds features, not signals, which no encoder here takes"


class MPED(DownloadedCorpus):
    """Named, described, and refused with the reason, before anything is read."""

    about, classes = published("mped")
    products: ClassVar = (
        Product("raw_EEG_signals", r"raw_EEG_signals/[^/]+/[^/]+_dd?\.mat"),
        Product("EEG_feature", r"EEG_feature/(?:HHS|Hjorth|HOC|PSD|STFT)/[^/]+\.mat"),
    )
    expected_subjects: ClassVar = 23

    def __init__(self, source: str | Path, preprocessing: str = "basic"):
        super().__init__(source, preprocessing)
        raise self._refusal()

    def _refusal(self) -> CorpusError:
        features = self.product is self.products[1]
        return CorpusError(
            _FEATURES if features else _WHY,
            path=self.source,
            value=self.product.name,
            remedy="Ask the owners which segment is which clip; then list the segments in a table of own recordings",
        )

    def recordings(self, subject: str, files: list[Path], report: UnitReport) -> Iterator[SourceRecording]:
        """Refused, as the reader itself is when it is made."""
        raise self._refusal()
