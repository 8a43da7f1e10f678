"""Files of corpora, read in a process of its own: whatever one of them does to its reader is an error that names it.

One child serves all files that this process reads, and is replaced when a file was its end. It can read the folder of
the file at hand, not the places a header may point to. Files go through it at the speed of the disk, once it is there.
"""

import functools
import importlib.util
from collections.abc import Callable
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import mdjpt_hf.errors
from mdjpt_hf.errors import CorpusError
from mdjpt_hf.modeling import montage_mdjpt, raw_mdjpt
from mdjpt_hf.modeling.isolated_mdjpt import IsolatedReader, Limits, inside

_MODULES = ("mne.io", "scipy.io", "scipy.signal", "mdjpt_hf.data_scripts.files", "mdjpt_hf.data_scripts.matlab")
#: Loaded beforehand where they are installed: once the child is bound to a folder, their import looks elsewhere.
_IF_THERE = ("h5py", "lmdb")
_Read = TypeVar("_Read", bound=Callable[..., Any])


def isolated(*results: type) -> Callable[[_Read], _Read]:
    """Makes a function whose first argument is a file run in the child.

    Its other arguments and what it returns are numbers, texts, arrays, plain containers and functions of modules.

    Args:
        results: Further dataclasses that it returns, besides recordings.
    """

    def decorate(function: _Read) -> _Read:
        name = f"{function.__module__}:{function.__qualname__}"

        @functools.wraps(function)
        def read(path: Path, *arguments: Any, **named: Any) -> Any:
            if inside():
                return function(path, *arguments, **named)
            return _reader(results).call(name, path, *arguments, **named)

        return cast(_Read, read)

    return decorate


def corpus_reader(limits: Limits = Limits()) -> IsolatedReader:  # noqa: B008 - cannot be changed
    """A child of its own that runs this package's readers, for who wants several or closer limits."""
    known = {**vars(montage_mdjpt), **vars(raw_mdjpt)}
    return IsolatedReader(
        limits=limits,
        modules=(*_MODULES, *(name for name in _IF_THERE if importlib.util.find_spec(name))),
        packages={"mdjpt_hf": [str(Path(str(mdjpt_hf.errors.__file__)).parent)]},
        classes={name: kind for name, kind in known.items() if isinstance(kind, type) and is_dataclass(kind)},
        errors=(mdjpt_hf.errors,),
        failure=CorpusError,
    )


_only_reader = functools.cache(corpus_reader)


def _reader(results: tuple[type, ...]) -> IsolatedReader:
    reader = _only_reader()
    reader.classes.update({kind.__name__: kind for kind in results})
    return reader


__all__ = ["corpus_reader", "isolated"]
