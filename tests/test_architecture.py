"""The tree as CONTRIBUTING.md draws it: one-way imports, files fit for the Hub, packages that are all installed."""

import ast
import importlib
import tomllib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from transformers.dynamic_module_utils import get_imports, get_relative_imports

from mdjpt_hf.former_names import FORMER_NAMES

ROOT = Path(__file__).parents[1]

_FOUNDATIONS = ("mdjpt_hf.errors", "mdjpt_hf.schema", "mdjpt_hf.version", "mdjpt_hf.modeling")
_BASE = (
    *_FOUNDATIONS,
    "mdjpt_hf.runtime.ownership",
    "mdjpt_hf.runtime.writing",
    "mdjpt_hf.runtime.progress",
    "mdjpt_hf.runtime.importing",
    "mdjpt_hf.runtime.naming",
    "mdjpt_hf.runtime.threads",
    "mdjpt_hf.runtime.cores",
    "mdjpt_hf.preprocessing",
)
_CORPORA = (*_BASE, "mdjpt_hf.data_scripts", "mdjpt_hf.data")

#: What each part may import of ours: prefixes of module names.
ALLOWED: dict[str, tuple[str, ...]] = {
    "modeling": ("mdjpt_hf.modeling",),
    "mdjpt_hf/version.py": (),
    "mdjpt_hf/former_names.py": (),
    "mdjpt_hf/errors.py": ("mdjpt_hf.modeling",),
    "mdjpt_hf/schema.py": ("mdjpt_hf.errors", "mdjpt_hf.modeling"),
    "mdjpt_hf/runtime": ("mdjpt_hf.errors", "mdjpt_hf.version", "mdjpt_hf.modeling", "mdjpt_hf.runtime"),
    "mdjpt_hf/runtime/importing.py": (),
    "mdjpt_hf/runtime/telemetry.py": (),
    "mdjpt_hf/runtime/progress.py": (),
    "mdjpt_hf/streaming": ("mdjpt_hf.errors", "mdjpt_hf.modeling", "mdjpt_hf.streaming"),
    "mdjpt_hf/preprocessing": ("mdjpt_hf.errors", "mdjpt_hf.schema", "mdjpt_hf.modeling", "mdjpt_hf.preprocessing"),
    "data_scripts": (*_BASE, "mdjpt_hf.data_scripts"),
    "mdjpt_hf/data": _CORPORA,
    "mdjpt_hf/training": (*_CORPORA, "mdjpt_hf.training"),
    "mdjpt_hf/training/clustering": (*_CORPORA, "mdjpt_hf.training.clustering"),
    "mdjpt_hf/evaluation": (*_CORPORA, "mdjpt_hf.evaluation"),
    "mdjpt_hf/finetuning": (*_CORPORA, "mdjpt_hf.evaluation", "mdjpt_hf.streaming", "mdjpt_hf.finetuning"),
    "mdjpt_hf/live": ("mdjpt_hf.errors", "mdjpt_hf.modeling", "mdjpt_hf.streaming", "mdjpt_hf.live"),
    "mdjpt_hf/demo": ("mdjpt_hf.errors", "mdjpt_hf.version", "mdjpt_hf.data_scripts", "mdjpt_hf.demo"),
    "mdjpt_hf/inference": (*_CORPORA, "mdjpt_hf.evaluation", "mdjpt_hf.demo", "mdjpt_hf.inference"),
    "mdjpt_hf/sharing": (*_CORPORA, "mdjpt_hf.training", "mdjpt_hf.sharing"),
    "mdjpt_hf/pretraining.py": (*_CORPORA, "mdjpt_hf.training", "mdjpt_hf.evaluation", "mdjpt_hf.sharing"),
    "mdjpt_hf/reproduction": (
        *_CORPORA,
        "mdjpt_hf.training",
        "mdjpt_hf.evaluation",
        "mdjpt_hf.pretraining",
        "mdjpt_hf.reproduction",
    ),
}

#: The questions of an evaluation in the order in which they are answered; a room imports from those before it.
ROOMS = ("protocols", "encoders", "readout", "scores", "reports")

#: What stands at the first level: foundations, then rooms and stages.
FIRST_LEVEL = {"__init__.py", "__main__.py", "errors.py", "former_names.py", "py.typed", "schema.py", "version.py"} | {
    *("cli", "configs", "data", "data_scripts", "demo", "evaluation", "finetuning", "inference", "live", "model_cards"),
    *("modeling", "preprocessing", "pretraining.py", "reproduction", "runtime", "sharing", "streaming", "training"),
}

#: Names that would hide a library when a script of ours is run by path.
HIDING = {"datasets", "evaluate", "accelerate", "transformers", "torch", "mne", "profile", "types", "statistics"}


def own_imports(path: Path) -> set[str]:
    """Modules of our package that a file imports, also inside functions; what is no module belongs to its parent."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            start = _beside(path, node) if node.level else str(node.module)
            found.update(_module(f"{start}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Import):
            found.update(_module(alias.name) for alias in node.names)
    return {name for name in found if name.split(".")[0] in ("mdjpt_hf", "modeling", "data_scripts", "model_cards")}


def _beside(path: Path, node: ast.ImportFrom) -> str:
    """The module that a relative import starts from; files lie in one folder with those they import so."""
    folder = module_name(path.parent / "__init__.py")
    return f"{folder}.{node.module}" if node.module else folder


def _module(name: str) -> str:
    file = ROOT.joinpath(*name.split("."))
    return name if file.is_dir() or file.with_suffix(".py").is_file() else name.rpartition(".")[0] or name


def module_name(path: Path) -> str:
    """`mdjpt_hf.modeling.errors_mdjpt` of modeling/errors_mdjpt.py."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    own = parts if parts[0] == "mdjpt_hf" else ("mdjpt_hf", *parts)
    return ".".join(own[:-1] if own[-1] == "__init__" else own)


def every_file() -> list[Path]:
    """The package's files, those behind its links once."""
    folders = [ROOT / name for name in ("mdjpt_hf", "modeling", "data_scripts")]
    return [path for folder in folders for path in folder.rglob("*.py") if path.resolve() == path]


def files_of(part: str) -> list[Path]:
    path = ROOT / part
    return [path] if path.suffix == ".py" else sorted(path.rglob("*.py"))


def check_imports(path: Path, allowed: tuple[str, ...]) -> None:
    for name in own_imports(path):
        legal = any(name == prefix or name.startswith(prefix + ".") for prefix in allowed)
        assert legal, f"{path.relative_to(ROOT)} imports {name}"


@pytest.mark.parametrize("part", ALLOWED)
def test_imports_point_one_way(part):
    allowed = ALLOWED[part]
    for path in files_of(part):
        check_imports(path, allowed)


def test_the_rule_would_notice():
    with pytest.raises(AssertionError, match="imports mdjpt_hf"):
        check_imports(ROOT / "mdjpt_hf" / "evaluation" / "run.py", ALLOWED["mdjpt_hf/data"])
    assert own_imports(ROOT / "mdjpt_hf" / "pretraining.py") - set(ALLOWED["mdjpt_hf/training"])


def test_no_module_imports_itself_over_others():
    """The graph of all imports, those inside functions too, has an order."""
    imports = {module_name(path): own_imports(path) - {module_name(path)} for path in every_file()}
    imports["mdjpt_hf"] = set()  # loads everything, but only when asked by name
    assert len(imports) > 200
    try:
        tuple(TopologicalSorter(imports).static_order())
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


@pytest.mark.parametrize("room", ROOMS)
def test_an_evaluation_answers_its_questions_in_order(room):
    allowed = (*_CORPORA, *(f"mdjpt_hf.evaluation.{name}" for name in ROOMS[: ROOMS.index(room) + 1]))
    for path in files_of(f"mdjpt_hf/evaluation/{room}"):
        check_imports(path, allowed)


def test_a_room_of_the_evaluation_is_entered_by_its_public_names():
    for path in every_file():
        for name in own_imports(path):
            room = ".".join(name.split(".")[:3])
            inside = module_name(path).startswith(room)
            if name.startswith("mdjpt_hf.evaluation.") and name.split(".")[2] in ROOMS and not inside:
                assert name == room, f"{path.relative_to(ROOT)} imports {name}, not what {room} makes public"


def test_the_first_level_shows_stages_and_foundations_alone():
    found = {path.name for path in (ROOT / "mdjpt_hf").iterdir()} - {"__pycache__"}
    assert found == FIRST_LEVEL


def test_former_names_lead_to_modules_of_today():
    for former, now in FORMER_NAMES.items():
        assert _module(f"mdjpt_hf.{now}") == f"mdjpt_hf.{now}", f"{former} leads nowhere"
        assert _module(f"mdjpt_hf.{former}") != f"mdjpt_hf.{former}", f"{former} is a module of today"
    assert importlib.import_module("mdjpt_hf.ownership") is importlib.import_module("mdjpt_hf.runtime.ownership")
    former = importlib.import_module("mdjpt_hf.hub.files")
    assert former is importlib.import_module("mdjpt_hf.sharing.hub.files")
    assert former.__spec__ is not None and former.__spec__.name == former.__name__ == "mdjpt_hf.sharing.hub.files"
    with pytest.raises(ModuleNotFoundError, match="mdjpt_hf.never_there"):
        importlib.import_module("mdjpt_hf.never_there")


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
