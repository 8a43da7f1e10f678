"""The tree as CONTRIBUTING.md draws it: one-way imports, files fit for the Hub, packages that are all installed."""

import ast
import tomllib
from pathlib import Path

import pytest
from transformers.dynamic_module_utils import get_imports, get_relative_imports

ROOT = Path(__file__).parents[1]

#: What each part may import of ours: prefixes of module names.
ALLOWED = {
    "modeling": (),
    "mdjpt_hf/version.py": (),
    "mdjpt_hf/importing.py": (),
    "mdjpt_hf/auto.py": ("mdjpt_hf.modeling", "mdjpt_hf.torchaudio_guard"),
    "mdjpt_hf/torchaudio_guard.py": (),
    "mdjpt_hf/errors.py": ("mdjpt_hf.modeling",),
    "mdjpt_hf/schema.py": ("mdjpt_hf.errors", "mdjpt_hf.modeling"),
    "mdjpt_hf/artefacts.py": ("mdjpt_hf.modeling",),
    "mdjpt_hf/ownership.py": ("mdjpt_hf.errors",),
    "mdjpt_hf/progress.py": (),
    "mdjpt_hf/notes.py": (),
    "mdjpt_hf/environment.py": ("mdjpt_hf.version",),
    "mdjpt_hf/preprocessing.py": ("mdjpt_hf.errors", "mdjpt_hf.schema", "mdjpt_hf.modeling", "mdjpt_hf.artefacts"),
}
_BASE = (
    "mdjpt_hf.errors",
    "mdjpt_hf.ownership",
    "mdjpt_hf.progress",
    "mdjpt_hf.schema",
    "mdjpt_hf.version",
    "mdjpt_hf.modeling",
    "mdjpt_hf.preprocessing",
)
ALLOWED["data_scripts"] = (*_BASE, "mdjpt_hf.data_scripts")
ALLOWED["mdjpt_hf/data"] = (*ALLOWED["data_scripts"], "mdjpt_hf.data", "mdjpt_hf.importing")
ALLOWED["mdjpt_hf/clustering"] = (*_BASE, "mdjpt_hf.data", "mdjpt_hf.clustering")
ALLOWED["mdjpt_hf/training"] = (*_BASE, "mdjpt_hf.data", "mdjpt_hf.clustering", "mdjpt_hf.training")
ALLOWED["mdjpt_hf/cards.py"] = ("mdjpt_hf.errors", "mdjpt_hf.data.facts")
ALLOWED["mdjpt_hf/telemetry.py"] = ()
ALLOWED["mdjpt_hf/hub"] = (*_BASE, "mdjpt_hf.data", "mdjpt_hf.training", "mdjpt_hf.cards", "mdjpt_hf.hub")
ALLOWED["mdjpt_hf/evaluation"] = (*_BASE, "mdjpt_hf.data", "mdjpt_hf.evaluation")
ALLOWED["mdjpt_hf/finetuning"] = (*ALLOWED["mdjpt_hf/evaluation"], "mdjpt_hf.streaming", "mdjpt_hf.finetuning")
ALLOWED["mdjpt_hf/reproduction"] = (
    *ALLOWED["mdjpt_hf/evaluation"],
    "mdjpt_hf.training",
    "mdjpt_hf.pretraining",
    "mdjpt_hf.reproduction",
)
ALLOWED["mdjpt_hf/demo"] = ("mdjpt_hf.errors", "mdjpt_hf.version", "mdjpt_hf.data_scripts", "mdjpt_hf.demo")

ALLOWED["mdjpt_hf/dropouts.py"] = ()
ALLOWED["mdjpt_hf/streaming.py"] = ("mdjpt_hf.errors", "mdjpt_hf.modeling", "mdjpt_hf.dropouts")
ALLOWED["mdjpt_hf/live"] = ("mdjpt_hf.errors", "mdjpt_hf.modeling", "mdjpt_hf.streaming", "mdjpt_hf.live")

#: Names that would hide a library when a script of ours is run by path.
HIDING = {"datasets", "evaluate", "accelerate", "transformers", "torch", "mne", "profile", "types", "statistics"}


def own_imports(path: Path) -> set[str]:
    """Absolute imports of our package, also those inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
    return {name for name in found if name.split(".")[0] in ("mdjpt_hf", "modeling", "data_scripts", "model_cards")}


def files_of(part: str) -> list[Path]:
    path = ROOT / part
    return [path] if path.suffix == ".py" else sorted(path.rglob("*.py"))


@pytest.mark.parametrize("part", ALLOWED)
def test_imports_point_one_way(part):
    allowed = ALLOWED[part]
    for path in files_of(part):
        for name in own_imports(path):
            legal = any(name == prefix or name.startswith(prefix + ".") for prefix in allowed)
            assert legal, f"{path.relative_to(ROOT)} imports {name}"


def test_the_rule_would_notice():
    assert own_imports(ROOT / "mdjpt_hf" / "pretraining.py") - set(ALLOWED["mdjpt_hf/training"])


@pytest.mark.parametrize("path", sorted((ROOT / "modeling").glob("*_m*.py")), ids=lambda path: path.name)
def test_every_modeling_file_can_travel_to_the_hub(path):
    """Flat relative imports of files that exist, and no library beyond these four."""
    assert set(get_imports(str(path))) <= {"torch", "transformers", "numpy", "scipy", "huggingface_hub"} | _standard()
    for name in get_relative_imports(str(path)):
        assert (ROOT / "modeling" / f"{name}.py").is_file(), f"{path.name} imports .{name}"
    assert "from __future__" not in path.read_text()


def _standard() -> set[str]:
    import sys

    return set(sys.stdlib_module_names)


def test_modeling_is_flat_and_every_file_carries_its_family():
    names = {path.name for path in (ROOT / "modeling").iterdir() if path.suffix == ".py"}
    own = names - {"__init__.py", "handler.py"}
    assert all(name.endswith(("_mdjpt.py", "_masked_eeg.py")) for name in own)


def test_every_package_is_installed_and_no_module_hides_a_library():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {
        "mdjpt_hf" + "".join(f".{part}" for part in path.parent.relative_to(ROOT / "mdjpt_hf").parts)
        for path in (ROOT / "mdjpt_hf").glob("**/__init__.py")
    } | {f"mdjpt_hf.{name}" for name in ("modeling", "data_scripts", "model_cards")}
    assert set(settings["packages"]) == folders
    top_level = {path.stem for path in (ROOT / "mdjpt_hf").iterdir()}
    assert not top_level & HIDING


def test_the_links_inside_the_package_are_relative():
    for name in ("modeling", "data_scripts", "model_cards"):
        link = ROOT / "mdjpt_hf" / name
        if link.is_symlink():  # where git makes no links the build's own map does
            assert link.readlink() == Path("..") / name
