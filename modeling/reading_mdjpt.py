"""A recording's file, read in a process of its own: its scalp EEG and what was noticed on the way."""

import importlib.util
import os
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from . import raw_mdjpt
from .errors_mdjpt import MDJPTError, SignalError
from .isolated_mdjpt import Limits, inside, keep_spare, private_reader
from .opening_mdjpt import open_file, watched
from .raw_mdjpt import Recording, read_raw

#: What the child that reads recordings loads beforehand.
_MODULES = ("mne.io", "scipy.io", "scipy.signal", ".reading_mdjpt")
_CLASSES = {name: kind for name, kind in vars(raw_mdjpt).items() if isinstance(kind, type) and is_dataclass(kind)}

_NEEDS_MNE = "pip install mne, or give an array"


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
        return reader.call(".reading_mdjpt:open_recording", path, unit, limits.values)


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
    raw, notes = open_file(path)
    _refuse_large(raw, most_values, path)
    recording, more = watched(path, lambda: read_raw(raw, unit))  # samples are read only now
    return recording, list(dict.fromkeys(notes + more))


def _refuse_large(raw: Any, most_values: int, path: Path) -> None:
    values = len(raw.ch_names) * int(raw.n_times) if most_values else 0
    if values > most_values:
        raise SignalError(
            f"the recording has {len(raw.ch_names)} channels and {values:,} values; at most {most_values:,} are read",
            path=path,
            value=values,
            remedy="Give a shorter recording, or one with a lower rate",
        )


__all__ = ["open_recording", "read_file", "warm_up"]
