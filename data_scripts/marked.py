"""What a reader makes of the files of a subject: recordings in microvolts, and the trials marked in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mdjpt_hf.errors import CorpusError
from mdjpt_hf.modeling.raw_mdjpt import Recording
from mdjpt_hf.modeling.stretches_mdjpt import Stretch


@dataclass
class MarkedTrial:
    """A trial within a recording.

    Attributes:
        stimulus: The same id for everybody who saw the same clip.
        trial: Position in the session from 0; -1 where unknown.
        label: Index into the corpus's classes, -1 where there is none.
        onset, duration: s from the start of the recording, on the file's clock; None means to its end.
        ratings: The subject's own, in [0, 1], by the names of `schema.RATINGS`.
    """

    stimulus: str
    trial: int
    label: int = -1
    onset: float = 0.0
    duration: float | None = None
    ratings: dict[str, float] = field(default_factory=dict)


@dataclass
class SourceRecording:
    """A stretch of signal that was recorded in one go, and the trials in it.

    Attributes:
        file: Where it comes from, for messages.
        session: Session number, from 0.
        signal: `(channels, samples)` in µV.
        ch_names: Names as in the file; what is no scalp electrode is dropped with a note.
        sampling_rate: Hz.
        trials: The trials in it.
        bads: Channels the owner says are bad.
        notes: What the reader did or noticed, for the preparation report.
        stretches: Parts of the signal without a break, where the file tells of some.
        unit: What the file was taken to be in, for messages.
    """

    file: Path
    session: int
    signal: np.ndarray
    ch_names: Sequence[str]
    sampling_rate: float
    trials: list[MarkedTrial]
    bads: Sequence[str] = ()
    notes: Sequence[str] = ()
    stretches: Sequence[Stretch] = ()
    unit: str = "uV"

    @classmethod
    def of_file(
        cls, file: Path, recording: Recording, trials: list[MarkedTrial], notes: Sequence[str]
    ) -> "SourceRecording":
        """What `read_recording` returned of a file that holds a subject's one session."""
        return cls(
            file,
            0,
            recording.signal,
            recording.ch_names,
            recording.sampling_rate,
            trials,
            recording.bads,
            [*notes, *recording.notes, *recording.selection.notes()],
            recording.stretches,
            recording.unit,
        )


def rescaled(ratings: Mapping[str, float], low: float, high: float, path: Path) -> dict[str, float]:
    """Ratings taken linearly from an instrument's scale to [0, 1]; those not given (NaN) are left out.

    Raises:
        CorpusError: If a rating lies outside the scale.
    """
    outside = {name: value for name, value in ratings.items() if not np.isnan(value) and not low <= value <= high}
    if outside:
        raise CorpusError(
            f"ratings outside the scale from {low:g} to {high:g}: {outside}",
            path=path,
            value=outside,
            remedy="Check that the file is the owner's own; ratings of another scale or another order look like this",
        )
    return {name: float((value - low) / (high - low)) for name, value in ratings.items() if not np.isnan(value)}
