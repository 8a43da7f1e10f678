"""Settings far beyond sense are refused when they are read, by name."""

import json

import pytest
from transformers import AutoConfig, AutoFeatureExtractor

from mdjpt_hf import MaskedEEGConfig, MDJPTConfig, MDJPTFeatureExtractor

NAN, INFINITY = float("nan"), float("inf")
BOTH = [
    ("window_seconds", -5.0),
    ("window_seconds", NAN),
    ("window_seconds", 1e9),
    ("sampling_rate", 1),
    ("sampling_rate", 10**9),
    ("num_hidden_layers", 10**7),
    ("hidden_size", 2**40),
    ("classifier_hidden_sizes", [2**40]),
    ("classifier_hidden_sizes", [8] * 1000),
    ("classifier_dropout", NAN),
    ("max_clusters", [10**12]),
    ("unmasked_weight", INFINITY),
    ("format_version", 99),
    ("format_version", 0),
    ("num_labels", 10**9),
]
OWN = {
    MDJPTConfig: [
        ("group_norm_eps", NAN),
        ("group_norm_eps", -1.0),
        ("attention_eps", INFINITY),
        ("contrastive_temperature", NAN),
        ("dilations", [10**9]),
        ("projector_pool", 10**9),
        ("feature_size", 10**9),
    ],
    MaskedEEGConfig: [
        ("rms_norm_eps", NAN),
        ("power_floor", NAN),
        ("initializer_range", NAN),
        ("spatial_filters", 10**9),
    ],
}


@pytest.mark.parametrize(("kind", "field", "value"), [(kind, *one) for kind in OWN for one in BOTH + OWN[kind]])
def test_absurd_settings_of_a_network_are_refused_by_name(tmp_path, kind, field, value):
    kind().save_pretrained(tmp_path)
    content = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**content, field: value}))
    with pytest.raises(Exception, match=field):  # the strict dataclasses of the Hub's client wrap what is raised
        AutoConfig.from_pretrained(tmp_path)


@pytest.mark.parametrize("kind", OWN)
def test_a_network_too_large_for_any_machine_is_refused(kind):
    with pytest.raises(Exception, match="weights"):
        kind.preset("base", hidden_size=16384, intermediate_size=65536, num_hidden_layers=512)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("window_seconds", value) for value in (-5.0, NAN, INFINITY, 1e9, "5", True)),
        *(("stride_seconds", value) for value in (0, NAN, 1e-9)),
        *(("sampling_rate", value) for value in (1, 1e9, NAN, "fast")),
        *(("band", value) for value in ([NAN, 47], [0.5, 1e9], [5])),
    ],
)
def test_absurd_settings_of_an_extractor_are_refused_by_name(tmp_path, field, value):
    MDJPTFeatureExtractor().save_pretrained(tmp_path)
    content = json.loads((tmp_path / "preprocessor_config.json").read_text())
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({**content, field: value}))
    with pytest.raises(ValueError, match=field):
        AutoFeatureExtractor.from_pretrained(tmp_path)
