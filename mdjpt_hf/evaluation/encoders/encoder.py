"""What an encoder of a table is, and the windows it is given."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mdjpt_hf.data.corpora import TrialSet
from mdjpt_hf.data.windows import read_windows
from mdjpt_hf.evaluation.protocols import Pool
from mdjpt_hf.modeling.montage_mdjpt import silence_electrode

#: (features or windows to train on, their classes, those to answer for, seed) -> (candidates, windows, classes)
Fit = Callable[[np.ndarray, np.ndarray, np.ndarray, int], np.ndarray]


@dataclass(frozen=True)
class Encoder:
    """An entry of a table.

    Attributes:
        name: In tables. facts: What it is, for records; `weights` says pre-trained, random or none.
        features: (pool, encoder_groups) -> `(windows, size)`; None for networks trained anew in every split.
        fit: pool -> a classifier trained on windows; None for features.
        rehearse: Tries two windows of a pool, so that what cannot work is known before anything is computed; raises an
            `MDJPTError`. None where nothing can go wrong.
        recordings_alone: Whether features of a recording do not depend on what else is in the pool, unless
            `encoder_groups` make them.
    """

    name: str
    facts: dict[str, Any]
    features: Callable[[Pool, str], np.ndarray] | None = None
    fit: Callable[[Pool], Fit] | None = None
    rehearse: Callable[[Pool], Any] | None = None
    recordings_alone: bool = False


def read_pool(pool: Pool, chosen: np.ndarray) -> np.ndarray:
    """Windows by their numbers, `(windows, 60, samples)` float32."""
    part = np.searchsorted(pool.offsets, chosen, side="right") - 1
    found: np.ndarray | None = None
    for number in np.unique(part):
        own = part == number
        windows = pool.parts[number]
        numbers = chosen[own] - pool.offsets[number]
        values = read_windows(windows.trials, windows.index, numbers)
        if pool.silenced:
            _silence(values, windows.trials, windows.index.trial[numbers], pool.silenced)
        found = np.empty((len(chosen), *values.shape[1:]), dtype=np.float32) if found is None else found
        found[own] = values
    assert found is not None  # somebody asked for windows
    return found


def _silence(values: np.ndarray, trials: TrialSet, trial: np.ndarray, electrode: str) -> None:
    """Leave an electrode out of windows of the trials `(windows,)`, in place; where it was not recorded, nothing is."""
    for number in np.unique(trial):
        if electrode in trials.ch_names[number]:
            shares = trials.projection(number)[:, trials.ch_names[number].index(electrode)]
            silenced = silence_electrode(values[trial == number], shares)
            assert silenced is not None  # standard channels alone are silenced
            values[trial == number] = silenced


def first_windows(pool: Pool) -> torch.Tensor:
    """Two windows to try an encoder on, `(2, 60, samples)`; one where there are no more."""
    return torch.from_numpy(read_pool(pool, np.arange(min(2, len(pool)))))
