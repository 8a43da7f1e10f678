"""What people give the feature extractor: MNE's recordings and epochs, arrays with names and a rate, lists of them."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .errors_mdjpt import MontageError, SamplingRateError, SignalError
from .filtering_mdjpt import check_rate
from .montage_mdjpt import select_channels
from .raw_mdjpt import (
    Recording,
    is_cut,
    is_raw,
    is_recording,
    read_raw,
    side_by_side,
    stated_bads,
    without_marked_gaps,
)
from .signal_mdjpt import check_shape, microvolts_per
from .stretches_mdjpt import Stretch


def is_list_of_recordings(source: Any) -> bool:
    """Whether something is a list of recordings, not the rows of one."""
    return isinstance(source, list | tuple) and any(
        is_raw(item) or is_recording(item) or getattr(item, "ndim", 0) in (2, 3) for item in source
    )


def has_trials(source: Any) -> bool:
    """Whether a recording comes in trials."""
    return is_cut(source) if is_raw(source) else getattr(source, "ndim", 2) == 3


def per_recording(ch_names: Any, rate: Any, count: int, several: bool) -> tuple[list, list]:
    """Names and rate (Hz) of each recording, where one of each may have been given for all.

    Raises:
        SignalError: If neither one was given nor one for each.
    """
    nested = several and ch_names is not None and any(not isinstance(name, str) for name in ch_names)
    names = list(ch_names) if nested else [ch_names] * count
    rates = list(rate) if several and isinstance(rate, list | tuple | np.ndarray) else [rate] * count
    for what, values in (("ch_names", names), ("sampling_rate", rates)):
        if len(values) != count:
            raise SignalError(
                f"{count} recordings were given but {len(values)} entries of {what}",
                value=len(values),
                remedy=f"Give one {what} for all recordings or one for each",
            )
    return names, rates


def as_recording(
    source: Any, ch_names: Sequence[str] | None, rate: float | None, unit: str | None, bads: Iterable[str]
) -> Recording:
    """The scalp EEG of a recording of any kind that the extractor takes, and what was stated with it.

    Raises:
        MDJPTError: One of its kinds, if it cannot be used.
    """
    if is_recording(source):
        return _checked_recording(source, ch_names, rate, bads)
    if not is_raw(source):
        return _from_array(source, ch_names, rate, unit or "uV", bads)
    if ch_names is not None and list(ch_names) != list(source.ch_names):
        raise MontageError(
            "ch_names differ from those of the mne.io.Raw",
            value=list(ch_names),
            remedy="Rename the channels in it",
        )
    if rate is not None and rate != source.info["sfreq"]:
        raise SamplingRateError(
            f"sampling_rate {rate} differs from the {source.info['sfreq']:g} Hz of the mne.io.Raw",
            value=rate,
            remedy="Leave sampling_rate out, or resample the recording",
        )
    return read_raw(source, unit, bads)


def _checked_recording(
    source: Recording, ch_names: Sequence[str] | None, rate: float | None, bads: Iterable[str]
) -> Recording:
    """A recording read before, with further bad channels; what else is stated must be what it says itself."""
    if ch_names is not None and list(ch_names) != source.ch_names:
        raise MontageError(
            f"ch_names differ from those of the recording, {', '.join(source.ch_names)}",
            value=list(ch_names),
            remedy="Leave ch_names out; a file names its channels itself",
        )
    if rate is not None and rate != source.sampling_rate:
        raise SamplingRateError(
            f"sampling_rate {rate} differs from the {source.sampling_rate:g} Hz of the recording",
            value=rate,
            remedy="Leave sampling_rate out, or resample the recording",
        )
    recorded = [*source.selection.renamed, *source.ch_names]
    stated = {*source.bads, *stated_bads(bads, recorded, source.selection)}
    return replace(source, bads=[name for name in source.ch_names if name in stated])


def _from_array(
    source: Any, ch_names: Sequence[str] | None, rate: float | None, unit: str, bads: Iterable[str]
) -> Recording:
    if ch_names is None or isinstance(ch_names, str) or not all(isinstance(name, str) for name in ch_names):
        raise MontageError(
            f"ch_names must list the array's channels, found {ch_names!r}",
            value=ch_names,
            remedy="Give ch_names=[...], one place name per channel",
        )
    signal, rate = _as_array(source), check_rate(rate)
    stretches: list[Stretch] = []
    if signal.ndim == 3:
        signal, stretches = side_by_side(signal, [k * signal.shape[2] / rate for k in range(len(signal))])
    check_shape(signal, ch_names)
    selection = select_channels(ch_names)
    if len(selection.indices) < len(ch_names):
        signal = signal[selection.indices]
    scale = microvolts_per(unit)
    if scale != 1:
        kind = np.result_type(signal.dtype, np.float32)  # half precision ends at 65504
        signal = signal.astype(kind, copy=False) * kind.type(scale)
    marked = stated_bads(bads, ch_names, selection)
    return without_marked_gaps(Recording(signal, rate, selection, marked, [], unit, stretches))


def _as_array(source: Any) -> np.ndarray:
    try:
        return np.asarray(source)
    except ValueError as error:  # rows of unequal length
        raise SignalError(
            f"signal is no array: {error}", value=type(source).__name__, remedy="Give channels of equal length"
        ) from error
