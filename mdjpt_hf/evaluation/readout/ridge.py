"""Ridge regression of classes or ratings, at several strengths at once."""

import numpy as np
from scipy.linalg import cho_factor, cho_solve

#: Candidates, relative to the number of windows.
STRENGTHS = (0.1, 1.0, 10.0)


def ridge(train: np.ndarray, label: np.ndarray, others: np.ndarray, classes: int) -> np.ndarray:
    """Ridge regression of the classes on standardised features, `(strengths, windows, classes)`."""
    return ridge_values(train, np.eye(classes)[label], others)


def ridge_values(train: np.ndarray, targets: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Ridge regression of `(windows, values)` on standardised features, `(strengths, windows, values)`."""
    mean, spread = train.mean(axis=0), train.std(axis=0) + 1e-9
    inputs = (train - mean) / spread
    share = targets.mean(axis=0)
    wide = inputs.shape[1] > len(inputs)  # the smaller of the two Gram matrices has the same solution
    gram = inputs @ inputs.T if wide else inputs.T @ inputs
    right = targets - share if wide else inputs.T @ (targets - share)
    # float64: features are alike, so little is left of a float32's digits after solving
    ridges = (gram + strength * len(inputs) * np.eye(len(gram)) for strength in STRENGTHS)
    weights = np.stack([cho_solve(cho_factor(matrix, lower=True), right) for matrix in ridges]).astype(inputs.dtype)
    return (others - mean) / spread @ (inputs.T @ weights if wide else weights) + share
