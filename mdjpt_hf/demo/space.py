"""The page as a folder that a Space runs."""

import inspect
import re
import shutil
from pathlib import Path

import gradio
from huggingface_hub import SpaceCard, SpaceCardData

from mdjpt_hf.demo import app, evidence, figures, recognition
from mdjpt_hf.demo.examples import write_example
from mdjpt_hf.errors import ConfigurationError
from mdjpt_hf.version import __version__

#: Imported by the page; a Space installs gradio by itself.
REQUIREMENTS = (
    *("huggingface_hub>=2.4", "joblib>=1.4", "matplotlib>=3.10", "mne>=1.13", "numpy>=2.0", "scipy>=1.15"),
    "torch>=2.13",
)

_REPO_ID = re.compile(r"[\w.-]+/[\w.-]+")

_APP = '''"""Starts the page; the model is named here alone."""

import os

from joblib.externals.loky import cpu_count

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # before the library reads it
# before torch is loaded, which knows of no quota and starts a thread for every core of the machine
os.environ.setdefault("OMP_NUM_THREADS", str(cpu_count()))

from demo.app import serve  # noqa: E402

if __name__ == "__main__":
    serve({model!r}, examples=[{example!r}])
'''

_ABOUT = """
# {title}

{introduction}

{warning}

The model is [{model}](https://huggingface.co/{model}). The example is simulated. Made with mdjpt-hf {version}.
"""


def write_space(model: str, folder: str | Path, licence: str = "apache-2.0") -> Path:
    """Write the Space of one model.

    Args:
        model (`str`): Hub id of a classifier that was pushed with its code.
        folder: Made where it is missing; what it held under the same names is replaced.
        licence (`str`): Of the page.

    Raises:
        ConfigurationError: If the model is not named as on the Hub.

    Returns:
        The folder: `app.py`, `requirements.txt`, `README.md`, the page's code and an example.
    """
    if not _REPO_ID.fullmatch(model) or Path(model).exists():
        raise ConfigurationError(
            f"a Space needs the model's name on the Hub, found {model!r}",
            value=model,
            remedy="Share it with `mdjpt push` first and give user/name",
        )
    folder = Path(folder)
    package = folder / "demo"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").write_text('"""The page."""\n', encoding="utf-8")
    for module in (app, evidence, figures, recognition):
        shutil.copy(inspect.getfile(module), package)
    example = write_example(folder / "examples").relative_to(folder)
    (folder / "app.py").write_text(_APP.format(model=model, example=example.as_posix()), encoding="utf-8")
    (folder / "requirements.txt").write_text("\n".join((*REQUIREMENTS, "transformers>=5.23")) + "\n", encoding="utf-8")
    _card(model, licence).save(folder / "README.md")
    return folder


def _card(model: str, licence: str) -> SpaceCard:
    data = SpaceCardData(
        title=app.TITLE,
        emoji="🧠",
        colorFrom="indigo",
        colorTo="green",
        sdk="gradio",
        sdk_version=gradio.__version__,
        app_file="app.py",
        license=licence,
        models=[model],
    )
    about = _ABOUT.format(
        title=app.TITLE, introduction=app.INTRODUCTION, warning=app.WARNING, model=model, version=__version__
    )
    return SpaceCard(f"---\n{data.to_yaml()}\n---\n{about}")
