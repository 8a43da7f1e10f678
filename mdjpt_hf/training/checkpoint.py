"""Checkpoints that are complete or absent: written aside, synced, renamed, and verified before they are used."""

import contextlib
import hashlib
import json
import os
import shutil
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from mdjpt_hf.data.storage import file_hash
from mdjpt_hf.errors import CheckpointError
from mdjpt_hf.runtime.ownership import lock_beside, owned

WEIGHTS_FILE = "model.safetensors"
OPTIMIZER_FILE = "optimizer.pt"
OBJECTIVE_FILE = "objective.safetensors"  # only where the objective has tensors of its own
STATE_FILE = "state.json"  # written last: names the other files' hashes, and its own


@dataclass
class Checkpoint:
    """One saved moment of a run; `tensors` and `facts` are the objective's own."""

    step: int
    weights: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    history: list[dict[str, Any]]
    tensors: dict[str, torch.Tensor] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


class CheckpointFolder:
    """The checkpoints of one run, newest last.

    Args:
        folder (`Path`): Made when the first checkpoint is written.
        key (`str`): Hash of the run's settings; a checkpoint of another run is refused.
        keep (`int`): How many stay.
    """

    def __init__(self, folder: Path, key: str, keep: int):
        self.folder, self.key, self.keep = folder, key, keep

    def save(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint and remove the oldest; a crash at any moment leaves the earlier ones usable.

        Processes that save into one folder do so one after the other.

        Raises:
            CheckpointError: If the disk is full, read-only or gone; the earlier checkpoints stay whole.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with owned(lock_beside(self.folder), self.folder, wait=600.0):
                return self._save(checkpoint)
        except (OSError, RuntimeError, SafetensorError) as error:  # PyTorch and safetensors have their own words
            with contextlib.suppress(OSError):
                self._remove_leftovers()
            raise CheckpointError(
                f"step {checkpoint.step} cannot be written ({str(error)[:200]}); earlier checkpoints are whole",
                path=self.folder,
                value=checkpoint.step,
                remedy="Free some space or choose another disk, then go on with --resume",
            ) from error

    def _save(self, checkpoint: Checkpoint) -> Path:
        self._remove_leftovers()
        temporary = self.folder / f".step-{checkpoint.step:08d}.partial"
        temporary.mkdir()
        files = [WEIGHTS_FILE, OPTIMIZER_FILE]
        _save_tensors(checkpoint.weights, temporary / WEIGHTS_FILE)
        torch.save(checkpoint.optimizer, temporary / OPTIMIZER_FILE)
        if checkpoint.tensors:
            _save_tensors(checkpoint.tensors, temporary / OBJECTIVE_FILE)
            files.append(OBJECTIVE_FILE)
        state = {
            "key": self.key,
            "step": checkpoint.step,
            "history": checkpoint.history,
            "objective": checkpoint.facts,
            "sha256": {name: file_hash(temporary / name) for name in files},
        }
        (temporary / STATE_FILE).write_text(json.dumps({**state, "digest": _hash(state)}), encoding="utf-8")
        for name in (*files, STATE_FILE, ""):
            _sync(temporary / name)
        final = self.folder / f"step-{checkpoint.step:08d}"
        shutil.rmtree(final, ignore_errors=True)  # the same step again, after resuming past a damaged one
        os.replace(temporary, final)
        _sync(self.folder)
        for old in self._folders()[: -self.keep]:
            shutil.rmtree(old)
        return final

    def load_newest(self) -> Checkpoint | None:
        """The newest complete checkpoint, or None where none was ever finished; damaged ones are passed over with a
        warning.

        Raises:
            CheckpointError: If the newest readable checkpoint belongs to a run with other settings, or there are
                checkpoints and none of them is whole.
        """
        folders = self._folders()
        for folder in reversed(folders):
            try:
                return self._load(folder)
            except CheckpointError:
                raise
            except Exception as error:  # safetensors, pickles and JSON each have their own errors
                before = "; using the one before it" if folder != folders[0] else ""
                warnings.warn(f"{folder} is damaged ({type(error).__name__}: {error}){before}", stacklevel=2)
        if folders:
            raise CheckpointError(
                f"none of the {len(folders)} checkpoints is whole, so there is nothing to go on with",
                path=self.folder,
                value=[folder.name for folder in folders],
                remedy="Restore one from a copy, or start a new run in another --output-dir",
            )
        return None

    def _load(self, folder: Path) -> Checkpoint:
        state = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
        if state.pop("digest") != _hash(state):
            raise ValueError(f"{STATE_FILE} does not match its hash")
        if state["key"] != self.key:
            raise CheckpointError(
                "was written by a run with other settings or another number of processes",
                path=folder,
                remedy="Resume with the same settings, or choose another --output-dir",
            )
        for name, expected in state["sha256"].items():
            if file_hash(folder / name) != expected:
                raise ValueError(f"{name} does not match its hash")
        optimizer = torch.load(folder / OPTIMIZER_FILE, map_location="cpu", weights_only=True)
        weights = load_file(folder / WEIGHTS_FILE)
        tensors = load_file(folder / OBJECTIVE_FILE) if OBJECTIVE_FILE in state["sha256"] else {}
        return Checkpoint(state["step"], weights, optimizer, state["history"], tensors, state["objective"])

    def _folders(self) -> list[Path]:
        return sorted(self.folder.glob("step-*"))

    def _remove_leftovers(self) -> None:
        for leftover in self.folder.glob(".step-*.partial"):
            shutil.rmtree(leftover)


def _hash(state: dict[str, Any]) -> str:
    """Of what a state says, however it is spaced."""
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


def _save_tensors(tensors: dict[str, torch.Tensor], path: Path) -> None:
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(tensors, path, metadata={"format": "pt"})


def _sync(path: Path) -> None:
    """Make sure what was written would survive a power cut."""
    if path.is_dir() and os.name == "nt":  # where no folder can be opened
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)  # Windows flushes what it may write
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
