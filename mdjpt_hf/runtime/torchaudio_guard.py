"""torchaudio that was built for CUDA, beside a torch that was not: opened without its compiled part.

braindecode needs torchaudio, whose only builds on the package index are linked to CUDA. On a machine without it
`import torchaudio` raises, and since transformers imports torchaudio wherever it is installed, so do its pipelines
and its Trainer. What torchaudio compiles it also has in Python, slower, for installations that come without the
compiled files; that is what is used then.
"""

import ctypes
import importlib
import importlib.util
import sys
import warnings
from pathlib import Path

_REMEDY = "install the torchaudio that belongs to your torch, from where that came from, or `pip uninstall torchaudio`"


def mend_torchaudio() -> None:
    """Make torchaudio importable, or absent, before anything imports it; does nothing where it works.

    Warns:
        UserWarning: If it can be neither opened nor done without its compiled part; names the remedy.
    """
    if "torchaudio" in sys.modules:
        return
    found = importlib.util.find_spec("torchaudio")
    if found is None or found.origin is None or _loads(Path(found.origin).parent / "lib"):
        return
    try:
        _without_compiled_part(Path(found.origin).parent)
        importlib.import_module("torchaudio")
    except Exception as error:  # whatever stands in its files runs now
        for name in [name for name in sys.modules if name.split(".")[0] == "torchaudio"]:
            del sys.modules[name]
        sys.modules["torchaudio"] = None  # type: ignore[assignment]  # as if it were not installed
        warnings.warn(f"torchaudio is installed and does not load ({error}); it is left out: {_REMEDY}", stacklevel=2)


def _loads(folder: Path) -> bool:
    """Whether its compiled part fits torch and this machine, or there is none."""
    import torch  # noqa: F401  # whose libraries it is linked to

    try:
        for library in sorted([*folder.glob("*torchaudio.so"), *folder.glob("*torchaudio.pyd")]):
            ctypes.CDLL(str(library))
    except OSError:
        return False
    return True


def _without_compiled_part(folder: Path) -> None:
    """Let torchaudio find no compiled files, which it allows for."""
    name = "torchaudio._extension.utils"
    spec = importlib.util.spec_from_file_location(name, folder / "_extension" / "utils.py")
    if spec is None or spec.loader is None:
        raise ImportError(name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module._load_lib = lambda library: False  # type: ignore[attr-defined]
    sys.modules[name] = module
