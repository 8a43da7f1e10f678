"""Adaptive clustering: components, the number of clusters, merging, nearest centroids, reports."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.metrics import normalized_mutual_info_score

from mdjpt_hf.training.clustering.codebook import ClusteringSettings, Codebook, fit_codebook, merge_tiny, rows_of
from mdjpt_hf.training.clustering.diagnostics import normalised_mutual_information

SETTINGS = ClusteringSettings(((2, 5, 9), (3, 6)), components=4, batches=30, batch_size=256, sample=600)


def blobs(centres: int, count: int = 3000, size: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Tight clouds far apart."""
    rng = np.random.default_rng(seed)
    which = rng.integers(0, centres, count)
    places = rng.normal(0, 10, (centres, size))
    return (places[which] + rng.normal(0, 0.3, (count, size))).astype(np.float32), which


def slow_nearest(codebook: Codebook, features: np.ndarray) -> np.ndarray:
    labels = []
    for row in features:
        point = codebook.components @ (row - codebook.mean)
        labels.append([int(np.argmin([((point - c) ** 2).sum() for c in part])) for part in codebook.centroids])
    return np.array(labels)


def test_the_number_of_clusters_is_chosen_by_the_criterion_and_labels_are_the_nearest_centroids():
    features, which = blobs(5)
    codebook = fit_codebook(features, rows_of([slice(0, 3000)]), SETTINGS, seed=3)
    assert codebook.counts[0] == 5 and min(codebook.scores[0], key=codebook.scores[0].get) == 5
    assert set(codebook.scores[0]) == {2, 5, 9} and set(codebook.scores[1]) == {3, 6}
    labels = codebook.assign(features)
    assert labels.dtype == np.int16 and (labels[:200] == slow_nearest(codebook, features[:200])).all()
    assert normalized_mutual_info_score(which, labels[:, 0]) > 0.99


@pytest.mark.parametrize("whitening", [0.0, 0.5, 1.0])
def test_components_are_those_of_scikit_learn_and_only_the_given_rows_are_fitted(whitening):
    rng = np.random.default_rng(1)
    features = (rng.normal(size=(2000, 6)) * [5, 4, 3, 2, 1, 0.5]).astype(np.float32)
    features[500:700] += 1000  # held out: would turn every component if it were seen
    rows = rows_of([slice(0, 500), slice(700, 2000)])
    codebook = fit_codebook(features, rows, replace(SETTINGS, whitening=whitening), seed=0)
    shown = np.concatenate([features[:500], features[700:]])
    wanted = PCA(4).fit(shown)
    weights = np.diag(wanted.explained_variance_ ** (-whitening / 2))
    np.testing.assert_allclose(np.abs(codebook.components @ wanted.components_.T), weights, atol=1e-3)
    if whitening == 1:
        np.testing.assert_allclose(codebook.project(shown).std(axis=0), 1, atol=1e-3)
    largest = np.take_along_axis(codebook.components, np.abs(codebook.components).argmax(1)[:, None], 1)
    assert (largest > 0).all()
    assert max(np.abs(part).max() for part in codebook.centroids) < 50


def test_the_same_seed_gives_the_same_codebook_and_another_does_not():
    features, _ = blobs(4, seed=5)
    rows = rows_of([slice(0, 3000)])
    one, same, other = (fit_codebook(features, rows, SETTINGS, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one.centroids, same.centroids, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(one.centroids, other.centroids, strict=True))
    again = Codebook.from_tensors(one.tensors())
    assert np.array_equal(again.assign(features), one.assign(features))


def test_tiny_clusters_are_merged_and_two_stay():
    points = np.concatenate([np.zeros((50, 2)), np.full((48, 2), 10.0), np.full((2, 2), 11.0)])
    centroids = np.array([[0.0, 0], [10, 10], [11, 11], [99, 99]])
    merged = merge_tiny(centroids, points, min_share=0.25)
    assert merged.tolist() == [[0, 0], [10, 10]]
    assert len(merge_tiny(centroids, points, min_share=0.0)) == 4
    assert len(merge_tiny(centroids[[0, 3]], points[:50], min_share=1.0)) == 2


@pytest.mark.parametrize("seed", [0, 1])
def test_mutual_information_is_that_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    facts = rng.integers(0, 4, 500)
    labels = np.where(rng.random(500) < 0.5, facts, rng.integers(0, 3, 500))
    table = np.zeros((4, 5))
    np.add.at(table, (facts, labels), 1)
    assert normalised_mutual_information(table) == pytest.approx(normalized_mutual_info_score(facts, labels))
    assert normalised_mutual_information(table[:1]) == 0.0
