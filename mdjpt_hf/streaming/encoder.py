"""Emotion while it happens: samples are pushed, and every few seconds a window is encoded from nothing but the past."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from mdjpt_hf.errors import ConfigurationError, MDJPTError, SignalError, located
from mdjpt_hf.modeling.feature_extraction_mdjpt import EEGFeatures, MDJPTFeatureExtractor, RecordingReport
from mdjpt_hf.modeling.montage_mdjpt import select_channels
from mdjpt_hf.modeling.signal_mdjpt import microvolts_per
from mdjpt_hf.modeling.smoothing_mdjpt import OnlineNormaliser, RunningMean
from mdjpt_hf.streaming.dropouts import Dropouts, find_dropouts

#: Gaps that are remembered, and lost windows that a message names.
_REMEMBERED, _NAMED = 1000, 10
_AFTER_A_GAP = "Nothing is wrong with windows from a window's length after the gap on"
#: Of the form of [`StreamingEncoder.state`].
STATE_VERSION = 1


@dataclass(frozen=True)
class StreamedWindow:
    """One window of a live signal.

    Attributes:
        onset, end: s since the first sample pushed; nothing after `end` was used.
        features: `(size,)`, normalised if a prior was given, and smoothed if that was asked for.
        logits: `(labels,)` of a classifier; None for an encoder.
        quality: Electrode as recorded -> "good", "rebuilt" (bad, and made from its neighbours), "left out" (bad), or
            "silent" (no numbers came from it).
        notes: What the extractor says of it.
    """

    onset: float
    end: float
    features: np.ndarray
    logits: np.ndarray | None
    quality: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class StreamGap:
    """A stretch of a live signal that no window looks at or across.

    Attributes:
        onset, end: s since the first sample pushed; equal where two samples merely do not follow from each other.
        reason: Why, in words.
    """

    onset: float
    end: float
    reason: str

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.end - self.onset


@dataclass
class Streamed:
    """What became of samples that were pushed.

    Attributes:
        windows: Encoded, in order. gaps: That ended.
        lost: (end in s, why) of every window that could not be encoded.
    """

    windows: list[StreamedWindow] = field(default_factory=list)
    gaps: list[StreamGap] = field(default_factory=list)
    lost: list[tuple[float, Exception]] = field(default_factory=list)


class StreamingEncoder:
    """Encodes a live signal, causally.

    Every `stride_seconds` the extractor cleans and scales the last `context_seconds` as if they were a recording, and
    the window that ends now is encoded as a group of its own. So the whole past up to `context_seconds` decides how a
    window is filtered, which channels are bad, and the scale; a longer context is steadier and costs more.

    Where there is no signal (`mdjpt_hf.streaming.dropouts`: samples that are no numbers, a cap without a head, leaps),
    there is a gap: nothing before it is looked at by windows after it, and the first window that holds whole signal is
    encoded. A channel alone without numbers is left out from the first second on.

    A session can be saved and gone on with: `numpy.savez(file, **stream.state())`, and in a stream made with the same
    arguments `stream.load_state(numpy.load(file))`; tell it by `skip` what was missed meanwhile.

    Args:
        model: An encoder, or a classifier whose logits are wanted as well; of ours, in evaluation mode afterwards, in
            any precision. A classifier should have been fine-tuned on features made the same way
            (`mdjpt finetune --for-streaming`).
        extractor (`MDJPTFeatureExtractor`): Its window and stride are used.
        ch_names: Of the channels pushed.
        sampling_rate: Hz. unit: "uV", "mV" or "V". bads: Names of channels known to be bad.
        context_seconds: Of the past that is looked at; at least a window.
        prior_mean, prior_variance: `(size,)`, of training subjects: features are then normalised online
            (arXiv 2510.22197), starting from these. By default those of a classifier made for live use, with its decay
            and smoothing.
        decay: Of that prior, per window.
        smoothing_windows: How many windows, about, features are the running mean of, back to the last gap; 1 for none.

    Attributes:
        gaps: The latest of them, in order. notes: What the extractor says of names and rate.

    Raises:
        MDJPTError: If channels, rate or unit cannot be used.
    """

    def __init__(
        self,
        model: Any,
        extractor: MDJPTFeatureExtractor,
        ch_names: Sequence[str],
        sampling_rate: float,
        unit: str = "uV",
        bads: Iterable[str] = (),
        context_seconds: float = 15.0,
        prior_mean: Any = None,
        prior_variance: Any = None,
        decay: float = 0.99,
        smoothing_windows: int = 1,
    ):
        self._scale = microvolts_per(unit)  # an unknown one is refused now
        window, stride = extractor.window_seconds, extractor.stride_seconds
        if prior_mean is None and prior_variance is None and (own := streaming_options(model)):
            prior_mean, prior_variance, decay = own["prior_mean"], own["prior_variance"], own["decay"]
            smoothing_windows = own["smoothing_windows"]
        _check_options(context_seconds, window, prior_mean, prior_variance, smoothing_windows)
        self.model, self.extractor = model.eval(), extractor
        self.ch_names, self.sampling_rate, self.unit, self.bads = list(ch_names), float(sampling_rate), unit, list(bads)
        self.window, self.context = round(window * sampling_rate), round(context_seconds * sampling_rate)
        self.stride = max(1, round(stride * sampling_rate))
        self._prior = None if prior_mean is None else (prior_mean, prior_variance, decay)
        self._smoother = RunningMean(smoothing_windows) if smoothing_windows > 1 else None
        # Names and rate are refused now rather than after the first window.
        noise = np.random.default_rng(0).normal(size=(len(self.ch_names), self.window))
        stated: dict[str, Any] = {"ch_names": self.ch_names, "sampling_rate": self.sampling_rate, "bads": self.bads}
        self.notes = list(_report(extractor(noise, **stated)).notes)
        self._rows = select_channels(self.ch_names).indices  # a trigger that stands still is nobody's gap
        self.reset()

    def reset(self) -> None:
        """Forget everything but the settings, as for another person."""
        self._held = np.empty((len(self.ch_names), 2 * self.context))
        self._count = 0  # samples held
        self._pushed, self._next = 0, self.window  # samples so far, and those that the next window waits for
        self._judged, self._gap_start, self._gap_reason = 0, -1, ""  # sample that an open gap begins with
        self._since = 0  # sample that follows the last gap
        self._calm = np.inf  # µV, see `find_dropouts`
        self._broken = False  # whether the next window does not follow from the one before
        self.normaliser = None if self._prior is None else OnlineNormaliser(*self._prior)
        if self._smoother is not None:
            self._smoother.reset()
        self.gaps: deque[StreamGap] = deque(maxlen=_REMEMBERED)
        self._ended: list[StreamGap] = []  # that were not told yet

    @property
    def _buffer(self) -> np.ndarray:
        """The past that is looked at, `(channels, up to context)`."""
        return self._held[:, max(0, self._count - self.context) : self._count]

    @property
    def seconds(self) -> float:
        """How long the stream is by now, gaps included."""
        return self._pushed / self.sampling_rate

    # ---- samples in, windows out

    def push(self, samples: Any) -> list[StreamedWindow]:
        """Take in samples, and encode every window that is complete by now.

        Samples of the right shape are always taken, and the clock goes on, whatever is raised: a window that cannot be
        used is lost, and the first one that holds whole signal again is encoded. What is no signal is a gap, see the
        class.

        Args:
            samples (array of shape `(channels, samples)`): Any number of them, following those before. For samples a
                device has dropped push NaN or call `skip`, so that the clock stays right.

        Returns:
            None, one or several windows, in order.

        Raises:
            SignalError: If the shape does not fit; nothing is taken then.
            MDJPTError: If a window cannot be used. The message names the stretches that are lost, and the attributes
                `windows` and `gaps` hold those of this call that were encoded, and that ended.
        """
        found = self.advance(samples)
        if found.lost:
            raise self._lost(found) from found.lost[0][1]
        return found.windows

    def advance(self, samples: Any) -> Streamed:
        """[`push`] that raises nothing for windows that are lost, but tells them with the others.

        Raises:
            SignalError: If the shape does not fit; nothing is taken then.
        """
        samples = np.asarray(samples, dtype=float)
        if samples.ndim != 2 or len(samples) != len(self.ch_names):
            raise SignalError(
                f"samples must have shape ({len(self.ch_names)}, any number), found {samples.shape}",
                value=samples.shape,
                remedy="Push (channels, samples) in the order of ch_names",
            )
        found = Streamed()
        try:
            while samples.shape[1]:
                samples = self._take(samples)
                if self._pushed == self._next:
                    self._next += self.stride
                    try:
                        found.windows.append(self._encode())
                    except Exception as error:  # told when all samples are taken
                        self._broken = True
                        found.lost.append((self.seconds, error))
        finally:  # an interruption, which is nobody's error, loses the windows of this call and no more
            while samples.shape[1]:
                samples = self._take(samples)
                self._next += self.stride if self._pushed == self._next else 0
        found.gaps, self._ended = self._ended, []
        return found

    def skip(self, samples: int, reason: str = "samples were lost") -> int:
        """Let the clock go on over samples that never came, however many: the same as to push so much NaN.

        Returns:
            How many windows are lost by it, besides those to come that hold part of the gap.
        """
        if samples <= 0:
            return 0
        if self._gap_start < 0:
            self._gap_start, self._gap_reason = self._pushed, reason
        self._pushed += samples
        self._count, self._judged, self._broken = 0, self._pushed, True
        passed = max(0, (self._pushed - self._next) // self.stride + 1)
        self._next += passed * self.stride
        return passed

    def _take(self, samples: np.ndarray) -> np.ndarray:
        """Take samples up to the end of the next window; the rest of them."""
        taken = min(samples.shape[1], self._next - self._pushed)
        new = samples[:, max(0, taken - self.context) : taken]
        if self._count + new.shape[1] > self._held.shape[1]:
            kept = self._buffer[:, max(0, self._buffer.shape[1] + new.shape[1] - self.context) :].copy()
            self._count = kept.shape[1]
            self._held[:, : self._count] = kept
        self._held[:, self._count : self._count + new.shape[1]] = new
        self._count += new.shape[1]
        self._pushed += taken
        return samples[:, taken:]

    def _lost(self, found: Streamed) -> Exception:
        """The first error, with the stretches of all windows that are lost in front."""
        length = self.window / self.sampling_rate
        stretches = ", ".join(f"{end - length:g} to {end:g} s" for end, _ in found.lost[:_NAMED])
        more = f" and {len(found.lost) - _NAMED} more" if len(found.lost) > _NAMED else ""
        error = found.lost[0][1]
        if isinstance(error, MDJPTError):
            error = located(error, f"lost the window from {stretches}{more}")
        else:
            error.add_note(f"lost the window from {stretches}{more}")
        error.windows, error.gaps = found.windows, found.gaps  # type: ignore[attr-defined]
        return error

    @torch.no_grad()
    def _encode(self) -> StreamedWindow:
        """The window that ends with the last sample pushed."""
        past = self._buffer
        dropouts = self._look(past)
        silent = [self.ch_names[self._rows[row]] for row in dropouts.silent]
        windows = self._window(past, dropouts, silent)
        self._watch(dropouts)
        features = self._features(windows["input_values"][-1:])
        end, report = self.seconds, _report(windows)
        onset, quality = end - self.window / self.sampling_rate, self._quality(report, silent)
        return StreamedWindow(onset, end, features, self._logits(features), quality, report.notes)

    def _features(self, window: np.ndarray) -> np.ndarray:
        """Features `(size,)` of a window `(1, 60, samples)`, normalised and smoothed by those before it."""
        encoder = self.model.base_model
        features = encoder(torch.from_numpy(window).to(encoder.device)).pooler_output.float().cpu().numpy()[0]
        if not np.isfinite(features).all():
            raise ConfigurationError(
                "the model's features are not numbers: its weights hold NaN or infinity, or overflow in this precision",
                value=str(encoder.dtype),
                remedy="Load the weights again, in float32",
            )
        if self.normaliser is not None:
            features = self.normaliser.push(features)
        if self._smoother is not None:
            if self._broken:
                self._smoother.reset()
            features = self._smoother.push(features)
        self._broken = False
        return features

    def _logits(self, features: np.ndarray) -> np.ndarray | None:
        """Scores `(labels,)` of features; None for an encoder."""
        head, encoder = getattr(self.model, "classifier", None), self.model.base_model
        if head is None:
            return None
        inputs = torch.from_numpy(features)[None].to(encoder.device, encoder.dtype)
        return getattr(head, "scores", head)(inputs)[0].float().cpu().numpy()

    def _look(self, past: np.ndarray) -> Dropouts:
        """Drop-outs of the past, by how calm the signal was when a window could be encoded last.

        Where it has been loud for as long as is looked at, that is forgotten: line noise that came to stay.
        """
        signal = past[self._rows] * self._scale
        found = find_dropouts(signal, self.sampling_rate, self._calm)
        if self._calm < np.inf and past.shape[1] == self.context and found.jumps.mean() > 0.9:
            found = find_dropouts(signal, self.sampling_rate)
            self._judged = min(self._judged, self._pushed - past.shape[1])  # the gap ended before all of this
        return found

    def _window(self, past: np.ndarray, dropouts: Dropouts, silent: list[str]) -> EEGFeatures:
        """What the extractor makes of the past since the last gap, if a window fits into it."""
        stated = {"ch_names": self.ch_names, "sampling_rate": self.sampling_rate, "unit": self.unit}
        known = self._since - (self._pushed - past.shape[1])  # too little may be left of a gap to be one
        start = max(dropouts.start, known)
        whole = past[:, start:]
        if whole.shape[1] >= self.window:
            windows = last_window(self.extractor, self._without(whole, silent), **stated, bads=[*self.bads, *silent])
            self._calm = dropouts.calm
            return windows
        self._watch(dropouts)
        off = dropouts.off[-self.window :]
        if len(off) == self.window and off.all() and not dropouts.missing.any():
            # all of it is no signal: a wrong unit, an empty input; the extractor knows which
            last_window(self.extractor, past[:, -self.window :], **stated, bads=self.bads)
        lacking = slice(max(0, past.shape[1] - self.window), past.shape[1])
        reason = dropouts.reason(lacking) if dropouts.start else self._gap_reason
        raise SignalError(reason, value=float("nan"), remedy=_AFTER_A_GAP)

    def _without(self, signal: np.ndarray, silent: list[str]) -> np.ndarray:
        """The signal with zeros in channels that are left out: the extractor looks for numbers before it does so."""
        others = np.setdiff1d(np.arange(len(self.ch_names)), self._rows)
        rows = [*others.tolist(), *(row for row, name in enumerate(self.ch_names) if name in silent)]
        if not rows or np.isfinite(signal[rows]).all():
            return signal
        signal = signal.copy()
        signal[rows] = 0
        return signal

    def _quality(self, report: RecordingReport, silent: list[str]) -> dict[str, str]:
        """What every electrode is worth, by its recorded name."""
        found = {name: "left out" for name in report.bads} | {name: "rebuilt" for name in report.interpolated}
        recorded = [self.ch_names[row] for row in self._rows]
        return {
            name: "silent" if name in silent else found.get(report.renamed.get(name, name), "good") for name in recorded
        }

    # ---- gaps

    def _watch(self, dropouts: Dropouts) -> None:
        """Follow gaps through the samples that were not judged before."""
        first = self._pushed - len(dropouts.missing)  # on the stream's clock, as all that follows
        off, ended = dropouts.off, []
        start = max(self._judged - first, 0)
        if self._judged < first and len(off) > 1 and off[1]:  # it began in what is not looked at any more
            off[0] = True
        if self._gap_start < 0:  # a cap that stood still for too short a while to be noticed
            while 0 < start < len(off) and off[start] and off[start - 1]:
                start -= 1
        edges = np.flatnonzero(np.diff(off[start:].astype(np.int8), prepend=np.int8(self._gap_start >= 0))) + start
        for edge in edges.tolist():
            if off[edge]:
                stop = edge + int(np.argmin(np.append(off[edge:], False)))
                onset = min(first, self._judged) if edge == 0 else first + edge
                self._gap_start, self._gap_reason = onset, dropouts.reason(slice(edge, stop))
            else:
                ended.append(self._gap(self._gap_start, first + edge, self._gap_reason))
                self._gap_start = -1
        follows = np.flatnonzero(dropouts.breaks & ~off)
        for place in follows[(follows >= start) & (follows > 0)].tolist():
            if not off[place - 1]:
                ended.append(self._gap(first + place, first + place, dropouts.reason(slice(place, place + 1))))
        self._broken |= bool(ended) or self._gap_start >= 0
        self._since = max([self._since, *(round(gap.end * self.sampling_rate) for gap in ended)])
        self._judged = self._pushed
        ended.sort(key=lambda gap: gap.onset)
        self._ended += ended
        self.gaps += ended

    def _gap(self, start: int, stop: int, reason: str) -> StreamGap:
        return StreamGap(start / self.sampling_rate, stop / self.sampling_rate, reason)

    # ---- a session that is saved and gone on with

    def state(self) -> dict[str, np.ndarray]:
        """Everything that the next window depends on beside the arguments, as plain arrays.

        Returns:
            `format`; `ch_names`, `sampling_rate`, `unit`, `lengths` (window, stride and context in samples), which are
            compared when it is loaded; `buffer` `(channels, samples)`, the past; of drop-outs `counters` (samples
            pushed, end of the next window, samples judged, end of the last gap, first sample of an open gap or -1,
            whether there was a break), `gap_reason` and `calm` (µV); of normalisation `normaliser_count` and
            `normaliser_sums` `(2, size)`; of smoothing `smoother_count` and
            `smoother_value`. The list of past gaps is not kept.
        """
        counters = (self._pushed, self._next, self._judged, self._since, self._gap_start, self._broken)
        state = {
            "format": STATE_VERSION,
            **self._identity(),
            "buffer": self._buffer.copy(),
            "counters": np.array(counters, dtype=np.int64),
            "gap_reason": self._gap_reason,
            "calm": self._calm,
        }
        if self.normaliser is not None:
            state["normaliser_count"] = self.normaliser.count
            state["normaliser_sums"] = np.stack([self.normaliser._total, self.normaliser._squares])
        if self._smoother is not None:
            state["smoother_count"] = self._smoother.count
            state["smoother_value"] = np.zeros(0) if self._smoother.value is None else self._smoother.value
        return {name: np.asarray(value) for name, value in state.items()}

    def _identity(self) -> dict[str, Any]:
        lengths = [self.window, self.stride, self.context]
        return {"ch_names": self.ch_names, "sampling_rate": self.sampling_rate, "unit": self.unit, "lengths": lengths}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what [`state`] gave, in a stream made with the same arguments.

        Raises:
            ConfigurationError: If it is none, or that of a stream made otherwise; nothing is changed then.
        """
        self._check_state(state)
        self.reset()
        buffer = np.asarray(state["buffer"], dtype=float)
        self._count = buffer.shape[1]
        self._held[:, : self._count] = buffer
        self._pushed, self._next, self._judged, self._since, self._gap_start, broken = np.asarray(
            state["counters"]
        ).tolist()
        self._broken, self._gap_reason, self._calm = bool(broken), str(state["gap_reason"]), float(state["calm"])
        if self.normaliser is not None:
            self.normaliser.count = int(state["normaliser_count"])
            self.normaliser._total, self.normaliser._squares = np.array(state["normaliser_sums"], dtype=float)
        if self._smoother is not None:
            value = np.array(state["smoother_value"], dtype=float)
            self._smoother.value, self._smoother.count = value if value.size else None, int(state["smoother_count"])

    def _check_state(self, state: Mapping[str, Any]) -> None:
        wanted = self.state()
        lacking = sorted(set(wanted) - set(state))
        if lacking or int(state["format"]) != STATE_VERSION:
            raise ConfigurationError(
                f"this is no state of such a stream: it lacks {', '.join(lacking) or 'a known format'}",
                value=lacking,
                remedy="Give what state() returned, to a stream with the same prior and smoothing",
            )
        for name in self._identity():
            if not np.array_equal(wanted[name], np.asarray(state[name])):
                raise ConfigurationError(
                    f"the state is that of a stream with {name} {np.asarray(state[name]).tolist()}, "
                    f"this one has {wanted[name].tolist()}",
                    value=np.asarray(state[name]).tolist(),
                    remedy="Make the stream with the same arguments",
                )
        shape = np.shape(state["buffer"])
        fits = len(shape) == 2 and shape[0] == len(self.ch_names) and shape[1] <= self.context
        if not fits or np.shape(state["counters"]) != wanted["counters"].shape:
            raise ConfigurationError(
                f"the state is damaged: its buffer has shape {shape}", value=shape, remedy="Begin a new session"
            )


def _check_options(context: float, window: float, mean: Any, variance: Any, smoothing_windows: int) -> None:
    if context < window:
        raise ConfigurationError(
            f"context_seconds is {context:g}, a window lasts {window:g} s",
            value=context,
            remedy=f"Use at least {window:g}",
        )
    if (mean is None) != (variance is None):
        raise ConfigurationError(
            "a prior needs mean and variance", value=[mean, variance], remedy="Give both, or neither"
        )
    if smoothing_windows < 1:
        raise ConfigurationError(
            f"smoothing_windows is {smoothing_windows}", value=smoothing_windows, remedy="Use 1 for none, or more"
        )


def _report(extracted: EEGFeatures) -> RecordingReport:
    """Of the one recording that was given."""
    assert isinstance(extracted.report, RecordingReport)
    return extracted.report


def streaming_options(model: Any) -> dict[str, Any]:
    """What a classifier was trained with of [`StreamingEncoder`]'s options: those of `mdjpt finetune --for-streaming`,
    none for others."""
    settings, head = getattr(model.config, "streaming", None), getattr(model, "classifier", None)
    if settings is None or head is None:
        return {}
    mean, variance = (part.double().cpu().numpy() for part in head.prior)
    return {**settings, "prior_mean": mean, "prior_variance": variance}


def last_window(extractor: MDJPTFeatureExtractor, signal: np.ndarray, **stated: Any) -> EEGFeatures:
    """What the extractor makes of a signal `(channels, samples)`; the last of its `input_values`, `(60, samples)`, is
    the window that ends where the signal ends, and all of it is looked at.

    Args:
        stated: `ch_names`, `sampling_rate` and what else the extractor is told.
    """
    rate = extractor.sampling_rate
    samples = int(signal.shape[1] / stated["sampling_rate"] * rate + 1e-6)
    before = samples - round(extractor.window_seconds * rate)
    stride = max(before, 1) / rate
    return extractor(signal, stride_seconds=stride, **stated)
