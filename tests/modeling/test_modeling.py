"""The models as a user meets them: gradients, batches and groups, shapes, heads and losses."""

import pytest
import torch
import torch.nn.functional as F

from mdjpt_hf import (
    MDJPTConfig,
    MDJPTForPreTraining,
    MDJPTForSequenceClassification,
    MDJPTModel,
)
from mdjpt_hf.errors import SignalError
from mdjpt_hf.modeling.configuration_mdjpt import PRESETS
from mdjpt_hf.modeling.layers_mdjpt import group_membership
from mdjpt_hf.modeling.objectives_mdjpt import cross_dataset_alignment, inter_subject_alignment

#: Small, with sizes that all differ; a window of 3.5 s is 70 samples and 16 tokens.
SIZES = {
    "sampling_rate": 20,
    "window_seconds": 3.5,
    "num_channels": 7,
    "patch_length": 10,
    "patch_stride": 4,
    "hidden_size": 12,
    "num_attention_heads": 3,
    "intermediate_size": 17,
    "feature_size": 5,
    "spatial_channels": 6,
    "filters_per_feature": 2,
    "dilations": [1, 3, 4],
    "map_attention_kernel": 4,
    "map_attention_pool": 3,
    "projector_pool": 2,
    "classifier_hidden_sizes": [9, 8],
}

#: Two datasets, each with one pair of subjects who saw two clips.
IDS = {
    "group_ids": torch.tensor([0, 0, 1, 1, 2, 2, 3, 3]),
    "dataset_ids": torch.tensor([0, 0, 0, 0, 1, 1, 1, 1]),
    "stimulus_ids": torch.tensor([0, 1, 0, 1, 0, 1, 0, 1]),
}

#: The first of them alone.
ONE_PAIR = {name: ids[:4] for name, ids in IDS.items()}


def settings(**overrides):
    return MDJPTConfig(**{**SIZES, **overrides})


def build(model_class, seed=0, **overrides):
    torch.manual_seed(seed)
    return model_class(settings(**overrides)).eval()


def windows(count, channels=7, samples=70, seed=0):
    return torch.randn(count, channels, samples, generator=torch.Generator().manual_seed(seed))


def agree(found, wanted, atol=1e-5):
    torch.testing.assert_close(found, wanted, rtol=0, atol=atol)


@pytest.fixture(scope="module")
def model():
    return build(MDJPTModel)


@pytest.fixture(scope="module")
def pretraining():
    return build(MDJPTForPreTraining)


# Parameters


@pytest.mark.parametrize("overrides", [{}, {"block": "released", "covariance": "released"}])
def test_gradients_reach_every_parameter_of_the_papers_network(overrides):
    torch.manual_seed(0)
    model = MDJPTForPreTraining(MDJPTConfig(**overrides)).double()
    model(windows(4, 60, 625).double(), **ONE_PAIR).loss.backward()
    largest = {name: p.grad.abs().max().item() for name, p in model.named_parameters() if p.grad is not None}
    assert set(largest) == {name for name, _ in model.named_parameters()}
    floor = 1e-9 * max(largest.values())
    assert {name: size for name, size in largest.items() if not size > floor} == {}


def test_parameters_of_the_papers_network():
    """754,114 in the released program; it never uses 992 of a convolution and 2 scales, and the group normalisations
    cancel the biases of two linears, 32 of the encoder's last and 128 of the last feed-forward's."""
    model = MDJPTForPreTraining(MDJPTConfig())
    assert model.num_parameters() == 754_114 - 992 - 2 - 32 - 128 == 752_960
    convolutions, norms, feed_forward = 3 * (128 * 4), 2 * 256, 128 * 256 + 256 + 256 * 128 + 128
    block = convolutions + norms + 7 * (128 * 128 + 128) + feed_forward
    by_stage = {
        "mdjpt.channel_encoder": (32 * 128 + 128) + 2 * block - 128 + 128 * 32,
        "mdjpt.spatial_projection": 64 * 60 + 64,
        "mdjpt.dynamics": 512 * (64 * 3 + 1) + 512 * (15 + 1) + 512 * 512 + 512,
        "projector": 2 * 512 * (3 + 1),
    }
    for stage, count in by_stage.items():
        assert sum(p.numel() for p in model.get_submodule(stage).parameters()) == count
    assert sum(by_stage.values()) == 752_960


def test_weights_start_uniform_within_one_over_the_root_of_the_inputs():
    model = build(MDJPTForPreTraining, seed=3)
    base = model.mdjpt
    for weight, fan_in in (
        (base.channel_encoder.read_in.weight, 10),
        (base.channel_encoder.layers[0].conv_inside.weight, 3),
        (base.spatial_projection.weight, 7),
        (base.dynamics.weight, 6 * 3),
        (base.dynamics.bias, 6 * 3),
        (base.dynamics.attention_conv.weight, 4),
        (model.projector.conv_first.bias, 3),
    ):
        assert 0.7 * fan_in**-0.5 < weight.abs().max() <= fan_in**-0.5
    assert (base.channel_encoder.layers[0].norm.weight == 1).all()


def test_initialisation_follows_the_seed():
    one, same, other = (build(MDJPTModel, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not any(
        torch.equal(one[name], other[name]) for name in one if ".norm" not in name and "ffn_norm" not in name
    )


# Batches and groups


def test_shapes(model, pretraining):
    found = model(windows(3))
    assert found.last_hidden_state.shape == (3, 16, 30)
    assert found.pooler_output.shape == (3, 30)
    assert found.channel_features.shape == (3, 5, 6, 16)
    agree(found.pooler_output, found.last_hidden_state.mean(dim=1))
    embeddings = pretraining(windows(3)).embeddings
    assert embeddings.shape == (3, 30 * (8 - 4))
    agree(embeddings.norm(dim=1), torch.ones(3))


@torch.no_grad()
@pytest.mark.parametrize("preset", list(PRESETS))
def test_presets_run(preset):
    model = MDJPTForPreTraining(MDJPTConfig.preset(preset))
    found = model(windows(4, 60, 625), **ONE_PAIR)
    assert found.loss.isfinite() and found.embeddings.isfinite().all()
    if preset == "base":
        assert found.embeddings.shape == (4, 1024)
        assert model.mdjpt(windows(1, 60, 625)).last_hidden_state.shape == (1, 99, 512)


@torch.no_grad()
def test_a_window_alone_does_not_depend_on_its_batch(model, pretraining):
    batch = windows(64)
    together = model(batch)
    for size in (1, 7):
        parts = [model(part) for part in batch.split(size)]
        for key in ("last_hidden_state", "pooler_output", "channel_features"):
            agree(torch.cat([part[key] for part in parts]), together[key])
    agree(torch.cat([pretraining(part).embeddings for part in batch.split(7)]), pretraining(batch).embeddings)
    one_each = model(batch, torch.arange(64)).pooler_output
    agree(one_each, together.pooler_output)


@torch.no_grad()
def test_order_of_the_batch_does_not_matter(model, pretraining):
    batch, groups = windows(9), torch.tensor([5, 3, 5, 5, 8, 3, 8, 5, 3])
    order = torch.tensor([4, 0, 8, 2, 7, 1, 3, 6, 5])
    for one in (model, pretraining):
        key = "pooler_output" if one is model else "embeddings"
        agree(one(batch[order], groups[order])[key], one(batch, groups)[key][order])


@torch.no_grad()
def test_groups_are_normalised_apart(model, pretraining):
    batch, groups = windows(9), torch.tensor([5, 3, 5, 5, 8, 3, 8, 5, 3])
    batch = batch * (1 + groups)[:, None, None]
    mine = groups == 5
    agree(model(batch[mine], groups[mine]).pooler_output, model(batch, groups).pooler_output[mine])
    agree(pretraining(batch[mine], groups[mine]).embeddings, pretraining(batch, groups).embeddings[mine])
    assert (model(batch, groups).pooler_output - model(batch).pooler_output).abs().max() > 1e-3


@torch.no_grad()
def test_the_projector_normalises_by_group_too(pretraining):
    batch, groups = windows(6), torch.tensor([5, 3, 5, 5, 3, 3])
    maps = pretraining.mdjpt(batch, groups).last_hidden_state.transpose(1, 2)
    found = pretraining(batch, groups).embeddings
    agree(found, pretraining.projector(maps, group_membership(groups, maps)))
    assert (found - pretraining.projector(maps, None)).abs().max() > 1e-3


@torch.no_grad()
@pytest.mark.parametrize("one", [torch.int32, torch.int64])
def test_group_numbers_mean_nothing(model, one):
    batch = windows(4)
    groups = torch.tensor([0, 1, 1, 0]), torch.tensor([-7, 2**31 - 1, 2**31 - 1, -7], dtype=one)
    agree(model(batch, groups[1]).pooler_output, model(batch, groups[0]).pooler_output)


@torch.no_grad()
@pytest.mark.parametrize("batch_size", [1, 3, 4, 10, 11])
@pytest.mark.parametrize("group_ids", [None, [40, 40, 7, 40, 7, 7, 7, 40, 40, 7]])
def test_encoding_a_recording_equals_one_forward(model, batch_size, group_ids):
    batch = windows(10) + 3 * windows(10, samples=1, seed=1)
    groups = torch.zeros(10, dtype=torch.long) if group_ids is None else torch.tensor(group_ids)
    found = model.encode_recording(batch, None if group_ids is None else groups, batch_size)
    agree(found, model(batch, groups).pooler_output)


@torch.no_grad()
def test_encoding_a_recording_with_windows_alone():
    model = build(MDJPTModel, group_mode="window")
    batch = windows(10)
    for groups in (None, torch.zeros(10, dtype=torch.long)):
        agree(model.encode_recording(batch, groups, 4), model(batch).pooler_output)


def test_encoding_a_recording_keeps_no_graph_and_refuses_wrong_shapes(model):
    assert not model.encode_recording(windows(3), batch_size=2).requires_grad
    for batch_size in (2, 9):
        with pytest.raises(SignalError, match=r"found \(\d, 8, 70\)"):
            model.encode_recording(windows(3, channels=8), batch_size=batch_size)


@pytest.mark.parametrize("ids", [None, [0], [5]])
def test_one_window_is_enough(ids):
    groups = None if ids is None else torch.tensor(ids)
    for model_class in (MDJPTModel, MDJPTForPreTraining, MDJPTForSequenceClassification):
        found = build(model_class).train()(windows(1), groups)
        assert all(part.isfinite().all() for part in found.to_tuple())
    assert build(MDJPTModel).encode_recording(windows(1), groups).isfinite().all()


@pytest.mark.parametrize("ids", [None, torch.zeros(8, dtype=torch.long)])
def test_dead_maps_give_no_nan(ids):
    model = build(MDJPTForPreTraining)
    with torch.no_grad():
        model.mdjpt.spatial_projection.bias[:3] = -1e6  # ReLU lets nothing through
        model.mdjpt.dynamics.bias[0] = -1e6
        model.projector.conv_second.bias[:9] = -1e6
    found = model(windows(8), **{**IDS, "group_ids": IDS["group_ids"] if ids is None else None})
    assert all(part.isfinite().all() for part in found.to_tuple())
    if ids is None:
        found.loss.backward()
        assert all(p.grad.isfinite().all() for p in model.parameters())


def test_a_flat_recording_gives_no_nan(pretraining):
    pretraining.zero_grad()
    found = pretraining(torch.zeros(8, 7, 70), **IDS)
    found.loss.backward()
    assert all(part.isfinite().all() for part in found.to_tuple())
    assert all(p.grad.isfinite().all() for p in pretraining.parameters())


# Shapes accepted and refused


@torch.no_grad()
@pytest.mark.parametrize("channels", [1, 2, 128])
def test_any_number_of_channels(channels):
    for model_class in (MDJPTModel, MDJPTForPreTraining):
        found = build(model_class, num_channels=channels)(windows(2, channels))
        assert all(part.isfinite().all() for part in found.to_tuple())


@torch.no_grad()
@pytest.mark.parametrize("samples", [125, 128, 625, 1250])
def test_windows_from_one_second(samples):
    config = MDJPTConfig(num_hidden_layers=1)
    for model in (MDJPTModel(config), MDJPTForSequenceClassification(config)):
        found = model(windows(1, 60, samples))
        assert all(part.isfinite().all() for part in found.to_tuple())
        with pytest.raises(SignalError, match=r"\(batch, 60, at least 125 samples\), found \(1, 60, 124\)"):
            model(windows(1, 60, 124))


@torch.no_grad()
def test_shortest_window_of_pretraining():
    model = MDJPTForPreTraining(MDJPTConfig(num_hidden_layers=1))
    assert model(windows(1, 60, 566)).embeddings.shape == (1, 1024)
    with pytest.raises(SignalError, match=r"at least 566 samples \(4.53 s\), found 565") as refused:
        model(windows(1, 60, 565))
    assert refused.value.value == 565 and refused.value.remedy


@pytest.mark.parametrize("shape", [(7, 70), (2, 1, 7, 70), (2, 6, 70), (2, 70, 7), (2, 7, 19)])
def test_wrong_shapes_are_refused(model, shape):
    with pytest.raises(SignalError, match=r"input_values must have shape \(batch, 7, at least 20 samples\)") as refused:
        model(torch.zeros(shape))
    assert refused.value.value == shape


def test_a_batch_without_windows_is_refused(model):
    with pytest.raises(SignalError, match="no window"):
        model(torch.empty(0, 7, 100))


@pytest.mark.parametrize("shape", [(1,), (3, 1), (4,)])
def test_group_ids_of_another_shape_are_refused(model, pretraining, shape):
    for one in (model, pretraining):
        with pytest.raises(SignalError, match=r"group_ids must have shape \(3,\)"):
            one(windows(3), torch.zeros(shape, dtype=torch.long))


def test_group_ids_may_be_short_integers_and_must_be_a_tensor(model):
    batch, ids = windows(3), torch.tensor([0, 0, 1])
    agree(model(batch, ids.int()).pooler_output, model(batch, ids).pooler_output)
    with pytest.raises(SignalError, match=r"group_ids must have shape \(3,\), found list"):
        model(batch, [0, 0, 1])


@torch.no_grad()
def test_other_keys_of_the_extractor_are_ignored(model, pretraining):
    batch = {"input_values": windows(2), "group_ids": torch.tensor([0, 0])}
    extended = batch | {"window_onsets": torch.tensor([0.0, 2.0])}
    for one in (model, pretraining, build(MDJPTForSequenceClassification)):
        for before, after in zip(one(**batch).to_tuple(), one(**extended).to_tuple(), strict=True):
            assert torch.equal(before, after)


# Pre-training


@torch.no_grad()
@pytest.mark.parametrize(
    "overrides", [{}, {"covariance": "released"}, {"cda_weight": 3, "contrastive_temperature": 0.5}]
)
def test_the_pretraining_loss_is_made_of_its_parts(overrides):
    model = build(MDJPTForPreTraining, **overrides)
    config, batch = model.config, windows(8)
    found = model(batch, **IDS)
    isa, terms = inter_subject_alignment(found.embeddings, *IDS.values(), config.contrastive_temperature)
    maps = model.mdjpt(batch, IDS["group_ids"]).channel_features
    agree(found.isa_loss, isa)
    agree(found.isa_terms, terms)
    agree(found.cda_loss, cross_dataset_alignment(maps, IDS["group_ids"], config.covariance))
    agree(found.loss, found.isa_loss + config.cda_weight * found.cda_loss)


@torch.no_grad()
@pytest.mark.parametrize("missing", ["group_ids", "dataset_ids", "stimulus_ids"])
def test_no_loss_without_all_ids(pretraining, missing):
    found = pretraining(windows(8), **{name: ids for name, ids in IDS.items() if name != missing})
    assert (found.loss, found.isa_loss, found.cda_loss, found.isa_terms) == (None, None, None, None)
    assert list(found.keys()) == ["embeddings"]
    assert pretraining(windows(8), **IDS, return_loss=False).loss is None


def test_wrong_pairs_are_refused(pretraining):
    with pytest.raises(ValueError, match="window 0 of the batch has 0 positives"):
        pretraining(windows(8), **{**IDS, "stimulus_ids": torch.arange(8)})


def test_a_few_steps_of_pretraining_lower_the_loss():
    model = build(MDJPTForPreTraining).train()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(10):
        loss = model(windows(8), **IDS).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


# Classification


def classify(labels, **overrides):
    model = build(MDJPTForSequenceClassification, **overrides)
    found = model(windows(4), labels=labels)
    assert found.logits.shape == (4, model.num_labels)
    found.loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    return found


def test_single_label_loss():
    labels = torch.tensor([2, 0, 1, 2])
    for problem in (None, "single_label_classification"):
        found = classify(labels, num_labels=3, problem_type=problem)
        agree(found.loss, F.cross_entropy(found.logits, labels))


def test_short_integer_labels_give_the_same_loss():
    model, batch = build(MDJPTForSequenceClassification).eval(), windows(2)
    labels = torch.tensor([1, 0])
    agree(model(batch, labels=labels.int()).loss, model(batch, labels=labels).loss)


def test_multi_label_loss():
    labels = torch.tensor([[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0]])
    found = classify(labels, num_labels=3, problem_type="multi_label_classification")
    agree(found.loss, F.binary_cross_entropy_with_logits(found.logits, labels.float()))


@pytest.mark.parametrize("problem", [None, "regression"])
@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_loss_of_one_rating(problem, shape):
    labels = torch.tensor([0.2, 1.0, 0.0, 0.5]).view(shape)
    found = classify(labels, num_labels=1, problem_type=problem)
    agree(found.loss, ((found.logits[:, 0] - labels.flatten()) ** 2).mean())


def test_loss_of_two_ratings():
    labels = torch.rand(4, 2, generator=torch.Generator().manual_seed(0))
    found = classify(labels, num_labels=2, problem_type="regression")
    agree(found.loss, ((found.logits - labels) ** 2).mean())
    with pytest.raises((ValueError, RuntimeError)):
        classify(labels[:, 0], num_labels=2, problem_type="regression")


@torch.no_grad()
def test_no_labels_no_loss_and_groups_reach_the_encoder():
    model = build(MDJPTForSequenceClassification, num_labels=3)
    groups = torch.tensor([0, 0, 1, 1])
    found = model(windows(4), groups)
    assert found.loss is None and list(found.keys()) == ["logits"]
    agree(found.logits, model.classifier(model.mdjpt(windows(4), groups).pooler_output))
    assert (found.logits - model(windows(4)).logits).abs().max() > 1e-5


def test_the_loss_leaves_the_configuration_alone():
    model = build(MDJPTForSequenceClassification, num_labels=3)
    model(windows(2), labels=torch.tensor([0, 1]))
    assert model.config.problem_type is None


def test_head_has_the_sizes_and_the_dropout_of_the_configuration():
    model = build(MDJPTForSequenceClassification, num_labels=3, classifier_dropout=0.9).train()
    assert [layer.out_features for layer in model.classifier if hasattr(layer, "out_features")] == [9, 8, 3]
    assert not torch.equal(model(windows(2)).logits, model(windows(2)).logits)
    linear = build(MDJPTForSequenceClassification, classifier_hidden_sizes=[])
    assert len(linear.classifier) == 1 and linear(windows(2)).logits.shape == (2, 2)


# Loading one head from another's checkpoint


def load(model_class, folder, **options):
    return model_class.from_pretrained(folder, output_loading_info=True, **options)


def test_only_heads_are_missing(tmp_path, pretraining):
    pretraining.save_pretrained(tmp_path)
    for model_class, head in (
        (MDJPTForPreTraining, None),
        (MDJPTModel, None),
        (MDJPTForSequenceClassification, "classifier."),
    ):
        loaded, info = load(model_class, tmp_path)
        assert not info["mismatched_keys"] and not info.get("error_msgs")
        assert all(head and name.startswith(head) for name in info["missing_keys"])
        assert not info["unexpected_keys"]  # another head's weights are expected, and not worth a warning
        assert bool(info["missing_keys"]) == bool(head)
        base = loaded if model_class is MDJPTModel else loaded.mdjpt
        for name, weight in pretraining.mdjpt.state_dict().items():
            assert torch.equal(base.state_dict()[name], weight)
        assert not loaded.training


def test_heads_open_a_checkpoint_of_the_base(tmp_path, model):
    model.save_pretrained(tmp_path)
    for model_class, head in ((MDJPTForPreTraining, "projector."), (MDJPTForSequenceClassification, "classifier.")):
        loaded, info = load(model_class, tmp_path)
        assert info["missing_keys"] and all(name.startswith(head) for name in info["missing_keys"])
        assert not info["unexpected_keys"]
        assert all(p.isfinite().all() and p.abs().max() <= 1 for p in loaded.parameters())
        assert torch.equal(loaded.mdjpt(windows(2)).pooler_output, model(windows(2)).pooler_output)


def test_other_number_of_classes(tmp_path):
    build(MDJPTForSequenceClassification, num_labels=3).save_pretrained(tmp_path)
    loaded, info = load(MDJPTForSequenceClassification, tmp_path, num_labels=5, ignore_mismatched_sizes=True)
    assert {entry[0] for entry in info["mismatched_keys"]} == {"classifier.6.weight", "classifier.6.bias"}
    assert loaded(windows(2)).logits.shape == (2, 5) and loaded(windows(2)).logits.isfinite().all()


def test_unknown_classes_and_ratings_are_left_out_of_the_loss():
    classifier = build(MDJPTForSequenceClassification, num_labels=3).eval()
    values, labels = windows(4), torch.tensor([0, -1, 1, -1])
    known_only = classifier(values[::2], labels=labels[::2]).loss
    assert torch.allclose(classifier(values, labels=labels).loss, known_only, atol=1e-6)
    regressor = build(MDJPTForSequenceClassification, num_labels=2, problem_type="regression").eval()
    ratings = torch.rand(4, 2)
    ratings[1, 0] = float("nan")
    known = ~ratings.isnan()
    expected = (regressor(values).logits[known] - ratings[known]).square().mean()
    assert torch.allclose(regressor(values, labels=ratings).loss, expected)
