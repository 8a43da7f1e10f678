"""Notebooks for Colab from examples: `python docs/notebooks.py` writes `docs/notebooks`, from the scripts alone."""

import json
from pathlib import Path

from sphinx_gallery.gen_gallery import DEFAULT_GALLERY_CONF
from sphinx_gallery.notebook import jupyter_notebook
from sphinx_gallery.py_source_parser import split_code_and_text_blocks

ROOT = Path(__file__).parents[1]
EXAMPLES, NOTEBOOKS = ROOT / "examples", ROOT / "docs" / "notebooks"

#: Those that need nothing beside them.
NAMES = ("own_recordings", "new_corpus_reader")

#: The first cell; Colab's own torch and transformers stay, since they are within the package's bounds.
INSTALL = "%pip install -q mdjpt-hf"


def notebook(name: str) -> str:
    """The notebook of an example as JSON, without outputs, with the installation in front."""
    _, blocks = split_code_and_text_blocks(str(EXAMPLES / f"{name}.py"))
    settings = {**DEFAULT_GALLERY_CONF, "first_notebook_cell": INSTALL}
    found = jupyter_notebook(blocks, settings, str(EXAMPLES))
    del found["metadata"]["language_info"]["version"]  # of whoever writes it
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    NOTEBOOKS.mkdir(exist_ok=True)
    for name in NAMES:
        (NOTEBOOKS / f"{name}.ipynb").write_text(notebook(name), encoding="utf-8")
