"""Rows to windows to pairs to batches: prepared corpora, memory mapped, ready for the model."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mdjpt_hf.data.adapters import from_arrays, from_braindecode, from_epochs, from_moabb, from_torcheeg
    from mdjpt_hf.data.loading import corpus_metadata, load_corpus

__all__ = [
    "corpus_metadata",
    "from_arrays",
    "from_braindecode",
    "from_epochs",
    "from_moabb",
    "from_torcheeg",
    "load_corpus",
]


def __getattr__(name: str) -> Any:
    """A public function; `datasets` is imported with the first."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    place = "adapters" if name.startswith("from_") else "loading"
    return getattr(import_module(f"mdjpt_hf.data.{place}"), name)
