"""Memory of the process: how much it was at most, and whether what is freed is given back or kept for the next step.

The latter concerns glibc and the whole process, and does nothing where the C library is another.
"""

import ctypes
import gc
import os
import sys
from pathlib import Path
from threading import Event, Thread
from types import TracebackType

import psutil
import torch

from mdjpt_hf.modeling.control_groups_mdjpt import memory_limits

#: s between two looks at what is held.
_PAUSE = 0.005
#: Bytes; activations of a whole batch are larger, those of a chunk smaller and used again at once.
LARGE_BLOCK = 2**22

# Of malloc.h: what may stay free at the end of the heap, from which size a block lies outside the heap, how many such
# blocks there may be, and how many heaps.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -3, -4, -8


def give_back_large_blocks(size: int = LARGE_BLOCK) -> None:
    """Have freed blocks of so many bytes and more returned to the system: for little memory.

    glibc otherwise raises that size each time a larger block is freed, up to 32 MiB, and keeps what is smaller in a
    heap with holes, which cost a training step of the paper's network several hundred megabytes.
    """
    _set(_M_ARENA_MAX, 1)  # threads with heaps of their own hold more in holes
    _set(_M_TRIM_THRESHOLD, 2**17)
    _set(_M_MMAP_MAX, 2**16)
    _set(_M_MMAP_THRESHOLD, size)


def keep_freed_memory() -> None:
    """Have freed memory stay with the process: for little time.

    A step needs the memory of the step before, and memory that the system gives anew costs up to 16 µs for every 4 KiB
    on a virtual machine. Threads share one heap: those of their own would be given back as they empty.
    """
    _set(_M_ARENA_MAX, 1)
    _set(_M_TRIM_THRESHOLD, -1)
    _set(_M_MMAP_MAX, 0)


def give_back_freed_memory() -> None:
    """Return what is free within the heap to the system, which otherwise counts it as held by this process."""
    gc.collect()
    trim = getattr(_library(), "malloc_trim", None)
    if trim is not None:
        trim(0)


def free_memory(device: torch.device) -> int:
    """Bytes that this process may still take, on a device or in main memory: the least of what any limit leaves.

    In main memory those are what the machine has left, what the control groups of the process allow (containers and
    batch systems set them) and what `ulimit -v` does; processes started together share it.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    left = [psutil.virtual_memory().available, *(limit.left for limit in memory_limits())]
    together = min(left) // max(1, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    return max(0, min(together, _left_by_ulimit()))


def _left_by_ulimit() -> int:
    """Address space that `ulimit -v` leaves, or more than there is."""
    try:
        import resource
    except ImportError:  # Windows
        return sys.maxsize
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit - psutil.Process().memory_info().vms


class PeakMemory:
    """The most bytes of its own that this process holds within a `with` block, looked at every few milliseconds.

    The system's own peak (`ru_maxrss`, `VmHWM`) counts pages of mapped files, which it takes back when memory is
    wanted; those of a corpus may be many times what a step needs. On Linux `ru_maxrss` also counts what the program
    that started this one held.

    Attributes:
        bytes: So far; whole once the block has ended.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self._ended = Event()
        self._watch = Thread(target=self._look, daemon=True)

    def __enter__(self) -> "PeakMemory":
        self._watch.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self._watch.join()

    def _look(self) -> None:
        while not self._ended.wait(_PAUSE):
            self.bytes = max(self.bytes, own_memory())
        self.bytes = max(self.bytes, own_memory())


def own_memory() -> int:
    """Bytes that this process holds: on Linux without pages of files, elsewhere all that is in memory."""
    told = _status()
    if "RssAnon" in told:
        return sum(int(told[name].split()[0]) * 1024 for name in ("RssAnon", "RssShmem") if name in told)
    return int(psutil.Process().memory_info().rss)


def _status(path: Path = Path("/proc/self/status")) -> dict[str, str]:
    """What Linux tells of this process, by name; nothing elsewhere."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()  # a long name is cut within a letter
    except OSError:
        return {}
    return dict(line.split(":", 1) for line in lines if ":" in line)


def _set(parameter: int, value: int) -> None:
    mallopt = getattr(_library(), "mallopt", None)  # other C libraries than glibc have none
    if mallopt is not None:
        mallopt(parameter, value)


def _library() -> ctypes.CDLL | None:
    """The C library, where it can be asked for."""
    try:
        return ctypes.CDLL(None)
    except (OSError, TypeError):  # Windows
        return None
