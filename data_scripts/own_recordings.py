"""What readers of own files share: a recording is cleaned and checked, its trials are looked at, notes are kept."""

from collections.abc import Collection, Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args

from mdjpt_hf.data_scripts.base import CorpusBuilder, UnitReport
from mdjpt_hf.errors import ConfigurationError, CorpusError, MontageError, located
from mdjpt_hf.modeling.coverage_mdjpt import check_coverage
from mdjpt_hf.modeling.raw_mdjpt import Recording
from mdjpt_hf.modeling.signal_mdjpt import microvolts_per
from mdjpt_hf.modeling.stretches_mdjpt import Span
from mdjpt_hf.preprocessing import Preprocessed, check_preset, preprocess
from mdjpt_hf.schema import RATINGS

#: Of a window, by default.
WINDOW_SECONDS = 5.0
#: Whether labels say what the stimulus was meant to evoke or what the subject reported.
LabelSource = Literal["stimulus", "self-report"]


class OwnCorpus(CorpusBuilder):
    """A user's own files, and what the user says of them.

    Args:
        source: Their folder. name: Value of the `dataset` column.
        preprocessing: Preset of `mdjpt_hf.preprocessing`, applied before trials are cut.
        unit: What the values really are ("V", "mV", "uV"), for files whose header gives a wrong unit.
        label_source: What labels are.

    Raises:
        CorpusError: If labels are said to be something else.
        ConfigurationError: If the preset is unknown.
        UnitError: If the unit is unknown.
    """

    def __init__(self, source: Path, name: str, preprocessing: str, unit: str | None, label_source: LabelSource):
        super().__init__(preprocessing)
        check_preset(preprocessing)
        microvolts_per(unit or "V")
        check_label_source(label_source)
        self.source, self.name, self.unit, self.label_source = source, name, unit, label_source


def check_label_source(label_source: str) -> None:
    """Refuse what labels cannot be.

    Raises:
        CorpusError: With what they can be.
    """
    if label_source not in get_args(LabelSource):
        raise CorpusError(
            f"label_source must be stimulus or self-report, found {label_source!r}",
            value=label_source,
            remedy="Say whether the labels are what was shown or what was felt",
        )


def check_scales(ratings: Any) -> None:
    """Refuse ratings that are none, and scales that do not go up.

    Args:
        ratings: Of `RATINGS` -> `(column, lowest, highest)` of the instrument.

    Raises:
        ConfigurationError: With the entry.
    """
    if not isinstance(ratings, Mapping) or (unknown := [name for name in ratings if name not in RATINGS]):
        found = unknown if isinstance(ratings, Mapping) else ratings
        raise ConfigurationError(f"there are no ratings {found}", value=found, remedy=f"Use {list(RATINGS)}")
    for name, entry in ratings.items():
        try:
            _, low, high = entry
            goes_up = not isinstance(entry, str) and float(low) < float(high)
        except (TypeError, ValueError):
            goes_up = False
        if not goes_up:
            raise ConfigurationError(
                f"the rating {name} is {entry!r}", value=entry, remedy="Give (column, lowest, highest)"
            )


def session_numbers(labels: Mapping[str, Collection[str]]) -> tuple[dict[str, int], dict[str, Any]]:
    """Number of every session, the same for all subjects: who was not there for one shifts no number.

    Args:
        labels: Of each subject's sessions.

    Returns:
        `(numbers, option)`: Label -> number: the label itself if all are whole numbers that the schema holds, no two
            the same; else the place among all from 1; 0 for no label. The option says so where earlier versions,
            which counted every subject's apart, had other numbers.
    """
    numbers = _numbers(label for own in labels.values() for label in own)
    alone = [_numbers(own) for own in labels.values()]
    other = any(numbers[label] != number for own in alone for label, number in own.items())
    return numbers, {"sessions": numbers} if other else {}


def _numbers(labels: Iterable[str]) -> dict[str, int]:
    ordered = sorted(set(labels))
    if all(label.isdecimal() and int(label) < 2**31 for label in ordered) and len(set(map(int, ordered))) == len(
        ordered
    ):
        return {label: int(label) for label in ordered}
    return {label: ordered.index(label) + (ordered[0] != "") for label in ordered}


def prepared_recording(path: Path, recording: Recording, preset: str) -> Preprocessed:
    """A recording after a preset, if enough of the head was recorded.

    Raises:
        MDJPTError: What `preprocess` and `check_coverage` raise, with the file in front.
    """
    prepared = preprocess(
        recording.signal,
        recording.ch_names,
        recording.sampling_rate,
        preset,
        recording.bads,
        where=str(path),
        unit=recording.unit,
        stretches=recording.stretches,
    )
    prepared.unit = recording.unit
    try:
        check_coverage([name for name in prepared.ch_names if name not in prepared.interpolated])
    except MontageError as error:
        raise located(error, str(path)) from error
    return prepared


def problem_of(span: Span, prepared: Preprocessed) -> str:
    """Why a trial cannot be used, in words; empty if it can."""
    if span.broken:
        return span.broken
    return "is silent: no channel varies" if prepared.is_silent(span.start, span.stop) else ""


def first_overlap(trials: Iterable[Any]) -> tuple[Any, Any] | None:
    """The first two trials of a recording, by their `onset`, that share samples; a `duration` of None is to the end."""
    ordered = sorted(trials, key=lambda trial: trial.onset)
    for trial, following in pairwise(ordered):
        if trial.duration is None or trial.onset + trial.duration > following.onset + 1e-6:
            return trial, following
    return None


def short_notes(durations: Iterable[float | None]) -> list[str]:
    """A line on trials (s, or None for the rest of a recording) that give no window of the usual length."""
    short = sum(duration is not None and duration < WINDOW_SECONDS for duration in durations)
    what, verb = ("1 trial is", "gives") if short == 1 else (f"{short} trials are", "give")
    return [f"{what} shorter than a window of {WINDOW_SECONDS:g} s, and {verb} none"] if short else []


def add_notes(report: UnitReport, file: str, notes: Iterable[str]) -> None:
    """Put notes on a file into a report, each once."""
    report.notes += [line for note in notes if (line := f"{file}: {note}") not in report.notes]
