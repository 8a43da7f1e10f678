"""From features to classes: normalisation and smoothing, heads with their candidates, neighbours, and who chooses.

A head gives one answer per candidate (a strength, an epoch, a number of neighbours); which one counts is for the
protocol to say: validation subjects, the training subjects themselves, or, as published, those tested.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from mdjpt_hf.errors import SplitError
from mdjpt_hf.evaluation.calibration import fit_temperature, scale
from mdjpt_hf.evaluation.choices import Protocol
from mdjpt_hf.evaluation.nulls import Labelling
from mdjpt_hf.evaluation.pool import Pool
from mdjpt_hf.evaluation.protocols import nearest_neighbours
from mdjpt_hf.evaluation.splits import Split
from mdjpt_hf.modeling.smoothing_mdjpt import lds_smooth, online_normalise

#: Candidates of the network, and of neighbours.
EPOCHS = 8
NEIGHBOURS = (1, 5, 10, 20)

#: Of ridge regression's scores where no validation subject could fit one.
DEFAULT_TEMPERATURE = 0.2

#: (features or windows to train on, their classes, those to answer for, seed) -> (candidates, windows, classes)
Fit = Callable[[np.ndarray, np.ndarray, np.ndarray, int], np.ndarray]


def prepare(features: np.ndarray, pool: Pool, protocol: Protocol, reference: np.ndarray) -> np.ndarray:
    """Normalise features over recordings and smooth them over trials as the protocol says.

    Args:
        features (`np.ndarray` of shape `(windows, size)`).
        reference (`np.ndarray` of shape `(windows,)`): Which windows online normalisation may start from. Those of
            the subject who is normalised count only where there are no others.
    """
    values = np.empty(features.shape, dtype=np.float64)
    for recording in np.unique(pool.recording):
        own = _in_order(pool, pool.recording == recording)
        values[own] = _normalise(features, own, pool, protocol, reference)
    if protocol.smoothing != "none":
        for trial in np.unique(pool.trial):
            own = _in_order(pool, pool.trial == trial)
            values[own] = lds_smooth(values[own], causal=protocol.smoothing == "causal")
    return values


def _in_order(pool: Pool, chosen: np.ndarray) -> np.ndarray:
    own = np.flatnonzero(chosen)
    return own[np.argsort(pool.order[own], kind="stable")]


def _normalise(features: np.ndarray, own: np.ndarray, pool: Pool, protocol: Protocol, reference: np.ndarray):
    values = features[own].astype(np.float64)
    if protocol.normalisation == "none":
        return values
    if protocol.normalisation == "recording":
        return (values - values.mean(axis=0)) / (values.std(axis=0) + 1e-9)
    if protocol.normalisation == "all-subjects":
        known = features
    else:
        others = reference & (pool.subject != pool.subject[own[0]])
        known = features[others if others.any() else reference]
    return online_normalise(values, known.mean(axis=0), known.var(axis=0))


# --- heads ---------------------------------------------------------------------------------------------------------


def mlp(train: np.ndarray, label: np.ndarray, others: np.ndarray, classes: int, seed: int) -> np.ndarray:
    """The published head after each epoch, `(epochs, windows, classes)` logits.

    Batches have 256 windows, or fewer where an epoch would have less than eight steps.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sizes = [train.shape[1], 128, 64]
        hidden = [
            layer
            for size, following in zip(sizes[:-1], sizes[1:], strict=True)
            for layer in (nn.Linear(size, following), nn.ReLU(), nn.Dropout(0.1))
        ]
        network = nn.Sequential(*hidden, nn.Linear(sizes[-1], classes))
        inputs, targets, asked = (torch.as_tensor(values) for values in (train, label, others))
        return train_epochs(network, inputs.float(), targets, asked.float(), generator, batch_size=256)


def train_epochs(
    network: nn.Module,
    inputs: torch.Tensor,
    targets: torch.Tensor,
    asked: torch.Tensor,
    generator: torch.Generator,
    batch_size: int,
    learning_rate: float = 5e-4,
    answers_after: Sequence[int] = range(1, EPOCHS + 1),
) -> np.ndarray:
    """Train a classifier with Adam to the last epoch of `answers_after`; its logits for `asked` after each of them."""
    optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate, weight_decay=2.2e-3, fused=True)
    batch_size = max(8, min(batch_size, len(inputs) // 8))
    answers = []
    for epoch in range(1, max(answers_after) + 1):
        network.train()
        for batch in torch.randperm(len(inputs), generator=generator).split(batch_size):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(inputs[batch]), targets[batch]).backward()
            optimizer.step()
        if epoch not in answers_after:
            continue
        network.eval()
        with torch.no_grad():
            answers.append(torch.cat([network(part) for part in asked.split(512)]).numpy())
    return np.stack(answers)


# --- choosing ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answers:
    """Probabilities `(n, classes)`, or ratings `(n, 1)`, for `window` `(n,)`.

    A window is there once for every split that tested it. `split` `(n,)` numbers the splits; `candidate` and
    `temperature` say what was chosen in each.
    """

    window: np.ndarray
    split: np.ndarray
    probabilities: np.ndarray
    candidate: tuple[int, ...]
    temperature: tuple[float, ...]


def answer(
    fit_of: Callable[[int], Fit], pool: Pool, protocol: Protocol, splits: list[Split], labelling: Labelling, seed: int
) -> Answers:
    """Train, choose and answer in every split; `fit_of(number)` is the head of a split.

    Raises:
        SplitError: If no split has windows on both sides under this labelling.
    """
    found = []
    for number, split in enumerate(splits):
        parts = split.parts(pool.subject, labelling.stimulus)
        if len(parts[0]) and len(parts[2]):
            answers = _answer_split(fit_of(number), pool, protocol, parts, labelling.label, seed + number)
            found.append((parts[2], np.full(len(parts[2]), number), *answers))
    if not found:
        raise SplitError(
            "no split has windows to train and to test on once labels are dealt anew",
            value=len(splits),
            remedy="Give a corpus whose subjects saw more of the same stimuli, or --set stimulus_disjoint=false",
        )
    windows, numbers, probabilities, candidates, temperatures = zip(*found, strict=True)
    return Answers(
        np.concatenate(windows), np.concatenate(numbers), np.concatenate(probabilities), candidates, temperatures
    )


def _answer_split(fit: Fit, pool: Pool, protocol: Protocol, parts, label: np.ndarray, seed: int):
    train, validation, test = parts
    asked = np.concatenate([validation, test])
    logits = fit(train, label[train], asked, seed)
    candidate = _choose(fit, pool, protocol, parts, logits, label, seed)
    chosen = logits[candidate]
    if pool.rated:
        return chosen[len(validation) :], candidate, 1.0
    temperature = DEFAULT_TEMPERATURE if protocol.head == "ridge" else 1.0
    if len(validation):
        temperature = fit_temperature(chosen[: len(validation)], label[validation])
    return scale(chosen[len(validation) :], temperature), candidate, temperature


def _choose(fit: Fit, pool: Pool, protocol: Protocol, parts, logits: np.ndarray, label: np.ndarray, seed: int) -> int:
    """The number of the candidate that counts; the middle one where nobody is left to choose."""
    train, validation, test = parts
    quality = _closeness if pool.rated else _share_correct
    if protocol.selection == "test":
        return int(quality(logits[:, len(validation) :], label[test]).argmax())
    if protocol.selection == "validation" and len(validation):
        return int(quality(logits[:, : len(validation)], label[validation]).argmax())
    people = np.unique(pool.subject[train])
    if protocol.selection == "validation" or len(people) < 2:
        return len(logits) // 2
    first = np.isin(pool.subject[train], people[::2])
    total = np.zeros(len(logits))
    for fold in (first, ~first):
        found = fit(train[fold], label[train[fold]], train[~fold], seed)
        total += quality(found, label[train[~fold]]) * (~fold).sum()
    return int(total.argmax())


def _share_correct(logits: np.ndarray, label: np.ndarray) -> np.ndarray:
    """`(candidates, windows, classes)` -> `(candidates,)`."""
    return (logits.argmax(axis=-1) == label).mean(axis=-1)


def _closeness(ratings: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Minus the mean squared error, `(candidates, windows, 1)` -> `(candidates,)`."""
    return -np.square(ratings[..., 0] - label).mean(axis=-1)


# --- neighbours ----------------------------------------------------------------------------------------------------


class Neighbours:
    """The cosine nearest neighbours of every window, found once for all labellings.

    Args:
        features: `(windows, size)`. pool: The windows. protocol: Says who is no neighbour, and how many vote.
    """

    def __init__(self, features: np.ndarray, pool: Pool, protocol: Protocol):
        owners = {"trial": pool.trial, "stimulus": pool.stimulus, "nothing": np.arange(len(pool))}
        unit = features / (np.linalg.norm(features, axis=1, keepdims=True) + 1e-12)
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
        votes = np.eye(self.classes)[labelling.label[self.nearest]] * self.weight[..., None]
        totals = [votes[:, :count].sum(axis=1) for count in self.counts]
        chosen = int(_share_correct(np.stack(totals), labelling.label).argmax())
        everything = np.arange(len(labelling.label))
        shares = totals[chosen] / np.maximum(totals[chosen].sum(axis=1, keepdims=True), 1e-12)
        return Answers(everything, np.zeros_like(everything), shares, (chosen,), (1.0,))
