"""What an evaluation allows itself: every choice has a name, and those that flatter are listed as such."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from typing import Any

from mdjpt_hf.errors import ConfigurationError
from mdjpt_hf.evaluation.protocols.splits import HELD_OUT, REFUSED, TRAINED_ON, SplitPlan

#: Choice -> what may be chosen, and what it means.
CHOICES: dict[str, dict[str, str]] = {
    "name": {
        "few-shot": "a classifier on some subjects of the corpus, tested on its others",
        "zero-shot": "no classifier: cosine nearest neighbours among the labelled windows of the corpus itself",
        "leave-one-subject-out": "a classifier on all subjects but one, tested on that one",
        "cross-dataset": "a classifier on other corpora, tested on every subject of this one",
        "within-subject": "a classifier on half of the stimuli of a subject, tested on this subject's other half",
        "held-out": "a classifier on eight tenths of the subjects, chosen on another tenth, tested on the last",
        "held-out-neighbours": "no classifier: cosine nearest neighbours among the labelled windows of a tenth of the "
        "subjects, for another tenth",
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
    "shared_stimuli": {
        REFUSED: "no training corpus shows a clip that is tested",
        HELD_OUT: "clips that training corpora show as well are tested where nobody was trained on them: one half of "
        "the clips, then the other",
        TRAINED_ON: "THE TESTED CLIPS ARE TRAINED ON, watched by people of other corpora",
    },
    "head": {
        "ridge": "ridge regression of the classes, strength out of three",
        "mlp": "two hidden layers of 128 and 64, Adam 5e-4, weight decay 2.2e-3, epoch out of eight",
    },
}

#: Protocols in which neighbours answer.
VOTING = ("zero-shot", "held-out-neighbours")

#: How often the subjects are divided anew where a tenth of them is tested.
HELD_OUT_DRAWS = 3

#: Choices that make a score better than it will be on people nobody has met, with their name in tables.
OPTIMISTIC = {
    ("selection", "test"): "test-chosen epoch",
    ("normalisation", "all-subjects"): "all-subject normalisation",
    ("encoder_groups", "blocks-of-32"): "neighbours in the batch",
    ("smoothing", "lds"): "non-causal smoothing",
    ("exclude", "nothing"): "same trial in the neighbour set",
    ("shared_stimuli", TRAINED_ON): "tested clips trained on in other corpora",
}


@dataclass(frozen=True)
class Protocol:
    """How a score comes about. Scores are comparable when their protocols are equal.

    Args:
        name, selection, normalisation, encoder_groups, smoothing, exclude, head, shared_stimuli: Of `CHOICES`;
            `exclude` concerns zero-shot alone, `shared_stimuli` cross-dataset, `head` those with a classifier.
        access: What is used of the tested corpus: `none`, `unlabelled` (its recordings, for normalisation),
            `labelled:K` (few-shot: K subjects, or a share below 1), or `own` (within-subject: labelled windows of those
            who are tested).
        stimulus_disjoint: Whether tested stimuli are trained on by nobody.
        neighbours: How many vote, where neighbours do.
        stride_seconds: Between the starts of windows; 0 for windows without overlap.
        validation: Share of the training subjects that is kept to choose and to calibrate; 0 for none.
        windows_per_class: At most so many windows of a subject and class are trained on and tested; 0 for all.
    """

    name: str
    access: str = "unlabelled"
    selection: str = "validation"
    normalisation: str = "recording"
    encoder_groups: str = "recording"
    smoothing: str = "none"
    stimulus_disjoint: bool = True
    exclude: str = "stimulus"
    shared_stimuli: str = REFUSED
    head: str = "ridge"
    neighbours: int = 10
    stride_seconds: float = 0.0
    validation: float = 0.25
    windows_per_class: int = 0

    def __post_init__(self) -> None:
        for choice, known in CHOICES.items():
            value = getattr(self, choice)
            if value not in known:
                raise ConfigurationError(f"{choice} is {value!r}", value=value, remedy=f"Use one of {', '.join(known)}")
        self._check_numbers()
        self._check_access()

    def _check_numbers(self) -> None:
        _require(self, "neighbours", _is_number(self.neighbours, int) and self.neighbours >= 1, "a whole number from 1")
        stride = _is_number(self.stride_seconds, int | float) and 0 <= self.stride_seconds < math.inf
        _require(self, "stride_seconds", stride, "seconds above 0, or 0 for windows without overlap")
        _require(self, "stimulus_disjoint", isinstance(self.stimulus_disjoint, bool), "true or false")
        share = _is_number(self.validation, int | float) and 0 <= self.validation < 1
        _require(self, "validation", share, "a share of the training subjects from 0 to below 1")
        count = _is_number(self.windows_per_class, int) and self.windows_per_class >= 0
        _require(self, "windows_per_class", count, "a whole number from 1, or 0 for all windows")
        every = self.name != "zero-shot" or not self.windows_per_class
        _require(self, "windows_per_class", every, "0 with zero-shot, in which every window is a neighbour of others")
        disjoint = self.name != "within-subject" or self.stimulus_disjoint
        _require(self, "stimulus_disjoint", disjoint, "true with within-subject: windows of one trial are alike")

    def _check_access(self) -> None:
        kind, _, count = str(self.access).partition(":")
        if kind not in ("none", "unlabelled", "labelled", "own") or (kind == "labelled") != bool(count):
            raise ConfigurationError(
                f"access is {self.access!r}", value=self.access, remedy="Use none, unlabelled, labelled:K or own"
            )
        if kind == "labelled" and not _counts_subjects(count):
            raise ConfigurationError(
                f"access is {self.access!r}: {count!r} counts no subjects",
                value=self.access,
                remedy="Use labelled:K with a whole number K from 1, or a share between 0 and 1 such as 0.25",
            )
        if (self.name == "few-shot") != (kind == "labelled") or (self.name == "within-subject") != (kind == "own"):
            raise ConfigurationError(
                f"{self.name} cannot have access {self.access!r}",
                value=self.access,
                remedy="few-shot needs labelled:K, for example labelled:0.25, and within-subject own; the others have "
                "no labelled subjects",
            )
        causal = self.normalisation in ("online", "none") and self.encoder_groups == "window"
        if kind == "none" and (not causal or self.smoothing == "lds"):
            raise ConfigurationError(
                "whole recordings of the tested corpus are used, but access is none",
                value=self.access,
                remedy="Set access=unlabelled; or normalisation=online, encoder_groups=window and smoothing=causal",
            )

    @property
    def votes(self) -> bool:
        """Whether neighbours answer, and no classifier is trained."""
        return self.name in VOTING

    @property
    def optimistic(self) -> tuple[str, ...]:
        """Names of the choices that flatter, empty for an honest protocol."""
        unused = self._of_others()
        return tuple(
            name
            for (choice, value), name in OPTIMISTIC.items()
            if choice not in unused and getattr(self, choice) == value
        )

    @property
    def key(self) -> str:
        """Equal for protocols that agree in every choice."""
        later = {name for name, value in _LATER.items() if getattr(self, name) == value}
        later |= self._of_others() - {"exclude"}
        chosen = {name: value for name, value in asdict(self).items() if name not in later}
        return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def title(self) -> str:
        """A name for tables, with a mark where choices flatter."""
        parts = [self.name]
        if self.votes:
            parts.append(f"{self.neighbours}-NN")
        if self.name == "zero-shot":
            parts.append(f"{self.exclude} excluded")
        else:
            parts.append("new stimuli" if self._tests_new_stimuli else "shared stimuli")
        if self.optimistic:
            parts.append("OPTIMISTIC: " + " + ".join(self.optimistic))
        return ", ".join(parts)

    def plan(self, target: str, seed: int) -> SplitPlan:
        """The splits this protocol draws when `target` is tested."""
        labelled = float(self.access.partition(":")[2] or 0.25)
        repeats = HELD_OUT_DRAWS if self.name.startswith("held-out") else SplitPlan.repeats
        shared = self.shared_stimuli if self.name == "cross-dataset" else REFUSED
        return SplitPlan(self.name, labelled, repeats, self._disjoint, self.validation, seed, target, shared)

    @property
    def _disjoint(self) -> bool:
        """Of one corpus; what several share is `shared_stimuli`, and neighbours are told apart otherwise."""
        return self.stimulus_disjoint and self.name not in ("zero-shot", "cross-dataset")

    @property
    def _tests_new_stimuli(self) -> bool:
        return self.shared_stimuli != TRAINED_ON if self.name == "cross-dataset" else self.stimulus_disjoint

    def _of_others(self) -> set[str]:
        """Choices that concern another protocol alone."""
        concern = {"exclude": "zero-shot", "shared_stimuli": "cross-dataset"}
        return {choice for choice, name in concern.items() if name != self.name}

    def described(self) -> dict[str, Any]:
        """Every choice in words, for records and cards."""
        words: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            meaning = CHOICES.get(field.name, {}).get(value, "")
            words[field.name] = f"{value}: {meaning}" if meaning and meaning != value else value
        for unused in self._unused():
            del words[unused]
        if self.votes and self.selection != "test":
            words["selection"] = "none: the number of neighbours was fixed beforehand"
        words["input_scale"] = "one robust scale for each recording as a whole"
        words["optimistic"] = ", ".join(self.optimistic) or "nothing"
        return words

    def _unused(self) -> set[str]:
        """Choices that this protocol has no use for."""
        unused = {name for name, value in _LATER.items() if getattr(self, name) == value}
        if self.votes:
            unused |= {"head", "validation"}
        if not self.votes:
            unused.add("neighbours")
        return unused | self._of_others() | ({"stimulus_disjoint"} if self.name == "zero-shot" else set())


#: Choices that protocols of earlier records did not have, and what they were then: keys stay as they were.
_LATER: dict[str, Any] = {"validation": 0.25, "windows_per_class": 0, "shared_stimuli": REFUSED}


def _require(protocol: Protocol, choice: str, holds: bool, remedy: str) -> None:
    if not holds:
        value = getattr(protocol, choice)
        raise ConfigurationError(f"{choice} is {value!r}", value=value, remedy=f"Use {remedy}")


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
