"""Classes by the vote of the cosine nearest neighbours."""

import numpy as np

from mdjpt_hf.evaluation.protocols import Labelling, Pool, Protocol
from mdjpt_hf.evaluation.readout.answers import Answers, share_correct

#: Candidates.
NEIGHBOURS = (1, 5, 10, 20)
#: Windows asked for at a time, to bound memory.
_ROWS = 512
#: A share that stands for none, where its logarithm is taken.
_NO_VOTE = 1e-9


class Neighbours:
    """The cosine nearest neighbours of every window, found once for all labellings.

    Args:
        features: `(windows, size)`. pool: The windows. protocol: Says who is no neighbour, and how many vote.
    """

    def __init__(self, features: np.ndarray, pool: Pool, protocol: Protocol):
        owners = {"trial": pool.trial, "stimulus": pool.stimulus, "nothing": np.arange(len(pool))}
        unit = _unit(features)
        chooses = protocol.selection == "test"
        self.counts = sorted({*NEIGHBOURS, protocol.neighbours}) if chooses else [protocol.neighbours]
        self.counts = [min(count, len(pool) - 1) for count in self.counts]
        nearest, weight = nearest_neighbours(unit, owners[protocol.exclude], max(self.counts))
        order = np.argsort(-weight, axis=1, kind="stable")
        self.nearest = np.take_along_axis(nearest, order, axis=1)
        weight = np.take_along_axis(weight, order, axis=1)
        self.weight = np.where(np.isfinite(weight), weight, 0.0)
        self.classes = len(pool.classes)

    def answer(self, labelling: Labelling) -> Answers:
        """Shares of the votes; by the number of neighbours that is right most often, if there is a choice."""
        voted = labelling.label[self.nearest] + self.classes * np.arange(len(self.nearest))[:, None]
        totals = [self._totals(voted[:, :count], self.weight[:, :count]) for count in self.counts]
        chosen = int(share_correct(np.stack(totals), labelling.label).argmax())
        everything = np.arange(len(labelling.label))
        shares = totals[chosen] / np.maximum(totals[chosen].sum(axis=1, keepdims=True), 1e-12)
        return Answers(everything, np.zeros_like(everything), shares, (chosen,), (1.0,))

    def _totals(self, voted: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Votes `(windows, classes)`; `voted` `(windows, neighbours)` numbers class and window in one."""
        size = len(voted) * self.classes
        return np.bincount(voted.ravel(), weight.ravel(), minlength=size).reshape(-1, self.classes)


def nearest_neighbours(
    unit: np.ndarray, owner: np.ndarray, neighbours: int, rows: int = _ROWS
) -> tuple[np.ndarray, np.ndarray]:
    """Indices and vote weights `(windows, neighbours)`, a block of rows at a time to bound memory."""
    nearest, weight = [], []
    for start in range(0, len(unit), rows):
        similarity = unit[start : start + rows] @ unit.T
        similarity[owner[start : start + rows, None] == owner] = -np.inf
        top = np.argpartition(-similarity, neighbours - 1, axis=1)[:, :neighbours]
        nearest.append(top)
        weight.append(_weight(np.take_along_axis(similarity, top, axis=1)))
    return np.concatenate(nearest), np.concatenate(weight)


def vote(known: np.ndarray, label: np.ndarray, asked: np.ndarray, classes: int, neighbours: int) -> np.ndarray:
    """Log shares of the votes of the nearest among `known` `(windows, size)`, `(1, n, classes)` for `asked`."""
    count = min(neighbours, len(known))
    shares = []
    for part in np.array_split(_unit(asked), max(1, len(asked) // _ROWS)):
        similarity = part @ _unit(known).T
        nearest = np.argpartition(-similarity, count - 1, axis=1)[:, :count]
        weight = _weight(np.take_along_axis(similarity, nearest, axis=1))
        votes = (np.eye(classes)[label[nearest]] * weight[..., None]).sum(axis=1)
        shares.append(votes / votes.sum(axis=1, keepdims=True))
    return np.log(np.concatenate(shares) + _NO_VOTE)[None]


def _unit(features: np.ndarray) -> np.ndarray:
    return features / (np.linalg.norm(features, axis=1, keepdims=True) + 1e-12)


def _weight(similarity: np.ndarray) -> np.ndarray:
    """A vote each; equal votes go to the more similar class."""
    return 1 + 1e-3 * similarity
