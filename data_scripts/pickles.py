"""Pickles of strangers, read without running anything they ask for.

A pickle is a program: unpickled the usual way, it can call whatever it names. Corpora need very little of that, so here
a name is never looked up. NumPy's own names are answered by stand-ins that build arrays from checked parts, the few
plain containers by themselves, and every other name is refused.
"""

import io
import math
import pickle
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, ClassVar

import numpy as np

from mdjpt_hf.data_scripts.isolation import isolated
from mdjpt_hf.errors import CorpusError

# a plain number, text or object; records, subarrays and dates have no place in a corpus
_PLAIN_TYPE = re.compile(r"[<>=|]?(b1|[iu][1248]|f[248]|c(8|16)|[SUa]\d+|O8?|\?)")
#: How compressed files begin.
_COMPRESSED = {
    **{b"x\x01": "zlib", b"x\x5e": "zlib", b"x\x9c": "zlib", b"x\xda": "zlib", b"\x1f\x8b": "gzip", b"BZh": "bzip2"},
    **{b"\xfd7zXZ": "xz", b"\x5d\x00\x00": "lzma", b"\x04\x22M\x18": "lz4"},
}
_ARRAY_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


@isolated()
def load_pickle(path: Path) -> Any:
    """The arrays, numbers, texts and plain containers in a pickle, written by Python 2 or 3.

    Texts of Python 2 are read as Latin-1, which keeps every byte.

    Raises:
        CorpusError: If the file is damaged, or asks for anything else; the message names what.
    """
    with _opened(path) as file:
        return _read(path, lambda: _ArrayUnpickler(path, file).load())


def unpickled(content: bytes, path: Path) -> Any:
    """What [`load_pickle`] gives, of a pickle that is part of a file; called where that file is read.

    Raises:
        CorpusError: As `load_pickle` does.
    """
    return _read(path, lambda: _ArrayUnpickler(path, io.BytesIO(content)).load())


@isolated()
def load_array(path: Path) -> Any:
    """The array in a `.npy` file; where it holds a single pickled object, such as a dictionary, that object.

    Raises:
        CorpusError: If the file is damaged, or its pickle asks for anything but arrays and plain containers.
    """
    with _opened(path) as file:
        return _read(path, lambda: _read_array(path, file))


@isolated()
def load_joblib(path: Path) -> Any:
    """The array, or the plain containers of arrays, in a file of `joblib.dump`.

    joblib 1.6 puts a note in the place of each array, and the array's bytes right behind it.

    Raises:
        CorpusError: If the file is damaged or compressed, or asks for anything but arrays and plain containers.
    """
    with _opened(path) as file:
        start = file.read(6)
        file.seek(0)
        if kind := next((name for magic, name in _COMPRESSED.items() if start.startswith(magic)), ""):
            raise CorpusError(
                f"is compressed with {kind}", path=path, value=kind, remedy="Uncompress it; only plain files are read"
            )
        return _read(path, lambda: _JoblibUnpickler(path, file).load())


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise CorpusError(f"cannot be opened ({error.strerror})", path=path, remedy="Check that it is there") from error


def _read(path: Path, action: Callable[[], Any]) -> Any:
    try:
        return action()
    except CorpusError:
        raise
    except Exception as error:  # a damaged pickle can fail in any way
        cause = f"{type(error).__name__}: {error}"[:200].rstrip(". ")
        raise CorpusError(
            f"the file is truncated, damaged, or no pickle or array ({cause})",
            path=path,
            value=cause,
            remedy="Copy or download it again",
        ) from error


def _read_array(path: Path, file: IO[bytes]) -> Any:
    version = np.lib.format.read_magic(file)
    if version not in _ARRAY_HEADERS:
        raise ValueError(f"version {version} of the format is not known")
    dtype = _ARRAY_HEADERS[version](file)[2]
    if not dtype.hasobject:
        file.seek(0)
        return np.lib.format.read_array(file, allow_pickle=False)
    array = _ArrayUnpickler(path, file).load()
    return array.item() if isinstance(array, np.ndarray) and array.shape == () else array


class _KnownNames:
    """What makes an unpickler know the names below and no other.

    The stand-ins are static methods and built-in types: a pickle can call them, but cannot change them.
    """

    def __init__(self, path: Path, file: IO[bytes]):
        super().__init__(file, encoding="latin1")  # type: ignore[call-arg]
        self.path = path

    def load(self) -> Any:
        """The content, every stand-in replaced by the array it stands for."""
        return _settle(super().load(), {})  # type: ignore[misc]

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in for a name.

        Raises:
            CorpusError: If there is none.
        """
        old_name = module.replace("numpy._core", "numpy.core").replace("__builtin__", "builtins")
        found = self._stand_ins.get((old_name, name))
        if found is None:
            raise CorpusError(
                f"this pickle asks for {module}.{name}, which could run foreign code; nothing was run",
                path=self.path,
                value=f"{module}.{name}",
                remedy="Take the file from the corpus's owner; it should hold arrays, numbers and text only",
            )
        return found

    @staticmethod
    def _type(spec: str, align: Any = False, copy: Any = True) -> "_Type":
        return _Type(spec)

    @staticmethod
    def _array(kind: Any, shape: Any, typecode: Any) -> "_Array":
        return _Array()

    @staticmethod
    def _scalar(kind: "_Type", data: str | bytes) -> Any:
        return np.frombuffer(_as_bytes(data), kind.dtype, count=1)[0]

    @staticmethod
    def _from_buffer(data: Any, kind: "_Type", shape: Sequence[int], order: str) -> np.ndarray:
        return np.frombuffer(_as_bytes(data), kind.dtype).reshape(shape, order="F" if order == "F" else "C")

    @staticmethod
    def _encode(text: str, encoding: str = "latin1") -> bytes:
        if encoding not in ("latin1", "utf-8"):
            raise ValueError(f"text encoded as {encoding!r}")
        return text.encode(encoding)

    @staticmethod
    def _no_bytes() -> bytes:
        return b""

    _stand_ins: ClassVar[dict[tuple[str, str], Any]] = {
        ("numpy", "dtype"): _type,
        ("numpy", "ndarray"): "ndarray",  # only ever the first argument of _reconstruct
        ("numpy.core.multiarray", "_reconstruct"): _array,
        ("numpy.core.multiarray", "scalar"): _scalar,
        ("numpy.core.numeric", "_frombuffer"): _from_buffer,
        ("_codecs", "encode"): _encode,  # how Python 3 writes bytes for Python 2
        ("builtins", "bytes"): _no_bytes,
        ("builtins", "set"): set,
        ("builtins", "frozenset"): frozenset,
        ("collections", "OrderedDict"): dict,
    }


class _ArrayUnpickler(_KnownNames, pickle.Unpickler):
    """Python's own, which reads ahead."""


class _JoblibUnpickler(_KnownNames, pickle._Unpickler):  # type: ignore[name-defined]
    """Python's slow one, which stops where the bytes of an array begin."""

    def __init__(self, path: Path, file: IO[bytes]):
        super().__init__(path, file)
        self.file = file

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in for a name; joblib's note is one more."""
        return (
            _Note
            if (module, name) == ("joblib.numpy_pickle", "NumpyArrayWrapper")
            else super().find_class(module, name)
        )

    def _load_build(self) -> None:
        pickle._Unpickler.load_build(self)  # type: ignore[attr-defined]
        stack: list[Any] = self.stack  # type: ignore[attr-defined]
        if isinstance(stack[-1], _Note):
            stack[-1] = stack[-1].read(self.file)

    dispatch = {**pickle._Unpickler.dispatch, pickle.BUILD[0]: _load_build}  # type: ignore


class _Note:
    """Stands for the note before an array's bytes."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.shape, self.dtype = tuple(map(int, state["shape"])), state["dtype"].dtype
        self.order, self.alignment = state["order"], state.get("numpy_array_alignment_bytes")

    def read(self, file: IO[bytes]) -> np.ndarray:
        """The array whose bytes come next."""
        if self.dtype == object or min(self.shape, default=0) < 0:
            raise ValueError(f"array of {self.dtype} and shape {self.shape}")
        if self.alignment is not None:
            file.read(file.read(1)[0])  # as many bytes as the first says, to begin at a round address
        size = math.prod(self.shape) * self.dtype.itemsize
        content = file.read(size)
        if len(content) != size:
            raise ValueError(f"{len(content)} bytes for an array of {size}")
        return np.frombuffer(content, self.dtype).reshape(self.shape, order="F" if self.order == "F" else "C")


class _Type:
    """Stands for a `numpy.dtype` and lets through plain ones only."""

    def __init__(self, spec: str):
        if not isinstance(spec, str) or not _PLAIN_TYPE.fullmatch(spec):
            raise ValueError(f"array type {spec!r}")
        self.dtype = np.dtype(spec)

    def __setstate__(self, state: Sequence[Any]) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """Stands for an array until its content has come."""

    def __setstate__(self, state: Sequence[Any]) -> None:
        _, self.shape, kind, fortran, self.content = state
        self.dtype = kind.dtype
        self.order = "F" if fortran else "C"

    def build(self, memo: dict[int, Any]) -> np.ndarray:
        if self.dtype != object:
            flat = np.frombuffer(_as_bytes(self.content), self.dtype)
        else:
            flat = np.empty(len(self.content), object)
            for index, item in enumerate(self.content):
                flat[index] = _settle(item, memo)
        if len(flat) != math.prod(self.shape):
            raise ValueError(f"{len(flat)} values for an array of shape {self.shape}")
        return flat.reshape(self.shape, order="F" if self.order == "F" else "C")


def _as_bytes(data: Any) -> bytes:
    """The content of an array: a text where Python 2 wrote it."""
    return data.encode("latin1") if isinstance(data, str) else bytes(data)


def _settle(value: Any, memo: dict[int, Any]) -> Any:
    """The value with every stand-in in it replaced; what occurs twice is built once."""
    if id(value) in memo:
        return memo[id(value)]
    settled: Any = value
    if isinstance(value, _Array):
        settled = value.build(memo)
    elif isinstance(value, _Type):
        settled = value.dtype
    elif isinstance(value, dict):
        settled = {_settle(key, memo): _settle(item, memo) for key, item in value.items()}
    elif isinstance(value, (list, tuple)):
        settled = type(value)(_settle(item, memo) for item in value)
    memo[id(value)] = settled
    return settled
