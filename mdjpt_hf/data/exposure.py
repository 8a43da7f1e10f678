"""What a checkpoint met of a corpus before it is tested on it: its recordings, its stimuli, its labels.

Corpora that show the same clips are as good as one where it matters whether a stimulus is new: who was trained on the
first has met every clip of the second, though nobody of it.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from mdjpt_hf.data.stimuli import stimulus_set_of

#: What a record calls training data that nobody wrote down.
UNKNOWN_DATASET = "unknown"

#: `saw_this_corpus` of a record: nothing; its recordings; labels of these; the same stimuli, watched by people of
#: another corpus; labels of these; nobody knows.
SAW_NOTHING, SAW_CORPUS, SAW_LABELS = "no", "yes", "with labels"
SAW_STIMULI, SAW_STIMULI_LABELS = "its stimuli", "its stimuli, with labels"
NOT_ON_RECORD = "not on record"

#: What makes a score say little about other people, or other clips; it has a mark wherever it is told.
MARKED = (SAW_LABELS, SAW_STIMULI, SAW_STIMULI_LABELS)

_NOTES = {
    SAW_LABELS: "fine-tuned with LABELS of this corpus",
    SAW_CORPUS: "pre-trained on this corpus, without labels",
    SAW_STIMULI: "pre-trained on THE SAME STIMULI in {where}, without labels: none is new to it",
    SAW_STIMULI_LABELS: "fine-tuned with LABELS of THE SAME STIMULI in {where}: none is new to it",
}


def training_sets(datasets: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Corpus -> its stimulus set, from the datasets that a training has on record."""
    return {str(entry["name"]): stimulus_set_of(str(entry["name"]), entry) for entry in datasets}


def exposure(corpus: str, stimulus_set: str, facts: Mapping[str, Any], known_by: str = "") -> dict[str, Any]:
    """What an encoder met of a corpus, for its facts in a record.

    Args:
        corpus, stimulus_set: Of those tested.
        facts: Of the encoder: `pretrained_on` (names; None where not on record), `trained_with_labels_of` (names),
            `stimulus_sets` (name -> set), and `known_by` (name -> what [`mdjpt_hf.data.overlap.known_by`] says of it).
        known_by: The same of the corpus that is tested.

    Returns:
        `saw_this_corpus`, the worst of what is known; `saw_stimuli_in`, names of other corpora with the same stimuli,
        and `saw_it_as`, names under which its recordings were trained on, where there are any.
    """
    known, labelled = facts.get("pretrained_on", []), facts.get("trained_with_labels_of", [])
    sets, prints = facts.get("stimulus_sets", {}), facts.get("known_by", {})
    copies = sorted(
        name for name in known or [] if name != corpus and set((prints.get(name) or "").split()) & set(known_by.split())
    )
    own = {corpus, *copies}
    same = sorted(name for name in known or [] if name not in own and sets.get(name, name) == stimulus_set)
    where = {"saw_stimuli_in": same, "saw_it_as": copies}
    told = {key: names for key, names in where.items() if names}
    return {"saw_this_corpus": _worst(own, known, labelled, same), **told}


def _worst(own: set[str], known: Collection[str] | None, labelled: Collection[str], same: Collection[str]) -> str:
    if own & set(labelled):
        return SAW_LABELS
    if set(same) & set(labelled):
        return SAW_STIMULI_LABELS
    if known is not None and own & set(known):
        return SAW_CORPUS
    if same:
        return SAW_STIMULI
    return NOT_ON_RECORD if known is None or UNKNOWN_DATASET in known else SAW_NOTHING


def exposure_note(facts: Mapping[str, Any]) -> str:
    """What [`exposure`] found, in words; empty where there is nothing to say."""
    where = " and ".join(facts.get("saw_stimuli_in", [])) or "another corpus"
    note = _NOTES.get(str(facts.get("saw_this_corpus")), "").format(where=where)
    copies = " and ".join(facts.get("saw_it_as", []))
    return f"{note}; its recordings are in {copies}" if note and copies else note


def is_marked(facts: Mapping[str, Any]) -> bool:
    """Whether what [`exposure`] found has a mark beside every score."""
    return facts.get("saw_this_corpus") in MARKED


def of_encoder(record: Mapping[str, Any], encoder: str) -> Mapping[str, Any]:
    """What a record, or the table of a demonstration run, has of an encoder."""
    return record.get("encoders", record.get("saw", {})).get(encoder, {})


def noted(encoder: str, facts: Mapping[str, Any], mark: str = "\u26a0") -> str:
    """An encoder's name for tables, with the mark before it and the note behind it where there are some."""
    note = exposure_note(facts)
    return (f"{mark} " if is_marked(facts) else "") + encoder + (f" ({note})" if note else "")
