"""Features by the workers of a cluster: a person, or a recording, each; the numbers of one process."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from mdjpt_hf.data.cluster import Cluster
from mdjpt_hf.data.corpora import TrialSet, open_corpora
from mdjpt_hf.data.elsewhere import Seen, check_corpora, check_places, everywhere, not_here, shared_source
from mdjpt_hf.data.labelled import LabelledWindows, all_windows
from mdjpt_hf.data.sources import as_sources
from mdjpt_hf.errors import ConfigurationError
from mdjpt_hf.inference.features import features_of, open_encoder, open_extractor, recording_features


@dataclass(frozen=True)
class Work:
    """What every worker opens, and how it encodes.

    Attributes:
        model: The encoder. device, trust_remote_code: See [`mdjpt_hf.embed`].
        sources: Corpora by names that mean the same everywhere; empty where recordings are encoded.
        fingerprints: Corpus -> of its rows.
        stride, unit, batch_size: See [`mdjpt_hf.embed`].
    """

    model: Seen
    device: str | None
    trust_remote_code: bool
    stride: float | None
    unit: str | None
    batch_size: int
    sources: tuple[str, ...] = ()
    fingerprints: tuple[tuple[str, str], ...] = ()


def check_sendable(model: Any) -> str:
    """The name of a model, which workers can open.

    Raises:
        ConfigurationError: If it is a model in memory.
    """
    if isinstance(model, str | Path):
        return str(model)
    raise ConfigurationError(
        "a model in memory cannot be sent to workers", value=type(model).__name__, remedy="Save it, and give the folder"
    )


def corpora_features(
    cluster: Cluster, work: Work, sources: Any, windows: Sequence[LabelledWindows]
) -> list[np.ndarray]:
    """Features of all windows of corpora, `(windows, size)` each.

    Args:
        sources: As they were given. windows: Of every corpus in them.

    Raises:
        ConfigurationError: If workers see other files, or none.
        MDJPTError: What encoding raises.
    """
    named = tuple(shared_source(source) for source in as_sources(sources))
    prints = tuple((one.trials.name, one.trials.fingerprint) for one in windows)
    work = replace(work, sources=named, fingerprints=prints)
    units = [(number, who) for number, one in enumerate(windows) for who in np.unique(one.trials.subject).tolist()]
    calls = [(work, windows[number].trials.name, who) for number, who in units]
    found: list[np.ndarray | None] = [None] * len(windows)
    for place, values in everywhere(cluster, encode_person, calls, lambda place: f"subject {units[place][1]}"):
        number, who = units[place]
        if found[number] is None:
            found[number] = np.empty((len(windows[number]), values.shape[1]), dtype=np.float32)
        found[number][windows[number].subject == who] = values  # type: ignore[index]
    return [values for values in found if values is not None]


def encode_person(work: Work, corpus: str, subject: str) -> np.ndarray:
    """Features of the windows of one person, `(windows, size)`, where a worker runs."""
    encoder, sets = _opened(work)
    trials = sets[corpus]
    own = all_windows(trials.select(trials.subject == subject), encoder.config.window_seconds, work.stride)
    return features_of(encoder, own, work.batch_size)


def recordings_features(cluster: Cluster, work: Work, files: Sequence[Any]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Features `(windows, size)` and onsets in s of the windows of recordings.

    Raises:
        ConfigurationError: If they are no files, or workers do not see them.
        MDJPTError: What reading and encoding raise.
    """
    if others := [file for file in files if not isinstance(file, Path)]:
        raise ConfigurationError(
            "recordings in memory cannot be sent to workers",
            value=type(others[0]).__name__,
            remedy="Save them, and give the files",
        )
    found: list[Any] = [None] * len(files)
    calls = [(work, file.absolute()) for file in files]
    for place, one in everywhere(cluster, encode_recording, calls, lambda place: files[place].name):
        found[place] = one
    return found


def encode_recording(work: Work, file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Features and onsets of one recording, where a worker runs."""
    if not file.exists():
        raise not_here(file)
    encoder, _ = _opened(work)
    extractor = open_extractor(encoder, work.model.name, work.trust_remote_code)
    return recording_features(encoder, extractor, file, work.stride, work.unit, work.batch_size)


@lru_cache(maxsize=1)
def _opened(work: Work) -> tuple[Any, dict[str, TrialSet]]:
    """Opened once by a worker, however many people it encodes."""
    work.model.check()
    check_places(work.sources)
    sets = {trials.name: trials for trials in (open_corpora(work.sources) if work.sources else ())}
    check_corpora(sets.values(), dict(work.fingerprints))
    encoder = open_encoder(work.model.name, work.device, work.trust_remote_code)
    work.model.check_opened()
    return encoder, sets
