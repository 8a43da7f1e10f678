"""What readers of own files share: a recording is cleaned and checked, its trials are looked at, notes are kept."""

from collections.abc import Iterable
from pathlib import Path

from mdjpt_hf.data_scripts.base import UnitReport
from mdjpt_hf.errors import MontageError, located
from mdjpt_hf.modeling.coverage_mdjpt import check_coverage
from mdjpt_hf.modeling.raw_mdjpt import Recording
from mdjpt_hf.modeling.stretches_mdjpt import Span
from mdjpt_hf.preprocessing import Preprocessed, preprocess


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


def add_notes(report: UnitReport, file: str, notes: Iterable[str]) -> None:
    """Put notes on a file into a report, each once."""
    report.notes += [line for note in notes if (line := f"{file}: {note}") not in report.notes]
