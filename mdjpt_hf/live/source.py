"""What every source of live samples is to the session, whatever it is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from mdjpt_hf.errors import MontageError, UnitError
from mdjpt_hf.modeling.montage_mdjpt import canonical_name
from mdjpt_hf.modeling.signal_mdjpt import microvolts_per

#: µV per unit, by the names that streams use (in lower case). mne-lsl 1.14 writes powers of ten of a volt.
_UNITS = {
    1e6: ("v", "volt", "volts", "0"),
    1e3: ("mv", "millivolt", "millivolts", "-3"),
    1.0: ("uv", "µv", "μv", "microvolt", "microvolts", "-6"),
    1e-3: ("nv", "nanovolt", "nanovolts", "-9"),
}
MICROVOLTS = {name: factor for factor, names in _UNITS.items() for name in names}
#: Names by which a stream says nothing.
UNSTATED = ("", "none", "n/a", "unknown", "na", "a.u.", "au")


@dataclass(frozen=True)
class StreamFacts:
    """What is known of a stream before its first sample.

    Attributes:
        name: Of the stream. ch_names: Of the channels that are read, as recorded.
        sampling_rate: Hz, as announced; 0 if it is not.
        notes: What was decided about it, in sentences.
        kind: What it is made of: "LSL", "replay of anna.edf", "BrainFlow".
    """

    name: str
    ch_names: tuple[str, ...]
    sampling_rate: float
    notes: tuple[str, ...] = ()
    kind: str = "LSL"


class Source(Protocol):
    """Live samples in µV. Closing it twice is harmless."""

    facts: StreamFacts

    def pull(self, timeout: float) -> tuple[np.ndarray, np.ndarray]:
        """Samples `(channels, samples)` in µV and their times `(samples,)` in s; none if nothing came within `timeout`.

        Raises:
            StreamLost: If the stream is gone. EndOfStream: If it is over.
        """

    def reconnect(self, timeout: float) -> bool:
        """Whether the stream is there again; looks for it so many seconds."""

    def now(self) -> float:
        """s on the clock of the stamps."""

    def close(self) -> None:
        """Let go of it."""


class StreamLost(Exception):
    """The sender is gone; it may come back."""


class EndOfStream(Exception):
    """There is nothing more to come: a file was played to its end."""


@dataclass(frozen=True)
class ChannelChoice:
    """Which channels of a stream are read, and how their numbers become µV.

    Attributes:
        rows: Of the channels, in order. ch_names: Theirs. scales: `(channels,)` µV per unit.
        notes: In sentences.
    """

    rows: list[int]
    ch_names: tuple[str, ...]
    scales: np.ndarray
    notes: tuple[str, ...] = field(default=())


def choose_channels(
    labels: Sequence[str], types: Sequence[str], units: Sequence[str], unit: str | None = None
) -> ChannelChoice:
    """The EEG channels of a stream and their units, by its own description.

    Args:
        labels, types, units: One a channel, as described; empty where nothing is said.
        unit: Of all channels, where the description is wrong: "uV", "mV" or "V".

    Raises:
        MontageError: If channels have no names, or none is EEG.
        UnitError: If an electrode's unit is no voltage.
    """
    if not any(labels):
        raise MontageError(
            f"the stream names none of its {len(labels)} channels",
            value=list(labels),
            remedy="Name them in the sender, or with --channels Fp1,Fp2,... in their order",
        )
    rows = [row for row, kind in enumerate(types) if kind.strip().lower() in ("", "eeg")]
    if not rows:
        raise MontageError(
            f"no channel of the stream is of type EEG; they are {', '.join(dict.fromkeys(types))}",
            value=list(types),
            remedy="Give the name of another stream with --stream",
        )
    notes, dropped = [], [f"{labels[row]} (type {types[row]})" for row in range(len(types)) if row not in rows]
    if dropped:
        notes.append(f"dropped {', '.join(dropped)}")
    electrodes = [row for row in rows if canonical_name(labels[row])]
    if unit is not None:
        scales = np.full(len(rows), microvolts_per(unit))
        stated = sorted({units[row] for row in electrodes if units[row].strip().lower() not in UNSTATED})
        if stated and any(MICROVOLTS.get(name.strip().lower()) != scales[0] for name in stated):
            notes.append(f"numbers are taken to be {unit}, as asked for; the stream says {', '.join(stated)}")
    else:
        scales = np.array([_scale(units[row], labels[row], row in electrodes) for row in rows])
        if any(units[row].strip().lower() in UNSTATED for row in electrodes):
            notes.append("the stream does not state its unit: numbers are taken to be µV (--unit says otherwise)")
    return ChannelChoice(rows, tuple(labels[row] for row in rows), scales, tuple(notes))


def _scale(unit: str, label: str, is_electrode: bool) -> float:
    name = unit.strip().lower()
    if name in UNSTATED:
        return 1.0
    if name in MICROVOLTS:
        return MICROVOLTS[name]
    if not is_electrode:
        return 1.0
    raise UnitError(
        f"channel {label} of the stream is said to be in {unit!r}, which is no voltage that is known",
        value=unit,
        remedy="State what the numbers really are with --unit uV, mV or V",
    )


def differences(one: Mapping[str, object], other: Mapping[str, object]) -> list[str]:
    """Names of what differs between two descriptions of a stream."""
    return [name for name in one if one[name] != other.get(name)]
