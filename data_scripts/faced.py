"""FACED: 123 subjects saw 28 film clips in one session; nine emotions and ratings."""

import csv
import dataclasses
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mne
import numpy as np

from mdjpt_hf.data_scripts.base import CorpusFacts, UnitReport
from mdjpt_hf.data_scripts.downloaded import DownloadedCorpus
from mdjpt_hf.data_scripts.files import read_recording, refuse_pointers
from mdjpt_hf.data_scripts.marked import MarkedTrial, SourceRecording, rescaled
from mdjpt_hf.data_scripts.matlab import load_matlab
from mdjpt_hf.data_scripts.pickles import load_pickle
from mdjpt_hf.data_scripts.products import Product, only_file
from mdjpt_hf.data_scripts.published import published
from mdjpt_hf.data_scripts.tsinghua_clips import NUM_CLIPS, label_of, stimulus_of
from mdjpt_hf.errors import CorpusError

# features have the same names, mostly with the suffix twice
PROCESSED = Product("Processed_data", r"(?<!DE/)(?<!PSD/)sub(?P<subject>\d{3})\.pkl(?:\.pkl)?")
BIDS = Product("BIDS", r"sub-(?P<subject>\d{3})/eeg/sub-\d{3}_task-\w+_eeg\.bdf")
RAW = Product("Data", r"sub(?P<subject>\d{3})/data\.bdf")

#: Rows of the processed arrays.
PROCESSED_CHANNELS = tuple(
    ["Fp1", "Fp2", "Fz", "F3", "F4", "F7", "F8", "FC1", "FC2", "FC5", "FC6", "Cz", "C3", "C4", "T7", "T8"]
    + ["CP1", "CP2", "CP5", "CP6", "Pz", "P3", "P4", "P7", "P8", "PO3", "PO4", "Oz", "O1", "O2", "A2", "A1"]
)
PROCESSED_RATE = 250.0
PROCESSED_SECONDS = 30
#: Subjects from this one on were recorded with other names for the last two electrodes.
_FIRST_RENAMED = 61
_RENAMED = "HEOR and HEOL of this recording are what the owners call A2 and A1; neither is used"

#: Code that stands for the start and the end of a clip in the raw recordings; the clip's number comes before it.
CLIP_START, CLIP_END = 101, 102
#: Place of the ratings among the twelve scores, which run from 0 to 7.
SCORES = {"arousal": 8, "valence": 9, "liking": 11}
SCORE_RANGE = (0.0, 7.0)

_MICROVOLT = ("uV", "\u00b5V", "\u03bcV", "\x83\xcaV")
_UNITS = (*_MICROVOLT, "mV", "V")


@dataclass
class Shown:
    """A clip as it was shown to somebody: its number from 1, its time in s where known, and the ratings in [0, 1]."""

    clip: int
    onset: float = 0.0
    duration: float | None = None
    ratings: dict[str, float] | None = None


class FACED(DownloadedCorpus):
    """FACED as its owners give it away, processed or raw, or in the BIDS copy of NEMAR.

    Processed arrays hold the last 30 s of every clip; raw recordings are cut to the whole clip. Classes by the owners'
    codes: 0 anger, 1 disgust, 2 fear, 3 sadness, 4 neutral, 5 amusement, 6 inspiration, 7 joy, 8 tenderness; all nine
    are words of the common vocabulary. Negative are 0 to 3, positive 5 to 8. The order of clips differs between
    subjects; where no file tells it, `trial` is -1 and there are no ratings.

    The last two of the 32 electrodes are called HEOR and HEOL in the recordings of the subjects 061 to 122, and A2 and
    A1 in those before and in all processed files. They are references or lie beside the eyes: none is used.
    """

    about, classes = published("faced")
    products = (PROCESSED, BIDS, RAW)
    expected_subjects = 123

    @property
    def facts(self) -> list[CorpusFacts]:
        """The one dataset of this builder; the BIDS copy is under terms of its own."""
        if self.product is not BIDS:
            return [self.about]
        source = "CC-BY-4.0 by the dataset_description.json and the README of NEMAR nm000112"
        terms = dataclasses.replace(self.about, licence="CC-BY-4.0", licence_id="cc-by-4.0", redistribution=source)
        return [dataclasses.replace(terms, redistributable=True)]

    def recordings(self, subject: str, files: list[Path], report: UnitReport) -> Iterator[SourceRecording]:
        """Yield one recording, or the processed clips one by one.

        Raises:
            CorpusError: If a file cannot be read as this corpus, or there are two of one subject.
        """
        file = only_file(files)
        if self.product is PROCESSED:
            yield from self._processed(file, report)
        elif self.product is BIDS:
            yield _continuous(file, _read_bids_events(_bids_events(file)))
        else:
            yield _continuous(file, self._raw_clips(file, report))

    def source_files(self) -> list[Path]:
        """Recordings, and what stands beside them with the order of clips and the ratings."""
        recordings = super().source_files()
        if self.product is BIDS:
            return [*recordings, *map(_bids_events, recordings)]
        events = [file.with_name("evt.bdf") for file in recordings if self.product is RAW]
        return [*recordings, *events, *filter(None, map(self._remarks, recordings))]

    def _processed(self, file: Path, report: UnitReport) -> Iterator[SourceRecording]:
        array, wanted = load_pickle(file), (NUM_CLIPS, len(PROCESSED_CHANNELS))
        found = array.shape if isinstance(array, np.ndarray) else type(array).__name__
        if not isinstance(array, np.ndarray) or array.ndim != 3 or array.shape[:2] != wanted:
            raise CorpusError(
                f"must hold an array of shape {(*wanted, 'samples')}, found {found}",
                path=file,
                value=found,
                remedy="Give the folder Processed_data; features are no recordings",
            )
        seconds = array.shape[2] / PROCESSED_RATE
        if seconds != PROCESSED_SECONDS:
            report.notes.append(f"{file.name}: clips last {seconds:g} s, {PROCESSED_SECONDS} usual")
        shown = self._order(file, report) or [Shown(clip + 1) for clip in range(NUM_CLIPS)]
        is_ordered = shown[0].ratings is not None
        if int(self.product.parts(file)["subject"]) >= _FIRST_RENAMED:
            report.notes.append(f"{file.name}: {_RENAMED}")
        for position, one in enumerate(shown):
            trial = _marked(one, position if is_ordered else -1)
            yield SourceRecording(file, 0, array[one.clip - 1], PROCESSED_CHANNELS, PROCESSED_RATE, [trial])

    def _raw_clips(self, file: Path, report: UnitReport) -> list[Shown]:
        events = file.with_name("evt.bdf")
        clips, rated = _read_triggers(events), self._order(file, report)
        if rated and [one.clip for one in rated] != [one.clip for one in clips]:
            raise CorpusError(
                f"marks the clips in another order than {self._remarks(file)}",
                path=events,
                value=[one.clip for one in clips],
                remedy="Check that both files are of this subject",
            )
        for one, known in zip(clips, rated, strict=False):
            one.ratings = known.ratings
        return clips

    def _remarks(self, file: Path) -> Path | None:
        """The file with the order and ratings of a subject's clips: in Data, beside or below what was given."""
        name = Path(f"sub{self.product.parts(file)['subject']}", "After_remarks.mat")
        places = (file.parent.parent, file.parent.parent / "Data", self.source / "Data", self.source)
        return next((place / name for place in places if os.path.lexists(place / name)), None)

    def _order(self, file: Path, report: UnitReport) -> list[Shown]:
        remarks = self._remarks(file)
        if remarks is None:
            report.notes.append(f"{file.name}: no After_remarks.mat is here, so there are no ratings")
            return []
        return _read_remarks(remarks)


def _marked(shown: Shown, position: int) -> MarkedTrial:
    clip, ratings = shown.clip, shown.ratings or {}
    return MarkedTrial(stimulus_of(clip), position, label_of(clip), shown.onset, shown.duration, ratings)


def _continuous(file: Path, clips: list[Shown]) -> SourceRecording:
    unit = _true_unit(file)
    recording, notes = read_recording(file, unit)
    if unit == "uV":
        notes.append("the header gives no unit; values are taken as µV")
    if {"HEOR", "HEOL"} & {name.upper() for name in recording.selection.dropped}:
        notes.append(_RENAMED)
    trials = [_marked(shown, position) for position, shown in enumerate(clips)]
    return SourceRecording.of_file(file, recording, trials, notes)


def _true_unit(file: Path) -> str | None:
    """What the values of a BDF are when MNE has read them: "uV" where the header gives no unit, None where it does.

    Without a unit MNE leaves numbers alone and calls them volts; here they are microvolts.
    """
    refuse_pointers(file)
    with file.open("rb") as content:
        fixed = content.read(256)
        n_signals = int(fixed[252:256]) if fixed[252:256].strip().isdigit() else 0
        content.seek(256 + n_signals * (16 + 80))
        units = [content.read(8).decode("latin-1").strip() for _ in range(n_signals)]
    known = [unit in _UNITS for unit in units]
    if any(known) and not all(known):
        raise CorpusError(
            f"gives a unit for {sum(known)} of {len(units)} channels only",
            path=file,
            value=units,
            remedy="Copy or download it again",
        )
    return None if all(known) else "uV"


def _read_triggers(events: Path) -> list[Shown]:
    """Clips in the order of presentation: a clip's number, then its start, then its end; other codes do not count.

    The same recordings hold another experiment, whose codes may be any number but for those of start and end.
    """
    refuse_pointers(events)
    try:
        annotations = mne.read_annotations(events)
    except Exception as error:  # MNE raises anything at all
        raise CorpusError(
            f"cannot be read as events ({type(error).__name__}: {error})",
            path=events,
            remedy="Copy Data/subXXX whole from the download",
        ) from error
    clips: list[Shown] = []
    number, playing = 0, None
    for time, text in sorted(zip(annotations.onset, annotations.description, strict=True), key=lambda event: event[0]):
        code = _code(text)
        if 1 <= code <= NUM_CLIPS:
            number = code
        elif code == CLIP_START and number:
            playing = Shown(number, float(time))
        elif code == CLIP_END and playing:
            clips.append(Shown(playing.clip, playing.onset, float(time) - playing.onset))
            number, playing = 0, None
    return _complete(clips, events)


def _code(text: str) -> int:
    """The trigger a text stands for, 0 if it is none, such as "Start Impedance"."""
    return int(text) if text.strip().isdecimal() else 0


def _read_remarks(path: Path) -> list[Shown]:
    """Clips in the order of presentation, with their ratings."""
    entries = load_matlab(path, "After_remark".__eq__).get("After_remark", np.empty(0)).ravel()
    if not {"vid", "score"} <= set(entries.dtype.names or ()):
        raise CorpusError("holds no After_remark with vid and score", path=path, remedy="Copy or download it again")
    shown: list[Shown] = []
    for entry in entries:
        clip, scores = np.ravel(entry["vid"]), np.ravel(entry["score"])
        if clip.size != 1 or scores.size <= max(SCORES.values()):
            raise CorpusError(
                f"entry {len(shown) + 1} has {clip.size} clips and {scores.size} scores, wanted 1 and 12",
                path=path,
                value=(clip.size, scores.size),
                remedy="Copy or download it again",
            )
        ratings = {name: float(scores[index]) for name, index in SCORES.items()}
        shown.append(Shown(int(clip[0]), ratings=rescaled(ratings, *SCORE_RANGE, path)))
    return _complete(shown, path)


def _bids_events(file: Path) -> Path:
    return file.with_name(file.name.replace("_eeg.bdf", "_events.tsv"))


def _read_bids_events(path: Path) -> list[Shown]:
    """Clips of an events table in order of time; rows without the number of a clip are other events.

    A clip is known by `video_index` alone: titles repeat, and `value` means another clip in every file.
    """
    try:
        refuse_pointers(path)
        lines = path.read_text(encoding="utf-8-sig").splitlines()  # a byte order mark stands before the first name
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"cannot be read ({error})", path=path, remedy="Copy or download it again") from error
    rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    shown = [_bids_clip(row, path) for row in rows if (row.get("video_index") or "").isdecimal()]
    return _complete(sorted(shown, key=lambda one: one.onset), path)


def _bids_clip(row: dict[str, str], path: Path) -> Shown:
    try:
        onset, duration = float(row["onset"]), float(row["duration"])
        scores = {name: float(row[name.capitalize()].replace("n/a", "nan")) for name in SCORES}
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        raise CorpusError(
            f"the row of video {row['video_index']} lacks its time or a rating ({error})",
            path=path,
            value=row["video_index"],
            remedy="Copy or download it again",
        ) from error
    return Shown(int(row["video_index"]), onset, duration, rescaled(scores, *SCORE_RANGE, path))


def _complete(shown: list[Shown], path: Path) -> list[Shown]:
    """Every subject saw every clip once: anything else is a damaged file."""
    numbers = [one.clip for one in shown]
    if sorted(numbers) != list(range(1, NUM_CLIPS + 1)):
        raise CorpusError(
            f"should tell of clips 1 to {NUM_CLIPS} once each, found {numbers}",
            path=path,
            value=numbers,
            remedy="Copy or download it again; it may be truncated",
        )
    return shown
