"""The head of every classifier: it standardises its features by itself, wherever it is used."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Trainer, TrainingArguments

from mdjpt_hf import (
    MaskedEEGConfig,
    MaskedEEGForSequenceClassification,
    MaskedEEGModel,
    MDJPTConfig,
    MDJPTForSequenceClassification,
    MDJPTModel,
)
from mdjpt_hf.modeling.task_head_mdjpt import MEMORY, TaskHead

SIZES = {"hidden_size": 8, "feature_size": 4, "spatial_channels": 6, "intermediate_size": 12}
STATISTICS = ("feature_mean", "feature_variance", "windows_seen")
FAMILIES = {
    "mdjpt": (MDJPTForSequenceClassification, MDJPTModel, MDJPTConfig.preset("tiny", **SIZES, classifier_dropout=0)),
    "masked": (
        MaskedEEGForSequenceClassification,
        MaskedEEGModel,
        MaskedEEGConfig.preset("tiny", classifier_dropout=0),
    ),
}


def windows(count, seed=0):
    return torch.randn(count, 60, 250, generator=torch.Generator().manual_seed(seed))


def features(count=400):
    """Thousandths, as pooled maps are; the last never moves."""
    values = torch.randn(count, 6, generator=torch.Generator().manual_seed(1)) * torch.tensor([1, 2, 3, 4, 5, 0.0])
    return 1e-3 * (values + 5)


def build(family, **changes):
    torch.manual_seed(0)
    model_class, _, config = FAMILIES[family]
    settings = {"id2label": None, "label2id": None, "num_labels": 3, "classifier_dropout": 0, **changes}
    return model_class(type(config)(**{**config.to_dict(), **settings})).eval()


def test_what_the_layers_see_has_mean_0_and_spread_1():
    head = TaskHead(6, (5,), 0.0, 3)
    head.fit_statistics(features())
    seen = head.standardise(features())
    torch.testing.assert_close(seen.mean(dim=0), torch.zeros(6), atol=1e-4, rtol=0)
    torch.testing.assert_close(seen.std(dim=0, correction=0), torch.tensor([1.0, 1, 1, 1, 1, 0]), atol=1e-3, rtol=0)


def test_a_feature_that_never_moved_cannot_drown_the_others():
    head = TaskHead(6, (), 0.0, 3)
    head.fit_statistics(features())
    unlike = features(1).clone()
    unlike[0, 5] += 1e-3  # as much as the others move
    assert head.standardise(unlike)[0, 5].abs() < 100


@pytest.mark.parametrize("sizes", [[64] * 6, [1] * 20, [7, 100, 3]])
def test_batches_in_training_add_up(sizes):
    head, values = TaskHead(6, (), 0.0, 2).train(), features(sum(sizes))
    for part in values.split(sizes):
        assert head(part).isfinite().all()
    torch.testing.assert_close(head.feature_mean, values.mean(dim=0), rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(head.feature_variance, values.var(dim=0, correction=0), rtol=1e-3, atol=1e-12)
    before = head.feature_mean.clone()
    head.eval()(features(5))
    assert torch.equal(head.feature_mean, before) and head.windows_seen == sum(sizes)


def test_statistics_follow_features_that_change():
    head = TaskHead(6, (), 0.0, 2).train()
    head.fit_statistics(features(5000))
    for _ in range(5 * MEMORY // 100):
        head(features(100) + 1.0)
    torch.testing.assert_close(head.feature_mean, features(100).mean(dim=0) + 1.0, rtol=0.02, atol=0)


def test_no_gradient_goes_through_the_statistics():
    head, values = TaskHead(6, (), 0.0, 2).train(), features(8).requires_grad_()
    head(values).sum().backward()
    spread = head.feature_variance.sqrt()
    wanted = head[0].weight.sum(dim=0) / torch.maximum(spread, 0.01 * head.feature_variance.mean().sqrt())
    torch.testing.assert_close(values.grad, wanted.expand(8, 6))


@pytest.mark.parametrize("family", FAMILIES)
def test_answers_do_not_depend_on_the_batch_and_survive_saving(family, tmp_path):
    model = build(family)
    model.train()(windows(16))
    model.eval()
    with torch.no_grad():
        together = model(windows(4)).logits
        alone = torch.cat([model(window[None]).logits for window in windows(4)])
        torch.testing.assert_close(alone, together, atol=1e-5, rtol=1e-4)
        model.save_pretrained(tmp_path)
        loaded, info = type(model).from_pretrained(tmp_path, output_loading_info=True)
        assert not info["missing_keys"] and loaded.config.standardised_head is True
        assert torch.equal(loaded(windows(4)).logits, together) and loaded.classifier.windows_seen == 16


@pytest.mark.parametrize("family", FAMILIES)
def test_a_classifier_of_before_answers_as_it_did(family, tmp_path):
    model = build(family)
    model.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    old = {name: value for name, value in weights.items() if not name.endswith(STATISTICS)}
    assert len(weights) - len(old) == 3
    save_file(old, tmp_path / "model.safetensors", {"format": "pt"})
    config = json.loads((tmp_path / "config.json").read_text())
    del config["standardised_head"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    loaded = type(model).from_pretrained(tmp_path)
    with torch.no_grad():
        wanted = model.classifier[-1](
            torch.relu(model.classifier[3](torch.relu(model.classifier[0](model.base_model(windows(3)).pooler_output))))
        )
        torch.testing.assert_close(loaded(windows(3)).logits, wanted, atol=1e-6, rtol=0)
    loaded.train()(windows(8))  # nor do its features change their scale when it is trained on
    assert loaded.config.standardised_head is False and loaded.classifier.windows_seen == 0
    loaded.save_pretrained(tmp_path / "again")
    assert type(model).from_pretrained(tmp_path / "again").config.standardised_head is False


@pytest.mark.parametrize("family", FAMILIES)
def test_a_new_head_on_an_encoder_standardises(family, tmp_path):
    model_class, base_class, config = FAMILIES[family]
    base_class(config).save_pretrained(tmp_path)
    model = model_class.from_pretrained(tmp_path, num_labels=2)
    model.train()(windows(8))
    assert model.config.standardised_head is True and model.classifier.windows_seen == 8
    assert (model.classifier.feature_variance < 1).all()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_answers_alike(family, dtype):
    model = build(family)
    model.train()(windows(64))
    model.eval()
    with torch.no_grad():
        features = model.base_model(windows(8)).pooler_output
        wanted = model.classifier(features)
        found = model.classifier.to(dtype)(features.to(dtype)).float()
    assert found.isfinite().all() and (found - wanted).abs().max() < 0.1 * wanted.abs().max()


class Labelled(torch.utils.data.Dataset):
    """Windows whose loudest channel says the label."""

    def __init__(self, count):
        self.values, self.labels = windows(count), torch.arange(count) % 2
        self.values[self.labels == 1, ::2] *= 3

    def __len__(self):
        return len(self.values)

    def __getitem__(self, number):
        return {"input_values": self.values[number], "labels": self.labels[number]}


def train(model, folder, **settings):
    settings |= {"per_device_train_batch_size": 8, "report_to": [], "save_strategy": "no", "disable_tqdm": True}
    arguments = TrainingArguments(folder, dataloader_pin_memory=False, **settings)
    Trainer(model, arguments, train_dataset=Labelled(32)).train()


def test_trainer_needs_nothing_but_labels(tmp_path):
    model = build("mdjpt", num_labels=2)
    model.base_model.requires_grad_(False)
    train(model, tmp_path, max_steps=60, learning_rate=3e-3)
    model.eval()
    data = Labelled(32)
    with torch.no_grad():
        found = model(data.values).logits.argmax(dim=-1)
    assert (found == data.labels).float().mean() > 0.9 and model.classifier.windows_seen == 60 * 8


def test_statistics_are_part_of_an_adapter(tmp_path):
    peft = pytest.importorskip("peft", reason="adapters need the extra [peft]")
    linear = [name for name, part in build("mdjpt").base_model.named_modules() if isinstance(part, torch.nn.Linear)]
    settings = peft.LoraConfig(task_type="SEQ_CLS", target_modules=linear, modules_to_save=["classifier"])
    model = peft.get_peft_model(build("mdjpt", num_labels=2), settings)
    train(model, tmp_path / "run", max_steps=4)
    model.save_pretrained(tmp_path / "adapter")
    opened = peft.PeftModel.from_pretrained(build("mdjpt", num_labels=2), tmp_path / "adapter").eval()
    merged = model.eval().merge_and_unload()
    assert merged.classifier.windows_seen == 32
    with torch.no_grad():
        wanted = merged(windows(4)).logits
        torch.testing.assert_close(opened(input_values=windows(4)).logits, wanted, atol=1e-5, rtol=1e-4)
