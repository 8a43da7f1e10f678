"""Batches of both methods at once: pairs of subjects, their windows' pseudo-labels, and which tokens are hidden."""

import numpy as np
import torch

from mdjpt_hf.data.batches import PretrainingSteps, collate_pairs
from mdjpt_hf.data.masking import span_mask
from mdjpt_hf.data.pairs import Viewing
from mdjpt_hf.data.tokens import TokenIndex

#: Keeps what is hidden apart from what is drawn for the pairs themselves.
_MASKS = 1


class JointSteps(PretrainingSteps):
    """[`PretrainingSteps`] whose batches also hold `labels` and `token_mask`.

    Args:
        index (`TokenIndex`): Tokens of the same datasets; samplers draw windows on its grid.
        labels (`np.ndarray` of shape `(tokens, granularities)`): Pseudo-labels; may be mapped from disk.
        mask_ratio (`float`), mask_span (`int`): See [`span_mask`].
        arguments: Of [`PretrainingSteps`].
    """

    def __init__(self, index: TokenIndex, labels: np.ndarray, mask_ratio: float, mask_span: int, **arguments):
        super().__init__(**arguments)
        self.index, self.labels, self.mask = index, labels, (mask_ratio, mask_span)
        self.length = index.window_samples // index.token_samples
        # Samplers hold some of a dataset's subjects, so a trial is known by its row in the prepared folder.
        self.first_token = {
            trials.origin(trial): token
            for trials, first in zip(index.trial_sets, index.first_token, strict=True)
            for trial, token in enumerate(first.tolist())
        }

    def __getitem__(self, step: int) -> dict[str, torch.Tensor]:
        drawn = self.draw(step)
        labels = np.concatenate([self._labels(dataset, pair) for dataset, _, pair in drawn])
        masks = [self._mask(step, dataset, number, pair.trials.size) for dataset, number, pair in drawn]
        return {
            **collate_pairs(self.samplers, drawn),
            "labels": torch.from_numpy(labels),
            "token_mask": torch.from_numpy(np.concatenate(masks)),
        }

    def _labels(self, dataset: int, pair: Viewing) -> np.ndarray:
        """`(subjects * clips, tokens, granularities)`, one subject's windows after another's."""
        origin = self.samplers[dataset].trials.origin
        windows = [
            self.first_token[origin(int(trial))] + int(start) // self.index.token_samples
            for subject, starts in zip(pair.trials, pair.starts, strict=True)
            for trial, start in zip(subject, starts, strict=True)
        ]
        return np.stack([self.labels[first : first + self.length] for first in windows]).astype(np.int64)

    def _mask(self, step: int, dataset: int, number: int, windows: int) -> np.ndarray:
        epoch, position = divmod(step, self.steps_per_epoch)
        rng = np.random.default_rng([self.seed, epoch, position, dataset, number, _MASKS])
        return np.stack([span_mask(self.length, *self.mask, rng) for _ in range(windows)])
