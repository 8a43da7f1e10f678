"""Named sets of choices: what they stand for, and what their scores may stand beside."""

from dataclasses import replace

import numpy as np
import pytest
from noise_corpora import knowing

from mdjpt_hf.errors import ConfigurationError, SplitError
from mdjpt_hf.evaluation.encoders import EncoderSource, open_encoders
from mdjpt_hf.evaluation.protocols import (
    BENCHMARKED,
    BENCHMARKS,
    PRESETS,
    PROTOCOLS,
    Protocol,
    SplitPlan,
    check_votes,
    comparable,
    default_protocols,
    draw_splits,
    honest,
    make_splits,
    pool_for,
    preset_named,
)
from mdjpt_hf.evaluation.readout import Features
from mdjpt_hf.evaluation.scores import Effort, evaluate_pool

#: Keys that protocols had before they could say more; records of then stay comparable with those of now.
KEYS = {
    "few-shot": "87d08a09fb5d",
    "zero-shot": "95b4eaf25b5a",
    "leave-one-subject-out": "f486b1574d7c",
    "cross-dataset": "0ba70481dfb8",
}


@pytest.fixture(scope="module")
def features(noise_sets):
    return Features(pool_for(noise_sets, "one", honest("zero-shot"), "valence_class", 5.0)[0])


def score(features, protocol, encoders, permutations=19):
    splits = draw_splits(features.pool, protocol, "one", {}, seed=0).splits
    return evaluate_pool(features, encoders, protocol, splits, Effort(permutations=permutations))


@pytest.mark.parametrize("name", BENCHMARKED)
def test_protocols_of_benchmarks_find_what_is_there_and_nothing_else(name, features):
    blind = open_encoders(["random", "de"], EncoderSource())
    rows = score(features, honest(name), [knowing("label", 2.0), *blind])
    found = rows.pop("knows label")
    assert found["score"]["mean"] > 0.9 and found["null"]["mean"] < 0.75
    for entry in rows.values():
        assert entry["score"]["mean"] <= entry["null"]["high"] + 0.1


def test_a_subject_trains_on_other_stimuli_than_it_is_tested_on(features):
    pool = features.pool
    splits = draw_splits(pool, honest("within-subject"), "one", {}, seed=0).splits
    assert len(splits) == 2 * 6 and all(split.train == split.test and len(split.train) == 1 for split in splits)
    tested = np.zeros(len(pool), dtype=int)
    for split in splits:
        train, validation, test = split.parts(pool.subject, pool.stimulus)
        assert not set(pool.stimulus[train]) & set(pool.stimulus[test]) and not len(validation)
        assert set(pool.label[train]) == set(pool.label[test]) == {0, 1}
        tested[test] += 1
    assert set(tested) == {1}  # both halves: every window once
    with pytest.raises(ConfigurationError, match="stimulus_disjoint is False"):
        honest("within-subject", stimulus_disjoint=False)
    with pytest.raises(ConfigurationError, match="cannot have access 'unlabelled'"):
        honest("within-subject", access="unlabelled")


def test_within_a_subject_a_class_of_one_stimulus_leaves_none_to_train_on(features):
    pool = features.pool
    lonely = replace(pool, stimulus=np.array([f"one/k{value}" for value in pool.label]))
    with pytest.raises(SplitError, match="single stimulus of negative, positive: within a subject, none is left"):
        check_votes(honest("within-subject"), lonely, "one")
    check_votes(honest("within-subject"), pool, "one")


@pytest.mark.parametrize(("people", "tenth"), [(10, 1), (15, 2), (32, 3), (123, 12), (3, 1)])
def test_tenths_of_the_subjects_are_tested_and_choose(people, tenth):
    subject = np.repeat([f"s{number:03}" for number in range(people)], 4)
    rest = (np.tile(["k0", "k1", "k2", "k3"], people), np.tile([0, 1, 0, 1], people), np.full(4 * people, "c"))
    for name in ("held-out", "held-out-neighbours"):
        drawn = make_splits(SplitPlan(name, repeats=3), subject, *rest)
        assert len(drawn) == 3 and len({(split.test, split.train) for split in drawn}) > 1
        for split in drawn:
            sides = [set(side) for side in (split.train, split.validation, split.test)]
            assert not sides[0] & sides[1] and not sides[0] & sides[2] and not sides[1] & sides[2]
            trained = people - 2 * tenth if name == "held-out" else tenth
            assert list(map(len, sides)) == [trained, tenth if name == "held-out" else 0, tenth]
    with pytest.raises(SplitError, match="2 subjects have no tenths"):
        make_splits(SplitPlan("held-out"), np.array(["a", "b"]), *(part[:2] for part in rest))


def test_neighbours_are_those_who_otherwise_choose(features):
    pool = features.pool
    trained, voted = (draw_splits(pool, honest(name), "one", {}, seed=4).splits for name in BENCHMARKED[1:])
    assert [split.validation for split in trained] == [split.train for split in voted]
    assert [split.test for split in trained] == [split.test for split in voted]


def test_presets_make_what_they_say():
    assert set(PRESETS) == {"honest", "paper", "quick", "eeg-arena", "omnieeg"}
    assert [len(preset_named("quick").rows(name)) for name in ("zero-shot", "few-shot", "cross-dataset")] == [4, 2, 1]
    for preset in ("quick", "eeg-arena", "omnieeg"):
        for name in preset_named(preset).protocols:
            assert all(protocol.optimistic == () for protocol in preset_named(preset).rows(name))
    assert {row.exclude for row in preset_named("quick").rows("zero-shot", neighbours=3)} == {"trial", "stimulus"}
    assert len(preset_named("quick").rows("zero-shot", neighbours=3)) == 2  # one number of neighbours, two rows
    probe, nearest = (preset_named("omnieeg").rows(name)[0] for name in default_protocols("label", "omnieeg"))
    assert probe.windows_per_class == nearest.windows_per_class == 40 and nearest.neighbours == 1
    assert default_protocols("valence", "omnieeg") == ("held-out",)
    assert default_protocols("label") == ("zero-shot", "few-shot")
    with pytest.raises(ConfigurationError, match="no preset 'omni'"):
        preset_named("omni")


def test_choices_are_refused_that_no_protocol_can_keep():
    with pytest.raises(ConfigurationError, match="windows_per_class is 5: Use 0 with zero-shot|windows_per_class is 5"):
        honest("zero-shot", windows_per_class=5)
    for value in (-1, 2.5, True):
        with pytest.raises(ConfigurationError, match="windows_per_class is"):
            honest("held-out", windows_per_class=value)
    for value in (-0.1, 1, "half"):
        with pytest.raises(ConfigurationError, match="validation is"):
            honest("few-shot", validation=value)


def test_a_score_stands_beside_a_benchmark_only_with_every_choice_of_its_protocol():
    for benchmark in BENCHMARKS:
        assert benchmark in comparable(benchmark.protocol.key)
        assert benchmark.differs and benchmark.unknown
        words = benchmark.in_words()
        assert all(text in words for text in (benchmark.name, benchmark.source, *benchmark.differs, *benchmark.unknown))
        changed = replace(benchmark.protocol, smoothing="causal")
        assert benchmark not in comparable(changed.key)
    assert not any(comparable(honest(name).key) for name in PROTOCOLS)
    assert all(0 < figure < 1 for one in BENCHMARKS for row in one.figures.values() for figure in row.values())


def test_keys_of_protocols_stay_what_they_were():
    assert {name: honest(name).key for name in KEYS} == KEYS
    assert Protocol("zero-shot", validation=0.5).key != honest("zero-shot").key
