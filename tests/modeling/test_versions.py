"""Checkpoints outlive versions: what they take from libraries, and how they open without this package."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from mdjpt_hf.modeling import compatibility_mdjpt
from mdjpt_hf.modeling.compatibility_mdjpt import check_versions

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "modeling").glob("*.py"))

#: Everything that files which travel import from torch, transformers and the Hub's client, and why that may be done.
IMPORTED = {
    "torch": "the library",
    "torch.nn": "documented",
    "torch.nn.functional": "documented",
    "torch.autograd.graph.saved_tensors_hooks": "documented",
    "torch.utils.checkpoint.checkpoint": "documented",
    "torch.utils.checkpoint.CheckpointPolicy": "documented, since 2.4",
    "torch.utils.checkpoint.create_selective_checkpoint_contexts": "documented, since 2.4",
    "torch.distributed": "documented",
    "torch.autograd.graph.get_gradient_edge": "documented since 2.2",
    "torch._functorch.config": "private: activation_memory_budget does nothing without it",
    "transformers": "for its version",
    "transformers.pipeline": "documented",
    "transformers.PreTrainedModel": "documented, what custom models are told to inherit from",
    "transformers.pipelines.Pipeline": "documented, what custom pipelines are told to inherit from",
    "transformers.utils.ModelOutput": "documented",
    "transformers.feature_extraction_utils.BatchFeature": "documented under this module's name",
    "transformers.feature_extraction_utils.FeatureExtractionMixin": "documented under this module's name",
    "transformers.activations.ACT2FN": "the table behind hidden_act, read by custom models since 2019",
    "transformers.PreTrainedConfig": "documented since 5.0; PretrainedConfig where there is none",
    "transformers.PretrainedConfig": "its name before, asked for where the new one is missing",
    "transformers.initialization": "since 5.0; torch.nn.init where there is none",
    "transformers.modeling_layers.GradientCheckpointingLayer": "since 4.52; a class of ours where there is none",
    "transformers.core_model_loading": "only asked whether it is that of 5.0 or 5.1",
    "huggingface_hub.dataclasses.strict": "documented; only where configurations are data classes, from 5.4 on",
}
#: Those of them that may be missing: each is imported in a `try` or behind a question.
OPTIONAL = {
    "torch._functorch.config",
    "transformers.PreTrainedConfig",
    "transformers.PretrainedConfig",
    "transformers.initialization",
    "transformers.modeling_layers.GradientCheckpointingLayer",
    "transformers.core_model_loading",
    "huggingface_hub.dataclasses.strict",
}
#: What torch calls private, by `getattr` with something to fall back on, or set by transformers itself.
PRIVATE = {
    "os._exit",  # of Python
}


def imports(path):
    """Name -> whether it may be missing."""
    tree, guarded = ast.parse(path.read_text()), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Try | ast.If):
            guarded |= {id(child) for child in ast.walk(node)}
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        found |= {name: id(node) in guarded for name in names}
    return {k: v for k, v in found.items() if k.split(".")[0] in ("torch", "transformers", "huggingface_hub")}


def test_every_name_from_a_library_is_one_to_rely_on():
    found = {}
    for path in FILES:
        for name, guarded in imports(path).items():
            assert name in IMPORTED, f"{path.name} imports {name}: say in this test why it may be relied on"
            assert guarded or name not in OPTIONAL, f"{path.name} imports {name} with nothing to fall back on"
            found[name] = guarded
    assert found.keys() == IMPORTED.keys()
    private = [name for name in IMPORTED if any(part.startswith("_") for part in name.split("."))]
    assert set(private) <= OPTIONAL


def test_no_private_attribute_of_a_library_is_read_as_if_it_were_sure():
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Attribute) or not node.attr.startswith("_") or node.attr.startswith("__"):
                continue
            whose = ast.unparse(node.value)
            assert whose in ("self", "cls") or ast.unparse(node) in PRIVATE, f"{path.name}: {ast.unparse(node)}"


#: Files that transformers opens by name.
ENTRIES = [
    path for path in FILES if path.stem.startswith(("configuration_", "modeling_", "feature_extraction_", "pipeline_"))
]


def named(text):
    """The files of ours that a file names, as every version of transformers reads them."""
    return set(re.findall(r"^\s*from\s+\.(\S+)\s+import", text, flags=re.MULTILINE))


@pytest.mark.parametrize("path", ENTRIES, ids=lambda path: path.name)
def test_a_file_opened_by_name_names_all_that_it_needs(path):
    """Below 5.10 nothing else is copied from a local folder."""
    needed, waiting = set(), [path.stem]
    while waiting:
        new = named((ROOT / "modeling" / f"{waiting.pop()}.py").read_text()) - needed
        needed |= new
        waiting += new
    assert needed - {path.stem} == named(path.read_text()) - {path.stem}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nothing_reads_like_an_import_that_is_none(path):
    """transformers below 4.50 finds imports by these two patterns, in strings too, and asks for what it found."""
    text = re.sub(r"\s*try\s*:\s*.*?\s*except\s*.*?:", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    found = re.findall(r"^\s*import\s+(\S+)\s*$", text, flags=re.MULTILINE)
    found += re.findall(r"^\s*from\s+(\S+)\s+import", text, flags=re.MULTILINE)
    outside = {name.split(".")[0] for name in found if not name.startswith(".")} - set(sys.stdlib_module_names)
    assert outside <= {"torch", "transformers", "huggingface_hub", "numpy", "scipy"}


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"transformers": "4.43.4"}, "needs transformers 4.44 or newer, found transformers 4.43.4"),
        ({"torch": "2.3.1+cu118"}, "needs torch 2.4 or newer, found torch 2.3.1+cu118"),
        ({"Python": "3.10"}, "needs Python 3.11 or newer, found Python 3.10: use a newer Python"),
        (
            {"transformers": "4.30.0", "torch": "1.13.1"},
            "transformers 4.44 or newer and torch 2.4 or newer, found transformers 4.30.0 and torch 1.13.1: "
            "run `pip install 'transformers>=4.44' 'torch>=2.4'`",
        ),
    ],
)
def test_what_is_too_old_is_told_in_one_sentence(found, words):
    with pytest.raises(ImportError, match=re.escape(words)):
        check_versions(found)


def test_newer_and_unfinished_versions_are_welcome():
    check_versions({"transformers": "4.44.0", "torch": "2.4.0a0+git", "Python": "3.11"})
    check_versions({"transformers": "6.0.0.dev0", "torch": "3.0", "Python": "4.0"})


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Both families as `.ci/versions` opens them in other environments; here in this one."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for script in ("write_checkpoints.py", "open_checkpoints.py"):
        command = [sys.executable, str(ROOT / ".ci" / script), str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return folder, json.loads(done.stdout.splitlines()[-1]), np.load(folder / "found.npz")


def test_strangers_open_everything_from_a_folder_and_from_the_hub(checkpoints):
    _, told, found = checkpoints
    assert told["failures"] == {} and told["numbers"] == len(found.files) >= 70
    for name in found.files:
        assert np.array_equal(found[name], found[name.replace("/folder/", "/hub/")]), name


@pytest.mark.parametrize("family", ["mdjpt", "masked"])
def test_the_numbers_are_those_of_the_package(checkpoints, family):
    folder, _, found = checkpoints
    windows = torch.from_numpy(found[f"{family}-classifier/hub/input_values"])
    ids = torch.zeros(len(windows), dtype=torch.long)
    model = AutoModelForSequenceClassification.from_pretrained(folder / f"{family}-classifier").eval()
    assert type(model).__module__.startswith("mdjpt_hf.")
    with torch.no_grad():
        logits = model(windows, group_ids=ids).logits.numpy()
    name = f"{family}-classifier/hub/AutoModelForSequenceClassification/logits0"
    np.testing.assert_allclose(logits, found[name], atol=1e-6)
    scores = found[f"{family}-classifier/hub/pipeline/array"]
    assert scores.shape == (3 * len(windows),) and np.isfinite(found[f"{family}-classifier/hub/trainer/loss"])


def without_fields(monkeypatch):
    """The configuration as versions below 5.4 have it, whose classes list no fields."""

    class Plain:
        def __init__(self, **kwargs):
            vars(self).update(kwargs)

        @classmethod
        def from_dict(cls, settings, **changes):
            made = cls(**settings)
            vars(made).update(changes)
            return made

    source = (ROOT / "modeling" / "compatibility_mdjpt.py").read_text()
    start = source.index("if is_dataclass(PreTrainedConfig):")
    end = source.index("#: Whether a graph is being exported")
    namespace = dict(vars(compatibility_mdjpt)) | {"PreTrainedConfig": Plain}
    exec(compile(source[start:end], "compatibility_mdjpt.py", "exec"), namespace)
    return namespace["FieldsConfig"]


def test_old_configurations_check_what_new_ones_do(monkeypatch):
    base = without_fields(monkeypatch)

    class Settings(base):
        rate: int = 125
        weight: float | int = 0.5
        sizes: list[int] | tuple[int, ...] = (1, 2)
        note: str | None = None

        def validate_rate(self):
            if self.rate < 1:
                raise ValueError("rate must be at least 1")

    made = Settings(rate=100, other=1)
    assert (made.rate, made.weight, made.sizes, made.note, made.other) == (100, 0.5, (1, 2), None, 1)
    assert Settings.from_dict({"rate": 7}, note="x").note == "x"
    for wrong in ({"rate": "a"}, {"rate": 1.5}, {"rate": True}, {"weight": None}, {"sizes": 3}):
        with pytest.raises(TypeError, match=next(iter(wrong))):
            Settings(**wrong)
        with pytest.raises(TypeError, match=next(iter(wrong))):
            Settings.from_dict({}, **wrong)
    for make in (lambda: Settings(rate=0), lambda: Settings.from_dict({}, rate=0)):
        with pytest.raises(ValueError, match="at least 1"):
            make()


def test_a_head_that_is_new_on_purpose_is_quiet(checkpoints, caplog):
    folder = checkpoints[0]
    for family in ("mdjpt", "masked"):
        for kind in ("encoder", "pretraining"):
            AutoModelForSequenceClassification.from_pretrained(folder / f"{family}-{kind}", num_labels=4)
    assert "LOAD REPORT" not in caplog.text  # and every warning is an error here
