"""From a raw EEG signal to the cleaned one the model reads: the one implementation for training and for use.

The feature extractor and the `basic` preparation of corpora both call `clean`, so a recording gives the same
windows on either way. Signals are `(channels, samples)` in µV; memory beyond input and output is a few
channels' worth.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .bad_channels_mdjpt import FLAT, find_bad_channels, recorded_reference
from .errors_mdjpt import MontageError, SignalError, UnitError
from .filtering_mdjpt import (
    HIGH_CUTOFF,
    LOW_CUTOFF,
    STOP_ATTENUATION,
    TARGET_RATE,
    band_pass,
    check_rate,
    resample,
    resampled_length,
)
from .median_mdjpt import median
from .montage_mdjpt import canonical_name
from .splines_mdjpt import MIN_SPLINE_CHANNELS, has_place, spline_weights
from .stretches_mdjpt import Stretch, whole

#: An average over fewer electrodes than this is no estimate of zero potential; such recordings keep their
#: reference.
MIN_REFERENCE_CHANNELS = 8
#: Median absolute amplitude (µV, each channel's median removed) outside which a signal cannot be scalp EEG in
#: µV. Real EEG lies near 3 to 30; the bounds are wide, yet a factor of 1000 (mV, V) always leaves them.
PLAUSIBLE_AMPLITUDE = (0.1, 500.0)
#: The same after the band-pass, which takes away drifts and line noise: a cap without a head goes beyond.
PLAUSIBLE_FILTERED = (0.1, 200.0)

#: µV per unit of input.
UNITS = {"uV": 1.0, "µV": 1.0, "μV": 1.0, "mV": 1e3, "V": 1e6}

#: Good electrodes with a place that rebuild a bad one; from fewer, as on headsets, it would be made over half the head.
MIN_REPAIR_CHANNELS = 8
#: Share of the channels that may be rebuilt; beyond it bad ones are removed.
MAX_REPAIRED = 0.25

_NOTHING = 1e-7  # µV; what rounding leaves of a constant channel after filtering
_CHUNK = 4  # channels filtered at a time: bounds the memory


@dataclass
class Cleaned:
    """A cleaned recording.

    Attributes:
        signal: Float32 `(channels, samples)` in µV.
        ch_names: The channels kept.
        sampling_rate: Hz.
        bads: Channels that were bad, stated or found.
        interpolated: Those of them that were rebuilt from their neighbours; the others were removed.
        notes: What was done, for people.
        stretches: Parts of the signal without a break between them; all of it is one if nothing is said.
    """

    signal: np.ndarray
    ch_names: list[str]
    sampling_rate: float
    bads: list[str] = field(default_factory=list)
    interpolated: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    stretches: list[Stretch] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stretches = self.stretches or whole(self.signal.shape[1])


def clean(
    signal: np.ndarray,
    ch_names: Sequence[str],
    rate: float,
    bads: Iterable[str] = (),
    target: float = TARGET_RATE,
    band: tuple[float, float] = (LOW_CUTOFF, HIGH_CUTOFF),
    unit: str = "uV",
    stretches: Sequence[Stretch] | None = None,
) -> Cleaned:
    """Resample, band-pass, interpolate bad channels, and refer to the average, in this order.

    Where the recording is broken, filters stop and start anew, and what lies between stretches, or is too short for
    filters, is left out. Channels and unit are judged on everything together.

    Args:
        signal: `(channels, samples)` in µV, any real type.
        ch_names: One name per channel; place names in any case.
        rate: Hz, at least 94.
        bads: Names of channels known to be bad, in addition to those found.
        target: Hz of the result.
        band: Edges of the band-pass in Hz, at most 47.
        unit: The unit the user stated, for the message if the amplitude is impossible.
        stretches: Parts of the signal without a break; all of it by default.

    Raises:
        SignalError: On a wrong shape, NaN or infinite samples, less than 1 s, or too few good channels.
        SamplingRateError: If the rate is missing or too low.
        UnitError: If the band-passed amplitude cannot be scalp EEG.
        MontageError: If `bads` names a channel that is not there.
    """
    check_signal(signal, ch_names)
    pieces, notes = filterable(stretches or whole(signal.shape[1]), check_rate(rate))
    cleaned = Cleaned(
        resample_and_filter(signal, float(rate), target, band, pieces),
        list(ch_names),
        target,
        stretches=resampled_stretches(pieces, float(rate), target),
    )
    if rate != target:
        cleaned.notes.append(f"resampled from {rate:g} to {target:g} Hz")
    cleaned.notes += notes
    check_amplitude(recorded_channels(cleaned.signal), unit=unit, plausible=PLAUSIBLE_FILTERED)
    repair_channels(cleaned, channel_indices(bads, cleaned.ch_names))
    refer_to_average(cleaned)
    return cleaned


def filterable(stretches: Sequence[Stretch], rate: float) -> tuple[list[Stretch], list[str]]:
    """Those stretches that are long enough for the filters, and a note on the others.

    Raises:
        SignalError: If none lasts 1 s.
    """
    kept = [stretch for stretch in stretches if stretch.stop - stretch.start >= rate]
    if not kept:
        seconds = max(stretch.stop - stretch.start for stretch in stretches) / rate
        raise SignalError(
            f"filtering needs at least 1 s, found {seconds:.3g} s" + " between two breaks" * (len(stretches) > 1),
            value=seconds,
            remedy="Give a longer stretch of the recording",
        )
    left = len(stretches) - len(kept)
    return kept, [f"left out {left} stretches between breaks that last less than 1 s"] if left else []


def resampled_stretches(stretches: Sequence[Stretch], rate: float, target: float) -> list[Stretch]:
    """Where stretches lie once each was brought to `target` Hz and they stand one after the other."""
    ends = np.cumsum([resampled_length(stretch.stop - stretch.start, rate, target) for stretch in stretches]).tolist()
    return [
        Stretch(start, stop, stretch.onset)
        for stretch, start, stop in zip(stretches, [0, *ends[:-1]], ends, strict=True)
    ]


def refer_to_average(cleaned: Cleaned) -> None:
    """Average reference in place, with a note where it is not done; an error if nothing is left."""
    count = len(cleaned.ch_names)
    if count < MIN_REFERENCE_CHANNELS:
        cleaned.notes.append(f"kept the recorded reference: {count} channels are too few to average")
    cleaned.signal = average_reference(cleaned.signal)
    if median(np.abs(cleaned.signal).ravel()) < FLAT:
        raise SignalError(
            "nothing is left after the average reference: the channels are copies of one another",
            value=cleaned.ch_names,
            remedy="Check how the recording was exported",
        )


def resample_and_filter(
    signal: np.ndarray,
    rate: float,
    target: float,
    band: tuple[float, float],
    stretches: Sequence[Stretch] | None = None,
) -> np.ndarray:
    """`(channels, samples)` at `target` Hz, float32, within `band` (Hz), a few channels at a time.

    Stretches are filtered each by itself and stand one after the other in the result.
    """
    stretches = stretches or whole(signal.shape[1])
    places = resampled_stretches(stretches, rate, target)
    result = np.empty((signal.shape[0], places[-1].stop), dtype=np.float32)
    for start in range(0, signal.shape[0], _CHUNK):
        chunk = slice(start, start + _CHUNK)
        for stretch, place in zip(stretches, places, strict=True):
            piece = resample(signal[chunk, stretch.start : stretch.stop], rate, target)
            result[chunk, place.start : place.stop] = band_pass(piece, target, *band)
    return result


def recorded_channels(signal: np.ndarray) -> np.ndarray:
    """Of `(channels, samples)` the channels on which anything was recorded: zeros say nothing about the unit.

    Raises:
        SignalError: If there are none.
    """
    recorded = np.array([np.abs(values).max() > _NOTHING for values in signal])
    if not recorded.any():
        raise SignalError(
            f"all {len(signal)} channels are flat",
            value=len(signal),
            remedy="Check the recording; it is empty",
        )
    return signal if recorded.all() else signal[recorded]


def check_signal(signal: np.ndarray, ch_names: Sequence[str]) -> None:
    """Refuse what is not `(channels, samples)` of finite numbers with one name per channel.

    Raises:
        SignalError: With the shape, or the first channel and sample that is not finite.
    """
    check_shape(signal, ch_names)
    for name, values in zip(ch_names, signal, strict=True):
        finite = np.isfinite(values)
        if not finite.all():
            sample = int(np.argmin(finite))
            raise SignalError(
                f"non-finite value {values[sample]} at channel {name}, sample {sample} "
                f"({values.size - int(finite.sum())} such samples in this channel)",
                value=(name, sample),
                remedy="Mark the channel or the stretch as bad, or cut them out; they would spread through the filters",
            )


def check_shape(signal: np.ndarray, ch_names: Sequence[str]) -> None:
    """Refuse what is not `(channels, samples)` of real numbers with one name per channel.

    Raises:
        SignalError: With the shape or the kind of numbers.
    """
    if signal.ndim != 2 or signal.shape[0] != len(ch_names) or signal.size == 0:
        raise SignalError(
            f"signal must have shape (channels, samples) with {len(ch_names)} named channels, "
            f"found {tuple(signal.shape)}",
            value=tuple(signal.shape),
            remedy="Put channels first and name every channel",
        )
    if signal.dtype.kind not in "fiu":
        raise SignalError(
            f"signal must hold real numbers, found {signal.dtype}",
            value=str(signal.dtype),
            remedy="Convert to float32",
        )


def check_amplitude(
    signal: np.ndarray,
    where: str = "",
    unit: str = "uV",
    plausible: tuple[float, float] = PLAUSIBLE_AMPLITUDE,
) -> float:
    """The typical amplitude of `(channels, samples)` µV, if it can be scalp EEG.

    Typical amplitude is the median of |signal - channel median| (at most about a million samples are looked
    at).

    Args:
        signal: `(channels, samples)` in µV.
        where: Which recording, for the message.
        unit: The unit the user stated.
        plausible: Lower and upper bound in µV.

    Raises:
        UnitError: If it lies outside the bounds.
    """
    seen = signal[:, :: max(1, signal.size // 1_000_000)]
    amplitude = float(median(np.abs(seen - median(seen)[:, None]).ravel()))
    low, high = plausible
    if low <= amplitude <= high:
        return amplitude
    likely = "volts or millivolts stored as µV" if amplitude < low else "µV read as volts, or no head attached"
    raise UnitError(
        f"{where}: " * bool(where)
        + f"typical amplitude {amplitude:.3g} µV lies outside {low} to {high} µV ({likely}?), unit {unit!r}",
        value=amplitude,
        remedy=f"State the recording's true unit: one of {', '.join(sorted({*UNITS} - {'µV', 'μV'}))}",
    )


def microvolts_per(unit: str) -> float:
    """How many µV one `unit` is.

    Raises:
        UnitError: If the unit is unknown.
    """
    if not isinstance(unit, str) or unit not in UNITS:
        raise UnitError(f"unknown unit {unit!r}", value=unit, remedy="Use 'uV', 'mV' or 'V'")
    return UNITS[unit]


def interpolate_channels(signal: np.ndarray, ch_names: Sequence[str], bads: Iterable[str]) -> np.ndarray:
    """Rebuild bad channels from the others by spherical splines (Perrin et al. 1989).

    Args:
        signal: `(channels, samples)`.
        ch_names: Place names in any case.
        bads: Names among them.

    Returns:
        A copy in which the bad rows are replaced.

    Raises:
        MontageError: If a bad channel is not there or has no known place, or fewer than 4 good ones have one.
    """
    bad = channel_indices(bads, ch_names)
    unplaced = [ch_names[index] for index in bad if not has_place(ch_names[index])]
    good = [i for i, name in enumerate(ch_names) if i not in bad and has_place(name)]
    if unplaced or len(good) < MIN_SPLINE_CHANNELS:
        raise MontageError(
            f"cannot interpolate {[ch_names[i] for i in bad]} from {len(good)} good channels with known place"
            + (f"; no place is known for {unplaced}" if unplaced else ""),
            value=[ch_names[index] for index in bad],
            remedy=f"Drop these channels; interpolation needs places and {MIN_SPLINE_CHANNELS} good channels",
        )
    repaired = signal.copy()
    if bad:
        weights = spline_weights([ch_names[i] for i in good], [ch_names[i] for i in bad])
        repaired[bad] = weights.astype(signal.dtype) @ signal[good]
    return repaired


def channel_indices(names: Iterable[str], ch_names: Sequence[str]) -> list[int]:
    """Where the named channels stand, in order, however they are spelt.

    Raises:
        MontageError: If one is not there.
    """
    known = {canonical_name(name) or name: index for index, name in enumerate(ch_names)}
    wanted = {canonical_name(name) or name: name for name in names}
    missing = [name for key, name in wanted.items() if key not in known]
    if missing:
        raise MontageError(
            f"bad channels {missing} are not in the recording, which has {', '.join(ch_names)}",
            value=missing,
            remedy="Name bad channels as the recording does",
        )
    return sorted(known[key] for key in wanted)


def repair_channels(cleaned: Cleaned, stated: list[int]) -> None:
    """Interpolate the stated and the found bad channels in place; remove those that cannot be.

    A recorded reference is no bad channel. Bad ones are rebuilt from at least `MIN_REPAIR_CHANNELS` good ones, and up
    to `MAX_REPAIRED` of all; else they are removed, and neighbours stand in for them as for any electrode not there.

    Raises:
        SignalError: If more than half of the channels are bad.
    """
    reference = recorded_reference(cleaned.signal, cleaned.ch_names, stated)
    if reference is not None:
        cleaned.notes.append(f"kept {cleaned.ch_names[reference]}: its zeros are those of the recorded reference")
    found = [index for index in find_bad_channels(cleaned.signal) if index not in (*stated, reference)]
    bad = sorted({*stated, *found})
    if not bad:
        return
    names = cleaned.ch_names
    if 2 * len(bad) > len(names):
        raise SignalError(
            f"{len(bad)} of {len(names)} channels are bad or flat: {', '.join(names[i] for i in bad)}",
            value=[names[index] for index in bad],
            remedy="Leave out channels that were not connected, or drop the recording",
        )
    placed = sum(has_place(name) for index, name in enumerate(names) if index not in bad)
    cleaned.bads = [names[index] for index in bad]
    enough = placed >= MIN_REPAIR_CHANNELS and len(bad) <= MAX_REPAIRED * len(names)
    rebuilt = [name for name in cleaned.bads if has_place(name) and enough]
    keep = [index for index, name in enumerate(names) if index not in bad or name in rebuilt]
    cleaned.notes += _repair_notes([names[index] for index in found], rebuilt, cleaned.bads)
    cleaned.ch_names, cleaned.interpolated = [names[index] for index in keep], rebuilt
    kept = cleaned.signal if len(keep) == len(names) else cleaned.signal[keep]
    cleaned.signal = interpolate_channels(kept, cleaned.ch_names, rebuilt) if rebuilt else kept


def _repair_notes(found: list[str], rebuilt: list[str], bads: list[str]) -> list[str]:
    notes = [f"found bad: {', '.join(found)}"] if found else []
    if rebuilt:
        notes.append(f"interpolated {', '.join(rebuilt)}")
    removed = [name for name in bads if name not in rebuilt]
    if removed:
        notes.append(f"removed {', '.join(removed)}: bad, and without the place or enough neighbours to interpolate")
    return notes


def average_reference(signal: np.ndarray) -> np.ndarray:
    """Subtract the mean over channels from `(channels, samples)`; below 8 channels the signal is returned as it is."""
    if signal.shape[0] < MIN_REFERENCE_CHANNELS:
        return signal
    return signal - signal.mean(axis=0, keepdims=True)


def robust_scale(signal: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of a recording over all channels jointly, outliers left out.

    Only samples with |x| < 30 · median|x| count (the rule of the released program). The scaled recording is
    `(signal - mean) / std`.

    Args:
        signal: `(channels, samples)` in µV.

    Raises:
        SignalError: If nothing varies.
    """
    absolute = np.abs(signal)
    kept = signal[absolute < 30 * median(absolute.ravel())]
    std = float(kept.std(dtype=np.float64)) if kept.size else 0.0
    if std <= FLAT:
        raise SignalError(
            f"nothing is left to scale: the standard deviation over all channels is {std:.3g} µV",
            value=std,
            remedy="Check that the channels are not flat or copies of one another",
        )
    return float(kept.mean(dtype=np.float64)), std


def cut_windows(n_samples: int, window: int, stride: int) -> np.ndarray:
    """First samples of all whole windows in `n_samples`, `(windows,)`; empty if not one fits.

    Raises:
        SignalError: If window or stride is not positive.
    """
    if window < 1 or stride < 1:
        raise SignalError(
            f"window and stride must be at least one sample, found {window} and {stride}",
            value=(window, stride),
            remedy="Give longer ones",
        )
    return np.arange(0, n_samples - window + 1, stride, dtype=np.int64)


def settings() -> dict[str, Any]:
    """The numbers `clean` works with, for the metadata of a prepared corpus."""
    return {
        "sampling_rate": TARGET_RATE,
        "resampling": f"polyphase, Kaiser window, {STOP_ATTENUATION:g} dB",
        "band": [LOW_CUTOFF, HIGH_CUTOFF],
        "filter": "Butterworth, zero phase, order 4 high-pass, order 20 low-pass (both directions)",
        "bad_channels": "|x| > 3 medians in 40 % or > 30 medians in 1 % of samples, flat, or a hundredth of the others",
        "interpolation": "spherical splines, m = 4, 50 terms, lambda = 1e-5; a quarter at most, from 8 good channels",
        "reference": f"average, from {MIN_REFERENCE_CHANNELS} channels",
    }
