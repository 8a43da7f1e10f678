"""A recording's file, opened by MNE: its scalp EEG and what was noticed on the way."""

import importlib.util
import os
import warnings
from collections.abc import Iterable
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from . import raw_mdjpt
from .confinement_mdjpt import ElsewhereError, is_below
from .errors_mdjpt import MDJPTError, SignalError, located
from .isolated_mdjpt import Limits, inside, keep_spare, private_reader
from .raw_mdjpt import Recording, read_raw

#: What the child that reads recordings loads beforehand.
_MODULES = ("mne.io", "scipy.io", "scipy.signal", ".opening_mdjpt")
_CLASSES = {name: kind for name, kind in vars(raw_mdjpt).items() if isinstance(kind, type) and is_dataclass(kind)}

_NEEDS_MNE = "pip install mne, or give an array"

_HDF5 = b"\x89HDF\r\n\x1a\n"


def read_file(
    path: str | os.PathLike,
    unit: str | None = None,
    limits: Limits = Limits(),  # noqa: B008 - cannot be changed
) -> tuple[Recording, list[str]]:
    """The scalp EEG of a file, and what MNE warned of. The file is read in a process of its own, which can read nothing
    but the folder the file lies in.

    Args:
        path: In any format MNE opens.
        unit: What the values really are, where the file's header is wrong.
        limits: What reading may cost.

    Raises:
        MDJPTError: If there is no such file, MNE is not installed, the file cannot be read or used, points to files
            elsewhere, or takes more than the limits.
    """
    path = Path(path)
    if inside():
        return open_recording(path, unit)
    if importlib.util.find_spec("mne") is None:
        raise MDJPTError("opening files needs MNE", path=path, remedy=_NEEDS_MNE)
    if not path.exists():
        raise SignalError("there is no such file", path=path, value=str(path), remedy="Check the path")
    with private_reader(path.absolute().parent, limits, modules=_MODULES, classes=_CLASSES) as reader:
        return reader.call(".opening_mdjpt:open_recording", path, unit, limits.values)


def warm_up() -> None:
    """Let a process stand ready for the next file: servers call this when they start, and after every file."""
    keep_spare(_MODULES)


def open_recording(path: Path, unit: str | None = None, most_values: int = 0) -> tuple[Recording, list[str]]:
    """[`read_file`] in this process, for files that are known to be good.

    Args:
        path, unit: As there.
        most_values: Channels x samples at most; 0 for any number. Formats whose channels differ in rate hold far fewer
            on disk than they are read as.

    Raises:
        MDJPTError: If the file cannot be read or used, or points to files elsewhere.
    """
    try:
        import mne
    except ImportError as error:
        raise MDJPTError("opening files needs MNE", path=path, remedy=_NEEDS_MNE) from error
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            refuse_outside_links(path)
            raw = mne.io.read_raw(path, preload=False, verbose="WARNING")
            refuse_elsewhere(raw.filenames, path.parent)
            _refuse_large(raw, most_values)
            recording = read_raw(raw, unit)  # samples are read only now
        except MDJPTError as error:
            raise located(error, str(path)) from error
        except Exception as error:  # readers of foreign formats raise anything at all
            raise _unreadable(path, error) from error
    return recording, list(dict.fromkeys(f"MNE warns: {_without(path.parent, str(told.message))}" for told in caught))


def _without(folder: Path, text: str) -> str:
    """A message without the place of its files, which may be named after a person or belong to a server."""
    return text.replace(f"{folder}{os.sep}", "").replace(str(folder), "the folder")


def _refuse_large(raw: Any, most_values: int) -> None:
    values = len(raw.ch_names) * int(raw.n_times) if most_values else 0
    if values > most_values:
        raise SignalError(
            f"the recording has {len(raw.ch_names)} channels and {values:,} values; at most {most_values:,} are read",
            value=values,
            remedy="Give a shorter recording, or one with a lower rate",
        )


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


def _unreadable(path: str | os.PathLike, error: Exception) -> SignalError:
    return SignalError(
        f"MNE cannot read this file ({type(error).__name__}: {str(error)[:200]})",
        path=path,
        value=type(error).__name__,
        remedy="Check that it is complete and of the format its name says, or convert it to EDF or FIF",
    )


__all__ = ["open_recording", "read_file", "refuse_elsewhere", "refuse_outside_links", "warm_up"]
