"""One object is the run: read from YAML, changed on the command line, written beside the weights."""

import contextlib
import dataclasses
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, get_origin

import yaml

from mdjpt_hf.errors import ConfigurationError
from mdjpt_hf.modeling import configuration_masked_eeg, configuration_mdjpt
from mdjpt_hf.version import __version__

RUN_FILE = "run.yaml"

#: Of each objective: the configuration of its network, that one's presets, and the settings a run takes by default.
OBJECTIVES: dict[str, tuple[Any, dict[str, Any], str]] = {
    "mdjpt": (configuration_mdjpt.MDJPTConfig, configuration_mdjpt.PRESETS, "demo"),
    "masked": (configuration_masked_eeg.MaskedEEGConfig, configuration_masked_eeg.PRESETS, "masked-demo"),
    "mdjpt+masked": (configuration_mdjpt.MDJPTConfig, configuration_mdjpt.PRESETS, "joint-demo"),
}

#: Fields that change where or how fast a run goes, not what comes out; a resumed run may differ in them.
_FREE_FIELDS = {
    "name",
    "recompute",  # a run that goes on takes the way that it began with
    "data",  # what the folders hold is hashed instead
    "output_dir",
    "num_workers",
    "log_steps",
    "keep_checkpoints",
    "trackers",
    "comparison",
    "push_to_hub",
    "push_private",
    "push_licence",
}
#: Nor part of the method, though weights depend on them: which data, and how the work is arranged.
NOT_METHOD = _FREE_FIELDS | {
    "objective",  # stands for all of its settings
    "model",  # compared field by field, as the network has it
    "masked",
    "seed",
    "leave_out",
    "simulation",
    "unseen_corpus",
    "held_out_subjects",
    "num_threads",
    "recompute",
    "compile",
    "steps_per_epoch",
    "eval_steps",
    "checkpoint_steps",
}
#: Ways to make a step, from the fastest to the one that needs least memory, with what each computes again.
WAYS = {
    "no": "activations are kept",
    "some": "a quarter of the activations is kept",
    "yes": "activations inside the encoder are computed again",
    "groups": "one subject's windows after the other, all of their activations computed again",
}
#: What `RunConfig.recompute` may be.
RECOMPUTE = ("auto", *WAYS)
#: What `RunConfig.pairs_across` may be.
PAIRS_ACROSS = ("no", "clips", "moments")
#: Settings that came later, with what runs of before did: they go on as the runs that they are.
_LATER = {"pairs_across": "no", "guided_share": 0.0}
#: Never written beside the weights: repeating a run from its record must not send anything anywhere.
_UNSAVED_FIELDS = {"push_to_hub", "push_private", "push_licence"}


@dataclass(frozen=True)
class RunConfig:
    """Settings of a pre-training run.

    Attributes:
        name: Names the default output folder.
        objective: What is learnt; `"mdjpt"`, `"masked"`, or both on mdJPT's encoder, `"mdjpt+masked"`.
        data: Prepared or Parquet folders, `user/corpus` of the Hub, either with `stream:` before it, or
            `datasets.Dataset`s of the schema; empty means
            the embedded simulated corpora.
        leave_out: Datasets in these folders that are not trained on.
        output_dir: Where everything is written; empty means `outputs/<name>`.
        seed: Simulation, initial weights and sampling follow from it.
        model: `preset` of the objective's model configuration, and fields that replace its values.
        masked: Settings of masked prediction, see `MaskedSettings`.
        montage: How recorded channels become the 60 standard ones, see `channel_projection`.
        simulation: Arguments of the simulated corpora, used when `data` is empty.
        unseen_corpus: The simulated corpus kept for the comparison at the end.
        comparison: Whether that comparison is made.
        steps, steps_per_epoch: Optimiser steps in all, and per epoch.
        learning_rate, weight_decay, adam_betas: Of Adam; the decay is its L2 form.
        decay_share: Of the steps, the last, in which the learning rate falls to 0 in a straight line; 0 keeps it, as in
            the paper.
        datasets_per_step: How many datasets take part in a step, drawn anew for each; 0 for all of them, as in the
            paper. The cost of a step then does not grow with the number of datasets.
        pairs_per_dataset: Subject pairs of every dataset that takes part in a step, on each process.
        viewers: Subjects of a dataset who are aligned at once, each two of them a pair: 2, as in the paper, or more,
            from whose windows many more pairs are learnt.
        clips: Of the stimuli they share, so many, drawn anew in every step; 0 for all of them, as in the paper.
        aligned_pairs: Whether both windows of a pair start at the same moment, as in the paper; False draws them apart
            within the same clip, to see what alignment in time does.
        guided_share: Of the steps, the first, in which maps also learn to be alike where viewers have most in common in
            band power, with a weight that falls from 1 to 0; ours, see `mdjpt_hf.training.guide`.
        pairs_across: Whether viewers of corpora that show the same clips are paired with each other, which is ours:
            `"no"`; `"clips"`, with windows from anywhere in the clip where they are of different corpora; or
            `"moments"`, where you know that the same sample is the same moment in all of them.
        held_out_subjects: Subjects per dataset never trained on, for pair retrieval; none where fewer than 4 would be
            left, or where they could not be paired.
        mixed_precision: `"no"`, `"bf16"` or `"fp16"`.
        compile: Use torch.compile: on a CPU for mdJPT's encoder, chunk by chunk, else for the whole network.
        recompute: What of a step is computed again for the gradient rather than kept: `"no"` nothing; `"some"` what is
            cheap, for a quarter of the memory; `"yes"` what lies inside the encoder, a fraction of it for a third more
            arithmetic; `"groups"` everything, one subject's windows after the other; `"auto"` the first of these that
            fits into what is free.
        num_workers: Data worker processes per process. num_threads: CPU threads per process, 0 = share the cores.
        log_steps, eval_steps, checkpoint_steps: How often. keep_checkpoints: How many stay.
        trackers: Accelerate trackers, for example `tensorboard`.
        push_to_hub: `user/name` to share the result under when it is finished; empty shares nothing.
        push_private, push_licence: Of that repository; real data need a licence to be named.
    """

    name: str = "demo"
    objective: str = "mdjpt"
    data: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()
    output_dir: str = ""
    seed: int = 0
    model: dict[str, Any] = field(default_factory=lambda: {"preset": "tiny"})
    masked: dict[str, Any] = field(default_factory=dict)
    montage: str = "positions"
    simulation: dict[str, Any] = field(default_factory=dict)
    unseen_corpus: str = "sim-30"
    comparison: bool = True
    steps: int = 300
    steps_per_epoch: int = 100
    learning_rate: float = 5e-4
    weight_decay: float = 1e-4
    adam_betas: tuple[float, ...] = (0.9, 0.999)
    decay_share: float = 0.0
    datasets_per_step: int = 0
    pairs_per_dataset: int = 1
    viewers: int = 2
    clips: int = 0
    aligned_pairs: bool = True
    guided_share: float = 0.0
    pairs_across: str = "no"
    held_out_subjects: int = 2
    mixed_precision: str = "no"
    recompute: str = "auto"
    compile: bool = False
    num_workers: int = 0
    num_threads: int = 0
    log_steps: int = 10
    trackers: tuple[str, ...] = ("tensorboard",)
    eval_steps: int = 100
    checkpoint_steps: int = 100
    keep_checkpoints: int = 2
    push_to_hub: str = ""
    push_private: bool = False
    push_licence: str = ""

    def __post_init__(self) -> None:
        if not _are_texts(self.data):
            from mdjpt_hf.data.sources import as_sources  # with `datasets`, which texts do not need

            object.__setattr__(self, "data", as_sources(self.data))
        for entry in dataclasses.fields(self):
            object.__setattr__(self, entry.name, self._typed(entry))
        self._require(self.seed >= 0, "seed", "must not be negative")
        for name in (
            "steps",
            "steps_per_epoch",
            "pairs_per_dataset",
            "log_steps",
            "eval_steps",
            "checkpoint_steps",
        ):
            self._require(getattr(self, name) >= 1, name, "must be at least 1")
        self._require(0 < self.learning_rate < math.inf, "learning_rate", "must be a positive number")
        self._require(0 <= self.weight_decay < math.inf, "weight_decay", "must be a number, not negative")
        betas = self.adam_betas
        self._require(len(betas) == 2 and all(0 <= beta < 1 for beta in betas), "adam_betas", "must be two in [0, 1)")
        self._require(self.keep_checkpoints >= 2, "keep_checkpoints", "must be at least 2, so that one can be damaged")
        self._require(self.datasets_per_step >= 0, "datasets_per_step", "must not be negative")
        self._require(0 <= self.decay_share <= 1, "decay_share", "must lie between 0 and 1")
        self._require(self.viewers >= 2, "viewers", "must be at least 2")
        self._require(self.clips == 0 or self.clips >= 2, "clips", "must be 0, or at least 2: others are the negatives")
        self._require(self.objective in OBJECTIVES, "objective", f"must be one of {list(OBJECTIVES)}")
        self._require(0 <= self.guided_share <= 1, "guided_share", "must lie between 0 and 1")
        alone = self.objective == "mdjpt" or not self.guided_share
        self._require(alone, "guided_share", "must be 0: only the objective mdjpt has guided steps")
        self._require(self.pairs_across in PAIRS_ACROSS, "pairs_across", f"must be one of {list(PAIRS_ACROSS)}")
        across = self.pairs_across != "no"
        self._require(not across or self.objective != "masked", "pairs_across", "must be no: masked has no pairs")
        timed = self.pairs_across != "moments" or self.aligned_pairs
        self._require(timed, "pairs_across", "must be clips or no where aligned_pairs is false")
        self._require(self.mixed_precision in ("no", "bf16", "fp16"), "mixed_precision", "must be no, bf16 or fp16")
        self._require(self.recompute in RECOMPUTE, "recompute", f"must be one of {list(RECOMPUTE)}")
        self._require(self.held_out_subjects in (0, *range(2, 1000)), "held_out_subjects", "must be 0, or at least 2")
        presets = list(OBJECTIVES[self.objective][1])
        self._require(self.model.get("preset", "base") in presets, "model", f"preset must be one of {presets}")

    def _typed(self, entry: dataclasses.Field) -> Any:
        """A field's value as its type: YAML has lists for tuples, and reads 5e-4 (no point) as text."""
        value, kind = getattr(self, entry.name), get_origin(entry.type) or entry.type
        if kind is tuple and isinstance(value, list):
            return tuple(value)
        if entry.name in ("recompute", "pairs_across") and isinstance(value, bool):  # YAML's yes and no
            return "yes" if value else "no"
        if kind is float and type(value) in (int, str):
            with contextlib.suppress(ValueError):
                return float(value)
        self._require(type(value) is kind, entry.name, f"must be of type {getattr(kind, '__name__', kind)}")
        return value

    def _require(self, holds: bool, name: str, rule: str) -> None:
        if not holds:
            value = getattr(self, name)
            raise ConfigurationError(f"{name} {rule}, found {value!r}", value=value, remedy="Change the run's settings")

    @property
    def simulated(self) -> bool:
        """Whether the embedded simulated corpora are used."""
        return not self.data

    def model_config(self) -> Any:
        """The network's configuration.

        Raises:
            ConfigurationError: If `model` names a field that does not exist or a value it cannot take.
        """
        config_class = OBJECTIVES[self.objective][0]
        overrides = {name: value for name, value in self.model.items() if name != "preset"}
        if self.viewers > 2 and config_class is configuration_mdjpt.MDJPTConfig:
            overrides.setdefault("isa_pairs", "all")
        unknown = sorted(set(overrides) - {field.name for field in dataclasses.fields(config_class)})
        if unknown:
            raise ConfigurationError(
                f"model has no field {unknown}", value=unknown, remedy=f"See {config_class.__name__}"
            )
        try:
            return config_class.preset(self.model.get("preset", "base"), package_version=__version__, **overrides)
        except Exception as error:  # strict dataclasses raise their own types
            raise ConfigurationError(f"model settings do not work: {error}", value=overrides) from error

    @property
    def guided_steps(self) -> int:
        """The first steps, those with a guide: one at least, unless there is none."""
        return max(round(self.guided_share * self.steps), int(self.guided_share > 0))

    def learning_rate_at(self, step: int) -> float:
        """Of optimiser step `step`, from 1; a function of the number alone, so that a resumed run has the same."""
        left, falling = self.steps + 1 - step, self.decay_share * self.steps
        return self.learning_rate * min(1.0, left / falling) if falling else self.learning_rate

    def key(self, world_size: int, data: Sequence[str] = ()) -> str:
        """Hash of everything the final weights depend on.

        Args:
            world_size (`int`): Number of processes.
            data (`Sequence[str]`): Fingerprints of the prepared data, which say more than its paths.
        """
        content = json.dumps([self.deciding(), world_size, list(data)], sort_keys=True, default=str)
        return hashlib.sha256(content.encode()).hexdigest()

    def deciding(self) -> dict[str, Any]:
        """The settings that the final weights depend on, beside the data."""
        settings = dataclasses.asdict(self).items()
        return {name: value for name, value in settings if name not in _FREE_FIELDS and _LATER.get(name) != value}

    def save(self, folder: Path) -> None:
        """Write the settings beside the weights, as `--config` reads them back."""
        fields = {
            name: _as_yaml(value) for name, value in dataclasses.asdict(self).items() if name not in _UNSAVED_FIELDS
        }
        (folder / RUN_FILE).write_text(yaml.safe_dump(fields, sort_keys=False), encoding="utf-8")


def _are_texts(data: Any) -> bool:
    return isinstance(data, tuple | list) and all(isinstance(source, str) for source in data)


def _as_yaml(value: Any) -> Any:
    """YAML knows no tuples."""
    return list(value) if isinstance(value, tuple) else value


def default_preset(objective: str | None) -> str:
    """Settings that a run takes which names none: `demo`, or that of another objective.

    Raises:
        ConfigurationError: If there is no such objective.
    """
    if objective is not None and objective not in OBJECTIVES:
        raise ConfigurationError(
            f"objective must be one of {list(OBJECTIVES)}, found {objective!r}", value=objective, remedy="Name one"
        )
    return OBJECTIVES[objective or "mdjpt"][2]


def preset_names() -> list[str]:
    """Names of the settings that ship with the package."""
    folder = resources.files("mdjpt_hf.configs")
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_run_config(source: str = "demo", **overrides: Any) -> RunConfig:
    """Settings from a shipped preset or a YAML file, with some replaced.

    Args:
        source (`str`): `demo`, `paper`, or the path of a YAML file; also a run's own `run.yaml`.
        overrides: Fields to replace; None leaves the value as it is. `model` and `simulation` are merged.

    Raises:
        ConfigurationError: If the source or a field is unknown, or a value is out of range.
    """
    content = _read(source)
    content.pop("departures", None)  # runs of before had them typed by hand
    merge_settings(content, overrides)
    unknown = sorted(set(content) - {entry.name for entry in dataclasses.fields(RunConfig)})
    if unknown:
        raise ConfigurationError(f"unknown settings {unknown} in {source}", value=unknown, remedy="See RunConfig")
    return RunConfig(**content)


def merge_settings(settings: dict[str, Any], changes: dict[str, Any]) -> None:
    """Change settings in place: groups such as `model` are merged, None leaves a value as it is."""
    for name, value in changes.items():
        merges = isinstance(value, dict) and isinstance(settings.get(name), dict)
        if value is not None:
            settings[name] = {**settings[name], **value} if merges else value


def _parse(text: str, where: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"is not YAML: {error}", path=where, remedy="Write `name: value` lines") from error


def _read(source: str) -> dict[str, Any]:
    if source in preset_names():
        text = (resources.files("mdjpt_hf.configs") / f"{source}.yaml").read_text(encoding="utf-8")
    elif Path(source).is_file():
        text = Path(source).read_text(encoding="utf-8")
    else:
        raise ConfigurationError(
            f"{source!r} is neither a preset nor a file",
            value=source,
            remedy=f"Use one of {', '.join(preset_names())}, or the path of a YAML file",
        )
    content = _parse(text, source)
    if not isinstance(content, dict):
        raise ConfigurationError("is not a mapping of settings", path=source, remedy="Write `name: value` lines")
    return content


def parse_setting(text: str) -> dict[str, Any]:
    """`key=value` from the command line; `model.preset=tiny` reaches into a group.

    Raises:
        ConfigurationError: If there is no `=`.
    """
    name, separator, value = text.partition("=")
    if not separator:
        raise ConfigurationError(f"{text!r} is not key=value", value=text, remedy="For example --set steps=50")
    parsed = _parse(value, text)
    group, dot, inner = name.partition(".")
    return {group: {inner: parsed}} if dot else {name: parsed}
