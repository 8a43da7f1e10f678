"""Who reads the batches of a run: worker processes, or the run itself where they could not hand them over."""

import multiprocessing
import os
import shutil
import signal
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch

from mdjpt_hf.runtime.progress import LOGGER

#: Where processes hand tensors over on Linux: in a container 64 MB, unless it was started with more.
SHARED = Path("/dev/shm")
#: Batches that a worker has ready or under way, as DataLoader has it.
PREFETCHED = 2
#: Seconds without a batch after which a run ends: workers that stand still would keep it waiting for ever.
PATIENCE = 900.0


def feeding_workers(asked: int, batch: Mapping[str, torch.Tensor]) -> int:
    """As many workers as asked for, or none, said in a line, where shared memory does not hold their batches.

    A batch that finds no room is lost within the worker, in a thread that prints its error and goes on, and the run
    waits for it for ever (torch 2.13).

    Args:
        asked (`int`): Workers of each process.
        batch (`Mapping[str, torch.Tensor]`): One of the run's.
    """
    if not asked or not SHARED.is_dir():
        return asked
    together = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    # the one that is worked on stays as well, and others may be twice as large
    needed = 2 * together * (PREFETCHED * asked + 1) * sum(part.nbytes for part in batch.values())
    room = shutil.disk_usage(SHARED)
    if needed <= room.free or not room.total:  # a place without a limit tells of no size
        return asked
    tell = LOGGER.warning if os.environ.get("LOCAL_RANK", "0") == "0" else LOGGER.debug
    tell(
        "%s has %.0f MB free, and batches of %d data workers may take %.0f: the run reads them itself, which is slower "
        "and gives the same numbers (docker run --shm-size makes more room)",
        *(SHARED, room.free / 1e6, together * asked, needed / 1e6),
    )
    return 0


def patience() -> float:
    """Seconds to wait for a batch; 0, for ever, where torch has no signal that tells of a worker's death.

    It then looks after its workers every few seconds, and no longer once it was given a time (torch 2.13).
    """
    signalled = hasattr(signal, "SIGCHLD") and threading.current_thread() is threading.main_thread()
    return PATIENCE if signalled else 0.0


@contextmanager
def ending_with_it() -> Iterator[None]:
    """Data workers that were started inside end when it breaks off: they ignore signals, and would outlive the run."""
    others = set(multiprocessing.active_children())
    try:
        yield
    except BaseException as error:
        _end(set(multiprocessing.active_children()) - others, error)
        raise


def _end(workers: set, error: BaseException) -> None:
    before = None
    if workers and patience():  # torch's own handler raises at any line, of workers that it does not know to be ended
        before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for worker in workers:
        worker.kill()
    for worker in workers:
        worker.join()
    if workers:
        traceback.clear_frames(error.__traceback__)  # the loader among them, which forgets its workers
    if before is not None:
        signal.signal(signal.SIGCHLD, before)
