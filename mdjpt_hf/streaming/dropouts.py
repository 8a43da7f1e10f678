"""Where a live signal is none: samples that are missing, a cap without a head, an amplifier that stands still.

Everything is judged on the signal as it is, so that nothing depends on the chunks it came in, and a break is found to
the sample: what follows it can be used from its first sample on.
"""

from dataclasses import dataclass

import numpy as np

#: s. A channel without numbers for so long is left out; shorter holes are gaps of all channels.
SILENT_SECONDS = 1.0
#: µV from the lowest to the highest sample, and s: more than half of the channels within it for so long, and nothing is
#: recorded. The least that counts as EEG (`PLAUSIBLE_AMPLITUDE`) is some times as much.
STILL, STILL_SECONDS = 0.3, 0.1
#: µV from one sample to the next, in more than half of the channels: no head does that. Where even the calmest half
#: second has steps (of line noise), as many times those.
STEP, STEP_TIMES, CALM_SECONDS = 500.0, 8.0, 0.5
#: Steps so close to each other (s), each in a quarter of the channels or more, are one disturbance.
TOGETHER_SECONDS, TOGETHER_SHARE = 0.02, 0.25
#: A channel with steps in this share of the samples is a bad channel, which says nothing about the others.
RESTLESS = 0.4


@dataclass(frozen=True)
class Dropouts:
    """What is wrong with a stretch of a live signal, `samples` long.

    Attributes:
        missing: `(samples,)`, where there are no numbers. still: where nothing is recorded. jumps: where the signal
            leaps and leaps again.
        breaks: `(samples,)`, samples that do not follow from the one before.
        calm: µV, the typical step from one sample to the next in the calmest half second.
        silent: Channels without numbers for a second or more, which are left out instead.
    """

    missing: np.ndarray
    still: np.ndarray
    jumps: np.ndarray
    breaks: np.ndarray
    calm: float
    silent: list[int]

    @property
    def off(self) -> np.ndarray:
        """`(samples,)`, where there is no signal, for whatever reason."""
        return self.missing | self.still | self.jumps

    @property
    def start(self) -> int:
        """The first sample from which on there is a signal without a break; the number of samples if there is none."""
        last_off, last_break = (np.flatnonzero(found) for found in (self.off, self.breaks))
        return max(int(last_off[-1]) + 1 if len(last_off) else 0, int(last_break[-1]) if len(last_break) else 0)

    def reason(self, samples: slice) -> str:
        """Why there is no signal in these samples, in words."""
        causes = {
            "samples hold NaN or infinity": self.missing,
            "nothing is recorded on more than half of the channels": self.still,
            "the signal leaps as no head does": self.jumps | self.breaks,
        }
        return max(causes, key=lambda cause: int(causes[cause][samples].sum()))


def find_dropouts(signal: np.ndarray, rate: float, calm: float = np.inf) -> Dropouts:
    """Look for drop-outs in `(channels, samples)` of µV at `rate` Hz.

    Args:
        calm: As it was before, if that is known: a signal may be loud throughout, and was not always.
    """
    missing, silent = find_missing(~np.isfinite(signal), rate)
    heard = np.delete(signal, silent, axis=0) if silent else signal
    if missing.any():
        heard = _carried_on(heard, missing)
    still = _standing_still(heard, rate)
    jumps, breaks, calm = _leaps(heard, rate, calm)
    after = missing[:-1] & ~missing[1:]
    for found in (still, jumps, breaks):
        found &= ~missing
    breaks[1:] |= after
    return Dropouts(missing, still, jumps, breaks, calm, silent)


def find_missing(holes: np.ndarray, rate: float) -> tuple[np.ndarray, list[int]]:
    """`(samples,)` that lack numbers, and the channels to leave out so that no more of them do.

    Args:
        holes: `(channels, samples)`, True where there is no number.
    """
    missing: np.ndarray = holes.sum(axis=0) * 2 > len(holes)
    if not holes.any():
        return missing, []
    alone = holes & ~missing
    silent = np.flatnonzero(alone.sum(axis=1) >= SILENT_SECONDS * rate)
    if 2 * len(silent) > len(holes):  # nobody would be left to answer
        return np.any(holes, axis=0), []
    return missing | np.any(np.delete(holes, silent, axis=0), axis=0), silent.tolist()


def _carried_on(signal: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """The signal with the sample after a hole (before it, at the end) in the place of the hole: no step at its rim.

    It trembles there, so as not to stand still.
    """
    places = np.arange(len(missing))
    following = np.minimum.accumulate(np.where(missing, len(missing), places)[::-1])[::-1]
    last = places[~missing].max(initial=-1)
    if last < 0:
        return np.zeros_like(signal)
    return signal[:, np.where(following < len(missing), following, last)] + 2 * STILL * (missing & (places % 2 == 0))


def _standing_still(signal: np.ndarray, rate: float) -> np.ndarray:
    """`(samples,)` within stretches in which more than half of the channels hardly move."""
    from scipy.ndimage import maximum_filter1d, minimum_filter1d

    length = max(2, round(STILL_SECONDS * rate))
    n_samples = signal.shape[1]
    if not _stands_still_somewhere(signal, length // 2):
        return np.zeros(n_samples, dtype=bool)
    shift = -(length // 2)  # the filters look from a sample on
    high = maximum_filter1d(signal, length, axis=1, mode="nearest", origin=shift)
    low = minimum_filter1d(signal, length, axis=1, mode="nearest", origin=shift)
    flat = (high - low < STILL)[:, : n_samples - length + 1]
    covered = np.zeros((len(signal), n_samples + 1), dtype=np.int32)
    covered[:, : flat.shape[1]] += flat
    covered[:, length : length + flat.shape[1]] -= flat
    within = np.cumsum(covered, axis=1)[:, :n_samples] > 0
    return within.sum(axis=0) * 2 > len(signal)


def _stands_still_somewhere(signal: np.ndarray, length: int) -> bool:
    """Whether more than half of the channels do over one of the pieces of this length: a glance, to save the search."""
    n_channels, n_samples = signal.shape
    if n_samples < 2 * length:
        return False
    pieces = signal[:, n_samples % length :].reshape(n_channels, -1, length)
    still = pieces.max(axis=2) - pieces.min(axis=2) < STILL
    return bool((still.sum(axis=0) * 2 > n_channels).any())


def _leaps(signal: np.ndarray, rate: float, calm: float) -> tuple[np.ndarray, np.ndarray, float]:
    """`(samples,)` of a disturbance, and those that do not follow from the one before; how calm it is elsewhere."""
    jumps, breaks = np.zeros((2, signal.shape[1]), dtype=bool)
    steps = np.abs(np.diff(signal, axis=1, prepend=signal[:, :1]))
    if steps.max(initial=0) <= STEP:
        return jumps, breaks, STEP / STEP_TIMES
    calm = min(calm, _calm(steps, rate))
    loud = steps > max(STEP, STEP_TIMES * calm)
    restless = loud.mean(axis=1) > RESTLESS
    if 2 * restless.sum() <= len(loud):
        loud = loud[~restless]
    share = loud.mean(axis=0)
    places = np.flatnonzero(share > TOGETHER_SHARE)
    if not len(places):
        return jumps, breaks, calm
    together = max(1, round(TOGETHER_SECONDS * rate))
    for group in np.split(places, np.flatnonzero(np.diff(places) > together) + 1):
        if (share[group] > 0.5).any():
            goes_on = signal.shape[1] - group[-1] <= together
            jumps[group[0] : None if goes_on else group[-1]] = True  # the last step leads back to a signal
            breaks[group[-1]] = True
    return jumps, breaks, calm


def _calm(steps: np.ndarray, rate: float) -> float:
    """The typical step of the calmest half second, among those in which anything moves, in µV."""
    typical, length = np.median(steps, axis=0), max(1, round(CALM_SECONDS * rate))
    blocks = typical[len(typical) % length :].reshape(-1, length) if len(typical) >= length else typical[None]
    levels = np.median(blocks, axis=1)
    moving = levels[levels > 1e-3]
    return float(moving.min()) if len(moving) else 0.0
