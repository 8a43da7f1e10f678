"""What is shared, file by file, and the record of checksums that travels with it."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from mdjpt_hf.errors import ChecksumError, HubError

CHECKSUMS_FILE = "checksums.json"

#: Left out of the record: the Hub writes the one, and people edit the other there.
_UNRECORDED = {".gitattributes", "README.md", CHECKSUMS_FILE}


@dataclass(frozen=True)
class SharedFile:
    """One file of a repository.

    Attributes:
        path: Where it stands in the repository, with forward slashes.
        source: The file here, or its bytes where they are made for the occasion.
    """

    path: str
    source: Path | bytes

    @cached_property
    def size(self) -> int:
        """Bytes."""
        return len(self.source) if isinstance(self.source, bytes) else self.source.stat().st_size

    @cached_property
    def sha256(self) -> str:
        """Of the content: what large files are known by on the Hub."""
        return self._hash("sha256")

    @cached_property
    def git_sha1(self) -> str:
        """Of the content as a Git object: what other files are known by on the Hub."""
        return self._hash("sha1", b"blob %d\0" % self.size)

    def _hash(self, algorithm: str, prefix: bytes = b"") -> str:
        digest = hashlib.new(algorithm, prefix)
        if isinstance(self.source, bytes):
            digest.update(self.source)
        else:
            with open(self.source, "rb") as file:
                while block := file.read(2**20):
                    digest.update(block)
        return digest.hexdigest()


def with_checksums(files: Iterable[SharedFile]) -> list[SharedFile]:
    """The files, in order of their paths, and their record."""
    files = sorted(files, key=lambda file: file.path)
    record = {file.path: {"sha256": file.sha256, "bytes": file.size} for file in files if file.path not in _UNRECORDED}
    return [*files, SharedFile(CHECKSUMS_FILE, json.dumps(record, indent=1).encode() + b"\n")]


def write_folder(files: Iterable[SharedFile], folder: Path) -> None:
    """The files as they would stand on the Hub, in a folder that is there whole or not at all.

    Raises:
        HubError: If the folder exists already and is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise HubError("exists already; nothing was written", path=folder, remedy="Give a new folder, or an empty one")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as place:
        new = Path(place) / folder.name
        for file in files:
            path = new / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(file.source, bytes):
                path.write_bytes(file.source)
            else:
                shutil.copyfile(file.source, path)
        if folder.exists():
            folder.rmdir()  # empty: a rename onto it is refused on Windows
        new.rename(folder)


def recorded_paths(content: bytes) -> set[str]:
    """The paths of a record; none where it is not one."""
    try:
        record = json.loads(content)
    except ValueError:
        return set()
    return set(record) if isinstance(record, dict) else set()


def check_folder(folder: Path) -> list[str]:
    """Compare a folder with the record in it.

    Returns:
        `list[str]`: The paths that were compared.

    Raises:
        ChecksumError: If the folder has no readable record, or files are missing or differ; `value` names them.
    """
    record = _record(folder)
    problems = [problem for path, wanted in record.items() if (problem := _problem(folder, path, wanted))]
    if problems:
        raise ChecksumError(
            f"{len(problems)} of {len(record)} files are not what was shared: {'; '.join(problems)}",
            path=folder,
            value=problems,
            remedy="Delete this copy and download it again",
        )
    return list(record)


def _record(folder: Path) -> dict[str, Any]:
    path = folder / CHECKSUMS_FILE
    try:
        record = json.loads(path.read_bytes())
        if not isinstance(record, dict) or not all(_is_entry(*entry) for entry in record.items()):
            raise ValueError("not a record of checksums")
    except (OSError, ValueError) as error:
        raise ChecksumError(
            f"the record of checksums is missing or damaged ({error})",
            path=path,
            remedy="Download it again; folders that were not made by `mdjpt push` have none",
        ) from error
    return record


def _is_entry(path: str, wanted: Any) -> bool:
    # The record comes from a stranger's repository: it must not point outside the folder.
    inside = not PurePosixPath(path).is_absolute() and ".." not in PurePosixPath(path).parts
    return inside and isinstance(wanted, Mapping) and isinstance(wanted.get("sha256"), str)


def _problem(folder: Path, path: str, wanted: Mapping[str, Any]) -> str:
    file = SharedFile(path, folder / path)
    if not (folder / path).is_file():
        return f"{path} is missing"
    if file.sha256 != wanted["sha256"]:
        return f"{path} has SHA-256 {file.sha256[:12]}… instead of {wanted['sha256'][:12]}…"
    return ""
