"""The judgement of the paper's claims: what holds is said to hold, and what does not is not."""

import importlib.util
import json
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
    """Sixteen subjects; every arm that a claim is about is above a rival by so much, on average."""
    rng = np.random.default_rng(seed)
    best = rng.normal(0.6, 0.05, 16)
    arms = {arm: best for arm, _ in claims.CLAIMS.values()}
    rivals = {rival for _, rival in claims.CLAIMS.values()}
    few_shot = arms | {rival: best - advantage.get(rival, 0.1) + rng.normal(0, 0.03, 16) for rival in sorted(rivals)}
    zero_shot = {name: values for name, values in few_shot.items() if name != claims.RIVAL}
    return {"zero-shot": zero_shot, "few-shot": few_shot}


def test_claims_hold_where_the_difference_is_clear_and_not_where_it_is_absent_or_turned_round(claims):
    advantage = {"no-isa": 0.0, "joint-3": -0.1}
    judged = claims.judge({seed: scores(claims, advantage, seed) for seed in (1, 2)})
    assert len(judged) == 2 * len(claims.CLAIMS) - 1  # a network trained from scratch has no zero-shot score
    for row in judged:
        arm, rival = claims.CLAIMS[row["claim"]]
        assert row["arm"] == arm and row["holds"] is (rival not in advantage)
        assert row["difference"][0] == pytest.approx(advantage.get(rival, 0.1), abs=0.025)
        assert row["p_holm"] >= row["p"] and row["seeds_above_0"] == (2 if row["holds"] else 0)
    text = claims.render(judged, {"size": "default", "seeds": [1, 2], "minutes": 3})
    assert "# Simulated data" in text and text.count("does NOT hold") == 4 and "29 of 33 hold" in text


def test_an_arm_that_was_not_judged_is_an_error(claims):
    worlds = {1: scores(claims, {}, 1)}
    del worlds[1]["few-shot"]["no-isa"]
    with pytest.raises(KeyError, match="no-isa"):
        claims.judge(worlds)


def test_arms_differ_in_one_setting_and_have_the_steps_that_are_said_of_them(claims, tmp_path):
    arms = claims._arms(tmp_path, ["a", "b", "c", "d"], 1, 600)
    over = {"joint-1", "joint-2", "joint-3", claims.FULL}
    assert set(arms) == {*over, *claims.EQUAL_WINDOWS, *claims.WITHOUT, *claims.SECOND_ORDER}
    assert {rival for pair in claims.CLAIMS.values() for rival in pair} <= {*arms, "DE", "random weights", claims.RIVAL}
    data = {name: [Path(part).name for part in options if str(tmp_path) in part] for name, options in arms.items()}
    assert data["joint-1"] == data["joint-1-equal-windows"] == ["b"] and data["misaligned"] == ["b", "c", "d", "a"]
    steps = {name: int(options[options.index("--steps") + 1]) for name, options in arms.items()}
    assert {steps[name] for name in (*over, *claims.WITHOUT)} == {600}
    assert [steps[name] for name in claims.EQUAL_WINDOWS] == [150, 300, 450]  # 150 of every corpus
    for name, settings in claims.WITHOUT.items():
        assert arms[name][: len(arms[claims.FULL])] == arms[claims.FULL]
        assert arms[name][len(arms[claims.FULL]) :: 2] == ["--set"] and tuple(arms[name][-1:]) == settings
    for name, settings in claims.SECOND_ORDER.items():
        assert steps[name] == 300 and "datasets_per_step=2" in arms[name] and set(settings) <= {*arms[name]}


def test_what_still_rose_is_told(claims, tmp_path):
    history = [{"step": step, "retrieval": step / 1000} for step in range(0, 601, 100)] + [{"step": 600, "loss": 1.0}]
    (tmp_path / "joint-4").mkdir()
    (tmp_path / "joint-4" / "history.json").write_text(json.dumps(history))
    rising = claims._rising(tmp_path)
    assert rising["joint-4"] == pytest.approx(0.2)  # of 500 and 600 against 300 and 400
    assert "joint-4 +0.200" in claims.render_rising({"81": rising})
