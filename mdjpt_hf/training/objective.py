"""What a run learns, apart from how it is run: the loop asks an objective for everything that is its own."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from accelerate import Accelerator
from torch.utils.data import Dataset
from transformers import PreTrainedModel


@dataclass
class ObjectiveState:
    """What an objective keeps in a checkpoint beside weights and optimiser: tensors, and facts in plain JSON."""

    tensors: dict[str, torch.Tensor] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


class Meter(ABC):
    """Running means of what is logged while training."""

    @abstractmethod
    def add(self, output: Any, batch: dict[str, torch.Tensor]) -> None:
        """Take in one step."""

    @abstractmethod
    def close(self, accelerator: Accelerator) -> dict[str, float]:
        """Means over steps and processes since the last call; starts the next stretch."""


class Objective(ABC):
    """One way to learn without labels.

    Attributes:
        steps: Item `s` is the batch of global step `s` for this process; may be exchanged by [`start_round`].
        held_out: Names of the datasets that gave up subjects for evaluation.
        notes: What else is to be known of its data before it starts.
        not_held_out: Datasets that were asked for subjects and gave none, with the reason.
        windows_per_step: Expected windows of one global step.
    """

    steps: Dataset
    held_out: Sequence[str]
    windows_per_step: float
    not_held_out: Mapping[str, str] = MappingProxyType({})
    notes: Sequence[str] = ()

    @abstractmethod
    def build_model(self) -> PreTrainedModel:
        """The network with its heads, freshly initialised from torch's global generator."""

    def rounds(self) -> list[range]:
        """Stretches of steps, in order; [`start_round`] is called before each. One stretch unless overridden."""
        return [range(len(self.steps))]  # type: ignore[arg-type]

    def start_round(
        self, number: int, model: Any, optimizer: torch.optim.Optimizer, accelerator: Accelerator, resumed: bool
    ) -> list[dict[str, Any]]:
        """Prepare a stretch of steps, on every process; entries for the run's history come back.

        Args:
            number (`int`): From 0. model: Unwrapped.
            resumed (`bool`): A checkpoint from within this stretch was restored.
        """
        return []

    @abstractmethod
    def rehearse(self, model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """A scalar that costs what the loss costs, without exchange between processes."""

    @abstractmethod
    def meter(self) -> Meter:
        """What is logged."""

    @abstractmethod
    def culprits(self, output: Any, batch: dict[str, torch.Tensor]) -> list[str]:
        """Datasets from which a loss that is not finite may have come."""

    @abstractmethod
    def evaluate(self, model: Any) -> tuple[dict[str, float], str] | None:
        """Scores on held-out subjects and one line that says them; None where there is nothing to evaluate."""

    def state(self) -> ObjectiveState:
        """For the checkpoint."""
        return ObjectiveState()

    def restore(self, state: ObjectiveState) -> None:
        """From the checkpoint; [`start_round`] follows with `resumed=True`, or with the next round."""
        return None

    @abstractmethod
    def draw(self, history: list[dict[str, Any]], folder: Path, title: str) -> None:
        """Pictures of the run."""
