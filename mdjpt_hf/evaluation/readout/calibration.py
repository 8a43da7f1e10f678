"""Confidence one can act on: a temperature fitted on validation subjects."""

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
