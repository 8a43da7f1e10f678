"""When the samples of a recording were recorded: its stretches without a break and its marks, on the file's own clock.

A file may pause (EDF+D), be joined from pieces, or have had parts cut out. Programs leave different traces of that, and
this is the one place that knows them:

| trace | of | meaning |
|---|---|---|
| times of data records | EDF+, BDF+ | a pause: the clock runs on while no samples are stored |
| `SampleTimes` | Persyst | a pause; comments and samples still count as stored |
| `BAD_ACQ_SKIP` | MNE for FIF, EGI, NSx, Neuralynx, MEF | filled with zeros while the clock runs on |
| `boundary`, `BAD boundary`, `EDGE boundary` | EEGLAB, `mne.concatenate_raws`, Nihon Kohden | a seam |
| `New Segment/` | BrainVision | the same |
| `-99`; `32766`; `impedance` | EEGLAB, GDF, ANT | the same, in numbers or words that only mean it there |
| `discontinuity`, `recording paused`, `recording gap` ... | several recorders | the same |
| several files that do not follow one another | any | the same |

The clock starts with the first sample and is the one that the file's own markers are given in: the length of a pause
counts where they count it (EDF+D, zeros), and does not where they only number samples (all seams).
"""

import configparser
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, isfinite
from typing import Any

import numpy as np

from .edf_mdjpt import annotations, read_edf_file, record_clock
from .stretches_mdjpt import Stretch, break_notes, mask_spans, time_of, whole, without_samples

#: s; a record that begins this much off its expected time is one after a pause. Recorders round times.
CLOCK_TOLERANCE = 0.01

_SKIP = re.compile(r"bad_acq_skip", re.IGNORECASE)
_SEAM = re.compile(
    r"((bad|edge)[\s_-]*)?((segment|data)[\s_-]+)?boundary\b|new segment\b|(data )?discontinuit(y|ies)\b"
    r"|rec(ording)?[\s_-]+(gap|paused?|resumed?|stopped|restarted)\b",
    re.IGNORECASE,
)
#: Class of the reader -> texts that mean a seam in this format alone.
_SEAMS_OF_FORMATS = {
    "RawEEGLAB": re.compile(r"-99(\.0*)?$"),  # `boundary` where all event types are numbers
    "RawGDF": re.compile(r"32766$"),  # 0x7FFE, start of a new segment
    "RawANT": re.compile(r"impedance$", re.IGNORECASE),  # the signal is switched off meanwhile
}
_TYPE = re.compile(r"[A-Za-z ]+/")  # BrainVision's type of a marker, in front of its text


@dataclass(frozen=True)
class Mark:
    """A mark or event that stands in the file: s on its clock, and its text."""

    onset: float
    duration: float
    text: str

    @property
    def is_bad(self) -> bool:
        """Whether it says that the signal is bad: the text begins with "bad", as MNE has it.

        Behind a type (`Comment/BAD_moved`, so BrainVision) it must be a word: `Stimulus/badminton` is none.
        """
        return self.text.strip().lower().startswith("bad") or bool(re.match(r"bad(?![a-z])", self.bare, re.IGNORECASE))

    @property
    def bare(self) -> str:
        """The text without the type that BrainVision puts in front of it; types may be seams themselves."""
        text = self.text.strip()
        kind = _TYPE.match(text)
        return text if kind is None or _SEAM.match(text) else text[kind.end() :]


@dataclass
class Timeline:
    """When a recording's samples were taken.

    Attributes:
        rate: Hz. stretches: In order, at least one. marks: In order of time, without those that are seams.
    """

    rate: float
    stretches: list[Stretch]
    marks: list[Mark]

    @property
    def bad_spans(self) -> list[tuple[float, float]]:
        """(start, end) in s of what is marked bad."""
        return [(mark.onset, mark.onset + mark.duration) for mark in self.marks if mark.is_bad]

    @property
    def end(self) -> float:
        """Time of the end in s."""
        return max(stretch.end(self.rate) for stretch in self.stretches)

    def time_of(self, sample: float) -> float:
        """The time in s of a sample."""
        return time_of(sample, self.stretches, self.rate)

    def notes(self) -> list[str]:
        """The breaks in one sentence."""
        return break_notes(self.stretches, self.rate)


def read_timeline(raw: Any) -> Timeline:
    """The time line of an `mne.io.Raw`: from its annotations and, for EDF, BDF and Persyst, from the file behind it."""
    rate, n_samples = float(raw.info["sfreq"]), int(raw.n_times)
    stretches, filed = _stretches_of_files(raw, n_samples, rate)
    marks = _marks(raw, stretches, rate, filed)
    own = _SEAMS_OF_FORMATS.get(type(raw).__name__)
    seams = [mark for mark in marks if _SEAM.match(mark.bare) or (own and own.match(mark.bare))]
    usable = mask_spans(_skips(marks, rate), stretches, rate, n_samples)
    stretches = without_samples(stretches, usable, rate) or whole(n_samples)
    for seam in seams:
        stretches = _split(stretches, seam.onset, rate)
    others = [mark for mark in marks if not _SKIP.match(mark.bare) and (mark not in seams or _lasting_bad(mark))]
    return Timeline(rate, stretches, others)


def _lasting_bad(mark: Mark) -> bool:
    """A stretch marked `BAD boundary`; EEGLAB gives a boundary the length of what was cut out, which is not there."""
    return mark.is_bad and mark.duration > 0


def _skips(marks: Sequence[Mark], rate: float) -> list[tuple[float, float]]:
    rounding = 1e-3 / rate
    return [
        (mark.onset + rounding, mark.onset + mark.duration - rounding)
        for mark in marks
        if _SKIP.match(mark.bare) and mark.duration * rate > 0.5
    ]


def _split(stretches: Sequence[Stretch], onset: float, rate: float) -> list[Stretch]:
    """A seam stands before the first sample that is not earlier than it; EEGLAB puts it between two."""
    parts: list[Stretch] = []
    for stretch in stretches:
        sample = stretch.start + ceil((onset - stretch.onset) * rate - 0.25)  # FIF keeps times in single precision
        if stretch.start < sample < stretch.stop:
            middle = stretch.onset + (sample - stretch.start) / rate
            parts += [Stretch(stretch.start, sample, stretch.onset), Stretch(sample, stretch.stop, middle)]
        else:
            parts.append(stretch)
    return parts


# --- what the files say ---------------------------------------------------------------------------------------------


def _stretches_of_files(raw: Any, n_samples: int, rate: float) -> tuple[list[Stretch], "_FileMarks | None"]:
    """The stretches by the files behind the samples, and the marks of a single EDF or BDF file that pauses."""
    stretches: list[Stretch] = []
    filed = None
    parts = _parts(raw, n_samples)
    for path, first, count in parts:
        at = stretches[-1].stop if stretches else 0
        breaks, marks = _breaks(raw, path, rate)
        stretches += [
            Stretch(at + s.start, at + s.stop, at / rate + s.onset) for s in _inside(breaks, first, count, rate)
        ]
        if len(parts) == 1 and len(breaks) > 1 and marks is not None:
            filed = _FileMarks(marks, time_of(first, breaks, rate), first / rate, (first + count) / rate)
    return _joined(stretches, parts), filed


@dataclass
class _FileMarks:
    """Annotations as they stand in a paused file, (onset, duration, text), and where the recording lies in it.

    Attributes:
        zero: s on the file's clock of the recording's first sample.
        begin, end: s between which MNE keeps annotations, as if no sample were missing before.
    """

    annotations: list[tuple[float, float, str]]
    zero: float
    begin: float
    end: float

    def known(self) -> set[tuple[float, str]]:
        """Onset and text of those that MNE kept."""
        return {(round(onset, 6), text) for onset, _, text in self.annotations}

    def marks(self, kept: set[tuple[float, str]]) -> list[Mark]:
        """Those that MNE still has, and those that it dropped because it took them for later than the end."""
        return [
            Mark(onset - self.zero, duration, text)
            for onset, duration, text in self.annotations
            if (round(onset, 6), text) in kept or not self.begin <= onset < self.end
        ]


def _parts(raw: Any, n_samples: int) -> list[tuple[Any, int, int]]:
    """File, first sample within it and number of samples of every part of a recording; MNE keeps them privately."""
    paths = list(getattr(raw, "filenames", None) or [None])
    firsts = [int(first) for first in getattr(raw, "_first_samps", [0])]
    lasts = [int(last) for last in getattr(raw, "_last_samps", [n_samples - 1])]
    counts = [last - first + 1 for first, last in zip(firsts, lasts, strict=False)]
    if not len(paths) == len(firsts) == len(lasts) or sum(counts) != n_samples:
        return [(None, 0, n_samples)]
    return list(zip(paths, firsts, counts, strict=True))


def _joined(stretches: list[Stretch], parts: Sequence[tuple[Any, int, int]]) -> list[Stretch]:
    """Parts of a split file follow one another without a break."""
    joints, place = set(), 0
    for (_, first, count), (_, following, _) in zip(parts, parts[1:], strict=False):
        place += count
        if following == first + count:
            joints.add(place)
    merged: list[Stretch] = []
    for stretch in stretches:
        if merged and stretch.start in joints:
            merged[-1] = Stretch(merged[-1].start, stretch.stop, merged[-1].onset)
        else:
            merged.append(stretch)
    return merged


def _breaks(raw: Any, path: Any, rate: float) -> tuple[list[Stretch], list[tuple[float, float, str]] | None]:
    """Where the stretches of one file begin, `stop` unset; its annotations on its clock where MNE loses some."""
    suffix = os.path.splitext(str(path or ""))[1].lower()
    if suffix in (".edf", ".bdf") and os.path.isfile(path) and (file := read_edf_file(path)):
        channels = file.annotation_bytes()
        clock = record_clock(channels)
        begins = [(0, 0.0)] if clock is None else _jumps(clock, file.seconds)
        return [Stretch(round(record * file.seconds * rate), 0, time) for record, time in begins], annotations(channels)
    if type(raw).__name__ == "RawPersyst" and path:
        return _persyst_breaks(os.path.splitext(path)[0] + ".lay", rate), None
    return [Stretch(0, 0)], None


def _jumps(clock: np.ndarray, seconds: float) -> list[tuple[int, float]]:
    """(record, time) of the first record and of every one that does not follow the one before."""
    begins = [(0, 0.0)]
    for record, time in enumerate(clock.tolist()):
        first, onset = begins[-1]
        if isfinite(time) and abs(time - onset - (record - first) * seconds) > CLOCK_TOLERANCE:
            begins.append((record, time))
    return begins


def _persyst_breaks(path: str, rate: float) -> list[Stretch]:
    """Seams where the clock of `SampleTimes` (sample = s of the day) jumps; MNE 1.13 passes them over."""
    parser = configparser.ConfigParser(interpolation=None, strict=False, allow_no_value=True)
    try:
        with open(path, encoding="latin-1") as file:
            parser.read_file(file)
        section = next(name for name in parser.sections() if name.lower() == "sampletimes")
        points = sorted((int(sample), float(time or "")) for sample, time in parser.items(section))
    except (OSError, ValueError, StopIteration, configparser.Error):
        return [Stretch(0, 0)]
    found = [Stretch(0, 0)]
    for (before, earlier), (sample, later) in zip(points, points[1:], strict=False):
        if abs(later - earlier - (sample - before) / rate) > CLOCK_TOLERANCE:
            found.append(Stretch(sample, 0, sample / rate))
    return found


def _inside(breaks: Sequence[Stretch], first: int, count: int, rate: float) -> list[Stretch]:
    """The stretches of a part of a file that begins with sample `first`, counted from there in samples and time."""
    stops = [*(s.start for s in breaks[1:]), first + count]
    kept = [
        Stretch(max(s.start, first), min(stop, first + count), s.onset + max(first - s.start, 0) / rate)
        for s, stop in zip(breaks, stops, strict=True)
        if max(s.start, first) < min(stop, first + count)
    ]
    return [Stretch(s.start - first, s.stop - first, s.onset - kept[0].onset) for s in kept]


# --- what the annotations say ---------------------------------------------------------------------------------------


def _marks(raw: Any, stretches: Sequence[Stretch], rate: float, filed: "_FileMarks | None") -> list[Mark]:
    """All marks on the file's clock, in order of time.

    MNE counts annotations as if samples followed one another. For those of a paused EDF file that is wrong, since their
    times are the file's own; they are taken from there. What was added to the recording since was placed by samples.
    """
    offset = (
        float(getattr(raw, "first_samp", 0)) / rate
    )  # in a cropped recording their clock starts before the first sample
    marks = [
        Mark(float(a["onset"]) - offset, _finite(float(a["duration"])), str(a["description"]))
        for a in getattr(raw, "annotations", None) or []
    ]
    if filed is not None:
        keys = {(round(mark.onset + offset, 6), mark.text): mark for mark in marks}
        added = [mark for key, mark in keys.items() if key not in filed.known()]
        placed = [Mark(time_of(mark.onset * rate, stretches, rate), mark.duration, mark.text) for mark in added]
        marks = filed.marks(set(keys)) + placed
    return sorted(marks, key=lambda mark: mark.onset)


def _finite(seconds: float) -> float:
    return seconds if isfinite(seconds) else 0.0  # EEGLAB events without a duration
