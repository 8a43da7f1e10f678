"""Directions in which viewers of the same moment agree, and who counts as a viewer."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.data.tokens import TokenIndex
from mdjpt_hf.errors import CorpusError
from mdjpt_hf.training.clustering.codebook import ClusteringSettings, fit_codebook, rows_of
from mdjpt_hf.training.clustering.correlated import RIDGE
from mdjpt_hf.training.clustering.shared import Viewing, shared_directions, viewings

SIZE, TOKENS, VIEWERS = 12, 400, 5


@pytest.fixture
def watched():
    """Five people see one clip, which moves two weak features; two strong ones are everybody's own."""
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(TOKENS, 2))
    features = rng.normal(size=(VIEWERS, TOKENS, SIZE)) * np.array([20, 10, *[1] * (SIZE - 2)])
    features[..., 4:6] = 0.5 * features[..., 4:6] + shared
    return features.reshape(-1, SIZE).astype(np.float32), Viewing(np.arange(VIEWERS) * TOKENS, TOKENS)


def test_the_first_directions_are_what_viewers_share_however_weak(watched):
    features, viewing = watched
    mean, covariance = features.mean(axis=0), np.cov(features.T, bias=True)
    found = shared_directions(features, mean, covariance, [viewing], 4)
    outside = np.delete(found[:2], [4, 5], axis=1) * np.delete(features.std(axis=0), [4, 5])
    projected = (features - mean) @ found.T
    assert np.abs(outside).max() < 0.1 * projected[:, :2].std()
    # Their variance is the correlation between viewers, 1 / (1 + 0.25).
    np.testing.assert_allclose(projected[:, :2].var(axis=0), 0.8, atol=0.05)
    assert (projected[:, 2:].var(axis=0) < 0.1).all()


def test_they_are_those_of_averages_over_pairs(watched):
    """Slowly: the covariance between every two viewers, averaged."""
    features, viewing = watched
    mean, covariance = features.mean(axis=0), np.cov(features.T, bias=True)
    parts = [features[start : start + TOKENS].astype(np.float64) - mean for start in viewing.starts]
    pairs = [a.T @ b / TOKENS for a in parts for b in parts if a is not b]
    between, ridge = np.mean(pairs, axis=0), RIDGE * np.diag(covariance.diagonal())
    found = shared_directions(features, mean, covariance, [viewing], 3)
    for direction in found:
        correlation = direction @ between @ direction / (direction @ (covariance + ridge) @ direction)
        np.testing.assert_allclose(direction @ (covariance + ridge) @ direction, correlation, rtol=1e-4)
        np.testing.assert_allclose(
            between @ direction, correlation * (covariance + ridge) @ direction, rtol=1e-2, atol=1e-2
        )


def test_a_codebook_takes_them(watched):
    features, viewing = watched
    settings = ClusteringSettings(((3,),), components=2, batches=5, batch_size=128, sample=200)
    own, shared = (
        fit_codebook(features, rows_of([slice(0, len(features))]), replace(settings, directions=name), 0, [viewing])
        for name in ("variance", "shared")
    )
    assert set(np.abs(own.components).argmax(axis=1)) == {0, 1}
    assert set(np.abs(shared.components).argmax(axis=1)) == {4, 5}


def test_features_that_never_change_are_no_directions(watched):
    """Such as maps behind a rectifier that are zero all the time."""
    features, viewing = watched
    features[:, [0, 7]] = 0
    mean, covariance = features.mean(axis=0), np.cov(features.T, bias=True)
    found = shared_directions(features, mean, covariance, [viewing], SIZE)
    assert np.isfinite(found).all() and set(np.abs(found[:2]).argmax(axis=1)) == {4, 5}
    assert np.abs(found[:2, [0, 7]]).max() < 1e-9


def test_one_viewer_is_held_at_a_time(watched):
    features, viewing = watched
    mean, covariance = features.mean(axis=0), np.cov(features.T, bias=True)
    many = Viewing(np.tile(viewing.starts, 40), TOKENS)
    tracemalloc.start()
    shared_directions(features, mean, covariance, [many], 2)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * TOKENS * SIZE * 8


def test_what_nobody_shares_is_refused(watched):
    features, viewing = watched
    mean, covariance = features.mean(axis=0), np.cov(features.T, bias=True)
    with pytest.raises(CorpusError, match="no two people saw the same clip.*masked.directions"):
        shared_directions(features, mean, covariance, [], 4)
    opposite = np.concatenate([features[:TOKENS], -features[:TOKENS]])
    with pytest.raises(CorpusError, match="agree in nothing"):
        shared_directions(opposite, np.zeros(SIZE), covariance, [Viewing(np.array([0, TOKENS]), TOKENS)], 4)


def test_viewers_are_people_of_aligned_corpora_who_are_not_held_out(prepared):
    shown = {("p1", 1): ["a", "b"], ("p1", 2): ["a"], ("p2", 1): ["b", "a"], ("p3", 1): ["c"], ("p4", 1): ["a"]}
    folder = prepared("one", shown=shown, seconds=4.3)
    index = TokenIndex(open_corpora([folder]), 25, 250)
    (trials,) = index.trial_sets
    found = {}
    for viewing in viewings(index):
        firsts = index.first_token[0].tolist()
        rows = [firsts.index(start) for start in viewing.starts]
        found[trials.stimulus[rows[0]]] = [str(trials.subject[row]) for row in rows]
        assert {trials.stimulus[row] for row in rows} == {trials.stimulus[rows[0]]} and viewing.tokens == 21
    assert found == {"a": ["p1", "p2", "p4"], "b": ["p1", "p2"]}  # p1 saw a twice and counts once
    assert [len(viewing.starts) for viewing in viewings(index, frozenset({("one", "p2"), ("one", "p4")}))] == []
    trials.facts["unaligned"] = "clips start when people press a key"
    assert list(viewings(index)) == []
