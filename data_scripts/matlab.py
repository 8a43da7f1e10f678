"""MATLAB files, version 5 through SciPy and version 7.3 through h5py; every error names the file.

Axes are those MATLAB shows. Structs and cells come out as SciPy gives them: object and structured arrays.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from mdjpt_hf.data_scripts.files import refuse_pointers
from mdjpt_hf.data_scripts.isolation import isolated
from mdjpt_hf.errors import CorpusError, require
from mdjpt_hf.modeling.elsewhere_mdjpt import refuse_outside_links

try:  # here, since the process that reads files may open no library any more when it reads one
    import h5py
except ImportError:
    h5py = None

_HDF5 = b"\x89HDF\r\n\x1a\n"


def load_matlab(path: Path, wanted: Callable[[str], bool] | None = None) -> dict[str, np.ndarray]:
    """The variables of a MATLAB file, in the order of the file.

    Args:
        path: The file.
        wanted: Says by its name whether a variable is to be read; all by default. What is not wanted is skipped on
            disk, so that a large file can be read variable by variable.

    Returns:
        Name -> array, at least two-dimensional, with MATLAB's axes and the stored type.

    Raises:
        CorpusError: If it is a pointer, truncated, or not a MATLAB file; if its reader does not survive it; if it is
            of version 7.3 and holds structs or cells.
    """
    names = [name for name in matlab_names(path) if wanted is None or wanted(name)]
    return _load_named(path, names)


@isolated()
def _load_named(path: Path, names: list[str]) -> dict[str, np.ndarray]:
    if is_version_73(path):
        return _load_73(path, names)
    content = _with_scipy(path, lambda: scipy.io.loadmat(path, variable_names=names, appendmat=False))
    return {name: content[name] for name in names}


@isolated()
def matlab_names(path: Path) -> list[str]:
    """Names of the variables of a MATLAB file, in the order of the file.

    Raises:
        CorpusError: As `load_matlab`.
    """
    if is_version_73(path):
        with _open_73(path) as content:
            return [name for name in content if not name.startswith("#")]  # "#refs#" holds the content of cells
    return [name for name, _, _ in _with_scipy(path, lambda: scipy.io.whosmat(path, appendmat=False))]


def is_version_73(path: Path) -> bool:
    """Whether it is HDF5, which version 7.3 is; its signature follows a text header of 512 bytes.

    Raises:
        CorpusError: If it cannot be opened, or is a pointer.
    """
    refuse_pointers(path)
    try:
        with path.open("rb") as file:
            start = file.read(520)
    except OSError as error:
        raise CorpusError(f"cannot be opened ({error.strerror})", path=path, remedy="Check the folder") from error
    return start[512:] == _HDF5 or start.startswith(_HDF5)


def _with_scipy(path: Path, action: Callable[[], Any]) -> Any:
    try:
        return action()
    except Exception as error:  # SciPy raises anything at all on damaged files, zlib.error included
        cause = f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": .")
        raise CorpusError(
            f"cannot be read as a MATLAB file; it is truncated, damaged or of another format ({cause[:200]})",
            path=path,
            value=cause,
            remedy="Copy or download it again",
        ) from error


def _open_73(path: Path) -> Any:
    if h5py is None:
        require("h5py", "matlab", f"{path.name}, of MATLAB 7.3,")
    try:
        refuse_outside_links(path)
        return h5py.File(path, "r")
    except OSError as error:
        raise CorpusError(
            f"is truncated or damaged ({error})", path=path, remedy="Copy or download it again"
        ) from error


def _load_73(path: Path, names: list[str]) -> dict[str, np.ndarray]:
    result = {}
    with _open_73(path) as content:
        for name in names:
            # groups are structs, and cells are references to other places of the file
            if not hasattr(content[name], "dtype") or content[name].dtype.kind == "O":
                raise CorpusError(
                    f"variable {name!r} is a struct or a cell in MATLAB 7.3",
                    path=path,
                    value=name,
                    remedy="Save the file in MATLAB with -v7",
                )
            result[name] = np.asarray(content[name]).T  # HDF5 lists MATLAB's axes in reverse
    return result
