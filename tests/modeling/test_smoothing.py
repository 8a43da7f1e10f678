"""Online normalisation and smoothing against slow loops and against what the released program computed."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from mdjpt_hf.errors import ConfigurationError, SignalError
from mdjpt_hf.modeling.smoothing_mdjpt import lds_smooth, online_normalise, smoothing_matrix

TESTS = Path(__file__).resolve().parents[1]
LENGTHS = [1, 2, 3, 40, 300]


def _reference():
    spec = importlib.util.spec_from_file_location("released_reference", TESTS / "released_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


reference = _reference()


def _features(windows, size=5, offset=0.0):
    rng = np.random.default_rng(windows)
    return offset + rng.standard_normal((windows, size)) * np.arange(1, size + 1)


def _apart(found, wanted):
    return np.linalg.norm(found - wanted) / np.linalg.norm(wanted)


@pytest.fixture(scope="module")
def released():
    with np.load(TESTS / "fixtures" / "released_deap.npz") as stored:
        return {name: stored[name] for name in ("lds_in", "lds_out", "rn_mean", "rn_var", "rn_out")}


def test_normalisation_is_that_of_the_released_program(released):
    found = online_normalise(released["lds_in"], released["rn_mean"], released["rn_var"])
    assert found.dtype == np.float32
    assert _apart(found, released["rn_out"]) <= 1e-6


def test_smoothing_is_that_of_the_released_program(released):
    assert _apart(lds_smooth(released["lds_in"]), released["lds_out"]) <= 1e-6


@pytest.mark.parametrize("windows", LENGTHS)
@pytest.mark.parametrize("decay", [0.99, 0.5, 1.0])
def test_normalisation_equals_the_loop(windows, decay):
    features, prior_mean, prior_variance = _features(windows), np.linspace(-1, 1, 5), np.linspace(0.5, 3, 5)
    found = online_normalise(features, prior_mean, prior_variance, decay)
    assert found.dtype == np.float64
    wanted = reference.normalise_online(features, prior_mean, prior_variance, decay)
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("windows", LENGTHS)
@pytest.mark.parametrize("causal", [False, True])
def test_smoothing_equals_the_loop(windows, causal):
    features = _features(windows, offset=3.0)
    wanted = np.stack([reference.smooth_scalar(column, causal) for column in features.T], axis=1)
    np.testing.assert_allclose(lds_smooth(features, causal), wanted, rtol=1e-10, atol=1e-12)
    assert lds_smooth(features.astype(np.float32), causal).dtype == np.float32
    assert _apart(lds_smooth(features.astype(np.float32), causal), wanted) <= 1e-6


def test_what_comes_later_changes_nothing_before():
    features = _features(50)
    changed = features.copy()
    changed[30:] += 100
    for run in (lambda x: online_normalise(x, 0.0, 1.0), lambda x: lds_smooth(x, causal=True)):
        np.testing.assert_array_equal(run(features)[:30], run(changed)[:30])
    assert np.abs(lds_smooth(features)[:30] - lds_smooth(changed)[:30]).max() > 1


def test_normalisation_keeps_its_digits_far_from_zero():
    near, far = _features(200), _features(200, offset=2.0**24)
    np.testing.assert_allclose(online_normalise(far, 2.0**24, 1.0), online_normalise(near, 0.0, 1.0), atol=1e-5)


def test_a_constant_stays_finite_and_a_mean_survives_smoothing():
    constant = np.full((20, 3), 7.0)
    assert np.isfinite(online_normalise(constant, 7.0, 0.0)).all()
    for causal in (False, True):
        np.testing.assert_allclose(lds_smooth(constant, causal), constant, rtol=1e-12)
        np.testing.assert_allclose(smoothing_matrix(64, causal).sum(axis=1), 1, rtol=1e-12)


def test_the_matrix_of_a_length_is_made_once_and_cannot_be_spoilt():
    assert smoothing_matrix(37) is smoothing_matrix(37)
    with pytest.raises(ValueError, match="read-only"):
        smoothing_matrix(37)[0, 0] = 1.0


def test_the_input_is_left_alone():
    features = _features(100)
    before = features.copy()
    online_normalise(features, 0.0, 1.0)
    lds_smooth(features)
    np.testing.assert_array_equal(features, before)


@pytest.mark.parametrize("features", [np.zeros(5), np.zeros((0, 5)), np.zeros((2, 3, 4))])
def test_other_shapes_are_refused(features):
    for run in (lambda: lds_smooth(features), lambda: online_normalise(features, 0.0, 1.0)):
        with pytest.raises(SignalError, match=r"\(windows, size\)"):
            run()


def test_what_is_not_finite_is_refused_by_window():
    features = _features(10)
    features[7, 2] = np.nan
    for run in (lambda: lds_smooth(features), lambda: online_normalise(features, 0.0, 1.0)):
        with pytest.raises(SignalError, match="window 7"):
            run()


def test_impossible_priors_and_decays_are_refused():
    features = _features(10)
    with pytest.raises(SignalError, match=r"shape \(5,\), found shape \(4,\)"):
        online_normalise(features, np.zeros(4), 1.0)
    with pytest.raises(SignalError, match="negative"):
        online_normalise(features, 0.0, -1.0)
    for decay in (0.0, 1.5, float("nan")):
        with pytest.raises(ConfigurationError, match="decay"):
            online_normalise(features, 0.0, 1.0, decay)
