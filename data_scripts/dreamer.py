"""DREAMER: 23 people, 18 film clips, 14 electrodes of an Emotiv EPOC; all of it in one MATLAB file."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mdjpt_hf.data_scripts.base import UnitReport
from mdjpt_hf.data_scripts.downloaded import DownloadedCorpus
from mdjpt_hf.data_scripts.emotiv import CHANNELS, without_offset
from mdjpt_hf.data_scripts.files import fingerprint, refuse_pointers
from mdjpt_hf.data_scripts.marked import MarkedTrial, SourceRecording, rescaled
from mdjpt_hf.data_scripts.matlab import load_matlab
from mdjpt_hf.data_scripts.products import EVERYBODY, Product, only_file
from mdjpt_hf.data_scripts.published import published
from mdjpt_hf.errors import CorpusError

#: What each clip was chosen to evoke, in the order in which everybody saw them.
TARGETS = (
    *("calmness", "surprise", "amusement", "fear", "excitement", "disgust"),
    *("happiness", "anger", "sadness", "disgust", "calmness", "amusement"),
    *("happiness", "anger", "fear", "excitement", "sadness", "surprise"),
)
SCALE = (1.0, 5.0)

_RATE = 128.0
_SHORTEST = 60.0  # s; every clip of the corpus is longer


class DREAMER(DownloadedCorpus):
    """The corpus as its `DREAMER.mat`; the baselines recorded before the clips are left out.

    Classes are the emotions the clips were chosen for. Calmness and excitement count as positive: all four clips were
    rated above the middle of the scale. Surprise has no valence: its two clips were rated 3.0 and 2.7 of 5.

    Values carry the amplifier's offset of about 4200, which is taken off each channel of each clip. Reading the file
    takes about 2 GB of memory for a moment, in every worker.
    """

    about, classes = published("dreamer")
    products: ClassVar = (Product("one file", r"DREAMER\.mat"),)
    expected_subjects: ClassVar = 23

    def units(self) -> list[str]:
        """The subjects in the file."""
        return [f"{number:02d}" for number in range(1, len(self._subjects()) + 1)]

    def recordings(self, subject: str, files: list[Path], report: UnitReport) -> Iterator[SourceRecording]:
        """One recording per clip."""
        path, content = files[0], self._subjects()[int(subject) - 1]
        for clip, signal in enumerate(content.clips, start=1):
            name = f"{path.name}: subject {subject}, clip {clip}"
            if signal.size == 0:
                report.rejected.append(f"{name} is empty")
                continue
            if signal.shape[1] < _SHORTEST * _RATE:
                report.notes.append(f"{name} lasts {signal.shape[1] / _RATE:.1f} s; every clip is longer than a minute")
            label = [meaning.name for meaning in self.classes].index(TARGETS[clip - 1])
            scores = dict(zip(_SCORES, map(float, content.scores[clip - 1]), strict=True))
            marked = MarkedTrial(f"clip{clip:02d}", clip - 1, label, ratings=rescaled(scores, *SCALE, path))
            notes = [f"removed the offset of each channel, about {round(content.offsets[clip - 1], -2):.0f}"]
            yield SourceRecording(path, 0, signal, CHANNELS, _RATE, [marked], notes=notes)

    def _subjects(self) -> "list[_Subject]":
        path = only_file(self.files[EVERYBODY])
        return _load(path, tuple(fingerprint(path, self.source)))


@dataclass
class _Subject:
    """clips: `(channels, samples)` float32. scores: `(clips, 3)`. offsets: what was taken off each clip on average."""

    clips: list[np.ndarray]
    scores: np.ndarray
    offsets: list[float]


_SCORES = ("valence", "arousal", "dominance")


@lru_cache(maxsize=1)
def _load(path: Path, version: tuple[Any, ...]) -> list[_Subject]:
    """The subjects of the file; kept while the file has this version, since one file serves every subject.

    Raises:
        CorpusError: If it is not the file of this corpus.
    """
    refuse_pointers(path)
    content = load_matlab(path, "DREAMER".__eq__).get("DREAMER")
    if content is None or not content.dtype.names:
        raise _foreign(path, "no struct named DREAMER")
    try:
        whole = content[0, 0]
        _check_setup(path, whole)
        return [_subject(path, whole["Data"][0, index][0, 0]) for index in range(whole["Data"].shape[1])]
    except CorpusError:
        raise
    except (IndexError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise _foreign(path, f"{type(error).__name__}: {error}") from error


def _check_setup(path: Path, whole: np.void) -> None:
    rate = float(whole["EEG_SamplingRate"].item())
    names = tuple(str(np.squeeze(name)) for name in whole["EEG_Electrodes"].ravel())
    if rate != _RATE or names != CHANNELS:
        raise _foreign(path, f"{rate:g} Hz, electrodes {', '.join(names)}")


def _subject(path: Path, content: np.void) -> _Subject:
    clips = [np.asarray(clip) for clip in content["EEG"][0, 0]["stimuli"].ravel()]
    scores = np.column_stack([np.ravel(content[f"Score{name.capitalize()}"]).astype(float) for name in _SCORES])
    if len(clips) != len(TARGETS) or scores.shape != (len(TARGETS), len(_SCORES)):
        raise _foreign(path, f"{len(clips)} clips and ratings of shape {scores.shape}")
    for clip in clips:
        # time comes first in this file; a clip has many more samples than channels
        if clip.size and (clip.ndim != 2 or clip.shape[1] != len(CHANNELS)):
            raise _foreign(path, f"a clip of shape {clip.shape}, wanted (samples, {len(CHANNELS)})")
    centred = [without_offset(clip.reshape(-1, len(CHANNELS)).T) for clip in clips]
    return _Subject([signal for signal, _ in centred], scores, [offset for _, offset in centred])


def _foreign(path: Path, found: str) -> CorpusError:
    return CorpusError(
        f"is not the DREAMER.mat of this corpus (struct DREAMER with Data, EEG_SamplingRate {_RATE:g}, EEG_Electrodes; "
        f"per subject EEG.stimuli of 18 clips (samples, 14) and Score... of 18): found {found}",
        path=path,
        value=found,
        remedy="Download it again, unchanged",
    )
