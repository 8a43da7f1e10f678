"""Limits of memory and of time that containers and batch systems set: the control groups of Linux, of both versions."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_ROOT, _GROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


class MemoryLimit(NamedTuple):
    """Of one control group, in bytes: what it may hold, and what of that is left."""

    allowed: int
    left: int


def memory_limits(root: Path = _ROOT, groups: Path = _GROUPS) -> list[MemoryLimit]:
    """Of every control group above this process that has one, of version 2 (one tree) and of version 1 (`memory`).

    Files in the page cache count as used and are given back when memory is wanted, so they are free. So are those in
    active use, which Linux counts as available of the machine: the corpora that a run reads are among them.
    """
    found: list[MemoryLimit] = []
    for folder, names in _above(root, groups, "memory", VERSION_2, VERSION_1):
        found += _limit_in(folder, *names)
    return found


def core_quotas(root: Path = _ROOT, groups: Path = _GROUPS) -> list[float]:
    """Cores' worth of time that each control group above this process has, where it has a quota.

    Containers, systemd (`CPUQuota`) and batch systems set them; a program sees all cores all the same, and is made to
    wait when it has used up its time.
    """
    found: list[float] = []
    for folder, names in _above(root, groups, "cpu", ("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        found += _quota_in(folder, names)
    return found


def _above(
    root: Path, groups: Path, controller: str, version_2: tuple[str, ...], version_1: tuple[str, ...]
) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Folders of the control groups of this process and of those above them, with the files that are read in each."""
    try:
        lines = groups.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        # Of two controllers in one tree either order may be written here, and each has a link of its own name.
        tree, names = (root / controller, version_1) if controllers else (root, version_2)
        folder = tree / path.lstrip("/")
        for place in [folder, *folder.parents][: len(folder.relative_to(tree).parts) + 1]:
            yield place, names


#: Files of a control group: what it may hold, what it holds, and what entries of `memory.stat` begin with.
VERSION_2 = ("memory.max", "memory.current", "")
VERSION_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")


def _quota_in(folder: Path, names: tuple[str, ...]) -> list[float]:
    """Time and the period in which it is given, in one file or in two; `max` or a negative time is no quota."""
    try:
        words = [word for name in names for word in (folder / name).read_text(encoding="utf-8").split()]
        time, period = int(words[0]), int(words[1])
    except (OSError, ValueError, IndexError):
        return []
    return [time / period] if time > 0 and period > 0 else []


def _limit_in(folder: Path, limit: str, usage: str, prefix: str) -> list[MemoryLimit]:
    try:
        allowed = (folder / limit).read_text(encoding="utf-8").strip()
        if allowed == "max":
            return []
        used = int((folder / usage).read_text(encoding="utf-8"))
        statistics = dict(line.split() for line in (folder / "memory.stat").read_text(encoding="utf-8").splitlines())
        cached = sum(int(statistics.get(f"{prefix}{kind}_file", 0)) for kind in ("inactive", "active"))
        return [MemoryLimit(int(allowed), max(0, int(allowed) - used + cached))]
    except (OSError, ValueError):
        return []
