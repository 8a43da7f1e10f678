"""What must agree before a release, and what the package says it needs."""

import ast
import importlib.util
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def check_release():
    spec = importlib.util.spec_from_file_location("check_release", ROOT / ".ci" / "check_release.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.faults


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "mdjpt_hf").mkdir()
    (tmp_path / "mdjpt_hf" / "version.py").write_text('__version__ = "1.2.0"\n')
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## 1.2.0 — 2027-01-01\n")
    (tmp_path / "CITATION.cff").write_text("title: x\nversion: 1.2.0\nlicense: y\n")
    return tmp_path


def test_a_tree_that_agrees_may_be_released(tree):
    assert check_release()("v1.2.0", tree) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("CHANGELOG.md", "2027-01-01", "unreleased", "no section 1.2.0 with a date"),
        ("CHANGELOG.md", "## 1.2.0", "## 1.2.01", "no section 1.2.0 with a date"),
        ("CITATION.cff", "version: 1.2.0", "version: 1.1.0", "CITATION.cff"),
        ("mdjpt_hf/version.py", "1.2.0", "1.3.0", "tag v1.3.0"),
        ("mdjpt_hf/version.py", "1.2.0", "1.2.0+local", "no version as packages write it"),
    ],
)
def test_whatever_disagrees_is_told(tree, file, old, new, words):
    path = tree / file
    path.write_text(path.read_text(encoding="utf-8").replace(old, new))
    assert any(words in fault for fault in check_release()("v1.2.0", tree))


def name_of(requirement):
    return re.split(r"[<>=!\[; ]", requirement)[0].lower().replace("_", "-")


def test_the_core_is_small_and_every_bound_ends_at_a_major_version():
    core = SETTINGS["dependencies"]
    assert len(core) <= 14
    for requirement in core:
        upper = re.search(r"<(\S+)$", requirement)
        assert ">=" in requirement and (upper is None or re.fullmatch(r"\d+", upper.group(1))), requirement


#: Module -> what brings it, where that is not the library of the same name.
BRINGS = {"matplotlib": "mne", "tqdm": "mne", "pandas": "datasets", "pyarrow": "datasets", "psutil": "accelerate"}
BRINGS |= {"threadpoolctl": "scikit-learn", "yaml": "huggingface-hub", "fsspec": "datasets", "xxhash": "datasets"}
BRINGS |= {"joblib": "scikit-learn"}
DISTRIBUTION = {"yaml": "pyyaml"}


@pytest.mark.parametrize("module", BRINGS)
def test_what_the_core_does_not_name_comes_with_what_it_names(module):
    assert BRINGS[module] in {name_of(requirement) for requirement in SETTINGS["dependencies"]}
    unconditional = [text for text in metadata.requires(BRINGS[module]) or [] if "extra ==" not in text]
    assert DISTRIBUTION.get(module, module) in {name_of(requirement) for requirement in unconditional}


def top_level_imports(path):
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.split(".")[0]


def test_every_module_imported_at_the_top_is_in_the_core_or_comes_with_it():
    """Libraries of extras are imported where they are used, behind a message that names the extra."""
    named = {name_of(requirement) for requirement in SETTINGS["dependencies"]}
    modules = {"sklearn": "scikit-learn", "huggingface_hub": "huggingface-hub"}
    allowed = named | set(BRINGS)
    extras = {
        "mne_icalabel": "mdjpt_hf/preprocessing/artefacts.py",
        "gradio": "mdjpt_hf/demo",
    }  # files only loaded with the extra
    files = [path for path in (ROOT / "mdjpt_hf").rglob("*.py") if not path.parent.is_symlink()]
    for path in [*files, *(ROOT / "data_scripts").glob("*.py"), *(ROOT / "modeling").glob("*.py")]:
        for found in top_level_imports(path):
            is_standard = found in sys.stdlib_module_names or found == "mdjpt_hf"
            place = path.relative_to(ROOT).as_posix()
            excused = place.startswith(extras.get(found, "nowhere"))
            assert is_standard or excused or modules.get(found, found) in allowed, f"{place} imports {found}"
