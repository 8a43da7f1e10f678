"""What a process that reads a stranger's file may still do: open the file's own folder and its libraries, and little
else.

Two guards stand behind each other. Linux's Landlock binds everything the process does, compiled libraries included,
and cannot be lifted again; it is there from Linux 5.13 on, where the system has it switched on. The audit hook sees
what Python opens, on every system, and keeps a list of it.
"""

import ctypes
import os
import site
import sys
import sysconfig
from collections.abc import Iterable
from typing import Any

#: Shared libraries and time zones that libraries load when they are first used.
_SYSTEM = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/share/zoneinfo", "/etc/ld.so.cache")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")

#: Events of Python that change a file: which of their arguments are paths.
_CHANGES = {
    "os.remove": 1,
    "os.rename": 2,
    "os.rmdir": 1,
    "os.truncate": 1,
    "os.mkdir": 1,
    "os.chmod": 1,
    "os.chown": 1,
}
_CHANGES |= {"os.link": 2, "os.symlink": 2, "shutil.rmtree": 1, "shutil.move": 2, "shutil.copyfile": 2}
#: Events that no reader of recordings needs.
_NEVER = frozenset(
    f"{module}.{name}"
    for module, names in {
        "os": ("system", "exec", "posix_spawn", "spawn", "fork", "forkpty", "kill", "startfile"),
        "subprocess": ("Popen",),
        "socket": ("connect", "bind", "sendto", "getaddrinfo"),
    }.items()
    for name in names
)

#: How matplotlib, which MNE below 1.13 loads while it reads, asks the system for fonts; it goes on without.
_FONTS = {("subprocess.Popen", "fc-list"), ("subprocess.Popen", "system_profiler")}

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class ElsewhereError(PermissionError):
    """A file asked for something outside its own folder."""


class Watch:
    """The audit hook: remembers what was opened below `folder`, and refuses what lies neither there nor in a library.

    Args:
        libraries: Folders and files that may be read besides.
        writable: The one folder that may be written.

    Attributes:
        folder: What may be read now; None between calls. links: targets of its links that may be read as well.
        opened: Real paths opened below it. refused: what was asked for in vain, but
            for what libraries probe by themselves.
    """

    def __init__(self, libraries: Iterable[str], writable: str):
        self.libraries, self.writable = tuple(libraries), os.path.realpath(writable)
        self.probed = ("/proc", "/sys", *(os.path.realpath(place) for place in sys.path))
        self.folder: str | None = None
        self.links: frozenset[str] = frozenset()
        self.opened: list[str] = []
        self.refused: list[str] = []

    def allow(self, folder: str | None) -> None:
        """Begin a call that may read a folder, and what the links directly in it point to."""
        self.folder, self.links = None, frozenset()
        if folder is not None:
            self.links = frozenset(link_targets(folder))
            self.folder = os.path.realpath(folder)
        self.opened, self.refused = [], []

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Look at one event, as `sys.addaudithook` calls it.

        Raises:
            ElsewhereError: If it opens, changes or starts something that is not allowed now.
        """
        if event == "open":
            self._open(arguments[0], arguments[2])
        elif event in _CHANGES:
            for path in arguments[: _CHANGES[event]]:
                if not isinstance(path, int) and not is_below(_real(path), self.writable):
                    self._refuse(event, path)
        elif event in _NEVER:
            self._refuse(event, arguments[0] if arguments else "")

    def _open(self, path: Any, flags: Any) -> None:
        if isinstance(path, int):  # an open file, which was looked at when it was opened
            return
        place = _real(path)
        if is_below(place, self.writable) or place in _DEVICES:
            return
        if not (isinstance(flags, int) and flags & _WRITES):
            if self.folder is not None and (is_below(place, self.folder) or place in self.links):
                self.opened.append(place)
                return
            if any(is_below(place, library) for library in self.libraries):
                return
        self._refuse("open", path)

    def _refuse(self, event: str, what: Any) -> None:
        # libraries look at the system and at other libraries by themselves, and go on without
        looks = event == "open" and any(is_below(_real(what), place) for place in self.probed)
        if not looks and (event, str(what)) not in _FONTS:
            self.refused.append(f"{event} {str(what)[:200]}")
        raise ElsewhereError(f"{event} is not allowed here")


def is_below(place: str, folder: str) -> bool:
    """Whether a real path is a folder or lies in it."""
    return place == folder or place.startswith(folder.rstrip(os.sep) + os.sep)


def _real(path: Any) -> str:
    return os.path.realpath(os.fsdecode(path))


def link_targets(folder: str) -> list[str]:
    """Where the links to files that lie directly in a folder lead: git-annex keeps every recording behind one."""
    try:
        with os.scandir(folder) as entries:
            return [os.path.realpath(entry.path) for entry in entries if entry.is_symlink() and entry.is_file()]
    except OSError:
        return []


def library_places() -> list[str]:
    """Real paths of the folders and files from which this process has loaded, or may still load, its libraries."""
    paths = sysconfig.get_paths()
    places = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")} | set(_SYSTEM)
    places |= {path for path in sys.path if os.path.basename(path) in ("site-packages", "dist-packages")}
    places |= {site.getusersitepackages(), os.path.join(sys.base_prefix, "lib")}
    for module in list(sys.modules.values()):
        if getattr(module, "__path__", None) is not None:
            places.update(str(path) for path in module.__path__)
        elif getattr(module, "__file__", None):
            places.add(str(module.__file__))
    found: list[str] = []
    for place in sorted({os.path.realpath(place) for place in places if os.path.exists(place)}):
        if not any(is_below(place, other) for other in found):
            found.append(place)
    return found


def limit_resources(memory: int, file_bytes: int) -> bool:
    """Bind this process to so many more bytes of memory and so many bytes a file; False where the system cannot."""
    try:
        import resource
    except ImportError:  # Windows
        return False
    size = memory
    if sys.platform == "linux":
        with open("/proc/self/statm", encoding="utf-8") as file:
            size += int(file.read().split()[0]) * resource.getpagesize()
        _lower(resource, resource.RLIMIT_AS, size)
    _lower(resource, resource.RLIMIT_FSIZE, file_bytes)
    _lower(resource, resource.RLIMIT_CORE, 0)
    return sys.platform == "linux"  # elsewhere the limit on memory does not bind


def _lower(resource: Any, kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def limit_processor(seconds: float) -> None:
    """End this process after so many more seconds of processor time."""
    try:
        import resource
    except ImportError:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    wanted, hard = int(used.ru_utime + used.ru_stime + seconds) + 1, resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


# --- Landlock: numbers from linux/landlock.h; the system calls have the same numbers on every architecture -----------

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF, _NO_NEW_PRIVILEGES = 444, 445, 446, 38
_PATH_BENEATH, _VERSION = 1, 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE, _IOCTL = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 14, 1 << 15
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL


class _Ruleset(ctypes.Structure):
    _fields_ = [("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"  # what `_pack_` means is said from Python 3.14 on
    _fields_ = [("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32)]


def lock_files(readable: Iterable[str], writable: str) -> bool:
    """Let this process read some folders and files, write one folder, and reach nothing else, for good.

    Returns:
        False where the system has no Landlock.
    """
    if sys.platform != "linux":
        return False
    try:
        libc = ctypes.CDLL(None, use_errno=True)
    except (OSError, TypeError):
        return False
    version = libc.syscall(_CREATE_RULESET, None, 0, _VERSION)
    if version < 1:
        return False
    rights = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)) - 1
    # network and signals to other processes are handled by later versions; nothing allows them
    ruleset = _Ruleset(rights, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    size = 8 if version < 4 else 16 if version < 6 else 24
    rules = libc.syscall(_CREATE_RULESET, ctypes.byref(ruleset), size, 0)
    if rules < 0:
        return False
    try:
        for place in (*readable, "/dev/urandom"):
            _add_rule(libc, rules, place, (_READ_FILE | _READ_DIR) & rights)
        _add_rule(libc, rules, "/dev/null", (_READ_FILE | _WRITE_FILE) & rights)
        _add_rule(libc, rules, writable, rights & ~(_EXECUTE | _IOCTL))
        libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        return libc.syscall(_RESTRICT_SELF, rules, 0) == 0
    finally:
        os.close(rules)


def _add_rule(libc: Any, rules: int, place: str, rights: int) -> None:
    try:
        descriptor = os.open(place, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # what is not there cannot be read either
        return
    try:
        if not os.path.isdir(place):
            rights &= _FILE_RIGHTS
        rule = _Beneath(rights, descriptor)
        libc.syscall(_ADD_RULE, rules, _PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(descriptor)


__all__ = [
    "ElsewhereError",
    "Watch",
    "is_below",
    "library_places",
    "limit_processor",
    "limit_resources",
    "link_targets",
    "lock_files",
]
