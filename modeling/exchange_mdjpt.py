"""Values as JSON and plain `.npy` files: what two processes that do not trust each other can hand over.

Nothing is pickled, so what comes back can be a wrong number but never a program.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

#: Kinds of arrays that `.npy` holds without pickling: truth values, numbers, complex numbers, bytes and texts.
_PLAIN = "biufcSU"
#: Smaller arrays are read at once.
_MAPPED_BYTES = 2**20


def pack(value: Any, folder: Path, seen: dict[int, tuple[int, Any]] | None = None) -> Any:
    """A value as a tree for JSON; arrays are written into the folder, and what occurs twice is told once.

    Takes None, truth values, numbers, texts, bytes, lists, tuples, sets, dicts, paths, dataclasses, functions of
    modules, and arrays of numbers, texts, objects or records of these.

    Raises:
        TypeError: If there is anything else in it.
    """
    if value is None or type(value) in (bool, int, str):
        return value
    packed = _pack_plain(value)
    if packed is not None:
        return packed
    seen = {} if seen is None else seen
    if id(value) in seen:
        return {"again": seen[id(value)][0]}
    number = len(seen)
    seen[id(value)] = number, value  # kept, so that its id is not given to another
    return {**_pack_compound(value, folder, seen), "number": number}


def _pack_plain(value: Any) -> Any:
    """Numbers beyond JSON's, texts, bytes, paths and functions; None for everything else."""
    if isinstance(value, np.generic) and value.dtype.kind in _PLAIN:
        return {"scalar": [value.dtype.str, value.tobytes().hex()]}
    if isinstance(value, float):
        return {"float": float(value).hex()}  # NaN and infinity are no JSON
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bytes | bytearray):
        return {"bytes": bytes(value).hex()}
    if isinstance(value, Path):
        return {"path": str(value)}
    if callable(value) and hasattr(value, "__qualname__") and "<" not in value.__qualname__:
        return {"function": f"{value.__module__}:{value.__qualname__}"}
    return None


def _pack_compound(value: Any, folder: Path, seen: dict[int, tuple[int, Any]]) -> dict[str, Any]:
    if isinstance(value, np.ndarray):
        return _pack_array(value, folder, seen)
    if is_dataclass(value) and not isinstance(value, type):
        content = {field.name: pack(getattr(value, field.name), folder, seen) for field in fields(value)}
        return {"dataclass": type(value).__name__, "content": content}
    if isinstance(value, list | tuple | set | frozenset):
        name = next(kind.__name__ for kind in (list, tuple, set, frozenset) if isinstance(value, kind))
        return {name: [pack(item, folder, seen) for item in value]}
    if isinstance(value, Mapping):
        return {"dict": [[pack(key, folder, seen), pack(item, folder, seen)] for key, item in value.items()]}
    raise TypeError(f"{type(value).__name__} cannot be handed to another process")


def _pack_array(array: np.ndarray, folder: Path, seen: dict[int, tuple[int, Any]]) -> dict[str, Any]:
    if array.dtype.names:
        columns = [[name, pack(np.asarray(array[name]), folder, seen)] for name in array.dtype.names]
        return {"records": columns, "shape": list(array.shape)}
    if array.dtype == object:
        return {"objects": [pack(item, folder, seen) for item in array.ravel()], "shape": list(array.shape)}
    if array.dtype.kind not in _PLAIN:
        raise TypeError(f"arrays of {array.dtype} cannot be handed to another process")
    name = f"{len(seen):08d}-{id(array)}.npy"
    np.save(folder / name, np.asarray(array), allow_pickle=False)
    return {"array": name}


class Unpacker:
    """Turns trees from [`pack`] back into values.

    Args:
        folder: Where the arrays lie.
        classes: The dataclasses that may occur, by name.
        find: Turns "module:function" into the function; without it functions are refused.
        mapped: Leave large arrays in their files, mapped copy-on-write.
    """

    def __init__(
        self,
        folder: Path,
        classes: Mapping[str, type] | None = None,
        find: Callable[[str], Any] | None = None,
        mapped: bool = False,
    ):
        self.folder, self.classes, self.find, self.mapped = folder, dict(classes or {}), find, mapped
        self._seen: dict[int, Any] = {}

    def value(self, tree: Any) -> Any:
        """The value of a tree.

        Raises:
            ValueError: If the tree is not one of `pack`, or asks for what is not allowed.
        """
        if tree is None or isinstance(tree, bool | int | str):
            return tree
        if isinstance(tree, dict) and "again" in tree and tree["again"] in self._seen:
            return self._seen[tree["again"]]
        if not isinstance(tree, dict) or not tree:
            raise ValueError(f"{type(tree).__name__} is no packed value")
        kind, content = next(iter(tree.items()))
        found = _SIMPLE[kind](content) if kind in _SIMPLE else self._compound(kind, content, tree)
        self._seen[tree.get("number", -1)] = found
        return found

    def _compound(self, kind: str, content: Any, tree: dict[str, Any]) -> Any:
        if kind in _CONTAINERS:
            return _CONTAINERS[kind](self.value(item) for item in content)
        if kind == "dict":
            return {self.value(key): self.value(item) for key, item in content}
        if kind == "dataclass" and content in self.classes:
            return self.classes[content](**{name: self.value(part) for name, part in tree["content"].items()})
        if kind == "function" and self.find is not None:
            return self.find(content)
        if kind in ("array", "objects", "records"):
            return self._array(kind, content, tree)
        raise ValueError(f"a packed value of the kind {kind!r}, {str(content)[:50]!r}, is not allowed here")

    def _array(self, kind: str, content: Any, tree: dict[str, Any]) -> np.ndarray:
        if kind == "array":
            path = self.folder / Path(content).name
            if self.mapped and path.stat().st_size > _MAPPED_BYTES:
                return np.load(path, mmap_mode="c", allow_pickle=False).view(np.ndarray)
            return np.load(path, allow_pickle=False)
        if kind == "objects":
            flat = np.empty(len(content), dtype=object)
            for index, part in enumerate(content):
                flat[index] = self.value(part)
            return flat.reshape(tree["shape"])
        columns = {name: self.value(part) for name, part in content}
        array = np.empty(tree["shape"], dtype=[(name, column.dtype) for name, column in columns.items()])
        for name, column in columns.items():
            array[name] = column
        return array


def _scalar(content: list[str]) -> np.generic:
    return np.frombuffer(bytes.fromhex(content[1]), np.dtype(content[0]), count=1)[0]


_SIMPLE: dict[str, Callable[[Any], Any]] = {
    "float": float.fromhex,
    "bytes": bytes.fromhex,
    "path": Path,
    "scalar": _scalar,
}
_CONTAINERS: dict[str, Callable[[Any], Any]] = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}


__all__ = ["Unpacker", "pack"]
