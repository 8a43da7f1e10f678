"""What was shown to each subject of EmoEEG-MC, when, and how it was rated.

Trigger codes and orders of presentation are those of the README (version 1.0.7). Behaviour files hold the ratings, one
line per trial in order of time; half of them also name the trials.
"""

import csv
import re
from dataclasses import dataclass, field
from pathlib import Path

from mdjpt_hf.data_scripts.files import refuse_pointers
from mdjpt_hf.data_scripts.marked import rescaled
from mdjpt_hf.errors import CorpusError

#: Videos and imagery.
CONTEXTS = ("vid", "ima")
SCALE = (0.0, 7.0)
RATING_COLUMNS = {"arousal": "score_7", "valence": "score_8", "liking": "score_10"}

# (video, imagery, rating, fade) -> subjects
_CODES = {
    (31, 30, 29, 28): "01",
    (33, 32, 31, 30): "02 03 12",
    (51, 50, 49, 48): "04 07",
    (6, 5, 4, 3): "05 09 15 17 18 19 20 25 26 27 31 32 34 35 36 37 40 48 49 52 54 56 57",
    (24, 23, 22, 21): "06 10 11 13 14 16",
    (42, 41, 40, 37): "08",
    (36, 35, 34, 33): "21 23 24 60",
    (56, 55, 54, 53): "22 41",
    (16, 15, 14, 13): "28 38 44 45 50",
    (26, 25, 24, 23): "29 30 42 51 58 59",
    (15, 14, 13, 12): "33",
    (9, 8, 7, 6): "39",
    (38, 37, 36, 35): "43",
    (10, 9, 8, 7): "46 47",
    (38, 36, 33, 34): "53",
    (30, 29, 28, 27): "55",
}

#: Subject -> what an annotation's number means.
TRIGGERS: dict[str, dict[int, str]] = {
    subject: dict(zip(codes, ("vid", "ima", "rating", "fade"), strict=True))
    for codes, subjects in _CODES.items()
    for subject in subjects.split()
}

# The same order for videos and imagery. Subject 53 is not here: its behaviour file contradicts the README.
_BOTH = {
    "01": "joy5 ins5 joy8 fear8 sad8 dis5 neu4 neu5 neu8 ten5 ten8 joy4 dis4 fear4 sad4 ins8 ins4 ten4 dis8 fear5 sad5",
    "02": "fear8 fear5 dis4 ins8 joy8 ins4 neu4 neu8 neu5 sad4 dis8 fear4 ten5 ten8 joy4 dis5 sad8 sad5 joy5 ten4 ins5",
    "03": "ten4 joy4 joy8 neu4 neu8 neu5 dis5 fear4 fear5 ten8 ten5 ins5 fear8 dis4 dis8 ins8 joy5 ins4 sad4 sad5 sad8",
    "04": "fear5 dis8 dis5 joy4 ten5 ins5 neu4 neu8 neu5 sad8 fear8 sad4 ins4 ins8 joy8 fear4 sad5 dis4 ten4 joy5 ten8",
    "05": "joy8 ten4 ins5 fear5 sad5 dis4 neu4 neu5 neu8 joy4 ten8 joy5 sad4 dis8 fear8 ins4 ten5 ins8 sad8 dis5 fear4",
    "06": "joy8 ins5 ins8 dis4 dis8 fear8 ten4 joy5 ten5 dis5 fear5 fear4 ten8 ins4 joy4 sad8 sad4 sad5 neu4 neu5 neu8",
    "07": "joy8 ten8 joy4 fear4 sad5 dis5 ins5 ten5 ten4 dis4 sad8 dis8 ins4 ins8 joy5 sad4 fear8 fear5 neu4 neu5 neu8",
    "08": "neu4 neu5 neu8 dis8 sad4 fear5 ins4 ins5 ten5 dis4 sad8 fear4 ins8 joy4 ten8 fear8 dis5 sad5 ten4 joy8 joy5",
    "09": "sad5 fear4 fear8 joy4 joy8 ten5 dis8 dis5 sad4 neu4 neu8 neu5 ins8 ten8 ins4 sad8 fear5 dis4 joy5 ten4 ins5",
    "10": "sad4 fear5 sad8 joy8 ten8 joy4 sad5 dis8 fear4 neu4 neu8 neu5 ten4 ten5 ins4 dis4 fear8 dis5 joy5 ins5 ins8",
    "11": "joy4 ins4 joy5 fear8 dis8 sad4 ten8 ins5 ten5 sad5 sad8 fear5 ins8 ten4 joy8 neu8 neu4 neu5 fear4 dis4 dis5",
    "12": "sad8 fear5 fear8 ten8 ten5 joy8 fear4 sad4 sad5 neu4 neu8 neu5 ins8 ins4 ten4 dis5 dis8 dis4 joy5 joy4 ins5",
    "13": "sad8 dis8 sad4 ten4 ten8 ins4 dis5 fear8 sad5 ten5 ins5 joy8 neu4 neu8 neu5 fear5 fear4 dis4 joy4 joy5 ins8",
    "14": "ins8 ten4 ins5 neu4 neu8 neu5 sad5 dis4 sad4 ins4 ten8 ten5 dis8 sad8 fear8 joy5 joy4 joy8 fear4 fear5 dis5",
    "15": "ins8 ten5 ten8 sad8 sad4 sad5 joy4 ins4 ins5 fear8 fear5 fear4 ten4 joy5 joy8 neu5 neu4 neu8 dis4 dis5 dis8",
    "16": "fear4 dis4 fear8 ins8 joy8 ten8 dis5 sad4 dis8 ins5 ins4 joy4 neu8 neu4 neu5 fear5 sad8 sad5 joy5 ten5 ten4",
    "17": "ten5 ins4 ins8 dis8 fear4 sad5 ins5 joy8 ten4 sad8 fear8 fear5 ten8 joy5 joy4 sad4 dis5 dis4 neu5 neu4 neu8",
    "18": "neu4 neu5 neu8 sad4 dis8 dis5 joy4 ten4 ten5 sad5 fear5 fear4 ins5 ins4 ten8 dis4 fear8 sad8 joy8 ins8 joy5",
    "19": "joy5 ten8 ins4 fear4 dis8 sad4 ten5 joy8 joy4 sad8 dis5 fear8 neu8 neu4 neu5 ins5 ten4 ins8 fear5 dis4 sad5",
    "20": "joy5 ins8 joy4 neu4 neu5 neu8 fear4 sad4 fear8 ins5 ten4 ten5 dis4 sad8 sad5 ten8 ins4 joy8 dis5 fear5 dis8",
    "21": "ten8 joy4 ins5 sad4 dis4 fear8 ins8 joy8 ins4 neu8 neu4 neu5 sad5 sad8 fear5 ten5 joy5 ten4 fear4 dis5 dis8",
    "22": "joy5 ten8 ten4 dis4 fear4 fear5 joy8 ten5 joy4 sad5 sad8 dis8 neu5 neu8 neu4 ins4 ins5 ins8 fear8 sad4 dis5",
    "23": "neu4 neu5 neu8 dis4 fear4 sad8 ins8 joy4 ten8 fear8 fear5 sad5 ten4 ins5 joy8 dis8 sad4 dis5 ten5 joy5 ins4",
    "24": "joy5 ten5 ins4 fear4 sad8 sad4 ins5 ten4 ten8 sad5 fear5 fear8 ins8 joy8 joy4 dis8 dis5 dis4 neu8 neu4 neu5",
    "25": "dis8 dis5 sad4 ins8 ten4 joy8 sad8 fear4 fear8 joy5 ins4 ten8 dis4 fear5 sad5 neu8 neu5 neu4 joy4 ins5 ten5",
    "26": "fear4 sad5 fear8 ten4 ins5 joy8 dis4 dis8 sad8 ins4 joy5 joy4 dis5 sad4 fear5 ins8 ten8 ten5 neu5 neu8 neu4",
    "27": "dis4 dis5 fear4 ins8 ins4 joy5 sad8 fear8 sad5 ins5 joy4 ten8 neu4 neu8 neu5 fear5 sad4 dis8 ten4 ten5 joy8",
    "28": "ten4 ins5 joy4 dis5 sad5 fear4 ins8 joy8 ins4 fear5 fear8 dis8 neu5 neu8 neu4 ten8 joy5 ten5 sad4 dis4 sad8",
    "29": "joy5 ten5 ins5 neu8 neu4 neu5 fear5 sad8 sad5 joy8 ten8 joy4 fear8 fear4 dis4 ten4 ins8 ins4 dis8 dis5 sad4",
    "30": "sad8 dis8 dis5 joy5 ten4 joy4 sad5 fear5 fear8 ten8 ins8 ins4 sad4 fear4 dis4 joy8 ins5 ten5 neu5 neu8 neu4",
    "31": "dis4 dis8 sad4 neu5 neu4 neu8 joy5 ins8 ins4 fear4 fear8 sad8 ins5 ten8 joy4 sad5 dis5 fear5 ten4 joy8 ten5",
    "32": "joy5 joy4 ten4 sad5 fear5 fear4 ins5 ten8 ins8 dis8 dis5 sad8 ten5 ins4 joy8 sad4 fear8 dis4 neu5 neu8 neu4",
    "33": "sad5 dis8 dis5 ins5 ten5 ten4 dis4 fear4 fear5 ten8 ins8 joy4 neu5 neu4 neu8 fear8 sad4 sad8 joy5 joy8 ins4",
    "34": "ten5 ins5 joy4 sad4 fear5 fear4 ten8 joy8 ins8 dis8 sad5 dis5 joy5 ten4 ins4 dis4 fear8 sad8 neu4 neu8 neu5",
    "35": "sad4 fear8 dis4 ins4 ins8 joy4 neu8 neu5 neu4 sad8 fear4 dis5 ten4 ten5 ten8 sad5 dis8 fear5 joy8 ins5 joy5",
    "36": "joy5 joy4 joy8 dis4 dis8 fear5 neu5 neu8 neu4 ins4 ten5 ten4 dis5 sad5 fear4 ten8 ins8 ins5 sad4 sad8 fear8",
    "37": "fear4 dis5 sad5 neu5 neu4 neu8 ins8 joy8 ten5 fear5 sad4 fear8 ins4 joy4 ten8 dis4 dis8 sad8 joy5 ins5 ten4",
    "38": "joy8 ten8 ins8 fear8 sad4 fear5 ten4 ten5 joy5 sad8 dis4 fear4 neu4 neu5 neu8 ins5 ins4 joy4 sad5 dis8 dis5",
    "39": "ins4 ten8 joy4 neu5 neu8 neu4 dis8 fear4 sad8 ins5 joy8 ten4 dis5 dis4 fear5 ins8 ten5 joy5 fear8 sad5 sad4",
    "40": "ins4 ten4 ins5 sad5 dis5 fear4 neu5 neu8 neu4 ten5 ins8 joy4 sad8 fear5 sad4 ten8 joy5 joy8 dis8 dis4 fear8",
    "41": "ins5 ten8 ins4 dis8 sad4 dis5 joy8 ten5 ins8 neu8 neu4 neu5 fear8 dis4 fear5 joy4 joy5 ten4 sad5 sad8 fear4",
    "42": "ten8 ten4 joy8 dis8 sad5 sad4 joy5 ins8 ins4 neu4 neu5 neu8 fear4 dis4 fear5 ins5 ten5 joy4 dis5 fear8 sad8",
    "43": "ins5 ten5 ins4 neu5 neu8 neu4 sad4 dis4 sad5 ins8 joy8 joy4 fear8 fear4 dis8 ten8 ten4 joy5 dis5 sad8 fear5",
    "44": "sad8 dis5 dis4 joy5 ins5 joy8 sad5 sad4 fear5 ten4 ten8 ins4 neu8 neu5 neu4 dis8 fear8 fear4 joy4 ten5 ins8",
    "45": "ins5 joy8 ins8 fear8 fear5 sad5 joy5 ten8 ten5 neu5 neu4 neu8 dis5 dis8 sad4 ins4 ten4 joy4 sad8 dis4 fear4",
    "46": "fear5 dis5 dis8 ins5 ten5 ten8 neu8 neu4 neu5 fear8 dis4 sad4 ten4 ins8 ins4 sad5 sad8 fear4 joy8 joy4 joy5",
    "47": "ins4 joy5 joy8 sad5 fear5 dis8 neu8 neu4 neu5 ins8 ten4 joy4 fear8 dis5 sad8 ins5 ten8 ten5 sad4 dis4 fear4",
    "48": "joy5 ins8 ins5 dis8 dis5 fear5 ten4 ins4 joy8 dis4 fear4 sad5 ten8 ten5 joy4 fear8 sad8 sad4 neu8 neu4 neu5",
    "49": "dis4 sad5 sad4 neu4 neu8 neu5 joy4 ten5 ten8 dis8 fear8 dis5 ins4 joy8 ten4 fear4 sad8 fear5 ins8 ins5 joy5",
    "50": "ten5 ins8 ins4 neu4 neu8 neu5 fear4 fear8 dis4 joy4 ten4 ins5 fear5 sad5 dis8 ten8 joy8 joy5 sad4 sad8 dis5",
    "51": "ten8 joy8 ten5 dis8 fear5 dis4 joy5 ten4 ins4 fear4 sad4 dis5 neu8 neu4 neu5 ins8 ins5 joy4 sad5 fear8 sad8",
    "52": "joy4 joy5 ins8 fear5 dis5 dis8 neu5 neu4 neu8 joy8 ins5 ten5 sad5 fear4 dis4 ten4 ten8 ins4 sad8 fear8 sad4",
    "55": "dis5 sad4 fear8 joy4 joy5 ten8 fear5 sad8 sad5 joy8 ten5 ins8 dis8 dis4 fear4 ins5 ten4 ins4",
}

# Two orders; some trials of subjects 56 to 60 are missing.
_VIDEOS = {
    "54": "joy8 joy5 joy4 sad8 sad5 sad4 dis8 dis5 dis4 ins8 ins5 ins4 fear8 fear5 fear4 neu8 neu5 neu4 ten8 ten5 ten4",
    "56": "joy8 joy5 ins4 sad4 fear5 dis8 neu4 neu8 neu5 ten8 joy4 ins5 fear4 dis5 sad8 ins8 ten5 ten4 sad5 dis4 fear8",
    "57": "neu8 ins4 joy5 ten4 sad5 sad4 sad8 ins8 joy4 ten8 dis8 dis5 ten5 fear4 fear5",
    "58": "sad5 fear5 sad8 ins8 joy5 joy4 sad4 dis8 dis4 neu5 neu8 neu4 ten8 joy8 ten4 fear4 fear8 dis5 ins5 ten5 ins4",
    "59": "dis5 sad8 fear4 joy8 ins8 ins5 fear8 fear5 neu4 neu8 neu5 joy4 ten8 ten4 sad5 ten5 joy5",
    "60": "neu5 neu4 neu8 dis5 sad4 dis4 ten4 ins4 ten5",
}
_IMAGERY = {
    "54": "ten8 ten5 ten4 fear8 fear5 fear4 dis8 dis5 dis4 joy8 joy5 joy4 sad8 sad5 sad4 neu8 neu5 neu4 ins8 ins5 ins4",
    "56": "joy8 joy5 ins4 sad4 fear5 dis8 neu4 neu8 neu5 ten8 joy4 ins5 fear4 dis5 sad8 ins8 ten5 ten4 sad5",
    "57": "neu8 neu5 neu4 ins4 joy5 sad5 sad8 ins8 joy4 ten8 dis5 fear8 joy8 ins5 ten5 fear4 fear5",
    "58": "sad5 fear5 sad8 ins8 joy5 joy4 sad4 dis8 neu5 neu8 neu4 ten8 joy8 ten4 fear4 fear8 dis5 ins5",
    "59": "dis5 fear4 ins8 fear8 dis8 fear5 neu4 neu8 joy4 ten8 ten4 dis4 sad5 sad4 joy5",
    "60": "neu5 neu4 neu8 dis5 sad4 dis4 ten4",
}

#: Subject -> context ("vid", "ima") -> stimuli in order of presentation, where it is certain.
SEQUENCES: dict[str, dict[str, list[str]]] = {
    subject: {"vid": videos.split(), "ima": (_BOTH | _IMAGERY)[subject].split()}
    for subject, videos in (_BOTH | _VIDEOS).items()
}

# the numbers by which half of the behaviour files name a trial: 1 to 21 imagery, 22 to 42 videos
_PER_CONTEXT = 21
_EMOTIONS_BY_NUMBER = ("joy", "ins", "ten", "sad", "fear", "dis", "neu")
_CLIPS_BY_NUMBER = ("4", "8", "5")


@dataclass
class Behaviour:
    """The behaviour file of a subject, empty where there is none.

    Attributes:
        names: Context and stimulus of each line, in order of time; empty if the file does not tell.
        ratings: In [0, 1], of each line; nothing where the trial is missing.
    """

    names: list[tuple[str, str]] = field(default_factory=list)
    ratings: list[dict[str, float]] = field(default_factory=list)

    def by_name(self) -> dict[tuple[str, str], dict[str, float]]:
        """Context and stimulus -> ratings; empty if the file does not name its trials."""
        return dict(zip(self.names, self.ratings, strict=True)) if self.names else {}

    def in_time(self) -> list[dict[str, float]]:
        """The ratings of the trials that are not missing, in order of time."""
        return [ratings for ratings in self.ratings if ratings]

    def order(self, subject: str, context: str) -> list[str]:
        """The stimuli of a context as they were shown: by this file, or else by the README; empty if unknown."""
        return [stimulus for where, stimulus in self.names if where == context] or readme_order(subject, context)


def readme_order(subject: str, context: str) -> list[str]:
    """The stimuli of a context as the README lists them; empty where that is not certain."""
    return SEQUENCES.get(subject, {}).get(context, [])


def read_behaviour(path: Path) -> Behaviour:
    """The behaviour file of a subject.

    Raises:
        CorpusError: If it is a pointer, damaged, or holds ratings outside the scale.
    """
    refuse_pointers(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = list(csv.DictReader(file, delimiter="\t"))
        scores = [{name: _number(line[column]) for name, column in RATING_COLUMNS.items()} for line in lines]
        numbers = [int("".join(re.findall(r"\d", line["video_name"])) or 0) for line in lines]
    except (OSError, KeyError, TypeError, AttributeError, ValueError, csv.Error) as error:
        raise CorpusError(
            f"cannot be read as a behaviour file ({type(error).__name__}: {error})",
            path=path,
            remedy="Download it again",
        ) from error
    # in the other half the same number stands in every line and says nothing
    named = len(set(numbers)) == len(numbers) and all(1 <= number <= 2 * _PER_CONTEXT for number in numbers)
    return Behaviour(
        [_name(number) for number in numbers] if named else [], [rescaled(score, *SCALE, path) for score in scores]
    )


def _number(text: str) -> float:
    return float("nan") if text.strip().lower() in ("n/a", "") else float(text)


def _name(number: int) -> tuple[str, str]:
    place = (number - 1) % _PER_CONTEXT
    stimulus = _EMOTIONS_BY_NUMBER[place // 3] + _CLIPS_BY_NUMBER[place % 3]
    return ("ima" if number <= _PER_CONTEXT else "vid"), stimulus
