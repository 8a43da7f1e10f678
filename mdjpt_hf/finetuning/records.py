"""What a fine-tuning leaves on record: how well it does on subjects it never saw, and how it came to be."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from mdjpt_hf.data.exposure import exposure, exposure_note
from mdjpt_hf.data.facts import (
    FINE_TUNING,
    RECORD_FILE,
    UNKNOWN_DATASET,
    energy,
    labelled_datasets,
    machine_facts,
    met_in_training,
    software_facts,
    training_facts,
    training_record,
)
from mdjpt_hf.data.overlap import known_by
from mdjpt_hf.finetuning.scores import ONE_STIMULUS, verdict
from mdjpt_hf.finetuning.windows import LabelledDataset
from mdjpt_hf.runtime.naming import model_name


def records(
    config: Any, model: Any, windows: LabelledDataset, parts, scores: dict[str, dict[str, Any]], chosen_by: str
) -> dict[str, Any]:
    """File -> content: the settings, what the card must say, and the scores with their protocol.

    Args:
        parts: Numbers of the windows that trained, and of those that validate.
        scores: `training` and `validation`, from [`side_score`].
        chosen_by: How the checkpoint was chosen, in words.
    """
    names, target = [trials.name for trials in windows.trial_sets], windows.target
    datasets = [training_facts(trials) for trials in windows.trial_sets]
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
        "checkpoint": chosen_by,
        "base_model": "" if is_local else config.model,
        "datasets": datasets + [entry for entry in before["datasets"] if entry["name"] not in names],
        "labelled_datasets": sorted({*names, *labelled_datasets(before)}),
        "software": software_facts(),
    }
    protocol = {
        "subjects": f"{len(validation)} of {len(np.unique(windows.subject))}, from every corpus, never trained on",
        "stimuli": _stimuli(windows, parts),
        **_encoder(windows, before),
        **_one_stimulus(scores["validation"]),
        "checkpoint": chosen_by,
        **_mode(model.config),
        "intervals": "95 % percentile bootstrap over subjects; none over one subject",
        "null": "labels of these subjects permuted over stimuli, the answers kept; mean and central 95 %",
    }
    result = {
        "split": "validation",
        "data": "simulated" if all(entry["simulated"] for entry in datasets) else "recorded",
        "corpus": "+".join(names),
        "subjects": validation,
        "classes": list(target.names),
        "windows": len(parts[1]),
        "protocol": protocol,
        "training": scores["training"],
        "metrics": scores["validation"]["metrics"],
        "results": _results(scores["validation"]),
    }
    return {
        "finetune.json": {
            "settings": settings,
            "training_windows": len(parts[0]),
            "validation_subjects": validation,
            **scores,
            "verdict": [
                *verdict(scores["training"], scores["validation"], chosen_by),
                *(f"encoder: {note}" for note in _encoder(windows, before).values()),
            ],
        },
        RECORD_FILE: card,
        "results/validation.json": result,
    }


def _stimuli(windows: LabelledDataset, parts) -> str:
    trained, tested = (np.unique(windows.stimulus[part]) for part in parts)
    known = int(np.isin(tested, trained).sum())
    return f"{known} of {len(tested)} were trained on as well, watched by others; only people are new"


def _encoder(windows: LabelledDataset, before: dict[str, Any]) -> dict[str, str]:
    """What the encoder met of these corpora before it was fine-tuned."""
    facts = met_in_training(before)
    found = {
        trials.name: exposure(trials.name, trials.stimulus_set, facts, known_by(trials))
        for trials in windows.trial_sets
    }
    notes = [f"{name}: {note}" for name, met in found.items() if (note := exposure_note(met))]
    return {"encoder": "; ".join(notes)} if notes else {}


def _one_stimulus(score: dict[str, Any]) -> dict[str, str]:
    lonely = score.get("classes_of_one_stimulus", [])
    return {"one_stimulus": f"a single stimulus has {', '.join(lonely)}: {ONE_STIMULUS}"} if lonely else {}


def _mode(config: Any) -> dict[str, str]:
    """How windows were made that are scored."""
    settings = getattr(config, "streaming", None)
    if settings is None:
        return {"normalisation": "each recording as a whole, without labels", "smoothing": "none"}
    return {
        "mode": f"live: every window is cleaned and scaled with the {settings['context_seconds']:g} s of its trial "
        "before it, and encoded by itself; what the preparation of the corpus did to whole trials stays",
        "normalisation": f"online, from the statistics of training subjects on, which fade by {settings['decay']:g} a "
        "window, over each session in the order of time",
        "smoothing": f"running mean of about {settings['smoothing_windows']} windows of a trial, from the past alone",
    }


def _results(validation: dict[str, Any]) -> dict[str, Any]:
    """The row of a table; none where there is no interval: for ratings, and for one person."""
    if "low" not in validation.get("score", {}):
        return {}
    entry = {"score": validation["score"], "null": validation["chance"], "per_subject": validation["per_subject"]}
    return {"validation subjects": {"this model": entry}}


def _not_on_record(model: str) -> dict[str, Any]:
    """In place of a record of the pre-training: a single entry that the card refuses."""
    title = f"what {model_name(model)} was pre-trained on, which is not on record"
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
