"""What a record of a protocol on a corpus says beside its scores."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from mdjpt_hf.data.corpora import TrialSet
from mdjpt_hf.data.exposure import exposure
from mdjpt_hf.data.facts import dataset_facts, machine_facts, software_facts
from mdjpt_hf.data.overlap import known_by
from mdjpt_hf.evaluation.encoders import Encoder
from mdjpt_hf.evaluation.protocols import (
    Pool,
    Protocol,
    SplitManifest,
    comparable,
    kept_windows,
    one_stimulus_note,
)
from mdjpt_hf.evaluation.reports.records import FORMAT
from mdjpt_hf.evaluation.scores import SCORE_OF_RATINGS, Effort, null_in_words


def record(
    pool: Pool,
    trial_sets: Sequence[TrialSet],
    encoders: Sequence[Encoder],
    protocol: Protocol,
    manifest: SplitManifest,
    rows: dict[str, dict[str, Any]],
    effort: Effort,
) -> dict[str, Any]:
    """Everything needed to repeat, understand and compare the rows."""
    tested = np.isin(pool.subject, [name for split in manifest.splits for name in split.test])
    tested &= kept_windows(pool, protocol, effort.seed)
    datasets = [dataset_facts(trials) for trials in trial_sets]
    corpus = manifest.plan.target
    target = next(trials for trials in trial_sets if trials.name == corpus)
    return {
        "format": FORMAT,
        "data": next(_origin(entry) for entry in datasets if entry["name"] == corpus),
        "corpus": corpus,
        "target": pool.target,
        "score_name": SCORE_OF_RATINGS if pool.rated else "accuracy",
        "subjects": np.unique(pool.subject[tested]).tolist(),
        "classes": list(pool.classes),
        "windows": int(tested.sum()),
        "stimuli": len(np.unique(pool.stimulus[tested])),
        "protocol": _described(pool, protocol, corpus) | _sources(datasets, corpus),
        "choices": asdict(protocol),
        "protocol_key": protocol.key,
        "optimistic": list(protocol.optimistic),
        "splits": {"hash": manifest.hash, "count": len(manifest.splits), "seed": manifest.plan.seed},
        "seed": effort.seed,
        "permutations": {encoder.name: effort.of(protocol, encoder) for encoder in encoders if encoder.name in rows},
        "null": null_in_words(pool),
        "software": software_facts(),
        "machine": machine_facts(_device(encoders)),
        "datasets": datasets,
        "encoders": {
            encoder.name: _told(encoder.facts) | exposure(corpus, target.stimulus_set, encoder.facts, known_by(target))
            for encoder in encoders
        },
        "results": {protocol.title: rows},
    }


def _told(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Of an encoder, without the hashes that its training is known by: they stand in its own record."""
    return {name: fact for name, fact in facts.items() if name != "known_by"}


def _origin(dataset: Mapping[str, Any]) -> str:
    return "simulated" if dataset["simulated"] else "recorded"


def _sources(datasets: Sequence[Mapping[str, Any]], tested: str) -> dict[str, str]:
    """What was trained on beside the tested corpus, and whether it was recorded; nothing where that is all there is."""
    others = [f"{entry['name']} ({_origin(entry)})" for entry in datasets if entry["name"] != tested]
    return {"sources": ", ".join(others)} if others else {}


def _device(encoders: Sequence[Encoder]) -> str:
    """Kind of the device that computed features: that of any encoder that is not on the processor, else `cpu`."""
    devices = [encoder.facts.get("device", "cpu") for encoder in encoders]
    return next((device for device in devices if device != "cpu"), "cpu")


def _described(pool: Pool, protocol: Protocol, corpus: str) -> dict[str, Any]:
    """Every choice in words, and what the windows are."""
    windows = {"montage": pool.parts[0].trials.montage, "window_seconds": _seconds(pool)}
    beside = " | ".join(benchmark.in_words() for benchmark in comparable(protocol.key))
    told = {**protocol.described(), **windows, "null": null_in_words(pool)}
    one = one_stimulus_note(pool, corpus)
    return told | ({"may_stand_beside": beside} if beside else {}) | ({"one_stimulus": one} if one else {})


def _seconds(pool: Pool) -> float:
    return pool.parts[0].index.length / pool.parts[0].trials.sampling_rate
