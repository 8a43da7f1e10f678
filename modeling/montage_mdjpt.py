"""Channel names and the map from any recording's channels onto the 60 the model reads."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

import numpy as np

from .electrodes_mdjpt import ELECTRODES
from .errors_mdjpt import MontageError
from .released_neighbours_mdjpt import RELEASED_NEIGHBOURS

_STANDARD = """
    Fp1 Fpz Fp2 AF3 AF4 F7 F5 F3 F1 Fz F2 F4 F6 F8 FT7 FC5 FC3 FC1 FCz FC2 FC4 FC6 FT8 T7 C5 C3 C1 Cz C2 C4 C6
    T8 TP7 CP5 CP3 CP1 CPz CP2 CP4 CP6 TP8 P7 P5 P3 P1 Pz P2 P4 P6 P8 PO7 PO5 PO3 POz PO4 PO6 PO8 O1 Oz O2
"""

#: The channels the model reads, in its order.
STANDARD_CHANNELS: tuple[str, ...] = tuple(_STANDARD.split())

#: Ear lobes and mastoids: places of reference electrodes, never used to stand in for a scalp channel.
REFERENCES = ("A1", "A2", "M1", "M2")

#: Real electrodes without a place in the 10-05 system (the cerebellar pair of the SEED caps).
WITHOUT_POSITION = ("CB1", "CB2")

#: A missing channel is the mean of at most this many recorded neighbours.
NUM_NEIGHBOURS = 3

_OLD_NAMES = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}
_KNOWN = {name.upper(): name for name in (*ELECTRODES, *WITHOUT_POSITION)} | _OLD_NAMES

# "EEG Fp1-REF", "Fc5.", "FP1-A2", "EEG F3-LE", and MNE's running number behind a label that occurs twice
_PREFIX = re.compile(r"^(EEG|E\.E\.G\.)[\s_:.\-]*", re.IGNORECASE)
_REFERENCE_SUFFIX = re.compile(
    r"[\s_:\-/]+(REF|LE|RE|A1|A2|A1A2|A1\+A2|M1|M2|M1M2|M1\+M2|AVG|AVE|AV|AR|CAR|COM|LINKED)$", re.IGNORECASE
)
# What else an amplifier records: eyes, muscles, heart, breath, skin, movement, triggers, states of the device.
_OTHER_SIGNALS = re.compile(
    r"EOG|EMG|ECG|EKG|ERG|EGG|BCG|GSR|EDA|SCR|PPG|PLETH|BVP|PULSE|SPO2|SAO2|O2SAT|CO2|RESP|FLOW|NASAL|ORAL|PRES|SNOR|AIR"
    r"|ABD|THOR|CHEST|TEMP|BODY|POSITION|^POS|LEG|TIB|CHIN|MASS|LOC|ROC|EYE|GAZE|PUPIL|STI|TRIG|STATUS|EVENT|MARK|ANNOT"
    r"|ACC|GYR|MAG|MOT|QUAT|COUNT|INTERPOL|TIME|STAMP|BATT|CQ|QUAL|IMP|POW|RAW_|EXG|EXT|AUX|MISC|AUDIO|MIC|PHOTO|LIGHT"
    r"|DIODE|BIP|^DC|HR$|^HR|HEART|RATE|REF|GND|GROUND|NZ|^[XYZ]$|UNUSED|EMPTY|^N/?A$",
    re.IGNORECASE,
)
_INPUT = re.compile(r"^(EEG )?[A-I]\d{1,2}$")
_UNKNOWN = "not an electrode of the 10-05 system"
_REPEAT_NUMBER = re.compile(r"(?<=[A-Za-z0-9.])-\d+$")


def canonical_name(name: str) -> str | None:
    """The electrode a recorded channel name means, in MNE's 10-05 spelling, or None if it is not known.

    Case, white space, trailing dots, an `EEG` in front and a common reference behind do not matter; T3 T4 T5
    T6 become T7 T8 P7 P8. A bipolar derivation such as `F3-C3` is not an electrode.
    """
    text = _PREFIX.sub("", name.strip().rstrip("."))
    for candidate in (text, _REPEAT_NUMBER.sub("", text)):
        without_reference = _REFERENCE_SUFFIX.sub("", candidate)
        electrode = _KNOWN.get(re.sub(r"\s+", "", without_reference).strip(".").upper())
        # A2-A1 is one reference against the other, not an electrode
        if electrode is not None and not (electrode in REFERENCES and without_reference != candidate):
            return electrode
    return None


def close_matches(name: str) -> list[str]:
    """Known electrode names that look like `name`, best first."""
    found = get_close_matches(_PREFIX.sub("", name.strip()).upper(), _KNOWN, n=3, cutoff=0.5)
    return list(dict.fromkeys(_KNOWN[match] for match in found))


@dataclass
class ChannelSelection:
    """Which channels of a recording are scalp EEG, and what they are called.

    Attributes:
        indices: Positions of the kept channels among those recorded.
        ch_names: Their names in MNE's 10-05 spelling.
        renamed: Recorded name -> name, where the two differ.
        dropped: Recorded name -> why it was left out.
    """

    indices: list[int] = field(default_factory=list)
    ch_names: list[str] = field(default_factory=list)
    renamed: dict[str, str] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)

    def notes(self) -> list[str]:
        """The renaming and dropping in one sentence each."""
        notes = []
        if self.renamed:
            shown = [f"{old!r} to {new}" for old, new in list(self.renamed.items())[:3]]
            notes.append(f"renamed {len(self.renamed)} channels, such as {', '.join(shown)}")
        if self.dropped:
            notes.append("dropped " + ", ".join(f"{name} ({why})" for name, why in self.dropped.items()))
        return notes


def select_channels(ch_names: Sequence[str], ch_types: Sequence[str] | None = None) -> ChannelSelection:
    """Find the scalp EEG channels of a recording and their standard names.

    Args:
        ch_names: Names as recorded.
        ch_types: MNE channel types in the same order; all "eeg" if not given.

    Raises:
        MontageError: If no name is a known electrode, two channels mean the same electrode, the names are those of an
            amplifier's inputs, or more of them mean nothing than are electrodes.
    """
    _check_not_inputs(ch_names)
    selection = ChannelSelection()
    for index, (name, kind) in enumerate(zip(ch_names, ch_types or ["eeg"] * len(ch_names), strict=True)):
        electrode = canonical_name(name)
        if kind != "eeg":
            selection.dropped[name] = f"type {kind}"
        elif electrode is None:
            selection.dropped[name] = _UNKNOWN
        elif electrode in REFERENCES:
            selection.dropped[name] = "reference electrode"
        else:
            selection.indices.append(index)
            selection.ch_names.append(electrode)
            if electrode != name:
                selection.renamed[name] = electrode
    _check_selection(ch_names, selection)
    return selection


def channel_projection(ch_names: Sequence[str], montage: str = "positions") -> np.ndarray:
    """The matrix that turns a recording's channels into the 60 standard ones.

    A standard channel that was recorded is that channel; any other is the mean of its (at most 3) nearest
    recorded ones. `positions` measures the distance between electrode places, and every recorded channel with
    a known place on the scalp serves. `released` takes the ranking of the authors' program, in which only
    standard channels serve. The first three neighbours differ between the two rankings in 17 of the 60 rows:
    in 12 only by their order, in 5 also by which channels they are.

    Args:
        ch_names: Recorded names in order, any case, for example `["FP1", "T3", "EEG Cz-REF"]`.
        montage: "positions" or "released".

    Returns:
        Float32 of shape `(60, channels)`. Channels that are not known or have no position get a zero column,
        a standard channel without neighbours a zero row.

    Raises:
        MontageError: On duplicate channels, or if no channel can serve; the message lists close matches.
    """
    if montage not in ("positions", "released"):
        raise MontageError(
            f"montage must be 'positions' or 'released', found {montage!r}",
            value=montage,
            remedy="Choose one",
        )
    electrodes = [canonical_name(name) for name in ch_names]
    _check_duplicates(ch_names, electrodes)
    column = {name: index for index, name in enumerate(electrodes) if name is not None}
    candidates = _scalp(column) if montage == "positions" else [n for n in STANDARD_CHANNELS if n in column]
    if not candidates:
        raise _nothing_known(ch_names)
    projection = np.zeros((len(STANDARD_CHANNELS), len(ch_names)), dtype=np.float32)
    for row, channel in enumerate(STANDARD_CHANNELS):
        serving = [channel] if channel in column else _nearest(row, candidates, montage)
        projection[row, [column[name] for name in serving]] = 1 / len(serving)
    return projection


def silence_electrode(windows: np.ndarray, shares: np.ndarray) -> np.ndarray | None:
    """Windows without what one electrode put into them.

    Args:
        windows (`np.ndarray` of shape `(windows, 60, samples)`): Scaled alike in all channels, or not.
        shares (`np.ndarray` of shape `(60,)`): The electrode's column of [`channel_projection`].

    Returns:
        `np.ndarray` of the same shape; None if no channel is the electrode itself, so that its signal is not known.
    """
    own = np.flatnonzero(shares == 1)  # a recorded standard channel is taken as it is
    return windows - shares[:, None] * windows[:, own[:1]] if len(own) else None


def _scalp(names: Collection[str]) -> list[str]:
    """Those electrodes that have a known place on the scalp, in the order of the electrode table."""
    return [name for name in ELECTRODES if name in names and name not in REFERENCES]


def _nearest(row: int, candidates: list[str], montage: str) -> list[str]:
    """The recorded neighbours that stand in for standard channel `row`; ties go by the electrode table."""
    if montage == "released":
        ranked = [STANDARD_CHANNELS[index] for index in RELEASED_NEIGHBOURS[row]]
        return [name for name in ranked if name in candidates][:NUM_NEIGHBOURS]
    places = np.array([ELECTRODES[name] for name in candidates])
    distances = np.linalg.norm(places - np.array(ELECTRODES[STANDARD_CHANNELS[row]]), axis=1)
    return [candidates[index] for index in np.argsort(distances, kind="stable")[:NUM_NEIGHBOURS]]


def _check_not_inputs(ch_names: Sequence[str]) -> None:
    """Refuse names such as A1 ... A32 B1 ... B32: an amplifier's inputs, whose C3 is not the place C3."""
    inputs = [name for name in ch_names if _INPUT.match(name) and canonical_name(name) is None]
    if len(inputs) >= 4:
        raise MontageError(
            f"channels are named by amplifier input, not by place: {', '.join(inputs[:4])}, ...",
            value=inputs,
            remedy="Rename them by the cap's layout, for example with raw.rename_channels",
        )


def _check_selection(ch_names: Sequence[str], selection: ChannelSelection) -> None:
    recorded = [ch_names[index] for index in selection.indices]
    _check_duplicates(recorded, selection.ch_names)
    if not selection.ch_names:
        raise _nothing_known(ch_names)
    unknown = [name for name, why in selection.dropped.items() if why == _UNKNOWN and not _is_other_signal(name)]
    if len(unknown) > len(selection.ch_names):
        raise MontageError(
            f"most names mean nothing: {len(unknown)} channels such as {', '.join(unknown[:5])}, against "
            f"{len(selection.ch_names)} electrodes ({', '.join(selection.ch_names[:5])})",
            value=unknown,
            remedy="Name the channels by their places, for example Fp1, Cz, O2; or leave out those that are no EEG",
        )


def _is_other_signal(name: str) -> bool:
    return bool(_OTHER_SIGNALS.search(_REFERENCE_SUFFIX.sub("", name.strip())))


def _check_duplicates(recorded: Sequence[str], electrodes: Sequence[str | None]) -> None:
    # unknown names are compared as written, known ones by the electrode they mean
    keys = [electrode or name for name, electrode in zip(recorded, electrodes, strict=True)]
    twice = {key: [name for name, k in zip(recorded, keys, strict=True) if k == key] for key in keys}
    twice = {key: names for key, names in twice.items() if len(names) > 1}
    if twice:
        listed = "; ".join(f"{', '.join(names)} all mean {key}" for key, names in twice.items())
        raise MontageError(
            f"duplicate channels: {listed}", value=sorted(twice), remedy="Rename or drop all but one of each"
        )


def _nothing_known(ch_names: Sequence[str]) -> MontageError:
    shown = ", ".join(repr(name) for name in list(ch_names)[:8]) + (", ..." if len(ch_names) > 8 else "")
    close = {name: matches for name in ch_names if (matches := close_matches(name))}
    hints = "; ".join(f"{name!r} resembles {', '.join(matches)}" for name, matches in list(close.items())[:5])
    return MontageError(
        f"no channel is a scalp electrode of the 10-05 system that can serve, found {shown}"
        + (f" ({hints})" if hints else ""),
        value=list(ch_names),
        remedy="Name the channels by their places, for example Fp1, Cz, O2",
    )
