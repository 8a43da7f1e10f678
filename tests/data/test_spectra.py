"""Differential entropy."""

import numpy as np
import pytest

from mdjpt_hf.data.spectra import differential_entropy


def test_differential_entropy_of_a_sine_stands_in_its_band():
    time = np.arange(625) / 125.0
    signal = np.vstack([20 * np.sin(2 * np.pi * 10 * time), 20 * np.sin(2 * np.pi * 24 * time)])
    entropy = differential_entropy(signal, 125.0).reshape(2, 5)
    assert entropy[0].argmax() == 2 and entropy[1].argmax() == 3
    assert entropy[0, 2] == pytest.approx(0.5 * np.log(2 * np.pi * np.e * 200), abs=0.02)  # variance 20²/2
