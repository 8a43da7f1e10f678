"""Files of strangers: found, fingerprinted, and read through MNE with every way of being wrong named."""

import glob
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mne

from mdjpt_hf.data_scripts.isolation import isolated
from mdjpt_hf.errors import CorpusError, MDJPTError, located
from mdjpt_hf.modeling.opening_mdjpt import refuse_elsewhere, refuse_outside_links
from mdjpt_hf.modeling.raw_mdjpt import Recording, read_raw

# what MNE warns of when a file ends before its header says so
_TRUNCATION = ("does not match the file size", "truncated", "corrupt", "incomplete")
_ASCII = re.compile(rb"DataFormat\s*=\s*ASCII", re.IGNORECASE)
_POINTER_MARKS = (b"/annex/objects/", b"version https://git-lfs")


@isolated()
def read_recording(
    path: Path, unit: str | None = None, reader: Callable[..., mne.io.BaseRaw] = mne.io.read_raw
) -> tuple[Recording, list[str]]:
    """The scalp EEG of one file in µV, and what MNE warned of.

    Args:
        path: The file, in any format MNE knows.
        unit: What the values really are, where the header is wrong.
        reader: The function of a module that opens its format; found by the file's name by default.

    Raises:
        CorpusError: If it is a pointer, truncated, foreign, or cut into epochs; if its reader does not survive it, or
            it points to a file outside its folder.
        MDJPTError: What `read_raw` raises, with the file in front.
    """
    raw, notes = open_raw(path, reader)
    recording, more = _watched(path, lambda: read_raw(raw, unit))  # samples are read late
    return recording, list(dict.fromkeys(notes + more))


def open_raw(path: Path, reader: Callable[..., mne.io.BaseRaw] = mne.io.read_raw) -> tuple[mne.io.BaseRaw, list[str]]:
    """A recording opened by MNE in this process, its samples still on disk, and what MNE warned of.

    Raises:
        CorpusError: If it is a pointer, truncated, foreign, or cut into epochs.
    """
    refuse_pointers(path)
    refuse_outside_links(path)
    raw, notes = _watched(path, lambda: reader(path, preload=False, verbose="WARNING"))
    refuse_elsewhere(raw.filenames, path.parent)
    _refuse_partial_sample(path, raw)
    return raw, notes


def _watched(path: Path, action: Callable[[], Any]) -> tuple[Any, list[str]]:
    """What an action on a file returns, and what MNE warned of meanwhile; errors name the file."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = action()
        except MDJPTError as error:
            raise located(error, str(path)) from error
        except Exception as error:  # readers of foreign formats raise anything at all
            raise _unreadable(path, error) from error
    messages = list(dict.fromkeys(_without_path(str(warning.message), path) for warning in caught))
    _refuse_truncated(path, messages)
    return result, [f"MNE warns: {message}" for message in messages]


def parts(path: Path) -> list[Path]:
    """The file and those that belong to it: BrainVision, EEGLAB and others keep header and signal apart."""
    if path.is_dir():
        return sorted(part for part in path.rglob("*") if part.is_file())
    return sorted(Path(part) for part in glob.glob(glob.escape(str(path.with_suffix(""))) + ".*"))


def fingerprint(path: Path, source: Path) -> list[Any]:
    """Name below the source, bytes and time of change of a file; -1 for both where it is missing."""
    name = path.relative_to(source) if path.is_relative_to(source) else path
    if not path.exists():
        return [str(name), -1, -1]
    status = path.stat()
    return [str(name), status.st_size, status.st_mtime_ns]


def refuse_pointers(path: Path) -> None:
    """Refuse files that stand for data kept elsewhere, as a clone without its large files has them."""
    for part in {path, *parts(path)}:
        dangling = part.is_symlink() and not part.exists()
        if dangling or (part.is_file() and _is_pointer(part)):
            raise CorpusError(
                f"{part.name} is a pointer to data that is not here (git-annex or Git LFS)",
                path=path,
                value=part.name,
                remedy="Fetch the content, for example with `datalad get` or `git annex get`, then try again",
            )


def _is_pointer(path: Path) -> bool:
    # a pointer is one line of text: no recording is as short
    if path.stat().st_size > 1000:
        return False
    content = path.read_bytes()
    return any(mark in content for mark in _POINTER_MARKS)


def _refuse_partial_sample(path: Path, raw: mne.io.BaseRaw) -> None:
    """BrainVision headers do not count samples; a broken copy betrays itself by an incomplete last one."""
    width = {"short": 2, "int": 4, "single": 4}.get(raw.orig_format, 0) * len(raw.ch_names)
    binary = path.suffix.lower() in (".vhdr", ".ahdr") and not _ASCII.search(path.read_bytes())
    if binary and width and Path(raw.filenames[0]).stat().st_size % width:
        _refuse_truncated(path, ["the signal file is truncated within a sample"])


def _without_path(message: str, path: Path) -> str:
    """A folder may be called `incomplete` or after a person: neither belongs into a message that is kept."""
    for text in (str(path.resolve()), str(path.absolute()), str(path)):
        message = message.replace(text, "the file")
    return message


def _refuse_truncated(path: Path, messages: list[str]) -> None:
    told = [message for message in messages if any(word in message.lower() for word in _TRUNCATION)]
    if told:
        raise CorpusError(
            f"the file is truncated or damaged: {told[0].rstrip('.')}",
            path=path,
            value=told[0],
            remedy="Copy or export it again",
        )


def _unreadable(path: Path, error: Exception) -> CorpusError:
    cause = f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": .")
    if "number of trials" in cause.lower():
        return CorpusError(
            "the recording is cut into epochs",
            path=path,
            value=cause,
            remedy="Export the continuous recording; the table says where its trials lie",
        )
    header = path.with_suffix(".vhdr")
    return CorpusError(
        f"MNE cannot read this file ({cause[:300]})",
        path=path,
        value=path.suffix,
        remedy=f"Name its header {header.name} instead"
        if header.exists() and header != path
        else "Check that it is complete and of the format its name says, or convert it to EDF or FIF",
    )
