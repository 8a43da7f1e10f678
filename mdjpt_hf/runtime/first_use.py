"""Registration that waits until transformers' auto classes, or models of ours, are used.

torch and transformers take seconds to load, and most programs that import the package ask for one thing of it. Until
then a finder watches what is imported of both; it goes when registration is done.
"""

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

from mdjpt_hf.runtime.importing import collection_paused

#: What imports each other, so that nothing of it is whole before the outermost import has ended.
_WATCHED = ("transformers.", "mdjpt_hf.modeling.", "mdjpt_hf.runtime.registration")
#: Loaded first by everything that looks classes up by the name of their configuration.
_AUTO = "transformers.models.auto.configuration_auto"
#: Those whose classes are registered, which saving a checkpoint relies on.
_OURS = tuple(
    f"mdjpt_hf.modeling.{name}"
    for name in (
        "configuration_masked_eeg",
        "configuration_mdjpt",
        "feature_extraction_mdjpt",
        "modeling_masked_eeg",
        "modeling_mdjpt",
        "pipeline_mdjpt",
    )
)


def register_at_first_use() -> None:
    """Register our models as soon as somebody can miss them; at once where the auto classes are loaded already.

    Where torchaudio is installed it is mended now: nobody says which of its importers comes first.
    """
    if find_spec("torchaudio") is not None:
        _before()
    if _AUTO in sys.modules:
        _register()
    elif not any(isinstance(finder, _Watch) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Watch())


def _register() -> None:
    with collection_paused():
        import_module("mdjpt_hf.runtime.registration").register()


class _Watch(MetaPathFinder):
    """Leaves finding to all others, and counts how deep in each other the imports are that they find."""

    def __init__(self) -> None:
        self._depth = threading.local()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """What the others find, with a loader that tells when it begins and ends."""
        if not fullname.startswith(_WATCHED):
            return None
        others = [finder for finder in sys.meta_path if finder is not self]
        spec = next(filter(None, (finder.find_spec(fullname, path, target) for finder in others)), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _Told(spec.loader, self)
        return spec

    @contextmanager
    def one_deeper(self) -> Iterator[None]:
        """An import; when the outermost of a thread has ended and something to register is there, it is registered."""
        depth = getattr(self._depth, "value", 0)
        if depth == 0 and self in sys.meta_path:
            _before()
        self._depth.value = depth + 1
        try:
            yield
        finally:
            self._depth.value = depth
        if depth == 0 and self in sys.meta_path and any(name in sys.modules for name in (_AUTO, *_OURS)):
            sys.meta_path.remove(self)
            _register()


def _before() -> None:
    """What has to be done before transformers imports what is installed beside it."""
    import_module("mdjpt_hf.runtime.torchaudio_guard").mend_torchaudio()


class _Told(Loader):
    """Gives way to the loader that was found as soon as the module is there."""

    def __init__(self, found: Loader, watch: _Watch):
        self._found, self._watch = found, watch

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As the loader does that was found."""
        return self._found.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """The same, counted."""
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._found
        with self._watch.one_deeper():
            self._found.exec_module(module)
