"""What readers of own files share: a recording is cleaned and checked, its trials are looked at, notes are kept."""

from collections import Counter
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


def session_numbers(labels: Collection[str]) -> dict[str, int]:
    """Number of every session of a subject, given their labels: the label itself if all are whole numbers that the
    schema holds, no two the same; else the place among them from 1. 0 for no label."""
    ordered = sorted(set(labels))
    if all(label.isdecimal() and int(label) < 2**31 for label in ordered) and len(set(map(int, ordered))) == len(
        ordered
    ):
        return {label: int(label) for label in ordered}
    return {label: ordered.index(label) + (ordered[0] != "") for label in ordered}


class Presentation:
    """What one subject was shown, in order."""

    def __init__(self) -> None:
        self._seen: Counter[tuple[int, str]] = Counter()
        self._shown: Counter[int] = Counter()

    def next(self, session: int, stimulus: str) -> tuple[int, str]:
        """Position in the session of the trial that comes next, and what its stimulus is called: one that is shown
        again is another one. Trials that are left out were shown as well."""
        position = self._shown[session]
        self._shown[session] += 1
        self._seen[session, stimulus] += 1
        again = self._seen[session, stimulus]
        return position, stimulus if again == 1 or not stimulus else f"{stimulus} #{again}"


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


def add_notes(report: UnitReport, file: str, notes: Iterable[str]) -> None:
    """Put notes on a file into a report, each once."""
    report.notes += [line for note in notes if (line := f"{file}: {note}") not in report.notes]
