"""Named sets of choices: honest ones, the published ones, a quick table, and those of benchmarks of others."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from mdjpt_hf.errors import ConfigurationError
from mdjpt_hf.evaluation.protocols.choices import OPTIMISTIC, VOTING, Protocol
from mdjpt_hf.evaluation.protocols.splits import BENCHMARKED, HELD_OUT, PROTOCOLS, TRAINED_ON
from mdjpt_hf.schema import RATINGS


def honest(name: str, **choices: Any) -> Protocol:
    """A protocol that chooses nothing on test subjects and tests stimuli nobody trained on.

    Args:
        name: One of `PROTOCOLS` or `BENCHMARKED`. choices: Others than the default, by name.

    Raises:
        ConfigurationError: If there is no such protocol, or it has no such choice.
    """
    known = (*PROTOCOLS, *BENCHMARKED)
    if name not in known:
        raise ConfigurationError(f"unknown protocol {name!r}", value=name, remedy=f"Use one of {', '.join(known)}")
    access = {"few-shot": "labelled:0.25", "within-subject": "own"}.get(name, "unlabelled")
    return Protocol(**({"name": name, "access": access} | choices))


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
        "shared_stimuli": TRAINED_ON,
    }
    return honest(name, **(flattering | choices))


def quick(name: str, **choices: Any) -> tuple[Protocol, ...]:
    """The rows of the table that ends a demonstration run: what is left out, and how many vote, side by side.

    All subjects with labels train; the strength is chosen by two folds over them.
    """
    told: dict[str, Any] = {"selection": "source", "validation": 0.0}
    rows: list[dict[str, Any]] = [{}]
    if name == "zero-shot":
        told = {}
        rows = [{"exclude": out, "neighbours": count} for out in ("trial", "stimulus") for count in (1, 10)]
    elif name == "few-shot":
        rows = [{"stimulus_disjoint": False}, {"stimulus_disjoint": True}]
    return tuple(dict.fromkeys(honest(name, **(told | row | choices)) for row in rows))


def eeg_arena(name: str, **choices: Any) -> Protocol:
    """A frozen encoder within subjects (other stimuli of theirs) and across (every subject left out in turn).

    See [`mdjpt_hf.evaluation.protocols.benchmarks`] for what is known of the benchmark.
    """
    shared = {} if name == "within-subject" else {"stimulus_disjoint": False}
    return honest(name, **(shared | choices))


def omnieeg(name: str, **choices: Any) -> Protocol:
    """Subjects in eight, one and one tenths, 40 windows of each subject and class, features as the encoder gives them.

    See [`mdjpt_hf.evaluation.protocols.benchmarks`] for what is known of the benchmark.
    """
    told = {"normalisation": "none", "stimulus_disjoint": False, "windows_per_class": 40, "neighbours": 1}
    return honest(name, **(told | choices))


@dataclass(frozen=True)
class Preset:
    """A named set of choices.

    Args:
        meaning: In a few words.
        make: Name of a protocol, choices to change -> the protocol, or several where the name stands for several rows.
        protocols: Evaluated unless others are asked for; empty for those of [`default_protocols`].
        permutations: Of the labels, where heads are trained on features.
    """

    meaning: str
    make: Callable[..., Protocol | tuple[Protocol, ...]]
    protocols: tuple[str, ...] = ()
    permutations: int = 100

    def rows(self, name: str, **choices: Any) -> tuple[Protocol, ...]:
        """The protocols that a name stands for."""
        found = self.make(name, **choices)
        return (found,) if isinstance(found, Protocol) else found


PRESETS = {
    "honest": Preset("nothing is chosen on those tested, whose stimuli nobody trained on", honest),
    "paper": Preset("the published protocol with its optimistic choices", paper),
    "quick": Preset("the table of a demonstration run", quick, ("zero-shot", "few-shot"), permutations=20),
    "eeg-arena": Preset(
        "EEG-Arena, as far as its protocol is known", eeg_arena, ("within-subject", "leave-one-subject-out")
    ),
    "omnieeg": Preset("OmniEEG-Bench, as far as its protocol is known", omnieeg, ("held-out", "held-out-neighbours")),
}


def preset_named(name: str) -> Preset:
    """A preset.

    Raises:
        ConfigurationError: With those that there are.
    """
    if name not in PRESETS:
        raise ConfigurationError(f"there is no preset {name!r}", value=name, remedy=f"Use one of {', '.join(PRESETS)}")
    return PRESETS[name]


def default_protocols(label: str, preset: str = "honest") -> tuple[str, ...]:
    """Those that a target is evaluated with unless others are asked for: ratings have no classes that could vote."""
    own = preset_named(preset).protocols
    if label in RATINGS:
        return tuple(name for name in own if name not in VOTING) or ("few-shot", "leave-one-subject-out")
    return own or ("zero-shot", "few-shot")


def audit_stages(name: str) -> list[tuple[str, Protocol]]:
    """From an honest protocol to the optimistic one, a choice at a time, each with its name."""
    protocol = honest(name, head="mlp", normalisation="online", shared_stimuli=HELD_OUT)
    stages = [("honest", protocol)]
    steps = [
        ("selection", "test"),
        ("normalisation", "all-subjects"),
        ("smoothing", "lds"),
        *([("exclude", "nothing")] if name == "zero-shot" else []),
        *([("shared_stimuli", TRAINED_ON)] if name == "cross-dataset" else []),
    ]
    for choice, value in steps:
        changed: dict[str, Any] = {choice: value}
        protocol = replace(protocol, **changed)
        stages.append((f"+ {OPTIMISTIC[choice, value]}", protocol))
    return stages
