"""Pickles as Python 2 wrote them, for tests: byte strings by their old opcodes, and NumPy's old module names."""

import pickle
import struct
from pathlib import Path
from typing import Any


class _Python2Pickler(pickle._Pickler):  # type: ignore[name-defined]
    dispatch = dict(pickle._Pickler.dispatch)  # type: ignore[attr-defined]

    def save_string(self, text: bytes | str) -> None:
        data = text.encode("latin1") if isinstance(text, str) else text
        short = len(data) < 256
        self.write(
            pickle.SHORT_BINSTRING + bytes([len(data)]) if short else pickle.BINSTRING + struct.pack("<i", len(data))
        )
        self.write(data)
        self.memoize(text)

    def save_name(self, thing: Any, name: str | None = None) -> None:
        module = thing.__module__.replace("numpy._core", "numpy.core").replace("builtins", "__builtin__")
        self.write(pickle.GLOBAL + f"{module}\n{name or thing.__qualname__}\n".encode())
        self.memoize(thing)

    save_global = save_name
    dispatch[str] = save_string
    dispatch[bytes] = save_string
    dispatch[type] = save_name
    dispatch[type(len)] = save_name
    dispatch[type(struct.pack)] = save_name


def write_python2_pickle(path: Path, content: Any) -> Path:
    with path.open("wb") as file:
        _Python2Pickler(file, protocol=2).dump(content)
    return path
