"""The configuration: what it derives, refuses and writes."""

import json

import pytest
from huggingface_hub.errors import StrictDataclassError

from mdjpt_hf import (
    MDJPTConfig,
    MDJPTFeatureExtractor,
    MDJPTForPreTraining,
    MDJPTForSequenceClassification,
    MDJPTModel,
)
from mdjpt_hf.modeling import configuration_mdjpt, feature_extraction_mdjpt, modeling_mdjpt
from mdjpt_hf.modeling.configuration_mdjpt import AUTO_MAP, FORMAT_VERSION, PRESETS

SMALL = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8, "feature_size": 2, "dilations": [1]}

#: One value per field that is not its default.
CHANGED = {
    "sampling_rate": 200,
    "window_seconds": 4.5,
    "num_channels": 30,
    "patch_length": 40,
    "patch_stride": 7,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "intermediate_size": 50,
    "feature_size": 11,
    "spatial_channels": 13,
    "filters_per_feature": 5,
    "dilations": (2, 4),
    "filter_taps": 5,
    "map_attention_kernel": 9,
    "map_attention_pool": 8,
    "projector_pool": 10,
    "block": "released",
    "covariance": "released",
    "ffn_norm": False,
    "contrastive_temperature": 0.2,
    "cda_weight": 1,
    "isa_weight": 0,
    "isa_pairs": "all",
    "max_clusters": (7, 9),
    "token_samples": 50,
    "masked_weight": 2,
    "unmasked_weight": 0.5,
    "group_norm_eps": 0.5,
    "attention_eps": 0.25,
    "group_mode": "window",
    "classifier_hidden_sizes": (16,),
    "classifier_dropout": 0,
    "standardised_head": False,
    "streaming": {"context_seconds": 10.0, "decay": 0.9, "smoothing_windows": 3},
    "package_version": "9.9",
}


def test_every_number_of_the_paper():
    config = MDJPTConfig()
    assert (config.window_samples, config.num_tokens(625), config.num_maps) == (625, 99, 512)
    assert config.min_pretraining_samples == 566
    assert (config.hidden_size, config.num_attention_heads, config.num_hidden_layers) == (128, 8, 2)
    assert (config.patch_length, config.patch_stride, config.feature_size) == (32, 6, 32)
    assert (config.num_channels, config.spatial_channels) == (60, 64)
    assert (config.dilations, config.map_attention_kernel, config.map_attention_pool) == ([1, 3, 6, 12], 15, 15)
    assert (config.contrastive_temperature, config.cda_weight) == (0.07, 0.01)
    assert (config.isa_weight, config.max_clusters) == (1.0, [])
    assert (config.group_norm_eps, config.attention_eps) == (1e-3, 1e-5)
    assert (config.block, config.covariance, config.ffn_norm) == ("mlla", "true", True)


@pytest.mark.parametrize(("samples", "tokens"), [(32, 1), (37, 1), (38, 2), (125, 16), (566, 90), (624, 99), (625, 99)])
def test_number_of_tokens(samples, tokens):
    assert MDJPTConfig().num_tokens(samples) == tokens


@pytest.mark.parametrize("overrides", [{}, {"filter_taps": 5}, {"projector_pool": 4, "patch_stride": 9}])
def test_shortest_pretraining_window_leaves_two_tokens(overrides):
    config = MDJPTConfig(**overrides)

    def left(samples):
        return config.num_tokens(samples) // config.projector_pool - 2 * (config.filter_taps - 1)

    assert left(config.min_pretraining_samples) == 2 and left(config.min_pretraining_samples - 1) == 1


def test_samples_of_a_window_are_whole():
    assert MDJPTConfig(window_seconds=5).window_samples == 625
    assert MDJPTConfig(window_seconds=1.001).window_samples == 125


def test_presets():
    assert MDJPTConfig.preset("base").to_dict() == MDJPTConfig().to_dict()
    tiny = MDJPTConfig.preset("tiny")
    assert {name: getattr(tiny, name) for name in PRESETS["tiny"]} == PRESETS["tiny"]
    assert MDJPTConfig.preset("tiny", patch_stride=9, num_labels=5).patch_stride == 9
    for name in PRESETS:
        preset = MDJPTConfig.preset(name)
        assert preset.min_pretraining_samples <= preset.window_samples
    tiny.dilations.append(99)
    assert 99 not in MDJPTConfig.preset("tiny").dilations  # presets are not shared by reference
    with pytest.raises(ValueError, match="unknown preset 'huge'; choose one of base, fast, tiny"):
        MDJPTConfig.preset("huge")


def test_tuples_become_lists():
    config = MDJPTConfig(dilations=(1, 2), classifier_hidden_sizes=())
    assert config.dilations == [1, 2] and config.classifier_hidden_sizes == []
    assert type(MDJPTConfig().dilations) is type(MDJPTConfig().classifier_hidden_sizes) is list


def test_every_field_survives_json(tmp_path):
    fields = set(MDJPTConfig.own_fields())
    assert set(CHANGED) | {"format_version"} == fields  # of which there is only one yet
    config = MDJPTConfig(**CHANGED, num_labels=7)
    config.save_pretrained(tmp_path)
    loaded = MDJPTConfig.from_pretrained(tmp_path)
    defaults = MDJPTConfig()
    for name, value in CHANGED.items():
        wanted = list(value) if isinstance(value, tuple) else value
        assert getattr(loaded, name) == wanted != getattr(defaults, name)
    assert loaded.num_labels == 7
    bookkeeping = {"_name_or_path", "transformers_version"}
    assert {k: v for k, v in loaded.to_dict().items() if k not in bookkeeping} == {
        k: v for k, v in config.to_dict().items() if k not in bookkeeping
    }


def test_the_file_says_what_wrote_it(tmp_path):
    MDJPTConfig(package_version="1.2.3").save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())
    assert (saved["model_type"], saved["format_version"], saved["package_version"]) == (
        "mdjpt",
        FORMAT_VERSION,
        "1.2.3",
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("block", "mamba"),
        ("covariance", "False"),
        ("group_mode", "batch"),
        ("num_channels", 0),
        ("patch_length", 0),
        ("patch_stride", -1),
        ("hidden_size", 0),
        ("num_hidden_layers", 0),
        ("num_attention_heads", 0),
        ("num_attention_heads", 7),
        ("intermediate_size", 0),
        ("feature_size", 0),
        ("spatial_channels", 0),
        ("filters_per_feature", 0),
        ("sampling_rate", 0),
        ("filter_taps", 2),
        ("filter_taps", -1),
        ("map_attention_kernel", 0),
        ("map_attention_pool", 0),
        ("projector_pool", 0),
        ("dilations", []),
        ("dilations", [1, 0]),
    ],
)
def test_impossible_values_are_refused(field, value):
    with pytest.raises(StrictDataclassError, match=field) as refused:
        MDJPTConfig(**{field: value})
    assert isinstance(refused.value.__cause__, ValueError)  # our own words, not an accident of arithmetic


@pytest.mark.parametrize(
    ("field", "value"), [("num_channels", 60.0), ("block", None), ("dilations", "1"), ("ffn_norm", "yes")]
)
def test_values_of_the_wrong_type_are_refused(field, value):
    with pytest.raises((StrictDataclassError, TypeError), match=field):
        MDJPTConfig(**{field: value})


@pytest.mark.parametrize("model_class", [None, MDJPTModel, MDJPTForPreTraining, MDJPTForSequenceClassification])
def test_every_saved_config_lists_every_auto_class(tmp_path, model_class):
    config = MDJPTConfig(**SMALL)
    (config if model_class is None else model_class(config)).save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["auto_map"] == AUTO_MAP


def test_auto_map_names_classes_that_exist():
    modules = {
        module.__name__.rsplit(".", 1)[1]: module
        for module in (configuration_mdjpt, feature_extraction_mdjpt, modeling_mdjpt)
    }
    found = {auto: getattr(modules[path.split(".")[0]], path.split(".")[1]) for auto, path in AUTO_MAP.items()}
    assert found == {
        "AutoConfig": MDJPTConfig,
        "AutoModel": MDJPTModel,
        "AutoModelForPreTraining": MDJPTForPreTraining,
        "AutoModelForSequenceClassification": MDJPTForSequenceClassification,
        "AutoFeatureExtractor": MDJPTFeatureExtractor,
    }


def test_an_auto_map_that_came_with_a_checkpoint_is_kept():
    config = MDJPTConfig(auto_map={"AutoConfig": "user/repo--configuration_mdjpt.MDJPTConfig"})
    assert list(config.auto_map) == ["AutoConfig"]
    first, second = MDJPTConfig(), MDJPTConfig()
    assert first.auto_map == AUTO_MAP and first.auto_map is not second.auto_map


@pytest.mark.parametrize(
    ("streaming", "message"),
    [
        ({}, "streaming must hold context_seconds, decay, smoothing_windows"),
        ("yes", "streaming must hold|Type"),
        ({"context_seconds": 15, "decay": 0.99, "smoothing_windows": 0}, "smoothing_windows must lie between"),
        ({"context_seconds": 15, "decay": float("nan"), "smoothing_windows": 5}, "decay must lie between"),
        ({"context_seconds": 1e9, "decay": 0.99, "smoothing_windows": 5}, "context_seconds must lie between"),
        ({"context_seconds": 15, "decay": 0.99, "smoothing_windows": 5, "code": "x"}, "streaming must hold"),
    ],
)
def test_settings_of_live_use_that_are_none(streaming, message):
    with pytest.raises(Exception, match=message):
        MDJPTConfig(streaming=streaming)
