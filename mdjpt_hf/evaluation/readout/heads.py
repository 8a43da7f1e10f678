"""The published head, for all labels that are dealt at once."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import nn

from mdjpt_hf.evaluation.encoders import train_epochs
from mdjpt_hf.evaluation.readout.problems import Problem

_HIDDEN, _DROPOUT = (128, 64), 0.1
#: Weights that are trained side by side at most; more fall out of the cache.
_WEIGHTS = 2**22


def mlp(train: np.ndarray, label: np.ndarray, others: np.ndarray, classes: int, seed: int) -> np.ndarray:
    """The published head after each epoch, `(epochs, windows, classes)` logits.

    Batches have 256 windows, or fewer where an epoch would have less than eight steps.
    """
    problem = Problem(np.arange(len(train)), label, np.arange(len(others)))
    return mlps(train, others, [problem], classes, seed)[0]


def mlps(
    known: np.ndarray, given: np.ndarray, problems: Sequence[Problem], classes: int, seed: int
) -> list[np.ndarray]:
    """[`mlp`] for several problems on the same windows, which differ by rounding alone from heads trained one by one.

    Every head starts from the same weights, meets its windows in the same order and drops the same units, as it does by
    itself: all is drawn from the seed. So as many steps are made as for one.

    Args:
        known, given: `(windows, size)` features to train on, and to answer for.
    """
    features = torch.as_tensor(known).float()
    offset = 0 if given is known else len(known)
    if offset:
        features = torch.cat([features, torch.as_tensor(given).float()])
    answers: dict[int, np.ndarray] = {}
    for numbers in _alike(problems, features.shape[1]):
        train, label, asked = (
            torch.as_tensor(np.stack([problems[number][column] for number in numbers], axis=1)) for column in range(3)
        )
        generator = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            heads = _Heads(features, len(numbers), classes)
            logits = train_epochs(heads, train, label, asked + offset, generator, batch_size=256, loss=_sum_of_means)
        answers |= {number: logits[..., place] for place, number in enumerate(numbers)}
    return [answers[number] for number in range(len(problems))]


def _alike(problems: Sequence[Problem], size: int) -> Iterator[list[int]]:
    """Numbers of problems with as many windows as each other, so many at a time as may be trained together."""
    together = max(1, _WEIGHTS // (size * _HIDDEN[0]))
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, problem in enumerate(problems):
        groups[len(problem.train), len(problem.asked)].append(number)
    for group in groups.values():
        yield from (group[start : start + together] for start in range(0, len(group), together))


def _sum_of_means(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Cross-entropies of all heads: each has the gradient that it has alone."""
    return nn.functional.cross_entropy(logits, targets) * targets.shape[1]


class _Heads(nn.Module):
    """Heads side by side that are equal before they are trained.

    Args:
        features: `(windows, size)`, which are named by their numbers. count: Of the heads. classes: Of the answers.
    """

    def __init__(self, features: torch.Tensor, count: int, classes: int):
        super().__init__()
        self.features = features
        sizes = (features.shape[1], *_HIDDEN, classes)
        layers = [nn.Linear(size, following) for size, following in zip(sizes[:-1], sizes[1:], strict=True)]
        self.weights = nn.ParameterList(layer.weight.detach().T.repeat(count, 1, 1) for layer in layers)
        self.biases = nn.ParameterList(layer.bias.detach().repeat(count, 1, 1) for layer in layers)

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        """`(n, heads)` numbers of windows -> `(n, classes, heads)` logits."""
        values = self.features[numbers.T]
        for depth, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            values = torch.baddbmm(bias, values, weight)
            if depth < len(_HIDDEN):
                values = nn.functional.relu(values) * self._kept(values)
        return values.permute(1, 2, 0)

    def _kept(self, values: torch.Tensor) -> torch.Tensor:
        """What dropout leaves of a layer, `(n, units)`, the same for all heads."""
        return nn.functional.dropout(values.new_ones(values.shape[1:]), _DROPOUT, self.training)
