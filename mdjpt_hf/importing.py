"""Importing large libraries: without the garbage collector in between, and not before they are needed."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath


@contextmanager
def collection_paused() -> Iterator[None]:
    """No garbage collection inside.

    Modules stay for good, so a collector that walks over them each time some hundred more objects exist finds nothing:
    without it, what a run imports is there in three quarters of the time.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def is_command() -> bool:
    """Whether this process was started as the `mdjpt` command, which loads what a command needs when it runs it."""
    started_as = sys.orig_argv[1:2] and PurePath(sys.orig_argv[1]).stem
    is_module = sys.orig_argv[1:3] == ["-m", "mdjpt_hf"]
    return is_module or started_as == "mdjpt"
