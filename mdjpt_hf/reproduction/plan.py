"""What a reproduction will do, decided and checked before anything is trained."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mdjpt_hf.data.corpora import TrialSet, open_corpora
from mdjpt_hf.data.overlap import recordings_in_common
from mdjpt_hf.data.storage import write_json
from mdjpt_hf.errors import ConfigurationError, CorpusError, MDJPTError
from mdjpt_hf.evaluation.protocols import draw_splits, pool_for, preset_named
from mdjpt_hf.pretraining import check_rates
from mdjpt_hf.reproduction.published import CORPORA
from mdjpt_hf.training.alignment import pair_samplers
from mdjpt_hf.training.config import RunConfig, load_run_config, merge_settings

PROTOCOLS = ("few-shot", "zero-shot")
#: Each row is made by both.
PRESETS = ("honest", "paper")
PLAN_FILE = "reproduction.json"

#: Where a corpus has several kinds of classes, the first of these that it has is tested.
LABEL_ORDER = ("label", "clip_valence", "valence_class", "emotion")

#: Settings of a pre-training that follow from the reproduction itself.
_OWN_SETTINGS = ("name", "data", "leave_out", "output_dir", "seed", "push_to_hub", "push_private", "push_licence")

#: The paper trains on all subjects of a corpus; its preset keeps some for a diagnostic.
_PAPER_OVERRIDES = {"held_out_subjects": 0}


@dataclass(frozen=True)
class Reproduction:
    """One leave-one-dataset-out table.

    Args:
        data: Prepared corpora, two or more. out: Where everything is written, and found again.
        config: Preset or YAML file of the pre-trainings; `settings` replace values of it.
        seed: Weights, sampling, splits and permutations follow from it.
        targets: Corpora to leave out, one after the other; default all. Each is trained on when others are left out.
        permutations: Of the labels, for the null of trained classifiers; five times as many for neighbours.
    """

    data: tuple[str, ...]
    out: Path
    config: str = "paper"
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    targets: tuple[str, ...] = ()
    permutations: int = 100

    def pretraining(self) -> RunConfig:
        """The settings all pre-trainings share.

        Raises:
            ConfigurationError: If a setting is unknown, or follows from the reproduction itself.
        """
        fixed = sorted(set(self.settings) & set(_OWN_SETTINGS))
        if fixed:
            raise ConfigurationError(
                f"{', '.join(fixed)} cannot be set: every pre-training has its own",
                value=fixed,
                remedy="Use --data, --out and --seed of mdjpt reproduce; share a result with mdjpt push",
            )
        values: dict[str, Any] = dict(_PAPER_OVERRIDES) if self.config == "paper" else {}
        merge_settings(values, dict(self.settings))
        merge_settings(values, {"seed": self.seed, "push_to_hub": "", "leave_out": ()})
        return load_run_config(self.config, **values)


@dataclass(frozen=True)
class Corpus:
    """A corpus of the table; `label` is the kind of class it is tested with."""

    trials: TrialSet
    label: str

    @property
    def name(self) -> str:
        """Of the corpus that is left out and tested on."""
        return self.trials.name

    @property
    def remark(self) -> str:
        """How it differs in size from the corpus of that name as it was published; empty if it does not."""
        whole = CORPORA.get(self.name)
        if whole is None:
            return ""
        trials = self.trials
        subjects = len(np.unique(trials.subject))
        of_one = np.unique(trials.subject, return_counts=True)[1].max()
        seconds = float(np.median(trials.n_samples)) / trials.sampling_rate
        found = [
            f"{subjects} of {whole.subjects} subjects" if subjects < whole.subjects else "",
            f"{of_one} of {whole.trials} trials each" if of_one < whole.trials else "",
            f"trials of {seconds:.3g} s instead of {whole.seconds:g} s and more" if seconds < whole.seconds else "",
        ]
        return "; ".join(part for part in found if part)


@dataclass(frozen=True)
class Plan:
    """A checked reproduction: its corpora, which of them are left out, and the settings of the pre-trainings."""

    task: Reproduction
    corpora: tuple[Corpus, ...]
    targets: tuple[Corpus, ...]
    config: RunConfig

    def without(self, target: Corpus) -> RunConfig:
        """The pre-training on all corpora but one, in whose folders that one lies only where another shares its."""
        others = [corpus.trials.folder.resolve() for corpus in self.corpora if corpus.name != target.name]
        shared = target.trials.folder.resolve() in others
        values = {name: value for name, value in vars(self.config).items() if name not in ("data", "name")}
        values |= {
            "name": f"without-{target.name}",
            "data": tuple(str(folder) for folder in dict.fromkeys(others)),
            "leave_out": (target.name,) if shared else (),
            "output_dir": str(self.folder(target).resolve() / "pre-trained"),
        }
        return RunConfig(**values)

    def sources(self, target: Corpus) -> list[str]:
        """Names of the corpora trained on when `target` is left out, sorted."""
        return sorted(corpus.name for corpus in self.corpora if corpus.name != target.name)

    def folder(self, target: Corpus) -> Path:
        """Everything about a target."""
        return Path(self.task.out) / target.name


def make_plan(task: Reproduction) -> Plan:
    """Open the corpora, and refuse now what would fail after hours.

    Raises:
        ConfigurationError: If there are fewer than two corpora, or settings and data do not go together.
        CorpusError: If a corpus cannot be opened, is given twice, or a target has no labels.
        PairingError: If a corpus cannot be trained on.
        SplitError: If a target has too few subjects.
    """
    _check_permutations(task.permutations)
    config = task.pretraining()
    network = config.model_config()
    trial_sets = open_corpora(task.data, config.montage)
    _check_corpora(trial_sets)
    check_rates(config, trial_sets)
    if config.objective in ("mdjpt", "mdjpt+masked"):
        pair_samplers(config, trial_sets)
    wanted = _wanted([trials.name for trials in trial_sets], task.targets)
    corpora = tuple(Corpus(trials, _label(trials, trials.name in wanted)) for trials in trial_sets)
    targets = tuple(corpus for corpus in corpora if corpus.name in wanted)
    for target in targets:
        _check_target(target, float(network.window_seconds), task.seed)
    return Plan(task, corpora, targets, config)


def _check_permutations(count: int) -> None:
    if count < 1:
        raise ConfigurationError(
            f"permutations must be at least 1, found {count}: without them no score has a null",
            value=count,
            remedy="Use --permutations 100",
        )


def _check_corpora(trial_sets: Sequence[TrialSet]) -> None:
    names = [trials.name for trials in trial_sets]
    if len(names) < 2:
        raise ConfigurationError(
            f"one corpus is left out and the others are trained on, but there is only {', '.join(names)}",
            value=names,
            remedy="Give --data for two or more prepared corpora",
        )
    for number, trials in enumerate(trial_sets):
        for other in trial_sets[:number]:
            if same := recordings_in_common(trials, other):
                raise CorpusError(
                    f"{trials.name!r} holds {same} recordings that {other.name!r} in {other.folder} holds as well",
                    path=trials.folder,
                    value=trials.name,
                    remedy="Give each corpus once: a copy under another name would put the target into its training",
                )


def _wanted(names: list[str], targets: tuple[str, ...]) -> list[str]:
    unknown = sorted(set(targets) - set(names))
    if unknown:
        raise ConfigurationError(
            f"there is no corpus {', '.join(unknown)} to leave out", value=unknown, remedy=f"Use {', '.join(names)}"
        )
    return list(targets) or names


def _label(trials: TrialSet, needed: bool) -> str:
    for name in LABEL_ORDER:
        values = getattr(trials, name)
        if len(np.unique(values[values >= 0])) > 1:
            return name
    if not needed:
        return ""
    raise CorpusError(
        f"{trials.name!r} has no labels of two classes: none of {', '.join(LABEL_ORDER)}",
        path=trials.folder,
        value=trials.name,
        remedy="Name the corpora to test with --target; it can still be trained on when they are left out",
    )


def _check_target(target: Corpus, seconds: float, seed: int) -> None:
    for preset in PRESETS:
        for name in PROTOCOLS:
            (protocol,) = preset_named(preset).rows(name)
            pool, used = pool_for([target.trials], target.name, protocol, target.label, seconds)
            if not len(pool):
                raise CorpusError(
                    f"no labelled trial of {target.name!r} is as long as a window of {seconds:g} s",
                    path=target.trials.folder,
                    value=seconds,
                    remedy="Leave it out of --target, or use a network with shorter windows",
                )
            draw_splits(pool, protocol, target.name, {trials.name: trials.fingerprint for trials in used}, seed)


# --- the folder ----------------------------------------------------------------------------------------------------


def take_folder(plan: Plan) -> None:
    """Make the folder, or recognise it as that of this very reproduction.

    Raises:
        ConfigurationError: If it holds something else, or was begun with other settings or data.
    """
    out = Path(plan.task.out)
    now = json.loads(json.dumps(_deciding(plan)))
    path = out / PLAN_FILE
    if path.exists():
        before = _read(path)
        changed = _changes(before, now)
        if changed:
            raise ConfigurationError(
                f"was begun with other settings: {'; '.join(changed)}",
                path=out,
                value=changed,
                remedy="Repeat the command it was begun with to go on, or choose another --out",
            )
        return
    if out.exists() and any(entry.name != LOCK_FILE for entry in out.iterdir()):
        raise ConfigurationError("holds something else", path=out, remedy="Choose another --out, or an empty folder")
    out.mkdir(parents=True, exist_ok=True)
    write_json(path, now)


#: Held while a reproduction, or a pre-training it began, works in the folder.
LOCK_FILE = ".lock"


def _deciding(plan: Plan) -> dict[str, Any]:
    """Everything the table depends on; `--target` only chooses among its rows."""
    pretraining = {
        name: value for name, value in plan.config.deciding().items() if name not in (*_OWN_SETTINGS, "simulation")
    }
    return {
        "seed": plan.task.seed,
        "permutations": plan.task.permutations,
        "pretraining": pretraining,
        "corpora": {corpus.name: corpus.trials.fingerprint for corpus in plan.corpora},
    }


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MDJPTError(f"cannot be read: {error}", path=path, remedy="Choose another --out") from error


def _changes(before: Any, now: Any, name: str = "") -> list[str]:
    """What differs between two settings, each as `name: before → now`."""
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return [] if before == now else [f"{name}: {before!r} → {now!r}"]
    names = sorted({*before, *now})
    return [
        line for key in names for line in _changes(before.get(key), now.get(key), f"{name}.{key}".removeprefix("."))
    ]
