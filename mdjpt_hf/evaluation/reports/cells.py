"""Cells and tables in Markdown."""

from collections.abc import Mapping, Sequence


def interval_cell(values: Mapping[str, float]) -> str:
    """A mean with its interval."""
    return f"{values['mean']:.3f} [{values['low']:.3f}, {values['high']:.3f}]"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; bars within cells are escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)
