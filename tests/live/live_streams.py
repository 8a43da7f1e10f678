"""What the tests of live streams share: channels, signals, an output that remembers."""

import numpy as np

from mdjpt_hf.live.source import EndOfStream, StreamFacts

NAMES = ["Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2", "Cz"]
LABELS = ["negative", "neutral", "positive"]
RATE = 250.0


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    """µV; the same at the same second."""
    return np.random.default_rng(seed).normal(0, 15, (round(seconds * RATE), len(NAMES))).T


class Told:
    """An output that remembers."""

    def __init__(self):
        self.facts, self.windows, self.gaps, self.losses, self.texts, self.summary = None, [], [], [], [], None

    def begin(self, facts):
        self.facts = facts

    def window(self, window):
        self.windows.append(window)

    def gap(self, gap):
        self.gaps.append(gap)

    def lost(self, end, why):
        self.losses.append((end, why))

    def say(self, text):
        self.texts.append(text)

    def end(self, summary):
        self.summary = summary


class Script:
    """A source that gives what it was told to: (samples, stamps), a function to call, or an exception to raise."""

    def __init__(self, steps, names=tuple(NAMES), rate=RATE, returns=True):
        self.steps, self.returns, self.closed = list(steps), returns, 0
        self.facts = StreamFacts("cap", tuple(names), rate, ("a note of the stream",))

    def pull(self, timeout):
        if not self.steps:
            raise EndOfStream
        step = self.steps.pop(0)
        if isinstance(step, type):
            raise step
        if callable(step):
            step()
            return np.empty((len(self.facts.ch_names), 0)), np.empty(0)
        return step

    def reconnect(self, timeout):
        return self.returns

    def now(self):
        return 1000.0

    def close(self):
        self.closed += 1


def chunks(signal, times, size=50):
    return [(signal[:, k : k + size], times[k : k + size]) for k in range(0, signal.shape[1], size)]


def times(seconds, start=100.0):
    return start + np.arange(round(seconds * RATE)) / RATE
