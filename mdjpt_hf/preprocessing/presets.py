"""Named, versioned preprocessing of whole recordings, before trials are cut.

| preset | what is done |
|---|---|
| `none` | resampled to 125 Hz only: for corpora that come cleaned by their authors |
| `basic` | resampled, band-pass 0.5-47 Hz, bad channels interpolated, average reference, as the extractor does |
| `paper` | `basic`, with eye and muscle components taken out (ICA, ICLabel) before channels are judged once more |

mdJPT was trained on what `paper` does (arXiv 2510.22197). A preset's id, such as `basic-1`, is stored with every trial;
its number rises whenever its output changes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from mdjpt_hf.errors import ConfigurationError, MDJPTError, located, require
from mdjpt_hf.modeling.bad_channels_mdjpt import find_bad_channels, is_flat, recorded_reference
from mdjpt_hf.modeling.filtering_mdjpt import HIGH_CUTOFF, LOW_CUTOFF, TARGET_RATE, check_rate, resample
from mdjpt_hf.modeling.median_mdjpt import median
from mdjpt_hf.modeling.signal_mdjpt import (
    PLAUSIBLE_FILTERED,
    Cleaned,
    channel_indices,
    check_amplitude,
    check_signal,
    clean,
    filterable,
    recorded_channels,
    refer_to_average,
    repair_channels,
    resample_and_filter,
    resampled_stretches,
    settings,
)
from mdjpt_hf.modeling.splines_mdjpt import has_place
from mdjpt_hf.modeling.stretches_mdjpt import Span, Stretch, find_span, whole

#: Preset -> id.
PRESETS = {"none": "none-1", "basic": "basic-1", "paper": "paper-1"}
#: Blinks make these look bad; they stay until the components are known, because blinks show best there.
EYE_CHANNELS = ("Fp1", "Fp2", "F7", "F8")


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
        stretches: Parts of the signal without a break between them; all of it is one if nothing is said.
        interpolated: Channels that were rebuilt from the others.
        unit: What the recording was taken to be in before it was µV, for messages.
    """

    signal: np.ndarray
    ch_names: list[str]
    sampling_rate: float
    notes: list[str] = field(default_factory=list)
    id: str = "none-1"
    stretches: list[Stretch] = field(default_factory=list)
    interpolated: list[str] = field(default_factory=list)
    unit: str = "uV"

    def __post_init__(self) -> None:
        self.stretches = self.stretches or whole(self.signal.shape[1])

    @property
    def end(self) -> float:
        """When the recording ends, in s on the file's clock."""
        return max(stretch.end(self.sampling_rate) for stretch in self.stretches)

    def span(self, onset: float, duration: float | None) -> Span:
        """Where a trial lies among the samples.

        Args:
            onset, duration: s on the file's clock; None means to the end.
        """
        return find_span(onset, duration, self.stretches, self.sampling_rate)

    def cut(self, span: Span) -> dict[str, Any]:
        """What a `Trial` has from its recording: `signal` `(channels, samples)`, rate, names, preset."""
        return {
            "signal": self.signal[:, span.start : span.stop],
            "sampling_rate": self.sampling_rate,
            "ch_names": self.ch_names,
            "preprocessing": self.id,
            "unit": self.unit,
        }

    def is_silent(self, start: int, stop: int) -> bool:
        """Whether next to nothing was recorded from sample `start` to `stop`, measured against the whole recording."""
        return _typical(self.signal[:, start:stop]) < SILENT * self._usual

    @cached_property
    def _usual(self) -> float:
        """Typical amplitude of the whole recording in µV, which every trial is measured against."""
        return _typical(self.signal)


def preprocess(
    signal: np.ndarray,
    ch_names: Sequence[str],
    sampling_rate: float,
    preset: str = "basic",
    bads: Iterable[str] = (),
    where: str = "",
    unit: str = "uV",
    stretches: Sequence[Stretch] | None = None,
) -> Preprocessed:
    """Preprocess one whole recording.

    Args:
        signal: `(channels, samples)` in µV.
        ch_names: One place name per channel.
        sampling_rate: Hz, at least 94.
        preset: "none", "basic" or "paper".
        bads: Channels known to be bad; `none` keeps them and says so.
        where: Which recording, put in front of every error message.
        unit: The unit the recording was said to be in, for the message if the amplitude is impossible.
        stretches: Parts of the signal without a break, where it has some; filters never run across.

    Raises:
        ConfigurationError: If the preset is unknown.
        MDJPTError: What `mdjpt_hf.modeling.signal_mdjpt.clean` raises, with `where` in front.
    """
    breaks = None if stretches is None else [stretches]
    return preprocess_session([signal], ch_names, sampling_rate, preset, bads, where, unit, breaks)[0]


def preprocess_session(
    signals: Sequence[np.ndarray],
    ch_names: Sequence[str],
    sampling_rate: float,
    preset: str = "basic",
    bads: Iterable[str] = (),
    where: str = "",
    unit: str = "uV",
    stretches: Sequence[Sequence[Stretch]] | None = None,
) -> list[Preprocessed]:
    """Preprocess a session that was stored in several signals, such as one array per trial.

    Filters never run across signals, nor across stretches within one. `paper` needs long recordings, so channels and
    components are judged on all signals together.

    Args:
        signals: Each `(channels, samples)` in µV.
        ch_names, sampling_rate, preset, bads, where, unit: See [`preprocess`].
        stretches: Of every signal, its parts without a break.

    Raises:
        ConfigurationError: If the preset is unknown.
        MDJPTError: What `mdjpt_hf.modeling.signal_mdjpt.clean` raises, with `where` in front.
    """
    check_preset(preset)
    breaks = stretches or [whole(signal.shape[-1]) for signal in signals]
    try:
        if preset == "none":
            return [
                _resample_only(signal, list(ch_names), sampling_rate, list(bads), parts)
                for signal, parts in zip(signals, breaks, strict=True)
            ]
        if preset == "paper":
            return _paper(signals, list(ch_names), float(sampling_rate), list(bads), unit, breaks)
        cleaned = [
            clean(signal, ch_names, sampling_rate, bads=bads, unit=unit, stretches=parts)
            for signal, parts in zip(signals, breaks, strict=True)
        ]
    except MDJPTError as error:
        raise located(error, where) from error
    return [
        Preprocessed(c.signal, c.ch_names, c.sampling_rate, c.notes, PRESETS[preset], c.stretches, c.interpolated)
        for c in cleaned
    ]


def preset_settings(preset: str) -> dict[str, Any]:
    """Id and exact settings of a preset, as plain JSON for a corpus' metadata.

    Raises:
        ConfigurationError: If the preset is unknown.
    """
    check_preset(preset)
    numbers = settings()
    if preset == "none":
        numbers = {name: numbers[name] for name in ("sampling_rate", "resampling")}
    return {"preset": preset, "id": PRESETS[preset], **numbers}


def check_preset(preset: str) -> None:
    """Refuse a preset this version does not have, or whose libraries are not installed.

    Raises:
        ConfigurationError: With the presets there are, or the extra that is missing.
    """
    if preset not in PRESETS:
        raise ConfigurationError(
            f"preprocessing preset {preset!r} is unknown",
            value=preset,
            remedy=f"Use one of {', '.join(PRESETS)}",
        )
    if preset == "paper":
        for library in ("mne_icalabel", "picard"):
            require(library, "ica", "preprocessing preset 'paper'")


def _resample_only(
    signal: np.ndarray, ch_names: list[str], rate: float, bads: list[str], stretches: Sequence[Stretch]
) -> Preprocessed:
    check_signal(signal, ch_names)
    rows = [
        np.concatenate([resample(values[s.start : s.stop], rate).astype(np.float32) for s in stretches])
        for values in signal
    ]
    notes = [f"resampled from {rate:g} to {TARGET_RATE:g} Hz"] if rate != TARGET_RATE else []
    if bads:
        notes.append(f"kept the bad channels {', '.join(bads)}: this preset repairs nothing")
    places = resampled_stretches(stretches, rate, TARGET_RATE)
    return Preprocessed(np.stack(rows), ch_names, TARGET_RATE, notes, PRESETS["none"], places)


def _paper(
    signals: Sequence[np.ndarray],
    ch_names: list[str],
    rate: float,
    bads: list[str],
    unit: str,
    stretches: Sequence[Sequence[Stretch]],
) -> list[Preprocessed]:
    pieces, left = [], []
    for signal, parts in zip(signals, stretches, strict=True):
        check_signal(signal, ch_names)
        kept, notes = filterable(parts, check_rate(rate))
        pieces.append(kept)
        left.append(notes)
    filtered = [
        resample_and_filter(signal, rate, TARGET_RATE, (LOW_CUTOFF, HIGH_CUTOFF), parts)
        for signal, parts in zip(signals, pieces, strict=True)
    ]
    session = Cleaned(np.concatenate(filtered, axis=1), ch_names, TARGET_RATE)
    if rate != TARGET_RATE:
        session.notes.append(f"resampled from {rate:g} to {TARGET_RATE:g} Hz")
    check_amplitude(recorded_channels(session.signal), unit=unit, plausible=PLAUSIBLE_FILTERED)
    unplaced = [index for index, name in enumerate(ch_names) if not has_place(name)]  # unknown to the classifier
    stated = channel_indices(bads, ch_names)
    bad = sorted({*stated, *unplaced, *_unfit_for_components(session.signal, ch_names, stated)})
    unbroken = [s[:, p.start : p.stop] for s, parts in zip(signals, pieces, strict=True) for p in parts]
    _remove_artefacts(session, unbroken, rate, bad)
    repair_channels(session, bad)
    refer_to_average(session)
    ends = np.cumsum([signal.shape[1] for signal in filtered])[:-1]
    return [
        Preprocessed(
            part, session.ch_names, TARGET_RATE, session.notes + notes, PRESETS["paper"], places, session.interpolated
        )
        for part, notes, places in zip(
            np.split(session.signal, ends, axis=1),
            left,
            (resampled_stretches(parts, rate, TARGET_RATE) for parts in pieces),
            strict=True,
        )
    ]


def _unfit_for_components(signal: np.ndarray, ch_names: list[str], stated: list[int]) -> list[int]:
    """Channels that would spoil the decomposition: bad ones, except those where it finds the eyes."""
    found = [index for index in find_bad_channels(signal) if index != recorded_reference(signal, ch_names, stated)]
    return [index for index in found if ch_names[index] not in EYE_CHANNELS or is_flat(signal[index])]


def _remove_artefacts(session: Cleaned, stretches: Sequence[np.ndarray], rate: float, bad: list[int]) -> None:
    """Take eye and muscle components out of the good channels, in place."""
    from mdjpt_hf.preprocessing.artefacts import MIN_CHANNELS, find_components  # MNE is only loaded where it is needed

    good = [index for index in range(len(session.ch_names)) if index not in bad]
    if len(good) < MIN_CHANNELS:
        session.notes.append(f"eye and muscle activity kept: {len(good)} good channels do not separate them")
        return
    wide = [signal[good] for signal in stretches]
    components = find_components(wide, [session.ch_names[index] for index in good], rate)
    session.signal[good] = components.without_artefacts(session.signal[good], session.sampling_rate)
    session.notes += components.notes()


def _typical(signal: np.ndarray) -> float:
    return float(median(np.abs(signal - median(signal)[:, None]).ravel()))
