"""The manual: links that lead somewhere, examples that use what is there, pages that ask no other host."""

import ast
import importlib
import json
import re
import runpy
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS, EXAMPLES, BUILT = ROOT / "docs", ROOT / "examples", ROOT / "docs" / "_build" / "html"
PAGES = [*ROOT.glob("*.md"), *(path for path in DOCS.rglob("*.md") if not {"_build", "gallery"} & set(path.parts))]
SCRIPTS = sorted(EXAMPLES.glob("*.py"))
BESIDE = {"small", "recordings", "finetune_trainer"}  # no pages of the gallery
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_that_are_there(page):
    prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", prose) if ":" not in target]
    # What the reference is made of is written when the manual is built.
    missing = [link for link in links if link and "api/" not in link and not (page.parent / link).exists()]
    assert not missing


def test_readme_is_a_first_page():
    assert len((ROOT / "README.md").read_bytes()) <= 6000


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_examples_are_short_and_import_what_is_there(script):
    text = script.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert len(text.splitlines()) <= 125 and ast.get_docstring(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("mdjpt_hf"):
            module = importlib.import_module(node.module)
            assert all(hasattr(module, alias.name) for alias in node.names), node.module


def test_every_example_has_its_place_and_says_what_its_data_are(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    order = importlib.import_module("reading_order").ORDER
    assert set(order) == {script.stem for script in SCRIPTS} - BESIDE
    made_up = ("simulated", "noise", "made up", "made-up")
    assert all(any(word in (EXAMPLES / f"{name}.py").read_text().lower() for word in made_up) for name in order)


def code_cells(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_install_the_package_and_hold_the_code_of_their_script(path):
    first, *rest = code_cells(path)
    assert first.startswith("%pip install") and "mdjpt-hf" in first
    script = ast.parse((EXAMPLES / f"{path.stem}.py").read_text(encoding="utf-8"))
    assert ast.dump(ast.parse("\n".join(rest))) == ast.dump(ast.Module(script.body[1:], []))


def test_a_notebook_runs_cell_by_cell(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    for cell in code_cells(DOCS / "notebooks" / "new_corpus_reader.ipynb")[1:]:
        exec(compile(cell, "cell", "exec"), names)
    assert names["corpus"].num_rows == 11  # of twelve trials one is broken


def test_notebooks_are_what_the_command_writes(monkeypatch):
    pytest.importorskip("sphinx_gallery", reason="notebooks are made with the extra [docs]")
    made = runpy.run_path(str(DOCS / "notebooks.py"))
    assert {path.stem for path in NOTEBOOKS} == set(made["NAMES"])
    assert all(path.read_text(encoding="utf-8") == made["notebook"](path.stem) for path in NOTEBOOKS)


class _Asks(HTMLParser):
    """Addresses that a browser loads by itself when it opens a page."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        loads = tag in ("script", "img", "iframe", "source", "video", "audio", "embed", "object")
        loads |= tag == "link" and given.get("rel") in ("stylesheet", "preload", "icon", "shortcut icon")
        if loads:
            self.found += [value for name, value in attrs if name in ("src", "href", "data", "srcset") and value]


def asked_of_others(html):
    parser = _Asks()
    parser.feed(html)
    return [address for address in parser.found if re.match(r"(https?:)?//", address)]


def test_the_search_for_other_hosts_would_notice():
    loaded = '<script src="//cdn.example/x.js"></script><link rel="stylesheet" href="https://fonts.example">'
    assert len(asked_of_others(loaded)) == 2
    assert not asked_of_others('<a href="https://example.org">asks nobody</a><script src="_static/x.js"></script>')


def test_no_page_asks_another_host():
    if not BUILT.is_dir():
        pytest.skip("the manual is not built here: python -m sphinx -W --keep-going docs docs/_build/html")
    asked = {path: asked_of_others(path.read_text(encoding="utf-8")) for path in BUILT.rglob("*.html")}
    assert asked
    for path in BUILT.rglob("*.css"):
        asked[path] = re.findall(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//[^)'\"]+", path.read_text(encoding="utf-8"))
    assert not {str(path): addresses for path, addresses in asked.items() if addresses}
