"""What a fine-tuning leaves on record: how well it does on subjects it never saw, and how it came to be."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mdjpt_hf.data.facts import (
    FINE_TUNING,
    RECORD_FILE,
    UNKNOWN_DATASET,
    dataset_facts,
    energy,
    labelled_datasets,
    machine_facts,
    software_facts,
    training_record,
)
from mdjpt_hf.evaluation.metrics import Accuracy, BalancedAccuracy
from mdjpt_hf.evaluation.statistics import subject_bootstrap
from mdjpt_hf.finetuning.windows import LabelledDataset


@torch.no_grad()
def recording_features(model: Any, windows: LabelledDataset, chosen: np.ndarray) -> torch.Tensor:
    """Features of the chosen windows, `(windows, features)`; each recording is normalised as a whole."""
    model.eval()
    features = torch.empty(len(chosen), model.classifier[0].in_features)
    for recording in np.unique(windows.recording[chosen]):
        own = np.flatnonzero(windows.recording[chosen] == recording)
        encoded = model.base_model.encode_recording(windows.read(chosen[own]), batch_size=128)
        features[own] = encoded.float().cpu()
    return features


@torch.no_grad()
def validation_scores(model: Any, windows: LabelledDataset, chosen: np.ndarray) -> dict[str, Any]:
    """`metrics` over all windows and, for classes, accuracy over subjects as `results`."""
    features = recording_features(model, windows, chosen)
    model.classifier.eval()
    logits = model.classifier(features.to(model.device)).float().cpu().numpy()
    wanted, subject = windows.label[chosen], windows.subject[chosen]
    if windows.target.problem_type == "regression":
        errors = {
            name: float(np.mean(error[~np.isnan(error)]))
            for name, error in zip(windows.target.names, np.abs(logits - wanted).T, strict=True)
            if not np.isnan(error).all()
        }
        return {"metrics": {"mean_absolute_error": errors}, "results": {}}
    found = logits.argmax(axis=-1)
    metrics: dict[str, float] = {}
    for metric in (Accuracy(), BalancedAccuracy()):
        metrics |= metric.compute(predictions=found, references=wanted) or {}
    per_subject = np.array([(found == wanted)[subject == name].mean() for name in np.unique(subject)])
    score = {"score": asdict(subject_bootstrap(per_subject)), "per_subject": per_subject.round(6).tolist()}
    return {"metrics": metrics, "results": {"validation subjects": {"this model": score}}}


def records(config: Any, model: Any, windows: LabelledDataset, parts, scores) -> dict[str, Any]:
    """File -> content: the settings, what the card must say, and the score with its protocol."""
    names, target = [trials.name for trials in windows.trial_sets], windows.target
    datasets = [dataset_facts(trials) for trials in windows.trial_sets]
    validation = np.unique(windows.subject[parts[1]]).tolist()
    is_local = Path(config.model).is_dir()
    name = Path(config.model).name if is_local else config.model  # no place of this machine is told
    settings = {**asdict(config), "data": names, "model": name, "output_dir": ""}
    before = training_record(config.model) or _not_on_record(config.model)
    card = {
        "family": model.config.model_type,
        "objective": f"{FINE_TUNING} ({config.method}) to {target.name}: {', '.join(target.names)}",
        "name": "fine-tuned",
        "seed": config.seed,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "departures": [],
        "checkpoint": "the epoch with the best score on validation subjects, who did not train",
        "base_model": "" if is_local else config.model,
        "datasets": datasets + [entry for entry in before["datasets"] if entry["name"] not in names],
        "labelled_datasets": sorted({*names, *labelled_datasets(before)}),
        "software": software_facts(),
    }
    protocol = {
        "subjects": f"{len(validation)} of {len(np.unique(windows.subject))}, from every corpus, never trained on",
        "checkpoint": "the epoch was chosen on these same subjects: optimistic by that choice",
        "normalisation": "each recording as a whole, without labels",
        "smoothing": "none",
        "intervals": "95 % percentile bootstrap over subjects",
    }
    result = {
        "split": "validation",
        "data": "simulated" if all(entry["simulated"] for entry in datasets) else "recorded",
        "corpus": "+".join(names),
        "subjects": validation,
        "classes": list(target.names),
        "windows": len(parts[1]),
        "protocol": protocol,
        **scores,
    }
    return {
        "finetune.json": {"settings": settings, "training_windows": len(parts[0]), "validation_subjects": validation},
        RECORD_FILE: card,
        "results/validation.json": result,
    }


def _not_on_record(model: str) -> dict[str, Any]:
    """In place of a record of the pre-training: a single entry that the card refuses."""
    title = f"what {Path(model).name} was pre-trained on, which is not on record"
    return {"datasets": [{"name": UNKNOWN_DATASET, "title": title}]}


def effort(model: Any, steps: int, seconds: float) -> dict[str, Any]:
    """What the training cost, for the card."""
    machine = machine_facts(model.device.type)
    return {
        "steps": steps,
        "machine": machine,
        "wall_seconds": round(seconds, 1),
        "energy": energy(seconds, machine),
    }
