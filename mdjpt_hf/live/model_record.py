"""What is on record of a model that people should know before they believe it."""

import json
from typing import Any

from transformers.utils import cached_file

MADE_FOR_RECORDINGS = (
    "this model was made for recordings: it was trained and scored on windows that were cleaned, scaled and normalised "
    "with their future. Live they are not, so that neither its measured score nor the numbers of `mdjpt predict` hold; "
    "`mdjpt finetune --for-streaming` makes a model for this"
)
SIMULATED = "this model was trained on simulated data alone: it has never seen a person"
GUESSES = "on people it was not trained on, this model was no better than guessing: believe nothing that it says"


def warnings_of(model: str, config: Any) -> list[str]:
    """Sentences of warning about a classifier.

    Args:
        model: Folder or Hub id; empty for a model that has none. config: Of the classifier.
    """
    found = []
    if getattr(config, "streaming", None) is None:
        found.append(MADE_FOR_RECORDINGS)
    datasets = _record(model, "run_record.json").get("datasets") or []
    if datasets and all(entry.get("simulated") is True for entry in datasets):
        found.append(SIMULATED)
    if _record(model, "finetune.json").get("validation", {}).get("above_chance") is False:
        found.append(GUESSES)
    return found


def _record(model: str, name: str) -> dict[str, Any]:
    """A record beside the weights; nothing where there is none."""
    try:
        path = cached_file(model, name) if model else None
        with open(str(path), encoding="utf-8") as file:
            found = json.load(file)
        return found if isinstance(found, dict) else {}
    except Exception:  # no record, no network, or one that is none: all mean that nothing is known
        return {}
