"""Ways to make a training step: what a network keeps for the gradient, and what it computes again.

Nothing here knows of data or of a run, whose libraries a program with a loop of its own need not load.
"""

from transformers import PreTrainedModel

from mdjpt_hf.modeling.modeling_mdjpt import MDJPTForPreTraining
from mdjpt_hf.training.config import WAYS
from mdjpt_hf.training.memory import give_back_large_blocks, keep_freed_memory


def ways_for(model: PreTrainedModel) -> list[str]:
    """Those of [`WAYS`] that a network knows."""
    known = {"no", "yes"}
    if isinstance(model, MDJPTForPreTraining):
        known |= {"groups", "some"} if model.config.block == "mlla" else {"groups"}
    return [name for name in WAYS if name in known]


def next_way(model: PreTrainedModel, name: str) -> str | None:
    """The way that needs less memory, if there is one."""
    left = [*ways_for(model), None]
    return left[left.index(name) + 1]


def use_way(model: PreTrainedModel, name: str) -> None:
    """Have a network, and this process's allocator, work in one of [`WAYS`]."""
    if name in ("no", "some"):
        keep_freed_memory()
    else:
        give_back_large_blocks()
    arrange(model, name)


def arrange(model: PreTrainedModel, name: str) -> None:
    """Have a network work in one of [`WAYS`], whatever the allocator does."""
    recompute_activations(model, name in ("yes", "groups"))
    if isinstance(model, MDJPTForPreTraining):
        model.keep_little(name == "some")
        model.groups_apart = model.mdjpt.dynamics.few_at_a_time = name == "groups"


def release(model: PreTrainedModel) -> None:
    """Have a network that is trained no further hold no memory for its next step."""
    if isinstance(model, MDJPTForPreTraining):
        model.keep_little(False)


def recompute_activations(model: PreTrainedModel, enabled: bool = True) -> None:
    """Have activations computed again for the gradient; newer versions of transformers have a new name for that."""
    verb = "enable" if enabled else "disable"
    change = getattr(model, f"activation_checkpointing_{verb}", None)
    (change or getattr(model, f"gradient_checkpointing_{verb}"))()
