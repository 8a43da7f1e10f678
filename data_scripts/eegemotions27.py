"""EEGEmotions-27: 88 people saw 27 film clips, one for each of 27 emotions, with an Emotiv EPOC X."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from mdjpt_hf.data_scripts.base import EmotionClass, UnitReport
from mdjpt_hf.data_scripts.downloaded import DownloadedCorpus
from mdjpt_hf.data_scripts.emotiv import CHANNELS, without_offset
from mdjpt_hf.data_scripts.marked import MarkedTrial, SourceRecording
from mdjpt_hf.data_scripts.products import Product, file_of_each
from mdjpt_hf.data_scripts.published import published
from mdjpt_hf.data_scripts.tables import read_samples
from mdjpt_hf.errors import CorpusError

_RATE = 256.0


def _class(name: str, emotion: str | None = None, valence: str | None = None) -> EmotionClass:
    return EmotionClass(name, emotion, valence)


class EEGEmotions27(DownloadedCorpus):
    """The raw recordings, one text file for each person and emotion; about 34 of the 2,376 were never made.

    There is one clip for each emotion: clip and class are one thing, and what tells classes apart may be the clip.
    Valence is given where the common vocabulary of this package gives it to the same emotion, and nowhere else. In
    which order the clips were shown is not in the files.

    Values carry the amplifier's offset of about 4200, which is taken off each channel of each clip. Whether a count is
    a microvolt or 0.51 of one is not settled; counts are taken for microvolts, which changes no scaled window.
    """

    about, classes = published("eegemotions27")
    products: ClassVar = (Product("eeg_raw", r"(?P<subject>\d{1,3})_(?P<emotion>\d{1,2})\.0\.txt"),)
    expected_subjects: ClassVar = 88

    def recordings(self, subject: str, files: list[Path], report: UnitReport) -> Iterator[SourceRecording]:
        """One recording per clip."""
        clips = file_of_each(files, lambda file: int(self.product.parts(file)["emotion"]))
        for emotion, file in clips.items():
            if not 1 <= emotion <= len(self.classes):
                raise CorpusError(
                    f"is of emotion {emotion}, but there are {len(self.classes)}",
                    path=file,
                    value=emotion,
                    remedy="Take out what is no recording of this corpus",
                )
            signal, offset = without_offset(read_samples(file, len(CHANNELS), "\t", header=False)[1])
            marked = MarkedTrial(f"clip{emotion:02d}", -1, emotion - 1)
            notes = [f"removed the offset of each channel, about {round(offset, -2):.0f}"]
            yield SourceRecording(file, 0, signal, CHANNELS, _RATE, [marked], notes=notes)
        if len(clips) < len(self.classes):
            report.notes.append(f"subject {subject}: {len(clips)} of {len(self.classes)} clips are here")
