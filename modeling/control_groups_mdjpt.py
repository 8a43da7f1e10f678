"""Limits of memory that containers and batch systems set: the control groups of Linux, of both versions."""

from pathlib import Path
from typing import NamedTuple


class MemoryLimit(NamedTuple):
    """Of one control group, in bytes: what it may hold, and what of that is left."""

    allowed: int
    left: int


def memory_limits(root: Path = Path("/sys/fs/cgroup"), groups: Path = Path("/proc/self/cgroup")) -> list[MemoryLimit]:
    """Of every control group above this process that has one, of version 2 (one tree) and of version 1 (`memory`).

    Files in the page cache count as used and are given back when memory is wanted, so they are free. So are those in
    active use, which Linux counts as available of the machine: the corpora that a run reads are among them.
    """
    found: list[MemoryLimit] = []
    try:
        lines = groups.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return found
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        tree, names = (root, VERSION_2) if not controllers else (root / "memory", VERSION_1)
        folder = tree / path.lstrip("/")
        for place in [folder, *folder.parents][: len(folder.relative_to(tree).parts) + 1]:
            found += _limit_in(place, *names)
    return found


#: Files of a control group: what it may hold, what it holds, and what entries of `memory.stat` begin with.
VERSION_2 = ("memory.max", "memory.current", "")
VERSION_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")


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
