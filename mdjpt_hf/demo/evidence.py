"""Which electrodes carried a decision: the score without each of them (occlusion)."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

#: Ways to flip the signs of windows that are looked at.
_FLIPS = 1024


def channel_evidence(*arguments: Any) -> dict[str, float]:
    """[`electrode_losses`], mean over windows."""
    return {name: float(lost.mean()) for name, lost in electrode_losses(*arguments).items()}


@torch.no_grad()
def electrode_losses(
    recogniser: Any,
    windows: np.ndarray,
    ch_names: list[str],
    label: int,
    progress: Callable[[float], None] = lambda share: None,
) -> dict[str, np.ndarray]:
    """How much of a label's score every recorded electrode carries.

    An electrode is silenced together with its share in the standard channels that were made from it. The windows
    are normalised among themselves, not with the rest of their recording.

    Args:
        recogniser: An emotion pipeline.
        windows: `(windows, 60, samples)`, from its `preprocess`.
        ch_names: All electrodes these were made from, in the order of the recording.
        label: Number of the label asked about.
        progress: Called with the share that is done.

    Returns:
        Name -> score with the electrode minus score without it, `(windows,)`; electrodes that are no standard channel
        are left out.
    """
    whole = _scores(recogniser, windows, label)
    lost = {}
    for number, name in enumerate(ch_names):
        silenced = recogniser.feature_extractor.silence(windows, ch_names, name)
        if silenced is not None:
            lost[name] = (whole - _scores(recogniser, silenced, label)).numpy()
        progress((number + 1) / len(ch_names))
    return lost


def chance_level(differences: np.ndarray) -> float:
    """95 % of the maps whose windows differ in either direction by chance stay below this, at their largest electrode.

    Args:
        differences: `(electrodes, windows)` scores lost. The sign of each window is flipped in all ways there are (of
            many windows in `_FLIPS` of them), for all electrodes together. A single window says nothing: infinite.
    """
    count = differences.shape[-1]
    if differences.size == 0 or count < 2:
        return float("inf")
    if 2**count <= _FLIPS:
        signs = np.array(list(itertools.product((-1, 1), repeat=count)))
    else:
        signs = np.random.default_rng(0).choice((-1, 1), (_FLIPS, count))
    return float(np.quantile(np.abs(differences @ signs.T / count).max(axis=0), 0.95))


def _scores(recogniser: Any, windows: np.ndarray, label: int) -> torch.Tensor:
    return recogniser.scores(recogniser.logits(torch.from_numpy(windows), len(windows)))[:, label]
