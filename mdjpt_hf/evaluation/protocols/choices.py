"""What an evaluation allows itself: every choice has a name, and those that flatter are listed as such."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from difflib import get_close_matches
from typing import Any

from mdjpt_hf.errors import ConfigurationError
from mdjpt_hf.evaluation.protocols.splits import PROTOCOLS, SplitPlan
from mdjpt_hf.schema import RATINGS

#: Choice -> what may be chosen, and what it means.
CHOICES: dict[str, dict[str, str]] = {
    "name": {
        "few-shot": "a classifier on some subjects of the corpus, tested on its others",
        "zero-shot": "no classifier: cosine nearest neighbours among the labelled windows of the corpus itself",
        "leave-one-subject-out": "a classifier on all subjects but one, tested on that one",
        "cross-dataset": "a classifier on other corpora, tested on every subject of this one",
    },
    "selection": {
        "source": "hyper-parameters by two folds over the training subjects",
        "validation": "hyper-parameters on validation subjects, who neither train nor are tested",
        "test": "hyper-parameters (epoch, strength, number of neighbours) ON THE TEST SUBJECTS",
    },
    "normalisation": {
        "recording": "z-score over each recording as a whole, without labels",
        "online": "causal z-score that starts from the statistics of the training subjects (zero-shot: of the others)",
        "none": "none: features as the encoder gives them",
        "all-subjects": "causal z-score that starts from the statistics of ALL subjects, those tested included",
    },
    "encoder_groups": {
        "recording": "the encoder normalises over each recording as a whole",
        "window": "the encoder normalises every window by itself",
        "blocks-of-32": "the encoder normalises over 32 CONSECUTIVE WINDOWS, whatever recordings they are of",
    },
    "smoothing": {
        "none": "none",
        "causal": "Kalman filter over the windows of a trial",
        "lds": "Kalman smoother over the windows of a trial: LOOKS AHEAD",
    },
    "exclude": {
        "trial": "windows of the query's own trial are no neighbours",
        "stimulus": "windows of the query's own stimulus are no neighbours",
        "nothing": "WINDOWS OF THE QUERY'S OWN TRIAL may be its neighbours",
    },
    "head": {
        "ridge": "ridge regression of the classes, strength out of three",
        "mlp": "two hidden layers of 128 and 64, Adam 5e-4, weight decay 2.2e-3, epoch out of eight",
    },
}

#: Choices that make a score better than it will be on people nobody has met, with their name in tables.
OPTIMISTIC = {
    ("selection", "test"): "test-chosen epoch",
    ("normalisation", "all-subjects"): "all-subject normalisation",
    ("encoder_groups", "blocks-of-32"): "neighbours in the batch",
    ("smoothing", "lds"): "non-causal smoothing",
    ("exclude", "nothing"): "same trial in the neighbour set",
}


@dataclass(frozen=True)
class Protocol:
    """How a score comes about. Scores are comparable when their protocols are equal.

    Args:
        name, selection, normalisation, encoder_groups, smoothing, exclude, head: Of `CHOICES`; `exclude` concerns
            zero-shot alone, `head` the others.
        access: What is used of the tested corpus: `none`, `unlabelled` (its recordings, for normalisation), or
            `labelled:K` (few-shot: K subjects, or a share below 1).
        stimulus_disjoint: Whether tested stimuli are trained on by nobody.
        neighbours: zero-shot: how many vote.
        stride_seconds: Between the starts of windows; 0 for windows without overlap.
    """

    name: str
    access: str = "unlabelled"
    selection: str = "validation"
    normalisation: str = "recording"
    encoder_groups: str = "recording"
    smoothing: str = "none"
    stimulus_disjoint: bool = True
    exclude: str = "stimulus"
    head: str = "ridge"
    neighbours: int = 10
    stride_seconds: float = 0.0

    def __post_init__(self) -> None:
        for choice, known in CHOICES.items():
            value = getattr(self, choice)
            if value not in known:
                raise ConfigurationError(f"{choice} is {value!r}", value=value, remedy=f"Use one of {', '.join(known)}")
        self._check_numbers()
        self._check_access()

    def _check_numbers(self) -> None:
        if not _is_number(self.neighbours, int) or self.neighbours < 1:
            raise ConfigurationError(
                f"neighbours is {self.neighbours!r}", value=self.neighbours, remedy="Use a whole number from 1"
            )
        if not _is_number(self.stride_seconds, int | float) or not 0 <= self.stride_seconds < math.inf:
            raise ConfigurationError(
                f"stride_seconds is {self.stride_seconds!r}",
                value=self.stride_seconds,
                remedy="Use seconds above 0, or 0 for windows without overlap",
            )
        if not isinstance(self.stimulus_disjoint, bool):
            raise ConfigurationError(
                f"stimulus_disjoint is {self.stimulus_disjoint!r}",
                value=self.stimulus_disjoint,
                remedy="Use true or false",
            )

    def _check_access(self) -> None:
        kind, _, count = str(self.access).partition(":")
        if kind not in ("none", "unlabelled", "labelled") or (kind == "labelled") != bool(count):
            raise ConfigurationError(
                f"access is {self.access!r}", value=self.access, remedy="Use none, unlabelled or labelled:K"
            )
        if kind == "labelled" and not _counts_subjects(count):
            raise ConfigurationError(
                f"access is {self.access!r}: {count!r} counts no subjects",
                value=self.access,
                remedy="Use labelled:K with a whole number K from 1, or a share between 0 and 1 such as 0.25",
            )
        if (self.name == "few-shot") != (kind == "labelled"):
            raise ConfigurationError(
                f"{self.name} cannot have access {self.access!r}",
                value=self.access,
                remedy="few-shot needs labelled:K, for example labelled:0.25; the others have no labelled subjects",
            )
        causal = self.normalisation in ("online", "none") and self.encoder_groups == "window"
        if kind == "none" and (not causal or self.smoothing == "lds"):
            raise ConfigurationError(
                "whole recordings of the tested corpus are used, but access is none",
                value=self.access,
                remedy="Set access=unlabelled; or normalisation=online, encoder_groups=window and smoothing=causal",
            )

    @property
    def optimistic(self) -> tuple[str, ...]:
        """Names of the choices that flatter, empty for an honest protocol."""
        unused = ("exclude",) if self.name != "zero-shot" else ()
        return tuple(
            name
            for (choice, value), name in OPTIMISTIC.items()
            if choice not in unused and getattr(self, choice) == value
        )

    @property
    def key(self) -> str:
        """Equal for protocols that agree in every choice."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]

    @property
    def title(self) -> str:
        """A name for tables, with a mark where choices flatter."""
        if self.name == "zero-shot":
            parts = [self.name, f"{self.neighbours}-NN", f"{self.exclude} excluded"]
        else:
            parts = [self.name, "new stimuli" if self.stimulus_disjoint else "shared stimuli"]
        if self.optimistic:
            parts.append("OPTIMISTIC: " + " + ".join(self.optimistic))
        return ", ".join(parts)

    def plan(self, target: str, seed: int) -> SplitPlan:
        """The splits this protocol draws when `target` is tested."""
        labelled = float(self.access.partition(":")[2] or 0.25)
        return SplitPlan(self.name, labelled, stimulus_disjoint=self._disjoint, seed=seed, target=target)

    @property
    def _disjoint(self) -> bool:
        return self.stimulus_disjoint and self.name in ("few-shot", "leave-one-subject-out")

    def described(self) -> dict[str, Any]:
        """Every choice in words, for records and cards."""
        words: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            meaning = CHOICES.get(field.name, {}).get(value, "")
            words[field.name] = f"{value}: {meaning}" if meaning and meaning != value else value
        for unused in ("head", "stimulus_disjoint") if self.name == "zero-shot" else ("exclude", "neighbours"):
            del words[unused]
        if self.name == "zero-shot" and self.selection != "test":
            words["selection"] = "none: the number of neighbours was fixed beforehand"
        words["input_scale"] = "one robust scale for each recording as a whole"
        words["optimistic"] = ", ".join(self.optimistic) or "nothing"
        return words


def _is_number(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _counts_subjects(text: str) -> bool:
    """Whether a text is a whole number from 1, or a share between 0 and 1."""
    try:
        count = float(text)
    except ValueError:
        return False
    return 0 < count < 1 or (count >= 1 and count.is_integer())


def check_choices(choices: Mapping[str, Any]) -> None:
    """Refuse choices that no protocol has.

    Raises:
        ConfigurationError: With those that there are.
    """
    known = [field.name for field in fields(Protocol) if field.name != "name"]
    unknown = sorted(set(choices) - set(known))
    if unknown:
        near = get_close_matches(unknown[0], known, 1)
        meant = f"Did you mean {near[0]}? " if near else ""
        raise ConfigurationError(
            f"no protocol has a choice {', '.join(unknown)}",
            value=unknown,
            remedy=f"{meant}There are {', '.join(known)}",
        )


def honest(name: str, **choices: Any) -> Protocol:
    """A protocol that chooses nothing on test subjects and tests stimuli nobody trained on.

    Args:
        name: One of `PROTOCOLS`. choices: Others than the default, by name.
    """
    if name not in PROTOCOLS:
        raise ConfigurationError(f"unknown protocol {name!r}", value=name, remedy=f"Use one of {', '.join(PROTOCOLS)}")
    access = {"access": "labelled:0.25"} if name == "few-shot" else {}
    return Protocol(**({"name": name} | access | choices))


def paper(name: str, **choices: Any) -> Protocol:
    """The published protocol (arXiv 2510.22197 and its released program) with each of its optimistic choices.

    Whether windows of the query's own trial were neighbours in zero-shot is not stated; here they are.
    """
    flattering = {
        "selection": "test",
        "normalisation": "all-subjects",
        "encoder_groups": "blocks-of-32",
        "smoothing": "lds",
        "exclude": "nothing",
        "head": "mlp",
        "neighbours": 1,
        "stimulus_disjoint": False,
    }
    return honest(name, **(flattering | choices))


PRESETS = {"honest": honest, "paper": paper}


def default_protocols(label: str) -> tuple[str, ...]:
    """The two that a target is evaluated with unless others are asked for: ratings have no classes that could vote."""
    return ("few-shot", "leave-one-subject-out") if label in RATINGS else ("zero-shot", "few-shot")


def audit_stages(name: str) -> list[tuple[str, Protocol]]:
    """From an honest protocol to the optimistic one, a choice at a time, each with its name."""
    protocol = honest(name, head="mlp", normalisation="online")
    stages = [("honest", protocol)]
    steps = [
        ("selection", "test"),
        ("normalisation", "all-subjects"),
        ("smoothing", "lds"),
        *([("exclude", "nothing")] if name == "zero-shot" else []),
    ]
    for choice, value in steps:
        changed: dict[str, Any] = {choice: value}
        protocol = replace(protocol, **changed)
        stages.append((f"+ {OPTIMISTIC[choice, value]}", protocol))
    return stages
