"""The reference is read from the package: commands from their `--help`, everything else from docstrings.

Docstrings are written as those of Hugging Face's libraries, in Markdown; autodoc reads reStructuredText. Where the two
differ in what our docstrings use (links to classes, a letter behind code, bars, tables) they are translated here.
"""

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import typer
from sphinx.application import Sphinx
from typer.cli import get_docs_for_click

import mdjpt_hf
from mdjpt_hf.cli import app as command

_HEAD = "# Commands\n\nWhat `--help` prints, of every command.\n\n"
_CODE = re.compile(r"(``.+?``|`[^`]+`)")


def write_commands(app: Sphinx) -> None:
    """`reference/commands.md`, from the command line itself."""
    click_command = typer.main.get_command(command)
    context = click_command.make_context("mdjpt", [], resilient_parsing=True)
    text = get_docs_for_click(obj=click_command, ctx=context, name="mdjpt", title="mdjpt")
    page = _HEAD + re.sub(r"^(#+)", r"#\1", text, flags=re.MULTILINE)
    path = Path(app.srcdir) / "reference" / "commands.md"
    if not path.exists() or path.read_text(encoding="utf-8") != page:  # an unchanged page is not built again
        path.write_text(page, encoding="utf-8")


def public_names() -> dict[str, str]:
    """Where each name of `mdjpt_hf` is defined: `predict` -> `mdjpt_hf.inference.prediction.predict_all`."""
    found = {name: getattr(mdjpt_hf, name) for name in mdjpt_hf.__all__}
    return {name: f"{item.__module__}.{item.__qualname__}" for name, item in found.items() if callable(item)}


def from_markdown(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """A docstring's Markdown as reStructuredText, in place."""
    if not (getattr(obj, "__module__", None) or "mdjpt_hf").startswith("mdjpt_hf"):
        del lines[1:]  # a library's own function, held by a class of ours: its summary says enough
    translated: list[str] = []
    for is_table, part in groupby(lines, key=lambda line: line.lstrip().startswith("|")):
        rows = list(part)
        translated += _table(rows) if is_table else _prose("\n".join(rows)).split("\n")
    lines[:] = translated


def _prose(text: str) -> str:
    text = re.sub(r"\[(`[^`\]]+`)\](?!\()", r"\1", text)  # [`Name`]: a link in their documentation
    parts = _CODE.split(text)  # prose, code, prose, ...
    prose = [part.replace("|", r"\|") for part in parts[::2]]
    parts[::2] = prose[:1] + [rf"\ {part}" if part[:1].isalnum() else part for part in prose[1:]]  # `Dataset`s
    return "".join(parts)


def _table(lines: list[str]) -> Iterator[str]:
    """Rows between bars, the second of them dashes, as a `list-table`."""
    margin = " " * (len(lines[0]) - len(lines[0].lstrip()))
    yield from (f"{margin}.. list-table::", f"{margin}   :header-rows: 1", "")
    for number, line in enumerate(lines):
        if number != 1:
            cells = [_prose(cell.strip()) for cell in line.strip().strip("|").split(" | ")]
            yield from (f"{margin}   {'* -' if first == 0 else '  -'} {cell}" for first, cell in enumerate(cells))
    yield ""


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the commands before anything is read, and translate docstrings as they come."""
    app.config.autosummary_context = {"public": public_names()}
    app.connect("builder-inited", write_commands)
    app.connect("autodoc-process-docstring", from_markdown, priority=600)  # behind napoleon, which makes the sections
    return {"parallel_read_safe": True, "parallel_write_safe": True}
