"""Splits over random corpora: nobody, no trial, and where asked no stimulus, stands on two sides."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from mdjpt_hf.errors import SplitError
from mdjpt_hf.evaluation.protocols.splits import (
    PROTOCOLS,
    Split,
    SplitManifest,
    SplitPlan,
    load_manifests,
    make_splits,
    save_manifests,
)


@st.composite
def corpora(draw):
    """Windows of one to three corpora in which not everybody saw everything, and some reports differ."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows = []
    own_reports = draw(st.booleans())
    for corpus in range(draw(st.integers(1, 3))):
        classes = rng.integers(0, draw(st.integers(2, 4)), draw(st.integers(2, 9)))
        for subject in range(draw(st.integers(2, 8))):
            for stimulus, label in enumerate(classes):
                if rng.random() < 0.8:
                    label = int(rng.integers(0, 4)) if own_reports else int(label)
                    rows += [(f"c{corpus}/s{subject}", f"c{corpus}/k{stimulus}", label, f"c{corpus}")] * 3
    assume(rows)  # it can happen that nobody saw anything
    columns = zip(*rows, strict=True)
    return tuple(np.array(column) for column in columns)


plans = st.builds(
    SplitPlan,
    protocol=st.sampled_from(PROTOCOLS),
    labelled=st.sampled_from([0.25, 0.5, 1, 2, 3]),
    repeats=st.integers(1, 3),
    stimulus_disjoint=st.booleans(),
    validation_share=st.sampled_from([0.0, 0.25, 0.9]),
    seed=st.integers(0, 5),
    target=st.sampled_from(["c0", "c1"]),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(corpora(), plans)
def test_nothing_stands_on_two_sides(windows, plan):
    subject, stimulus, label, corpus = windows
    try:
        splits = make_splits(plan, *windows)
    except SplitError:
        return  # too small for this protocol; that it is not always so is tested below
    for split in splits:
        sides = split.parts(subject, stimulus)
        for one, other in ((0, 1), (0, 2), (1, 2)):
            assert not set(sides[one]) & set(sides[other])
            assert not set(subject[sides[one]]) & set(subject[sides[other]])
            trials = [set(zip(subject[sides[side]], stimulus[sides[side]], strict=True)) for side in (one, other)]
            assert not trials[0] & trials[1]
        learnt = set(stimulus[np.concatenate(sides[:2])])
        if plan.stimulus_disjoint or plan.protocol == "cross-dataset":
            assert not learnt & set(stimulus[sides[2]])
        if plan.protocol == "cross-dataset":
            assert set(corpus[sides[2]]) == {plan.target} and plan.target not in set(corpus[sides[0]])
        assert len(sides[2]) and (plan.protocol == "zero-shot" or len(sides[0]))
        # a trial lies on one side as a whole
        for people, clip in set(zip(subject[sides[2]], stimulus[sides[2]], strict=True)):
            assert set(np.flatnonzero((subject == people) & (stimulus == clip))) <= set(sides[2])
    assert splits == make_splits(plan, *windows)


@pytest.fixture
def table():
    """8 subjects x 6 stimuli of three classes x 2 windows, in two corpora."""
    grid = np.array([(c, s, k) for c in range(2) for s in range(8) for k in range(6) for _ in range(2)])
    return (
        np.array([f"c{c}/s{s}" for c, s, _ in grid]),
        np.array([f"c{c}/k{k}" for c, _, k in grid]),
        grid[:, 2] % 3,
        np.array([f"c{c}" for c in grid[:, 0]]),
    )


def test_every_protocol_draws_what_it_says(table):
    subject, stimulus, label, _ = table
    few = make_splits(SplitPlan("few-shot", labelled=5, repeats=3), *table)
    assert [len(split.train + split.validation) for split in few] == [5, 5, 5] and few[0].train != few[1].train
    share = make_splits(SplitPlan("few-shot", labelled=0.25, repeats=1), *table)
    assert len(share[0].train) == 3 and len(share[0].validation) == 1 and len(share[0].test) == 12
    left_out = make_splits(SplitPlan("leave-one-subject-out", stimulus_disjoint=True), *table)
    tested = np.bincount(np.concatenate([split.parts(subject, stimulus)[2] for split in left_out]))
    assert len(left_out) == 32 and set(tested) == {1}  # both halves: every window once
    for split in left_out:
        train, validation, test = split.parts(subject, stimulus)
        assert set(label[train]) == set(label[validation]) == set(label[test]) == {0, 1, 2}
    cross = make_splits(SplitPlan("cross-dataset", target="c1"), *table)
    assert len(cross) == 1 and len(cross[0].test) == 8 and len(cross[0].validation) == 2
    everybody = make_splits(SplitPlan("zero-shot"), *table)
    assert everybody[0].train == () and len(everybody[0].test) == 16


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (SplitPlan("few-shot", labelled=16), "cannot be labelled"),
        (SplitPlan("cross-dataset", target="c7"), "'c7' and other corpora"),
        (SplitPlan("best-of-ten"), "unknown protocol"),
    ],
)
def test_what_cannot_be_drawn_is_said(plan, message, table):
    with pytest.raises(SplitError, match=message):
        make_splits(plan, *table)


def test_a_manifest_comes_back_whole_and_a_changed_one_is_refused(table, tmp_path):
    plan = SplitPlan("few-shot", stimulus_disjoint=True)
    manifest = SplitManifest(plan, "label", {"c0": "f0", "c1": "f1"}, tuple(make_splits(plan, *table)))
    path = tmp_path / "splits.json"
    save_manifests(path, [manifest])
    (loaded,) = load_manifests(path)
    assert loaded == manifest and loaded.hash == manifest.hash
    assert loaded.fits(replace(plan, seed=9), "label", {"c0": "f0", "c1": "f1"})
    assert not loaded.fits(plan, "label", {"c0": "other", "c1": "f1"})
    assert not loaded.fits(plan, "emotion", manifest.corpora)
    for other in ({"labelled": 0.5}, {"repeats": 9}, {"validation_share": 0.5}):
        assert not loaded.fits(replace(plan, **other), "label", manifest.corpora)
    content = json.loads(path.read_text())
    moved = content[0]["splits"][0]["test"].pop()
    content[0]["splits"][0]["train"].append(moved)
    path.write_text(json.dumps(content))
    with pytest.raises(SplitError, match=r"splits\.json.*changed after it was saved"):
        load_manifests(path)
    for damaged in ("", '{"plan": 1}', "[{}]", '[{"splits": 3}]'):
        path.write_text(damaged)
        with pytest.raises(SplitError, match="no manifest"):
            load_manifests(path)


def test_the_hash_tells_splits_apart(table):
    manifest = SplitManifest(SplitPlan("zero-shot"), "label", {"c0": "f"}, (Split("all", (), (), ("a",)),))
    others = [
        replace(manifest, label="emotion"),
        replace(manifest, corpora={"c0": "g"}),
        replace(manifest, splits=(Split("all", ("a",), (), ("a",)),)),
    ]
    assert len({entry.hash for entry in [manifest, *others]}) == 4
