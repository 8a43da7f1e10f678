"""SEED-VII: 20 subjects saw 20 film clips in each of four sessions; six basic emotions and neutral."""

import csv
import re
from pathlib import Path
from typing import ClassVar

from mdjpt_hf.data_scripts.files import refuse_pointers
from mdjpt_hf.data_scripts.neuroscan import NeuroscanRecording
from mdjpt_hf.data_scripts.products import Product
from mdjpt_hf.data_scripts.published import published
from mdjpt_hf.data_scripts.seed_family import SEEDFamily
from mdjpt_hf.errors import CorpusError

PREPROCESSED = Product("EEG_preprocessed", r"EEG_preprocessed/(?P<subject>\d{1,2})\.mat")
RAW = Product("EEG_raw", r"(?P<subject>\d{1,2})_(?P<date>\d{8})_(?P<session>[1-4])\.cnt")

_HAPPY, _NEUTRAL, _DISGUST, _SAD, _ANGER, _SURPRISE, _FEAR = range(7)
_CLOCK = re.compile(r"(\d{1,2}):(\d{2}):(\d{2}(?:\.\d+)?)")


class SEEDVII(SEEDFamily):
    """SEED-VII in the folder its owners' download was unpacked to.

    Each session has its own 20 clips, the same for everybody; clip k of session s (from 0) is number 20 s + k of the
    owners' files. Classes: 0 happy, 1 neutral, 2 disgust, 3 sad, 4 anger, 5 surprise, 6 fear. The owners give names
    only, and the numbers in circulation disagree: these are ours. Happy is `joy` and sad is `sadness` in the common
    vocabulary. Surprise can be pleasant or not, so it has no class of valence.
    """

    about, classes = published("seed_vii")
    products = (PREPROCESSED, RAW)
    expected_subjects = 20
    variable = r"^(\d+)$"
    # the order of emotions comes twice in a session, with other clips
    labels = (
        (_HAPPY, _NEUTRAL, _DISGUST, _SAD, _ANGER, _ANGER, _SAD, _DISGUST, _NEUTRAL, _HAPPY) * 2,
        (_ANGER, _SAD, _FEAR, _NEUTRAL, _SURPRISE, _SURPRISE, _NEUTRAL, _FEAR, _SAD, _ANGER) * 2,
        (_HAPPY, _SURPRISE, _DISGUST, _FEAR, _ANGER, _ANGER, _FEAR, _DISGUST, _SURPRISE, _HAPPY) * 2,
        (_DISGUST, _SAD, _FEAR, _SURPRISE, _HAPPY, _HAPPY, _SURPRISE, _FEAR, _SAD, _DISGUST) * 2,
    )
    #: Recordings whose triggers are wrong, and when they began by the clock of their list of triggers.
    without_triggers: ClassVar[dict[str, str]] = {
        "14_20221015_1.cnt": "14:25:34",
        "9_20221111_3.cnt": "14:01:27",
    }

    def session_of(self, file: Path) -> int:
        """The last number in the name of a raw recording; a preprocessed file holds all sessions."""
        return int(self.product.parts(file).get("session", 1)) - 1

    def expected_files(self) -> int:
        """One with all sessions, or one for each."""
        return 1 if self.product is PREPROCESSED else len(self.labels)

    def places(self, session: int) -> dict[int, tuple[int, int]]:
        """Trials are numbered through all sessions, 20 in each."""
        return {20 * s + trial + 1: (s, trial) for s in range(len(self.labels)) for trial in range(20)}

    def usual_seconds(self, session: int, trial: int) -> tuple[float, float]:
        """What the trials of the owners' files last, rounded outwards; the paper says 2 to 5 minutes."""
        return 54, 350

    def spans(self, recording: NeuroscanRecording, file: Path, session: int) -> list[tuple[float, float]]:
        """From every trigger 1 to the 2 behind it; keys pressed in between do not count.

        Raises:
            CorpusError: If the triggers are not one start and one end per clip, or a file of triggers is missing.
        """
        if file.name in self.without_triggers:
            recording.notes.append("times of the trials are those of trigger_info.csv: the triggers recorded are wrong")
            times = self._listed_triggers(file)
        else:
            times = [(onset, text) for onset, text in recording.events if text in ("1", "2")]
        spans = [(start, end) for (start, _), (end, _) in zip(times[::2], times[1::2], strict=False)]
        if "".join(text for _, text in times) != "12" * len(self.labels[session]) or any(b <= a for a, b in spans):
            raise CorpusError(
                f"should have {len(self.labels[session])} times a trigger 1 and then 2, found {len(times)} triggers: "
                f"{' '.join(text for _, text in times)[:120]}",
                path=file,
                value=[text for _, text in times],
                remedy="Copy or download it again, or leave this recording out",
            )
        return spans

    def source_files(self) -> list[Path]:
        """Recordings, and the lists of triggers that stand in for those of some."""
        files = super().source_files()
        return [*files, *(self._trigger_list(file) for file in files if file.name in self.without_triggers)]

    def _trigger_list(self, file: Path) -> Path:
        return file.parent.parent / "save_info" / f"{file.stem}_trigger_info.csv"

    def _listed_triggers(self, file: Path) -> list[tuple[float, str]]:
        """Triggers by the clock, s from the start of the recording."""
        path = self._trigger_list(file)
        try:
            refuse_pointers(path)
            lines = list(csv.reader(path.read_text(encoding="utf-8-sig", errors="replace").splitlines()))
        except OSError:
            raise CorpusError(
                f"{file.name} has wrong triggers, and the file with the right ones is not here",
                path=path,
                value=file.name,
                remedy="Copy save_info from the download to beside EEG_raw",
            ) from None
        start = _seconds(self.without_triggers[file.name], path)
        # a recording may go on past midnight
        return [((_seconds(" ".join(line[1:2]), path) - start) % 86400, line[0].strip()) for line in lines if line]


def _seconds(clock: str, path: Path) -> float:
    """Seconds since midnight of a time of day, with or without a date in front."""
    match = _CLOCK.search(clock)
    if match is None:
        raise CorpusError(
            f"a line has no time of day such as 14:25:34, found {clock!r}",
            path=path,
            value=clock,
            remedy="Copy the file from the download again",
        )
    return 3600 * int(match[1]) + 60 * int(match[2]) + float(match[3])
