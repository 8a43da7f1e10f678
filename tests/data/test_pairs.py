"""Pairs and batches: aligned, balanced, repeatable, and refused where impossible."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mdjpt_hf.data import pairs
from mdjpt_hf.data.batches import PretrainingSteps
from mdjpt_hf.data.corpora import TrialSet, open_corpora
from mdjpt_hf.data.pairs import PairSampler
from mdjpt_hf.errors import PairingError
from mdjpt_hf.modeling.objectives_mdjpt import find_positives
from mdjpt_hf.training.retrieval import hold_out_subjects


def trial_set(shown: dict[tuple[str, int], list[tuple[str, int]]]) -> TrialSet:
    """Trials without signals: (subject, session) -> (stimulus, samples)."""
    rows = [(s, n, stimulus, samples) for (s, n), seen in shown.items() for stimulus, samples in seen]
    return TrialSet(
        name="toy",
        folder=Path("nowhere"),
        rows=np.arange(len(rows)),
        subject=np.array([row[0] for row in rows]),
        session=np.array([row[1] for row in rows]),
        trial=np.zeros(len(rows), int),
        stimulus=np.array([row[2] for row in rows]),
        label=np.zeros(len(rows), int),
        emotion=np.zeros(len(rows), int),
        valence_class=np.zeros(len(rows), int),
        ratings=np.zeros((len(rows), 4), np.float32),
        n_samples=np.array([row[3] for row in rows]),
        sampling_rate=125.0,
        ch_names=[("Cz",)] * len(rows),
    )


corpora = st.dictionaries(
    st.tuples(st.sampled_from(["a", "b", "c", "d"]), st.integers(0, 2)),
    st.lists(st.tuples(st.sampled_from("uvwxyz"), st.integers(80, 300)), min_size=1, max_size=8),
    min_size=1,
    max_size=9,
)


@given(shown=corpora, seed=st.integers(0, 2**31))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
def test_every_drawn_pair_is_two_subjects_of_a_session_at_the_same_moments(shown, seed):
    trials = trial_set(shown)
    try:
        sampler = PairSampler(trials, 100)
    except PairingError:
        return
    pair = sampler.draw(np.random.default_rng(seed))
    first, second = pair.first, pair.second
    assert len(set(trials.subject[first])) == len(set(trials.subject[second])) == 1
    assert trials.subject[first[0]] != trials.subject[second[0]]
    assert len({*trials.session[first], *trials.session[second]}) == 1
    np.testing.assert_array_equal(trials.stimulus[first], trials.stimulus[second])
    assert len(set(trials.stimulus[first])) == len(first) >= 2
    assert (pair.start >= 0).all()
    assert (pair.start + 100 <= np.minimum(trials.n_samples[first], trials.n_samples[second])).all()


@given(shown=corpora)
@settings(max_examples=200, deadline=None)
def test_a_corpus_is_refused_exactly_when_no_two_subjects_share_two_stimuli(shown):
    usable = {key: {stimulus for stimulus, samples in seen if samples >= 100} for key, seen in shown.items()}
    possible = any(s < t and n == m and len(usable[s, n] & usable[t, m]) >= 2 for s, n in usable for t, m in usable)
    if possible:
        PairSampler(trial_set(shown), 100)
    else:
        with pytest.raises(PairingError):
            PairSampler(trial_set(shown), 100)


@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        ({("a", 1): [("u", 300), ("v", 300)]}, "it has 1 subject"),
        ({("a", 1): [("u", 300), ("v", 300)], ("b", 1): [("x", 300), ("v", 300)]}, "no two of its 2 subjects share 2"),
        ({("a", 1): [("u", 300), ("v", 300)], ("b", 2): [("u", 300), ("v", 300)]}, "no two of its 2 subjects share 2"),
        ({("a", 1): [("u", 50), ("v", 50)], ("b", 1): [("u", 50), ("v", 50)]}, "shorter than a window of 0.8 s"),
    ],
)
def test_impossible_corpora_say_why(shown, reason):
    with pytest.raises(PairingError, match=reason):
        PairSampler(trial_set(shown), 100)


def test_all_pairs_of_subjects_and_both_orders_are_drawn():
    shown = {(subject, 1): [("u", 300), ("v", 300)] for subject in "abc"}
    trials = trial_set(shown)
    sampler = PairSampler(trials, 100)
    drawn = [sampler.draw(np.random.default_rng(seed)) for seed in range(200)]
    seen = {(trials.subject[pair.first[0]], trials.subject[pair.second[0]]) for pair in drawn}
    assert seen == {(s, t) for s in "abc" for t in "abc" if s != t}
    starts = np.concatenate([pair.start for pair in drawn])
    assert starts.min() < 5 and starts.max() > 195  # the whole trial is used: 0 to 200


@given(shown=corpora, seed=st.integers(0, 2**31), viewers=st.integers(3, 5), clips=st.integers(0, 4))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
def test_several_viewers_share_every_moment_and_leave_no_fewer_stimuli(shown, seed, viewers, clips):
    trials = trial_set(shown)
    try:
        sampler = PairSampler(trials, 100, viewers=viewers, clips=clips)
    except PairingError:
        return
    drawn = sampler.draw(np.random.default_rng(seed))
    people = [set(trials.subject[row]) for row in drawn.trials]
    assert all(len(one) == 1 for one in people) and 2 <= len(set.union(*people)) == len(people) <= viewers
    assert len(set(trials.session[drawn.trials.ravel()])) == 1
    assert (trials.stimulus[drawn.trials] == trials.stimulus[drawn.trials[0]]).all()
    assert (drawn.starts == drawn.starts[0]).all() and (drawn.starts >= 0).all()
    assert (drawn.starts + 100 <= trials.n_samples[drawn.trials]).all()
    pair = PairSampler(trials, 100).draw(np.random.default_rng(seed))  # draws the same two first
    np.testing.assert_array_equal(trials.subject[pair.trials[:, 0]], trials.subject[drawn.trials[:2, 0]])
    shared = pair.trials.shape[1]
    assert drawn.trials.shape[1] == min(clips or shared, shared)


def test_as_many_viewers_as_there_are_and_all_of_them_in_time():
    shown = {(subject, 1): [(clip, 300) for clip in "uvwx"] for subject in "abcde"}
    trials = trial_set(shown)
    sampler = PairSampler(trials, 100, viewers=3, clips=2)
    drawn = [sampler.draw(np.random.default_rng(seed)) for seed in range(300)]
    assert {one.trials.shape for one in drawn} == {(3, 2)} and sampler.mean_windows == 6
    assert len({frozenset(trials.subject[one.trials[:, 0]]) for one in drawn}) == 10
    assert len({frozenset(trials.stimulus[one.trials[0]]) for one in drawn}) == 6
    everybody = PairSampler(trials, 100, viewers=9).draw(np.random.default_rng(0))
    assert everybody.trials.shape == (5, 4)
    apart = PairSampler(trials, 100, aligned=False, viewers=9).draw(np.random.default_rng(0))
    assert len({tuple(row) for row in apart.starts}) == 5


@pytest.fixture
def samplers(prepared):
    other = {(f"p{n}", s): [f"v{k}" for k in range(2 + n % 2 * 3)] for n in range(4) for s in (1, 2)}
    trial_sets = open_corpora([prepared("one"), prepared("two", shown=other, ch_names=["C3", "C4", "Cz"])])
    return [PairSampler(trials, 600) for trials in trial_sets]


def test_a_step_has_exactly_one_positive_per_window_and_groups_unique_across_datasets(samplers):
    batch = PretrainingSteps(samplers, 3, 10, seed=1, pairs_per_dataset=2)[1]
    positives, same_group = find_positives(batch["group_ids"], batch["dataset_ids"], batch["stimulus_ids"])
    assert (positives.sum(dim=1) == 1).all()
    assert len(batch["group_ids"].unique()) == 2 * 2 * 2
    for group in batch["group_ids"].unique():
        assert len(batch["dataset_ids"][batch["group_ids"] == group].unique()) == 1
    assert batch["input_values"].shape[1:] == (60, 600)
    assert (same_group.sum(dim=1) >= 2).all()


def test_every_two_viewers_of_a_step_are_a_pair(samplers):
    several = [PairSampler(one.trials, 600, viewers=3, clips=2) for one in samplers]
    batch = PretrainingSteps(several, 3, 10, seed=1)[1]
    with pytest.raises(ValueError, match="wanted exactly 1"):
        find_positives(batch["group_ids"], batch["dataset_ids"], batch["stimulus_ids"])
    positives, _ = find_positives(batch["group_ids"], batch["dataset_ids"], batch["stimulus_ids"], several=True)
    for group, dataset in {*zip(batch["group_ids"].tolist(), batch["dataset_ids"].tolist(), strict=True)}:
        others = len(batch["group_ids"][batch["dataset_ids"] == dataset].unique()) - 1
        assert (positives[batch["group_ids"] == group].sum(dim=1) == others).all()


def test_a_step_depends_only_on_its_number_and_the_seed(samplers):
    forwards = PretrainingSteps(samplers, 6, 2, seed=7)
    backwards = PretrainingSteps(samplers, 6, 2, seed=7)
    late = [backwards[step] for step in reversed(range(6))][::-1]
    for step in range(6):
        assert all(torch.equal(forwards[step][name], late[step][name]) for name in late[step])
    assert not torch.equal(forwards[0]["input_values"], forwards[2]["input_values"])  # another epoch, other pairs
    other = PretrainingSteps(samplers, 6, 2, seed=8)
    assert not torch.equal(forwards[0]["input_values"], other[0]["input_values"])


def test_some_datasets_per_step(samplers):
    samplers = [*samplers, *samplers]
    steps = [PretrainingSteps(samplers, 400, 100, seed=5, datasets_per_step=2)[step] for step in range(400)]
    drawn = [tuple(batch["dataset_ids"].unique().tolist()) for batch in steps]
    pairs = [(i, j) for i in range(len(samplers)) for j in range(i)]
    assert {len(step) for step in drawn} == {2}
    for pair in pairs:  # every combination, equally often
        assert drawn.count(tuple(sorted(pair))) == pytest.approx(400 / len(pairs), rel=0.35)
    for batch in steps[:20]:
        positives, _ = find_positives(batch["group_ids"], batch["dataset_ids"], batch["stimulus_ids"])
        assert (positives.sum(dim=1) == 1).all()
    parts = [PretrainingSteps(samplers, 3, 9, 5, 2, 2, rank=rank, world_size=2)[1] for rank in range(2)]
    assert parts[0]["dataset_ids"].unique().tolist() == parts[1]["dataset_ids"].unique().tolist()
    everything = PretrainingSteps(samplers, 3, 9, 5, datasets_per_step=99)[0]
    assert len(everything["dataset_ids"].unique()) == len(samplers)


def test_two_processes_together_see_what_one_sees(samplers):
    alone = PretrainingSteps(samplers, 2, 10, seed=3, pairs_per_dataset=4)[1]
    parts = [PretrainingSteps(samplers, 2, 10, 3, 4, rank=rank, world_size=2)[1] for rank in range(2)]
    together = torch.cat([part["input_values"] for part in parts])
    assert len(together) == len(alone["input_values"])
    order = [int((alone["input_values"] == window).all(dim=(1, 2)).nonzero()[0]) for window in together]
    assert sorted(order) == list(range(len(together)))


def test_held_out_subjects_are_disjoint_and_small_corpora_keep_all(prepared):
    shown = {(f"p{n}", 1): ["u", "v"] for n in range(6)}
    (trials,) = open_corpora([prepared("six", shown=shown)])
    seen, unseen = hold_out_subjects(trials, 2, seed=0)
    assert len(set(seen.subject)) == 4 and len(set(unseen.subject)) == 2
    assert not set(seen.subject) & set(unseen.subject)
    (few,) = open_corpora([prepared("few")])
    assert hold_out_subjects(few, 2, seed=0) == (few, None)


def test_candidates_are_those_of_all_subjects_against_all(monkeypatch):
    monkeypatch.setattr(pairs, "_ROWS", 7)
    rng = np.random.default_rng(0)
    seen = {3: rng.random((40, 9)) < 0.3, 5: np.zeros((0, 4), dtype=bool), 8: rng.random((23, 30)) < 0.2}
    wanted = [
        (session, first, second)
        for session, shown in seen.items()
        for first in range(len(shown))
        for second in range(first + 1, len(shown))
        if (shown[first] & shown[second]).sum() >= pairs.MIN_COMMON_STIMULI
    ]
    found = pairs.Candidates(seen)
    assert len(found) == len(wanted) and list(found) == wanted and found[:] == wanted
    assert [found[index] for index in range(len(found))] == wanted and found[-1] == wanted[-1]
    with pytest.raises(IndexError):
        found[len(wanted)]
    assert len(pairs.Candidates({})) == 0
