"""When samples were taken: the true rate of a stream, and what it has lost, by its time stamps.

A stream announces a rate and stamps its samples. Stamps tremble, come late, are shared by a chunk, or are computed from
the announced rate; a sender may lose samples, or run at another rate than it says.
"""

from dataclasses import dataclass

import numpy as np

from mdjpt_hf.errors import SamplingRateError, StreamError
from mdjpt_hf.modeling.filtering_mdjpt import LOWEST_RATE

#: s of stamps that are looked at before anything is said of a stream: as long as a window of the models lasts.
FIRST_LOOK = 5.0
#: Share by which the announced rate may be off without a word; up to the second it is corrected, beyond it refused.
SAME_RATE, MAX_CORRECTION = 0.005, 0.10
#: s; stamps that tremble by more say too little.
MAX_JITTER = 0.5
#: Samples that a stamp may be late before some count as lost, where stamps do not tremble.
LATE = 0.75
#: s of samples that have to be late before that is a loss and no delay.
CONFIRMED = 0.25
#: s after which it is a loss anyhow, where stamps do not settle.
UNSETTLED = 2.0
#: Distances between two stamps that a rate is taken from.
_LAGS = 64
#: s in which the clock follows that of the stream.
_FOLLOWS = 5.0


@dataclass(frozen=True)
class Piece:
    """A part of a stream: samples that follow those before, or a gap.

    Attributes:
        samples: `(channels, samples)`; None for a gap.
        stamps: `(samples,)` in s.
        gap: s that are missing. reason: Why, in words.
    """

    samples: np.ndarray | None
    stamps: np.ndarray
    gap: float = 0.0
    reason: str = ""


@dataclass(frozen=True)
class Rate:
    """What time stamps say of a stream.

    Attributes:
        measured: Hz. used: Hz, the announced rate if it agrees with that.
        jitter: s by which stamps tremble (standard deviation).
        notes: In sentences.
    """

    measured: float
    used: float
    jitter: float
    notes: tuple[str, ...] = ()

    @property
    def tolerance(self) -> float:
        """s that stamps may be off without a meaning."""
        return max(LATE / self.measured, 4 * self.jitter + 0.5 / self.measured)

    @property
    def smallest_loss(self) -> float:
        """s; what is lost beyond is seen, however stamps tremble."""
        return self.tolerance + 3 * self.jitter


def measure_rate(stamps: np.ndarray, announced: float) -> Rate:
    """The rate of a stream, from some seconds of time stamps, a few of which may be missing.

    Args:
        stamps: `(samples,)` in s. announced: Hz; 0 if it is not.

    Raises:
        SamplingRateError: If it is too low, or more than `MAX_CORRECTION` from what was announced.
        StreamError: If stamps are no times.
    """
    stamps = np.asarray(stamps, dtype=float)
    if len(stamps) < 50 or not np.isfinite(stamps).all() or stamps[-1] <= stamps[0]:
        raise StreamError(
            f"{len(stamps)} time stamps of the stream are no clock",
            value=stamps[:3].tolist(),
            remedy="Mend the sender: it has to stamp its samples with rising times",
        )
    period = _period(stamps)
    residual = stamps - period * np.arange(len(stamps))
    steps = np.diff(residual)
    # jumps are losses; what trembles is what is left around the middle of a second's stamps
    length = max(8, round(1 / period))
    parts = np.array_split(residual, max(1, len(residual) // length))
    jitter = 1.4826 * float(np.median([np.median(np.abs(part - np.median(part))) for part in parts]))
    jitter = max(jitter, 1.4826 * float(np.median(np.abs(steps - np.median(steps)))) / 2**0.5)
    if jitter > MAX_JITTER:
        raise StreamError(
            f"the time stamps of the stream tremble by {jitter:.2g} s, {MAX_JITTER:g} s at most can be followed",
            value=jitter,
            remedy="Mend the sender: it has to stamp samples when they were taken",
        )
    return _judged(1 / period, announced, jitter)


def _judged(measured: float, announced: float, jitter: float) -> Rate:
    notes = []
    if not announced:
        used = _rounded(measured)
        notes.append(f"the stream announces no rate; measured: {used:g} Hz")
    elif abs(measured / announced - 1) <= SAME_RATE:
        used = announced
    elif abs(measured / announced - 1) <= MAX_CORRECTION:
        used = _rounded(measured)
        notes.append(f"the stream announces {announced:g} Hz and sends {used:g} Hz, which is used")
    else:
        raise SamplingRateError(
            f"the stream announces {announced:g} Hz, but its time stamps say {measured:.4g} Hz; up to "
            f"{MAX_CORRECTION:.0%} would be corrected",
            value=measured,
            remedy="Mend the sender, or state the true rate with --sampling-rate",
        )
    if used < LOWEST_RATE:
        raise SamplingRateError(
            f"the stream sends {used:g} Hz, below {LOWEST_RATE:g} Hz",
            value=used,
            remedy="Let the device sample faster; a higher rate cannot be made afterwards",
        )
    rate = Rate(measured, used, jitter)
    if rate.smallest_loss > 2 / measured:
        notes.append(
            f"time stamps tremble by {1000 * jitter:.0f} ms, so that losses below {1000 * rate.smallest_loss:.0f} ms "
            "may not be seen"
        )
    return Rate(measured, used, jitter, tuple(notes))


def _rounded(rate: float) -> float:
    return float(f"{rate:.4g}")


def _period(stamps: np.ndarray) -> float:
    """s from one sample to the next, whatever was lost in between."""
    steps, half = np.diff(stamps), len(stamps) // 2
    # several lags, since stamps that a chunk shares are right every so many samples
    lags = range(max(1, half - _LAGS // 2), min(len(stamps) - 1, half + _LAGS // 2))
    average = float(np.mean([np.median(stamps[lag:] - stamps[:-lag]) / lag for lag in lags]))
    typical = float(np.median(steps))
    trembles = np.median(np.abs(steps - typical)) > 0.1 * typical
    if typical <= 0 or trembles or average <= typical * (1 + SAME_RATE / 5):
        return average
    # longer on average than typically: samples were lost, if what is too long is so by whole samples
    extra = steps[steps > 1.5 * typical] / typical - 1
    whole = np.round(extra)
    lost = float(whole[np.abs(extra - whole) < 0.2].sum()) * typical
    return typical if lost > 0.8 * (steps.sum() - typical * len(steps)) else average


class SampleClock:
    """Puts a stream into regular order: samples in a row, and gaps between them.

    The first seconds are held back, until the rate is known; so no window comes later by it.

    Args:
        announced: Hz; 0 if the stream says nothing. first_look: s that are held back.

    Attributes:
        rate: What stamps say; None until it is known.
    """

    def __init__(self, announced: float, first_look: float = FIRST_LOOK):
        self.announced, self.first_look = announced, first_look
        self.rate: Rate | None = None
        self._waiting: list[tuple[np.ndarray, np.ndarray]] = []  # late, or not looked at yet
        self._period, self._expected = 0.0, 0.0

    @property
    def current(self) -> float:
        """Hz, as of now; NaN until it is known."""
        return 1 / self._period if self._period else float("nan")

    def restart(self) -> None:
        """Take the next stamp as it comes: the stream was gone for a while."""
        self._waiting, self._expected = [], np.nan

    def take(self, samples: np.ndarray, stamps: np.ndarray) -> list[Piece]:
        """What samples `(channels, samples)` with stamps `(samples,)` add to the stream; perhaps nothing yet.

        Raises:
            SamplingRateError, StreamError: See [`measure_rate`].
        """
        if not len(stamps):
            return []
        finite = np.isfinite(stamps)
        if not finite.all():
            samples, stamps = samples[:, finite], stamps[finite]
        self._waiting.append((samples, stamps))
        samples, stamps = _joined(self._waiting)
        if self.rate is None:
            if stamps[-1] - stamps[0] < self.first_look:
                return []
            self.rate = measure_rate(stamps, self.announced)
            self._period = 1 / self.rate.measured
            self._expected = self._first(stamps)
        elif np.isnan(self._expected):
            self._expected = float(stamps[0])
        self._waiting = []
        return self._pieces(samples, stamps)

    def _first(self, stamps: np.ndarray) -> float:
        """When the first sample should have come, by those of the first half second."""
        some = stamps[: max(8, round(0.5 / self._period))]
        return float(np.median(some - self._period * np.arange(len(some))))

    def _pieces(self, samples: np.ndarray, stamps: np.ndarray) -> list[Piece]:
        assert self.rate is not None
        pieces: list[Piece] = []
        while len(stamps):
            late = stamps - (self._expected + self._period * np.arange(len(stamps)))
            off = np.flatnonzero(np.abs(late) > self.rate.tolerance)
            good = int(off[0]) if len(off) else len(stamps)
            if not good:
                found = self._lateness(late)
                if found is None:
                    self._waiting = [(samples, stamps)]
                    break
                gap, good = found
                if gap:
                    pieces.append(_gap(gap + good * self._period if gap > 0 else gap))
                    self._expected += gap + good * self._period
                    samples, stamps = samples[:, good:], stamps[good:]
                    continue
                self._expected += good * self._period  # late, not lost
            else:
                self._follow(late[:good])
            pieces.append(Piece(samples[:, :good], stamps[:good]))
            samples, stamps = samples[:, good:], stamps[good:]
        return pieces

    def _lateness(self, late: np.ndarray) -> tuple[float, int] | None:
        """What late (or early) samples mean; None if that is not known yet.

        Returns:
            s that are missing, and how many samples lie within; 0 and the number of those that merely came late, or
            come at another rate from here on.
        """
        assert self.rate is not None
        needed, least = max(2, round(CONFIRMED / self._period)), self.rate.tolerance
        for first in range(max(0, len(late) - needed + 1)):
            if abs(late[first]) <= least:
                return 0.0, first
            following = late[first : first + needed]
            settled = float(np.median(following))
            if abs(settled) > least and np.ptp(following) <= least + 6 * self.rate.jitter:
                return settled, first
        if len(late) * self._period < UNSETTLED:
            back = np.flatnonzero(np.abs(late) <= least)
            return (0.0, int(back[0])) if len(back) else None
        slope, offset = np.polyfit(np.arange(len(late)), late, 1)
        if np.ptp(late - slope * np.arange(len(late))) <= least + 6 * self.rate.jitter:
            self._period += float(slope)
            self._expected += float(offset)
            return 0.0, len(late)
        return float(late[-1]), len(late) - 1

    def _follow(self, late: np.ndarray) -> None:
        """Move on by so many samples, and a little towards their stamps."""
        elapsed = len(late) * self._period
        share = min(1.0, elapsed / _FOLLOWS)
        error = float(np.mean(late))
        self._expected += elapsed + share * error
        self._period *= 1 + np.clip(share * share / 4 * error / elapsed, -1e-3, 1e-3)


def _joined(chunks: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    if len(chunks) == 1:
        return chunks[0]
    return np.concatenate([chunk[0] for chunk in chunks], axis=1), np.concatenate([chunk[1] for chunk in chunks])


def _gap(seconds: float) -> Piece:
    none = np.empty(0)
    if seconds > 0:
        return Piece(None, none, float(seconds), "samples were lost")
    return Piece(None, none, 0.0, f"the clock of the stream went back by {-seconds:.3g} s")
