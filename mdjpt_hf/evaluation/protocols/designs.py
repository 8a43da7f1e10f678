"""Designs that a protocol cannot judge, recognised before anything is computed.

Where a class is a single stimulus (rest against task, one film for each emotion), no stimulus can be new: whoever is
trained on others has never met the class, and whoever may not vote for the own stimulus cannot vote for the own class.
"""

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from mdjpt_hf.errors import ConfigurationError, SplitError
from mdjpt_hf.evaluation.protocols.choices import Protocol
from mdjpt_hf.evaluation.protocols.pool import Pool
from mdjpt_hf.evaluation.protocols.splits import stimuli_have_one_class

#: What cannot be had, and what stands in its place: (choice, value) -> value.
_INSTEAD = {("exclude", "stimulus"): "trial", ("stimulus_disjoint", True): False}


def fitting(protocol: Protocol, pool: Pool, corpus: str, asked: Collection[str]) -> tuple[Protocol, str]:
    """The protocol that can judge a corpus, and why it is another one; an empty text where it is the same.

    Args:
        asked: Choices that the user made; these are not replaced.

    Raises:
        ConfigurationError: If the user asked for what this corpus cannot give.
    """
    choice = "exclude" if protocol.name == "zero-shot" else "stimulus_disjoint"
    instead = _INSTEAD.get((choice, getattr(protocol, choice)))
    replaced = instead is not None and protocol.name not in ("cross-dataset", "within-subject")
    lonely = lonely_classes(pool.only(corpus)) if replaced else []
    if not lonely:
        return protocol, ""
    found = f"{corpus} has a single stimulus of {', '.join(lonely)}: class and stimulus are the same thing there"
    if choice in asked:
        raise ConfigurationError(
            f"{found}, so {protocol.name} cannot have {choice}={getattr(protocol, choice)}",
            value=lonely,
            remedy=f"Use --set {choice}={str(instead).lower()}, which tells classes as well as stimuli",
        )
    note = (
        f"{found}. {protocol.name} has {choice}={str(instead).lower()} instead of "
        f"{str(getattr(protocol, choice)).lower()}; what is scored may be the stimulus, or its place in the session, "
        "as well as the class"
    )
    changed: dict = {choice: instead}
    return replace(protocol, **changed), note


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
