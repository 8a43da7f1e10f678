"""EmoEEG-MC: 60 people, seven emotions evoked by videos and by imagery, 64 channels; openly licensed, in BIDS."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import mne
import numpy as np

from mdjpt_hf.data_scripts.base import UnitReport
from mdjpt_hf.data_scripts.downloaded import DownloadedCorpus
from mdjpt_hf.data_scripts.emoeeg_mc_order import CONTEXTS, TRIGGERS, Behaviour, read_behaviour, readme_order
from mdjpt_hf.data_scripts.files import open_raw, read_recording
from mdjpt_hf.data_scripts.isolation import isolated
from mdjpt_hf.data_scripts.marked import MarkedTrial, SourceRecording
from mdjpt_hf.data_scripts.pickles import load_array
from mdjpt_hf.data_scripts.products import Product, only_file
from mdjpt_hf.data_scripts.published import published
from mdjpt_hf.errors import CorpusError
from mdjpt_hf.modeling.montage_mdjpt import canonical_name
from mdjpt_hf.modeling.timeline_mdjpt import read_timeline

CHANNELS = (
    *("Fp1", "Fpz", "Fp2", "AF7", "AF3", "AF4", "AF8", "F7", "F5", "F3", "F1", "Fz", "F2", "F4", "F6", "F8"),
    *("FT7", "FC5", "FC3", "FC1", "FCz", "FC2", "FC4", "FC6", "FT8", "T7", "C5", "C3", "C1", "Cz", "C2", "C4"),
    *("C6", "T8", "TP7", "CP5", "CP3", "CP1", "CPz", "CP2", "CP4", "CP6", "TP8", "P7", "P5", "P3", "P1", "Pz"),
    *("P2", "P4", "P6", "P8", "PO7", "PO3", "POz", "PO4", "PO8", "O1", "Oz", "O2", "F9", "F10", "TP9", "TP10"),
)
#: Order of the trials in the derivatives: three clips of each class.
REORDERED = tuple(
    f"{emotion}{clip}" for emotion in ("sad", "dis", "fear", "neu", "joy", "ten", "ins") for clip in "458"
)

_DERIVED_RATE = 200.0
_DERIVED_SAMPLES = 6000
_TRIAL = 30.0  # s, the last before the video or the imagery ended
_BEFORE_END = 1.0  # s between the trial and the event that ends it
_EARLIEST_END = 5.0  # s; an event sooner after the start does not end a trial


class EmoEEGMC(DownloadedCorpus):
    """The corpus as its cleaned derivatives or as its raw recordings; derivatives first where both are there.

    A stimulus is a context and a clip, such as `vid_sad4` or `ima_sad4`. In the derivatives each context is a session
    (0 videos, 1 imagery); the raw recordings hold one session in which both alternate. A trial is the last 30 s that
    end 1 s before the video ended or the button was pressed, or less where it was shorter.

    What was shown when stands in the README (`emoeeg_mc_order`) and, for half the subjects, in the behaviour file,
    which wins; where they differ (subject 54), a note says so. Where neither accounts for the trials that are there,
    they are listed in the report and left out. Reading a raw recording takes up to 4 GB of memory.
    """

    about, classes = published("emoeeg_mc")
    products: ClassVar = (
        Product("derivatives", r"sub-(?P<subject>\d{2})_ses-(?P<session>vid|ima)_task-emotion_reorder\.npy"),
        Product("raw", r"sub-(?P<subject>\d{2})_task-emotion(?:_run-(?P<run>\d{2}))?_eeg\.edf"),
    )
    expected_subjects: ClassVar = 60

    def source_files(self) -> list[Path]:
        """The recordings and the behaviour files."""
        found = (self._behaviour_file(subject) for subject in self.files)
        return super().source_files() + [path for path in found if path]

    def recordings(self, subject: str, files: list[Path], report: UnitReport) -> Iterator[SourceRecording]:
        """One recording per trial of the derivatives, or per run of the raw data."""
        behaviour = self._behaviour(subject, report)
        report.notes += _order_notes(subject, behaviour)
        if self.product.name == "derivatives":
            for context in CONTEXTS:
                if found := [path for path in files if self.product.parts(path)["session"] == context]:
                    yield from _derived(subject, context, only_file(found), behaviour, report)
                else:
                    report.notes.append(f"sub-{subject}: no derivative of the context {context!r} is here")
        else:
            yield from _raw(subject, self._runs(files), behaviour, report)

    def _runs(self, files: list[Path]) -> list[Path]:
        """One file per run; a whole recording has no number and stands alone."""
        runs: dict[int, list[Path]] = {}
        for path in files:
            runs.setdefault(int(self.product.parts(path)["run"] or 0), []).append(path)
        return [only_file(files)] if 0 in runs else [only_file(runs[run]) for run in sorted(runs)]

    def _behaviour_file(self, subject: str) -> Path | None:
        return next(iter(sorted(self.source.rglob(f"sub-{subject}_task-emotion_beh.tsv"))), None)

    def _behaviour(self, subject: str, report: UnitReport) -> Behaviour:
        if path := self._behaviour_file(subject):
            return read_behaviour(path)
        report.notes.append(f"sub-{subject}: no ratings; the behaviour file is not below the source")
        return Behaviour()


def _order_notes(subject: str, behaviour: Behaviour) -> list[str]:
    """The derivatives were sorted by the README's order: where that is wrong, so are their labels."""
    return [
        f"sub-{subject}: README and behaviour file give different orders of the context {context!r}; raw recordings "
        "follow the behaviour file, derivatives the README"
        for context in CONTEXTS
        if (listed := readme_order(subject, context))
        and behaviour.names
        and behaviour.order(subject, context) != listed
    ]


# --- derivatives ----------------------------------------------------------------------------------------------------


def _derived(
    subject: str, context: str, path: Path, behaviour: Behaviour, report: UnitReport
) -> Iterator[SourceRecording]:
    """One recording per trial of a context, in order of presentation."""
    data = _checked(load_array(path), path)
    order = readme_order(subject, context)  # by which the owners sorted
    stimuli = [stimulus for stimulus in REORDERED if stimulus in order]
    if len(stimuli) != data.shape[1]:
        why = f"the README lists {len(order)}" if order else "README and behaviour file disagree on their order"
        report.rejected.append(f"{path.name}: holds {data.shape[1]} trials, but {why}; all were left out")
        return
    if data.shape[2] != _DERIVED_SAMPLES:
        report.notes.append(f"{path.name}: trials last {data.shape[2] / _DERIVED_RATE:g} s instead of {_TRIAL:g}")
    if behaviour.ratings and not behaviour.names:
        report.notes.append(f"{path.name}: no ratings; the behaviour file does not say which are of this context")
    ratings = behaviour.by_name()
    for position, stimulus in enumerate(order):
        marked = _marked(context, stimulus, position, ratings.get((context, stimulus), {}))
        segment = data[:, stimuli.index(stimulus)]
        yield SourceRecording(path, CONTEXTS.index(context), segment, CHANNELS, _DERIVED_RATE, [marked])


def _marked(context: str, stimulus: str, trial: int, ratings: dict[str, float], **place: float) -> MarkedTrial:
    label = [meaning.name for meaning in EmoEEGMC.classes].index(stimulus[:-1])
    return MarkedTrial(f"{context}_{stimulus}", trial, label, ratings=ratings, **place)


def _checked(content: Any, path: Path) -> np.ndarray:
    """`(64, trials, samples)`; some files hold the array alone, some a dictionary around it."""
    if isinstance(content, dict) and len(content) == 1:
        (content,) = content.values()
    if isinstance(content, np.ndarray) and content.ndim == 3 and len(content) == len(CHANNELS):
        return content
    found = f"an array {content.shape}" if isinstance(content, np.ndarray) else type(content).__name__
    raise CorpusError(
        f"is no reordered derivative of EmoEEG-MC, which is an array (64, trials, {_DERIVED_SAMPLES}): found {found}",
        path=path,
        value=found,
        remedy="Download it again",
    )


# --- raw recordings -------------------------------------------------------------------------------------------------


def _raw(subject: str, files: Sequence[Path], behaviour: Behaviour, report: UnitReport) -> Iterator[SourceRecording]:
    """One recording per run; trials are numbered through."""
    spans = [span for path in files for span in _spans(subject, path, report)]
    shown = _identified(subject, spans, behaviour, report)
    for path in files:
        trials = [marked for span, marked in zip(spans, shown, strict=True) if span.path == path and marked]
        if trials:
            recording, notes = read_recording(path, reader=_read_edf)
            yield SourceRecording.of_file(path, recording, trials, notes)


@dataclass
class _Span:
    """Where a trial lies: start and end in s from the start of its file."""

    path: Path
    context: str
    start: float
    end: float = 0.0


def _read_edf(path: Path, **arguments: Any) -> mne.io.BaseRaw:
    """The recording; channels without names of places are in the order the README gives."""
    raw = mne.io.read_raw_edf(path, **arguments)
    if len(raw.ch_names) == len(CHANNELS) and not any(canonical_name(name) for name in raw.ch_names):
        raw.rename_channels(dict(zip(raw.ch_names, CHANNELS, strict=True)))
    return raw


@isolated()
def _marks(path: Path) -> list[tuple[float, str]]:
    """Onset in s, on the file's clock, and text of every annotation."""
    raw, _ = open_raw(path, _read_edf)
    return [(mark.onset, mark.text) for mark in read_timeline(raw).marks]


def _spans(subject: str, path: Path, report: UnitReport) -> list[_Span]:
    """The trials of one file, in order of time.

    A trial begins with a video or imagery event. It ends where the clip fades or the button is pressed, or else where
    the rating begins. Further starts before the rating are events that were sent twice.
    """
    meaning = TRIGGERS.get(subject)
    events = [(onset, _code(text)) for onset, text in _marks(path)]
    if meaning is None or not any(code in meaning for _, code in events):
        codes = sorted({code for _, code in events if code is not None})
        raise CorpusError(
            f"holds no trigger of subject {subject}; found {codes or 'no annotations'}",
            path=path,
            value=codes,
            remedy="Download it again, unchanged; triggers differ between subjects, so files must not be renamed",
        )
    spans: list[_Span] = []
    begun: _Span | None = None
    for onset, kind in sorted((onset, meaning[code]) for onset, code in events if code in meaning):
        if begun is None:
            begun = _Span(path, kind, onset) if kind in CONTEXTS else None
        elif kind in CONTEXTS:
            report.notes.append(f"{path.name}: a second start at {onset:g} s, within the trial from {begun.start:g} s")
        elif onset - begun.start >= _EARLIEST_END:
            begun.end = begun.end or onset
            if kind == "rating":
                spans.append(begun)
                begun = None
    return spans


def _code(description: str) -> int | None:
    """The number in an annotation."""
    found = re.search(r"\d+", description)
    return int(found.group()) if found else None


def _identified(
    subject: str, spans: Sequence[_Span], behaviour: Behaviour, report: UnitReport
) -> list[MarkedTrial | None]:
    """Every span as a trial; None where it is not certain what was shown, with the reason in the report."""
    orders: dict[str, Iterator[str]] = {}
    for context in CONTEXTS:
        order, count = behaviour.order(subject, context), sum(span.context == context for span in spans)
        orders[context] = iter(order)
        if count != len(order):
            why = f"{len(order)} were shown" if order else "README and behaviour file disagree on their order"
            report.rejected.append(
                f"sub-{subject}: holds {count} trials of the context {context!r}, but {why}; all were left out"
            )
            orders[context] = iter([""] * count)
    stimuli = [next(orders[span.context]) for span in spans]
    ratings = _ratings(subject, spans, stimuli, behaviour, report)
    return [
        _trial(span, stimulus, position, ratings[position], report) if stimulus else None
        for position, (span, stimulus) in enumerate(zip(spans, stimuli, strict=True))
    ]


def _ratings(
    subject: str, spans: Sequence[_Span], stimuli: Sequence[str], behaviour: Behaviour, report: UnitReport
) -> list[dict[str, float]]:
    """The ratings of each span: by name where lines have names, or else by their order in time."""
    if named := behaviour.by_name():
        return [named.get((span.context, stimulus), {}) for span, stimulus in zip(spans, stimuli, strict=True)]
    if len(rated := behaviour.in_time()) == len(spans):
        return rated
    if behaviour.ratings:
        report.notes.append(f"sub-{subject}: no ratings; {len(rated)} were given, but {len(spans)} trials are here")
    return [{} for _ in spans]


def _trial(span: _Span, stimulus: str, position: int, ratings: dict[str, float], report: UnitReport) -> MarkedTrial:
    """The last 30 s of a span, or all of it."""
    end = span.end - _BEFORE_END
    start = max(span.start, end - _TRIAL)
    if end - start < _TRIAL:
        name = f"{span.path.name}: {span.context}_{stimulus}"
        report.notes.append(f"{name} lasts {end - start:.1f} s instead of {_TRIAL:g}")
    return _marked(span.context, stimulus, position, ratings, onset=start, duration=end - start)
