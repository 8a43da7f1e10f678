"""Files of strangers: found, fingerprinted, and read; how they are opened stands in `modeling/opening_mdjpt.py`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mne

from mdjpt_hf.data_scripts.isolation import isolated
from mdjpt_hf.errors import CorpusError, SignalError
from mdjpt_hf.modeling import opening_mdjpt
from mdjpt_hf.modeling.companions_mdjpt import companions
from mdjpt_hf.modeling.montage_mdjpt import canonical_name
from mdjpt_hf.modeling.raw_mdjpt import Recording, read_raw


@isolated()
def read_recording(
    path: Path,
    unit: str | None = None,
    reader: Callable[..., mne.io.BaseRaw] | None = None,
    places: dict[str, str] | None = None,
) -> tuple[Recording, list[str]]:
    """The scalp EEG of one file in µV, and what MNE warned of.

    Args:
        path: The file, in any format MNE knows.
        unit: What the numbers in the file really are, where the header is wrong.
        reader: The function of a module that opens its format; found by the file's name by default.
        places: Recorded name -> place that the channel is called by, empty for one that is left out; where names of
            channels are no places.

    Raises:
        CorpusError: If it is a pointer, truncated, foreign, or cut into epochs; if its reader does not survive it, or
            it points to a file outside its folder.
        MDJPTError: What `read_raw` raises, with the file in front.
    """
    raw, notes = open_raw(path, reader)
    if places:
        notes += _call_by_places(raw, places, path)
    recording, more = _as_corpus_error(lambda: opening_mdjpt.watched(path, lambda: read_raw(raw, unit)))
    return recording, list(dict.fromkeys(notes + more))


def _call_by_places(raw: mne.io.BaseRaw, places: dict[str, str], path: Path) -> list[str]:
    """Rename channels; those that look like places, and are none of the sensors, are left out and named."""
    called = {name: places[name] for name in raw.ch_names if name in places}
    if not any(called.values()):
        raise CorpusError(
            f"channels are {', '.join(raw.ch_names[:4])}, ...; the sensors with a place are "
            f"{', '.join(list(places)[:4])}, ...",
            path=path,
            value=raw.ch_names[:8],
            remedy="Name the channels as the positions do, or give another montage",
        )
    unknown = [name for name in raw.ch_names if name not in called and canonical_name(name)]
    raw.drop_channels([*unknown, *(name for name, place in called.items() if not place)])
    raw.rename_channels({name: place for name, place in called.items() if place}, verbose="error")
    return [f"left out {', '.join(unknown)}: among sensors known by position, they have none"] if unknown else []


def open_raw(path: Path, reader: Callable[..., mne.io.BaseRaw] | None = None) -> tuple[mne.io.BaseRaw, list[str]]:
    """A recording opened by MNE in this process, its samples still on disk, and what MNE warned of.

    Raises:
        CorpusError: If it is a pointer, truncated, foreign, or cut into epochs.
    """
    return _as_corpus_error(lambda: opening_mdjpt.open_file(path, reader))


def refuse_pointers(path: Path) -> None:
    """Refuse files that stand for data kept elsewhere, as a clone without its large files has them.

    Raises:
        CorpusError: With the file.
    """
    _as_corpus_error(lambda: opening_mdjpt.refuse_pointers(path))


def _as_corpus_error(action: Callable[[], Any]) -> Any:
    """What an action returns; an error that is about a file as a whole, and so has its path, is a `CorpusError`."""
    try:
        return action()
    except SignalError as error:
        if error.path is None:
            raise
        raise corpus_error(error) from error


def corpus_error(error: SignalError) -> CorpusError:
    """The same error of a file, as one of a corpus."""
    message = str(error).removeprefix(f"{error.path}: ").removesuffix(f". {error.remedy}" if error.remedy else "")
    return CorpusError(message, path=error.path, value=error.value, remedy=error.remedy)


def fingerprints(path: Path, source: Path) -> list[list[Any]]:
    """Of every file that a recording consists of: name below the source, bytes and time of change."""
    return [fingerprint(part, source) for part in companions(path)]


def fingerprint(path: Path, source: Path) -> list[Any]:
    """Name below the source, bytes and time of change of a file; -1 for both where it is missing."""
    name = path.relative_to(source) if path.is_relative_to(source) else path
    if not path.exists():
        return [str(name), -1, -1]
    status = path.stat()
    return [str(name), status.st_size, status.st_mtime_ns]
