"""The masked network: its parts, loss and heads, and the tools it has to work with."""

import json
import os
import subprocess
import sys
import textwrap

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModel,
    AutoModelForPreTraining,
    AutoModelForSequenceClassification,
)

from mdjpt_hf import (
    MaskedEEGConfig,
    MaskedEEGForPreTraining,
    MaskedEEGForSequenceClassification,
    MaskedEEGModel,
    MDJPTFeatureExtractor,
)
from mdjpt_hf.errors import SignalError
from mdjpt_hf.modeling.configuration_masked_eeg import PRESETS
from mdjpt_hf.modeling.masked_prediction_mdjpt import masked_prediction
from mdjpt_hf.training.ways import recompute_activations

#: Small, with sizes that all differ; 2 s are 10 tokens.
SIZES = {
    "spatial_filters": 5,
    "filters_per_source": 3,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 20,
    "initializer_range": 0.2,
    "intermediate_layer": 2,
    "max_clusters": [4, 7],
    "classifier_hidden_sizes": [9, 8],
}


def build(model_class, **overrides):
    torch.manual_seed(0)
    return model_class(MaskedEEGConfig(**{**SIZES, **overrides})).eval()


def windows(count=3, samples=250, seed=0):
    return torch.randn(count, 60, samples, generator=torch.Generator().manual_seed(seed))


def targets(count=3, tokens=10, clusters=(4, 7), seed=1):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.stack([torch.randint(0, size, (count, tokens), generator=generator) for size in clusters], dim=-1)
    mask = torch.rand(count, tokens, generator=generator) < 0.5
    return {"labels": labels, "token_mask": mask}


# Sizes and shapes


def test_base_has_at_most_ten_million_parameters_and_presets_run():
    assert MaskedEEGForPreTraining(MaskedEEGConfig.preset("base")).num_parameters() == 7_076_772
    for preset in PRESETS:
        config = MaskedEEGConfig.preset(preset)
        found = MaskedEEGForPreTraining(config)(windows(2, 625), **targets(2, 25, config.max_clusters))
        assert found.loss.isfinite() and len(found.logits) == 3
        assert found.logits[2].shape == (2, 25, config.max_clusters[2])


@torch.no_grad()
@pytest.mark.parametrize("seconds", [2, 5.1, 30])
def test_windows_of_two_to_thirty_seconds(seconds):
    found = build(MaskedEEGModel)(windows(2, round(seconds * 125)), output_hidden_states=True)
    tokens = int(seconds / 0.2 + 1e-9)
    assert found.last_hidden_state.shape == found.intermediate_state.shape == (2, tokens, 24)
    assert found.pooler_output.shape == (2, 48) == (2, MaskedEEGConfig(**SIZES).pooled_size)
    assert len(found.hidden_states) == 4
    means = torch.cat([found.intermediate_state.mean(dim=1), found.last_hidden_state.mean(dim=1)], dim=1)
    torch.testing.assert_close(found.pooler_output, means)


@torch.no_grad()
def test_a_window_does_not_depend_on_its_batch_and_the_extractors_keys_are_ignored():
    model, batch = build(MaskedEEGModel), windows(9)
    together = model(batch, group_ids=torch.zeros(9), window_onsets=torch.arange(9.0)).pooler_output
    for size in (1, 4):
        parts = torch.cat([model(part).pooler_output for part in batch.split(size)])
        torch.testing.assert_close(parts, together, rtol=0, atol=1e-5)
        torch.testing.assert_close(model.encode_recording(batch, batch_size=size), together, rtol=0, atol=1e-5)
    extracted = MDJPTFeatureExtractor()(
        torch.randn(4, 1500).numpy(), ["F3", "F4", "O1", "O2"], 250, return_tensors="pt"
    )
    assert model(**extracted).pooler_output.shape == (len(extracted["input_values"]), 48)


@pytest.mark.parametrize("shape", [(2, 59, 250), (2, 60, 124), (60, 250)])
def test_windows_of_a_wrong_shape_are_refused(shape):
    with pytest.raises(SignalError, match=r"input_values must have shape \(batch, 60, at least 125 samples\)"):
        build(MaskedEEGModel)(torch.zeros(shape))


@torch.no_grad()
def test_context_reaches_both_ways_and_positions_count():
    model, batch = build(MaskedEEGModel), windows(1)
    tokens = model.embed(batch)
    base = model(inputs_embeds=tokens).last_hidden_state
    for changed in (0, 9):
        other = tokens.clone()
        other[:, changed] += 1
        moved = (model(inputs_embeds=other).last_hidden_state - base).abs().amax(dim=(0, 2))
        assert (moved > 1e-6).all()
    turned = model(inputs_embeds=tokens.flip(1)).last_hidden_state.flip(1)
    assert (turned - base).abs().max() > 1e-4, "positions make no difference"


@torch.no_grad()
def test_tokens_are_power_and_mean_of_filters():
    """The tokeniser against loops over windows, sources, filters and samples."""
    model = build(MaskedEEGModel)
    config, parts, window = model.config, model.tokenizer, windows(1)[0].double()
    sources = parts.spatial.weight[:, :, 0].double() @ window
    padded = torch.nn.functional.pad(sources, (25, 25))
    powers, means = torch.zeros(15, 10), torch.zeros(15, 10)
    for filter_ in range(15):
        taps = parts.temporal.weight[filter_, 0].double()
        for token in range(10):
            starts = [token * 25 + 5 * k for k in range(5)]
            outputs = torch.stack([(padded[filter_ // 3, s : s + 51] * taps).sum() for s in starts])
            powers[filter_, token] = torch.log(outputs.square().mean() + config.power_floor)
            means[filter_, token] = outputs.mean()
    wanted = parts.projection(torch.cat([powers, means]).T)
    torch.testing.assert_close(model.embed(window[None].float())[0], wanted, rtol=1e-4, atol=1e-4)


# The loss


def slow_loss(scores, labels, mask, unmasked):
    total = weight = right = hidden = 0.0
    for window in range(labels.shape[0]):
        for token in range(labels.shape[1]):
            probabilities = torch.softmax(scores[window, token], dim=0)
            own = 1.0 if mask[window, token] else unmasked
            total -= own * torch.log(probabilities[labels[window, token]]).item()
            weight += own
            if mask[window, token]:
                hidden += 1
                right += float(scores[window, token].argmax() == labels[window, token])
    return total / weight, right / hidden


@pytest.mark.parametrize("unmasked", [0.0, 0.3])
def test_the_loss_is_what_a_slow_version_gives(unmasked):
    given = targets()
    scores = [torch.randn(3, 10, size, generator=torch.Generator().manual_seed(size)) for size in (4, 7)]
    losses, accuracies = masked_prediction(scores, given["labels"], given["token_mask"], unmasked)
    for g in range(2):
        loss, accuracy = slow_loss(scores[g], given["labels"][..., g], given["token_mask"], unmasked)
        assert losses[g].item() == pytest.approx(loss, rel=1e-5)
        assert accuracies[g].item() == pytest.approx(accuracy)


@torch.no_grad()
def test_both_layers_and_all_granularities_make_the_loss():
    model = build(MaskedEEGForPreTraining, intermediate_weight=0.3, unmasked_weight=0.1)
    given = targets()
    found = model(windows(), **given)
    tokens = torch.where(given["token_mask"][..., None], model.mask_embedding, model.masked_eeg.embed(windows()))
    encoded = model.masked_eeg(inputs_embeds=tokens)
    parts = []
    for states in (encoded.last_hidden_state, encoded.intermediate_state):
        scores = [head(states) for head in model.heads]
        parts.append([slow_loss(scores[g], given["labels"][..., g], given["token_mask"], 0.1)[0] for g in range(2)])
    assert found.masked_losses.tolist() == pytest.approx(parts[0], rel=1e-4)
    assert found.intermediate_losses.tolist() == pytest.approx(parts[1], rel=1e-4)
    assert found.loss.item() == pytest.approx((sum(parts[0]) / 2 + 0.3 * sum(parts[1]) / 2) / 1.3, rel=1e-4)


@torch.no_grad()
def test_what_is_hidden_cannot_be_seen():
    """Replacing a hidden token's embedding by any other changes nothing; a shown token's does."""
    model, given = build(MaskedEEGForPreTraining), targets()
    tokens = model.masked_eeg.embed(windows())
    results = []
    for noise in (0, 5):
        changed = tokens + noise * given["token_mask"][..., None]
        model.masked_eeg.embed = lambda _, changed=changed: changed
        results.append(model(windows(), **given).loss)
    assert torch.equal(*results)
    model.masked_eeg.embed = lambda _: tokens + 5 * ~given["token_mask"][..., None]
    assert not torch.equal(model(windows(), **given).loss, results[0])


@torch.no_grad()
def test_renewed_heads_know_only_the_clusters_there_are():
    model = build(MaskedEEGForPreTraining)
    before = [head.weight.clone() for head in model.heads]
    model.heads.renew([3, 5])
    found = model(windows())
    assert found.loss is None and model.heads.counts.tolist() == [3, 5]
    for logits, count in zip(found.logits, (3, 5), strict=True):
        assert logits[..., :count].isfinite().all() and (logits[..., count:] == float("-inf")).all()
    assert not any(torch.equal(old, head.weight) for old, head in zip(before, model.heads, strict=True))


@pytest.mark.parametrize("model_class", [MaskedEEGForPreTraining, MaskedEEGForSequenceClassification])
def test_gradients_reach_every_parameter(model_class):
    model = build(model_class, num_labels=3, classifier_dropout=0).double().train()
    given = targets() if model_class is MaskedEEGForPreTraining else {"labels": torch.tensor([0, 2, -1])}
    model(windows().double(), **given).loss.backward()
    largest = {name: 0.0 if p.grad is None else p.grad.abs().max().item() for name, p in model.named_parameters()}
    floor = 1e-9 * max(largest.values())
    assert {name: size for name, size in largest.items() if not size > floor} == {}


def test_problem_types():
    losses = []
    for problem, labels in (
        ("single_label_classification", torch.tensor([0, 2, 1])),
        ("multi_label_classification", torch.ones(3, 3)),
        ("regression", torch.rand(3, 3)),
    ):
        losses.append(build(MaskedEEGForSequenceClassification, num_labels=3, problem_type=problem)(windows(), labels))
    assert all(found.loss.isfinite() and found.logits.shape == (3, 3) for found in losses)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hidden_size": 25}, "not an even multiple"),
        ({"filter_length": 50}, "must be odd"),
        ({"filter_stride": 4}, "does not divide"),
        ({"intermediate_layer": 3}, "between 1 and num_hidden_layers - 1 = 2"),
        ({"max_clusters": [1]}, "at least 2"),
        ({"unmasked_weight": -1.0}, "must not be negative"),
        ({"token_samples": 0}, "at least 1"),
    ],
)
def test_configurations_that_cannot_be_built_are_refused(fields, message):
    with pytest.raises(Exception, match=message):
        MaskedEEGConfig(**{**SIZES, **fields})


# Tools


@torch.no_grad()
def test_eager_and_sdpa_attention_agree_and_weights_can_be_had():
    model = build(MaskedEEGModel)
    wanted = model(windows()).last_hidden_state
    model.set_attn_implementation("eager")
    found = model(windows(), output_attentions=True)
    torch.testing.assert_close(found.last_hidden_state, wanted, rtol=1e-4, atol=1e-5)
    assert len(found.attentions) == 3 and found.attentions[0].shape == (3, 2, 10, 10)


def test_compiled_whole_and_equal():
    model = build(MaskedEEGForPreTraining)
    compiled, results = torch.compile(model, backend="aot_eager", fullgraph=True), []
    for forward in (model, compiled):
        model.zero_grad()
        loss = forward(windows(), **targets()).loss
        loss.backward()
        results.append({"loss": loss.detach()} | {name: p.grad.clone() for name, p in model.named_parameters()})
    for name, wanted in results[0].items():
        torch.testing.assert_close(results[1][name], wanted, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_exported_with_any_batch_size():
    model, shapes = build(MaskedEEGModel), {"input_values": {0: torch.export.Dim("batch", min=1, max=512)}}
    example = {"input_values": windows(3)}
    exported = torch.export.export(model, (), example, dynamic_shapes=shapes).module()
    for count in (1, 2, 9):
        found = exported(input_values=windows(count))["pooler_output"]
        torch.testing.assert_close(found, model(windows(count)).pooler_output, rtol=1e-5, atol=1e-5)


def test_activation_checkpointing_changes_no_gradient():
    gradients = []
    for checkpointed in (False, True):
        model = build(MaskedEEGForPreTraining).train()
        if checkpointed:
            recompute_activations(model)
            assert all(layer.gradient_checkpointing for layer in model.masked_eeg.layers)
        model(windows(), **targets()).loss.backward()
        gradients.append([p.grad for p in model.parameters()])
    assert all(torch.equal(plain, checkpointed) for plain, checkpointed in zip(*gradients, strict=True))


def test_bfloat16():
    model = build(MaskedEEGForPreTraining)
    wanted = model(windows(), **targets()).loss.item()
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model(windows(), **targets()).loss
    mixed.backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())
    pure = build(MaskedEEGForPreTraining).to(torch.bfloat16)(windows().bfloat16(), **targets()).loss
    assert mixed.item() == pytest.approx(wanted, rel=0.02) and pure.item() == pytest.approx(wanted, rel=0.02)


# Saving: with the package, and in a process without it

STRANGER = """
    import sys

    class Absent:
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] in {"mdjpt_hf", "modeling", "mne"}:
                raise ModuleNotFoundError(name)

    sys.meta_path.insert(0, Absent())
    import torch
    import transformers

    folder, trusted = sys.argv[1], {"trust_remote_code": True}
    given, outputs = torch.load(folder + "/given.pt"), {}
    for name in ("AutoModel", "AutoModelForPreTraining", "AutoModelForSequenceClassification"):
        model, info = getattr(transformers, name).from_pretrained(folder, output_loading_info=True, **trusted)
        assert type(model).__module__.startswith("transformers_modules.")
        outputs[name + ".missing"] = sorted({key.split(".")[0] for key in info["missing_keys"]})
        with torch.no_grad():
            found = model.eval()(given["windows"])
        outputs[name] = found["pooler_output"] if name == "AutoModel" else found["logits"]
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder, **trusted)
    outputs["rate"] = extractor.sampling_rate
    assert not {"mdjpt_hf", "modeling", "mne"} & {name.split(".")[0] for name in sys.modules}
    torch.save(outputs, folder + "/outputs.pt")
"""


@torch.no_grad()
def test_a_saved_folder_opens_in_a_process_without_the_package(tmp_path):
    model = build(MaskedEEGForPreTraining)
    model.heads.renew([3, 5])
    model.save_pretrained(tmp_path)
    MDJPTFeatureExtractor().save_pretrained(tmp_path)
    torch.save({"windows": windows()}, tmp_path / "given.pt")
    places = {"HF_HOME": str(tmp_path / "home"), "HF_MODULES_CACHE": str(tmp_path / "modules")}
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", **places}
    command = [sys.executable, "-I", "-c", textwrap.dedent(STRANGER), str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = torch.load(tmp_path / "outputs.pt")
    torch.testing.assert_close(found["AutoModel"], model.masked_eeg(windows()).pooler_output, rtol=0, atol=1e-7)
    for loaded, wanted in zip(found["AutoModelForPreTraining"], model(windows()).logits, strict=True):
        torch.testing.assert_close(loaded, wanted, rtol=0, atol=1e-7)
    missing = [found[f"AutoModel{head}.missing"] for head in ("", "ForPreTraining", "ForSequenceClassification")]
    assert missing == [[], [], ["classifier"]] and found["rate"] == 125
    assert set(json.loads((tmp_path / "config.json").read_text())["auto_map"]) == {
        "AutoConfig",
        "AutoModel",
        "AutoModelForPreTraining",
        "AutoModelForSequenceClassification",
        "AutoFeatureExtractor",
    }


def test_with_the_package_the_auto_classes_open_any_head_from_any_other(tmp_path):
    build(MaskedEEGForSequenceClassification, num_labels=3).save_pretrained(tmp_path)
    MDJPTFeatureExtractor().save_pretrained(tmp_path)
    for auto_class, model_class in (
        (AutoModel, MaskedEEGModel),
        (AutoModelForPreTraining, MaskedEEGForPreTraining),
        (AutoModelForSequenceClassification, MaskedEEGForSequenceClassification),
    ):
        model, info = auto_class.from_pretrained(tmp_path, output_loading_info=True)
        assert type(model) is model_class and not info["unexpected_keys"]
        own = {"heads", "mask_embedding"} if model_class is MaskedEEGForPreTraining else set()
        assert {key.split(".")[0] for key in info["missing_keys"]} == own
    assert type(AutoConfig.from_pretrained(tmp_path)) is MaskedEEGConfig
    assert type(AutoFeatureExtractor.from_pretrained(tmp_path)) is MDJPTFeatureExtractor
    heads = AutoModelForPreTraining.from_pretrained(tmp_path)
    assert heads.heads.counts.tolist() == [4, 7] and heads.mask_embedding.isfinite().all()
