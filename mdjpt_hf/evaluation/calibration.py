"""Confidence one can act on: a temperature fitted on validation subjects, and what abstaining would buy."""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

#: Temperatures searched, on either side of 1.
TEMPERATURES = (1e-3, 1e3)


def fit_temperature(logits: np.ndarray, label: np.ndarray) -> float:
    """The temperature T that makes `softmax(logits / T)` most likely to have produced the labels.

    One number cannot change which class is the likeliest; it only makes the classifier more or less sure.

    Args:
        logits (`np.ndarray` of shape `(windows, classes)`): Of subjects that neither trained nor are tested.
        label (`np.ndarray` of shape `(windows,)`): Their true classes.
    """
    rows = np.arange(len(label))

    def loss(log_temperature: float) -> float:
        return -float(log_softmax(logits / np.exp(log_temperature), axis=1)[rows, label].mean())

    return float(np.exp(minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded").x))


def scale(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities of `(windows, classes)` logits at a temperature."""
    return np.exp(log_softmax(logits / temperature, axis=1))


def abstention_curve(
    references: np.ndarray, probabilities: np.ndarray, points: int = 20
) -> tuple[np.ndarray, np.ndarray]:
    """Accuracy on the windows one is most sure of.

    Args:
        references: `(windows,)` true classes. probabilities: `(windows, classes)`. points: Of the curve.

    Returns:
        `tuple`: `(points,)` shares of windows answered, rising to 1, and `(points,)` the accuracy on them.
    """
    order = np.argsort(-probabilities.max(axis=1), kind="stable")
    correct = (probabilities.argmax(axis=1) == references)[order]
    answered = np.maximum(1, np.round(np.linspace(1 / points, 1, points) * len(order)).astype(int))
    return answered / len(order), np.cumsum(correct)[answered - 1] / answered
