"""Batches of masked prediction: random windows, which of their tokens are hidden, and the tokens' labels."""

from collections.abc import Collection

import numpy as np
import torch
from torch.utils.data import Dataset

from mdjpt_hf.data.tokens import TokenIndex


def span_mask(num_tokens: int, ratio: float, span: int, rng: np.random.Generator) -> np.ndarray:
    """Hide spans of tokens at random places until the wanted number is hidden; the last span is cut to fit.

    Args:
        num_tokens (`int`): Tokens of the window, at least 2.
        ratio (`float`): Part of them to hide; rounded, and never none or all of them.
        span (`int`): Tokens hidden together; spans may touch and overlap.
        rng (`np.random.Generator`): Where the places come from.

    Returns:
        `np.ndarray` of shape `(num_tokens,)`: true where hidden.
    """
    wanted = int(np.clip(round(ratio * num_tokens), 1, num_tokens - 1))
    hidden = np.zeros(num_tokens, dtype=bool)
    while (missing := wanted - int(hidden.sum())) > 0:
        start = int(rng.integers(1 - span, num_tokens))  # spans may stick out, so that the ends are hidden as often
        free = np.flatnonzero(~hidden[max(start, 0) : max(start + span, 0)]) + max(start, 0)
        hidden[free[:missing]] = True
    return hidden


class MaskedSteps(Dataset):
    """Item `s` is the batch of global step `s` for this process.

    Window `w` of a step goes to process `w % world_size` and depends on nothing but the seed, the step and `w`, so any
    number of processes sees the same windows with the same tokens hidden. Datasets take turns, whatever their size.

    Args:
        index (`TokenIndex`): All tokens.
        held_out (`Collection` of (dataset, subject)): Who is not drawn.
        labels (`np.ndarray` of shape `(tokens, granularities)`): Pseudo-labels; may be mapped from disk.
        num_steps (`int`): Length. steps_per_epoch (`int`): Where one epoch ends in the seed.
        seed (`int`): Everything drawn follows from it.
        windows_per_step (`int`): Over all processes; a multiple of `world_size`.
        mask_ratio (`float`), mask_span (`int`): See [`span_mask`].
        rank, world_size (`int`): This process and how many there are.
    """

    def __init__(
        self,
        index: TokenIndex,
        held_out: Collection[tuple[str, str]],
        labels: np.ndarray,
        num_steps: int,
        steps_per_epoch: int,
        seed: int,
        windows_per_step: int,
        mask_ratio: float,
        mask_span: int,
        rank: int = 0,
        world_size: int = 1,
    ):
        self.index, self.labels = index, labels
        # In the order of the index, so that the order in which the datasets were given changes nothing.
        trained = [part for part in index.recordings if (part.name, part.subject) not in held_out]
        self.datasets = list(dict.fromkeys(part.dataset for part in trained))
        self.trials = [np.concatenate([part.trials for part in trained if part.dataset == d]) for d in self.datasets]
        self.num_steps, self.steps_per_epoch, self.seed = num_steps, steps_per_epoch, seed
        self.windows, self.windows_per_step = range(rank, windows_per_step, world_size), windows_per_step
        self.mask_ratio, self.mask_span = mask_ratio, mask_span
        self.length = index.window_samples // index.token_samples

    def __len__(self) -> int:
        return self.num_steps

    def __getitem__(self, step: int) -> dict[str, torch.Tensor]:
        key = [self.seed, *divmod(step, self.steps_per_epoch)]
        drawn = [self._draw(window, np.random.default_rng([*key, window])) for window in self.windows]
        return {name: torch.from_numpy(np.stack([part[name] for part in drawn])) for name in drawn[0]}

    def _draw(self, window: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        turn = window % len(self.datasets)
        dataset, trial = self.datasets[turn], int(rng.choice(self.trials[turn]))
        tokens = int(self.index.trial_sets[dataset].n_samples[trial]) // self.index.token_samples
        start = int(rng.integers(tokens - self.length + 1))
        first = int(self.index.first_token[dataset][trial]) + start
        return {
            "input_values": self.index.signal(dataset, trial, start, self.length),
            "labels": self.labels[first : first + self.length].astype(np.int64),
            "token_mask": span_mask(self.length, self.mask_ratio, self.mask_span, rng),
        }
