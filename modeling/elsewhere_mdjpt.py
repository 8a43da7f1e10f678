"""Recordings whose parts lie in other places: refused, since a header could name any file at all."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .confinement_mdjpt import ElsewhereError, is_below

_HDF5 = b"\x89HDF\r\n\x1a\n"


def refuse_elsewhere(opened: Iterable[Any], folder: Path) -> None:
    """Refuse a recording whose reader says that it consists of files beyond a folder.

    Raises:
        ElsewhereError: If a file lies elsewhere, followed through no link.
    """
    for name in opened:
        if name is not None and not is_below(os.path.abspath(name), os.path.abspath(folder)):
            raise ElsewhereError("the recording's reader opened a file elsewhere")


def refuse_outside_links(path: Path) -> None:
    """Refuse an HDF5 file (MATLAB 7.3, SNIRF) with parts in other files: the library opens these by itself, unseen.

    Raises:
        ElsewhereError: If a link, a data set or a virtual data set leads out of the file.
    """
    if not _is_hdf5(path):
        return
    try:
        import h5py
    except ImportError:  # then no reader here can open it either
        return

    def look(name: str, link: Any) -> str | None:
        if isinstance(link, h5py.ExternalLink):
            return name
        found = file.get(name) if isinstance(link, h5py.HardLink) else None
        return name if isinstance(found, h5py.Dataset) and (found.external or found.is_virtual) else None

    with h5py.File(path, "r") as file:
        if file.visititems_links(look) is not None:
            raise ElsewhereError("a part of the file lies in another file")


def _is_hdf5(path: Path) -> bool:
    """The signature stands at the start, or at 512, 1024, 2048, ... bytes."""
    if not path.is_file():
        return False
    size, place = path.stat().st_size, 0
    with path.open("rb") as file:
        while place + len(_HDF5) <= size:
            file.seek(place)
            if file.read(len(_HDF5)) == _HDF5:
                return True
            place = max(512, 2 * place)
    return False
