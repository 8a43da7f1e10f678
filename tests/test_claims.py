"""The judgement of the paper's claims: what holds is said to hold, and what does not is not."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

PATH = Path(__file__).parents[1] / "benchmarks" / "claims.py"


@pytest.fixture(scope="module")
def claims():
    if not PATH.exists():
        pytest.skip("benchmarks are not part of an installed package")
    specification = importlib.util.spec_from_file_location("claims", PATH)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def scores(claims, advantage: dict[str, float], seed: int) -> dict[str, dict[str, np.ndarray]]:
    """Sixteen subjects; the joint run is above a rival by so much, on average."""
    rng = np.random.default_rng(seed)
    joint = rng.normal(0.6, 0.05, 16)
    rivals = {rival: joint - advantage.get(rival, 0.1) + rng.normal(0, 0.03, 16) for rival in claims.CLAIMS.values()}
    few_shot = {claims.FULL: joint, **rivals}
    zero_shot = {name: values for name, values in few_shot.items() if name != claims.RIVAL}
    return {"zero-shot": zero_shot, "few-shot": few_shot}


def test_claims_hold_where_the_difference_is_clear_and_not_where_it_is_absent_or_turned_round(claims):
    advantage = {"no-cda": 0.0, "joint-3": -0.1}
    judged = claims.judge({seed: scores(claims, advantage, seed) for seed in (1, 2)})
    assert len(judged) == 2 * len(claims.CLAIMS) - 1  # a network trained from scratch has no zero-shot score
    for row in judged:
        rival = claims.CLAIMS[row["claim"]]
        assert row["holds"] is (rival not in advantage)
        assert row["difference"][0] == pytest.approx(advantage.get(rival, 0.1), abs=0.025)
        assert row["p_holm"] >= row["p"] and row["seeds_above_0"] == (2 if row["holds"] else 0)
    text = claims.render(judged, {"size": "default", "seeds": [1, 2], "minutes": 3})
    assert "# Simulated data" in text and text.count("does NOT hold") == 4 and "15 of 19 hold" in text


def test_an_arm_that_was_not_judged_is_an_error(claims):
    worlds = {1: scores(claims, {}, 1)}
    del worlds[1]["few-shot"]["no-isa"]
    with pytest.raises(KeyError, match="no-isa"):
        claims.judge(worlds)


def test_every_arm_has_as_many_windows_and_steps_and_differs_in_one_setting(claims, tmp_path):
    arms = claims._arms(tmp_path, ["a", "b", "c", "d"], 1)
    assert set(arms) == {"joint-1", "joint-2", "joint-3", claims.FULL, *claims.WITHOUT}
    data = {name: [Path(part).name for part in options if str(tmp_path) in part] for name, options in arms.items()}
    assert (
        data["joint-1"] == ["b"] and data["joint-3"] == ["b", "c", "d"] and data["misaligned"] == ["b", "c", "d", "a"]
    )
    assert "--set" not in arms["joint-1"] and "--set" not in arms["joint-2"]  # a step is of one dataset, whatever k
    for name, settings in claims.WITHOUT.items():
        assert arms[name][: len(arms[claims.FULL])] == arms[claims.FULL]
        assert arms[name][len(arms[claims.FULL]) :: 2] == ["--set"] and tuple(arms[name][-1:]) == settings
