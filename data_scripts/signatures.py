"""What a recording is known by, whatever its file is called and in whichever format it is stored."""

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

import numpy as np

from mdjpt_hf.errors import CorpusError
from mdjpt_hf.modeling.raw_mdjpt import Recording

#: One sample a second, of so many channels and for so many seconds; compared are recordings that share at least five.
_CHANNELS, _SECONDS, _SHORTEST = 4, 120, 5
#: Difference that formats make: share of the spread, and µV.
_RELATIVE, _ABSOLUTE = 0.01, 0.05


def signature(recording: Recording) -> list[list[float]]:
    """One sample in µV of some channels for every second of the beginning, `(seconds, channels)`."""
    signal, rate = recording.signal, recording.sampling_rate
    channels = np.unique(np.linspace(0, len(signal) - 1, _CHANNELS).astype(int))
    samples = np.arange(min(int(signal.shape[1] / rate), _SECONDS)) * rate
    return [[round(float(value), 3) for value in row] for row in signal[channels][:, samples.astype(int)].T]


def same_signals(signatures: Mapping[str, list[list[float]]]) -> list[tuple[str, str]]:
    """Pairs of files that hold the same signal."""
    known = {file: np.array(values) for file, values in signatures.items() if len(values) >= _SHORTEST}
    return [(one, other) for one, other in combinations(known, 2) if _are_same(known[one], known[other])]


#: Remedy where one recording stands under two names.
ONCE = "List every recording once, under one subject and session"


def refuse_copies(signatures: Mapping[str, list[list[float]]], path: Path | None = None) -> None:
    """One person's recording under two names would stand on both sides of a split.

    Raises:
        CorpusError: With the pairs of files, and `path` where it is given.
    """
    if copies := same_signals(signatures):
        raise CorpusError(
            f"files hold the same signal: {'; '.join(f'{one} and {other}' for one, other in copies[:5])}",
            path=path,
            value=copies,
            remedy=ONCE,
        )


def _are_same(one: np.ndarray, other: np.ndarray) -> bool:
    shared = min(len(one), len(other))
    one, other = one[:shared], other[:shared]
    if one.shape != other.shape or not np.ptp(one):
        return False
    return bool(np.abs(one - other).max() <= _RELATIVE * one.std() + _ABSOLUTE)
