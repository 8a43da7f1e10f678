"""From a recording to what the model reads: cleaned, scaled, cut into windows, on the 60 standard
channels."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from transformers.feature_extraction_utils import BatchFeature, FeatureExtractionMixin

from .compatibility_mdjpt import check_versions  # noqa: F401  # before anything that older versions lack
from .coverage_mdjpt import FAR, Coverage, check_coverage
from .errors_mdjpt import ConfigurationError, MDJPTError, SamplingRateError, SignalError
from .montage_mdjpt import STANDARD_CHANNELS, channel_projection, silence_electrode
from .ranges_mdjpt import check_ranges
from .raw_mdjpt import Recording
from .signal_mdjpt import (
    HIGH_CUTOFF,
    LOW_CUTOFF,
    TARGET_RATE,
    Cleaned,
    check_rate,
    clean,
    cut_windows,
    filterable,
    robust_scale,
)
from .sources_mdjpt import as_recording, has_trials, is_list_of_recordings, per_recording
from .stretches_mdjpt import Stretch, mask_spans, time_of

_RANGES = {"sampling_rate": (94, 10_000), "window_seconds": (0.01, 3600.0), "stride_seconds": (0.001, 3600.0)}


@dataclass
class RecordingReport:
    """What the extractor did to one recording.

    Attributes:
        ch_names: Channels kept, by their standard names.
        renamed: Recorded name -> standard name, where they differ.
        dropped: Recorded name -> why it was left out.
        bads: Bad channels, stated or found. interpolated: those of them rebuilt from their neighbours.
        missing: Standard channels the recording lacks; each is the mean of its nearest recorded neighbours.
        coverage: How many electrodes were good, how many channels they stand in for, and over which distance.
        recorded_rate, sampling_rate: Hz, before and after.
        mean, std: µV; the one pair the whole recording was scaled with.
        windows: How many were kept. windows_rejected: how many overlapped stretches marked bad.
        breaks: Which windows are the first after a pause, a seam, or between two trials.
        first_samples: Of every window, among the samples as they were recorded. A time alone would not say which, where
            a recorder paused, or set its clock back.
        notes: Everything in sentences.
    """

    ch_names: list[str] = field(default_factory=list)
    renamed: dict[str, str] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)
    bads: list[str] = field(default_factory=list)
    interpolated: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    coverage: Coverage | None = None
    recorded_rate: float = 0.0
    sampling_rate: float = 0.0
    mean: float = 0.0
    std: float = 1.0
    breaks: list[int] = field(default_factory=list)
    windows: int = 0
    windows_rejected: int = 0
    first_samples: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{self.windows} windows, {self.windows_rejected} rejected; scaled by {self.std:.3g} µV"]
        return "\n- ".join(lines + self.notes)


class EEGFeatures(BatchFeature):
    """Windows for the model, with what was done to make them beside the keys.

    Attributes:
        report: A `RecordingReport`, or a list of them if a list of recordings was given.
    """

    report: RecordingReport | list[RecordingReport]


class MDJPTFeatureExtractor(FeatureExtractionMixin):
    """Turns a recording into windows of the 60 standard channels.

    The steps: find the scalp electrodes; resample, band-pass, interpolate bad channels, average reference
    (`clean`, also the `basic` preparation of corpora); scale by one mean and standard deviation per
    recording; cut windows; project onto the standard channels.

    Args:
        sampling_rate: Hz of the windows.
        window_seconds, stride_seconds: Length of a window and distance between the starts of two.
        montage: "positions" or "released": which neighbours stand in for a missing channel.
        band: Low and high edge in Hz of the band-pass; at most 47 at the top.
    """

    model_input_names = ["input_values", "group_ids"]

    def __init__(
        self,
        sampling_rate: float = TARGET_RATE,
        window_seconds: float = 5.0,
        stride_seconds: float = 2.0,
        montage: str = "positions",
        band: Sequence[float] = (LOW_CUTOFF, HIGH_CUTOFF),
        **kwargs,
    ):
        # the pipeline and Trainer of transformers look for these three
        padding = {"feature_size": len(STANDARD_CHANNELS), "padding_value": 0.0, "padding_side": "right"}
        super().__init__(**(padding | kwargs))
        self.sampling_rate = check_rate(sampling_rate)
        self.window_seconds = _positive("window_seconds", window_seconds)
        self.stride_seconds = _positive("stride_seconds", stride_seconds)
        self._check_ranges()
        self.montage = montage
        self.band = [float(edge) for edge in band]
        # an unknown montage is refused now rather than at the first call
        channel_projection(STANDARD_CHANNELS, montage)
        if not (len(self.band) == 2 and 0 < self.band[0] < self.band[1] <= HIGH_CUTOFF):
            raise MDJPTError(
                f"band must be two rising edges in Hz up to {HIGH_CUTOFF:g}, found {self.band}",
                value=self.band,
                remedy=f"Use [{LOW_CUTOFF:g}, {HIGH_CUTOFF:g}], what the models were trained on",
            )
        if self.sampling_rate <= 2 * self.band[1]:
            raise SamplingRateError(
                f"sampling_rate {self.sampling_rate:g} Hz cannot carry a band up to {self.band[1]:g} Hz",
                value=self.sampling_rate,
                remedy=f"Use more than {2 * self.band[1]:g} Hz",
            )

    def _check_ranges(self) -> None:
        try:
            check_ranges(self, _RANGES)
        except ValueError as error:
            raise ConfigurationError(str(error), remedy="Correct preprocessor_config.json or the argument") from error

    def __call__(
        self,
        signal_or_raw: Any,
        ch_names: Sequence[str] | Sequence[Sequence[str]] | None = None,
        sampling_rate: float | Sequence[float] | None = None,
        unit: str | None = None,
        return_tensors: str | None = None,
        window_seconds: float | None = None,
        stride_seconds: float | None = None,
        bads: Iterable[str] = (),
    ) -> EEGFeatures:
        """Extract the windows of one recording or of a list of recordings.

        Args:
            signal_or_raw: An `mne.io.Raw` or `mne.Epochs`, an array `(channels, samples)` or `(trials, channels,
                samples)`, a `raw_mdjpt.Recording` (names, rate, unit and bad channels are its own then), or a list of
                these. Trials are filtered each by itself; no window runs from one into another.
            ch_names: Names of the array's channels; for a list of arrays one list of names, or one per array.
            sampling_rate: Hz of the array; for a list of arrays one number, or one per array.
            unit: "uV", "mV" or "V". Arrays are taken as µV if nothing is said, an `mne.io.Raw` as V.
            return_tensors: "pt", "np" or None (NumPy).
            window_seconds, stride_seconds: Length of a window and distance between the starts of two, instead of
                the extractor's own.
            bads: Names of bad channels of all recordings, in addition to those marked and found.

        Returns:
            `input_values` float32 `(windows, 60, samples)`, `group_ids` int64 `(windows,)` (which recording
            of the call), `window_onsets` float32 `(windows,)` in s on the recording's own clock, on which pauses
            count; and the attribute `report`. Trials have `trial_ids` int64 `(windows,)` as well: which trial of its
            recording a window lies in; their onsets are those of MNE's events, or count all trials on.

        Raises:
            MDJPTError: One of its kinds (montage, rate, unit, signal), each with value and remedy.
        """
        several = is_list_of_recordings(signal_or_raw)
        sources = list(signal_or_raw) if several else [signal_or_raw]
        names, rates = per_recording(ch_names, sampling_rate, len(sources), several)
        length = self._or_own("window_seconds", window_seconds)
        stride = self._or_own("stride_seconds", stride_seconds)
        bads = [bads] if isinstance(bads, str) else list(bads)  # an iterator serves every recording
        parts = [
            self._extract(as_recording(source, name, rate, unit, bads), length, stride)
            for source, name, rate in zip(sources, names, rates, strict=True)
        ]
        return _join(parts, several, return_tensors, any(map(has_trials, sources)))

    def projection(self, ch_names: Sequence[str]) -> np.ndarray:
        """What turns a recording's channels into the standard ones, `(60, channels)`.

        Raises:
            MontageError: If a channel is unknown, or named twice.
        """
        return channel_projection(ch_names, self.montage)

    def silence(self, windows: np.ndarray, ch_names: Sequence[str], name: str) -> np.ndarray | None:
        """Windows as if an electrode had recorded nothing: its share in the channels made from it goes as well.

        Args:
            windows (`np.ndarray` of shape `(windows, 60, samples)`): Made from `ch_names` by this extractor.
            ch_names: Electrodes they were made from. name: One of them.

        Returns:
            `np.ndarray` of the same shape; None for an electrode whose own signal is in none of the 60 channels.
        """
        return silence_electrode(windows, self.projection(ch_names)[:, list(ch_names).index(name)])

    def _or_own(self, name: str, seconds: float | None) -> float:
        return getattr(self, name) if seconds is None else _positive(name, seconds)

    def _extract(self, recording: Recording, window_seconds: float, stride_seconds: float) -> "_Extracted":
        """What becomes of one recording."""
        _check_length(recording, window_seconds)
        cleaned = clean(
            recording.signal,
            recording.ch_names,
            recording.sampling_rate,
            recording.bads,
            target=self.sampling_rate,
            band=(self.band[0], self.band[1]),
            unit=recording.unit,
            stretches=recording.stretches,
        )
        coverage = check_coverage([name for name in cleaned.ch_names if name not in cleaned.interpolated])
        rate, n_samples = self.sampling_rate, cleaned.signal.shape[1]
        length = round(window_seconds * rate)
        starts = _cut(cleaned.stretches, length, round(stride_seconds * rate))
        usable = mask_spans(recording.bad_spans, cleaned.stretches, rate, n_samples)
        kept = np.array([start for start in starts if usable[start : start + length].all()], dtype=np.int64)
        _check_kept(kept, starts)
        mean, std = robust_scale(cleaned.signal if usable.all() else cleaned.signal[:, usable])
        report = self._report(recording, cleaned, coverage, (mean, std), (len(kept), len(starts) - len(kept)))
        projection = channel_projection(cleaned.ch_names, self.montage)
        projected = projection @ ((cleaned.signal - np.float32(mean)) / np.float32(std))
        windows = np.stack([projected[:, start : start + length] for start in kept])
        onsets = [time_of(start, cleaned.stretches, rate) for start in kept]
        trials = np.searchsorted([s.start for s in cleaned.stretches], kept, "right") - 1
        report.breaks = (np.flatnonzero(np.diff(trials)) + 1).tolist()
        report.first_samples = _as_recorded(kept, trials, cleaned, recording)
        return _Extracted(windows, np.array(onsets, dtype=np.float32), trials.astype(np.int64), report)

    def _report(
        self,
        recording: Recording,
        cleaned: Cleaned,
        coverage: Coverage,
        scale: tuple[float, float],
        counts: tuple[int, int],
    ) -> RecordingReport:
        missing = [name for name in STANDARD_CHANNELS if name not in cleaned.ch_names]
        notes = [*recording.notes, *recording.selection.notes(), *cleaned.notes]
        if missing:
            notes.append(f"{len(missing)} standard channels made from neighbours: {', '.join(missing)}")
        if coverage.far:
            notes.append(
                f"{coverage.far} standard channels lie farther than {FAR:g} cm from every electrode, "
                f"{coverage.channel} {coverage.farthest:g} cm"
            )
        if counts[1]:
            notes.append(f"{counts[1]} windows overlap stretches marked bad and were left out")
        return RecordingReport(
            ch_names=list(cleaned.ch_names),
            renamed=recording.selection.renamed,
            dropped=recording.selection.dropped,
            bads=cleaned.bads,
            interpolated=cleaned.interpolated,
            missing=missing,
            coverage=coverage,
            recorded_rate=recording.sampling_rate,
            sampling_rate=self.sampling_rate,
            mean=scale[0],
            std=scale[1],
            windows=counts[0],
            windows_rejected=counts[1],
            notes=notes,
        )


@dataclass
class _Extracted:
    """Windows `(n, 60, samples)` of one recording, their onsets in s, the stretch each lies in, and the report."""

    windows: np.ndarray
    onsets: np.ndarray
    trials: np.ndarray
    report: RecordingReport


def _join(parts: list[_Extracted], several: bool, tensor_type: str | None, trials: bool) -> EEGFeatures:
    """One batch of all recordings; `group_ids` number the recordings, `trial_ids` the trials of each."""
    counts = [len(part.onsets) for part in parts]
    data = {
        "input_values": np.concatenate([part.windows for part in parts]),
        "group_ids": np.repeat(np.arange(len(parts), dtype=np.int64), counts),
        "window_onsets": np.concatenate([part.onsets for part in parts]),
    }
    if trials:
        data["trial_ids"] = np.concatenate([part.trials for part in parts])
    features = EEGFeatures(data, tensor_type=tensor_type)
    reports = [part.report for part in parts]
    features.report = reports if several else reports[0]
    return features


def _cut(stretches: Sequence[Stretch], length: int, stride: int) -> np.ndarray:
    """First samples of all windows, none of which runs from one stretch into another."""
    return np.concatenate([s.start + cut_windows(s.stop - s.start, length, stride) for s in stretches])


def _as_recorded(starts: np.ndarray, piece: np.ndarray, cleaned: Cleaned, recording: Recording) -> list[int]:
    """Samples of a recording that samples of the cleaned signal, each in a piece by its number, were made from."""
    recorded, _ = filterable(recording.stretches, recording.sampling_rate)
    ratio = recording.sampling_rate / cleaned.sampling_rate
    first, cleaned_first = (np.array([s.start for s in pieces])[piece] for pieces in (recorded, cleaned.stretches))
    return (first + np.round((starts - cleaned_first) * ratio)).astype(int).tolist()


def _check_length(recording: Recording, window_seconds: float) -> None:
    longest = max(stretch.stop - stretch.start for stretch in recording.stretches)
    seconds = longest / recording.sampling_rate
    if seconds < window_seconds - 1e-6:
        what = "the recording lasts" if len(recording.stretches) == 1 else "the longest stretch without a break lasts"
        raise SignalError(
            f"{what} {_told_apart(seconds, window_seconds)} s, one window {window_seconds:g} s",
            value=seconds,
            remedy="Give a longer recording, or smaller window_seconds",
        )


def _told_apart(seconds: float, limit: float) -> str:
    """A duration in so many digits that it does not read like the limit it misses."""
    return next((text for digits in range(3, 9) if (text := f"{seconds:.{digits}g}") != f"{limit:g}"), repr(seconds))


def _check_kept(kept: np.ndarray, starts: np.ndarray) -> None:
    if not len(kept):
        raise SignalError(
            f"all {len(starts)} windows overlap stretches marked bad",
            value=len(starts),
            remedy="Remove annotations that begin with BAD, or take a smaller window or stride",
        )


def _positive(name: str, seconds: float) -> float:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float | np.number) or not 0 < seconds < np.inf:
        raise SignalError(
            f"{name} must be a positive number of seconds, found {seconds!r}",
            value=seconds,
            remedy="Give seconds",
        )
    return float(seconds)


#: For transformers below 5.10, which copies from a local folder what this file names, and not what those files name.
_TRAVELS_WITH = """
from .bad_channels_mdjpt import
from .edf_mdjpt import
from .electrodes_mdjpt import
from .filtering_mdjpt import
from .median_mdjpt import
from .mne_mdjpt import
from .polyphase_mdjpt import
from .released_neighbours_mdjpt import
from .splines_mdjpt import
from .stored_mdjpt import
from .timeline_mdjpt import
"""
