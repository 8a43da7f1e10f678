"""Reading out: nothing leaks, nulls are nulls, and votes are what they should be."""

import numpy as np
import pytest

from mdjpt_hf.evaluation.encoders import Encoder
from mdjpt_hf.evaluation.protocols import Pool, draw_splits, honest, kept_windows, preset_named
from mdjpt_hf.evaluation.readout import Features, Neighbours, asker, prepare
from mdjpt_hf.evaluation.readout.neighbours import vote
from mdjpt_hf.evaluation.readout.ridge import STRENGTHS, Ridge
from mdjpt_hf.evaluation.scores import evaluate_pool, labellings, null_interval, subject_bootstrap
from mdjpt_hf.evaluation.scores.scoring import Effort


@pytest.fixture
def pool(make_pool) -> Pool:
    """8 subjects x 6 stimuli (3 classes) x 5 windows."""
    return make_pool(lambda subject, stimulus: 5)


def noise(pool, size=12, seed=0):
    return np.random.default_rng(seed).normal(size=(len(pool), size))


def given(features) -> Encoder:
    """An encoder that has these features."""
    return Encoder("given", {"weights": "none", "pretrained_on": []}, lambda pool, groups: features)


def votes(features, pool, labelling, **choices):
    """Whether each window was recognised, `(windows,)`."""
    answers = Neighbours(features, pool, honest("zero-shot", **choices)).answer(labelling)
    return answers.probabilities.argmax(axis=1) == labelling.label


@pytest.mark.parametrize("exclude", ["trial", "stimulus"])
@pytest.mark.parametrize("neighbours", [1, 7])
def test_zero_shot_equals_a_slow_vote(pool, exclude, neighbours):
    features = noise(pool) + pool.label[:, None]
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    owner = getattr(pool, exclude)
    for labelling in labellings(pool, 2, seed=1):
        fast = votes(features, pool, labelling, exclude=exclude, neighbours=neighbours)
        for query in range(0, len(pool), 17):
            others = np.flatnonzero(owner != owner[query])
            nearest = others[np.argsort(-(unit[others] @ unit[query]))[:neighbours]]
            counts = np.bincount(labelling.label[nearest], minlength=3)
            similar = [(unit[nearest] @ unit[query])[labelling.label[nearest] == c].sum() for c in range(3)]
            winner = max(range(3), key=lambda c: (counts[c], similar[c]))
            assert fast[query] == (winner == labelling.label[query])


def test_votes_of_other_subjects_are_the_same_slow_vote(pool):
    features = noise(pool) + pool.label[:, None]
    known, asked = (np.flatnonzero(np.isin(pool.subject, names)) for names in (["one/s0", "one/s1"], ["one/s5"]))
    fast = np.exp(vote(features[known], pool.label[known], features[asked], 3, 5)[0])
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    for number, query in enumerate(asked):
        similarity = unit[known] @ unit[query]
        nearest = np.argsort(-similarity)[:5]
        weights = np.bincount(pool.label[known][nearest], 1 + 1e-3 * similarity[nearest], minlength=3)
        np.testing.assert_allclose(fast[number], weights / weights.sum(), atol=1e-8)
    assert vote(features[:2], pool.label[:2], features[asked], 3, 50).shape == (1, len(asked), 3)  # fewer than wanted


def test_identity_of_the_trial_or_stimulus_cannot_help_where_it_is_excluded(pool):
    """Features that only name the trial (or the stimulus) are worthless once it is left out."""
    (truth,) = labellings(pool, 0, seed=0)
    trial = np.eye(pool.trial.max() + 1)[pool.trial] + 0.01 * noise(pool, pool.trial.max() + 1)
    assert votes(trial, pool, truth, neighbours=1, exclude="trial").mean() < 0.6
    stimulus = np.eye(6)[pool.trial % 6] + 0.01 * noise(pool, 6)
    assert votes(stimulus, pool, truth, neighbours=1, exclude="trial").mean() == 1.0
    assert votes(stimulus, pool, truth, neighbours=1, exclude="stimulus").mean() < 0.6


def test_permutations_keep_the_classes_and_whole_stimuli(pool):
    truth, *dealt = labellings(pool, 50, seed=3)
    np.testing.assert_array_equal(truth.label, pool.label)
    for labelling in dealt:
        assert np.bincount(labelling.label).tolist() == np.bincount(pool.label).tolist()
        assert all(len(set(labelling.label[pool.stimulus == k])) == 1 for k in set(pool.stimulus))
    assert len({tuple(labelling.label) for labelling in dealt}) > 20


def test_few_shot_of_the_quick_table_learns_a_signal_and_stays_in_its_null_on_noise(pool):
    shared, fresh = preset_named("quick").rows("few-shot")
    for protocol in (shared, fresh):
        splits = draw_splits(pool, protocol, "one", {}, seed=0).splits
        assert all(len(split.train) == 2 and not split.validation and len(split.test) == 6 for split in splits)
        signal, blind = (
            evaluate_pool(Features(pool), [given(features)], protocol, splits, Effort(permutations=40))["given"]
            for features in (noise(pool) + 3 * np.eye(12)[pool.label], noise(pool))
        )
        assert signal["score"]["mean"] > 0.9
        assert blind["null"]["low"] <= blind["score"]["mean"] <= blind["null"]["high"]
        assert blind["null"]["mean"] == pytest.approx(1 / 3, abs=0.03)  # balanced by the true classes it would be 0.2


def test_windows_no_split_tested_do_not_count(pool):
    protocol = honest("few-shot")
    splits = list(draw_splits(pool, protocol, "one", {}, seed=0).splits)[:1]
    (truth,) = labellings(pool, 0, seed=0)
    answers = asker(Features(pool), given(noise(pool)), protocol, splits, 0)(truth)
    assert set(pool.subject[answers.window]) == set(splits[0].test)
    assert set(pool.stimulus[answers.window]) == set(splits[0].test_stimuli)


def test_a_ridge_solved_once_answers_every_labelling_as_one_solved_anew():
    rng = np.random.default_rng(0)
    for size in (4, 60):  # more windows than features, and fewer
        train, others = rng.normal(size=(30, size)), rng.normal(size=(7, size))
        solved = Ridge(train)
        for _ in range(3):
            targets = rng.normal(size=(30, 2))
            mean, spread = train.mean(axis=0), train.std(axis=0) + 1e-9
            inputs = (train - mean) / spread
            found = solved.values(targets, others)
            for strength, values in zip(STRENGTHS, found, strict=True):
                gram = inputs.T @ inputs + strength * len(inputs) * np.eye(size)
                weights = np.linalg.solve(gram, inputs.T @ (targets - targets.mean(axis=0)))
                np.testing.assert_allclose(values, (others - mean) / spread @ weights + targets.mean(axis=0), atol=1e-8)


def test_so_many_windows_of_a_subject_and_class_are_kept_and_no_more(pool):
    protocol = honest("held-out", windows_per_class=3)
    kept = kept_windows(pool, protocol, seed=0)
    cells = [(pool.subject == name) & (pool.label == value) for name in set(pool.subject) for value in range(3)]
    assert [int(kept[cell].sum()) for cell in cells] == [3] * 24  # of ten
    assert kept_windows(pool, honest("held-out", windows_per_class=99), seed=0).all()
    splits = list(draw_splits(pool, protocol, "one", {}, seed=0).splits)
    (truth,) = labellings(pool, 0, seed=0)
    answers = asker(Features(pool), given(noise(pool)), protocol, splits, 0)(truth)
    assert kept[answers.window].all() and len(answers.window) < len(splits) * len(pool) // 8


def test_normalising_uses_each_recording_alone(pool):
    features = noise(pool) + 5 * pool.recording[:, None]
    found = prepare(features, pool, honest("few-shot"), np.ones(len(pool), dtype=bool))
    for recording in set(pool.recording):
        own = found[pool.recording == recording]
        np.testing.assert_allclose(own.mean(axis=0), 0, atol=1e-9)
        np.testing.assert_allclose(own.std(axis=0), 1, atol=1e-6)


def test_the_bootstrap_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = [
        (lambda interval: interval.low <= 0.5 <= interval.high)(subject_bootstrap(rng.normal(0.5, 0.1, 30), draws=1000))
        for _ in range(300)
    ]
    assert 0.88 < np.mean(covered) < 0.98
    assert null_interval(np.array([0.1, 0.2, 0.3])).mean == pytest.approx(0.2)
