"""Which channels of a recording are bad, and which one is only the reference."""

from collections.abc import Iterable, Sequence

import numpy as np

from .median_mdjpt import median
from .montage_mdjpt import canonical_name
from .splines_mdjpt import MIN_SPLINE_CHANNELS, has_place, spline_weights

#: A channel whose typical sample is below this share of the typical channel's recorded nothing of the brain: a loose
#: contact, another unit.
_QUIET = 1e-2
#: What the others show at the place of a channel of zeros, against what they show on average: potentials are smooth, so
#: at the recording reference it is little (0.2 to 0.6 with real caps, against 0.6 to 1.2 elsewhere). Electrodes that
#: often serve as reference may show more.
_NEAR_REFERENCE, _NEAR_USUAL_REFERENCE = 0.6, 0.9
_USUAL_REFERENCES = ("Cz", "FCz", "CPz", "Fz", "AFz", "Pz")

FLAT = 1e-2  # µV; a channel whose typical sample is below this recorded nothing


def find_bad_channels(signal: np.ndarray) -> list[int]:
    """Indices of channels that are too loud, far too quiet, or recorded nothing.

    Too loud is |x| above 3 times the median of |x| over all channels in more than 40 % of the samples, or
    above 30 times in more than 1 % (the rule of the released program). Too quiet is a hundredth of the typical
    channel. Flat channels are found first and do not count for the medians. Moments at which half of the channels are
    that loud are nobody's fault in particular (a cap taken off, a cable moved) and do not count either.

    Args:
        signal: `(channels, samples)` in µV, band-passed.
    """
    typical = np.array([median(np.abs(values)) for values in signal])
    flat = typical < FLAT
    if flat.all():
        return list(range(len(signal)))
    flat |= typical < _QUIET * np.median(typical[~flat])
    reference = float(median(np.abs(signal[~flat] if flat.any() else signal).ravel()))
    calm = _calm_samples(signal, 30 * reference)
    bads = []
    for index, values in enumerate(signal):
        absolute = np.abs(values[calm])
        loud = np.mean(absolute > 3 * reference) > 0.40 or np.mean(absolute > 30 * reference) > 0.01
        if flat[index] or loud:
            bads.append(index)
    return bads


def is_flat(values: np.ndarray) -> bool:
    """Whether a band-passed channel, `(samples,)` in µV, recorded nothing."""
    return bool(median(np.abs(values)) < FLAT)


def recorded_reference(signal: np.ndarray, ch_names: Sequence[str], stated: Iterable[int] = ()) -> int | None:
    """The channel of exact zeros that is the electrode all others were recorded against, None if there is none.

    Its zeros are its true signal, and belong into the average. A channel that was not connected can hold zeros as well;
    there the others show as much as elsewhere.

    Args:
        signal: `(channels, samples)` in µV, band-passed.
        stated: Channels stated to be bad, which are taken at their word.
    """
    zeros = [index for index, values in enumerate(signal) if not values.any()]
    if len(zeros) != 1 or zeros[0] in set(stated) or not has_place(ch_names[zeros[0]]):
        return None
    (zero,) = zeros
    others = [index for index, name in enumerate(ch_names) if index != zero and has_place(name)]
    if len(others) < MIN_SPLINE_CHANNELS:
        return zero if canonical_name(ch_names[zero]) in _USUAL_REFERENCES else None
    step = max(1, signal.shape[1] // 100_000)
    seen = signal[others, ::step]
    there = spline_weights([ch_names[index] for index in others], [ch_names[zero]])[0] @ seen
    usual = canonical_name(ch_names[zero]) in _USUAL_REFERENCES
    limit = _NEAR_USUAL_REFERENCE if usual else _NEAR_REFERENCE
    return zero if median(np.abs(there)) < limit * median(np.abs(seen).ravel()) else None


def _calm_samples(signal: np.ndarray, limit: float) -> np.ndarray:
    """Where at most half of the channels exceed the limit, `(samples,)`; everywhere, if that were nowhere."""
    loud = np.zeros(signal.shape[1], dtype=np.int32)
    for values in signal:
        loud += np.abs(values) > limit
    calm = loud <= len(signal) / 2
    return calm if calm.any() else np.ones_like(calm)
