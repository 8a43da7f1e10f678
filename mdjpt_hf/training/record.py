"""What a run leaves on record for the card of its checkpoint."""

from typing import Any

import numpy as np

from mdjpt_hf.data.corpora import TrialSet
from mdjpt_hf.data.facts import energy, machine_facts, software_facts, training_facts
from mdjpt_hf.training.config import RunConfig
from mdjpt_hf.training.departures import departures
from mdjpt_hf.training.loop import Pretrainer


def training_datasets(config: RunConfig, trial_sets: list[TrialSet], trainer: Pretrainer) -> list[dict[str, Any]]:
    """What is told of the datasets trained on; read before training, when the corpora are known to be there."""
    held_out = trainer.objective.held_out
    return [training_facts(trials, config.held_out_subjects if trials.name in held_out else 0) for trials in trial_sets]


def run_record(
    config: RunConfig, datasets: list[dict[str, Any]], trainer: Pretrainer, seconds: float
) -> dict[str, Any]:
    """Everything a card says about how a checkpoint came to be. No path of this machine is in it.

    Args:
        config (`RunConfig`): The run.
        datasets (`list[dict]`): From [`training_datasets`].
        trainer (`Pretrainer`): After its last step.
        seconds (`float`): Wall time of this process, data preparation included.

    Returns:
        `dict`: Plain JSON.
    """
    model = trainer.accelerator.unwrap_model(trainer.model)
    training = training_seconds(trainer.history, trainer.objective.windows_per_step)
    machine = machine_facts(trainer.accelerator.device.type, trainer.accelerator.num_processes)
    return {
        "family": model.config.model_type,
        "objective": config.objective,
        "name": config.name,
        "seed": config.seed,
        "steps": config.steps,
        "windows_per_step": round(float(trainer.objective.windows_per_step), 2),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "departures": list(departures(config)),
        "checkpoint": "the last step; nothing is chosen with labels",
        "datasets": datasets,
        "software": software_facts(),
        "machine": machine,
        "training_seconds": round(training, 1),
        "wall_seconds": round(seconds, 1),
        "energy": energy(max(training, seconds), machine),
    }


def training_seconds(history: list[dict[str, Any]], windows_per_step: float) -> float:
    """Seconds spent on optimiser steps, from the speeds that were logged.

    The history travels with the checkpoints, so a run that was interrupted counts all its steps once. Work that was
    lost and repeated is not counted.
    """
    logged = [entry for entry in history if entry.get("windows/s")]
    steps = np.diff([0] + [entry["step"] for entry in logged])
    return float(sum(count * windows_per_step / entry["windows/s"] for count, entry in zip(steps, logged, strict=True)))
