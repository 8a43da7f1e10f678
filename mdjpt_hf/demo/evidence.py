"""Which electrodes carried a decision: the score without each of them (occlusion)."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch


@torch.no_grad()
def channel_evidence(
    recogniser: Any,
    windows: np.ndarray,
    ch_names: list[str],
    label: int,
    progress: Callable[[float], None] = lambda share: None,
) -> dict[str, float]:
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
        Name -> score with the electrode minus score without it, mean over windows; electrodes that are no standard
        channel are left out.
    """
    whole = _scores(recogniser, windows, label)
    evidence = {}
    for number, name in enumerate(ch_names):
        silenced = recogniser.feature_extractor.silence(windows, ch_names, name)
        if silenced is not None:
            evidence[name] = float((whole - _scores(recogniser, silenced, label)).mean())
        progress((number + 1) / len(ch_names))
    return evidence


def _scores(recogniser: Any, windows: np.ndarray, label: int) -> torch.Tensor:
    return recogniser.scores(recogniser.logits(torch.from_numpy(windows), len(windows)))[:, label]
