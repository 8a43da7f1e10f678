"""From an encoder and a protocol to answers: features computed once, heads trained in every split."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from mdjpt_hf.evaluation.encoders import Encoder
from mdjpt_hf.evaluation.protocols import Labelling, Pool, Protocol, Split, kept_windows
from mdjpt_hf.evaluation.readout.answers import Answers, Part, answer, answer_split
from mdjpt_hf.evaluation.readout.heads import mlps
from mdjpt_hf.evaluation.readout.neighbours import Neighbours, vote
from mdjpt_hf.evaluation.readout.preparing import prepare
from mdjpt_hf.evaluation.readout.problems import Head, Problem
from mdjpt_hf.evaluation.readout.ridge import ridges


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
            self._known[key] = self.encode(self.pool, encoder, groups)
        return self._known[key]

    def keep(self, encoder: Encoder, groups: str, values: np.ndarray) -> None:
        """Features `(windows, size)` that were computed elsewhere."""
        self._known[encoder.name, groups] = values

    def encode(self, pool: Pool, encoder: Encoder, groups: str) -> np.ndarray:
        """Features of windows, which may be some of the pool's, or its windows changed; `(windows, size)`."""
        assert encoder.features is not None
        return encoder.features(pool, groups)

    def answers(
        self, encoder: Encoder, protocol: Protocol, splits: list[Split], seed: int, dealt: Sequence[Labelling]
    ) -> list[Answers]:
        """Answers for many labellings, confidences of the first."""
        ask = asker(self, encoder, protocol, splits, seed)
        with threadpool_limits(1, user_api="blas"):  # thousands of small matrices: threads would wait for each other
            return ask.all(dealt)


#: Answers of one candidate that are held at once, of all labellings that are answered for together.
_TOGETHER = 2**22


def answered_together(pool: Pool) -> int:
    """How many labellings are answered for at once, so that memory is bounded."""
    return max(1, _TOGETHER // (len(pool) * len(pool.classes)))


@dataclass(frozen=True)
class Asker:
    """Answers for a labelling of the windows, or with `all` for many, which takes less time than one after the other.

    Confidences are those of the first of many: of the others only which class is likeliest counts.
    """

    all: Callable[[Sequence[Labelling]], list[Answers]]

    def __call__(self, labelling: Labelling) -> Answers:
        """Answers for one, with its confidences."""
        return self.all([labelling])[0]


def asker(
    features: Features,
    encoder: Encoder,
    protocol: Protocol,
    splits: list[Split],
    seed: int,
    changed: np.ndarray | None = None,
) -> Asker:
    """What answers for labellings of the windows.

    Args:
        changed: `(windows, size)` features that take the place of the encoder's where windows are tested; heads are
            trained on, and chosen by, the encoder's own. In zero-shot all windows are tested.
    """
    pool = features.pool
    if protocol.name == "zero-shot":
        known = features.of(encoder, protocol.encoder_groups) if changed is None else changed
        neighbours = Neighbours(prepare(known, pool, protocol, np.ones(len(pool), dtype=bool)), pool, protocol)
        return Asker(lambda labellings: [neighbours.answer(labelling) for labelling in labellings])
    heads = _heads(features, encoder, protocol, splits, changed)
    kept = kept_windows(pool, protocol, seed)
    together = answered_together(pool)

    def all_of(labellings: Sequence[Labelling]) -> list[Answers]:
        parts = (labellings[start : start + together] for start in range(0, len(labellings), together))
        return [found for part in parts for found in answer(heads, pool, protocol, splits, part, seed, kept)]

    return Asker(all_of)


def answer_some(
    features: Features,
    encoder: Encoder,
    protocol: Protocol,
    splits: list[Split],
    seed: int,
) -> Callable[[int, Sequence[Labelling], bool], list[tuple[int, Part]]]:
    """What answers for labellings in one split: (number of the split, labellings, whether confidences of the first
    count) -> see [`answer_split`]. In zero-shot, which has no splits to train in, the number does not matter."""
    pool = features.pool
    if protocol.name == "zero-shot":
        ask = asker(features, encoder, protocol, splits, seed)

        def voted(number: int, labellings: Sequence[Labelling], calibrated: bool) -> list[tuple[int, Part]]:
            found = ask.all(labellings)
            return [
                (place, (one.window, one.split, one.probabilities, one.candidate[0], one.temperature[0]))
                for place, one in enumerate(found)
            ]

        return voted
    heads, kept = _heads(features, encoder, protocol, splits, None), kept_windows(pool, protocol, seed)
    return lambda number, labellings, calibrated: answer_split(
        heads, pool, protocol, splits[number], number, labellings, seed, kept, calibrated
    )


def _heads(
    features: Features, encoder: Encoder, protocol: Protocol, splits: list[Split], changed: np.ndarray | None
) -> Callable[[int], Head]:
    """The head of every split; features are prepared once for each set of training subjects."""
    pool = features.pool
    if encoder.fit is not None:
        from_scratch = encoder.fit(pool)
        return lambda number: lambda problems, seed: [from_scratch(*problem, seed) for problem in problems]
    known = features.of(encoder, protocol.encoder_groups)
    prepared: dict[tuple[str, ...], tuple[np.ndarray, np.ndarray]] = {}

    def head_of(number: int) -> Head:
        people = splits[number].train if protocol.normalisation == "online" else ()
        if people not in prepared:
            prepared.clear()  # one set of features at a time: they may be large
            reference = np.isin(pool.subject, people)
            values = prepare(known, pool, protocol, reference)
            prepared[people] = values, values if changed is None else prepare(changed, pool, protocol, reference)
        values, others = prepared[people]
        tested = np.isin(pool.subject, splits[number].test)[:, None]
        return _head(values, values if others is values else np.where(tested, others, values), pool, protocol)

    return head_of


def _head(values: np.ndarray, given: np.ndarray, pool: Pool, protocol: Protocol) -> Head:
    """The head of a protocol, trained on prepared features `(windows, size)` and answering for those `given`."""
    classes = len(pool.classes)

    def vote_all(problems: Sequence[Problem], seed: int) -> list[np.ndarray]:
        return [
            vote(values[train], label, given[asked], classes, protocol.neighbours) for train, label, asked in problems
        ]

    if protocol.votes:
        return vote_all
    if protocol.head == "mlp" and not pool.rated:
        return lambda problems, seed: mlps(values, given, problems, classes, seed)
    return lambda problems, seed: ridges(values, given, problems, 0 if pool.rated else classes)
