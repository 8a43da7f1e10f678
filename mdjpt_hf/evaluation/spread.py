"""An evaluation by the workers of a cluster: features by recording, answers by split and by labellings.

Workers open models and data themselves, once each, and find features in a folder beside the output. What is computed
together in one process is computed together here, so that the numbers are the same.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from mdjpt_hf.data.cluster import Cluster
from mdjpt_hf.data.corpora import TrialSet, open_corpora
from mdjpt_hf.data.elsewhere import Seen, check_corpora, check_places, everywhere, not_here, shared_source
from mdjpt_hf.evaluation.encoders import Encoder, EncoderSource, is_checkpoint, open_encoders
from mdjpt_hf.evaluation.protocols import Labelling, Pool, Protocol, Split, pool_for
from mdjpt_hf.evaluation.readout import Answers, Features, Part, answer_some, answered_together, joined
from mdjpt_hf.evaluation.scores import labellings

#: Labellings that neighbours, found anew by every worker, vote for at a time.
_VOTED_TOGETHER = 50


@dataclass(frozen=True)
class Place:
    """What every worker opens.

    Attributes:
        models: Of the table, in its order. reference, seed, trust_remote_code, device: See [`EncoderSource`].
        sources: Corpora by names that mean the same everywhere. fingerprints: Corpus -> of its rows.
        montage, label, seconds: How windows are cut. folder: Where features lie, which all see.
    """

    models: tuple[Seen, ...]
    reference: Seen
    seed: int
    trust_remote_code: bool
    device: str
    sources: tuple[str, ...]
    fingerprints: tuple[tuple[str, str], ...]
    montage: str
    label: str
    seconds: float
    folder: str


def place_of(
    models: Sequence[str],
    source: EncoderSource,
    sources: Sequence[str],
    trial_sets: Sequence[TrialSet],
    label: str,
    seconds: float,
    folder: Path,
) -> Place:
    """What workers open in place of what this process has opened."""
    return Place(
        tuple(Seen.of(name) if is_checkpoint(name) else Seen(name) for name in models),
        Seen.of(source.reference) if source.reference else Seen(""),
        source.seed,
        source.trust_remote_code,
        source.device,
        tuple(map(shared_source, sources)),
        tuple((trials.name, trials.fingerprint) for trials in trial_sets),
        trial_sets[0].montage,
        label,
        seconds,
        str(folder.absolute()),
    )


@contextmanager
def folder_beside(out: Path) -> Iterator[Path]:
    """A folder for what workers read, gone afterwards."""
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", suffix=".shared", dir=out.parent) as folder:
        yield Path(folder)


class SpreadFeatures(Features):
    """Features that workers compute, and answers that they find.

    Args:
        pool: The windows. corpus, protocol: What [`pool_for`] makes this pool of. cluster, place: Where, and of what.
    """

    def __init__(self, pool: Pool, corpus: str, protocol: Protocol, cluster: Cluster, place: Place):
        super().__init__(pool)
        self.cluster, self.place, self._made_of = cluster, place, (corpus, protocol)
        self._files: dict[tuple[str, str], str] = {}

    def encode(self, pool: Pool, encoder: Encoder, groups: str) -> np.ndarray:
        """By recording, where its features depend on nothing else; else in this process."""
        if not encoder.recordings_alone or groups == "blocks-of-32":
            return super().encode(pool, encoder, groups)
        corpora = tuple(np.unique(pool.corpus).tolist())
        recordings = np.unique(pool.recording).tolist()
        task = (self.place, *self._made_of, encoder.name, groups, corpora, pool.silenced)
        found: np.ndarray | None = None
        calls = [(*task, number) for number in recordings]
        for place, values in everywhere(self.cluster, encode_recording, calls, lambda place: f"recording {place}"):
            found = np.empty((len(pool), values.shape[1]), dtype=values.dtype) if found is None else found
            found[pool.recording == recordings[place]] = values
        assert found is not None  # a pool has windows
        return found

    def answers(
        self, encoder: Encoder, protocol: Protocol, splits: list[Split], seed: int, dealt: Sequence[Labelling]
    ) -> list[Answers]:
        """By split, and by as many labellings as one process answers for at once."""
        task = Task(
            self.place, *self._made_of, protocol, encoder.name, self._file(encoder, protocol), tuple(splits), seed
        )
        numbers = [0] if protocol.name == "zero-shot" else range(len(splits))
        calls = [
            (task, len(dealt) - 1, number, *part)
            for part in _parts(len(dealt), self.pool, encoder, protocol)
            for number in numbers
        ]
        told = [f"split {call[2]} of {encoder.name}" for call in calls]
        results: list[Any] = [None] * len(calls)
        for place, found in everywhere(self.cluster, answer_unit, calls, told.__getitem__):
            results[place] = found
        parts: list[list[Part]] = [[] for _ in dealt]
        for call, found in zip(calls, results, strict=True):
            for place, part in found:
                parts[call[3] + place].append(part)
        return [joined(own, len(splits)) for own in parts]

    def _file(self, encoder: Encoder, protocol: Protocol) -> str:
        """Where workers find the features of an encoder; nothing where it has none."""
        if encoder.features is None:
            return ""
        key = (encoder.name, protocol.encoder_groups)
        if key not in self._files:
            values = self.of(encoder, protocol.encoder_groups)
            with tempfile.NamedTemporaryFile(suffix=".npy", dir=self.place.folder, delete=False) as file:
                np.save(file, values)
            self._files[key] = file.name
        return self._files[key]


def _parts(count: int, pool: Pool, encoder: Encoder, protocol: Protocol) -> Iterator[tuple[int, int, bool]]:
    """First and last of the labellings that are answered for together, and whether confidences of the first count."""
    together = answered_together(pool)
    size = together
    if protocol.name == "zero-shot":
        size = _VOTED_TOGETHER
    elif encoder.fit is not None:  # networks are trained for one labelling after the other
        size = 1
    for start in range(0, count, size):
        yield start, min(start + size, count), start % together == 0


# --- where workers run ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """Whose answers are wanted: the windows of `corpus` as `pooled` has them, by `protocol`."""

    place: Place
    corpus: str
    pooled: Protocol
    protocol: Protocol
    encoder: str
    features: str
    splits: tuple[Split, ...]
    seed: int


def encode_recording(
    place: Place,
    corpus: str,
    protocol: Protocol,
    encoder: str,
    groups: str,
    corpora: tuple[str, ...],
    silenced: str,
    recording: int,
) -> np.ndarray:
    """Features of the windows of one recording, `(windows, size)`."""
    pool = _pool(place, corpus, protocol)
    if len(corpora) < len(np.unique(pool.corpus)):
        (own,) = corpora
        pool = pool.only(own)
    features = _encoder(place, encoder).features
    assert features is not None
    return features(replace(pool.of_recording(recording), silenced=silenced), groups)


def answer_unit(
    task: Task, permutations: int, number: int, start: int, stop: int, calibrated: bool
) -> list[tuple[int, Part]]:
    """Answers of one split for some of the labellings, by their place among these."""
    dealt = _dealt(task.place, task.corpus, task.pooled, permutations, task.seed)[start:stop]
    ask = _asker(task)
    with threadpool_limits(1, user_api="blas"):
        return ask(number, dealt, calibrated)


@lru_cache(maxsize=1)
def _opened(place: Place) -> tuple[list[TrialSet], dict[str, Encoder]]:
    for seen in (*place.models, place.reference):
        seen.check()
    check_places(place.sources)
    trial_sets = open_corpora(place.sources, place.montage)
    check_corpora(trial_sets, dict(place.fingerprints))
    source = EncoderSource(place.reference.name, place.seed, place.trust_remote_code, place.device)
    encoders = open_encoders([seen.name for seen in place.models], source)
    for seen in (*place.models, place.reference):
        seen.check_opened()
    return trial_sets, {encoder.name: encoder for encoder in encoders}


def _encoder(place: Place, name: str) -> Encoder:
    return _opened(place)[1][name]


@lru_cache(maxsize=1)
def _pool(place: Place, corpus: str, protocol: Protocol) -> Pool:
    return pool_for(_opened(place)[0], corpus, protocol, place.label, place.seconds)[0]


@lru_cache(maxsize=1)
def _dealt(place: Place, corpus: str, protocol: Protocol, permutations: int, seed: int) -> list[Labelling]:
    return labellings(_pool(place, corpus, protocol), permutations, seed)


@lru_cache(maxsize=1)
def _asker(task: Task) -> Callable[[int, Sequence[Labelling], bool], list[tuple[int, Part]]]:
    features = Features(_pool(task.place, task.corpus, task.pooled))
    encoder = _encoder(task.place, task.encoder)
    if task.features:
        if not Path(task.features).exists():
            raise not_here(task.features)
        features.keep(encoder, task.protocol.encoder_groups, np.load(task.features, allow_pickle=False))
    return answer_some(features, encoder, task.protocol, list(task.splits), task.seed)
