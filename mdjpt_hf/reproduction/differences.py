"""How each row of the table came about otherwise than the published figure beside it, read off the records."""

from collections.abc import Mapping, Sequence
from typing import Any

from mdjpt_hf.reproduction.published import (
    CORPORA,
    PAPER_FACED_SUBJECTS,
    PAPER_PARAMETERS,
    PAPER_STEPS,
    RELEASED_PARAMETERS,
)

#: Choice and its value in the paper or its released program -> what we do instead, if we do otherwise.
_CHOICES: tuple[tuple[str, str, Any, str], ...] = (
    ("few-shot", "selection", "test", "the head's settings are chosen on {value} subjects, not on those tested"),
    ("few-shot", "head", "mlp", "the classifier is {value}, not the network of two hidden layers"),
    (
        "few-shot",
        "stimulus_disjoint",
        False,
        "tested stimuli are trained on by nobody; in the paper they may be",
    ),
    ("", "normalisation", "all-subjects", "features are normalised by {value}, not from statistics of all subjects"),
    ("", "encoder_groups", "blocks-of-32", "the encoder normalises by {value}, not over 32 consecutive windows"),
    ("", "smoothing", "lds", "smoothing over the windows of a trial: {value}; the paper smooths with a look ahead"),
    ("zero-shot", "neighbours", 1, "{value} nearest neighbours vote; the paper speaks of the nearest neighbour"),
    ("", "stride_seconds", 2.0, "windows do not overlap; the paper's start every 2 s"),
)
_UNSTATED_NEIGHBOURS = (
    "the paper does not state whether windows of the query's own trial may be its neighbours; here: {value}"
)


def differences(
    record: Mapping[str, Any], run: Mapping[str, Any], network: Mapping[str, Any], remarks: Mapping[str, str]
) -> list[str]:
    """What differs from the paper in a row.

    Args:
        record: Of the evaluation. run: Of the pre-training. network: The encoder's `config.json`.
        remarks: Corpus -> how it differs in size from the published one.
    """
    return [
        *_pretraining(run, remarks),
        *_network(run, network),
        *_data(record, run),
        *_protocol(record),
    ]


def _pretraining(run: Mapping[str, Any], remarks: Mapping[str, str]) -> list[str]:
    names = [entry["name"] for entry in run["datasets"]]
    steps = f"{run['steps']:,} steps instead of"  # told below, for records of every age
    found = [f"departure of the run: {text}" for text in run["departures"] if not text.startswith(steps)]
    if run["objective"] != "mdjpt":
        found.append(f"pre-trained with objective {run['objective']}, which is not the paper's")
    if run["steps"] != PAPER_STEPS:
        found.append(f"pre-trained for {run['steps']:,} steps instead of {PAPER_STEPS:,}")
    if len(set(names) & set(CORPORA)) < len(CORPORA) - 1:
        found.append(f"pre-trained on {', '.join(names)} instead of the other five corpora of the paper")
    made = [entry["name"] for entry in run["datasets"] if entry["simulated"]]
    if made:
        found.append(f"pre-trained on SIMULATED recordings: {', '.join(made)}")
    found += [f"pre-trained on {name} with {remarks[name]}" for name in names if remarks.get(name)]
    kept = {entry["name"]: entry["held_out_subjects"] for entry in run["datasets"] if entry["held_out_subjects"]}
    if kept:
        people = ", ".join(f"{count} of {name}" for name, count in kept.items())
        found.append(f"subjects never trained on: {people}; the paper trains on all")
    processes = run["machine"]["processes"]
    if processes > 1:
        found.append(f"{processes} processes, each with its own subject pairs in every step, instead of one")
    return [*found, "one pre-training with one seed; intervals are over subjects, the paper's ± over repetitions"]


def _network(run: Mapping[str, Any], network: Mapping[str, Any]) -> list[str]:
    found = [
        f"{run['parameters']:,} parameters; the paper says {PAPER_PARAMETERS}, its released program has "
        f"{RELEASED_PARAMETERS:,}"
    ]
    if network.get("block") == "mlla":
        found.append(
            "the attention block as the paper describes it; its released program computes it and returns an inner value"
        )
    if network.get("ffn_norm"):
        found.append("a LayerNorm before the feed-forward, which the released program declares and does not use")
    if network.get("covariance") == "true":
        found.append("true covariances are aligned; the released program scrambles axes before it multiplies")
    return found


def _data(record: Mapping[str, Any], run: Mapping[str, Any]) -> list[str]:
    entries = [*record["datasets"], *run["datasets"]]
    other = {entry["name"]: ", ".join(entry["preprocessing"]) for entry in entries if not _as_paper(entry)}
    found = []
    if other:
        presets = "; ".join(f"{name}: {preset}" for name, preset in sorted(other.items()))
        found.append(f"not the paper's preprocessing, which takes out eye and muscle components ({presets})")
    if any(entry["name"] == "faced" and entry["subjects"] > PAPER_FACED_SUBJECTS for entry in entries):
        found.append(f"all subjects of FACED that are here; the paper takes the first {PAPER_FACED_SUBJECTS}")
    if record["target"] == "clip_valence":
        found.append(
            "classes: clips whose mean valence rating is above that of the median clip, against the others; in the "
            "released program two classes belong to the clips of DEAP as well, by an order that is not published"
        )
    return found


def _as_paper(entry: Mapping[str, Any]) -> bool:
    return all(name.startswith("paper-") for name in entry["preprocessing"])


def _protocol(record: Mapping[str, Any]) -> list[str]:
    choices = record["choices"]
    found = [
        text.format(value=str(choices[name]).replace("-", " "))
        for protocol, name, value, text in _CHOICES
        if protocol in ("", choices["name"]) and choices[name] != value
    ]
    if choices["name"] == "few-shot":
        draws = record["splits"]["count"]
        found.append(f"{draws} draws of a quarter of the subjects as labelled; the paper says several")
    else:
        allowed = {"nothing": "they may", "trial": "they may not", "stimulus": "nor may windows of the same stimulus"}
        found.append(_UNSTATED_NEIGHBOURS.format(value=allowed[choices["exclude"]]))
    return [*found, "accuracy is the mean over subjects; how the paper averages is not stated"]


def numbered(rows: Sequence[Sequence[str]]) -> tuple[list[str], list[str], list[list[int]]]:
    """Differences of all rows, then the others once each, and for every row the numbers (from 1) of its own."""
    known = list(dict.fromkeys(text for row in rows for text in row))
    everywhere = [text for text in known if all(text in row for row in rows)]
    others = [text for text in known if text not in everywhere]
    place = {text: number for number, text in enumerate(others, 1)}
    return everywhere, others, [sorted(place[text] for text in row if text in place) for row in rows]
