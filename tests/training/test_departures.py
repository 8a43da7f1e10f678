"""What a run says of how it differs from the publication follows from its settings alone."""

import dataclasses

import pytest

from mdjpt_hf.training.config import NOT_METHOD, OBJECTIVES, RunConfig, load_run_config
from mdjpt_hf.training.departures import departures


def test_the_paper_departs_in_nothing_and_data_seed_and_upkeep_are_none():
    assert departures(load_run_config("paper")) == ()
    upkeep = {"seed": 3, "data": ["a"], "compile": True, "eval_steps": 7, "num_threads": 1, "held_out_subjects": 0}
    assert departures(load_run_config("paper", **upkeep)) == ()


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"steps": 9}, "9 steps instead of 20,480"),
        ({"learning_rate": 6e-3}, "learning rate 0.006 instead of 0.0005"),
        ({"adam_betas": [0.9, 0.98]}, "Adam's betas 0.9 and 0.98 instead of 0.9 and 0.999"),
        ({"datasets_per_step": 2}, "2 of the datasets in every step, drawn anew, instead of all"),
        ({"decay_share": 0.3}, "the learning rate falls to 0 over the last 30% of the steps instead of staying"),
        ({"viewers": 8}, "8 subjects aligned at once, each two of them a pair, instead of 2"),
        ({"clips": 6}, "6 of the stimuli that they share in every step, drawn anew, instead of all"),
        ({"mixed_precision": "bf16"}, "mixed_precision bf16 instead of no"),
        ({"model": {"contrastive_temperature": 0.4}}, "contrastive temperature 0.4 instead of 0.07"),
        ({"model": {"hidden_size": 64}}, "network: hidden_size 64 instead of 128"),
        ({"montage": "released"}, "montage released instead of positions"),
    ],
)
def test_each_setting_that_is_changed_is_one_line(changes, wanted):
    assert departures(load_run_config("paper", **changes)) == (wanted,)


def test_sizes_of_the_network_share_a_line():
    lines = departures(load_run_config("paper", model={"preset": "fast"}))
    assert len(lines) == 1 and lines[0].startswith("network: ") and "patch_stride 20 instead of 6" in lines[0]


def test_no_setting_of_the_method_is_forgotten():
    """Whatever is changed is told, also a setting that nobody has thought of yet."""
    paper = load_run_config("paper")
    for entry in dataclasses.fields(RunConfig):
        value = getattr(paper, entry.name)
        if entry.name not in NOT_METHOD and type(value) in (int, float):
            other = dataclasses.replace(paper, **{entry.name: 0.5 if entry.name.endswith("_share") else value * 2 + 2})
            assert len(departures(other)) == 1, entry.name


@pytest.mark.parametrize("name", ["masked", "masked-demo", "joint-demo"])
def test_the_second_method_says_whose_its_numbers_are(name):
    lines = departures(load_run_config(name))
    assert "every value" in lines[0]
    assert (len(lines) == 1) == (name == "masked")


def test_what_is_given_for_a_run_counts_like_what_a_file_says(tmp_path):
    changed = load_run_config("demo", steps=9, model={"hidden_size": 16})
    text = "\n".join(departures(changed))
    assert "9 steps instead of 20,480" in text and "hidden_size 16 instead of 128" in text
    assert str(load_run_config("demo").steps) not in text
    changed.save(tmp_path)
    assert departures(load_run_config(str(tmp_path / "run.yaml"))) == departures(changed)
    assert set(OBJECTIVES) == {"mdjpt", "masked", "mdjpt+masked"}
