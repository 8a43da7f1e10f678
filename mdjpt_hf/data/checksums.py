"""Files of prepared folders against the checksums they were written with: large corpora once, until a file changes.

An EEG with a flipped bit still looks like one, so whoever opens a corpus reads every file: a second for a gigabyte. Of
more than that it is remembered which files were found whole, by what the file system says of them, in the cache of
`datasets`. `mdjpt data validate` asks no memory.
"""

import hashlib
import json
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from datasets import config

from mdjpt_hf.data.storage import file_hash, folder_metadata, write_json
from mdjpt_hf.errors import CorpusError
from mdjpt_hf.runtime.progress import LOGGER

#: What to do about a file that is damaged.
AGAIN = "Restore it from a copy, or delete the folder and prepare it again with `mdjpt data prepare`"
#: Bytes from which on a corpus is remembered, and from which on it is said that it is read.
REMEMBERED, ANNOUNCED = 10**9, 10**10
#: ns; a file that was changed within so much before it was read may be changed again with the same time.
_SETTLED = 2 * 10**9


class Checksums:
    """What is known of the files of one prepared folder.

    Args:
        folder: With a `corpus.json`; without hashes in it nothing can be compared.
        names: Of the files that will be asked for.
    """

    def __init__(self, folder: Path, names: Sequence[str]):
        self.folder = folder
        self.stated: dict[str, Any] = {shard["file"]: shard for shard in folder_metadata(folder).get("shards", [])}
        key = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()
        self._record = Path(config.HF_DATASETS_CACHE) / "mdjpt_hf" / f"whole-{key[:32]}.json"
        self._known = _read(self._record)
        sizes = [path.stat().st_size for path in map(folder.joinpath, names) if path.is_file()]
        self._is_remembered = sum(sizes) >= REMEMBERED
        self._news: dict[str, list[Any]] = {}
        if sum(sizes) >= ANNOUNCED and not all(map(self.is_known, names)):
            LOGGER.info("%s: %.1f GB are read, to compare them with their checksums", folder, sum(sizes) / 1e9)

    def is_known(self, name: str) -> bool:
        """Whether a file was found whole before and looks as it did then."""
        return name in self.stated and self._known.get(name) == self._looks(name)

    def compare(self, name: str) -> None:
        """Read a file and compare it with the hash it was written with.

        Raises:
            CorpusError: If it is missing or has changed; it names the file.
        """
        shard, path = self.stated[name], self.folder / name
        looked, looks = time.time_ns(), self._looks(name)
        try:
            is_whole = _hash_of(path.resolve(), tuple(looks[1:])) == shard["sha256"]
        except OSError as error:
            raise CorpusError(
                f"cannot be opened ({error.strerror}); it holds {shard['unit']!r}", path=path, remedy=AGAIN
            ) from error
        if not is_whole:
            raise CorpusError(
                f"cannot be opened: it has changed since it was written; it holds {shard['unit']!r}",
                path=path,
                value=shard["unit"],
                remedy=AGAIN,
            )
        if looks and looked - max(looks[2:4]) > _SETTLED:
            self._news[name] = looks

    def remember(self) -> None:
        """Note the files that were compared, once nothing else is wrong with them; where that cannot be, forget it."""
        if not self._news or not self._is_remembered:
            return
        try:
            self._record.parent.mkdir(parents=True, exist_ok=True)
            write_json(self._record, self._known | self._news)
        except OSError as error:
            LOGGER.info("%s cannot be written (%s): the corpus will be read again", self._record, error.strerror)

    def _looks(self, name: str) -> list[Any]:
        """What tells that a file is another or was changed; nothing of one that is not there."""
        try:
            status = (self.folder / name).stat()
        except OSError:
            return []
        told = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
        return [self.stated[name]["sha256"], *told]


def _read(record: Path) -> dict[str, Any]:
    try:
        known = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none, or damaged: everything is read again
        return {}
    return known if isinstance(known, dict) else {}


@lru_cache(maxsize=100_000)
def _hash_of(path: Path, looks: tuple[int, ...]) -> str:
    """Of a file that looks like this; evaluations open the same corpora many times."""
    return file_hash(path)
