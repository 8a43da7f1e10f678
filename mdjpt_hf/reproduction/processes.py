"""Every pre-training is a process of its own: it has a device to itself, and leaves no setting behind in ours.

The batch decides what is learnt, and several processes of one run make it larger. So several devices do not share a
run: each has the pre-training of another target.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from mdjpt_hf.errors import ConfigurationError, MDJPTError
from mdjpt_hf.reproduction.plan import LOCK_FILE
from mdjpt_hf.runtime.ownership import owned
from mdjpt_hf.training.config import RUN_FILE, RunConfig

LOG_FILE = "pretrain.log"


def devices() -> list[str]:
    """One entry per pre-training that can run at a time: the GPU it may see, or "" for whatever there is.

    Raises:
        ConfigurationError: If this is one of several processes already.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigurationError(
            "was started as several processes",
            value=os.environ["WORLD_SIZE"],
            remedy="Start `mdjpt reproduce` by itself: with several GPUs it trains for several targets at a time",
        )
    count = torch.cuda.device_count()
    if count < 2:
        return [""]
    visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return visible[:count] or [str(number) for number in range(count)]


@contextmanager
def locked(out: Path) -> Iterator[int | None]:
    """Hold the folder's lock; its descriptor is handed on to pre-trainings, so one that outlives us keeps it.

    Windows hands no lock on, and None stands for it: a pre-training that outlives us holds that of its own folder.

    Raises:
        ConfigurationError: If somebody else holds it.
    """
    out.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:
        with owned(out / LOCK_FILE, out):
            yield None
        return
    with open(out / LOCK_FILE, "w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigurationError(
                "another reproduction, or a pre-training that one began, still works here",
                path=out,
                remedy="Wait until it is finished, or end it; then repeat the command",
            ) from error
        yield file.fileno()


class Processes:
    """Starts pre-trainings through the package's own command and waits for them.

    Args:
        lock (`int` or None): Descriptor from [`locked`].
        logged (`bool`): Write what they say to a file beside their settings, instead of here.
    """

    def __init__(self, lock: int | None, logged: bool):
        self.lock, self.logged = lock, logged
        self._running: set[subprocess.Popen] = set()
        self._stopped = False

    def __call__(self, config: RunConfig, device: str) -> None:
        """Pre-train to the end, going on where an earlier process stopped.

        Raises:
            MDJPTError: If the process fails.
        """
        if self._stopped:
            return
        folder = Path(config.output_dir).parent
        folder.mkdir(parents=True, exist_ok=True)
        config.save(folder)
        command = [sys.executable, "-m", "mdjpt_hf", "pretrain", "--config", str(folder / RUN_FILE), "--resume"]
        environment = {**os.environ, **({"CUDA_VISIBLE_DEVICES": device} if device else {})}
        log = open(folder / LOG_FILE, "a", encoding="utf-8") if self.logged else None  # noqa: SIM115 (closed below)
        try:
            handed_on = () if self.lock is None else (self.lock,)
            process = subprocess.Popen(command, env=environment, pass_fds=handed_on, stdout=log, stderr=log)
            self._running.add(process)
            code = process.wait()
        finally:
            if log is not None:
                log.close()
        self._running.discard(process)
        if code:
            message = folder / LOG_FILE if log else "its message above"
            raise MDJPTError(
                f"pre-training {config.name} ended with {code}; see {message}",
                path=folder,
                value=code,
                remedy="Repair the cause and repeat the command: it goes on from the newest checkpoint",
            )

    def stop(self) -> None:
        """End what still runs; checkpoints survive it."""
        self._stopped = True
        for process in list(self._running):
            process.terminate()
            process.wait()
