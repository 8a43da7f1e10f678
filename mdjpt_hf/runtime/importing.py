"""Importing large libraries: without the garbage collector in between, and not before they are needed."""

import gc
import os
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


#: In the environment of workers that prepare data.
_WITHOUT_MODELS = "MDJPT_HF_WITHOUT_MODELS"


@contextmanager
def workers_without_models() -> Iterator[None]:
    """Processes started inside load no models with this package: that takes longer than preparing a recording."""
    before = os.environ.get(_WITHOUT_MODELS)
    os.environ[_WITHOUT_MODELS] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_WITHOUT_MODELS]


def needs_no_models() -> bool:
    """Whether this process is the `mdjpt` command, which loads what it runs, or a worker that prepares data."""
    if os.environ.get(_WITHOUT_MODELS):
        return True
    started_as = sys.orig_argv[1:2] and PurePath(sys.orig_argv[1]).stem
    is_module = sys.orig_argv[1:3] == ["-m", "mdjpt_hf"]
    return is_module or started_as == "mdjpt"
