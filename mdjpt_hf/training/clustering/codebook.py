"""Adaptive clustering: a few directions of features, then k-means at several granularities, each with a chosen number.

How many clusters a granularity has is chosen among candidates by the Davies-Bouldin index on a random sample of tokens
(smaller is better). Clusters with too few tokens are then merged into their neighbours. Only samples of bounded
size are in memory; everything follows from the seed and the tokens' numbers. scikit-learn is loaded when tokens are
clustered, so that runs which cluster nothing start sooner.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from mdjpt_hf.training.clustering.correlated import with_signs
from mdjpt_hf.training.clustering.shared import Viewing, shared_directions

if TYPE_CHECKING:
    from sklearn.cluster import MiniBatchKMeans

CRITERION = "Davies-Bouldin index on a random sample of tokens, smaller is better"
DIRECTIONS = ("variance", "shared")
_BLOCK = 8192


@dataclass(frozen=True)
class ClusteringSettings:
    """How tokens are clustered.

    Attributes:
        candidates: Numbers of clusters to choose from, one list per granularity, coarse to fine.
        directions: Of features, which are clustered: `"variance"`, their principal components, or `"shared"`, which is
            ours: those in which viewers of the same moment agree, each weighing as much as they do.
        components: Directions kept. whitening: Of principal components, from 0 (each keeps its variance) to 1 (all
            weigh the same): what is strong in EEG, such as alpha, is not what tells emotions apart.
        min_share: A cluster with less than this part of an even share is merged into its nearest neighbours.
        batches, batch_size: Length of the fit; `batch_size` tokens are drawn for each batch.
        sample: Tokens that judge the candidates, and tokens that count cluster sizes.
    """

    candidates: tuple[tuple[int, ...], ...] = ((10, 14, 20), (40, 60, 100), (150, 200, 300))
    directions: str = "variance"
    components: int = 32
    whitening: float = 1.0
    min_share: float = 0.25
    batches: int = 200
    batch_size: int = 4096
    sample: int = 10_000


@dataclass(frozen=True)
class Codebook:
    """What turns features into labels.

    Attributes:
        mean: `(size,)`. components: `(components, size)`, orthogonal rows.
        centroids: `(clusters, components)` per granularity.
        scores: Per granularity, the criterion of every candidate number.
    """

    mean: np.ndarray
    components: np.ndarray
    centroids: tuple[np.ndarray, ...]
    scores: tuple[dict[int, float], ...] = ()

    @property
    def counts(self) -> list[int]:
        """Clusters of each granularity."""
        return [len(centroids) for centroids in self.centroids]

    def project(self, features: np.ndarray) -> np.ndarray:
        """`(tokens, size)` -> `(tokens, components)` float32."""
        return ((features - self.mean) @ self.components.T).astype(np.float32)

    def assign(self, features: np.ndarray) -> np.ndarray:
        """Labels `(tokens, granularities)` int16: the nearest centroid of each granularity."""
        projected = self.project(features)
        return np.stack([_nearest(projected, centroids) for centroids in self.centroids], axis=1).astype(np.int16)

    def tensors(self) -> dict[str, torch.Tensor]:
        """For a checkpoint; [`from_tensors`] reads it back."""
        arrays = {"mean": self.mean, "components": self.components}
        arrays |= {f"centroids.{number}": centroids for number, centroids in enumerate(self.centroids)}
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    @classmethod
    def from_tensors(cls, tensors: dict[str, torch.Tensor]) -> "Codebook":
        """A codebook without its scores, from [`tensors`]."""
        count = sum(name.startswith("centroids.") for name in tensors)
        centroids = tuple(tensors[f"centroids.{number}"].numpy() for number in range(count))
        return cls(tensors["mean"].numpy(), tensors["components"].numpy(), centroids)


def fit_codebook(
    features: np.ndarray, rows: np.ndarray, settings: ClusteringSettings, seed: int, viewings: Sequence[Viewing] = ()
) -> Codebook:
    """Directions and clusters of many tokens.

    Args:
        features (`np.ndarray` of shape `(tokens, size)`): May be mapped from disk; it is read in blocks.
        rows (`np.ndarray` of shape `(ranges, 2)`): First and last-plus-one token of each stretch to fit on, ascending.
        settings (`ClusteringSettings`): How.
        seed (`int`): Draws of tokens and starting centroids follow from it.
        viewings (`Sequence` of [`Viewing`]): Of clips, for directions that are shared.
    """
    mean, covariance = _moments(features, rows)
    if settings.directions == "shared":
        components = shared_directions(features, mean, covariance, viewings, settings.components)
    else:
        components = _principal_components(covariance, settings.components, settings.whitening)
    frame = Codebook(mean, components, ())
    rng = np.random.default_rng(seed)
    judges = frame.project(features[_draw(rows, settings.sample, rng)])
    fits = [[_kmeans(count, seed) for count in candidates] for candidates in settings.candidates]
    for _ in range(settings.batches):
        batch = frame.project(features[_draw(rows, settings.batch_size, rng)])
        for kmeans in (kmeans for granularity in fits for kmeans in granularity):
            kmeans.partial_fit(batch)
    scores = tuple({kmeans.n_clusters: _criterion(kmeans, judges) for kmeans in granularity} for granularity in fits)
    best = [_best(granularity, score) for granularity, score in zip(fits, scores, strict=True)]
    counted = frame.project(features[_draw(rows, settings.sample, rng)])
    centroids = tuple(merge_tiny(fit.cluster_centers_, counted, settings.min_share) for fit in best)
    return Codebook(mean, components, centroids, scores)


def _kmeans(count: int, seed: int) -> "MiniBatchKMeans":
    from sklearn.cluster import MiniBatchKMeans

    return MiniBatchKMeans(count, init="k-means++", n_init=1, random_state=seed, reassignment_ratio=0.0)


def _best(fits: "list[MiniBatchKMeans]", scores: dict[int, float]) -> "MiniBatchKMeans":
    return min(fits, key=lambda fit: scores[fit.n_clusters])


def _criterion(kmeans: "MiniBatchKMeans", judges: np.ndarray) -> float:
    from sklearn.metrics import davies_bouldin_score

    labels = _nearest(judges, kmeans.cluster_centers_)
    return float(davies_bouldin_score(judges, labels)) if len(np.unique(labels)) > 1 else float("inf")


def _draw(rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Numbers of `count` tokens out of the ranges, with replacement, ascending so that disk is read in order."""
    sizes = rows[:, 1] - rows[:, 0]
    ends = np.cumsum(sizes)
    drawn = np.sort(rng.integers(0, ends[-1], count))
    stretch = np.searchsorted(ends, drawn, side="right")
    return rows[stretch, 0] + drawn - (ends - sizes)[stretch]


def _moments(features: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean `(size,)` and covariance `(size, size)` of many tokens."""
    size = features.shape[1]
    total, products, tokens = np.zeros(size), np.zeros((size, size)), 0
    for first, last in rows:
        for start in range(first, last, _BLOCK):
            block = np.asarray(features[start : min(start + _BLOCK, last)], dtype=np.float64)
            total += block.sum(axis=0)
            products += block.T @ block
            tokens += len(block)
    mean = total / tokens
    return mean, products / tokens - np.outer(mean, mean)


def _principal_components(covariance: np.ndarray, count: int, whitening: float) -> np.ndarray:
    """Leading directions `(count, size)`, over their deviation ** whitening, signs by convention."""
    variances, vectors = np.linalg.eigh(covariance)
    variance, leading = variances[::-1][:count, None], vectors.T[::-1][:count]
    # A direction without variance (channels interpolated from others have some) must not be blown up.
    deviation = np.sqrt(np.maximum(variance, 1e-3 * variance[0]))
    return with_signs(leading) / deviation**whitening


def merge_tiny(centroids: np.ndarray, points: np.ndarray, min_share: float) -> np.ndarray:
    """Take the smallest cluster away until every one holds `min_share` of an even share; at least two stay.

    Args:
        centroids (`np.ndarray` of shape `(clusters, size)`): The points of a cluster that goes fall to the nearest of
            those that stay.
        points (`np.ndarray` of shape `(points, size)`): What is counted.
        min_share (`float`): Part of `points / clusters`, with the clusters there were at first.
    """
    needed = min_share * len(points) / len(centroids)
    while len(centroids) > 2:
        sizes = np.bincount(_nearest(points, centroids), minlength=len(centroids))
        if sizes.min() >= needed:
            break
        centroids = np.delete(centroids, sizes.argmin(), axis=0)
    return centroids


def _nearest(points: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """Index of the nearest centroid of every point, the first of equals."""
    distances = (centroids**2).sum(axis=1) - 2 * (points @ centroids.T.astype(points.dtype))
    return distances.argmin(axis=1)


def rows_of(recordings: Sequence[slice]) -> np.ndarray:
    """Ranges of tokens as [`fit_codebook`] takes them: `(recordings, 2)`, first token and the one after the last."""
    return np.array([[tokens.start, tokens.stop] for tokens in recordings], dtype=np.int64)
