"""Batches: the windows and ids of one training step, for one process."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import Dataset

from mdjpt_hf.data.pairs import PairSampler, Viewing


class PretrainingSteps(Dataset):
    """Item `s` is the whole batch of global step `s` for this process.

    A step has `pairs_per_dataset` pairs of every dataset that takes part, shared out over the processes; pair `p`
    goes to process `p % world_size`. Two processes with n pairs therefore see exactly what one process with 2n pairs
    sees.

    Args:
        samplers (`Sequence[PairSampler]`): One per dataset.
        num_steps (`int`): Length. steps_per_epoch (`int`): Where one epoch ends in the seed.
        seed (`int`): Everything drawn follows from it.
        pairs_per_dataset (`int`): Over all processes; a multiple of `world_size`.
        datasets_per_step (`int`): How many datasets take part in a step, drawn anew for each; 0 for all of them.
        rank, world_size (`int`): This process and how many there are.
    """

    def __init__(
        self,
        samplers: Sequence[PairSampler],
        num_steps: int,
        steps_per_epoch: int,
        seed: int,
        pairs_per_dataset: int = 1,
        datasets_per_step: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ):
        self.samplers = list(samplers)
        self.num_steps = num_steps
        self.steps_per_epoch = steps_per_epoch
        self.seed = seed
        self.pairs = range(rank, pairs_per_dataset, world_size)
        self.pairs_per_dataset = pairs_per_dataset
        self.datasets_per_step = min(datasets_per_step or len(self.samplers), len(self.samplers))

    def __len__(self) -> int:
        return self.num_steps

    def __getitem__(self, step: int) -> dict[str, torch.Tensor]:
        return collate_pairs(self.samplers, self.draw(step))

    def draw(self, step: int) -> list[tuple[int, int, Viewing]]:
        """(dataset number, pair number, pair) of a step, in batch order."""
        epoch, position = divmod(step, self.steps_per_epoch)
        return [
            (
                dataset,
                pair,
                self.samplers[dataset].draw(np.random.default_rng([self.seed, epoch, position, dataset, pair])),
            )
            for dataset in self._datasets(epoch, position)
            for pair in self.pairs
        ]

    def _datasets(self, epoch: int, position: int) -> list[int]:
        """Datasets of one step, in order; the same on every process."""
        chosen = np.random.default_rng([self.seed, epoch, position]).permutation(len(self.samplers))
        return sorted(chosen[: self.datasets_per_step].tolist())


def collate_pairs(samplers: Sequence[PairSampler], drawn: list[tuple[int, int, Viewing]]) -> dict[str, torch.Tensor]:
    """Windows of pairs and larger groups, one subject after the other, with the ids the losses need.

    Args:
        samplers: One per dataset.
        drawn: (dataset number, pair number, pair) in batch order.

    Returns:
        `input_values` `(batch, 60, samples)`; `group_ids`, `dataset_ids`, `stimulus_ids` `(batch,)` int64.
    """
    windows: list[np.ndarray] = []
    groups: list[int] = []
    datasets: list[int] = []
    stimuli: list[int] = []
    clips = 0
    for dataset, _, viewing in drawn:
        trials, length, n = samplers[dataset].trials, samplers[dataset].length, viewing.trials.shape[1]
        for shown, starts in zip(viewing.trials, viewing.starts, strict=True):
            windows += [trials.window(int(i), int(s), length) for i, s in zip(shown, starts, strict=True)]
            groups += [groups[-1] + 1 if groups else 0] * n
            stimuli += range(clips, clips + n)
            datasets += [dataset] * n
        clips += n
    return {
        "input_values": torch.from_numpy(np.stack(windows)),
        "group_ids": torch.tensor(groups),
        "dataset_ids": torch.tensor(datasets),
        "stimulus_ids": torch.tensor(stimuli),
    }
