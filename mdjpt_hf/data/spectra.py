"""Band power of signals: differential entropy in the bands the SEED papers use."""

import numpy as np

#: Bands of differential entropy, Hz (as in the SEED papers).
BANDS = {"delta": (1, 4), "theta": (4, 8), "alpha": (8, 14), "beta": (14, 31), "gamma": (31, 47)}


def differential_entropy(signal: np.ndarray, sampling_rate: float) -> np.ndarray:
    """Differential entropy of Gaussian band-passed signals: ½ log(2πe σ²), with σ² the power within the band.

    Args:
        signal (`np.ndarray` of shape `(..., channels, samples)`): µV, or any other unit.
        sampling_rate (`float`): Hz.

    Returns:
        `np.ndarray` of shape `(..., channels * bands)`, in nats.
    """
    samples = signal.shape[-1]
    window = np.hanning(samples)
    spectrum = np.abs(np.fft.rfft((signal - signal.mean(axis=-1, keepdims=True)) * window, axis=-1)) ** 2
    frequencies = np.fft.rfftfreq(samples, 1 / sampling_rate)
    scale = 2 / (samples * (window**2).sum())  # Parseval, one-sided
    powers = [
        scale * spectrum[..., (frequencies >= low) & (frequencies < high)].sum(axis=-1) for low, high in BANDS.values()
    ]
    entropy = 0.5 * np.log(2 * np.pi * np.e * np.maximum(np.stack(powers, axis=-1), 1e-12))
    return entropy.reshape(*signal.shape[:-2], -1)
