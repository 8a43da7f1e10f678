"""Whose stimuli are the same: corpora of one stimulus set show the same clips under the same ids."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from mdjpt_hf.data_scripts import BUILDERS
from mdjpt_hf.data_scripts.published import published


def stimulus_set_of(corpus: str, told: Mapping[str, Any]) -> str:
    """The set that a corpus's stimulus ids belong to: that of several corpora, or the corpus's own name.

    Args:
        corpus: Name. told: What is on record of it: facts of a prepared folder, or an entry of a training's record.
            Where that was written before stimulus sets were, what is published of a corpus of this name counts.
    """
    if "stimulus_set" in told:
        return str(told["stimulus_set"] or corpus)
    return _published_set(corpus) or corpus


def _published_set(corpus: str) -> str:
    return str(published_facts(corpus).get("stimulus_set", ""))


def published_facts(corpus: str) -> dict[str, Any]:
    """What is published of a corpus, by the names of `CorpusFacts`; empty where nothing is."""
    if corpus not in BUILDERS:
        return {}
    try:
        return asdict(published(corpus)[0])
    except FileNotFoundError:  # the builders of simulated corpora and of own recordings
        return {}


def stimulus_names(stimulus_set: str, stimulus: np.ndarray) -> np.ndarray:
    """Names that are equal where the stimulus is the same, in whatever corpus: `(trials,)` ids -> `(trials,)`."""
    return np.array([f"{stimulus_set}/{one}" for one in stimulus], dtype=str)
