"""Reading an `mne.io.Raw` without importing MNE: its scalp channels in µV, and what is marked bad."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .errors_mdjpt import MontageError, SignalError
from .montage_mdjpt import ChannelSelection, canonical_name, select_channels
from .signal_mdjpt import check_rate, microvolts_per
from .stretches_mdjpt import Stretch, whole
from .timeline_mdjpt import read_timeline

_BLOCK_SECONDS = 60  # read at a time, so that a file on disk never stands in memory in float64


@dataclass
class Recording:
    """The scalp EEG of one recording, not yet cleaned.

    Attributes:
        signal: `(channels, samples)` in µV.
        sampling_rate: Hz.
        selection: Which channels were kept and their names.
        bads: Kept channels stated to be bad, by their standard names.
        bad_spans: (start, end) in s of stretches marked bad, on the file's clock.
        unit: The unit the values were taken to be in.
        stretches: Parts of the signal without a break; all of it is one if nothing is said.
        notes: What is odd about the recording, for people.
    """

    signal: np.ndarray
    sampling_rate: float
    selection: ChannelSelection
    bads: list[str] = field(default_factory=list)
    bad_spans: list[tuple[float, float]] = field(default_factory=list)
    unit: str = "uV"
    stretches: list[Stretch] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stretches = self.stretches or whole(self.signal.shape[1])

    @property
    def ch_names(self) -> list[str]:
        """Standard names of the channels kept."""
        return self.selection.ch_names


def is_raw(thing: Any) -> bool:
    """Whether `thing` looks like an MNE recording (continuous or cut into epochs)."""
    return all(hasattr(thing, name) for name in ("get_data", "info", "ch_names"))


def read_raw(raw: Any, unit: str | None = None, bads: Iterable[str] = ()) -> Recording:
    """Take the scalp EEG out of an `mne.io.Raw`.

    Args:
        raw: The recording; channels that are not typed eeg, or not known electrodes, are dropped.
        unit: What the values really are, for files whose header is wrong; MNE promises "V".
        bads: Names of bad channels, in addition to `raw.info["bads"]`.

    Raises:
        SignalError: If it is cut into epochs.
        SamplingRateError: If the rate is below 94 Hz.
        MontageError: If no channel is known, two are the same electrode, or a bad channel is not there.
    """
    if hasattr(raw, "drop_log") or not hasattr(raw, "n_times"):
        raise SignalError(
            f"the recording is cut into epochs ({type(raw).__name__})",
            value=type(raw).__name__,
            remedy="Give the continuous recording; filters and windows need it whole",
        )
    rate = check_rate(raw.info["sfreq"])
    selection = select_channels(raw.ch_names, raw.get_channel_types())
    unit = unit or "V"
    timeline = read_timeline(raw)
    return Recording(
        _read_signal(raw, selection.indices, microvolts_per(unit)),
        rate,
        selection,
        stated_bads([*raw.info["bads"], *bads], raw.ch_names, selection),
        timeline.bad_spans,
        unit,
        timeline.stretches,
        timeline.notes(),
    )


def stated_bads(bads: Iterable[str], recorded: Sequence[str], selection: ChannelSelection) -> list[str]:
    """Standard names of those bad channels that were kept, however they are spelt, in the order of the recording.

    Raises:
        MontageError: If a bad channel is not in the recording.
    """
    wanted = {canonical_name(name) or name for name in bads}
    missing = sorted(wanted - {canonical_name(name) or name for name in recorded})
    if missing:
        raise MontageError(
            f"bad channels {missing} are not in the recording, which has {', '.join(recorded)}",
            value=missing,
            remedy="Name bad channels as the recording does",
        )
    return [name for name in selection.ch_names if name in wanted]


def _read_signal(raw: Any, indices: list[int], scale: float) -> np.ndarray:
    n_samples, block = int(raw.n_times), int(_BLOCK_SECONDS * raw.info["sfreq"])
    signal = np.empty((len(indices), n_samples), dtype=np.float32)
    for start in range(0, n_samples, block):
        stop = min(start + block, n_samples)
        signal[:, start:stop] = raw.get_data(picks=indices, start=start, stop=stop) * scale
    return signal
