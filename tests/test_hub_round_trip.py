"""A saved folder opens for people without the package, and the models work with the tools around them."""

import json
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModel,
    AutoModelForPreTraining,
    AutoModelForSequenceClassification,
    Trainer,
    TrainingArguments,
)

from mdjpt_hf import (
    MDJPTConfig,
    MDJPTFeatureExtractor,
    MDJPTForPreTraining,
    MDJPTForSequenceClassification,
    MDJPTModel,
)
from mdjpt_hf.training.ways import recompute_activations

NAMES = ["Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2"]

#: The 60 channels and the 125 Hz of the feature extractor, everything else small.
SIZES = {
    "patch_length": 20,
    "patch_stride": 16,
    "hidden_size": 12,
    "num_attention_heads": 3,
    "intermediate_size": 17,
    "feature_size": 5,
    "spatial_channels": 6,
    "filters_per_feature": 2,
    "dilations": [1, 3, 4],
    "map_attention_kernel": 4,
    "map_attention_pool": 3,
    "projector_pool": 4,
    "classifier_hidden_sizes": [9, 8],
}

IDS = {
    "group_ids": torch.tensor([0, 0, 1, 1]),
    "dataset_ids": torch.tensor([0, 0, 0, 0]),
    "stimulus_ids": torch.tensor([0, 1, 0, 1]),
}

MODEL_CLASSES = {
    AutoModel: MDJPTModel,
    AutoModelForPreTraining: MDJPTForPreTraining,
    AutoModelForSequenceClassification: MDJPTForSequenceClassification,
}


def build(model_class, **overrides):
    torch.manual_seed(0)
    return model_class(MDJPTConfig(**{**SIZES, **overrides})).eval()


def windows(count=4, samples=625, seed=0):
    return torch.randn(count, 60, samples, generator=torch.Generator().manual_seed(seed))


def recording():
    """10 channels, 9 s at 250 Hz, about 10 µV."""
    return np.random.default_rng(0).normal(0, 10, (len(NAMES), 2250))


@pytest.fixture(scope="module")
def pretrained():
    return build(MDJPTForPreTraining)


@pytest.fixture(scope="module")
def classifier():
    return build(MDJPTForSequenceClassification, num_labels=3)


# Without the package


#: Runs where `mdjpt_hf` cannot be imported, nor MNE until the end; writes what it saw to outputs.pt.
STRANGER = """
    import sys

    class Absent:
        names = {"mdjpt_hf", "modeling", "mne"}

        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] in self.names:
                raise ModuleNotFoundError(name)

    sys.meta_path.insert(0, Absent())
    import numpy as np
    import torch
    import transformers

    folder, given = sys.argv[1], torch.load(sys.argv[1] + "/given.pt")
    trusted = {"trust_remote_code": True}

    def load(auto_class, name):
        loaded, info = getattr(transformers, auto_class).from_pretrained(
            f"{folder}/{name}", output_loading_info=True, **trusted
        )
        assert type(loaded).__module__.startswith("transformers_modules.")
        return loaded.eval(), sorted({key.split(".")[0] for key in info["missing_keys"]})

    def run(name):
        windows, ids = given["windows"], given["ids"]
        base, missing = load("AutoModel", name)
        pretraining, missing_pretraining = load("AutoModelForPreTraining", name)
        classifier, missing_classifier = load("AutoModelForSequenceClassification", name)
        with torch.no_grad():
            return {
                "missing": [missing, missing_pretraining, missing_classifier],
                "base": dict(base(windows, ids["group_ids"])),
                "recording": base.encode_recording(windows, batch_size=3),
                "pretraining": dict(pretraining(windows, **ids)),
                "classifier_base": dict(classifier.mdjpt(windows, ids["group_ids"])),
                "logits": classifier(windows, ids["group_ids"]).logits,
            }

    outputs = {name: run(name) for name in ("pretrained", "classifier")}
    config = transformers.AutoConfig.from_pretrained(folder + "/pretrained", **trusted)
    outputs["config"] = config.to_dict()
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder + "/pretrained", **trusted)
    outputs["extracted"] = dict(extractor(given["signal"].numpy(), given["names"], 250, return_tensors="pt"))
    assert not Absent.names & {name.split(".")[0] for name in sys.modules}
    Absent.names = {"mdjpt_hf", "modeling"}
    import mne

    raw = mne.io.RawArray(
        given["signal"].numpy() * 1e-6, mne.create_info(given["names"], 250.0, "eeg"), verbose="ERROR"
    )
    outputs["extracted_from_raw"] = dict(extractor(raw, return_tensors="pt"))
    torch.save(outputs, folder + "/outputs.pt")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory, pretrained, classifier):
    """Two saved folders, and what the process without the package is given to run them on."""
    folder = tmp_path_factory.mktemp("hub")
    for name, model in (("pretrained", pretrained), ("classifier", classifier)):
        model.save_pretrained(folder / name)
        MDJPTFeatureExtractor().save_pretrained(folder / name)
    given = {"windows": windows(), "ids": IDS, "names": NAMES, "signal": torch.tensor(recording())}
    torch.save(given, folder / "given.pt")
    return folder


@pytest.fixture(scope="module")
def stranger(folder):
    """What a fresh process without the package made of the two folders."""
    places = {"HF_HOME": str(folder / "home"), "HF_MODULES_CACHE": str(folder / "modules")}
    blas = {name: value for name, value in os.environ.items() if name.startswith(("OPENBLAS", "OMP"))}  # last bits
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "HF_HUB_OFFLINE": "1", **places, **blas}
    command = [sys.executable, "-I", "-c", textwrap.dedent(STRANGER), str(folder)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return torch.load(folder / "outputs.pt")


def identical(found, wanted):
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=1e-7)


@torch.no_grad()
@pytest.mark.parametrize("name", ["pretrained", "classifier"])
def test_the_encoder_opens_without_the_package(stranger, pretrained, classifier, name):
    base, found = {"pretrained": pretrained, "classifier": classifier}[name].mdjpt, stranger[name]
    wanted = dict(base(windows(), IDS["group_ids"]))
    identical(found["base"], wanted)
    identical(found["classifier_base"], wanted)
    torch.testing.assert_close(found["recording"], base.encode_recording(windows(), batch_size=3), rtol=0, atol=1e-7)


@torch.no_grad()
def test_the_heads_open_without_the_package(stranger, pretrained, classifier):
    identical(stranger["pretrained"]["pretraining"], dict(pretrained(windows(), **IDS)))
    wanted = classifier(windows(), IDS["group_ids"]).logits
    torch.testing.assert_close(stranger["classifier"]["logits"], wanted, rtol=0, atol=1e-7)


def test_only_heads_that_were_not_saved_are_new(stranger):
    assert stranger["pretrained"]["missing"] == [[], [], ["classifier"]]
    assert stranger["classifier"]["missing"] == [[], ["projector"], []]


def test_the_configuration_opens_without_the_package(stranger, pretrained):
    wanted = pretrained.config.to_dict()
    for name in ("auto_map", "model_type", *SIZES):
        assert stranger["config"][name] == wanted[name]


def test_the_feature_extractor_opens_without_the_package(stranger):
    wanted = MDJPTFeatureExtractor()(recording(), NAMES, 250, return_tensors="pt")
    identical(stranger["extracted"], dict(wanted))
    for name, value in wanted.items():
        torch.testing.assert_close(stranger["extracted_from_raw"][name], value, rtol=1e-5, atol=1e-5)


def test_the_folder_holds_safetensors_and_flat_code(folder):
    saved = {path.name for path in (folder / "pretrained").iterdir()}
    assert {"config.json", "model.safetensors", "preprocessor_config.json"} <= saved
    code = {name for name in saved if name.endswith(".py")}
    assert {"modeling_mdjpt.py", "layers_mdjpt.py", "feature_extraction_mdjpt.py"} <= code
    assert all(name.endswith("_mdjpt.py") for name in code)
    auto_map = json.loads((folder / "pretrained" / "preprocessor_config.json").read_text())["auto_map"]
    assert auto_map == {"AutoFeatureExtractor": "feature_extraction_mdjpt.MDJPTFeatureExtractor"}


# With the package


@torch.no_grad()
def test_with_the_package_no_trust_is_needed(folder, pretrained):
    for auto_class, model_class in MODEL_CLASSES.items():
        for options in ({}, {"trust_remote_code": False}):
            loaded = auto_class.from_pretrained(folder / "pretrained", **options)
            assert type(loaded) is model_class
    assert type(AutoConfig.from_pretrained(folder / "pretrained")) is MDJPTConfig
    assert type(AutoFeatureExtractor.from_pretrained(folder / "pretrained")) is MDJPTFeatureExtractor
    loaded = AutoModel.from_pretrained(folder / "classifier")
    assert not loaded.training
    fresh = AutoModelForPreTraining.from_config(MDJPTConfig(**SIZES))
    assert type(fresh) is MDJPTForPreTraining
    reopened = AutoModelForPreTraining.from_pretrained(folder / "pretrained")
    identical(dict(reopened(windows(), **IDS)), dict(pretrained(windows(), **IDS)))


def test_registering_twice_is_harmless():
    from mdjpt_hf.runtime.registration import register

    register()


# Precision, compilers, memory


@torch.no_grad()
def test_bfloat16(pretrained):
    wanted = pretrained(windows(), **IDS)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = pretrained(windows(), **IDS)
    low = build(MDJPTForPreTraining).to(torch.bfloat16)
    pure = low(windows().bfloat16(), **IDS)
    assert pure.embeddings.dtype == torch.bfloat16 and pure.loss.dtype == torch.float32
    for found in (mixed, pure):
        assert all(part.isfinite().all() for part in found.to_tuple())
        assert F.cosine_similarity(found.embeddings.float(), wanted.embeddings).min() > 0.97
        assert found.isa_loss.item() == pytest.approx(wanted.isa_loss.item(), abs=0.5)
    features = low.mdjpt.encode_recording(windows().bfloat16(), batch_size=3)
    together = low.mdjpt(windows().bfloat16(), torch.zeros(4)).pooler_output
    torch.testing.assert_close(features, together, rtol=0.02, atol=0.002)


def test_gradients_in_mixed_precision():
    model = build(MDJPTForPreTraining).train()
    with torch.autocast("cpu", torch.bfloat16):
        loss = model(windows(), **IDS).loss
    loss.backward()
    assert all(p.grad.isfinite().all() and p.grad.abs().max() > 0 for p in model.parameters())


@pytest.mark.parametrize(("block", "ids"), [("mlla", IDS["group_ids"]), ("released", None)])
def test_compiled_whole_and_equal(block, ids):
    model = build(MDJPTModel, block=block)
    compiled, results = torch.compile(model, backend="aot_eager", fullgraph=True), []
    for forward in (model, compiled):
        model.zero_grad()
        found = forward(windows(), ids)
        found.pooler_output.square().sum().backward()
        results.append(dict(found) | {name: p.grad for name, p in model.named_parameters()})
    for name, wanted in results[0].items():
        torch.testing.assert_close(results[1][name], wanted, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_exported_with_any_batch_size():
    model, batch = build(MDJPTModel), torch.export.Dim("batch", min=1, max=512)
    example = {"input_values": windows(3), "group_ids": torch.tensor([0, 1, 0])}
    shapes = {name: {0: batch} for name in example}
    exported = torch.export.export(model, (), example, dynamic_shapes=shapes).module()
    for count in (1, 2, 9):
        ids = torch.arange(count) % 2
        found, wanted = exported(input_values=windows(count), group_ids=ids), model(windows(count), ids)
        torch.testing.assert_close(found["pooler_output"], wanted.pooler_output, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("block", ["mlla", "released"])
def test_activation_checkpointing_changes_no_gradient(block):
    gradients = []
    for checkpointed in (False, True):
        model = build(MDJPTForPreTraining, block=block).train()
        if checkpointed:
            recompute_activations(model)
            assert model.mdjpt.channel_encoder.gradient_checkpointing
        model(windows(), **IDS).loss.backward()
        gradients.append([p.grad for p in model.parameters()])
    for plain, checkpointed in zip(*gradients, strict=True):
        assert torch.equal(plain, checkpointed)


# Trainer


class Labelled(torch.utils.data.Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, index):
        return {"input_values": windows(1, 125, seed=index)[0], "labels": index % 3}


def trainer(model, folder, **options):
    settings = {"max_steps": 3, "learning_rate": 0.05, "lr_scheduler_type": "constant", **options}
    silent = {"report_to": "none", "disable_tqdm": True, "use_cpu": True, "dataloader_pin_memory": False}
    arguments = TrainingArguments(str(folder), **settings, **silent, save_strategy="no", seed=1)
    return Trainer(model, arguments, train_dataset=Labelled(), processing_class=MDJPTFeatureExtractor())


def test_trainer_runs_and_saves_a_folder_that_opens(tmp_path):
    model = build(MDJPTForSequenceClassification, num_labels=3)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    run = trainer(model, tmp_path, per_device_train_batch_size=2, gradient_accumulation_steps=2)
    assert np.isfinite(run.train().training_loss)
    assert all(not torch.equal(p, before[name]) for name, p in model.named_parameters())
    run.save_model(tmp_path / "final")
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "final")
    model.eval()
    torch.testing.assert_close(loaded(windows()).logits, model(windows()).logits, rtol=0, atol=1e-7)
    assert type(AutoFeatureExtractor.from_pretrained(tmp_path / "final")) is MDJPTFeatureExtractor
    scores = run.predict(Labelled())
    assert scores.predictions.shape == (8, 3) and scores.metrics["test_loss"] > 0


def test_accumulated_gradients_equal_those_of_one_batch(tmp_path):
    trained = []
    for size, accumulated in ((8, 1), (2, 4)):
        # Statistics of features follow every forward pass, so those of parts of a batch are not those of the whole.
        model = build(MDJPTForSequenceClassification, num_labels=3, classifier_dropout=0, standardised_head=False)
        options = {"max_steps": 1, "optim": "sgd", "max_grad_norm": 0.0}
        batches = {"per_device_train_batch_size": size, "gradient_accumulation_steps": accumulated}
        trainer(model, tmp_path, **options, **batches).train()
        trained.append(dict(model.named_parameters()))
    for name, once in trained[0].items():
        torch.testing.assert_close(trained[1][name], once, rtol=0, atol=1e-6)
