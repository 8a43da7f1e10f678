"""Facts for records: the data and their terms, the software, the machine, the energy."""

import json
import platform
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers.utils import cached_file

from mdjpt_hf.data.corpora import TrialSet, preprocessing_of
from mdjpt_hf.data.exposure import UNKNOWN_DATASET as UNKNOWN_DATASET
from mdjpt_hf.data.exposure import training_sets
from mdjpt_hf.data.overlap import known_by
from mdjpt_hf.data.storage import folder_metadata
from mdjpt_hf.version import __version__

#: Beside the weights: how they came to be, for their card.
RECORD_FILE = "run_record.json"

#: Begins the objective of a checkpoint that was trained with labels.
FINE_TUNING = "fine-tuning"

#: W drawn by a busy processor core, and by a busy GPU with its share of the machine. Assumptions, not measurements.
CORE_WATTS, GPU_WATTS = 10.0, 400.0
_LIBRARIES = ("torch", "transformers", "accelerate", "datasets", "numpy", "scipy")


def dataset_facts(trials: TrialSet, held_out_subjects: int = 0) -> dict[str, Any]:
    """What a card says of a corpus that was trained on; no path of this machine is in it."""
    corpus, facts = folder_metadata(trials.folder), trials.facts
    channels = [len(names) for names in trials.ch_names]
    return {
        "name": trials.name,
        "title": facts.get("title"),
        "licence": facts.get("licence"),
        "citation": facts.get("citation", ""),
        "simulated": "generator" in corpus.get("options", {}),
        "subjects": len(np.unique(trials.subject)),
        "held_out_subjects": held_out_subjects,
        "stimuli": len(np.unique(trials.stimulus)),
        "stimulus_set": _shared_set(trials),
        "trials": len(trials),
        "hours": round(trials.hours, 3),
        "channels": [min(channels), max(channels)],
        "sampling_rate": trials.sampling_rate,
        "preprocessing": _preprocessing(trials),
        "preprocessing_settings": corpus.get("options", {}).get("preprocessing", {}),
        "fingerprint": trials.fingerprint,
    }


def training_facts(trials: TrialSet, held_out_subjects: int = 0) -> dict[str, Any]:
    """The same for the record of a training, and what the corpus is known by under another name."""
    return {**dataset_facts(trials, held_out_subjects), "known_by": known_by(trials)}


def _shared_set(trials: TrialSet) -> str:
    return "" if trials.stimulus_set == trials.name else trials.stimulus_set


def _preprocessing(trials: TrialSet) -> list[str]:
    """Ids of the presets its rows went through."""
    return list(_presets(str(trials.folder), trials.fingerprint, trials.rows.tobytes(), trials.rows.dtype.str))


@lru_cache(maxsize=64)
def _presets(folder: str, fingerprint: str, rows: bytes, kind: str) -> tuple[str, ...]:
    """The same, read once for data of one fingerprint, however many records are written about them."""
    return preprocessing_of(Path(folder), np.frombuffer(rows, dtype=kind))


def training_record(model: str) -> dict[str, Any] | None:
    """What a folder or Hub id has on record of its training; None where no readable record lists its datasets."""
    try:
        record = json.loads(Path(str(cached_file(model, RECORD_FILE))).read_text(encoding="utf-8"))
        return record if all("name" in entry for entry in record["datasets"]) else None
    except (OSError, TypeError, ValueError, KeyError):
        return None


def labelled_datasets(record: dict[str, Any]) -> list[str]:
    """Names of the datasets a checkpoint was trained on with labels, given its record.

    A fine-tuning that does not tell them apart from those of its pre-training may have used the labels of all.
    """
    if "labelled_datasets" in record:
        return list(record["labelled_datasets"])
    fine_tuned = str(record.get("objective", "")).startswith(FINE_TUNING)
    return [entry["name"] for entry in record["datasets"]] if fine_tuned else []


def met_in_training(record: Mapping[str, Any]) -> dict[str, Any]:
    """What [`mdjpt_hf.data.exposure.exposure`] asks of an encoder, from the record of its training."""
    datasets: Sequence[Mapping[str, Any]] = record["datasets"]
    return {
        "pretrained_on": [entry["name"] for entry in datasets],
        "trained_with_labels_of": labelled_datasets(dict(record)),
        "stimulus_sets": training_sets(datasets),
        "known_by": {entry["name"]: entry.get("known_by", "") for entry in datasets},
    }


def machine_facts(device: str, processes: int = 1) -> dict[str, Any]:
    """The machine of this process; `device` is torch's word, such as `cpu`."""
    name = torch.cuda.get_device_name() if device == "cuda" else _processor()
    return {
        "device": device,
        "name": name,
        "processes": processes,
        "threads": torch.get_num_threads(),
    }


def _processor() -> str:
    """The processor's own name where the system tells it, its architecture elsewhere."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names and names[0] else platform.machine()


def software_facts() -> dict[str, str]:
    """Versions, by name."""
    versions = {name: metadata.version(name) for name in _LIBRARIES}
    return {"python": platform.python_version(), "mdjpt-hf": __version__, **versions}


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
