"""What a run leaves on record for the card of its checkpoint: data and terms, software, machine, time, energy."""

import json
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from datasets import load_from_disk

from mdjpt_hf.data.corpora import TrialSet
from mdjpt_hf.data.storage import CORPUS_FILE
from mdjpt_hf.training.config import RunConfig
from mdjpt_hf.training.loop import Pretrainer
from mdjpt_hf.version import __version__

#: W drawn by a busy processor core, and by a busy GPU with its share of the machine. Assumptions, not measurements.
CORE_WATTS, GPU_WATTS = 10.0, 400.0
_LIBRARIES = ("torch", "transformers", "accelerate", "datasets", "numpy", "scipy")


def run_record(config: RunConfig, trial_sets: list[TrialSet], trainer: Pretrainer, seconds: float) -> dict[str, Any]:
    """Everything a card says about how a checkpoint came to be. No path of this machine is in it.

    Args:
        config (`RunConfig`): The run.
        trial_sets (`list[TrialSet]`): The datasets trained on.
        trainer (`Pretrainer`): After its last step.
        seconds (`float`): Wall time of this process, data preparation included.

    Returns:
        `dict`: Plain JSON.
    """
    model = trainer.accelerator.unwrap_model(trainer.model)
    training = training_seconds(trainer.history, trainer.windows_per_step)
    machine = _machine(trainer.accelerator)
    return {
        "family": model.config.model_type,
        "objective": config.objective,
        "name": config.name,
        "seed": config.seed,
        "steps": config.steps,
        "windows_per_step": round(float(trainer.windows_per_step), 2),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "departures": list(config.departures),
        "checkpoint": "the last step; nothing is chosen with labels",
        "datasets": [_dataset(trials, config, trials.name in trainer.held_out) for trials in trial_sets],
        "software": _software(),
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


def energy(seconds: float, machine: dict[str, Any]) -> dict[str, Any]:
    """An estimate in kWh, with the assumption it rests on."""
    if machine["device"] == "cuda":
        watts, busy = machine["processes"] * GPU_WATTS, f"{GPU_WATTS:g} W for each of {machine['processes']} GPUs"
    else:
        cores = machine["processes"] * machine["threads"]
        watts, busy = cores * CORE_WATTS, f"{CORE_WATTS:g} W for each of {cores} processor cores"
    return {
        "kwh": round(seconds * watts / 3.6e6, 6),
        "assumption": f"{busy}, busy for the whole time; cooling and losses not counted; not measured",
    }


def _dataset(trials: TrialSet, config: RunConfig, held_out: bool) -> dict[str, Any]:
    path = trials.folder / CORPUS_FILE
    corpus = json.loads(path.read_text()) if path.is_file() else {}
    facts: dict[str, Any] = next((facts for facts in corpus.get("facts", []) if facts["name"] == trials.name), {})
    channels = [len(names) for names in trials.ch_names]
    return {
        "name": trials.name,
        "title": facts.get("title"),
        "licence": facts.get("licence"),
        "citation": facts.get("citation", ""),
        "simulated": config.simulated or "generator" in corpus.get("options", {}),
        "subjects": len(np.unique(trials.subject)),
        "held_out_subjects": config.held_out_subjects if held_out else 0,
        "stimuli": len(np.unique(trials.stimulus)),
        "trials": len(trials),
        "hours": round(trials.hours, 3),
        "channels": [min(channels), max(channels)],
        "sampling_rate": trials.sampling_rate,
        "preprocessing": _preprocessing(trials),
        "preprocessing_settings": corpus.get("options", {}).get("preprocessing", {}),
        "fingerprint": trials.fingerprint,
    }


def _preprocessing(trials: TrialSet) -> list[str]:
    """Ids of the presets its rows went through."""
    column = load_from_disk(str(trials.folder)).data.column("preprocessing")
    return sorted(set(column.take(trials.rows).to_pylist()))


def _machine(accelerator: Accelerator) -> dict[str, Any]:
    device = accelerator.device.type
    name = torch.cuda.get_device_name() if device == "cuda" else _processor()
    return {
        "device": device,
        "name": name,
        "processes": accelerator.num_processes,
        "threads": torch.get_num_threads(),
    }


def _processor() -> str:
    """The processor's own name where the system tells it, its architecture elsewhere."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names and names[0] else platform.machine()


def _software() -> dict[str, str]:
    versions = {name: metadata.version(name) for name in _LIBRARIES}
    return {"python": platform.python_version(), "mdjpt-hf": __version__, **versions}
