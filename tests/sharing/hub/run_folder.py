"""A finished run, fabricated: a small model with everything that `mdjpt pretrain` leaves beside it."""

import json
from pathlib import Path
from typing import Any

import torch

from mdjpt_hf import MDJPTConfig, MDJPTFeatureExtractor, MDJPTForPreTraining
from mdjpt_hf.training.config import RunConfig

#: The 60 channels and the 125 Hz of the feature extractor, everything else small.
SIZES: dict[str, Any] = {
    "patch_length": 20,
    "patch_stride": 16,
    "hidden_size": 12,
    "num_hidden_layers": 1,
    "num_attention_heads": 3,
    "intermediate_size": 17,
    "feature_size": 5,
    "spatial_channels": 6,
    "filters_per_feature": 2,
    "dilations": [1, 3],
    "map_attention_kernel": 4,
    "map_attention_pool": 3,
    "projector_pool": 4,
    "classifier_hidden_sizes": [9, 8],
}


def dataset(name: str = "sim-a", **changes: Any) -> dict[str, Any]:
    return {
        "name": name,
        "title": f"Corpus {name}",
        "licence": "CC0-1.0",
        "citation": "",
        "simulated": True,
        "subjects": 7,
        "held_out_subjects": 2,
        "stimuli": 5,
        "trials": 35,
        "hours": 1.25,
        "channels": [30, 32],
        "sampling_rate": 125.0,
        "preprocessing": ["basic-1"],
        "preprocessing_settings": {"preset": "basic", "id": "basic-1", "band": [0.5, 47.0]},
        "fingerprint": "0123456789abcdef",
        **changes,
    }


def record(**changes: Any) -> dict[str, Any]:
    return {
        "family": "mdjpt",
        "objective": "mdjpt",
        "name": "toy",
        "seed": 3,
        "steps": 1200,
        "windows_per_step": 32.0,
        "parameters": 4321,
        "departures": ["a smaller network"],
        "checkpoint": "the last step; nothing is chosen with labels",
        "datasets": [dataset("sim-a"), dataset("sim-b", hours=0.75)],
        "software": {"python": "3.11.7", "mdjpt-hf": "0.1.0", "torch": "2.13.0+cpu", "transformers": "5.23.0"},
        "machine": {"device": "cpu", "name": "Some processor", "processes": 1, "threads": 2},
        "training_seconds": 500.0,
        "wall_seconds": 600.0,
        "energy": {"kwh": 0.00333, "assumption": "10 W for each of 2 processor cores"},
        **changes,
    }


def scores(mean: float) -> dict[str, Any]:
    return {"mean": mean, "low": mean - 0.05, "high": mean + 0.05}


def comparison(**changes: Any) -> dict[str, Any]:
    rows = {
        protocol: {
            "pre-trained": {"score": scores(own), "null": scores(0.33), "per_subject": [own, None]},
            "DE": {"score": scores(0.5), "null": scores(0.34), "per_subject": [0.5, 0.5]},
        }
        for protocol, own in (("zero-shot 10-NN", 0.61), ("few-shot, new stimuli", 0.64))
    }
    protocol = {"windows": "5 s without overlap", "smoothing": "none"}
    shared = {"corpus": "sim-c", "subjects": ["s1", "s2"], "windows": 200, "stimuli": 4, "classes": ["a", "b", "c"]}
    return {"data": "simulated", "seed": 3, **shared, "protocol": protocol, "results": rows, **changes}


def make_run(folder: Path, model_class: type = MDJPTForPreTraining, **changes: Any) -> Path:
    """Write a run; `changes` replace entries of its record."""
    torch.manual_seed(0)
    model_class(MDJPTConfig(**SIZES, num_labels=3)).eval().save_pretrained(folder)
    MDJPTFeatureExtractor().save_pretrained(folder)
    RunConfig(name="toy", data=(f"{folder.parent}/secret-place/sim-a",), output_dir=str(folder)).save(folder)
    for name, content in (("run_record", record(**changes)), ("comparison", comparison()), ("history", [{"step": 1}])):
        (folder / f"{name}.json").write_text(json.dumps(content))
    (folder / "loss.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    (folder / "comparison.md").write_text("a table\n")
    for stays in (
        "checkpoints/step-1/model.safetensors",
        "logs/events",
        "data/data-0.arrow",
        "notes.txt",
        "private.py",
    ):
        (folder / stays).parent.mkdir(parents=True, exist_ok=True)
        (folder / stays).write_text("stays here")
    return folder
