"""Rows to windows to pairs to batches: prepared corpora, memory mapped, ready for the model."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mdjpt_hf.data.loading import corpus_metadata, load_corpus

__all__ = ["corpus_metadata", "load_corpus"]


def __getattr__(name: str) -> Any:
    """A public function; `datasets` is imported with the first."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mdjpt_hf.data import loading

    return getattr(loading, name)
