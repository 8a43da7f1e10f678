"""What users import: the list, how light it is, and that version and changelog agree."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer.testing

import mdjpt_hf
from mdjpt_hf.cli import app

ROOT = Path(__file__).parents[1]


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_the_public_list_is_what_the_design_names():
    assert set(mdjpt_hf.__all__) == {
        "EEGEmotionPipeline",
        "EEGEncoder",
        "Evaluation",
        "FinetuneConfig",
        "RunConfig",
        "embed",
        "evaluate",
        "finetune",
        "load_corpus",
        "predict",
        "pretrain",
        "MDJPTConfig",
        "MDJPTFeatureExtractor",
        "MDJPTForPreTraining",
        "MDJPTForSequenceClassification",
        "MDJPTModel",
        "MaskedEEGConfig",
        "MaskedEEGForPreTraining",
        "MaskedEEGForSequenceClassification",
        "MaskedEEGModel",
        "__version__",
    }
    assert all(hasattr(mdjpt_hf, name) for name in mdjpt_hf.__all__)


def heavy_after(statement: str) -> set[str]:
    heavy = ("mne", "datasets", "accelerate.accelerator", "matplotlib", "sklearn", "pandas")
    return set(run_python(f"import sys; {statement}; print(*(n for n in {heavy!r} if n in sys.modules))").split())


@pytest.fixture(scope="module")
def heavy_in_transformers() -> set[str]:
    """What it loads itself: pandas or scikit-learn, where they are installed."""
    return heavy_after("from transformers import PreTrainedModel, AutoModel, AutoFeatureExtractor")


@pytest.mark.parametrize("statement", ["import mdjpt_hf", "import mdjpt_hf.cli"])
def test_importing_is_light(statement, heavy_in_transformers):
    loaded = heavy_after(statement)
    assert loaded <= heavy_in_transformers and not loaded & {"mne", "datasets"}


def test_the_newest_changelog_entry_is_this_version():
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest and newest.group(1) == mdjpt_hf.__version__


def test_every_public_class_and_function_of_the_package_has_a_docstring():
    import ast

    folders = [ROOT / name for name in ("modeling", "data_scripts", "mdjpt_hf")]
    missing = []
    for path in {path.resolve() for folder in folders for path in folder.rglob("*.py")}:
        tree = ast.parse(path.read_text())
        nodes = [tree, *(node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef))]
        for node in nodes:
            name = getattr(node, "name", path.name)
            if not name.startswith("_") and not ast.get_docstring(node):
                missing.append(f"{path.name}: {name}")
    assert not missing


COMMANDS = [[], ["pretrain"], ["data"], ["data", "prepare"], ["data", "list"], ["convert"]]
COMMANDS += [["push"], ["verify"], ["data", "push"], ["embed"], ["data", "table"]]


@pytest.mark.parametrize("arguments", COMMANDS)
def test_help_explains_every_option(arguments):
    result = typer.testing.CliRunner().invoke(app, [*arguments, "--help"])
    assert result.exit_code == 0
    assert "Usage:" in result.output and len(result.output.splitlines()) > 4


def test_unknown_corpora_end_with_a_message_not_a_stack_trace(tmp_path):
    command = [sys.executable, "-m", "mdjpt_hf", "data", "prepare", "seeed", "--out", str(tmp_path / "x")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1
    assert "CorpusError: unknown corpus 'seeed'" in result.stderr and "Traceback" not in result.stderr
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("before", ["", "import mdjpt_hf.{name}; "])
def test_functions_with_the_names_of_former_modules_can_be_called_whatever_was_imported(before):
    code = before + "from mdjpt_hf import {name}; print(callable({name})); "
    code += "from mdjpt_hf.{name} import {name} as same; print(callable(same)); print(callable(mdjpt_hf.{name})); "
    both = "".join(code.format(name=name) for name in ("pretrain", "predict"))
    assert run_python("import mdjpt_hf; " + both).split() == ["True"] * 6
