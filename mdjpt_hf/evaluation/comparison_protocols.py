"""Two ways to read emotions out of frozen features (arXiv 2510.22197), each with every choice visible.

Zero-shot: the cosine nearest neighbours inside the corpus, from which the window's own trial, or everything of its
stimulus, is left out. Few-shot: a linear classifier on a quarter of the subjects, tested on the others.

Both return, for several labellings of the same windows at once, which windows were classified correctly. The first
labelling is the true one; the others are permutations over stimuli, which give the protocol's own null.
"""

from dataclasses import dataclass

import numpy as np

from mdjpt_hf.data.labelled import LabelledWindows
from mdjpt_hf.errors import SchemaError
from mdjpt_hf.evaluation.readout import nearest_neighbours, ridge_values

TRAINING_SHARE = 0.25


def permuted_labels(windows: LabelledWindows, count: int, seed: int) -> np.ndarray:
    """`(1 + count, windows)` labels: the true ones, then classes dealt anew to the stimuli.

    Raises:
        SchemaError: If windows of one stimulus have different classes.
    """
    rng = np.random.default_rng(seed)
    stimuli, first, inverse = np.unique(windows.stimulus, return_index=True, return_inverse=True)
    classes = windows.label[first]
    if (classes[inverse] != windows.label).any():
        mixed = sorted(set(windows.stimulus[classes[inverse] != windows.label].tolist()))
        raise SchemaError(
            f"stimuli {mixed[:3]} have several classes; permutations over stimuli need one class each",
            value=mixed,
            remedy="Use labels that belong to the stimulus, not the subject's own report",
        )
    dealt = [classes] + [rng.permutation(classes) for _ in range(count)]
    return np.stack(dealt)[:, inverse]


def zero_shot(
    features: np.ndarray, windows: LabelledWindows, labels: np.ndarray, neighbours: int, exclude: str
) -> np.ndarray:
    """Vote of the nearest neighbours by cosine; equal votes go to the more similar class.

    Args:
        features (`np.ndarray` of shape `(windows, size)`).
        labels (`np.ndarray` of shape `(labellings, windows)`): From [`permuted_labels`].
        neighbours (`int`): How many vote.
        exclude (`str`): `"trial"` or `"stimulus"`: windows that share it with the query do not vote; every window of
            the query's own trial shares both.

    Returns:
        `np.ndarray` of shape `(labellings, windows)`: 1 where correct.
    """
    unit = features / (np.linalg.norm(features, axis=1, keepdims=True) + 1e-12)
    owner = windows.trial if exclude == "trial" else windows.stimulus
    nearest, weight = nearest_neighbours(unit, owner, neighbours)
    classes = np.arange(labels.max() + 1)
    correct = []
    for labelling in labels:
        votes = (labelling[nearest][..., None] == classes) * weight[..., None]
        correct.append(votes.sum(axis=1).argmax(axis=1) == labelling)
    return np.stack(correct).astype(float)


@dataclass(frozen=True)
class FewShotSplit:
    """Windows to train and to test on, `(n,)` indices each; their subjects are disjoint."""

    train: np.ndarray
    test: np.ndarray


def few_shot_splits(
    windows: LabelledWindows, label: np.ndarray, count: int, seed: int, new_stimuli: bool
) -> list[FewShotSplit]:
    """Random splits by subject, a quarter for training; with `new_stimuli` the stimuli are disjoint as well.

    New stimuli: of every class of `label` `(windows,)`, half of its stimuli (rounded up) are trained on and the others
    tested on. A permuted labelling has splits of its own: balanced by the true classes, its training and test classes
    would be unlike each other, and its scores below chance.
    """
    subjects = np.unique(windows.subject)
    splits = []
    for split in range(count):
        rng = np.random.default_rng([seed, split])
        chosen = rng.permutation(subjects)[: max(2, round(TRAINING_SHARE * len(subjects)))]
        trains = np.isin(windows.subject, chosen)
        shown = _half_of_stimuli(windows, label, rng) if new_stimuli else None
        train = trains if shown is None else trains & shown
        test = ~trains if shown is None else ~trains & ~shown
        splits.append(FewShotSplit(np.flatnonzero(train), np.flatnonzero(test)))
    return splits


def _half_of_stimuli(windows: LabelledWindows, label: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    shown: list[str] = []
    for value in np.unique(label):
        stimuli = rng.permutation(np.unique(windows.stimulus[label == value]))
        shown.extend(stimuli[: (len(stimuli) + 1) // 2])
    return np.isin(windows.stimulus, shown)


def few_shot(
    features: np.ndarray, windows: LabelledWindows, labels: np.ndarray, splits: list[list[FewShotSplit]]
) -> np.ndarray:
    """Ridge regression of the classes, as `mdjpt evaluate` has it; its strength is chosen on the training subjects in
    two folds.

    Args:
        features (`np.ndarray` of shape `(windows, size)`).
        labels (`np.ndarray` of shape `(labellings, windows)`): From [`permuted_labels`].
        splits: The splits of every labelling, from [`few_shot_splits`]; one list, where several have the same.

    Returns:
        `np.ndarray` of shape `(labellings, windows)`: how often a window was classified correctly, averaged over the
        splits that tested it; NaN where none did.
    """
    correct, tested = np.zeros(labels.shape), np.zeros(labels.shape)
    for own, rows in _by_splits(splits):
        for split in own:
            known = labels[np.ix_(rows, split.train)]
            answers = _answers(features[split.train], known, windows.subject[split.train], features[split.test])
            cells = np.ix_(rows, split.test)
            correct[cells] += answers == labels[cells]
            tested[cells] += 1
    return np.divide(correct, tested, out=np.full(labels.shape, np.nan), where=tested > 0)


def _by_splits(splits: list[list[FewShotSplit]]) -> list[tuple[list[FewShotSplit], np.ndarray]]:
    """Splits with the labellings that have them in common: these are answered together."""
    groups: dict[int, tuple[list[FewShotSplit], list[int]]] = {}
    for number, own in enumerate(splits):
        groups.setdefault(id(own), (own, []))[1].append(number)
    return [(own, np.array(rows)) for own, rows in groups.values()]


def _answers(features: np.ndarray, labels: np.ndarray, subject: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Classes of the windows asked for, `(labellings, asked)`, from `labels` `(labellings, windows)`."""
    fold, hits = np.isin(subject, np.unique(subject)[::2]), 0.0
    for part in (fold, ~fold):
        hits = hits + (_guesses(features[part], labels[:, part], features[~part]) == labels[:, ~part]).mean(axis=-1)
    guesses = _guesses(features, labels, asked)
    return guesses[np.argmax(hits, axis=0), np.arange(len(labels))]


def _guesses(features: np.ndarray, labels: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """`(strengths, labellings, asked)`."""
    count, classes = len(labels), int(labels.max()) + 1
    targets = np.eye(classes)[labels.T].reshape(len(features), count * classes)
    values = ridge_values(features, targets, asked)
    return values.reshape(*values.shape[:2], count, classes).argmax(axis=-1).swapaxes(1, 2)
