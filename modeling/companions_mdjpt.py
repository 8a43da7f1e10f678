"""Which files a recording consists of: the one that is opened, those it names, and those that belong to it by name.

Headers are searched as text and nothing is opened by a reader, so that this can be asked of any file at any time.
"""

import glob
import re
import zlib
from pathlib import Path

_HEADER_BYTES = 1 << 20  # of a text header, and of the end of a FIF file, that are searched
_MATLAB_BYTES = 64 << 20  # of a MATLAB variable, unpacked
_POINTER_BYTES = 1000  # no recording is as short; a pointer is one line of text
_POINTER_MARKS = (b"/annex/objects/", b"version https://git-lfs")

_BRAINVISION = re.compile(r"^[ \t]*(?:DataFile|MarkerFile)[ \t]*=[ \t]*(.+?)[ \t\r]*$", re.MULTILINE | re.IGNORECASE)
_PERSYST = re.compile(r"^[ \t]*File[ \t]*=[ \t]*(.+?)[ \t\r]*$", re.MULTILINE | re.IGNORECASE)
_EEGLAB = re.compile(rb"[^\x00-\x1f/\\'\"<>|*?:]{1,200}?\.(?:fdt|dat)(?![A-Za-z0-9])", re.IGNORECASE)
_FIF = re.compile(rb"[^\x00-\x1f/\\]{1,200}\.fif(?:\.gz)?")


def companions(path: Path) -> list[Path]:
    """All files of a recording, itself included, sorted; those that a header names count also where they are missing.

    | format | beside the file itself |
    |---|---|
    | folders (`.mff`, `.ds`) | everything inside |
    | all | files of the same name with another suffix |
    | BrainVision, Persyst | the signal and marker files that the header names |
    | EEGLAB | the signal file that the `.set` names |
    | FIF | further parts of a split recording, by what each part says of the next, and by their names |
    """
    if path.is_dir():
        return sorted(part for part in path.rglob("*") if part.is_file())
    found = {path, *(Path(part) for part in glob.glob(glob.escape(str(path.with_suffix(""))) + ".*"))}
    suffix = path.suffix.lower()
    if suffix in (".vhdr", ".ahdr"):
        found.update(named_files(path))
    elif suffix == ".lay":
        found.update(path.parent / _base(name) for name in _PERSYST.findall(_text(path))[:1])
    elif suffix == ".set":
        found.update(_eeglab_signals(path))
    elif suffix in (".fif", ".gz"):
        found.update(_split_parts(path))
    return sorted(found)


def named_files(header: Path) -> list[Path]:
    """The files that a BrainVision header names: in a folder below it, where there is such a one, or beside it.

    MNE 1.13 follows a name into folders; names with folders of the machine that wrote them are met more often.
    """
    names = [name.strip().replace("$b", header.stem) for name in _BRAINVISION.findall(_text(header))]
    return [_below(header.parent, name) or header.parent / _base(name) for name in names]


def _below(folder: Path, name: str) -> Path | None:
    place = folder / name
    try:
        inside = not Path(name).is_absolute() and ".." not in place.parts
        return place if inside and place.is_file() else None
    except (OSError, ValueError):  # no file can have such a name
        return None


def pointers(path: Path) -> list[Path]:
    """Those files of a recording that only point to data kept elsewhere (git-annex, Git LFS), or to nothing."""
    return [part for part in sorted({path, *companions(path)}) if _is_pointer(part)]


def _is_pointer(path: Path) -> bool:
    if path.is_symlink() and not path.exists():
        return True
    if not path.is_file() or path.stat().st_size > _POINTER_BYTES:
        return False
    content = path.read_bytes()
    return any(mark in content for mark in _POINTER_MARKS)


def _base(name: str) -> str:
    """The name without folders, of whichever system."""
    return re.split(r"[/\\]", name.strip())[-1]


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_HEADER_BYTES)
    except OSError:
        return ""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _eeglab_signals(path: Path) -> list[Path]:
    """Files beside a `.set` that its content names; a `.set` with the signal inside names none."""
    try:
        content = path.read_bytes() if path.stat().st_size <= _MATLAB_BYTES else b""
    except OSError:
        return []
    names = {match for part in _unpacked(content) for match in _EEGLAB.findall(part.replace(b"\0", b""))}
    beside = {other.name.lower(): other for other in path.parent.iterdir()}
    texts = (name.decode("utf-8", "replace").lower() for name in names)
    return [file for text in texts for name, file in beside.items() if text.endswith(name)]


def _unpacked(content: bytes) -> list[bytes]:
    """The variables of a MATLAB file (version 5 to 7), each unpacked; other content as it is."""
    parts, place = [content], 128
    while content[:6] == b"MATLAB" and place + 8 <= len(content):
        kind, size = (int.from_bytes(content[place + k : place + k + 4], "little") for k in (0, 4))
        if kind == 15:  # compressed
            try:
                parts.append(zlib.decompressobj().decompress(content[place + 8 : place + 8 + size], _MATLAB_BYTES))
            except zlib.error:
                break
        place += 8 + size
    return parts


def _split_parts(path: Path) -> set[Path]:
    """Further parts of a FIF recording: named in the end of the part before, or by number (`-1`, `split-02`)."""
    found, waiting = {path}, [path]
    while waiting:
        part = waiting.pop()
        new = {part.parent / name.decode("utf-8", "replace") for name in _FIF.findall(_end(part))} - found
        new = {other for other in new if other.exists()}
        found |= new
        waiting += new
    stem, suffixes = re.sub(r"\.fif(\.gz)?$", "", path.name), path.name[len(re.sub(r"\.fif(\.gz)?$", "", path.name)) :]
    numbered = re.compile(re.escape(stem) + r"-\d+" + re.escape(suffixes))
    bids = re.compile(re.sub(r"split-\d+", r"split-\\d+", re.escape(path.name).replace(r"\-", "-")))
    return found | {
        other for other in path.parent.iterdir() if numbered.fullmatch(other.name) or bids.fullmatch(other.name)
    }


def _end(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(file.tell() - _HEADER_BYTES, 0))
            return file.read()
    except OSError:
        return b""
