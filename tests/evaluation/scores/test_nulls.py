"""Dealt labels: whole stimuli for all subjects at once, so that chance comes out as chance."""

import numpy as np
import pytest

from mdjpt_hf.errors import ConfigurationError
from mdjpt_hf.evaluation.encoders import Encoder
from mdjpt_hf.evaluation.protocols import draw_splits, honest
from mdjpt_hf.evaluation.protocols.pool import Pool
from mdjpt_hf.evaluation.readout.asking import Features
from mdjpt_hf.evaluation.scores import Effort, evaluate_pool
from mdjpt_hf.evaluation.scores.nulls import Reports, labellings, null_in_words


def a_pool(shown, label, target="label", windows=2):
    """A pool of `windows` per trial; `shown` lists (subject, stimulus) of every trial, `label` what was reported."""
    subject, stimulus = (np.array([f"c/{pair[side]:02d}" for pair in shown]) for side in (0, 1))
    trial = np.repeat(np.arange(len(shown)), windows)
    classes = (target,) if target == "valence" else ("low", "high")
    corpus, order = np.repeat("c", len(trial)), np.arange(len(trial))
    recording = np.unique(subject, return_inverse=True)[1][trial]
    columns = (corpus, subject[trial], stimulus[trial], trial, recording, np.asarray(label)[trial], order)
    return Pool((), target, classes, *columns)


def everything(subjects, stimuli):
    return [(subject, stimulus) for subject in range(subjects) for stimulus in range(stimuli)]


def test_all_subjects_reports_are_dealt_by_one_permutation():
    """With labels that name their stimulus and subject, every dealt column is some stimulus's column as a whole."""
    pool = a_pool(everything(4, 6), [10 * stimulus + subject for subject, stimulus in everything(4, 6)], "valence")
    for labelling in labellings(pool, 5, seed=0)[1:]:
        assert (labelling.label % 10 == pool.label % 10).all()  # everybody keeps their own reports
        for stimulus in np.unique(pool.stimulus):
            assert len(set(labelling.label[pool.stimulus == stimulus] // 10)) == 1
        assert (labelling.stimulus == pool.stimulus).all()
    assert "by the same permutation" in null_in_words(pool) and "6 of 6 stimuli; subjects saw 100%" in null_in_words(
        pool
    )


def test_who_missed_a_stimulus_takes_the_next_of_its_cycle():
    shown = [("a", "k0"), ("a", "k1"), ("a", "k2"), ("b", "k0"), ("b", "k2"), ("c", "k1"), ("c", "k1")]
    reports = Reports.of(*map(np.array, zip(*shown, strict=True)))
    sources = reports.sources(np.array([1, 2, 0]))  # k1 takes the place of k0, k2 of k1, k0 of k2
    assert [shown[number][1] for number in sources[:3]] == ["k1", "k2", "k0"]
    assert [shown[number][1] for number in sources[3:5]] == ["k2", "k0"]  # b has no k1
    assert sources[5:].tolist() == [5, 6]  # c saw nothing else, twice
    assert sorted(sources) == list(range(7))


def test_one_stray_window_changes_neither_the_null_nor_goes_unsaid():
    shown = everything(4, 6)
    label = np.array([stimulus % 2 for _, stimulus in shown])
    clean = a_pool(shown, label)
    assert null_in_words(clean).startswith("labels permuted over stimuli;")
    label[0] = 1
    stray = a_pool(shown, label)
    assert "reports differ for 1 of 6 stimuli" in null_in_words(stray)
    for one, other in zip(labellings(clean, 5, seed=0), labellings(stray, 5, seed=0), strict=True):
        assert (one.label != other.label).sum() == 2  # the two windows of the stray trial


def test_where_every_class_is_one_stimulus_subjects_are_dealt_apart():
    """Rest against task: the same permutation for all would only rename the classes, and no score would change."""
    pool = a_pool(everything(6, 2), [stimulus for _, stimulus in everything(6, 2)])
    dealt = labellings(pool, 100, seed=0)[1:]
    kept = np.array(
        [[(one.label == pool.label)[pool.subject == who].all() for who in np.unique(pool.subject)] for one in dealt]
    )
    assert 0.4 < kept.mean() < 0.6 and len({tuple(row) for row in kept}) > 30
    for one in dealt:  # everybody still has both, trial by trial
        assert all(sorted(one.label[pool.subject == who]) == [0, 0, 1, 1] for who in np.unique(pool.subject))
        assert (one.stimulus == np.where(one.label == 1, "c/01", "c/00")).all()
    assert "each subject apart, since every class is a single stimulus" in null_in_words(pool)
    scores = [np.mean(one.label == pool.label) for one in dealt]
    assert np.percentile(scores, 97.5) - np.percentile(scores, 2.5) > 0.3


def test_ratings_that_agree_are_dealt_for_all_at_once():
    pool = a_pool(everything(4, 3), [stimulus / 4 for _, stimulus in everything(4, 3)], "valence")
    assert null_in_words(pool).startswith("labels permuted over stimuli;")


def test_stimuli_nobody_shares_are_said():
    shown = [(subject, 10 * subject + stimulus) for subject, stimulus in everything(3, 4)]
    pool = a_pool(shown, np.random.default_rng(0).uniform(size=12), "valence")
    assert "the trials of each subject apart" in null_in_words(pool)
    for labelling in labellings(pool, 3, seed=0):
        for subject in np.unique(pool.subject):
            own = pool.subject == subject
            assert sorted(labelling.label[own]) == sorted(pool.label[own])


@pytest.mark.parametrize("missing", [0.0, 0.1])
def test_chance_is_significant_as_often_as_it_should_be(missing):
    """Features of stimuli and reports that subjects share, unrelated: p <= 0.05 in about 5 % of random worlds."""
    small = []
    for world in range(150):
        rng = np.random.default_rng(world)
        shown = [pair for pair in everything(10, 12) if rng.random() >= missing]
        felt, feature = rng.uniform(size=12), rng.normal(size=12)
        pool = a_pool(shown, [felt[stimulus] + rng.normal(0, 0.1) for _, stimulus in shown], "valence", windows=1)
        known = feature[[stimulus for _, stimulus in shown]]
        true, *dealt = (np.corrcoef(known, labelling.label)[0, 1] for labelling in labellings(pool, 39, seed=world))
        small.append((1 + np.sum(np.array(dealt) >= true)) / 40 <= 0.05)
    assert np.mean(small) < 0.11  # dealt for each subject apart: about a third


def scored(pool, seed, effort):
    values = np.random.default_rng(seed).normal(size=(len(pool), 5))
    protocol = honest("few-shot")
    splits = draw_splits(pool, protocol, "c", {}, seed).splits
    encoder = Encoder("noise", {"weights": "none"}, features=lambda pool, groups: values)
    return splits, evaluate_pool(Features(pool), [encoder], protocol, splits, effort)["noise"]


@pytest.mark.parametrize("target", ["label", "valence"])
def test_subjects_whom_dealt_labels_leave_untested_do_not_count_there(target, monkeypatch):
    rng = np.random.default_rng(0)
    shown = everything(6, 8) + [(subject, int(stimulus)) for subject in (6, 7) for stimulus in rng.permutation(8)[:2]]
    label = rng.uniform(size=len(shown)) if target == "valence" else [stimulus % 2 for _, stimulus in shown]
    pool = a_pool(shown, label, target)
    if target == "valence":  # with stimuli dealt in the splits as well, to leave somebody untested
        from mdjpt_hf.evaluation.scores import scoring

        dealt = [(entry, rng.permutation(np.unique(pool.stimulus))) for entry in labellings(pool, 12, 0)]
        number = np.unique(pool.stimulus, return_inverse=True)[1]
        moved = [type(entry)(entry.label, names[number]) for entry, names in dealt]
        monkeypatch.setattr(scoring, "labellings", lambda pool, permutations, seed: moved)
    splits, entry = scored(pool, 0, Effort(permutations=12))
    tested = {name for split in splits for name in split.test}
    assert len(entry["per_subject"]) == len(tested) and np.isfinite(entry["null"]["mean"])


@pytest.mark.parametrize("name", ["permutations", "zero_shot_permutations", "scratch_permutations"])
def test_without_permutations_there_is_no_null(name):
    with pytest.raises(ConfigurationError, match=f"{name} is 0"):
        Effort(**{name: 0})
