"""Which way of making a training step fits into memory, and is remembered by a run."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from transformers import PreTrainedModel

from mdjpt_hf.data.storage import write_json
from mdjpt_hf.errors import ConfigurationError
from mdjpt_hf.modeling.modeling_mdjpt import MDJPTForPreTraining
from mdjpt_hf.training.config import WAYS
from mdjpt_hf.training.memory import free_memory, give_back_freed_memory, give_back_large_blocks
from mdjpt_hf.training.objective import Objective
from mdjpt_hf.training.ways import arrange, ways_for

#: Windows that the memory of a step is measured on.
MEASURED_WINDOWS = 4
#: Steps of which the one with most windows must fit.
FIRST_STEPS = 8
#: What a step needs for every byte that it keeps: gradients on their way back too. Where little more than the maps is
#: kept, their gradients come to nearly as much again.
SHARES = {"no": 1.25, "some": 1.25, "yes": 1.9, "groups": 1.9}
#: What it needs whatever it keeps: the work on a chunk in every thread, and holes in the heap.
SPARE_BYTES = 300 * 2**20
#: Remedy where no way fits.
SMALLER_STEPS = "Use fewer pairs_per_dataset, viewers, clips or datasets_per_step, or more processes"


@dataclass(frozen=True)
class Way:
    """How steps are made.

    Attributes:
        name: One of [`WAYS`].
        needed: Bytes that a step will need on top of what the process holds, about; of every way that was measured.
        free: Bytes that were free when it was chosen.
    """

    name: str
    needed: Mapping[str, int]
    free: int

    def __str__(self) -> str:
        """The sentence that a run begins with."""
        sizes = ", ".join(f"{name} {size / 2**30:.1f} GiB" for name, size in self.needed.items())
        room = f"; {self.free / 2**30:.1f} GiB free, a step needs about: {sizes}" if sizes else ""
        return f"recompute {self.name}: {WAYS[self.name]}{room}"


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory did not suffice: a GPU has an error of its own for that, PyTorch's allocator on a CPU has not."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def does_not_fit(name: str, less: str | None) -> ConfigurationError:
    """The error of a step that ran out of memory, made in the way `name`; `less` would need less of it."""
    return ConfigurationError(
        f"a step did not fit into memory with recompute {name}; checkpoints are whole",
        value=name,
        remedy=f"Set recompute to {less}" if less else SMALLER_STEPS,
    )


def choose_way(model: PreTrainedModel, objective: Objective, accelerator: Accelerator, compiled: bool = False) -> Way:
    """The fastest way whose step fits into what is free, the same on every process.

    Args:
        compiled (`bool`): Whether the whole model will be, for which `some` changes nothing. Compiled chunks keep less
            than what is measured here.

    Raises:
        ConfigurationError: If none fits: it names what is free and what is needed.
    """
    device = accelerator.device
    batch = max((objective.steps[step] for step in range(min(FIRST_STEPS, objective.rounds()[0].stop))), key=_windows)
    give_back_large_blocks(2**17)  # what is measured must leave no holes in the heap, which the run would then fill
    needed: dict[str, int] = {}
    for name in ways_for(model):
        if compiled and name == "some":
            continue
        try:
            with accelerator.autocast():  # numbers of half the size are kept, and other parts know less of them
                needed[name] = _needed(model, objective, batch, name, device)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            # not even a few windows fit; how many times too much is not known
            needed[name] = 2 * free_memory(device) + SPARE_BYTES
        give_back_freed_memory()
        free = free_memory(device)  # after the first pass, which loads kernels and tables that stay
        fits = torch.tensor([needed[name] <= free], device=device)
        if bool(accelerator.gather(fits).all()):
            break
    if needed[name] > free:
        smallest = f"{needed[name] / 2**30:.1f} GiB"
        raise ConfigurationError(
            f"a step of {_windows(batch)} windows needs about {smallest}, and {free / 2**30:.1f} GiB are free",
            value=needed[name],
            remedy=SMALLER_STEPS,
        )
    return Way(name, needed, free)


def remembered_way(folder: Path) -> str | None:
    """The way that a run began with: one that goes on takes the same, and repeats the last bit of every sum."""
    try:
        name = json.loads((folder / "way.json").read_text(encoding="utf-8"))["recompute"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return name if name in WAYS else None


def remember_way(folder: Path, name: str) -> None:
    """Note the way beside a run's checkpoints."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "way.json", {"recompute": name})


def _windows(batch: Mapping[str, torch.Tensor]) -> int:
    return len(batch["input_values"])


def _needed(
    model: PreTrainedModel, objective: Objective, batch: dict[str, torch.Tensor], name: str, device: torch.device
) -> int:
    """Bytes, from what the gradient of a few windows keeps."""
    few = min(MEASURED_WINDOWS, _windows(batch))
    part = {key: values[:few].to(device) for key, values in batch.items()}
    kept = _kept(model, objective, part, name) / few
    windows = _windows(batch)
    if name == "groups" and isinstance(model, MDJPTForPreTraining):
        # maps of one group at a time, and of every window what its channels are encoded to
        largest = int(batch["group_ids"].unique(return_counts=True)[1].max())
        values = part["input_values"]
        with torch.no_grad():
            own = (values.nbytes + model.mdjpt.encode_channels(values).nbytes) / few
        return int((kept * largest + own * windows) * SHARES[name]) + SPARE_BYTES
    return int(kept * windows * SHARES[name]) + SPARE_BYTES


def _kept(model: PreTrainedModel, objective: Objective, part: dict[str, torch.Tensor], name: str) -> int:
    """Bytes that a forward pass keeps: of every tensor once, and of no weight."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    found: dict[tuple[int, int], int] = {}
    held: list[Any] = []  # so that no two have one address

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            found[tensor.data_ptr(), tensor.numel()] = min(tensor.nbytes, storage.nbytes())
            held.append(tensor.detach())
        # The tensor itself would keep its own graph alive for good: no collector sees that cycle.
        return tensor.detach()

    threads, training = torch.get_num_threads(), model.training
    torch.set_num_threads(1)  # hooks see what this thread keeps
    arrange(model, "yes" if name == "groups" else name)
    try:
        model.train()
        with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            objective.rehearse(model, part)
    finally:
        torch.set_num_threads(threads)
        model.train(training)
        arrange(model, "no")
    return sum(found.values())
