"""From an encoder and a protocol to answers: features computed once, heads trained in every split."""

from collections.abc import Callable

import numpy as np

from mdjpt_hf.evaluation.encoders import Encoder, Fit
from mdjpt_hf.evaluation.protocols import Labelling, Pool, Protocol, Split
from mdjpt_hf.evaluation.readout.answers import Answers, answer
from mdjpt_hf.evaluation.readout.heads import mlp
from mdjpt_hf.evaluation.readout.neighbours import Neighbours
from mdjpt_hf.evaluation.readout.preparing import prepare
from mdjpt_hf.evaluation.readout.ridge import ridge, ridge_values


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
    return lambda labelling: answer(fits, pool, protocol, splits, labelling, seed)


def _fits(
    features: Features, encoder: Encoder, protocol: Protocol, splits: list[Split], changed: np.ndarray | None
) -> Callable[[int], Fit]:
    """The classifier of every split; features are prepared once for each set of training subjects."""
    pool = features.pool
    if encoder.fit is not None:
        from_scratch = encoder.fit(pool)
        return lambda number: from_scratch
    known = features.of(encoder, protocol.encoder_groups)
    prepared: dict[tuple[str, ...], tuple[np.ndarray, np.ndarray]] = {}
    classes = len(pool.classes)

    def fit_of(number: int) -> Fit:
        people = splits[number].train if protocol.normalisation == "online" else ()
        if people not in prepared:
            prepared.clear()  # one set of features at a time: they may be large
            reference = np.isin(pool.subject, people)
            values = prepare(known, pool, protocol, reference)
            prepared[people] = values, values if changed is None else prepare(changed, pool, protocol, reference)
        values, others = prepared[people]
        tested = np.isin(pool.subject, splits[number].test)[:, None]

        def fit(train: np.ndarray, label: np.ndarray, asked: np.ndarray, seed: int) -> np.ndarray:
            wanted = np.where(tested[asked], others[asked], values[asked])
            if pool.rated:
                return ridge_values(values[train], label[:, None], wanted)
            if protocol.head == "mlp":
                return mlp(values[train], label, wanted, classes, seed)
            return ridge(values[train], label, wanted, classes)

        return fit

    return fit_of
