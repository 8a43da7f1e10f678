"""Ridge regression of classes or ratings, at several strengths at once."""

import numpy as np
from scipy.linalg import cho_factor, cho_solve

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
