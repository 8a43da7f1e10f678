"""Folders that one process writes at a time. The lock dies with its process, however that ends."""

import contextlib
import json
import os
import socket
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from mdjpt_hf.errors import ConfigurationError
from mdjpt_hf.runtime.writing import writable

#: Beside the lock: who holds it, for the message to the next one.
_OWNER = ".owner"


#: Seconds waited for without a word.
_QUIET = 2.0


class InUseError(ConfigurationError):
    """A folder that another process is writing."""


class Ownership:
    """A lock that is held.

    Attributes:
        file: The lock file.
    """

    def __init__(self, file: Path, lock: FileLock | None):
        self.file, self._lock = file, lock

    def give_back(self, remove: bool = False) -> None:
        """Let the next one in, who makes the file anew if it is removed.

        One who waits for a file that is gone would own it beside that next one; filelock looks for that from 3.21 on.
        """
        if self._lock is not None:
            with contextlib.suppress(OSError):
                _owner_file(self.file).unlink(missing_ok=True)
            if remove:
                with contextlib.suppress(OSError):  # Windows removes no open file
                    self.file.unlink(missing_ok=True)
            self._lock.release()
            self._lock = None


def take(file: Path, folder: Path, wait: float = 0.0) -> Ownership:
    """Become the one who writes a folder.

    Args:
        file: The lock, in the folder or beside it; its own folder exists.
        folder: For messages.
        wait: Seconds to wait for a process that may be about to end, as those of a killed launcher are.

    Raises:
        InUseError: If another process has it; the message names it.
    """
    # not thread-local: who takes a folder may give it back from another thread
    lock = FileLock(file, thread_local=False)
    try:
        try:
            lock.acquire(timeout=min(wait, _QUIET))
        except Timeout:
            if not wait:
                raise
            print(f"{folder} is in use by {_owner(file)}; waiting up to {wait:g} s", file=sys.stderr)
            lock.acquire(timeout=wait)
    except Timeout:
        raise InUseError(
            f"is in use by {_owner(file)}", path=folder, value=str(folder), remedy="Wait, end it, or choose another"
        ) from None
    except NotImplementedError:  # some network file systems have no locks
        warnings.warn(f"{folder} lies on a file system without locks: let no two runs write it", stacklevel=2)
        return Ownership(file, None)
    owner = {"process": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
    _owner_file(file).write_text(json.dumps(owner), encoding="utf-8")
    return Ownership(file, lock)


@contextlib.contextmanager
def owned(file: Path, folder: Path, wait: float = 0.0) -> Iterator[None]:
    """[`take`] for the time of a block."""
    ownership = take(file, folder, wait)
    try:
        yield
    finally:
        ownership.give_back()


@contextlib.contextmanager
def owned_output(folder: Path) -> Iterator[None]:
    """Be the one who makes a folder, which need not be there, for the time of a block; no lock stays beside it.

    Raises:
        InUseError: If another process makes it.
        ConfigurationError: If nothing can be written beside it.
    """
    lock = lock_beside(folder)
    with writable(folder):
        lock.parent.mkdir(parents=True, exist_ok=True)
        ownership = take(lock, folder)
    try:
        yield
    finally:
        ownership.give_back(remove=True)


def lock_beside(folder: Path) -> Path:
    """The lock of a folder that appears when it is complete: outside of it, by whatever way it is named."""
    place = folder.resolve()
    return place.with_name(f".{place.name}.lock")


def _owner_file(file: Path) -> Path:
    return file.with_name(file.name + _OWNER)


def _owner(file: Path) -> str:
    try:
        owner = json.loads(_owner_file(file).read_text(encoding="utf-8"))
        return f"process {owner['process']} on {owner['host']} since {owner['since']}"
    except (OSError, ValueError, KeyError, TypeError):  # between taking the lock and signing it
        return "another process"
