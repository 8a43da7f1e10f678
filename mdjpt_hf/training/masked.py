"""Objective `masked`: hidden tokens' clusters are predicted, at several granularities, in rounds (Hu et al. 2024)."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from mdjpt_hf.data.corpora import TrialSet
from mdjpt_hf.data.masking import MaskedSteps
from mdjpt_hf.data.tokens import TokenIndex
from mdjpt_hf.modeling.modeling_masked_eeg import MaskedEEGForPreTraining, MaskedEEGModel
from mdjpt_hf.training.config import RunConfig
from mdjpt_hf.training.figures import draw_masked
from mdjpt_hf.training.masked_settings import MaskedSettings
from mdjpt_hf.training.objective import Meter, Objective
from mdjpt_hf.training.pseudo_labels import LabelledInRounds, PseudoLabels, masked_scores
from mdjpt_hf.training.retrieval import hold_out_subjects

#: Windows that are evaluated at a time: enough to be fast, and memory stays bounded.
EVALUATED_TOGETHER = 64


class MaskedObjective(LabelledInRounds, Objective):
    """The cluster of a hidden token follows from what surrounds it.

    Args:
        config (`RunConfig`): The run.
        trial_sets (`Sequence[TrialSet]`): What to train on.
        accelerator (`Accelerator`): Says which process this is.
        folder (`Path`): Where pseudo-labels are written; the same for every process.

    Raises:
        ConfigurationError: If the group `masked` does not work.
        CorpusError: If a dataset has no trial as long as a window.
    """

    def __init__(self, config: RunConfig, trial_sets: Sequence[TrialSet], accelerator: Accelerator, folder: Path):
        self.config, self.model_config = config, config.model_config()
        self.settings = MaskedSettings.read(config.masked, self.model_config.max_clusters, config.steps)
        self.rank, self.world_size = accelerator.process_index, accelerator.num_processes
        self.windows_per_step = float(self.settings.windows_per_step * self.world_size)
        parts = [hold_out_subjects(trials, config.held_out_subjects, config.seed)[1] for trials in trial_sets]
        held_out = frozenset((part.name, subject) for part in parts if part is not None for subject in part.subject)
        self.held_out = [part.name for part in parts if part is not None]
        self.pseudo_labels = pseudo_labels(config, self.settings, trial_sets, held_out, folder, MaskedEEGModel)
        self._use_labels()

    def build_model(self) -> MaskedEEGForPreTraining:
        """The masked network, with a head for every granularity."""
        return MaskedEEGForPreTraining(self.model_config)

    def rehearse(self, model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """The loss itself: it needs no other process."""
        return model(**batch).loss

    def meter(self) -> Meter:
        """Loss and masked accuracy by granularity."""
        return _MaskedMeter()

    def culprits(self, output: Any, batch: dict[str, torch.Tensor]) -> list[str]:
        """All datasets: every batch holds windows of each."""
        return [trials.name for trials in self.pseudo_labels.index.trial_sets]

    def evaluate(self, model: Any) -> tuple[dict[str, float], str] | None:
        """Accuracy on hidden tokens of held-out subjects, beside that of copying the nearest token that is shown."""
        return evaluate_masked(model, self._evaluation, self.pseudo_labels)

    def draw(self, history: list[dict[str, Any]], folder: Path, title: str) -> None:
        """Loss and masked accuracy over steps."""
        draw_masked(history, folder / "masked.png", title)

    def _use_labels(self) -> None:
        """Draw batches with the labels of this round from now on."""
        config, settings, pseudo = self.config, self.settings, self.pseudo_labels
        self.steps: MaskedSteps = MaskedSteps(
            pseudo.index,
            pseudo.held_out,
            pseudo.labels,
            config.steps,
            config.steps_per_epoch,
            config.seed,
            settings.windows_per_step * self.world_size,
            settings.mask_ratio,
            settings.mask_span,
            rank=self.rank,
            world_size=self.world_size,
        )
        self._evaluation = evaluation_steps(pseudo, config.seed)


def pseudo_labels(
    config: RunConfig,
    settings: MaskedSettings,
    trial_sets: Sequence[TrialSet],
    held_out: frozenset[tuple[str, str]],
    folder: Path,
    encoder_class: Any,
) -> PseudoLabels:
    """The pseudo-labels of a run, before its first round; those of held-out (dataset, subject) serve evaluation only.

    Raises:
        CorpusError: If a dataset has no trial as long as a window.
    """
    model_config = config.model_config()
    index = TokenIndex(trial_sets, model_config.token_samples, model_config.window_samples)
    rate, seed = model_config.sampling_rate, config.seed
    return PseudoLabels(index, settings, held_out, rate, seed, folder, lambda: encoder_class(model_config))


def evaluation_steps(pseudo: PseudoLabels, seed: int) -> MaskedSteps:
    """Windows of the subjects held out (of all where nobody is), the same at every call."""
    index, settings = pseudo.index, pseudo.settings
    everyone = {(part.name, part.subject) for part in index.recordings}
    shown = everyone - pseudo.held_out if pseudo.held_out else set()
    count = -(-settings.eval_windows * len(index.trial_sets) // EVALUATED_TOGETHER)
    how = (settings.mask_ratio, settings.mask_span)
    return MaskedSteps(index, shown, pseudo.labels, count, count, seed + 1, EVALUATED_TOGETHER, *how)


@torch.no_grad()
def evaluate_masked(model: Any, batches: MaskedSteps, pseudo: PseudoLabels) -> tuple[dict[str, float], str]:
    """Mean scores over batches, and the line that says them."""
    was_training, device = model.training, next(model.parameters()).device
    model.eval()
    scores = []
    for number in range(len(batches)):
        batch = batches[number]
        scores.append(masked_scores(model(**{name: tensor.to(device) for name, tensor in batch.items()}), batch))
    model.train(was_training)
    entry = {name: float(np.mean([score[name] for score in scores])) for name in scores[0]}
    who = "held-out" if pseudo.held_out else "trained"
    return entry, f"masked accuracy on {who} subjects " + pseudo.accuracy_in_words(entry)


class _MaskedMeter(Meter):
    """Means of the losses and accuracies, and the throughput, since the last report."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self.sums, self.steps, self.windows, self.since = torch.zeros(1), 0, 0, time.perf_counter()

    def add(self, output: Any, batch: dict[str, torch.Tensor]) -> None:
        """One step."""
        parts = [output.loss.detach()[None], output.masked_losses, output.intermediate_losses, output.masked_accuracies]
        values = torch.cat([part.float() for part in parts])
        self.sums = values + (self.sums.to(values.device) if self.steps else 0)
        self.steps += 1
        self.windows += len(batch["labels"])

    def close(self, accelerator: Accelerator) -> dict[str, float]:
        """Means over steps and processes; starts the next stretch."""
        total, *parts = accelerator.reduce(self.sums / self.steps, reduction="mean").tolist()
        speed = self.windows * accelerator.num_processes / (time.perf_counter() - self.since)
        names = ("masked", "intermediate", "training accuracy")
        granularities = len(parts) // len(names)
        named = {f"{names[i // granularities]}/{i % granularities + 1}": value for i, value in enumerate(parts)}
        self._reset()
        return {"loss": total, **named, "windows/s": speed}
