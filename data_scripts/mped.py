"""MPED: 23 people, 28 film clips, 62 channels; refused, because which segment is which clip is not settled."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from mdjpt_hf.data_scripts.base import CorpusFacts, UnitReport
from mdjpt_hf.data_scripts.downloaded import DownloadedCorpus, EmotionClass, Product, SourceRecording
from mdjpt_hf.errors import CorpusError

_WHY = (
    "cannot be read: each subject has 34 segments of signal for 28 clips and some rests, and no source says which "
    "segment is which; readers in circulation give some of them another clip's label"
)
_FEATURES = "holds features, not signals, which no encoder here takes"

_CITATION = """@article{song2019mped,
  author = {Song, Tengfei and Zheng, Wenming and Lu, Cheng and Zong, Yuan and Zhang, Xilei and Cui, Zhen},
  title = {{MPED}: A Multi-Modal Physiological Emotion Database for Discrete Emotion Recognition},
  journal = {IEEE Access},
  volume = {7}, pages = {12177--12191}, year = {2019}, doi = {10.1109/ACCESS.2019.2891579}
}"""


class MPED(DownloadedCorpus):
    """Named, described, and refused with the reason, before anything is read."""

    products: ClassVar = (
        Product("raw_EEG_signals", r"raw_EEG_signals/[^/]+/[^/]+_dd?\.mat"),
        Product("EEG_feature", r"EEG_feature/(?:HHS|Hjorth|HOC|PSD|STFT)/[^/]+\.mat"),
    )
    classes: ClassVar = (
        EmotionClass("neutral", "neutral", "neutral"),
        EmotionClass("joy", "joy", "positive"),
        EmotionClass("funny", "amusement", "positive"),
        EmotionClass("angry", "anger", "negative"),
        EmotionClass("fear", "fear", "negative"),
        EmotionClass("disgust", "disgust", "negative"),
        EmotionClass("sadness", "sadness", "negative"),
    )
    expected_subjects: ClassVar = 23
    about: ClassVar = CorpusFacts(
        name="mped",
        title="MPED (known, not readable yet)",
        licence="Licence document signed by each user",
        redistributable=False,
        label_source="stimulus",
        label_names=tuple(meaning.name for meaning in classes),
        citation=_CITATION,
        access="With the signed licence of https://github.com/tengfei000/mped. Its signals are refused so far",
        redistribution="The licence is between the owners and each user",
        size="23 subjects, 28 film clips",
        channels=62,
    )

    def __init__(self, source: str | Path, preprocessing: str = "basic"):
        super().__init__(source, preprocessing)
        features = self.product is self.products[1]
        raise CorpusError(
            _FEATURES if features else _WHY,
            path=self.source,
            value=self.product.name,
            remedy="Ask the owners which segment is which clip; then list the segments in a table of own recordings",
        )

    def recordings(self, subject: str, files: list[Path], report: UnitReport) -> Iterator[SourceRecording]:
        """Never reached."""
        raise NotImplementedError
