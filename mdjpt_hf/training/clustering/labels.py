"""One round of pseudo-labels: features of every token, a codebook fitted to them, and the label of each token.

Memory does not grow with the corpus: recordings are read one by one, features lie on disk while they are clustered,
labels (two bytes per token and granularity) are a mapped file. The file is a cache: codebook and features give the
same labels again, and their hash says so.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from mdjpt_hf.data.tokens import Recording, TokenIndex
from mdjpt_hf.training.clustering.codebook import ClusteringSettings, Codebook, fit_codebook, rows_of
from mdjpt_hf.training.clustering.features import TrialFeatures, recording_features
from mdjpt_hf.training.clustering.shared import viewings

_BLOCK = 8192


def cluster_tokens(
    index: TokenIndex,
    features: TrialFeatures,
    path: Path,
    settings: ClusteringSettings,
    seed: int,
    held_out: frozenset[tuple[str, str]] = frozenset(),
) -> Codebook:
    """Fit a codebook and write the label of every token.

    Args:
        index (`TokenIndex`): The tokens.
        features (`TrialFeatures`): What is clustered.
        path (`Path`): Where the labels `(tokens, granularities)` int16 are written, as `.npy`.
        settings (`ClusteringSettings`): How.
        seed (`int`): Follows through to every draw.
        held_out (`frozenset` of (dataset, subject)): They get labels; nothing is fitted to them.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _scratch(path.parent, index.num_tokens, recording_features(index, features)) as values:
        rows = rows_of([part.tokens for part in index.recordings if (part.name, part.subject) not in held_out])
        seen = list(viewings(index, held_out)) if settings.directions == "shared" else []
        codebook = fit_codebook(values, rows, settings, seed, seen)
        _write(path, index, codebook, ((part, values[part.tokens]) for part in index.recordings))
    return codebook


def label_tokens(index: TokenIndex, features: TrialFeatures, path: Path, codebook: Codebook) -> None:
    """Write the labels that a codebook gives: what [`cluster_tokens`] wrote, made again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, index, codebook, recording_features(index, features))


def open_labels(path: Path) -> np.ndarray:
    """Labels `(tokens, granularities)`, mapped from disk."""
    return np.load(path, mmap_mode="r")


def labels_hash(labels: np.ndarray) -> str:
    """SHA-256 of all assignments, `(tokens, granularities)`, their shape included."""
    digest = hashlib.sha256(str(labels.shape).encode())
    for start in range(0, len(labels), _BLOCK):
        digest.update(np.asarray(labels[start : start + _BLOCK]).tobytes())
    return digest.hexdigest()


def _write(path: Path, index: TokenIndex, codebook: Codebook, parts: Iterator[tuple[Recording, np.ndarray]]) -> None:
    """Written aside and renamed: a reader sees all labels or none."""
    partial, shape = path.with_suffix(".partial"), (index.num_tokens, len(codebook.counts))
    labels = np.lib.format.open_memmap(partial, "w+", dtype=np.int16, shape=shape)
    for recording, values in parts:
        labels[recording.tokens] = codebook.assign(values)
    labels.flush()
    os.replace(partial, path)


@contextmanager
def _scratch(folder: Path, tokens: int, parts: Iterator[tuple[Recording, np.ndarray]]) -> Iterator[np.ndarray]:
    """Features of all tokens, mapped from a file that goes away."""
    recording, values = next(parts)
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".features-") as file:
        mapped = np.memmap(file, dtype=np.float32, mode="w+", shape=(tokens, values.shape[1]))
        mapped[recording.tokens] = values
        for recording, values in parts:
            mapped[recording.tokens] = values
        yield mapped
