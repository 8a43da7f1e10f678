"""One session: a source of samples, its clock, the encoder, and everybody who is told what comes of it."""

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
import torch

from mdjpt_hf.errors import SamplingRateError, StreamError
from mdjpt_hf.live.clock import FIRST_LOOK, MAX_CORRECTION, SAME_RATE, Piece, SampleClock
from mdjpt_hf.live.source import EndOfStream, Source, StreamLost
from mdjpt_hf.modeling.pipeline_mdjpt import certainty
from mdjpt_hf.streaming import StreamedWindow, StreamGap, StreamingEncoder, streaming_options

#: s that a source is waited for at a time, and after which silence is told.
_PULL, _SILENCE = 0.25, 2.0
#: s at a time in which a lost stream is looked for.
_SEARCH = 2.0
#: Hz, to try out a stream that does not announce its rate.
_SOME_RATE = 250.0
#: Latencies that the summary is taken from: those of the latest windows.
_LATENCIES = 10_000


@dataclass(frozen=True)
class LiveWindow:
    """What a window says.

    Attributes:
        onset, end: s since the session began. stamp: s on the clock of the stream, of its last sample.
        scores: Label -> probability, or rating. label, score: The likeliest; None for ratings.
        certainty: In words; empty for ratings and several labels at once.
        quality: Electrode -> "good", "rebuilt", "left out" or "silent".
        latency: s from the arrival of the window's last sample to these scores.
        behind: s from when that sample was taken to these scores, by its stamp; None in a replay.
    """

    onset: float
    end: float
    stamp: float
    scores: Mapping[str, float]
    label: str | None
    score: float | None
    certainty: str
    quality: Mapping[str, str]
    latency: float
    behind: float | None


@dataclass(frozen=True)
class SessionFacts:
    """What is known once the first samples have come.

    Attributes:
        stream, kind: Name of the stream, and what it is. model: Name of the model. labels: Its own.
        ch_names: Of the stream. sampling_rate: Hz, as used. announced: Hz, as the stream says.
        jitter: s by which its time stamps tremble. smallest_loss: s; the least that is seen to be lost.
        window, stride, context: s. ratings: Whether scores are ratings.
        notes: In sentences. warnings: What makes its answers doubtful, in sentences.
    """

    stream: str
    kind: str
    model: str
    labels: tuple[str, ...]
    ch_names: tuple[str, ...]
    sampling_rate: float
    announced: float
    jitter: float
    smallest_loss: float
    window: float
    stride: float
    context: float
    ratings: bool
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass
class Summary:
    """What a session came to.

    Attributes:
        seconds: Of the stream. windows, lost: How many were encoded, and could not be.
        gaps, gap_seconds: How many there were, and how long together. reconnections: How often the stream came back.
        latency_median, latency_99: s; None without a window.
    """

    seconds: float = 0.0
    windows: int = 0
    lost: int = 0
    gaps: int = 0
    gap_seconds: float = 0.0
    reconnections: int = 0
    latency_median: float | None = None
    latency_99: float | None = None


class Output(Protocol):
    """Somebody who is told."""

    def begin(self, facts: SessionFacts) -> None:
        """A session starts: what is known of model and stream."""

    def window(self, window: LiveWindow) -> None:
        """A window was answered."""

    def gap(self, gap: StreamGap) -> None:
        """A stretch without signal ended."""

    def lost(self, end: float, why: str) -> None:
        """A window that ends at `end`, s, could not be encoded."""

    def say(self, text: str) -> None:
        """A note for people."""

    def end(self, summary: Summary) -> None:
        """The session is over; nothing follows."""


@dataclass
class LiveSession:
    """Samples of a source become windows, and windows answers.

    Args:
        recogniser: A pipeline of a classifier (`mdjpt_hf.inference.prediction.open_recogniser`).
        source: Of samples in µV. outputs: Told in their order. model: What the model is called.
        sampling_rate: Hz, where the stream announces a wrong one.
        wait: s that a lost stream is looked for.
        notes, warnings: To be told at the start, beside those of stream and extractor.
        live: Whether stamps are times of this moment: not those of a replay.

    Attributes:
        summary: So far. stopped: Set once `stop` was called.
    """

    recogniser: Any
    source: Source
    outputs: Sequence[Output]
    model: str = ""
    sampling_rate: float | None = None
    wait: float = 600.0
    notes: Sequence[str] = ()
    warnings: Sequence[str] = ()
    live: bool = True
    summary: Summary = field(default_factory=Summary)

    def __post_init__(self) -> None:
        self.stopped = threading.Event()
        self._encoder: StreamingEncoder | None = None
        self._offset = 0.0  # s of encoders before this one
        self._last_stamp = self._arrived = 0.0
        self._latencies: deque[float] = deque(maxlen=_LATENCIES)
        announced = self.source.facts.sampling_rate if self.sampling_rate is None else self.sampling_rate
        self._clock = SampleClock(announced, min(FIRST_LOOK, self.recogniser.feature_extractor.window_seconds))
        self._try_out(announced or _SOME_RATE)

    def _try_out(self, rate: float) -> None:
        """A window of noise: names are refused before anything is taken, and the first answer is as quick as others."""
        trial = self._make(rate)
        trial.advance(np.random.default_rng(0).normal(0, 10, (len(trial.ch_names), trial.window)))

    def stop(self) -> None:
        """Let `run` return; from any thread."""
        self.stopped.set()

    def run(self, seconds: float = np.inf) -> Summary:
        """Go on until the stream is over, `stop` is called, or so many seconds of stream have gone by.

        Raises:
            StreamError: If a lost stream does not come back. MDJPTError: If the stream cannot be used.
        """
        quiet_since, told = time.monotonic(), False
        try:
            while not self.stopped.is_set() and self._seconds < seconds:
                try:
                    samples, stamps = self.source.pull(_PULL)
                except EndOfStream:
                    break
                except StreamLost:
                    self._come_back()
                    quiet_since, told = time.monotonic(), False
                    continue
                if len(stamps):
                    self._arrived = time.perf_counter()
                    self._take(samples, stamps)
                    quiet_since, told = time.monotonic(), False
                elif not told and time.monotonic() - quiet_since > _SILENCE:
                    self._say(f"no samples for {_SILENCE:g} s")
                    told = True
        finally:
            self.source.close()
            self._finish()
        return self.summary

    @property
    def _seconds(self) -> float:
        return self._offset + (self._encoder.seconds if self._encoder else 0.0)

    # ---- samples

    def _take(self, samples: np.ndarray, stamps: np.ndarray) -> None:
        for piece in self._clock.take(samples, stamps):
            encoder = self._ready()
            if piece.samples is None:
                # a clock that was set back breaks the signal, and takes one sample to say so
                self._skip(max(1, round(piece.gap * encoder.sampling_rate)), piece.reason)
            else:
                self._push(encoder, piece)
                self._last_stamp = float(piece.stamps[-1])

    def _ready(self) -> StreamingEncoder:
        """The encoder, made once the rate is known, and anew where that has changed."""
        rate = self._clock.rate
        assert rate is not None
        if self._encoder is None:
            self._encoder = self._make(rate.used)
            self._begin(self._encoder)
        elif abs(self._clock.current / self._encoder.sampling_rate - 1) > 2 * SAME_RATE:
            self._change_rate(self._encoder, self._clock.current)
        return self._encoder

    def _make(self, rate: float) -> StreamingEncoder:
        names, options = self.source.facts.ch_names, streaming_options(self.recogniser.model)
        return StreamingEncoder(self.recogniser.model, self.recogniser.feature_extractor, names, rate, "uV", **options)

    def _change_rate(self, before: StreamingEncoder, current: float) -> None:
        announced = self._clock.announced or before.sampling_rate
        if abs(current / announced - 1) > MAX_CORRECTION:
            raise SamplingRateError(
                f"the stream now sends {current:.4g} Hz, announced were {announced:g} Hz; up to "
                f"{MAX_CORRECTION:.0%} would be corrected",
                value=current,
                remedy="Mend the sender",
            )
        self._say(f"the stream now sends {current:.4g} Hz instead of {before.sampling_rate:g} Hz, which is used")
        self._encoder = self._make(float(f"{current:.4g}"))
        self._encoder.normaliser = before.normaliser
        self._offset += before.seconds

    def _push(self, encoder: StreamingEncoder, piece: Piece) -> None:
        """Encode what is complete; of a piece that had to wait, window by window, so that each is told at once."""
        assert piece.samples is not None
        for start in range(0, len(piece.stamps), encoder.stride):
            part = slice(start, start + encoder.stride)
            self._advance(encoder, piece.samples[:, part], piece.stamps[part])

    def _advance(self, encoder: StreamingEncoder, samples: np.ndarray, stamps: np.ndarray) -> None:
        before = round(encoder.seconds * encoder.sampling_rate)
        found = encoder.advance(samples)
        for gap in found.gaps:
            self._gap(gap)
        for window in found.windows:
            last = round(window.end * encoder.sampling_rate) - before - 1
            self._window(window, float(stamps[last]))
        for end, error in found.lost:
            self.summary.lost += 1
            for output in self.outputs:
                output.lost(self._offset + end, str(error))

    def _skip(self, samples: int, reason: str) -> None:
        assert self._encoder is not None
        self.summary.lost += self._encoder.skip(samples, reason)

    def _window(self, window: StreamedWindow, stamp: float) -> None:
        assert window.logits is not None
        scores = self.recogniser.scores(torch.from_numpy(window.logits)[None])[0].tolist()
        config = self.recogniser.model.config
        named = {config.id2label[number]: float(score) for number, score in enumerate(scores)}
        label = None if config.problem_type == "regression" else max(named, key=lambda name: named[name])
        one_of_many = label is not None and config.problem_type != "multi_label_classification"
        latency = time.perf_counter() - self._arrived
        self._latencies.append(latency)
        self.summary.windows += 1
        result = LiveWindow(
            onset=self._offset + window.onset,
            end=self._offset + window.end,
            stamp=stamp,
            scores=named,
            label=label,
            score=None if label is None else named[label],
            certainty=certainty(named[label], len(named)) if one_of_many and label is not None else "",
            quality=window.quality,
            latency=latency,
            behind=self.source.now() - stamp if self.live else None,
        )
        for output in self.outputs:
            output.window(result)

    def _gap(self, gap: StreamGap) -> None:
        self.summary.gaps += 1
        self.summary.gap_seconds += gap.seconds
        moved = StreamGap(self._offset + gap.onset, self._offset + gap.end, gap.reason)
        for output in self.outputs:
            output.gap(moved)

    # ---- a stream that is gone

    def _come_back(self) -> None:
        """Wait for the stream; what it did not send meanwhile is a gap."""
        name, since = self.source.facts.name, time.monotonic()
        self._say(f"the stream {name!r} is gone; looking for it")
        while not self.source.reconnect(_SEARCH):
            if self.stopped.is_set():
                return
            if time.monotonic() - since > self.wait:
                raise StreamError(
                    f"the stream {name!r} did not come back within {self.wait:g} s",
                    value=name,
                    remedy="Start its sender and a new session, or wait longer with --wait",
                )
        self.summary.reconnections += 1
        self._say(f"the stream {name!r} is back")
        self._resume(since)

    def _resume(self, since: float) -> None:
        """Take the first samples of a stream that is back, after the gap by its stamps, or by the time that went by."""
        stamps = np.empty(0)
        while not len(stamps) and not self.stopped.is_set():
            samples, stamps = self.source.pull(_PULL)
        if not len(stamps):
            return
        self._arrived, elapsed = time.perf_counter(), time.monotonic() - since
        self._clock.restart()
        if self._encoder is not None:
            missing = float(stamps[0]) - self._last_stamp - 1 / self._encoder.sampling_rate
            if not 0 <= missing <= 2 * elapsed + 5:  # the sender has another clock now
                missing = elapsed
            self._skip(max(1, round(missing * self._encoder.sampling_rate)), "the stream was gone")
        self._take(samples, stamps)

    # ---- words

    def _say(self, text: str) -> None:
        for output in self.outputs:
            output.say(text)

    def _begin(self, encoder: StreamingEncoder) -> None:
        rate, facts, config = self._clock.rate, self.source.facts, self.recogniser.model.config
        assert rate is not None
        notes = [*self.notes, *facts.notes, *rate.notes, *encoder.notes]
        begun = SessionFacts(
            stream=facts.name,
            kind=facts.kind,
            model=self.model,
            labels=tuple(config.id2label[number] for number in range(len(config.id2label))),
            ch_names=facts.ch_names,
            sampling_rate=encoder.sampling_rate,
            announced=facts.sampling_rate,
            jitter=rate.jitter,
            smallest_loss=rate.smallest_loss,
            window=encoder.extractor.window_seconds,
            stride=encoder.extractor.stride_seconds,
            context=encoder.context / encoder.sampling_rate,
            ratings=config.problem_type == "regression",
            notes=tuple(dict.fromkeys(notes)),
            warnings=tuple(self.warnings),
        )
        for output in self.outputs:
            output.begin(begun)

    def _finish(self) -> None:
        summary = self.summary
        summary.seconds = self._seconds
        if self._latencies:
            summary.latency_median, summary.latency_99 = np.percentile(self._latencies, [50, 99]).tolist()
        for output in self.outputs:
            output.end(summary)


def as_record(thing: Any) -> dict[str, Any]:
    """A dataclass of the session as plain JSON."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(thing).items()}
