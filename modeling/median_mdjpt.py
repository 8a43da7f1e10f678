"""The median, quickly: recordings are judged by it again and again."""

from typing import Any

import numpy as np


def median(values: np.ndarray) -> Any:
    """What `np.median(values, axis=-1)` gives, to the bit, in a tenth of its time for float32 and float64.

    numpy (2.4) selects both middle values and the largest in one call, which leaves its vectorised selection unused;
    one place alone is found by it.

    Args:
        values: `(..., samples)` of real numbers.

    Returns:
        `(...)`; NaN where a sample is.
    """
    values = np.asarray(values)
    count = values.shape[-1]
    if values.dtype not in (np.float32, np.float64) or not count:
        return np.median(values, axis=-1)
    middle = count // 2
    parted = np.partition(values, middle, axis=-1)
    found = parted[..., middle]
    if count % 2 == 0:
        found = (parted[..., :middle].max(axis=-1) + found) / values.dtype.type(2)
    largest = parted[..., middle:].max(axis=-1)  # NaN stands last, wherever exactly
    return np.where(np.isnan(largest), largest, found)[()]
