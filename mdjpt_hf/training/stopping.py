"""Being told to stop: the signals of clusters and keyboards, and launchers that are gone."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

import psutil
import torch
from accelerate import Accelerator

#: Seconds until the first checkpoint, and between later ones, however slow steps are.
FIRST_CHECKPOINT, NEXT_CHECKPOINT = 60.0, 600.0

_OVERDUE = 1  # what processes tell each other, below every number of a signal that is caught

_LAUNCHERS = ("torchrun", "torch.distributed", "accelerate")


class Stopped(SystemExit):
    """A run that was told to stop and has saved what it had; the exit status is that of the signal."""

    def __init__(self, number: int, step: int):
        super().__init__(128 + number)
        self.message = f"stopped by {signal.Signals(number).name} after step {step}; go on with --resume"


class StopRequests:
    """Catches SIGTERM and a first Ctrl-C, so that a run can save before it ends; a second Ctrl-C ends it at once.

    Worker processes of the data are made immune to both by [`ignore_stop_signals`]: their loader ends them.

    Attributes:
        signal: The one that was caught; 0 before.
    """

    def __init__(self) -> None:
        self.signal = 0
        self._interruptible = False
        self._parent = _launcher()
        self._due = time.monotonic() + FIRST_CHECKPOINT
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopRequests":
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(ValueError):  # not in the main thread: then nobody sends it signals either
                self._before[number] = signal.signal(number, self._caught)
        return self

    def __exit__(self, *error: Any) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _caught(self, number: int, frame: FrameType | None) -> None:
        if self.signal and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number
        if self._interruptible:
            raise _Interrupted

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """What a signal may break off at once, because nothing is changed in it."""
        self._interruptible = True
        try:
            if not self.signal:
                yield
        except _Interrupted:
            pass
        finally:
            self._interruptible = False

    def saved(self) -> None:
        """A checkpoint has just been written."""
        self._due = time.monotonic() + NEXT_CHECKPOINT

    def agreed(self, accelerator: Accelerator) -> tuple[int, bool]:
        """The signal to stop for, 0 for none, and whether a checkpoint is overdue: the same on all processes."""
        if not self.signal and self._parent is not None and os.getppid() != self._parent:
            self.signal = signal.SIGTERM  # the launcher was killed and could hand nothing on
        told = int(self.signal) or (_OVERDUE if time.monotonic() > self._due else 0)
        if accelerator.num_processes > 1:
            told = int(accelerator.gather(torch.tensor([told], device=accelerator.device)).max())
        return (told if told > _OVERDUE else 0), told == _OVERDUE


class _Interrupted(BaseException):
    """Raised inside what may be broken off; never leaves this module."""


def _launcher() -> int | None:
    """The parent process, if it is a launcher whose end should be ours."""
    with contextlib.suppress(psutil.Error):
        parent = psutil.Process(os.getppid())
        if any(name in word for word in parent.cmdline() for name in _LAUNCHERS):
            return parent.pid
    return None


def ignore_stop_signals(worker: int = 0) -> None:
    """For worker processes of a DataLoader: signals sent to the whole group are their parent's business."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
