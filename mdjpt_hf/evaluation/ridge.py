"""Ridge regression of classes or ratings, with all strengths from one decomposition."""

import numpy as np
from scipy.linalg import eigh

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
    variances, axes = eigh(inputs @ inputs.T if wide else inputs.T @ inputs)
    right = axes.T @ ((targets - share) if wide else inputs.T @ (targets - share))
    answers = []
    for strength in STRENGTHS:
        solution = axes @ (right / (variances + strength * len(inputs))[:, None])
        answers.append((others - mean) / spread @ (inputs.T @ solution if wide else solution) + share)
    return np.stack(answers)
