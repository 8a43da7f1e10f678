"""From an encoder and a protocol to answers: features computed once, heads trained in every split."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from mdjpt_hf.evaluation.encoders import Encoder, Fit
from mdjpt_hf.evaluation.protocols import Labelling, Pool, Protocol, Split, kept_windows
from mdjpt_hf.evaluation.readout.answers import Answers, answer
from mdjpt_hf.evaluation.readout.heads import mlp
from mdjpt_hf.evaluation.readout.neighbours import Neighbours, vote
from mdjpt_hf.evaluation.readout.preparing import prepare
from mdjpt_hf.evaluation.readout.ridge import Ridge


class Features:
    """Features of one pool, computed once for each encoder and way to group its windows."""

    def __init__(self, pool: Pool):
        self.pool = pool
        self._known: dict[tuple[str, str], np.ndarray] = {}

    def of(self, encoder: Encoder, groups: str) -> np.ndarray:
        """`(windows, size)`."""
        assert encoder.features is not None  # networks trained from scratch are asked for no features
        key = (encoder.name, groups)
        if key not in self._known:
            self._known[key] = encoder.features(self.pool, groups)
        return self._known[key]


def asker(
    features: Features,
    encoder: Encoder,
    protocol: Protocol,
    splits: list[Split],
    seed: int,
    changed: np.ndarray | None = None,
) -> Callable[[Labelling], Answers]:
    """What answers for a labelling of the windows.

    Args:
        changed: `(windows, size)` features that take the place of the encoder's where windows are tested; heads are
            trained on, and chosen by, the encoder's own. In zero-shot all windows are tested.
    """
    pool = features.pool
    if protocol.name == "zero-shot":
        known = features.of(encoder, protocol.encoder_groups) if changed is None else changed
        neighbours = Neighbours(prepare(known, pool, protocol, np.ones(len(pool), dtype=bool)), pool, protocol)
        return neighbours.answer
    fits = _fits(features, encoder, protocol, splits, changed)
    kept = kept_windows(pool, protocol, seed)
    return lambda labelling: answer(fits, pool, protocol, splits, labelling, seed, kept)


#: (numbers of the windows to train on, their labels, features asked for, seed) -> (candidates, windows, classes)
_Head = Callable[[np.ndarray, np.ndarray, np.ndarray, int], np.ndarray]

#: Trainings of a ridge regression that are remembered while labels are dealt anew: of four draws, and their two folds.
_REMEMBERED = 16


def _fits(
    features: Features, encoder: Encoder, protocol: Protocol, splits: list[Split], changed: np.ndarray | None
) -> Callable[[int], Fit]:
    """The classifier of every split; features are prepared once for each set of training subjects."""
    pool = features.pool
    if encoder.fit is not None:
        from_scratch = encoder.fit(pool)
        return lambda number: from_scratch
    known = features.of(encoder, protocol.encoder_groups)
    prepared: dict[tuple[str, ...], tuple[np.ndarray, np.ndarray, _Head]] = {}

    def fit_of(number: int) -> Fit:
        people = splits[number].train if protocol.normalisation == "online" else ()
        if people not in prepared:
            prepared.clear()  # one set of features at a time: they may be large
            reference = np.isin(pool.subject, people)
            values = prepare(known, pool, protocol, reference)
            others = values if changed is None else prepare(changed, pool, protocol, reference)
            prepared[people] = values, others, _head(values, pool, protocol)
        values, others, head = prepared[people]
        tested = np.isin(pool.subject, splits[number].test)[:, None]

        def fit(train: np.ndarray, label: np.ndarray, asked: np.ndarray, seed: int) -> np.ndarray:
            wanted = values[asked] if others is values else np.where(tested[asked], others[asked], values[asked])
            return head(train, label, wanted, seed)

        return fit

    return fit_of


def _head(values: np.ndarray, pool: Pool, protocol: Protocol) -> _Head:
    """The head of a protocol on prepared features `(windows, size)`."""
    classes = len(pool.classes)

    @lru_cache(maxsize=_REMEMBERED)
    def ridge_on(train: bytes) -> Ridge:
        return Ridge(values[np.frombuffer(train, dtype=np.intp)])

    def head(train: np.ndarray, label: np.ndarray, wanted: np.ndarray, seed: int) -> np.ndarray:
        if protocol.votes:
            return vote(values[train], label, wanted, classes, protocol.neighbours)
        if protocol.head == "mlp" and not pool.rated:
            return mlp(values[train], label, wanted, classes, seed)
        targets = label[:, None] if pool.rated else np.eye(classes)[label]
        return ridge_on(train.astype(np.intp).tobytes()).values(targets, wanted)

    return head
