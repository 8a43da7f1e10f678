"""Who chooses, and what is answered.

A head gives one answer per candidate (a strength, an epoch, a number of neighbours); which one counts is for the
protocol to say: validation subjects, the training subjects themselves, or, as published, those tested.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from mdjpt_hf.errors import SplitError
from mdjpt_hf.evaluation.protocols import Labelling, Pool, Protocol, Split
from mdjpt_hf.evaluation.readout.calibration import fit_temperature, scale
from mdjpt_hf.evaluation.readout.problems import Head, Problem

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
    head_of: Callable[[int], Head],
    pool: Pool,
    protocol: Protocol,
    splits: list[Split],
    labellings: Sequence[Labelling],
    seed: int,
    kept: np.ndarray,
) -> list[Answers]:
    """Train, choose and answer in every split, for every labelling; `head_of(number)` is the head of a split.

    Confidences are those of the first labelling alone: of the others only which class is likeliest is known, which no
    temperature changes.

    Args:
        kept: `(windows,)` whether a window is trained on and asked for at all.

    Raises:
        SplitError: If no split has windows on both sides under a labelling.
    """
    found: list[list[Part]] = [[] for _ in labellings]
    for number, split in enumerate(splits):
        for place, part in answer_split(head_of, pool, protocol, split, number, labellings, seed, kept):
            found[place].append(part)
    return [joined(parts, len(splits)) for parts in found]


#: Of one split under one labelling: windows, the number of the split for each, shares, candidate, temperature.
Part = tuple[np.ndarray, np.ndarray, np.ndarray, int, float]


def answer_split(
    head_of: Callable[[int], Head],
    pool: Pool,
    protocol: Protocol,
    split: Split,
    number: int,
    labellings: Sequence[Labelling],
    seed: int,
    kept: np.ndarray,
    calibrated: bool = True,
) -> list[tuple[int, Part]]:
    """What [`answer`] does in one split: for every labelling, by its place among them, that has windows on both sides.

    Args:
        number: Of the split. calibrated: Whether the confidences of the first labelling count.
    """
    everyone = [_task(split, pool, labelling, kept) for labelling in labellings]
    usable = [place for place, task in enumerate(everyone) if len(task.train) and len(task.test)]
    if not usable:
        return []
    tasks = [everyone[place] for place in usable]
    chosen = _choose(head_of(number), pool, protocol, tasks, seed + number)
    found = []
    for place, task, (logits, candidate) in zip(usable, tasks, chosen, strict=True):
        temperature = _temperature(pool, protocol, task, logits) if calibrated and place == 0 else 1.0
        answers = logits[len(task.validation) :]
        shares = answers if pool.rated else scale(answers, temperature)
        found.append((place, (task.test, np.full(len(task.test), number), shares, candidate, temperature)))
    return found


def joined(parts: Sequence[Part], splits: int) -> Answers:
    """The answers of all splits under one labelling.

    Raises:
        SplitError: If there are none.
    """
    if not parts:
        raise SplitError(
            "no split has windows to train and to test on once labels are dealt anew",
            value=splits,
            remedy="Give a corpus whose subjects saw more of the same stimuli, or --set stimulus_disjoint=false",
        )
    windows, numbers, probabilities, candidates, temperatures = zip(*parts, strict=True)
    return Answers(
        np.concatenate(windows), np.concatenate(numbers), np.concatenate(probabilities), candidates, temperatures
    )


class _Task(NamedTuple):
    """The three sides of a split under a labelling, numbers of windows; `label` `(windows,)` are those of all."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    label: np.ndarray

    def on(self, train: np.ndarray, asked: np.ndarray) -> Problem:
        return Problem(train, self.label[train], asked)


def _task(split: Split, pool: Pool, labelling: Labelling, kept: np.ndarray) -> _Task:
    train, validation, test = (part[kept[part]] for part in split.parts(pool.subject, labelling.stimulus))
    return _Task(train, validation, test, labelling.label)


def _temperature(pool: Pool, protocol: Protocol, task: _Task, logits: np.ndarray) -> float:
    """Of the logits of validation windows, which stand first."""
    if pool.rated:
        return 1.0
    if len(task.validation):
        return fit_temperature(logits[: len(task.validation)], task.label[task.validation])
    return DEFAULT_TEMPERATURE if protocol.head == "ridge" and not protocol.votes else 1.0


def _choose(head: Head, pool: Pool, protocol: Protocol, tasks: list[_Task], seed: int) -> list[tuple[np.ndarray, int]]:
    """For validation and test windows of every task the answers that count, and the number of the candidate.

    It is the middle one where nobody is left to choose.
    """
    answers = head([task.on(task.train, np.concatenate([task.validation, task.test])) for task in tasks], seed)
    quality = _closeness if pool.rated else share_correct
    folded = [place for place, task in enumerate(tasks) if _chosen_by_folds(pool, protocol, task)]
    by_folds = dict(zip(folded, _by_folds(head, pool, [tasks[place] for place in folded], quality, seed), strict=True))
    found = []
    for place, (task, logits) in enumerate(zip(tasks, answers, strict=True)):
        if protocol.selection == "test":
            candidate = int(quality(logits[:, len(task.validation) :], task.label[task.test]).argmax())
        elif protocol.selection == "validation" and len(task.validation):
            candidate = int(quality(logits[:, : len(task.validation)], task.label[task.validation]).argmax())
        else:
            candidate = by_folds.get(place, len(logits) // 2)
        found.append((logits[candidate], candidate))
    return found


def _chosen_by_folds(pool: Pool, protocol: Protocol, task: _Task) -> bool:
    return protocol.selection == "source" and len(np.unique(pool.subject[task.train])) > 1


def _by_folds(head: Head, pool: Pool, tasks: list[_Task], quality: Callable, seed: int) -> list[int]:
    """The candidate that is best on each half of the training subjects when the other half trains."""
    firsts = [np.isin(pool.subject[task.train], np.unique(pool.subject[task.train])[::2]) for task in tasks]
    totals: list[Any] = [0] * len(tasks)
    for halves in (firsts, [~first for first in firsts]):
        problems = [task.on(task.train[half], task.train[~half]) for task, half in zip(tasks, halves, strict=True)]
        for place, found in enumerate(head(problems, seed) if problems else []):
            asked = problems[place].asked
            totals[place] = totals[place] + quality(found, tasks[place].label[asked]) * len(asked)
    return [int(total.argmax()) for total in totals]


def share_correct(logits: np.ndarray, label: np.ndarray) -> np.ndarray:
    """`(candidates, windows, classes)` -> `(candidates,)`."""
    return (logits.argmax(axis=-1) == label).mean(axis=-1)


def _closeness(ratings: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Minus the mean squared error, `(candidates, windows, 1)` -> `(candidates,)`."""
    return -np.square(ratings[..., 0] - label).mean(axis=-1)
