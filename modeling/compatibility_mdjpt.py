"""What differs between the versions of transformers and torch that a checkpoint may meet, in one place.

A checkpoint is opened in environments that nobody here sees. Everything that the network takes from transformers or
torch and that not every version has is taken from here, where each name has something to fall back on.
"""

import logging
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import is_dataclass
from functools import partial
from inspect import get_annotations
from types import SimpleNamespace, UnionType
from typing import Any, ClassVar, Union, get_args, get_origin, get_type_hints

import torch
import transformers
from torch import nn
from torch.utils.checkpoint import CheckpointPolicy, create_selective_checkpoint_contexts

#: The oldest versions that these files were opened with.
NEEDED = {"Python": "3.11", "transformers": "4.44", "torch": "2.4"}


def check_versions(found: dict[str, str]) -> None:
    """Refuse what is too old with one sentence, before some name is missing.

    Args:
        found: Name -> version.

    Raises:
        ImportError: If one is older than [`NEEDED`]; it names what is needed, what was found and the remedy.
    """
    old = {name: version for name, version in found.items() if _numbers(version) < _numbers(NEEDED[name])}
    if old:
        needed = " and ".join(f"{name} {NEEDED[name]} or newer" for name in old)
        present = " and ".join(f"{name} {version}" for name, version in old.items())
        packages = " ".join(f"'{name}>={NEEDED[name]}'" for name in old if name != "Python")
        remedy = f"run `pip install {packages}`" if packages else "use a newer Python"
        raise ImportError(f"this checkpoint needs {needed}, found {present}: {remedy}")


def _numbers(version: str) -> tuple[int, ...]:
    """`"5.4.0.dev0"` -> `(5, 4)`."""
    return tuple(int(part) for part in version.split("+")[0].split(".")[:2])


check_versions(
    {
        "Python": f"{sys.version_info[0]}.{sys.version_info[1]}",
        "transformers": transformers.__version__,
        "torch": torch.__version__,
    }
)

try:
    from transformers import PreTrainedConfig
except ImportError:  # its name below 5.0
    from transformers import PretrainedConfig as PreTrainedConfig  # type: ignore[no-redef]

try:
    # Since 5.0 weights that were loaded are marked, and these leave them alone.
    from transformers import initialization
except ImportError:
    initialization = SimpleNamespace(  # type: ignore[assignment]
        copy_=lambda tensor, other: tensor.copy_(other),
        normal_=nn.init.normal_,
        ones_=nn.init.ones_,
        uniform_=nn.init.uniform_,
        zeros_=nn.init.zeros_,
    )

try:
    from transformers.modeling_layers import GradientCheckpointingLayer
except ImportError:  # below 4.52

    class GradientCheckpointingLayer(nn.Module):  # type: ignore[no-redef]
        """A layer whose activations `PreTrainedModel` can have computed again for the gradient."""

        gradient_checkpointing = False

        def __call__(self, *args, **kwargs):
            """Run `forward`, again for the gradient where checkpointing is on."""
            if self.gradient_checkpointing and self.training:
                return self._gradient_checkpointing_func(partial(super().__call__, **kwargs), *args)
            return super().__call__(*args, **kwargs)


if is_dataclass(PreTrainedConfig):
    from huggingface_hub.dataclasses import strict

    FieldsConfig = PreTrainedConfig
else:  # below 5.4

    class FieldsConfig(PreTrainedConfig):  # type: ignore[no-redef]
        """A configuration whose class lists its fields, as transformers has them since 5.4.

        Fields become attributes, everything else goes to `__post_init__`, and then every method `validate_…` is asked.
        """

        def __init__(self, **kwargs: Any):
            for name, kind in self._fields().items():
                value = kwargs.pop(name, getattr(type(self), name))
                _check_type(name, value, kind)
                setattr(self, name, value)
            self.__post_init__(**kwargs)
            self.validate()

        def __post_init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)

        @classmethod
        def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
            """As in transformers, which changes fields after it has made the configuration: asked again."""
            found = super().from_dict(config_dict, **kwargs)
            config = found[0] if isinstance(found, tuple) else found
            for name, kind in cls._fields().items():
                _check_type(name, getattr(config, name), kind)
            config.validate()
            return found

        def validate(self) -> None:
            """Ask every method `validate_…`.

            Raises:
                ValueError: If a value does not fit.
            """
            for base in self._own_classes():
                for name in vars(base):
                    if name.startswith("validate_"):
                        getattr(self, name)()

        @classmethod
        def _own_classes(cls) -> list[type]:
            return [base for base in cls.__mro__ if issubclass(base, FieldsConfig)]

        @classmethod
        def _fields(cls) -> dict[str, Any]:
            """Field -> type, of our own classes."""
            listed = {name for base in cls._own_classes() for name in get_annotations(base)}
            hints = get_type_hints(cls).items()
            return {name: kind for name, kind in hints if name in listed and get_origin(kind) is not ClassVar}

    def strict(cls: Any) -> Any:  # type: ignore[no-redef]
        """Nothing more to do for a class that lists its fields itself."""
        return cls


def _check_type(name: str, value: Any, kind: Any) -> None:
    """Refuse a field of another type; the entries of a list are left to the ranges."""
    kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    plain = tuple(get_origin(one) or one for one in kinds)
    if not isinstance(value, plain) or (isinstance(value, bool) and bool not in plain):
        wanted = " or ".join(getattr(one, "__name__", str(one)) for one in plain)
        raise TypeError(f"{name} must be {wanted}, found {value!r}")


#: Whether a graph is being exported; below torch 2.8, which cannot tell, compiled graphs take what exported ones do.
is_exporting = getattr(torch.compiler, "is_exporting", lambda: True)


def activation_memory_budget(share: float) -> AbstractContextManager:
    """Compiled code made meanwhile keeps so much of its activations for the gradient; nothing where torch cannot."""
    try:
        from torch._functorch import config
    except ImportError:
        return nullcontext()
    settable = hasattr(config, "activation_memory_budget") and hasattr(config, "patch")
    return config.patch(activation_memory_budget=share) if settable else nullcontext()


def keep_products(kept: Sequence[bool]) -> tuple[AbstractContextManager, AbstractContextManager]:
    """For `context_fn` of a checkpoint in compiled code: what it keeps for the gradient.

    Args:
        kept: Of every product with weights, in the order in which they are made: whether its result is kept. All else,
            and any product after these, is made again.
    """
    seen: Counter[bool] = Counter()

    def choose(context: Any, operation: Any, *_: Any, **__: Any) -> CheckpointPolicy:
        if operation not in (torch.ops.aten.addmm.default, torch.ops.aten.mm.default):
            return CheckpointPolicy.PREFER_RECOMPUTE
        number, seen[context.is_recompute] = seen[context.is_recompute], seen[context.is_recompute] + 1
        wanted = number < len(kept) and kept[number]
        return CheckpointPolicy.MUST_SAVE if wanted else CheckpointPolicy.PREFER_RECOMPUTE

    return create_selective_checkpoint_contexts(choose)


@contextmanager
def without_advice_on_checkpoints() -> Iterator[None]:
    """torch warns of every selection in compiled code: that nothing may be written in place, which nothing is."""
    logger = logging.getLogger("torch._higher_order_ops.wrap")

    def keep(record: logging.LogRecord) -> bool:
        return "context_fn is passed to torch.utils.checkpoint" not in record.getMessage()

    logger.addFilter(keep)
    try:
        yield
    finally:
        logger.removeFilter(keep)


def changes_of(tensor: torch.Tensor) -> int:
    """How often a tensor was written to, which torch has no public name for; without it always 0."""
    return getattr(tensor, "_version", 0)


def gradient_is_taken_again() -> bool:
    """Inside a backward pass: whether it was asked to leave the graph as it is (`retain_graph=True`).

    PyTorch has no public name for that (2.13 and before); without this one the answer is no, and a second gradient is
    refused by what was asked to keep nothing.
    """
    inside = getattr(getattr(torch, "_C", None), "_autograd", None)
    asked = getattr(inside, "_get_current_graph_task_keep_graph", None)
    return bool(asked and asked())


__all__ = [
    "FieldsConfig",
    "GradientCheckpointingLayer",
    "activation_memory_budget",
    "changes_of",
    "check_versions",
    "gradient_is_taken_again",
    "initialization",
    "is_exporting",
    "keep_products",
    "without_advice_on_checkpoints",
    "strict",
]
