"""The recordings in a folder: one path each, however many files it consists of."""

from pathlib import Path

from .companions_mdjpt import companions

#: What opens a recording, by the suffix in lower case; folders of some formats are recordings themselves.
_OPENING = (".edf", ".bdf", ".gdf", ".vhdr", ".ahdr", ".set", ".fif", ".gz", ".cnt", ".lay", ".cdt", ".nedf", ".nxe")
_FOLDERS = (".mff", ".ds")


def is_folder_of_recordings(path: Path) -> bool:
    """Whether a path is a folder that holds recordings, not one that is a recording."""
    return path.is_dir() and path.suffix.lower() not in _FOLDERS


def recordings_in(folder: Path) -> list[Path]:
    """Every recording below a folder, sorted; further parts of a split one are not recordings of their own."""
    found = [path for path in sorted(folder.rglob("*")) if _opens(path) and not _is_inside(path, folder)]
    later: set[Path] = set()
    for path in sorted(found, key=lambda path: (len(path.name), path)):  # the first part has the shortest name
        if path.suffix.lower() in (".fif", ".gz") and path not in later:
            later.update(part for part in companions(path) if part != path and _opens(part))
    return [path for path in found if path not in later]


def _opens(path: Path) -> bool:
    suffix = path.suffix.lower()
    if suffix == ".gz" and not path.name.lower().endswith(".fif.gz"):
        return False
    return not path.name.startswith(".") and (suffix in _FOLDERS if path.is_dir() else suffix in _OPENING)


def _is_inside(path: Path, folder: Path) -> bool:
    """Whether it belongs to a folder that is a recording itself."""
    return any(parent.suffix.lower() in _FOLDERS for parent in path.relative_to(folder).parents)
