"""What the tests of live streams share: channels, signals, an output that remembers."""

import numpy as np

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
