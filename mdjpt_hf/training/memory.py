"""Memory that the process gives back while it runs."""

import ctypes
import sys

#: Bytes; activations of a whole batch are larger, those of a chunk smaller and used again at once.
LARGE_BLOCK = 2**22

_M_MMAP_THRESHOLD = -3  # of malloc.h


def give_back_large_blocks() -> None:
    """Have freed blocks of 4 MiB and more returned to the system, where the C library is glibc.

    It otherwise raises that size each time a larger block is freed, up to 32 MiB, and keeps what is smaller in a heap
    with holes, which cost a training step of the paper's network several hundred megabytes.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, LARGE_BLOCK)
