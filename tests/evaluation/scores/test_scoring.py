"""Every protocol on noise: nothing is found where nothing is, and what is there is found."""

from dataclasses import replace

import numpy as np
import pytest
from noise_corpora import NoiseCorpus, knowing

from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.data.prepare import prepare
from mdjpt_hf.errors import ConfigurationError
from mdjpt_hf.evaluation.encoders import EncoderSource, open_encoders
from mdjpt_hf.evaluation.protocols import PROTOCOLS, Protocol, audit_stages, draw_splits, honest, paper, pool_for
from mdjpt_hf.evaluation.protocols.pool import open_pool
from mdjpt_hf.evaluation.readout import Features, Neighbours
from mdjpt_hf.evaluation.scores import Effort, evaluate_pool
from mdjpt_hf.evaluation.scores.nulls import labellings
from mdjpt_hf.evaluation.scores.statistics import holm, paired_p_value

EFFORT = Effort(permutations=19, zero_shot_permutations=99)


@pytest.fixture(scope="module")
def pools(noise_sets):
    """Features of the first corpus, and of both, that all tests of this file share."""
    return {
        name: Features(pool_for(noise_sets, "one", honest(name), "valence_class", 5.0)[0])
        for name in ("zero-shot", "cross-dataset")
    }


def score(pools, protocol, encoders, effort=EFFORT):
    features = pools["cross-dataset" if protocol.name == "cross-dataset" else "zero-shot"]
    manifest = draw_splits(features.pool, protocol, "one", {}, seed=0)
    return evaluate_pool(features, encoders, protocol, manifest.splits, effort)


@pytest.fixture(scope="module")
def blind():
    """Encoders that cannot know: random weights, differential entropy, features that name the subject or trial."""
    return [*open_encoders(["random", "de"], EncoderSource()), knowing("subject"), knowing("trial")]


def test_on_noise_every_protocol_stays_within_its_null(pools, blind):
    rows = {}
    for preset, encoders in ((honest, blind), (paper, blind[:2])):
        for name in PROTOCOLS:
            for encoder, entry in score(pools, preset(name), encoders).items():
                rows[preset.__name__, name, encoder] = entry
    assert len(rows) == 4 * 4 + 4 * 2
    adjusted = holm([entry["p_value"] for entry in rows.values()])
    assert min(adjusted) > 0.05
    outside = [key for key, entry in rows.items() if entry["score"]["mean"] > entry["null"]["high"] + 1e-9]
    assert len(outside) <= 3  # 2.5 % of 24 are expected


@pytest.mark.parametrize("name", PROTOCOLS)
def test_what_is_there_is_found(name, pools):
    (entry,) = score(pools, honest(name), [knowing("label", 2.0)]).values()
    assert entry["score"]["mean"] > 0.9 > entry["null"]["high"]
    assert entry["p_value"] <= 0.15  # one permutation of 70 swaps the classes, another changes nothing
    assert entry["metrics"]["accuracy"]["mean"] == pytest.approx(entry["score"]["mean"])
    assert entry["metrics"]["auroc"]["mean"] > 0.95


def test_permuted_labels_stay_within_the_null_of_a_good_encoder(pools):
    """The same encoder, when labels mean nothing: new permutations lie where the null says they do."""
    features = pools["zero-shot"]
    for name in ("zero-shot", "few-shot", "leave-one-subject-out"):
        protocol = honest(name)
        (entry,) = score(pools, protocol, [knowing("label", 2.0)], replace(EFFORT, permutations=40)).values()
        scores = []
        for dealt in labellings(features.pool, 6, seed=99)[1:]:
            shuffled = Features(replace(features.pool, label=dealt.label))
            splits = draw_splits(shuffled.pool, protocol, "one", {}, seed=0).splits
            few = Effort(permutations=1, zero_shot_permutations=1)
            features_of_truth = knowing("label", 2.0).features(features.pool, "recording")
            blind = replace(knowing("label"), features=lambda pool, groups, known=features_of_truth: known)
            (row,) = evaluate_pool(shuffled, [blind], protocol, splits, few).values()
            scores.append(row["score"]["mean"])
        assert entry["null"]["low"] - 0.05 <= np.mean(scores) <= entry["null"]["high"] + 0.05


def test_stimuli_known_by_heart_help_only_where_they_are_shared(pools):
    encoder = [knowing("stimulus", 2.0)]
    shared, fresh = (
        next(iter(score(pools, honest("few-shot", stimulus_disjoint=value), encoder).values()))
        for value in (False, True)
    )
    assert shared["score"]["mean"] > 0.9 and fresh["score"]["mean"] < 0.75
    assert shared["null"]["mean"] > 0.9  # the null knows that stimuli, not emotions, were recognised
    assert shared["p_holm"] > 0.05
    seen, unseen = (
        next(iter(score(pools, honest("zero-shot", exclude=value), encoder).values()))
        for value in ("trial", "stimulus")
    )
    assert seen["score"]["mean"] > 0.9 and unseen["score"]["mean"] < 0.75


def test_the_audit_on_noise_shows_which_choices_inflate(pools):
    encoder = [knowing("subject", 0.5)]
    zero = [next(iter(score(pools, protocol, encoder).values())) for _, protocol in audit_stages("zero-shot")]
    names = [stage for stage, _ in audit_stages("zero-shot")]
    assert names == [
        "honest",
        "+ test-chosen epoch",
        "+ all-subject normalisation",
        "+ non-causal smoothing",
        "+ same trial in the neighbour set",
    ]
    scores = [entry["score"]["mean"] for entry in zero]
    assert abs(scores[0] - zero[0]["null"]["mean"]) < 0.12
    assert scores[1] > scores[0]  # the best of four on the test subjects
    assert abs(scores[2] - scores[1]) < 0.1
    assert scores[4] > 0.95 > 0.7 > scores[3]  # smoothed windows of one trial are each other's neighbours
    assert zero[4]["p_value"] > 0.5  # and labels that mean nothing do as well
    few = [next(iter(score(pools, protocol, encoder).values())) for _, protocol in audit_stages("few-shot")]
    assert len(few) == 4 and few[1]["score"]["mean"] > few[0]["score"]["mean"]
    assert few[1]["null"]["mean"] > few[0]["null"]["mean"] + 0.01


def test_online_normalisation_never_sees_the_tested_subject_nor_what_follows(pools):
    from mdjpt_hf.evaluation.readout import prepare as normalise

    pool = pools["zero-shot"].pool
    values = np.random.default_rng(0).normal(size=(len(pool), 3))
    reference = pool.subject != "one/s0"
    own = np.flatnonzero(pool.subject == "one/s0")
    own = own[np.argsort(pool.order[own])]
    changed = values.copy()
    changed[own[12:]] += 100.0
    for choices, affected in (
        ({"normalisation": "online", "smoothing": "causal"}, False),
        ({"normalisation": "online", "smoothing": "lds"}, True),
        ({"normalisation": "none"}, False),
        ({"normalisation": "all-subjects"}, True),
        ({"normalisation": "recording"}, True),
    ):
        protocol = honest("few-shot", **choices)
        earlier = own[9:12]  # the windows before
        before, after = (normalise(part, pool, protocol, reference)[earlier] for part in (values, changed))
        differs = not np.allclose(before, after)
        # windows 9 to 11 are a trial of their own: the smoother alone does not reach over its end
        assert differs == (affected and choices.get("smoothing") != "lds")
    changed = values.copy()
    changed[own[11]] += 100.0
    for smoothing, affected in (("causal", False), ("lds", True)):
        protocol = honest("few-shot", normalisation="online", smoothing=smoothing)
        before, after = (normalise(part, pool, protocol, reference)[own[9:11]] for part in (values, changed))
        assert np.allclose(before, after) != affected


def test_a_votes_share_is_a_probability_and_excluded_windows_have_none(pools):
    pool = pools["zero-shot"].pool
    values = np.eye(48)[pool.trial]
    truth = labellings(pool, 0, 0)[0]
    for exclude, known in (("nothing", 1.0), ("trial", None)):
        found = Neighbours(values, pool, Protocol("zero-shot", exclude=exclude, neighbours=2)).answer(truth)
        np.testing.assert_allclose(found.probabilities.sum(axis=1), 1)
        accuracy = (found.probabilities.argmax(axis=1) == pool.label).mean()
        assert accuracy == known if known else accuracy < 0.8


def test_own_reports_are_permuted_within_subjects(tmp_path):
    folder = prepare(NoiseCorpus("felt", 4, own_reports=True), tmp_path / "felt", progress=False).folder
    pool = open_pool(open_corpora([folder]), "label", 5.0)
    true, *dealt = labellings(pool, 5, seed=0)
    for labelling in dealt:
        for subject in set(pool.subject):
            own = pool.subject == subject
            assert np.bincount(labelling.label[own], minlength=2).tolist() == np.bincount(true.label[own]).tolist()
        assert all(len(set(labelling.label[pool.trial == trial])) == 1 for trial in set(pool.trial))
    assert any((labelling.label != true.label).any() for labelling in dealt)


@pytest.mark.parametrize(
    "choices",
    [
        {"name": "few-shot", "access": "unlabelled"},
        {"name": "zero-shot", "access": "labelled:2"},
        {"name": "cross-dataset", "access": "none"},
        {"name": "zero-shot", "smoothing": "sometimes"},
        {"name": "zero-shot", "neighbours": 0},
        {"name": "zero-shot", "neighbours": 2.5},
        {"name": "zero-shot", "neighbours": True},
        {"name": "zero-shot", "stride_seconds": -1.0},
        {"name": "zero-shot", "stimulus_disjoint": "no"},
        *({"name": "few-shot", "access": f"labelled:{text}"} for text in ("x", "-1", "0", "1.5", "nan", "inf")),
    ],
)
def test_choices_that_do_not_go_together_are_refused(choices):
    with pytest.raises(ConfigurationError):
        Protocol(**choices)


def test_zero_shot_says_that_nothing_was_selected():
    assert honest("zero-shot").described()["selection"].startswith("none")
    assert "ON THE TEST SUBJECTS" in paper("zero-shot").described()["selection"]
    assert "validation subjects" in honest("few-shot").described()["selection"]


def test_presets_say_what_they_do():
    for name in PROTOCOLS:
        assert honest(name).optimistic == ()
        assert "OPTIMISTIC" in paper(name).title and "test-chosen epoch" in paper(name).optimistic
        assert honest(name).key != paper(name).key != replace(paper(name), smoothing="none").key
    assert set(paper("zero-shot").optimistic) - set(paper("few-shot").optimistic) == {"same trial in the neighbour set"}
    Protocol("cross-dataset", access="none", normalisation="online", encoder_groups="window", smoothing="causal")


def test_holm_and_paired_tests_equal_slow_ones():
    assert holm([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.09, 0.09, 0.5])
    differences = np.array([0.3, 0.1, 0.2, -0.05, 0.4])
    signs = np.array(np.meshgrid(*[[-1, 1]] * 5)).reshape(5, -1)
    means = np.abs((signs * differences[:, None]).mean(axis=0))
    assert paired_p_value(differences) == pytest.approx((means >= abs(differences.mean()) - 1e-12).mean())
    assert paired_p_value(np.zeros(5)) == 1.0
