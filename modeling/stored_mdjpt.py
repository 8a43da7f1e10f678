"""What MNE keeps beside the samples of a recording, and what becomes of it here.

| kept by MNE | here |
|---|---|
| `annotations`, `first_samp`, `filenames` | pauses, seams and stretches marked bad (`timeline_mdjpt`) |
| `info["bads"]` | interpolated or removed |
| `info["projs"]` | those that concern EEG and were not applied yet are applied, with a note |
| `info["sfreq"]` | Hz of the samples; in EDF and BDF the EEG's own rate counts where other channels are faster |
| `info["highpass"]`, `info["lowpass"]` | a note where they take away part of the band that the model reads |
| `info["chs"]`: `kind`, `ch_name` | only EEG by known names; `coil_type`: no bipolar derivations |
| `info["chs"]`: `unit`, `unit_mul` | volts times 10 to the `unit_mul`, which MNE 1.13 does not apply; or refused |
| `info["chs"]`: `cal`, `range` | applied by MNE when samples are read |
| `_orig_units` | units by channel of EDF, BDF and BrainVision that MNE 1.13 takes for volts are corrected or refused |
| `info["custom_ref_applied"]` | nothing: the average reference is computed from what is there |
| `info["comps"]`, `proc_history`, `maxshield` | nothing: magnetometers alone are concerned |
| `info["chs"]`: `loc`; `info["dig"]` | nothing: places follow from names, for all recordings alike |
| persons, devices, dates, free text and all else in `info` | nothing, and none of it is kept |
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from .edf_mdjpt import EdfFile, read_edf_file
from .errors_mdjpt import SamplingRateError, UnitError
from .filtering_mdjpt import HIGH_CUTOFF, LOW_CUTOFF, LOWEST_RATE, check_rate
from .mne_mdjpt import load_mne
from .signal_mdjpt import microvolts_per

#: Fields of `mne.Info` that reach the signal, by the table above; the others have no part in it.
USED_FIELDS = ("bads", "ch_names", "chs", "highpass", "lowpass", "nchan", "projs", "sfreq")

#: FIFF's codes: volt, no unit stated, bipolar EEG electrode.
_VOLT, _UNSTATED, _BIPOLAR = 107, (-1, 0), 5

_UNIT = re.compile(r"(?P<prefix>nano|n|micro|u|\u00b5|\u03bc|\x83\xca|milli|m|)\s*v(olts?)?", re.IGNORECASE)
#: First letter of a prefix -> µV; \x83 opens the Greek letter in a Japanese code page.
_PREFIXES = {
    "n": 1e-3,
    "u": 1.0,
    "\u00b5": 1.0,
    "\u03bc": 1.0,
    "\x83": 1.0,
    "micro": 1.0,
    "milli": 1e3,
    "m": 1e3,
    "": 1e6,
}
#: What MNE 1.13 scales by itself; every other text it takes for volts.
_SCALED_BY_MNE = {
    "edf": {"uV": 1.0, "\u00b5V": 1.0, "\u03bcV": 1.0, "\x83\xcaV": 1.0, "mV": 1e3},
    "brainvision": {"uV": 1.0, "\u00b5V": 1.0, "mV": 1e3, "nV": 1e-3, "µS": 1.0, "uS": 1.0},
}


def microvolts_of(text: str) -> float | None:
    """How many µV the unit in a header is, however it is written; None if it is no voltage or empty."""
    match = _UNIT.fullmatch(text.strip())
    if not match:
        return None
    prefix = match["prefix"].lower()
    return _PREFIXES[prefix if prefix in _PREFIXES else prefix[0]]


def with_projectors(raw: Any) -> tuple[Any, list[str]]:
    """The recording with all projectors applied that concern EEG, and a note on those that were not yet.

    An average reference or artefact projectors may be stored with a recording and left inactive; MNE applies them when
    epochs are cut, and so does everybody who works with such files.
    """
    eeg = {name for name, kind in zip(raw.ch_names, raw.get_channel_types(), strict=True) if kind == "eeg"}
    waiting = [p for p in raw.info["projs"] if not p["active"] and eeg & set(p["data"]["col_names"])]
    if not waiting:
        return raw, []
    names = ", ".join(str(projector["desc"]) for projector in waiting)
    return raw.copy().apply_proj(verbose="ERROR"), [f"applied the projectors stored with the recording: {names}"]


def at_own_rate(raw: Any, indices: Sequence[int]) -> tuple[Any, float, list[str]]:
    """The recording at the rate of the channels that are wanted, that rate in Hz, and a note if others are faster.

    MNE brings all channels of an EDF or BDF file to the rate of the fastest, so the EEG can seem faster than it is. A
    recording that is still on disk is opened again without the faster channels; else its samples stay as they are.

    Raises:
        SamplingRateError: If one of the channels is slower than the model's band needs.
    """
    rate = check_rate(raw.info["sfreq"])
    behind = edf_behind(raw)
    if behind is None or not indices:
        return raw, rate, []
    file, channels = behind
    wanted = {raw.ch_names[index]: channels[raw.ch_names[index]] for index in indices}
    by_name = {name: file.samples[index] / file.seconds for name, index in wanted.items()}
    rates = set(by_name.values())
    fastest = max(file.samples[index] for index in file.signals) / file.seconds
    _check_rates(by_name, fastest)
    slower = sorted(own for own in rates if own < fastest * (1 - 1e-9))
    if not slower:
        return raw, rate, []
    told = ", ".join(f"{own:g}" for own in sorted(rates))
    if len(rates) == 1 and not raw.preload and abs(raw.info["sfreq"] - fastest) < 1e-6:
        alone = _reopened(raw, {file.labels[index]: name for name, index in wanted.items()})
        if alone is not None:
            return alone, slower[0], [f"EEG of {told} Hz beside channels of {fastest:g} Hz: read at its own rate"]
    return raw, rate, [f"EEG was recorded at {told} Hz, and MNE brought it to {fastest:g} Hz"]


def _check_rates(rates: dict[str, float], fastest: float) -> None:
    """Refuse channels whose own rate is too low, by their names; MNE shows the rate of the fastest."""
    slow = {name: own for name, own in rates.items() if own < LOWEST_RATE}
    if slow and len(set(rates.values())) == 1 and fastest == min(slow.values()):
        check_rate(fastest)
    if slow:
        raise SamplingRateError(
            f"{', '.join(slow)} were recorded at {', '.join(sorted({f'{own:g}' for own in slow.values()}))} Hz, though "
            f"other channels of the file have up to {fastest:g} Hz: below {LOWEST_RATE:g} Hz the signal lacks part of "
            f"the band up to {HIGH_CUTOFF:g} Hz",
            value=slow,
            remedy="Leave these channels out; a higher rate cannot be made afterwards",
        )


def edf_behind(raw: Any) -> tuple[EdfFile, dict[str, int]] | None:
    """The one EDF or BDF file behind a recording, and which of its channels each of the recording's is.

    Channels are known by their order, or by their names where some were left out; None where neither tells, and for
    recordings of other kinds.
    """
    paths = [path for path in getattr(raw, "filenames", ()) if path]
    if len(paths) != 1 or type(raw).__name__ not in ("RawEDF", "RawBDF"):
        return None
    file = read_edf_file(paths[0])
    if file is None:
        return None
    if len(file.signals) == len(raw.ch_names):
        return file, dict(zip(raw.ch_names, file.signals, strict=True))
    by_label = {file.labels[index]: index for index in file.signals}
    if len(by_label) < len(file.signals) or not set(raw.ch_names) <= set(by_label):
        return None
    return file, {name: by_label[name] for name in raw.ch_names}


def _reopened(raw: Any, names: dict[str, str]) -> Any | None:
    """The same file with these channels only, and what was marked in it; None if MNE finds others.

    Args:
        names: Label in the file -> name in the recording.
    """
    io = load_mne().io
    reader = io.read_raw_bdf if type(raw).__name__ == "RawBDF" else io.read_raw_edf
    alone = reader(raw.filenames[0], include=list(names), stim_channel=None, preload=False, verbose="ERROR")
    if list(alone.ch_names) != list(names):
        return None
    alone.rename_channels(names)
    alone.crop(raw.first_samp / raw.info["sfreq"], min(raw.last_samp / raw.info["sfreq"], alone.times[-1]))
    alone.set_annotations(raw.annotations, emit_warning=False)
    alone.info["bads"] = [name for name in raw.info["bads"] if name in alone.ch_names]
    return alone


def microvolt_scales(raw: Any, names: Sequence[str], unit: str | None) -> tuple[np.ndarray, list[str]]:
    """What the values that MNE hands out are multiplied with to be µV, channel by channel, and notes.

    Args:
        raw: The recording. names: Of its channels that are wanted.
        unit: What the numbers in the file really are, whatever its header says; by default its header counts.

    Returns:
        `(channels,)`.

    Raises:
        UnitError: If a channel's unit is no voltage, or none is given while others have one.
    """
    texts, scaled = _stored_units(raw, names)
    by_mne = np.array([scaled.get(text, 1e6) for text in texts])  # µV per number in the file, as MNE has it
    exponents, others = _channel_units(raw, names)
    if unit:
        return 1e6 * microvolts_per(unit) / by_mne if texts else np.full(len(names), microvolts_per(unit)), []
    if others:
        raise _no_voltage(others, "another unit than volt")
    if not texts:
        return 1e6 * exponents, _exponent_notes(exponents)
    told = [microvolts_of(text) for text in texts]
    unknown = {name: text for name, text, value in zip(names, texts, told, strict=True) if value is None}
    if unknown and (len(unknown) < len(names) or any(unknown.values())):
        listed = {name: text or "none" for name, text in unknown.items()}
        raise _no_voltage(listed, "no unit of voltage in the header")
    true = np.array([by if value is None else value for by, value in zip(by_mne, told, strict=True)])
    wrong = sorted({text for text, by, value in zip(texts, by_mne, true, strict=True) if by != value})
    notes = [f"the header's unit {', '.join(wrong)} is one that MNE takes for volts; it was corrected"] if wrong else []
    return 1e6 * true / by_mne, notes


def _stored_units(raw: Any, names: Sequence[str]) -> tuple[list[str], dict[str, float]]:
    """The unit that the header gives to every channel, and those MNE scales; nothing for formats without units."""
    kind = {"RawEDF": "edf", "RawBDF": "edf", "RawBrainVision": "brainvision"}.get(type(raw).__name__)
    stored = getattr(raw, "_orig_units", {})
    if kind is None or not stored:
        return [], {}
    if kind == "edf" and (behind := edf_behind(raw)) is not None:  # MNE names a unit it does not know n/a
        stored = {name: behind[0].units[index] for name, index in behind[1].items()}
    return ["" if (text := stored.get(name, "")) == "n/a" else text for name in names], _SCALED_BY_MNE[kind]


def _channel_units(raw: Any, names: Sequence[str]) -> tuple[np.ndarray, dict[str, str]]:
    """10 to the `unit_mul` of every channel, and the channels that are not in volts."""
    channels = {channel["ch_name"]: channel for channel in raw.info["chs"]}
    exponents = np.array([10.0 ** int(channels[name]["unit_mul"]) for name in names])
    others = {name: str(unit) for name in names if (unit := channels[name]["unit"]) not in (_VOLT, *_UNSTATED)}
    return exponents, others


def _exponent_notes(exponents: np.ndarray) -> list[str]:
    return (
        ["channels are stored in multiples of a volt (unit_mul), which were applied"] if (exponents != 1).any() else []
    )


def _no_voltage(units: dict[str, str], what: str) -> UnitError:
    shown = ", ".join(f"{name} ({text})" for name, text in list(units.items())[:8])
    return UnitError(
        f"{len(units)} channels have {what}: {shown}",
        value=units,
        remedy="Leave them out or correct the header, or state the unit of the numbers if it is the same for all",
    )


def bipolar_channels(raw: Any) -> set[str]:
    """EEG channels that MNE knows as the difference of two electrodes; their name is not the place they show."""
    return {channel["ch_name"] for channel in raw.info["chs"] if int(channel["coil_type"]) == _BIPOLAR}


def remaining_notes(raw: Any) -> list[str]:
    """Notes where the recorder's filters took away part of the model's band, or the file ends before it should."""
    highpass, lowpass = float(raw.info["highpass"] or 0), float(raw.info["lowpass"] or np.inf)
    notes = []
    if highpass > LOW_CUTOFF:
        notes.append(f"was high-passed at {highpass:g} Hz before: the model reads from {LOW_CUTOFF:g} Hz on")
    if lowpass < HIGH_CUTOFF:
        notes.append(f"was low-passed at {lowpass:g} Hz before: the model reads up to {HIGH_CUTOFF:g} Hz")
    behind = edf_behind(raw)
    if behind is not None and behind[0].promised > behind[0].n_records:
        notes.append(f"the file is truncated: it holds {behind[0].n_records} of {behind[0].promised} records")
    return notes
