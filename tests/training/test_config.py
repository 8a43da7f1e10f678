"""Settings of a run: presets, overrides, refusals, and what counts as the same run."""

import dataclasses

import pytest

from mdjpt_hf.errors import ConfigurationError
from mdjpt_hf.training.config import RunConfig, load_run_config, parse_setting, preset_names


@pytest.mark.parametrize("name", preset_names())
def test_shipped_presets_load_and_build_their_network(name):
    config = load_run_config(name)
    assert config.name == name
    assert config.model_config().pooled_size > 0


def test_the_paper_preset_is_the_paper():
    config = load_run_config("paper")
    model = config.model_config()
    assert (config.steps, config.steps_per_epoch, config.learning_rate, config.weight_decay) == (
        20480,
        1024,
        5e-4,
        1e-4,
    )
    assert (model.hidden_size, model.num_hidden_layers, model.contrastive_temperature) == (128, 2, 0.07)
    assert (model.block, model.covariance, model.cda_weight) == ("mlla", "true", 0.01)


def test_overrides_replace_and_groups_merge(tmp_path):
    config = load_run_config("demo", seed=7, data=["a", "b"], model={"hidden_size": 16}, steps=None)
    assert (config.seed, config.data, config.steps) == (7, ("a", "b"), load_run_config("demo").steps)
    assert config.model["preset"] == "tiny" and config.model_config().hidden_size == 16


def test_runs_of_before_whose_departures_were_typed_open(tmp_path):
    (tmp_path / "run.yaml").write_text("departures:\n  - a smaller network\nsteps: 9\n")
    assert load_run_config(str(tmp_path / "run.yaml")).steps == 9


def test_the_learning_rate_stays_and_then_falls_to_nothing():
    config = RunConfig(steps=100, learning_rate=1.0, decay_share=0.3)
    assert [config.learning_rate_at(step) for step in (1, 50, 71)] == [1.0, 1.0, 1.0]
    assert [round(config.learning_rate_at(step), 6) for step in (72, 86, 100)] == [0.966667, 0.5, 0.033333]
    assert {RunConfig(steps=5, learning_rate=2.0).learning_rate_at(step) for step in range(1, 6)} == {2.0}
    assert RunConfig(steps=4, learning_rate=1.0, decay_share=1.0).learning_rate_at(1) == 1.0


def test_a_saved_run_reads_back_the_same(tmp_path):
    config = load_run_config("demo", seed=3, data=["x"])
    config.save(tmp_path)
    assert load_run_config(str(tmp_path / "run.yaml")) == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps must be at least 1, found 0"),
        ({"keep_checkpoints": 1}, "keep_checkpoints must be at least 2"),
        ({"objective": "hubert"}, "objective must be one of"),
        ({"mixed_precision": "int8"}, "mixed_precision must be"),
        ({"held_out_subjects": 1}, "held_out_subjects must be 0, or at least 2"),
        ({"model": {"preset": "huge"}}, "preset must be one of"),
        ({"decay_share": 1.5}, "decay_share must lie between 0 and 1"),
        ({"viewers": 1}, "viewers must be at least 2, found 1"),
        ({"clips": 1}, "clips must be 0, or at least 2"),
        ({"seed": -1}, "seed must not be negative, found -1"),
        ({"steps": "many"}, "steps must be of type int, found 'many'"),
        ({"steps": {"x": 1}}, "steps must be of type int"),
        ({"trackers": "tensorboard"}, "trackers must be of type tuple, found 'tensorboard'"),
        ({"learning_rate": "fast"}, "learning_rate must be of type float"),
        ({"stepps": 5}, r"unknown settings \['stepps'\]"),
    ],
)
def test_refusals_name_the_setting_and_the_value(changes, message):
    with pytest.raises(ConfigurationError, match=message):
        load_run_config("demo", **changes)


@pytest.mark.parametrize(
    ("model", "message"),
    [({"hidden": 5}, r"no field \['hidden'\]"), ({"hidden_size": 33}, "not a multiple"), ({"block": "x"}, "block")],
)
def test_model_settings_are_checked(model, message):
    with pytest.raises(ConfigurationError, match=message):
        load_run_config("demo", model=model).model_config()


def test_unknown_sources_list_the_presets(tmp_path):
    with pytest.raises(ConfigurationError, match="demo, paper"):
        load_run_config("nothing")
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(ConfigurationError, match="not a mapping"):
        load_run_config(str(tmp_path / "list.yaml"))


def test_settings_from_the_command_line():
    assert parse_setting("steps=50") == {"steps": 50}
    assert parse_setting("model.block=released") == {"model": {"block": "released"}}
    assert parse_setting("learning_rate=1.0e-3") == {"learning_rate": 1e-3}
    assert load_run_config("demo", **parse_setting("learning_rate=5e-4")).learning_rate == 5e-4
    with pytest.raises(ConfigurationError, match="not key=value"):
        parse_setting("steps")
    with pytest.raises(ConfigurationError, match="is not YAML"):
        parse_setting("steps=[1")


def test_the_key_covers_all_that_changes_the_weights():
    config = RunConfig()
    for field in dataclasses.fields(RunConfig):
        if field.name in ("seed", "steps", "learning_rate", "pairs_per_dataset", "held_out_subjects"):
            changed = dataclasses.replace(config, **{field.name: getattr(config, field.name) * 2 + 2})
            assert changed.key(1) != config.key(1), field.name
    assert config.key(1) != config.key(2)
    assert config.key(1, ["a"]) != config.key(1, ["b"])
    assert dataclasses.replace(config, output_dir="elsewhere", num_workers=4).key(1) == config.key(1)
