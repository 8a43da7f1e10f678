"""Designs that a protocol cannot judge, and what a score on others may claim, before anything is computed.

Where a class is a single stimulus (rest against task, one film for each emotion), no stimulus can be new: whoever is
trained on others has never met the class, and whoever may not vote for the own stimulus cannot vote for the own class.
Where a training corpus shows the clips of the tested one, they are new to nobody.
"""

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from mdjpt_hf.data.overlap import recordings_in_common
from mdjpt_hf.errors import ConfigurationError, SplitError
from mdjpt_hf.evaluation.protocols.choices import Protocol
from mdjpt_hf.evaluation.protocols.pool import Pool
from mdjpt_hf.evaluation.protocols.splits import (
    HELD_OUT,
    REFUSED,
    shared_refused,
    shared_stimuli,
    stimuli_have_one_class,
)

#: What cannot be had, and what stands in its place: (choice, value) -> value.
_INSTEAD = {("exclude", "stimulus"): "trial", ("stimulus_disjoint", True): False}


def fitting(protocol: Protocol, pool: Pool, corpus: str, asked: Collection[str]) -> tuple[Protocol, str]:
    """The protocol that can judge a corpus, and why it is another one; an empty text where it is the same.

    Args:
        asked: Choices that the user made; these are not replaced.

    Raises:
        ConfigurationError: If the user asked for what this corpus cannot give.
        SplitError: If training corpora show the tested clips, and nobody said what is to become of these.
    """
    if protocol.name == "cross-dataset":
        return _fitting_across(protocol, pool, corpus)
    choice = "exclude" if protocol.name == "zero-shot" else "stimulus_disjoint"
    instead = _INSTEAD.get((choice, getattr(protocol, choice)))
    replaced = instead is not None and protocol.name != "within-subject"
    lonely = lonely_classes(pool.only(corpus)) if replaced else []
    if not lonely:
        return protocol, ""
    found = _one_and_the_same(corpus, lonely)
    if choice in asked:
        raise ConfigurationError(
            f"{found}, so {protocol.name} cannot have {choice}={getattr(protocol, choice)}",
            value=lonely,
            remedy=f"Use --set {choice}={str(instead).lower()}, which tells classes as well as stimuli",
        )
    note = (
        f"{found}. {protocol.name} has {choice}={str(instead).lower()} instead of "
        f"{str(getattr(protocol, choice)).lower()}; {_MAY_BE}"
    )
    changed: dict = {choice: instead}
    return replace(protocol, **changed), note


def _fitting_across(protocol: Protocol, pool: Pool, corpus: str) -> tuple[Protocol, str]:
    """The same; where no clip is shared, nothing is to be done about shared ones."""
    check_recordings(pool, corpus)
    shared = shared_stimuli(pool.stimulus, pool.corpus, corpus)
    if not len(shared):
        return replace(protocol, shared_stimuli=REFUSED), _none_in_common(pool, corpus)
    if protocol.shared_stimuli == REFUSED:
        raise shared_refused(shared, corpus)
    others = sorted(set(pool.corpus[np.isin(pool.stimulus, shared)].tolist()) - {corpus})
    where = f"{len(shared)} stimuli of {corpus} were shown in {', '.join(others)} as well"
    done = "tested where nobody was trained on them" if protocol.shared_stimuli == HELD_OUT else "TRAINED ON as well"
    return protocol, f"{where}; they are {done}"


def check_recordings(pool: Pool, corpus: str) -> None:
    """Refuse to train on other corpora that hold recordings of the one tested.

    Raises:
        SplitError: With the corpora.
    """
    tested = [part.trials for part in pool.parts if part.trials.name == corpus]
    for other in (part.trials for part in pool.parts if part.trials.name != corpus):
        if same := sum(recordings_in_common(trials, other) for trials in tested):
            raise SplitError(
                f"{same} recordings of {corpus} stand in {other.name} as well: who is tested would be trained on",
                path=other.folder,
                value=other.name,
                remedy="Leave out one of the two",
            )


def _none_in_common(pool: Pool, corpus: str) -> str:
    """A word on corpora of the same stimulus set whose ids do not meet."""
    sets = {part.trials.name: part.trials.stimulus_set for part in pool.parts}
    same = sorted(name for name, own in sets.items() if name != corpus and own == sets.get(corpus))
    if not same:
        return ""
    return (
        f"{corpus} and {', '.join(same)} are of the stimulus set {sets[corpus]} and have no stimulus id in common: "
        "their stimuli are taken for different ones"
    )


#: What a class of one stimulus does to a score.
_MAY_BE = "what is scored may be the stimulus, or its place in the session, as well as the class"


def _one_and_the_same(corpus: str, lonely: Collection[str]) -> str:
    return f"{corpus} has a single stimulus of {', '.join(lonely)}: class and stimulus are the same thing there"


def one_stimulus_note(pool: Pool, corpus: str) -> str:
    """What has to be said with every score on a corpus that shows a class by one stimulus; empty where none is so."""
    lonely = lonely_classes(pool.only(corpus))
    return f"{_one_and_the_same(corpus, lonely)}; {_MAY_BE}" if lonely else ""


def check_votes(protocol: Protocol, pool: Pool, corpus: str) -> None:
    """Refuse neighbours of which none can have the window's own class, as with one trial of each class: all zeros.

    The same holds within a subject, where a class whose only stimulus is tested was never trained on.

    Raises:
        SplitError: With the corpus.
    """
    own = pool.only(corpus)
    if protocol.name == "within-subject" and (lonely := lonely_classes(own)):
        raise SplitError(
            f"{corpus} has a single stimulus of {', '.join(lonely)}: within a subject, none is left to train on",
            value=lonely,
            remedy="Use another protocol",
        )
    if protocol.name != "zero-shot" or own.rated or protocol.exclude == "nothing":
        return
    units = getattr(own, protocol.exclude)
    if all(len(np.unique(units[own.label == value])) == 1 for value in np.unique(own.label)):
        raise SplitError(
            f"{corpus} has a single {protocol.exclude} of every class, whose windows may not vote for one another: "
            "none could be recognised",
            value=corpus,
            remedy="Give more subjects or trials",
        )


def lonely_classes(pool: Pool) -> list[str]:
    """Names of the classes that one stimulus alone has: recognised may be the stimulus, or its place in the session."""
    if pool.rated or not stimuli_have_one_class(pool.stimulus, pool.label):
        return []
    counts = {value: len(np.unique(pool.stimulus[pool.label == value])) for value in np.unique(pool.label)}
    return [pool.classes[value] for value, count in counts.items() if count == 1]
