"""A recording's stretches without a break: where they lie among the samples, and when they were recorded.

Two samples that stand side by side in a file need not have followed one another (`timeline_mdjpt` says how that is
known). Nothing (filter, window, trial) may run from one stretch into another. Times are s on the file's own clock.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, floor

import numpy as np


@dataclass(frozen=True)
class Stretch:
    """A part of a recording without a break.

    Attributes:
        start, stop: Its samples; `stop` is the first one after it.
        onset: Time of its first sample in s on the file's clock.
    """

    start: int
    stop: int
    onset: float = 0.0

    def end(self, rate: float) -> float:
        """Time in s at which it ends."""
        return self.onset + (self.stop - self.start) / rate


@dataclass(frozen=True)
class Span:
    """Where a span of time lies among the samples.

    Attributes:
        start, stop: Its samples.
        beyond: Whether it ends after the recording, begins there, or holds no sample.
        broken: Why it is no continuous signal; empty if it is.
    """

    start: int
    stop: int
    beyond: bool = False
    broken: str = ""


def whole(n_samples: int) -> list[Stretch]:
    """The stretches of a signal that says nothing about breaks."""
    return [Stretch(0, n_samples)]


def time_of(sample: float, stretches: Sequence[Stretch], rate: float) -> float:
    """The time in s of a sample; one between two stretches counts from the first."""
    stretch = next((s for s in reversed(stretches) if s.start <= sample), stretches[0])
    return stretch.onset + (sample - stretch.start) / rate


def break_notes(stretches: Sequence[Stretch], rate: float) -> list[str]:
    """Where the recording is broken, in one sentence for people; none if it is not."""
    breaks = [
        f"at {before.end(rate):g} s"
        + (f" for {gap:g} s" if (gap := round(after.onset - before.end(rate), 3)) > 0 else "")
        for before, after in zip(stretches, stretches[1:], strict=False)
    ]
    if not breaks:
        return []
    shown = ", ".join(breaks[:5]) + (", ..." if len(breaks) > 5 else "")
    what = "a pause or seam" if len(breaks) == 1 else f"{len(breaks)} pauses or seams"
    return [f"{what} in the recording ({shown}): no filter, window or trial runs across"]


def find_span(onset: float, duration: float | None, stretches: Sequence[Stretch], rate: float) -> Span:
    """Where a span of time on the file's clock lies among the samples.

    Args:
        onset, duration: s; None means to the end of the recording.
        stretches: At `rate` Hz.
    """
    half = 0.5 / rate
    end = max(stretch.end(rate) for stretch in stretches)
    stop_time = end if duration is None else onset + duration
    holding = [s for s in stretches if s.onset - half <= onset < s.end(rate) - half]
    if onset >= end - half or not holding:
        stop = round(stop_time * rate)
        if onset >= end - half:
            return Span(round(onset * rate), stop, beyond=True)
        return Span(round(onset * rate), stop, broken="begins where nothing was recorded, or too little to be filtered")
    stretch = holding[0]
    start = stretch.start + round((onset - stretch.onset) * rate)
    stop = stretch.stop if duration is None and stretch is stretches[-1] else start + round((stop_time - onset) * rate)
    if stop <= start:
        return Span(start, stop, beyond=True)
    if len(holding) > 1:
        return Span(start, stop, broken="is there more than once: the clock of the file goes back")
    if stop <= stretch.stop + 1:  # resampling rounds the length by less than one sample
        return Span(start, min(stop, stretch.stop))
    if stretch is stretches[-1] or stop_time > end + 1.5 / rate:
        return Span(start, stop, beyond=True)
    return Span(start, stop, broken=f"runs across a pause or seam at {stretch.end(rate):g} s")


def mask_spans(
    spans: Iterable[tuple[float, float]], stretches: Sequence[Stretch], rate: float, n_samples: int
) -> np.ndarray:
    """`(n_samples,)`, False inside spans of time; one without duration takes one sample.

    Args:
        spans: (start, end) in s on the file's clock.
    """
    clear = np.ones(n_samples, dtype=bool)
    for begin, end in spans:
        for stretch in stretches:
            first = stretch.start + floor((begin - stretch.onset) * rate)
            last = max(stretch.start + ceil((end - stretch.onset) * rate), first + 1)
            clear[max(first, stretch.start) : max(min(last, stretch.stop), 0)] = (
                False  # a mark may lie before all samples
            )
    return clear


def without_samples(stretches: Sequence[Stretch], usable: np.ndarray, rate: float) -> list[Stretch]:
    """The stretches with breaks wherever samples are not usable.

    Args:
        usable: `(samples,)`.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], usable, [False]]).astype(np.int8)))
    return [
        Stretch(max(first, s.start), min(last, s.stop), s.onset + (max(first, s.start) - s.start) / rate)
        for s in stretches
        for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
        if max(first, s.start) < min(last, s.stop)
    ]
