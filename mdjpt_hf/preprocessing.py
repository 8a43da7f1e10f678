"""Named, versioned preprocessing of whole recordings, before trials are cut.

    none     resampled to 125 Hz only: for corpora that come cleaned by their authors
    basic    resampled, band-pass 0.5-47 Hz, bad channels interpolated, average reference: what the feature
             extractor does

A preset's id, such as `basic-1`, is stored with every trial. Its number rises whenever its output changes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mdjpt_hf.errors import ConfigurationError, MDJPTError
from mdjpt_hf.modeling.signal_mdjpt import TARGET_RATE, check_signal, clean, resample, settings

#: Preset -> id. `paper` is named because the method defines it; it is not there yet.
PRESETS = {"none": "none-1", "basic": "basic-1"}
_PLANNED = ("paper",)


#: A stretch whose typical amplitude is below this share of its recording's holds no EEG: an amplifier switched off, a
#: gap filled with a constant. Filtering leaves a little of its surroundings in it.
SILENT = 1e-3


@dataclass
class Preprocessed:
    """A preprocessed recording.

    Attributes:
        signal: Float32 `(channels, samples)` in µV.
        ch_names: The channels kept.
        sampling_rate: Hz.
        notes: What was done, for the preparation report.
        id: Versioned id of the preset.
    """

    signal: np.ndarray
    ch_names: list[str]
    sampling_rate: float
    notes: list[str] = field(default_factory=list)
    id: str = "none-1"

    def is_silent(self, start: int, stop: int) -> bool:
        """Whether next to nothing was recorded from sample `start` to `stop`, measured against the whole recording."""
        return _typical(self.signal[:, start:stop]) < SILENT * _typical(self.signal)


def preprocess(
    signal: np.ndarray,
    ch_names: Sequence[str],
    sampling_rate: float,
    preset: str = "basic",
    bads: Iterable[str] = (),
    where: str = "",
    unit: str = "uV",
) -> Preprocessed:
    """Preprocess one whole recording.

    Args:
        signal: `(channels, samples)` in µV.
        ch_names: One place name per channel.
        sampling_rate: Hz, at least 94.
        preset: "none" or "basic".
        bads: Channels known to be bad; `none` keeps them and says so.
        where: Which recording, put in front of every error message.
        unit: The unit the recording was said to be in, for the message if the amplitude is impossible.

    Raises:
        ConfigurationError: If the preset is unknown or not available.
        MDJPTError: What `mdjpt_hf.modeling.signal_mdjpt.clean` raises, with `where` in front.
    """
    check_preset(preset)
    try:
        if preset == "none":
            return _resample_only(signal, list(ch_names), sampling_rate, list(bads))
        cleaned = clean(signal, ch_names, sampling_rate, bads=bads, unit=unit)
    except MDJPTError as error:
        raise located(error, where) from error
    return Preprocessed(cleaned.signal, cleaned.ch_names, cleaned.sampling_rate, cleaned.notes, PRESETS[preset])


def preset_settings(preset: str) -> dict[str, Any]:
    """Id and exact settings of a preset, as plain JSON for a corpus' metadata.

    Raises:
        ConfigurationError: If the preset is unknown or not available.
    """
    check_preset(preset)
    numbers = settings()
    if preset == "none":
        numbers = {name: numbers[name] for name in ("sampling_rate", "resampling")}
    return {"preset": preset, "id": PRESETS[preset], **numbers}


def check_preset(preset: str) -> None:
    """Refuse a preset this version does not have.

    Raises:
        ConfigurationError: With the presets there are.
    """
    if preset not in PRESETS:
        problem = "is not available in this version yet" if preset in _PLANNED else "is unknown"
        raise ConfigurationError(
            f"preprocessing preset {preset!r} {problem}",
            value=preset,
            remedy=f"Use one of {', '.join(PRESETS)}",
        )


def located(error: MDJPTError, where: str) -> MDJPTError:
    """The same error with the recording it concerns in front of its message."""
    if not where:
        return error
    message = str(error).removesuffix(f". {error.remedy}") if error.remedy else str(error)
    return type(error)(f"{where}: {message}", value=error.value, remedy=error.remedy)


def _resample_only(signal: np.ndarray, ch_names: list[str], rate: float, bads: list[str]) -> Preprocessed:
    check_signal(signal, ch_names)
    rows = [resample(values, rate).astype(np.float32) for values in signal]
    notes = [f"resampled from {rate:g} to {TARGET_RATE:g} Hz"] if rate != TARGET_RATE else []
    if bads:
        notes.append(f"kept the bad channels {', '.join(bads)}: this preset repairs nothing")
    return Preprocessed(np.stack(rows), ch_names, TARGET_RATE, notes, PRESETS["none"])


def _typical(signal: np.ndarray) -> float:
    return float(np.median(np.abs(signal - np.median(signal, axis=1, keepdims=True))))
