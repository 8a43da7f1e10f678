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
    assert (model.block, model.covariance, model.cda_weight, config.departures) == ("mlla", "true", 0.01, ())


#: Words that stand for a setting among the departures. The others say how a run is watched and kept, not what it is.
DEPARTURES = {
    "model": "preset tiny",
    "steps": "650 steps instead of 20,480",
    "learning_rate": "learning rate 3e-3 instead of 5e-4",
    "adam_betas": "second beta 0.98 instead of 0.999",
    "datasets_per_step": "two of the four datasets in every step",
}
WATCHING = {
    "name",
    "departures",
    "num_workers",
    "steps_per_epoch",
    "log_steps",
    "eval_steps",
    "checkpoint_steps",
    "keep_checkpoints",
}


def test_the_demo_names_every_departure_from_the_paper():
    demo, paper = load_run_config("demo"), load_run_config("paper")
    text = "\n".join(demo.departures)
    differing = {
        field.name for field in dataclasses.fields(RunConfig) if getattr(demo, field.name) != getattr(paper, field.name)
    }
    assert differing - WATCHING == set(DEPARTURES)
    assert all(words in text for words in DEPARTURES.values())
    assert (demo.steps, demo.learning_rate, demo.adam_betas, demo.datasets_per_step) == (650, 3e-3, (0.9, 0.98), 2)
    assert demo.model == {"preset": "tiny", "contrastive_temperature": 0.2, "ffn_norm": False}
    assert "temperature 0.2 instead of 0.07" in text and "no LayerNorm before the feed-forward" in text
    assert demo.model_config().block == "mlla"


def test_replaced_settings_of_the_method_are_departures_too(tmp_path):
    demo = load_run_config("demo")
    changed = load_run_config("demo", steps=9, learning_rate=3e-3, model={"hidden_size": 16, "preset": "tiny"})
    assert changed.departures[:-1] == demo.departures
    assert changed.departures[-1].endswith(": model.hidden_size=16, steps=9")
    changed.save(tmp_path)
    again = load_run_config(str(tmp_path / "run.yaml"), output_dir="elsewhere", adam_betas=[0.9, 0.98])
    assert again.departures == changed.departures
    (line,) = load_run_config("paper", steps=9, pairs_per_dataset=1).departures
    assert line.endswith(": steps=9")
    (tmp_path / "few.yaml").write_text("steps: 9\n")
    few = load_run_config(str(tmp_path / "few.yaml"), model={"hidden_size": 16}, masked={}, adam_betas=(0.9, 0.999))
    assert [line.split(": ")[1] for line in few.departures] == ["model.hidden_size=16"]
    assert load_run_config("paper", seed=3, data=["a"], compile=True, eval_steps=7).departures == ()


def test_overrides_replace_and_groups_merge(tmp_path):
    config = load_run_config("demo", seed=7, data=["a", "b"], model={"hidden_size": 16}, steps=None)
    assert (config.seed, config.data, config.steps) == (7, ("a", "b"), load_run_config("demo").steps)
    assert config.model["preset"] == "tiny" and config.model_config().hidden_size == 16


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
