"""The forms in which a corpus is given away: how their files are named, and whose they are."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mdjpt_hf.errors import CorpusError

#: What stands for the subject of a file that holds all of them.
EVERYBODY = ""


@dataclass(frozen=True)
class Product:
    """One form in which a corpus is given away.

    Attributes:
        name: For messages and for the reader.
        pattern: Regular expression of a file's path, with "/" between folders; matched at the end of it, so that the
            source may be the product's own folder, one above or one below. The group `subject` is the number; without
            it, a file holds all subjects and is listed under `EVERYBODY`.
    """

    name: str
    pattern: str

    def files(self, source: Path) -> dict[str, list[Path]]:
        """Subject -> its files, subjects and files in numeric order."""
        found: dict[str, list[Path]] = {}
        for path in sorted(source.rglob("*"), key=lambda path: _numeric(path.relative_to(source).as_posix())):
            match = None if path.name.startswith(".") else self._match(path)
            if match and (path.is_file() or path.is_symlink()):
                number = match.groupdict().get("subject")
                found.setdefault(f"{int(number):02d}" if number else EVERYBODY, []).append(path)
        return dict(sorted(found.items(), key=lambda item: int(item[0] or 0)))

    def parts(self, path: Path) -> dict[str, str]:
        """What the named groups of the pattern say of one of its files, such as session or date."""
        match = self._match(path)
        return match.groupdict() if match else {}

    def _match(self, path: Path) -> re.Match[str] | None:
        # the whole path: the source may be ".", or lie within the folders the pattern names
        return re.search(rf"(?:^|/){self.pattern}$", Path(os.path.abspath(path)).as_posix())


def only_file(files: list[Path]) -> Path:
    """The one file of a subject.

    Raises:
        CorpusError: If there are several, as where two copies lie below the source.
    """
    if len(files) > 1:
        raise CorpusError(
            f"is there {len(files)} times: also {', '.join(str(path) for path in files[1:])}",
            path=files[0],
            value=len(files),
            remedy="Keep one copy, or give its folder as source",
        )
    return files[0]


def file_of_each(files: Sequence[Path], number_of: Callable[[Path], int]) -> dict[int, Path]:
    """Number of a session, game or clip -> its one file, in order of the numbers.

    Raises:
        CorpusError: If there are several files of one number.
    """
    found: dict[int, list[Path]] = {}
    for file in files:
        found.setdefault(number_of(file), []).append(file)
    return {number: only_file(found[number]) for number in sorted(found)}


def _numeric(text: str) -> list[Any]:
    """Sort key in which 2 comes before 10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", text)]
