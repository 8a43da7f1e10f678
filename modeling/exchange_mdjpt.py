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


def pack(value: Any, folder: Path) -> Any:
    """A value as a tree for JSON; arrays are written into the folder.

    Takes None, truth values, numbers, texts, bytes, lists, tuples, sets, dicts, paths, dataclasses, module-level
    functions, and arrays of numbers, texts, objects or records of these.

    Raises:
        TypeError: If there is anything else in it.
    """
    if value is None or isinstance(value, bool | int | str) and type(value) in (bool, int, str):
        return value
    packed = _pack_plain(value)
    if packed is not None:
        return packed
    if isinstance(value, np.ndarray):
        return _pack_array(value, folder)
    if is_dataclass(value) and not isinstance(value, type):
        content = {field.name: pack(getattr(value, field.name), folder) for field in fields(value)}
        return {"dataclass": type(value).__name__, "content": content}
    if isinstance(value, list | tuple | set | frozenset):
        name = next(kind.__name__ for kind in (list, tuple, set, frozenset) if isinstance(value, kind))
        return {name: [pack(item, folder) for item in value]}
    if isinstance(value, Mapping):
        return {"dict": [[pack(key, folder), pack(item, folder)] for key, item in value.items()]}
    raise TypeError(f"{type(value).__name__} cannot be handed to another process")


def _pack_plain(value: Any) -> Any:
    """Numbers beyond JSON's, texts, bytes, paths and functions; None for everything else."""
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


def _pack_array(array: np.ndarray, folder: Path) -> Any:
    if array.dtype.names:
        columns = [[name, pack(np.asarray(array[name]), folder)] for name in array.dtype.names]
        return {"records": columns, "shape": list(array.shape)}
    if array.dtype == object:
        return {"objects": [pack(item, folder) for item in array.ravel()], "shape": list(array.shape)}
    if array.dtype.kind not in _PLAIN:
        raise TypeError(f"arrays of {array.dtype} cannot be handed to another process")
    name = f"{sum(1 for _ in folder.iterdir()):06d}.npy"
    np.save(folder / name, np.asarray(array), allow_pickle=False)
    return {"array": name}


def unpack(
    tree: Any,
    folder: Path,
    classes: Mapping[str, type] | None = None,
    find: Callable[[str], Any] | None = None,
    mapped: bool = False,
) -> Any:
    """The value of a tree from [`pack`].

    Args:
        tree: Read from JSON.
        folder: Where the arrays lie.
        classes: The dataclasses that may occur, by name.
        find: Turns "module:function" into the function; without it functions are refused.
        mapped: Leave large arrays in their files, mapped copy-on-write.

    Raises:
        ValueError: If the tree is not one of `pack`, or asks for what is not allowed.
    """
    if tree is None or isinstance(tree, bool | int | str):
        return tree
    if not isinstance(tree, dict):
        raise ValueError(f"{type(tree).__name__} is no packed value")
    kind, content = next(iter(tree.items()))

    def inner(part: Any) -> Any:
        return unpack(part, folder, classes, find, mapped)

    if kind in _SIMPLE:
        return _SIMPLE[kind](content)
    if kind in _CONTAINERS:
        return _CONTAINERS[kind](inner(item) for item in content)
    if kind == "dict":
        return {inner(key): inner(item) for key, item in content}
    if kind == "dataclass" and classes and content in classes:
        return classes[content](**{name: inner(part) for name, part in tree["content"].items()})
    if kind == "function" and find is not None:
        return find(content)
    if kind in ("array", "objects", "records"):
        return _unpack_array(kind, tree, folder, inner, mapped)
    raise ValueError(f"a packed value of the kind {kind!r}, {str(content)[:50]!r}, is not allowed here")


_SIMPLE: dict[str, Callable[[Any], Any]] = {"float": float.fromhex, "bytes": bytes.fromhex, "path": Path}
_CONTAINERS: dict[str, Callable[[Any], Any]] = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}


def _unpack_array(
    kind: str, tree: dict[str, Any], folder: Path, inner: Callable[[Any], Any], mapped: bool
) -> np.ndarray:
    if kind == "array":
        path = folder / Path(tree["array"]).name
        if mapped and path.stat().st_size > 2**20:
            return np.load(path, mmap_mode="c", allow_pickle=False).view(np.ndarray)
        return np.load(path, allow_pickle=False)
    shape = tuple(tree["shape"])
    if kind == "objects":
        flat = np.empty(len(tree["objects"]), dtype=object)
        for index, part in enumerate(tree["objects"]):
            flat[index] = inner(part)
        return flat.reshape(shape)
    columns = {name: inner(part) for name, part in tree["records"]}
    array = np.empty(shape, dtype=[(name, column.dtype) for name, column in columns.items()])
    for name, column in columns.items():
        array[name] = column
    return array


__all__ = ["pack", "unpack"]
