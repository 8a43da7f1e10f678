"""Emotiv headsets: fourteen electrodes, and values on the amplifier's offset of about 4200."""

import numpy as np

#: Electrodes of EPOC and EPOC X, in the order of the device.
CHANNELS = ("AF3", "F7", "F3", "FC5", "T7", "P7", "O1", "O2", "P8", "T8", "FC6", "F4", "F8", "AF4")


def without_offset(signal: np.ndarray) -> tuple[np.ndarray, float]:
    """A signal with the median taken off each channel, and the median of these on average.

    Args:
        signal: `(channels, samples)` as the headset gives it.

    Returns:
        `(channels, samples)` float32 around 0, and what was taken off, in the signal's own unit.
    """
    offsets = np.median(signal, axis=1, keepdims=True) if signal.size else np.zeros((len(signal), 1))
    return (signal - offsets).astype(np.float32), float(offsets.mean())
