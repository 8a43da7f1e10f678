"""The process that reads files for another one. It knows one conversation, in lines of JSON on its standard streams.

    {"confine": {...}}    give up everything that is not needed from here on
    {"call": {...}}       run a function on a file; its result comes back as JSON and arrays in a folder

It is started by `isolated_mdjpt.py` and ends with its input, or with the process that started it.
"""

import importlib
import json
import os
import sys
import threading
import time
import types
from pathlib import Path
from typing import Any

from .confinement_mdjpt import (
    ElsewhereError,
    Watch,
    library_places,
    limit_processor,
    limit_resources,
    link_targets,
    lock_files,
)
from .exchange_mdjpt import Unpacker, pack

#: Stands for this process being one: there may be several copies of this file in it.
_MARK = "mdjpt_reads_for_another_process"


def inside() -> bool:
    """Whether this is such a process, which reads by itself."""
    return _MARK in sys.modules


def serve(start: dict[str, Any]) -> None:
    """Answer until the input ends.

    Args:
        start: `packages` (name -> folders) whose own `__init__` is not run, and the `modules` to load beforehand.
    """
    sys.modules[_MARK] = types.ModuleType(_MARK)
    sys.dont_write_bytecode = True
    replies = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # what a library prints is no reply
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    for name, folders in start["packages"].items():
        package = types.ModuleType(name)
        package.__path__ = list(folders)
        sys.modules[name] = package
    for name in start["modules"]:
        importlib.import_module(name, __package__)
    server = _Server()
    for line in sys.stdin:
        message = json.loads(line)
        reply = server.confine(**message["confine"]) if "confine" in message else server.call(**message["call"])
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


def _end_with(parent: int) -> None:
    """A parent that was killed cannot say so; where processes are adopted, the new parent's number tells."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


class _Server:
    def confine(self, out: str, folder: str | None, memory: int, file_bytes: int) -> dict[str, Any]:
        """Bind this process. With a folder it can never read anything but that folder and its libraries."""
        libraries, targets = library_places(), link_targets(folder) if folder else []
        limited = limit_resources(memory, file_bytes)
        locked = lock_files([*libraries, folder, *targets] if folder else ["/"], out)
        self.out, self.bound, self.memory = Path(out), folder, memory
        self.watch = Watch(libraries, out)
        sys.addaudithook(self.watch)
        return {"limited": limited, "locked": locked}

    def call(self, function: str, arguments: Any, folder: str, seconds: float) -> dict[str, Any]:
        """Run a function on files of a folder."""
        limit_processor(seconds)
        self.watch.allow(self.bound or folder)
        try:
            positional, named = Unpacker(self.out, find=_find).value(arguments)
            value = _find(function)(*positional, **named)
            # a reader may have swallowed a refusal and gone on without the file it wanted
            if not self.watch.refused:
                return {"value": pack(value, self.out), "opened": self.watch.opened}
        except Exception as error:  # every way of failing is a reply
            return {"error": self._described(error)}
        finally:
            self.watch.folder = None
        return {"error": self._described(ElsewhereError("refused"))}

    def _described(self, error: Exception) -> dict[str, Any]:
        causes = list(_causes(error))
        kind = "error"
        if self.watch.refused or any(type(cause).__name__ == ElsewhereError.__name__ for cause in causes):
            kind = "elsewhere"
        elif self.bound and any(isinstance(cause, FileNotFoundError | PermissionError) for cause in causes):
            kind = "elsewhere"  # whether a file exists beyond the folder is nobody's business
        elif any(isinstance(cause, MemoryError) for cause in causes):
            kind = "memory"
        try:
            value = pack(getattr(error, "value", None), self.out)
        except TypeError:
            value = str(getattr(error, "value", None))[:1000]
        return {
            "kind": kind,
            "type": type(error).__name__,
            "message": str(error),
            "value": value,
            "remedy": str(getattr(error, "remedy", "")),
            "path": getattr(error, "path", None),
        }


def _causes(error: BaseException | None) -> Any:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _find(name: str) -> Any:
    """The function of "module:name"; a module that begins with a dot lies beside this one."""
    module, _, path = name.partition(":")
    found: Any = importlib.import_module(module, __package__)
    for part in path.split("."):
        found = getattr(found, part)
    return found


__all__ = ["inside", "serve"]
