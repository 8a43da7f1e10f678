"""What is published about a corpus: terms, size, classes, citation; one file of `facts/` for each.

A file names the fields of `CorpusFacts` and the `classes`, each with its place in the common vocabulary. What several
corpora have in common stands in a file of its own, whose name begins with `_`; `shares` names such files.
"""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from mdjpt_hf.data_scripts.base import CorpusFacts, EmotionClass

_FOLDER = Path(__file__).with_name("facts")


@cache
def published(corpus: str) -> tuple[CorpusFacts, tuple[EmotionClass, ...]]:
    """Facts of a corpus, and its classes in label order, none where it has only ratings.

    Args:
        corpus: Its name in `BUILDERS`.

    Raises:
        FileNotFoundError: If no file of that name is there.
        TypeError: If a file names a field that there is not, or lacks one without a default.
    """
    told = _read(corpus)
    told = {key: value for shared in told.pop("shares", ()) for key, value in _read(f"_{shared}").items()} | told
    classes = tuple(EmotionClass(**known) for known in told.pop("classes", ()))
    return CorpusFacts(name=corpus, label_names=tuple(known.name for known in classes), **told), classes


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((_FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
