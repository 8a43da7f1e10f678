"""Reading an `mne.io.Raw` without importing MNE: its scalp channels in µV, and what is marked bad."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .errors_mdjpt import MontageError, SignalError
from .filtering_mdjpt import check_rate
from .montage_mdjpt import ChannelSelection, canonical_name, select_channels
from .stored_mdjpt import at_own_rate, bipolar_channels, microvolt_scales, remaining_notes, with_projectors
from .stretches_mdjpt import Stretch, mask_spans, whole, without_samples
from .timeline_mdjpt import read_timeline

#: Read at a time, so that a file on disk never stands in memory in float64, and blocks take the memory of those before.
_BLOCK_SECONDS = 10
_BLOCK_SECONDS_IN_SEQUENCE = 60  # MNE 1.13 goes through such a file from its beginning for every block


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


def is_recording(thing: Any) -> bool:
    """Whether `thing` is a [`Recording`], whichever copy of this file made it."""
    return all(hasattr(thing, name) for name in ("signal", "selection", "bad_spans"))


def read_raw(raw: Any, unit: str | None = None, bads: Iterable[str] = ()) -> Recording:
    """Take the scalp EEG out of an `mne.io.Raw`.

    Args:
        raw: The recording, or `mne.Epochs` of one, whose epochs become stretches without a connection; channels that
            are not typed eeg, or not known electrodes, are dropped.
        unit: What the numbers in the file really are, where its header is wrong; MNE promises "V" for all else.
        bads: Names of bad channels, in addition to `raw.info["bads"]`.

    Raises:
        SamplingRateError: If the rate, or that of the EEG in a file of several, is below 94 Hz.
        UnitError: If a channel's unit is no voltage.
        MontageError: If no channel is known, two are the same electrode, or a bad channel is not there.
    """
    if is_cut(raw):
        return _read_epochs(raw, unit, bads)
    raw, notes = with_projectors(raw)
    types = ["bipolar" if name in bipolar_channels(raw) else kind for name, kind in _typed(raw)]
    selection = select_channels(raw.ch_names, types)
    recorded = [raw.ch_names[index] for index in selection.indices]
    marked = stated_bads([*raw.info["bads"], *bads], raw.ch_names, selection)
    scales, more = microvolt_scales(raw, recorded, unit)
    own, rate, others = at_own_rate(raw, selection.indices)
    timeline = read_timeline(own)
    recording = Recording(
        _read_signal(own, [own.ch_names.index(name) for name in recorded], scales, whole=bool(others)),
        rate,
        selection,
        marked,
        timeline.bad_spans,
        unit or "V",
        timeline.stretches,
        [*timeline.notes(), *notes, *more, *others, *remaining_notes(raw)],
    )
    return without_marked_gaps(recording)


def without_marked_gaps(recording: Recording) -> Recording:
    """The recording without samples that are no numbers, where the user said that the signal is bad anyway.

    In a channel stated to be bad they become zeros, since it will be rebuilt; within a stretch marked bad the recording
    is cut. Anywhere else they are left for the check of the signal, which refuses them.
    """
    signal, stated = recording.signal, [name in recording.bads for name in recording.ch_names]
    missing = [np.flatnonzero(~np.isfinite(values)) for values in signal]
    if not any(len(places) for places in missing):
        return recording
    recording.signal = signal = signal.copy()
    rate, n_samples = recording.sampling_rate, signal.shape[1]
    lost = np.zeros(n_samples, dtype=bool)
    marked = ~mask_spans(recording.bad_spans, recording.stretches, rate, n_samples)
    for values, places, is_stated in zip(signal, missing, stated, strict=True):
        cut = places if is_stated else places[marked[places]]
        values[cut] = 0
        if not is_stated:
            lost[cut] = True
    repaired = [
        name for name, places, is_bad in zip(recording.ch_names, missing, stated, strict=True) if is_bad and len(places)
    ]
    if repaired:
        recording.notes.append(f"bad channels hold samples that are no numbers: {', '.join(repaired)}")
    if lost.any():
        recording.notes.append(f"cut out {lost.sum() / rate:.3g} s without samples, within stretches marked bad")
        recording.stretches = without_samples(recording.stretches, ~lost, rate) or recording.stretches
    return recording


def _typed(raw: Any) -> list[tuple[str, str]]:
    return list(zip(raw.ch_names, raw.get_channel_types(), strict=True))


def is_cut(raw: Any) -> bool:
    """Whether an MNE recording is cut into epochs."""
    return hasattr(raw, "drop_log") or not hasattr(raw, "n_times")


def event_rate(epochs: Any) -> float:
    """Hz in which the events of epochs count: of the recording they were cut from, though their signals may have been
    resampled or decimated since."""
    return float(np.ravel(getattr(epochs, "_raw_sfreq", None) or epochs.info["sfreq"])[0])


def _read_epochs(epochs: Any, unit: str | None, bads: Iterable[str]) -> Recording:
    """Epochs side by side; the time of each is that of its event in the recording it was cut from."""
    if not hasattr(epochs, "events"):
        raise SignalError(
            f"{type(epochs).__name__} is neither a recording nor epochs of one",
            value=type(epochs).__name__,
            remedy="Give an mne.io.Raw or mne.Epochs",
        )
    epochs, notes = with_projectors(epochs)
    types = ["bipolar" if name in bipolar_channels(epochs) else kind for name, kind in _typed(epochs)]
    selection = select_channels(epochs.ch_names, types)
    rate = check_rate(epochs.info["sfreq"])
    scales, more = microvolt_scales(epochs, [epochs.ch_names[index] for index in selection.indices], unit)
    signal = epochs.get_data(picks=selection.indices, verbose="ERROR") * scales[:, None]
    onsets = epochs.events[:, 0] / event_rate(epochs) + epochs.tmin
    marked = stated_bads([*epochs.info["bads"], *bads], epochs.ch_names, selection)
    joined, stretches = side_by_side(signal.astype(np.float32), onsets.tolist())
    kept = [*notes, *more, *remaining_notes(epochs)]
    return without_marked_gaps(Recording(joined, rate, selection, marked, [], unit or "V", stretches, kept))


def side_by_side(trials: np.ndarray, onsets: Sequence[float]) -> tuple[np.ndarray, list[Stretch]]:
    """Trials `(trials, channels, samples)` as `(channels, samples)`, each a stretch of its own.

    Args:
        onsets: s of each.

    Raises:
        SignalError: If there are none.
    """
    n_trials, n_channels, n_samples = trials.shape
    if not trials.size:
        raise SignalError("there are no trials", value=trials.shape, remedy="Give at least one")
    stretches = [Stretch(k * n_samples, (k + 1) * n_samples, onset) for k, onset in enumerate(onsets)]
    return trials.transpose(1, 0, 2).reshape(n_channels, n_trials * n_samples), stretches


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


def _read_signal(raw: Any, indices: list[int], scales: np.ndarray, whole: bool = False) -> np.ndarray:
    """`(channels, samples)` in µV, block by block; `whole` where MNE makes an edge at every block (mixed rates)."""
    n_samples = int(raw.n_times)
    seconds = _BLOCK_SECONDS_IN_SEQUENCE if _is_read_in_sequence(raw) else _BLOCK_SECONDS
    block = n_samples if whole else int(seconds * raw.info["sfreq"])
    signal = np.empty((len(indices), n_samples), dtype=np.float32)
    for start in range(0, n_samples, block):
        stop = min(start + block, n_samples)
        values = raw.get_data(picks=indices, start=start, stop=stop)
        np.multiply(values, scales[:, None], out=signal[:, start:stop], casting="same_kind")
    return signal


def _is_read_in_sequence(raw: Any) -> bool:
    """Whether the way to a sample leads through those before it: in compressed files, and in samples as text, as those
    of BrainVision and Curry can be."""
    if any(str(name).endswith(".gz") for name in raw.filenames if name):
        return True
    stored = next(iter(getattr(raw, "_raw_extras", None) or ()), None)
    return isinstance(stored, dict) and (bool(stored.get("is_ascii")) or isinstance(stored.get("fmt"), dict))
