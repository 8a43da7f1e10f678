"""Ridge regression of classes or ratings, at several strengths at once."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from mdjpt_hf.evaluation.readout.problems import Problem

#: Candidates, relative to the number of windows.
STRENGTHS = (0.1, 1.0, 10.0)


class Ridge:
    """Ridge regression on standardised features at every strength, solved once for all labels that are dealt.

    Args:
        train (`np.ndarray` of shape `(windows, size)`): Features to train on.
    """

    def __init__(self, train: np.ndarray):
        self.mean, self.spread = train.mean(axis=0), train.std(axis=0) + 1e-9
        self.inputs = (train - self.mean) / self.spread
        count, size = self.inputs.shape
        self.wide = size > count  # the smaller of the two Gram matrices has the same solution
        gram = self.inputs @ self.inputs.T if self.wide else self.inputs.T @ self.inputs
        # float64: features are alike, so little is left of a float32's digits after solving
        ridges = (gram + strength * count * np.eye(len(gram)) for strength in STRENGTHS)
        self.factors = [cho_factor(matrix, lower=True) for matrix in ridges]

    def values(self, targets: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Trained on `targets` `(windows, values)`, what `others` `(n, size)` get: `(strengths, n, values)`."""
        share = targets.mean(axis=0)
        right = targets - share if self.wide else self.inputs.T @ (targets - share)
        weights = np.stack([cho_solve(factor, right) for factor in self.factors]).astype(self.inputs.dtype)
        asked = (others - self.mean) / self.spread
        return asked @ (self.inputs.T @ weights if self.wide else weights) + share


def ridges(known: np.ndarray, given: np.ndarray, problems: Sequence[Problem], classes: int) -> list[np.ndarray]:
    """Ridge regression for several problems, of each `(strengths, asked, values)`; windows they share are solved once.

    Args:
        known, given: `(windows, size)` features to train on, and to answer for. classes: 0 for ratings.
    """
    answers: dict[int, np.ndarray] = {}
    shared: dict[tuple[bytes, bytes], list[int]] = defaultdict(list)
    for number, problem in enumerate(problems):
        shared[problem.train.tobytes(), problem.asked.tobytes()].append(number)
    for numbers in shared.values():
        train, _, asked = problems[numbers[0]]
        targets = [_targets(problems[number].label, classes) for number in numbers]
        found = Ridge(known[train]).values(np.concatenate(targets, axis=1), given[asked])
        answers |= dict(zip(numbers, np.split(found, len(numbers), axis=2), strict=True))
    return [answers[number] for number in range(len(problems))]


def _targets(label: np.ndarray, classes: int) -> np.ndarray:
    return np.eye(classes)[label] if classes else label[:, None]
