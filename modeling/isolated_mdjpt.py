"""Reading files in a process of its own, which sees nothing but them and may die.

Readers of foreign formats are large and partly compiled: a damaged file can make one ask for any amount of memory,
never end, or take its process with it, and a header can name any file of the machine. So every file that is not known
to be good is read by a child that has given up everything else (`confinement_mdjpt.py`), and whatever becomes of the
child is one error of ours here. A new child takes 0.7 s of processor time, most of it for importing MNE, and 150 MB.
"""

import atexit
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import warnings
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import errors_mdjpt
from .control_groups_mdjpt import memory_limits
from .errors_mdjpt import MDJPTError, SignalError
from .exchange_mdjpt import Unpacker, pack
from .isolated_child_mdjpt import inside

# The child gets nothing else: no tokens, no proxies.
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "LANG", "LC_ALL", "TZ", "PYTHONHASHSEED")

# transformers below 4.50 searches files for imports as text: a line of this that reads as one would be asked for.
_START = """
import importlib, json, sys, types
start = json.loads(sys.stdin.readline())
sys.path[:] = start["path"]
package = types.ModuleType("isolated")
package.__path__ = [start["folder"]]
sys.modules["isolated"] = package
importlib.import_module("isolated.isolated_child_mdjpt").serve(start)
"""

_GIB = 2**30
#: Replies hold names, marks and notes; signals come in files.
_REPLY_BYTES = 256 * 2**20

_REMEDY = "Check that it is complete and of the format its name says, or export it again, best as EDF or FIF"


def _half_of_memory() -> int:
    """Of the machine, 4 GiB at least; never more than half of what a container or batch job may hold."""
    allowed = [limit.allowed // 2 for limit in memory_limits()]
    try:
        physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # not told on this system
        physical = 0
    return min([max(4 * _GIB, physical // 2), *allowed])


@dataclass(frozen=True)
class Limits:
    """What reading one file may cost.

    Attributes:
        memory: Bytes, on top of the libraries; half of the machine's memory by default, 4 GiB at least, and
            no more than half of a container's.
        seconds: Of the clock and of the processor.
        file_bytes: Of each array handed back.
        values: Channels x samples of a recording; 0 for any number.
    """

    memory: int = 0
    seconds: float = 900.0
    file_bytes: int = 64 * _GIB
    values: int = 0

    @property
    def memory_bytes(self) -> int:
        """The limit on memory that holds."""
        return self.memory or _half_of_memory()


#: For files of strangers: half a GB on disk is some 2 GB in float64.
STRANGERS = Limits(4 * _GIB, 180.0, 2 * _GIB, 2**28)


class IsolatedReader:
    """One child that reads files; made when it is needed, and replaced when it has died.

    Args:
        folder: The one folder it can ever read; by default that of the file of each call.
        limits (`Limits`): What each call may cost.
        modules: Loaded by the child beforehand; names that begin with a dot lie beside this file.
        packages: Name -> folders of packages whose own `__init__` the child does not run.
        classes: Dataclasses that may come back, by name.
        errors: Modules with the exceptions to raise here under the names they had there.
    """

    def __init__(
        self,
        folder: Path | None = None,
        limits: Limits = Limits(),  # noqa: B008 - cannot be changed
        modules: Sequence[str] = (),
        packages: Mapping[str, Sequence[str]] | None = None,
        classes: Mapping[str, type] | None = None,
        errors: Sequence[Any] = (errors_mdjpt,),
        failure: type[MDJPTError] = SignalError,
    ):
        self.folder, self.limits, self.modules = folder, limits, tuple(modules)
        self.packages, self.classes = dict(packages or {}), dict(classes or {})
        self.errors, self.failure = tuple(errors), failure
        self._child: _Child | None = None
        self._lock = threading.Lock()

    def call(self, function: str, path: Path, *arguments: Any, **named: Any) -> Any:
        """Run a function on a file in the child.

        Args:
            function: "module:name"; a module that begins with a dot lies beside this file.
            path: Its first argument, the file.
            arguments, named: Further ones, as `exchange_mdjpt.pack` takes them.

        Raises:
            MDJPTError: What the function raises; or `failure`, if the file asks for others that do not lie beside it,
                or the child dies or takes more than it may. Other exceptions come as `failure` too.
        """
        with self._lock:
            child = self._ready()
            try:
                return self._answer(child, function, Path(path), arguments, named)
            except BaseException:
                if child.process.poll() is not None or child.asked:  # dead, or busy with what nobody waits for
                    self._drop()
                raise

    def close(self) -> None:
        """End the child."""
        with self._lock:
            self._drop()

    def __enter__(self) -> "IsolatedReader":
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def _ready(self) -> "_Child":
        if self._child is not None and not self._child.is_usable():
            self._drop()
        if self._child is None:
            self._child = _take(self.modules, self.packages)
            try:
                self._child.confine(self.folder, self.limits)
            except _ChildDied as died:
                self._drop()
                raise self.failure(
                    f"the process that reads files cannot be started ({died})",
                    remedy="Check that Python can start another process here and that its libraries are whole",
                ) from None
        return self._child

    def _drop(self) -> None:
        if self._child is not None:
            self._child.end()
        self._child = None

    def _answer(self, child: "_Child", function: str, path: Path, arguments: tuple, named: dict[str, Any]) -> Any:
        tree = pack([(path.absolute(), *arguments), named], child.out)
        call = {"function": function, "arguments": tree, "folder": str(path.absolute().parent)}
        try:
            reply = child.ask({"call": {**call, "seconds": self.limits.seconds}}, self.limits.seconds)
        except _ChildDied as died:
            raise self._failed(path, died.text(self.limits), died.cause) from None
        try:
            if "error" in reply:
                raise self._raised(path, child, reply["error"])
            return Unpacker(child.out, self.classes, mapped=os.name == "posix").value(reply["value"])
        except MDJPTError:
            raise
        except Exception as error:  # what a file has made of the child is nothing to rely on
            raise self._failed(path, "its reader gave no sensible answer", type(error).__name__) from error
        finally:
            child.clear()

    def _failed(self, path: Path, message: str, value: Any, remedy: str = _REMEDY) -> MDJPTError:
        return self.failure(message, path=path.name if self.folder else path, value=value, remedy=remedy)

    def _raised(self, path: Path, child: "_Child", described: dict[str, Any]) -> MDJPTError:
        if described["kind"] == "elsewhere":
            where = "a file that was not uploaded" if self.folder else "a file outside its own folder"
            return self._failed(
                path, f"points to {where}", path.name, "Put all files of the recording together, then try again"
            )
        if described["kind"] == "memory":
            return self._failed(path, f"reading it takes more than {self._memory} of memory", path.name)
        kinds = (getattr(module, described["type"], None) for module in self.errors)
        kind = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, MDJPTError)), None)
        if kind is None:
            return self._failed(path, f"cannot be read ({described['type']}: {described['message'][:300]})", path.name)
        message, remedy = self._own_words(described["message"]), described["remedy"]
        error = kind(
            message.removesuffix(f". {remedy}"), value=Unpacker(child.out).value(described["value"]), remedy=remedy
        )
        error.path = described["path"] and self._own_words(described["path"])
        return error

    def _own_words(self, message: str) -> str:
        """A private folder is nobody's business."""
        if self.folder is not None:
            for folder in {str(self.folder.resolve()), str(self.folder.absolute()), str(self.folder)}:
                message = message.replace(folder + os.sep, "").replace(folder, "the upload")
        return message

    @property
    def _memory(self) -> str:
        return f"{self.limits.memory_bytes / _GIB:.3g} GiB"


class _ChildDied(Exception):
    """The child has ended, or was ended.

    Attributes:
        cause: "time", the number of a signal, or the exit status.
    """

    def __init__(self, cause: str | int):
        super().__init__(f"ended with {cause}")
        self.cause = cause

    def text(self, limits: Limits) -> str:
        """What is told of the file."""
        if self.cause == "time" or self.cause == -getattr(signal, "SIGXCPU", 0):
            return f"reading it takes longer than {limits.seconds:g} s"
        if isinstance(self.cause, int) and self.cause < 0:
            with contextlib.suppress(ValueError):
                return f"its reader did not survive it ({signal.Signals(-self.cause).name})"
        return f"its reader did not survive it (exit {self.cause})"


class _Child:
    """The process, its folder for arrays, and the two streams."""

    def __init__(self, modules: Sequence[str], packages: Mapping[str, Sequence[str]]):
        self.owner = os.getpid()
        self.place = tempfile.mkdtemp(prefix="reading-")
        self.out = Path(self.place)
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        environment |= {
            name: self.place for name in ("HOME", "TMPDIR", "TEMP", "TMP", "MPLCONFIGDIR", "_MNE_FAKE_HOME_DIR")
        }
        environment |= {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-c", _START],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd=self.place,
        )
        self.asked, self.locked = False, False
        _children.add(self)
        folder = os.path.dirname(os.path.abspath(__file__))
        path = [os.path.abspath(place) for place in sys.path if place and os.path.exists(place)]
        start = {"path": path, "folder": folder, "packages": dict(packages), "modules": list(modules)}
        with contextlib.suppress(OSError):  # a child that has ended by now is found out when it is asked
            self._send(start)

    def is_usable(self) -> bool:
        """Whether it lives, and is this process's own rather than that of the process this one was forked from."""
        return self.owner == os.getpid() and self.process.poll() is None

    def confine(self, folder: Path | None, limits: Limits) -> None:
        """Let it give up what it does not need; said once where the system cannot bind it."""
        memory, bound = limits.memory_bytes, str(folder.resolve()) if folder else None
        reply = self.ask(
            {"confine": {"out": self.place, "folder": bound, "memory": memory, "file_bytes": limits.file_bytes}}, 120.0
        )
        self.locked = bool(reply["locked"])
        if not reply["limited"]:
            warnings.warn(_UNLIMITED, stacklevel=5)

    def ask(self, message: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Its reply.

        Raises:
            _ChildDied: If there is none in time.
        """
        late = threading.Event()

        def give_up() -> None:
            late.set()
            self.process.kill()

        timer = threading.Timer(seconds, give_up)
        timer.daemon = True
        timer.start()
        self.asked = True
        try:
            self._send(message)
            line = self.process.stdout.readline(_REPLY_BYTES)  # type: ignore[union-attr]
        except OSError:
            line = b""
        finally:
            timer.cancel()
        if not line.endswith(b"\n"):
            self.process.kill()
            status = self.process.wait()
            raise _ChildDied("time" if late.is_set() else status)
        try:
            reply = json.loads(line)
        except ValueError:
            self.process.kill()
            raise _ChildDied(self.process.wait()) from None
        self.asked = False
        return reply

    def clear(self) -> None:
        """Remove what the last call wrote; arrays still mapped live on without their names."""
        for path in self.out.iterdir():
            with contextlib.suppress(OSError):
                path.unlink()

    def end(self) -> None:
        """Kill it and remove its folder."""
        if self.owner != os.getpid():
            return
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                stream.close()  # type: ignore[union-attr]
        shutil.rmtree(self.place, ignore_errors=True)

    def _send(self, message: dict[str, Any]) -> None:
        stream = self.process.stdin
        stream.write(json.dumps(message).encode("ascii") + b"\n")  # type: ignore[union-attr]
        stream.flush()  # type: ignore[union-attr]


_children: "weakref.WeakSet[_Child]" = weakref.WeakSet()


@atexit.register
def _end_all() -> None:
    for child in list(_children):
        child.end()


_UNLIMITED = "this system sets no limit on the memory of a process that reads a file; its time is limited"

# --- a spare child, started while nobody waits ------------------------------------------------------------------------

_spare: tuple[Any, _Child] | None = None
_spare_lock = threading.Lock()


def _take(modules: Sequence[str], packages: Mapping[str, Sequence[str]]) -> _Child:
    """A child that has loaded its modules, or soon will have."""
    global _spare
    kind = (tuple(modules), json.dumps(dict(packages), sort_keys=True, default=list))
    with _spare_lock:
        found, _spare = _spare, None
    if found is not None and found[0] == kind and found[1].is_usable():
        return found[1]
    if found is not None:
        found[1].end()
    return _Child(modules, packages)


def keep_spare(modules: Sequence[str], packages: Mapping[str, Sequence[str]] | None = None) -> None:
    """Start the child that the next reader will take, so that nobody waits for its imports."""
    global _spare
    kind = (tuple(modules), json.dumps(dict(packages or {}), sort_keys=True, default=list))
    with _spare_lock:
        if _spare is None or not _spare[1].is_usable():
            _spare = (kind, _Child(modules, packages or {}))


# --- recordings -------------------------------------------------------------------------------------------------------

#: Files read at the same time: each may take the memory it is allowed.
_AT_ONCE = threading.BoundedSemaphore(2)


@contextlib.contextmanager
def private_reader(folder: Path, limits: Limits = STRANGERS, **options: Any) -> Iterator[IsolatedReader]:
    """A reader that can read one folder and nothing else, used once; at most two at a time."""
    with _AT_ONCE, IsolatedReader(folder, limits, **options) as reader:
        yield reader


__all__ = ["STRANGERS", "IsolatedReader", "Limits", "inside", "keep_spare", "private_reader"]
