"""Who chooses, and what is answered.

A head gives one answer per candidate (a strength, an epoch, a number of neighbours); which one counts is for the
protocol to say: validation subjects, the training subjects themselves, or, as published, those tested.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mdjpt_hf.errors import SplitError
from mdjpt_hf.evaluation.encoders import Fit
from mdjpt_hf.evaluation.protocols import Labelling, Pool, Protocol, Split
from mdjpt_hf.evaluation.readout.calibration import fit_temperature, scale

#: Of ridge regression's scores where no validation subject could fit one.
DEFAULT_TEMPERATURE = 0.2


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
    fit_of: Callable[[int], Fit],
    pool: Pool,
    protocol: Protocol,
    splits: list[Split],
    labelling: Labelling,
    seed: int,
    kept: np.ndarray,
) -> Answers:
    """Train, choose and answer in every split; `fit_of(number)` is the head of a split.

    Args:
        kept: `(windows,)` whether a window is trained on and asked for at all.

    Raises:
        SplitError: If no split has windows on both sides under this labelling.
    """
    found = []
    for number, split in enumerate(splits):
        parts = tuple(part[kept[part]] for part in split.parts(pool.subject, labelling.stimulus))
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
    temperature = DEFAULT_TEMPERATURE if protocol.head == "ridge" and not protocol.votes else 1.0
    if len(validation):
        temperature = fit_temperature(chosen[: len(validation)], label[validation])
    return scale(chosen[len(validation) :], temperature), candidate, temperature


def _choose(fit: Fit, pool: Pool, protocol: Protocol, parts, logits: np.ndarray, label: np.ndarray, seed: int) -> int:
    """The number of the candidate that counts; the middle one where nobody is left to choose."""
    train, validation, test = parts
    quality = _closeness if pool.rated else share_correct
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


def share_correct(logits: np.ndarray, label: np.ndarray) -> np.ndarray:
    """`(candidates, windows, classes)` -> `(candidates,)`."""
    return (logits.argmax(axis=-1) == label).mean(axis=-1)


def _closeness(ratings: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Minus the mean squared error, `(candidates, windows, 1)` -> `(candidates,)`."""
    return -np.square(ratings[..., 0] - label).mean(axis=-1)
