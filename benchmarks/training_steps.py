"""What benchmarks of training steps share: their windows, random with people and clips as in a run, and the peak."""

import resource
import sys
from collections.abc import Sequence

import torch

SECONDS, CHANNELS, RATE = 5, 60, 125
PAIRS = (15, 40)  # clips of a pair in two datasets: 2 * (15 + 40) windows


def step_batch(pairs: Sequence[int] = PAIRS) -> dict[str, torch.Tensor]:
    """A step of a pair of each dataset: two people, each with a window of every clip that both have seen."""
    groups = [torch.full((count,), 2 * number + half) for number, count in enumerate(pairs) for half in range(2)]
    stimuli = [torch.arange(count) + 100 * number for number, count in enumerate(pairs) for _ in range(2)]
    ids = torch.cat(groups)
    values = torch.randn(len(ids), CHANNELS, RATE * SECONDS, generator=torch.Generator().manual_seed(0))
    return {"input_values": values, "group_ids": ids, "dataset_ids": ids // 2, "stimulus_ids": torch.cat(stimuli)}


def peak_of_process() -> int:
    """The most bytes that this process held so far, with pages of files."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
