"""Opening a recording's file, with every way of being wrong named: the one opener for all who take paths."""

import os
import re
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .brainvision_mdjpt import refuse_misread
from .companions_mdjpt import named_files, pointers
from .elsewhere_mdjpt import refuse_elsewhere, refuse_outside_links
from .errors_mdjpt import SignalError, is_ours, located
from .mne_mdjpt import load_mne
from .neuroscan_mdjpt import is_neuroscan, neuroscan_raw

#: What MNE 1.13 warns of when a file ends before its header says so.
_TRUNCATION = (
    "does not match the file size",
    "truncated",
    "corrupt",
    "incomplete",
    "unexpected end",
    "not a multiple of",
    "file size is",
)
_ASCII = re.compile(rb"DataFormat\s*=\s*ASCII", re.IGNORECASE)
_POINTS = re.compile(rb"^\s*DataPoints\s*=\s*(\d+)", re.IGNORECASE | re.MULTILINE)

#: Format -> (suffix, first bytes, package): packages that MNE 1.13 needs for some formats, and does not bring along.
OPTIONAL_READERS: dict[str, tuple[str, bytes, str]] = {
    "EEGLAB in MATLAB 7.3": (".set", b"MATLAB 7.3", "pymatreader"),
    "FieldTrip": (".mat", b"", "pymatreader"),
    "ANT Neuro": (".cnt", b"RIFF", "antio"),
    "ANT Neuro, large": (".cnt", b"RF64", "antio"),
    "EGI MFF": (".mff", b"", "mffpy"),
    "Curry": (".cdt", b"", "curryreader"),
    "Curry 7": (".dap", b"", "curryreader"),
    "Curry 7 ": (".rs3", b"", "curryreader"),
    "Curry, signal": (".dat", b"", "curryreader"),
    "Neuroelectrics": (".nedf", b"", "defusedxml"),
    "MEF3": (".mefd", b"", "pymef"),
    "Neuralynx": (".ncs", b"", "neo"),
}


def open_file(path: Path, reader: Callable[..., Any] | None = None) -> tuple[Any, list[str]]:
    """A recording as an `mne.io.Raw`, its samples still on disk, and notes on what is odd about it.

    Args:
        path: Of the recording; files that belong to it lie beside it.
        reader: The MNE function for its format; found by the file's name by default.

    Raises:
        SignalError: If it is missing, a pointer to data kept elsewhere, truncated, foreign, cut into epochs, or
            misread by MNE.
        ElsewhereError: If it consists of files beyond its folder.
    """
    if path.is_dir() and not path.suffix:  # formats that are folders are told by their suffix
        raise SignalError("is a folder, not a recording", path=path, value=str(path), remedy="Name a file in it")
    refuse_pointers(path)
    if not path.exists():
        raise SignalError("there is no such file", path=path, value=str(path), remedy="Check the path")
    refuse_outside_links(path)
    refuse_misread(path)
    if reader is None and is_neuroscan(path):
        return neuroscan_raw(path)
    raw, notes = watched(path, lambda: (reader or load_mne().io.read_raw)(path, preload=False, verbose="WARNING"))
    refuse_elsewhere(raw.filenames, path.parent)
    _refuse_partial_sample(path, raw)
    return raw, notes


def refuse_pointers(path: Path) -> None:
    """Refuse files that stand for data kept elsewhere, as a clone without its large files has them.

    Raises:
        SignalError: With the file.
    """
    for part in pointers(path)[:1]:
        raise SignalError(
            f"{part.name} is a pointer to data that is not here (git-annex or Git LFS)",
            path=path,
            value=part.name,
            remedy="Fetch the content, for example with `datalad get` or `git annex get`, then try again",
        )


def watched(path: Path | None, action: Callable[[], Any]) -> tuple[Any, list[str]]:
    """What an action on a file returns, and what MNE warned of meanwhile; errors name the file.

    Args:
        path: None for a recording that was opened by somebody else: its name is not told.

    Raises:
        SignalError: If MNE warns that the file is truncated, or raises anything at all.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = action()
        except Exception as error:  # readers of foreign formats raise anything at all
            if is_ours(error):
                raise located(error, str(path or "")) from error
            raise unreadable(path, error) from error
    texts = (" ".join(_without_path(str(warning.message), path).split()) for warning in caught)
    messages = list(dict.fromkeys(texts))
    _refuse_truncated(path, messages)
    return result, [f"MNE warns: {message}" for message in messages]


def unreadable(path: Path | None, error: Exception) -> SignalError:
    """What is wrong with a file that MNE cannot read, and what would help."""
    cause = f"{type(error).__name__}: {' '.join(_without_path(str(error), path).split())}".rstrip(": .")
    if path is None:
        message, remedy = f"its samples cannot be read ({cause[:300]})", "Check that its file is complete"
    else:
        message, remedy = next(filter(None, (explain(path, cause) for explain in _EXPLANATIONS)), ("", ""))
    return SignalError(
        message or f"MNE cannot read this file ({cause[:300]})",
        path=path,
        value=path.suffix if path else type(error).__name__,
        remedy=remedy or "Check that it is complete and of the format its name says, or convert it to EDF or FIF",
    )


def _lacking_package(path: Path, cause: str) -> tuple[str, str] | None:
    for kind, (suffix, start, package) in OPTIONAL_READERS.items():
        is_kind = path.suffix.lower() == suffix and (not start or _starts_with(path, start))
        if is_kind and find_spec(package) is None:
            format_name = kind.split(",")[0].strip()
            return (
                f"{format_name} files need the package {package}, which is not installed",
                f"pip install {package}, then try again",
            )
    return None


def _starts_with(path: Path, start: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(start)) == start


def _cut_into_epochs(path: Path, cause: str) -> tuple[str, str] | None:
    told = "number of trials" in cause.lower() or "is epoched" in cause.lower()
    if told or (path.suffix.lower() in (".fif", ".gz") and "no raw data" in cause.lower() and _holds_epochs(path)):
        return (
            "the recording is cut into epochs",
            "Export the continuous recording; or open the epochs with MNE and give them to the feature extractor",
        )
    return None


def _holds_epochs(path: Path) -> bool:
    mne = load_mne()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on the file's name
            return bool(mne.read_epochs(path, preload=False, verbose="ERROR").info)
    except Exception:  # whatever else it holds
        return False


def _renamed_header(path: Path, cause: str) -> tuple[str, str] | None:
    if path.suffix.lower() not in (".vhdr", ".ahdr"):
        return None
    missing = [file.name for file in named_files(path) if not file.exists()]
    if not missing:
        return None
    near = [file.name for file in sorted(path.parent.glob(f"{path.stem}.*")) if file != path]
    return (
        f"MNE cannot read this file: it still names {', '.join(missing)}, which is not beside it"
        + f" (found {', '.join(near)})" * bool(near),
        "BrainVision files cannot be renamed alone: give them their old names back, or correct DataFile and MarkerFile "
        "in the header",
    )


def _signal_instead_of_header(path: Path, cause: str) -> tuple[str, str] | None:
    for suffix in (".vhdr", ".ahdr", ".lay"):
        header = path.with_suffix(suffix)
        if header.exists() and header != path:
            return f"MNE cannot read this file ({cause[:300]})", f"Name its header {header.name} instead"
    return None


def _cut_short(path: Path, cause: str) -> tuple[str, str] | None:
    if "incorrect number of samples" not in cause.lower():
        return None
    return "the file is truncated or damaged: its signal ends before its header says", "Copy or export it again"


_EXPLANATIONS = (_lacking_package, _cut_short, _renamed_header, _cut_into_epochs, _signal_instead_of_header)


def _refuse_partial_sample(path: Path, raw: Any) -> None:
    """Few BrainVision headers count samples; a broken copy betrays itself by an incomplete last one."""
    if path.suffix.lower() not in (".vhdr", ".ahdr"):
        return
    header, width = path.read_bytes(), {"short": 2, "int": 4, "single": 4}.get(raw.orig_format, 0) * len(raw.ch_names)
    points = _POINTS.search(header)
    if not _ASCII.search(header) and width and Path(raw.filenames[0]).stat().st_size % width:
        _refuse_truncated(path, ["the signal file is truncated within a sample"])
    if points and int(points[1]) > raw.n_times:
        _refuse_truncated(path, [f"the signal file is truncated: {raw.n_times} of {int(points[1])} samples"])


def _without_path(message: str, path: Path | None) -> str:
    """A folder may be called `incomplete` or after a person: neither belongs into a message that is kept."""
    for place in (path.resolve(), path.absolute(), path) if path else ():
        message = message.replace(str(place), "the file")
        if place.is_absolute():
            message = message.replace(f"{place.parent}{os.sep}", "").replace(str(place.parent), "the folder")
    return message


def _refuse_truncated(path: Path | None, messages: list[str]) -> None:
    told = [message for message in messages if any(word in message.lower() for word in _TRUNCATION)]
    if told:
        raise SignalError(
            f"the file is truncated or damaged: {told[0].rstrip('.')}",
            path=path,
            value=told[0],
            remedy="Copy or export it again",
        )
