"""Protocols: nothing leaks, nulls are nulls, and votes are what they should be."""

from dataclasses import replace

import numpy as np
import pytest

from mdjpt_hf.data.labelled import LabelledWindows
from mdjpt_hf.data.spectra import differential_entropy
from mdjpt_hf.errors import SchemaError
from mdjpt_hf.evaluation.comparison_protocols import few_shot, few_shot_splits, permuted_labels, zero_shot
from mdjpt_hf.evaluation.features import standardise_per_subject
from mdjpt_hf.evaluation.scores.statistics import null_interval, subject_bootstrap, subject_scores


@pytest.fixture
def windows() -> LabelledWindows:
    """8 subjects x 6 stimuli (3 classes) x 5 windows."""
    grid = np.array([(s, k, w) for s in range(8) for k in range(6) for w in range(5)])
    return LabelledWindows(
        trials=None,
        index=None,
        subject=np.array([f"s{s}" for s in grid[:, 0]]),
        stimulus=np.array([f"k{k}" for k in grid[:, 1]]),
        trial=grid[:, 0] * 6 + grid[:, 1],
        recording=grid[:, 0],
        label=grid[:, 1] % 3,
    )


def noise(windows, size=12, seed=0):
    return np.random.default_rng(seed).normal(size=(len(windows), size))


@pytest.mark.parametrize("exclude", ["trial", "stimulus"])
@pytest.mark.parametrize("neighbours", [1, 7])
def test_zero_shot_equals_a_slow_vote(windows, exclude, neighbours):
    features = noise(windows) + windows.label[:, None]
    labels = permuted_labels(windows, 2, seed=1)
    fast = zero_shot(features, windows, labels, neighbours, exclude)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    owner = getattr(windows, exclude)
    for number, labelling in enumerate(labels):
        for query in range(0, len(windows), 17):
            others = np.flatnonzero(owner != owner[query])
            nearest = others[np.argsort(-(unit[others] @ unit[query]))[:neighbours]]
            votes = np.bincount(labelling[nearest], minlength=3)
            similar = [(unit[nearest] @ unit[query])[labelling[nearest] == c].sum() for c in range(3)]
            winner = max(range(3), key=lambda c: (votes[c], similar[c]))
            assert fast[number, query] == (winner == labelling[query])


def test_identity_of_the_trial_or_stimulus_cannot_help_where_it_is_excluded(windows):
    """Features that only name the trial (or the stimulus) are worthless once it is left out."""
    labels = permuted_labels(windows, 0, seed=0)
    trial = np.eye(windows.trial.max() + 1)[windows.trial] + 0.01 * noise(windows, windows.trial.max() + 1)
    assert zero_shot(trial, windows, labels, 1, "trial").mean() < 0.6
    stimulus = np.eye(6)[windows.trial % 6] + 0.01 * noise(windows, 6)
    assert zero_shot(stimulus, windows, labels, 1, "trial").mean() == 1.0
    assert zero_shot(stimulus, windows, labels, 1, "stimulus").mean() < 0.6


def test_permutations_keep_the_classes_and_whole_stimuli(windows):
    labels = permuted_labels(windows, 50, seed=3)
    np.testing.assert_array_equal(labels[0], windows.label)
    for labelling in labels:
        assert np.bincount(labelling).tolist() == np.bincount(windows.label).tolist()
        assert all(len(set(labelling[windows.stimulus == k])) == 1 for k in set(windows.stimulus))
    assert len({tuple(labelling) for labelling in labels}) > 20


@pytest.mark.parametrize("new_stimuli", [False, True])
def test_splits_never_share_a_subject_nor_when_asked_a_stimulus(windows, new_stimuli):
    splits = few_shot_splits(windows, windows.label, 6, seed=5, new_stimuli=new_stimuli)
    for split in splits:
        train, test = (set(windows.subject[part]) for part in (split.train, split.test))
        assert not train & test and len(train) == 2 and len(test) == 6
        shared = set(windows.stimulus[split.train]) & set(windows.stimulus[split.test])
        assert bool(shared) != new_stimuli
        assert set(windows.label[split.train]) == set(windows.label[split.test]) == {0, 1, 2}
    assert len({tuple(split.train) for split in splits}) > 1


def test_few_shot_learns_a_signal_and_stays_in_its_null_on_noise(windows):
    labels = permuted_labels(windows, 40, seed=0)
    splits = [few_shot_splits(windows, labelling, 3, seed=0, new_stimuli=True) for labelling in labels]
    signal = few_shot(noise(windows) + 3 * np.eye(12)[windows.label], windows, labels[:1], splits[:1])
    assert np.nanmean(signal) > 0.9
    scores = np.nanmean(subject_scores(few_shot(noise(windows), windows, labels, splits), windows.subject), axis=-1)
    null = null_interval(scores[1:])
    assert null.low <= scores[0] <= null.high
    assert null.mean == pytest.approx(1 / 3, abs=0.03)  # splits balanced by the true classes would give 0.2


def test_stimuli_of_several_classes_cannot_be_permuted(windows):
    own_report = np.random.default_rng(0).integers(0, 3, len(windows))
    with pytest.raises(SchemaError, match="have several classes"):
        permuted_labels(replace(windows, label=own_report), 3, seed=0)


def test_windows_no_split_tested_do_not_count(windows):
    labels = permuted_labels(windows, 0, seed=0)
    splits = few_shot_splits(windows, windows.label, 1, seed=0, new_stimuli=False)
    correct = few_shot(noise(windows), windows, labels, [splits])
    assert np.isnan(correct[0, splits[0].train]).all() and not np.isnan(correct[0, splits[0].test]).any()


def test_differential_entropy_of_a_sine_stands_in_its_band():
    time = np.arange(625) / 125.0
    signal = np.vstack([20 * np.sin(2 * np.pi * 10 * time), 20 * np.sin(2 * np.pi * 24 * time)])
    entropy = differential_entropy(signal, 125.0).reshape(2, 5)
    assert entropy[0].argmax() == 2 and entropy[1].argmax() == 3
    assert entropy[0, 2] == pytest.approx(0.5 * np.log(2 * np.pi * np.e * 200), abs=0.02)  # variance 20²/2


def test_standardising_uses_each_subject_alone(windows):
    features = noise(windows) + 5 * windows.recording[:, None]
    standardised = standardise_per_subject(features, windows.subject)
    for subject in set(windows.subject):
        own = standardised[windows.subject == subject]
        np.testing.assert_allclose(own.mean(axis=0), 0, atol=1e-9)
        np.testing.assert_allclose(own.std(axis=0), 1, atol=1e-6)


def test_the_bootstrap_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = [
        (lambda interval: interval.low <= 0.5 <= interval.high)(subject_bootstrap(rng.normal(0.5, 0.1, 30), draws=1000))
        for _ in range(300)
    ]
    assert 0.88 < np.mean(covered) < 0.98
