"""Objective `mdjpt+masked`: alignment of subjects and corpora, and masked prediction, on mdJPT's encoder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from mdjpt_hf.data.corpora import TrialSet
from mdjpt_hf.data.joint import JointSteps
from mdjpt_hf.errors import ConfigurationError
from mdjpt_hf.modeling.modeling_mdjpt import MDJPTForPreTraining, MDJPTModel
from mdjpt_hf.training.alignment import AlignmentMeter, AlignmentObjective
from mdjpt_hf.training.config import RunConfig
from mdjpt_hf.training.figures import draw_masked
from mdjpt_hf.training.masked import evaluate_masked, evaluation_steps, pseudo_labels
from mdjpt_hf.training.masked_settings import MaskedSettings
from mdjpt_hf.training.objective import ObjectiveState
from mdjpt_hf.training.pseudo_labels import LabelledInRounds


class JointObjective(LabelledInRounds, AlignmentObjective):
    """Every window of a step is encoded twice: as it is, for alignment, and with tokens hidden, for prediction.

    Args:
        config (`RunConfig`): The run; `masked.windows_per_step` has no meaning here.
        trial_sets (`Sequence[TrialSet]`): What to train on.
        accelerator (`Accelerator`): Says which process this is.
        folder (`Path`): Where pseudo-labels are written; the same for every process.

    Raises:
        ConfigurationError: If the group `masked` does not work, or the model has no heads for it.
        CorpusError: If a dataset has no trial as long as a window.
        PairingError: If a dataset gives no pair.
    """

    def __init__(self, config: RunConfig, trial_sets: Sequence[TrialSet], accelerator: Accelerator, folder: Path):
        model_config = config.model_config()
        if not model_config.max_clusters:
            raise ConfigurationError(
                "masked prediction needs heads, and model.max_clusters names none",
                value=[],
                remedy="Use --config joint-demo, or for example --set 'model.max_clusters=[20, 100, 300]'",
            )
        self.settings = MaskedSettings.read(config.masked, model_config.max_clusters, config.steps)
        super().__init__(config, trial_sets, accelerator, grid=model_config.token_samples)
        held_out = frozenset(
            (name, subject) for name, sampler in self.samplers_held_out.items() for subject in sampler.trials.subject
        )
        self.pseudo_labels = pseudo_labels(config, self.settings, trial_sets, held_out, folder, MDJPTModel)
        self._use_labels()

    def build_model(self) -> MDJPTForPreTraining:
        """mdJPT with its projector and a head for every granularity."""
        return MDJPTForPreTraining(self.config.model_config())

    def rehearse(self, model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Both encodings of a batch and the masked loss, without alignment."""
        # Without the datasets' ids there is no alignment loss, hence no exchange with the other processes.
        parts = {name: batch[name] for name in ("input_values", "group_ids", "labels", "token_mask")}
        output = model(**parts)
        return output.loss + output.embeddings.float().square().mean()

    def meter(self) -> "_JointMeter":
        """What both objectives log."""
        return _JointMeter(self.names, len(self.settings.candidates))

    def evaluate(self, model: Any) -> tuple[dict[str, float], str] | None:
        """Pair retrieval, and accuracy on hidden tokens, of held-out subjects."""
        entry, words = evaluate_masked(model, self._evaluation, self.pseudo_labels)
        retrieval = super().evaluate(model)
        return (entry, words) if retrieval is None else ({**entry, **retrieval[0]}, f"{retrieval[1]}; {words}")

    def state(self) -> ObjectiveState:
        """Of both objectives."""
        labels, pairs = LabelledInRounds.state(self), AlignmentObjective.state(self)
        return ObjectiveState(labels.tensors, {**labels.facts, **pairs.facts})

    def restore(self, state: ObjectiveState) -> None:
        """To both objectives."""
        AlignmentObjective.restore(self, state)
        LabelledInRounds.restore(self, state)

    def draw(self, history: list[dict[str, Any]], folder: Path, title: str) -> None:
        """The pictures of both objectives."""
        super().draw(history, folder, title)
        draw_masked(history, folder / "masked.png", title)

    def _use_labels(self) -> None:
        """Draw batches with the labels of this round from now on."""
        settings, pseudo = self.settings, self.pseudo_labels
        self.steps = JointSteps(pseudo.index, pseudo.labels, settings.mask_ratio, settings.mask_span, **self.plan)
        self._evaluation = evaluation_steps(pseudo, self.config.seed)


class _JointMeter(AlignmentMeter):
    """Also means of the masked losses and accuracies."""

    def __init__(self, names: list[str], granularities: int):
        super().__init__(names)
        self.masked = torch.zeros(2 * granularities)

    def add(self, output: Any, batch: dict[str, torch.Tensor]) -> None:
        """One step."""
        super().add(output, batch)
        self.masked = self.masked.to(output.masked_losses.device)
        self.masked += torch.cat([output.masked_losses.float(), output.masked_accuracies.float()])
        self.steps += 1

    def close(self, accelerator: Accelerator) -> dict[str, float]:
        """Means over steps and processes; starts the next stretch."""
        means = accelerator.reduce(self.masked / self.steps, reduction="mean").tolist()
        half = len(means) // 2
        named = {f"masked/{g}": value for g, value in enumerate(means[:half], start=1)}
        named |= {f"training accuracy/{g}": value for g, value in enumerate(means[half:], start=1)}
        self.masked = torch.zeros_like(self.masked)
        return {**super().close(accelerator), **named}

    def _reset(self) -> None:
        super()._reset()
        self.steps = 0
