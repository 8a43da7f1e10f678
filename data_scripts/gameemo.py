"""GAMEEMO: 28 people played four computer games, five minutes each, with an Emotiv EPOC."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np

from mdjpt_hf.data_scripts.base import UnitReport
from mdjpt_hf.data_scripts.downloaded import DownloadedCorpus
from mdjpt_hf.data_scripts.emotiv import CHANNELS, without_offset
from mdjpt_hf.data_scripts.marked import MarkedTrial, SourceRecording
from mdjpt_hf.data_scripts.matlab import load_matlab
from mdjpt_hf.data_scripts.products import Product, file_of_each
from mdjpt_hf.data_scripts.published import published
from mdjpt_hf.data_scripts.tables import read_samples
from mdjpt_hf.errors import CorpusError

_RATE = 128.0
_SECONDS = 38252 / _RATE
#: Far more than EEG around 0 has; the device's own offset is about 4200.
_OFFSET = 1000.0


class GAMEEMO(DownloadedCorpus):
    """The games as tables or MATLAB files, preprocessed by the owners or raw.

    Classes are what the games were chosen for, boring, calm, horror and funny, a game for each: game and class are one
    thing. Everybody plays at their own pace, so that nobody shares a moment with anybody. The owners' ratings are
    pictures of forms and are not read. In which order the games were played is not in the files.
    """

    about, classes = published("gameemo")
    products: ClassVar = (
        Product("preprocessed, CSV", r"S(?P<subject>\d{2})G(?P<game>[1-4])AllChannels\.csv"),
        Product("preprocessed, MATLAB", r"S(?P<subject>\d{2})G(?P<game>[1-4])AllChannels\.mat"),
        Product("raw, CSV", r"S(?P<subject>\d{2})G(?P<game>[1-4])AllRawChannels\.csv"),
        Product("raw, MATLAB", r"S(?P<subject>\d{2})G(?P<game>[1-4])AllRawChannels\.mat"),
    )
    expected_subjects: ClassVar = 28

    def recordings(self, subject: str, files: list[Path], report: UnitReport) -> Iterator[SourceRecording]:
        """One recording per game."""
        for game, file in file_of_each(files, lambda file: int(self.product.parts(file)["game"])).items():
            signal, notes = self._read(file), []
            if abs(float(np.median(signal))) > _OFFSET:
                signal, offset = without_offset(signal)
                notes.append(f"removed the offset of each channel, about {round(offset, -2):.0f}")
            if abs(signal.shape[1] / _RATE - _SECONDS) > 1:
                notes.append(f"lasts {signal.shape[1] / _RATE:.1f} s, {_SECONDS:.1f} usual")
            marked = MarkedTrial(f"game{game}", -1, game - 1)
            yield SourceRecording(file, 0, signal, CHANNELS, _RATE, [marked], notes=notes)

    def _read(self, file: Path) -> np.ndarray:
        """`(14, samples)` in the device's order, whatever that of the file."""
        if file.suffix == ".csv":
            names, values = read_samples(file, len(CHANNELS), ",", header=True)
            found = dict(zip(names, values, strict=True))
        else:
            found = {name: np.ravel(value) for name, value in load_matlab(file, CHANNELS.__contains__).items()}
        lengths = {len(values) for values in found.values()}
        if set(found) != set(CHANNELS) or len(lengths) != 1:
            raise CorpusError(
                f"should hold the channels {', '.join(CHANNELS)}, of one length; found {', '.join(found) or 'none'}",
                path=file,
                value=sorted(found),
                remedy="Copy or download it again",
            )
        return np.stack([found[name] for name in CHANNELS]).astype(float)
