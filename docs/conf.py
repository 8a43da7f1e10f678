"""The manual: `python -m sphinx -W --keep-going docs docs/_build/html`, offline."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))
os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", MPLBACKEND="agg", COLUMNS="100", TQDM_DISABLE="1")

from mdjpt_hf.version import __version__  # noqa: E402

project = "mdjpt-hf"
author = "The mdjpt-hf maintainers"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "mathml",
    "repository_links",
    "reference",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "**/sg_execution_times.rst", "sg_execution_times.rst"]
nitpicky = False

# --- text: Markdown with dollars for equations, headings as targets of links
myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
myst_heading_anchors = 3
html_math_renderer = "mathml"

# --- reference: one page a module, found by walking the package
autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
autodoc_default_options = {"no-value": True}
napoleon_google_docstring, napoleon_numpy_docstring = True, False
napoleon_use_param = False  # our sections name several arguments in a line: "start, stop: Its samples"
napoleon_custom_sections = [("Attributes", "params_style")]
python_maximum_signature_line_length = 90
default_role = "code"
add_module_names = False

# --- examples: run when the manual is built, rendered with what they print and draw
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py",
    "ignore_pattern": r"^(small|recordings|finetune_trainer)\.py",
    "within_subsection_order": "reading_order.ReadingOrder",
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
}

# --- pages
html_theme = "pydata_sphinx_theme"
html_title = f"mdjpt-hf {version}"
html_static_path = ["_static"]
html_css_files = ["manual.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "navbar_align": "left",
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": False,
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "tango",
}
copyright = "the mdjpt-hf maintainers, Apache-2.0"  # noqa: A001
