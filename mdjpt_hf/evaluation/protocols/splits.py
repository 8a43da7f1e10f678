"""Who trains, who validates and who is tested: made in one place, saved with a hash, used again.

A split names subjects, and where asked stimuli. Windows follow from the two, so those of one trial stand on one side.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mdjpt_hf.data.storage import write_json
from mdjpt_hf.errors import SplitError

#: Who is tested neither trains nor chooses.
PROTOCOLS = ("few-shot", "zero-shot", "leave-one-subject-out", "cross-dataset")

#: More of them, which benchmarks of others use; in the first the tested subject trains as well.
BENCHMARKED = ("within-subject", "held-out", "held-out-neighbours")

#: What becomes of tested stimuli that other corpora show as well, where these train: see `CHOICES`.
REFUSED, HELD_OUT, TRAINED_ON = "refused", "held-out", "trained-on"

_MINIMUM = "Give a corpus with more subjects, or another protocol"


@dataclass(frozen=True)
class SplitPlan:
    """What is drawn.

    Args:
        protocol: One of `PROTOCOLS` or `BENCHMARKED`.
        labelled: few-shot: subjects of the target with labels; below 1 a share of them, at least two.
        repeats: few-shot, held-out: how many draws.
        stimulus_disjoint: Whether stimuli that are tested are trained on by nobody. Half the stimuli of every class
            are trained on; leave-one-subject-out and within-subject test one half after the other.
        validation_share: Of the training subjects (of every training corpus), kept to choose and to calibrate; none
            where only one trains.
        seed: Everything drawn follows from it.
        target: cross-dataset: the corpus that is tested; all others train.
        shared_stimuli: cross-dataset: what becomes of stimuli of the target that others show. `REFUSED`; `HELD_OUT`:
            one half of the target's stimuli is tested after the other, and nobody is trained on the half that is; or
            `TRAINED_ON`, which flatters.
    """

    protocol: str
    labelled: float = 0.25
    repeats: int = 4
    stimulus_disjoint: bool = False
    validation_share: float = 0.25
    seed: int = 0
    target: str = ""
    shared_stimuli: str = REFUSED


@dataclass(frozen=True)
class Split:
    """Subjects of the three sides, and the stimuli of training and test where these must differ (else None).

    Validation subjects count with the stimuli of training: those tested choose nothing, whoever watched them.
    """

    name: str
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    train_stimuli: tuple[str, ...] | None = None
    test_stimuli: tuple[str, ...] | None = None

    def parts(self, subject: np.ndarray, stimulus: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Numbers of the training, validation and test windows, given both names of every window, `(windows,)`."""
        shown = slice(None) if self.train_stimuli is None else np.isin(stimulus, self.train_stimuli)
        tested = slice(None) if self.test_stimuli is None else np.isin(stimulus, self.test_stimuli)
        sides = ((self.train, shown), (self.validation, shown), (self.test, tested))
        train, validation, test = (_where(np.isin(subject, people), kept) for people, kept in sides)
        return train, validation, test


def _where(chosen: np.ndarray, kept: Any) -> np.ndarray:
    limited = np.zeros_like(chosen)
    limited[kept] = chosen[kept]
    return np.flatnonzero(limited)


def make_splits(
    plan: SplitPlan, subject: np.ndarray, stimulus: np.ndarray, label: np.ndarray, corpus: np.ndarray
) -> list[Split]:
    """Draw splits; `subject`, `stimulus`, `label` and `corpus` `(windows,)` say what there is.

    Raises:
        SplitError: If there are too few subjects, stimuli or corpora.
    """
    known = (*PROTOCOLS, *BENCHMARKED)
    if plan.protocol not in known:
        raise SplitError(
            f"unknown protocol {plan.protocol!r}", value=plan.protocol, remedy=f"Use one of {', '.join(known)}"
        )
    people = np.unique(subject)
    if plan.protocol == "zero-shot":
        return [Split("all", (), (), tuple(people.tolist()))]
    if plan.protocol == "cross-dataset":
        drawn = _across(plan, subject, stimulus, label, corpus)
    elif plan.protocol == "few-shot":
        drawn = [_few_shot(plan, people, number) for number in range(plan.repeats)]
    elif plan.protocol.startswith("held-out"):
        drawn = [_held_out(plan, people, number) for number in range(plan.repeats)]
    elif plan.protocol == "within-subject":
        drawn = [Split(name, (name,), (), (name,)) for name in people.tolist()]
    else:
        drawn = _leave_one_out(plan, people)
    if plan.stimulus_disjoint and plan.protocol != "cross-dataset":
        strata = _strata(stimulus, label, corpus)
        drawn = [half for number, split in enumerate(drawn) for half in _halves(plan, split, number, strata)]
    usable = [split for split in drawn if all(len(split.parts(subject, stimulus)[side]) for side in (0, 2))]
    if not usable:
        raise SplitError("no split has windows to train and to test on", value=len(drawn), remedy=_MINIMUM)
    return usable


def _few_shot(plan: SplitPlan, people: np.ndarray, number: int) -> Split:
    count = max(2, round(plan.labelled * len(people))) if plan.labelled < 1 else int(plan.labelled)
    if not 0 < count < len(people):
        raise SplitError(f"{count} of {len(people)} subjects cannot be labelled", value=count, remedy=_MINIMUM)
    rng = np.random.default_rng([plan.seed, number])
    order = rng.permutation(people).tolist()
    train, validation = _inner(plan, order[:count])
    return Split(f"draw {number}", train, validation, tuple(sorted(order[count:])))


def _held_out(plan: SplitPlan, people: np.ndarray, number: int) -> Split:
    """A tenth of the subjects is tested, rounded, at least one; another tenth chooses, or votes."""
    if len(people) < 3:
        raise SplitError(f"{len(people)} subjects have no tenths", value=len(people), remedy=_MINIMUM)
    order = np.random.default_rng([plan.seed, number]).permutation(people).tolist()
    tenth = max(1, round(len(order) / 10))
    test, other, rest = (tuple(sorted(part)) for part in (order[:tenth], order[tenth : 2 * tenth], order[2 * tenth :]))
    name = f"draw {number}"
    return Split(name, other, (), test) if plan.protocol == "held-out-neighbours" else Split(name, rest, other, test)


def _leave_one_out(plan: SplitPlan, people: np.ndarray) -> list[Split]:
    if len(people) < 2:
        raise SplitError(f"{len(people)} subject cannot be left out", value=len(people), remedy=_MINIMUM)
    splits = []
    for number, left_out in enumerate(people.tolist()):
        others = np.random.default_rng([plan.seed, number]).permutation(people[people != left_out]).tolist()
        splits.append(Split(left_out, *_inner(plan, others), (left_out,)))
    return splits


def _cross_dataset(plan: SplitPlan, subject: np.ndarray, corpus: np.ndarray) -> Split:
    sources = sorted(set(corpus.tolist()) - {plan.target})
    if plan.target not in corpus or not sources:
        raise SplitError(
            f"target {plan.target!r} and other corpora are needed, found {sorted(set(corpus.tolist()))}",
            value=plan.target,
            remedy="Give --data for at least two corpora with this label",
        )
    train: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    for number, source in enumerate(sources):
        people = np.random.default_rng([plan.seed, number]).permutation(np.unique(subject[corpus == source]))
        own_train, own_validation = _inner(plan, people.tolist())
        train, validation = train + own_train, validation + own_validation
    return Split(plan.target, train, validation, tuple(np.unique(subject[corpus == plan.target]).tolist()))


def _across(
    plan: SplitPlan, subject: np.ndarray, stimulus: np.ndarray, label: np.ndarray, corpus: np.ndarray
) -> list[Split]:
    """The split over corpora; with one half of the target's stimuli after the other where clips are held out."""
    split = _cross_dataset(plan, subject, corpus)
    shared = shared_stimuli(stimulus, corpus, plan.target)
    if not len(shared) or plan.shared_stimuli == TRAINED_ON:
        return [split]
    if plan.shared_stimuli != HELD_OUT:
        raise shared_refused(shared, plan.target)
    tested = corpus == plan.target
    halves = _halves(plan, split, 0, _strata(stimulus[tested], label[tested], corpus[tested]))
    sources = np.unique(stimulus[~tested])
    halves = [
        replace(half, train_stimuli=tuple(np.setdiff1d(sources, half.test_stimuli or ()).tolist())) for half in halves
    ]
    for half in halves:
        _check_classes(half, subject, stimulus, label)
    return halves


def shared_refused(shared: np.ndarray, target: str) -> SplitError:
    """Why `target` is not tested on stimuli that others are trained on, and what to do; `shared` are their names."""
    return SplitError(
        f"{len(shared)} stimuli of {target}, such as {shared[0]}, were shown in a training corpus as well, so that "
        "they would be new to nobody",
        value=shared.tolist(),
        remedy="Use --set shared_stimuli=held-out, which tests every clip where nobody was trained on it; "
        "shared_stimuli=trained-on, which is marked as optimistic; or leave out the corpora that share clips",
    )


def _check_classes(split: Split, subject: np.ndarray, stimulus: np.ndarray, label: np.ndarray) -> None:
    """Refuse to test a class of which every stimulus is held out: nobody could recognise it."""
    train, _, test = (np.unique(label[part]) for part in split.parts(subject, stimulus))
    if len(test) and len(missing := np.setdiff1d(test, train)):
        raise SplitError(
            f"with the shared clips of {split.name} held out, {len(missing)} tested classes are trained by nobody: "
            "class and stimulus are the same thing there",
            value=missing.tolist(),
            remedy="Give another corpus that shows other clips of these classes, or leave one of the sharing ones out",
        )


def shared_stimuli(stimulus: np.ndarray, corpus: np.ndarray, target: str) -> np.ndarray:
    """Names of the stimuli of `target` that another corpus shows as well; `stimulus`, `corpus` `(windows,)`."""
    return np.intersect1d(stimulus[corpus == target], stimulus[corpus != target])


def _inner(plan: SplitPlan, people: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Training and validation subjects out of those in random order."""
    count = max(1, round(plan.validation_share * len(people))) if plan.validation_share > 0 else 0
    count = min(count, len(people) - 1)
    return tuple(sorted(people[count:])), tuple(sorted(people[:count]))


def _halves(plan: SplitPlan, split: Split, number: int, strata: Sequence[np.ndarray]) -> list[Split]:
    """The split with half of the stimuli to train and half to test; left-out subjects are tested on both halves."""
    rng = np.random.default_rng([plan.seed, number, 1])
    first: list[str] = []
    second: list[str] = []
    for stimuli in strata:
        order = rng.permutation(stimuli).tolist()
        middle = (len(order) + 1) // 2
        first, second = first + order[:middle], second + order[middle:]
    sides = [(tuple(sorted(first)), tuple(sorted(second)))]
    if plan.protocol in ("leave-one-subject-out", "within-subject", "cross-dataset"):
        sides.append(sides[0][::-1])
    return [
        Split(f"{split.name}, half {half}", split.train, split.validation, split.test, *both)
        for half, both in enumerate(sides)
    ]


def _strata(stimulus: np.ndarray, label: np.ndarray, corpus: np.ndarray) -> list[np.ndarray]:
    """Stimuli of every corpus class by class; all together where one has several, as under subjects' own reports.

    A stimulus that several corpora show stands in one stratum alone, so that it lies on one side for all of them.
    """
    group = label if stimuli_have_one_class(stimulus, label) else np.zeros_like(label)
    names, first, number = np.unique(stimulus, return_index=True, return_inverse=True)
    showing: list[set[str]] = [set() for _ in names]
    for place, name in set(zip(number.tolist(), corpus.tolist(), strict=True)):
        showing[place].add(name)
    strata: dict[tuple[Any, ...], list[str]] = {}
    for place, name in enumerate(names.tolist()):
        strata.setdefault((tuple(sorted(showing[place])), group[first[place]].item()), []).append(name)
    return [np.array(strata[key]) for key in sorted(strata)]


def stimuli_have_one_class(stimulus: np.ndarray, label: np.ndarray) -> bool:
    """Whether all windows of a stimulus have its class; both `(windows,)`."""
    _, first, inverse = np.unique(stimulus, return_index=True, return_inverse=True)
    return bool((label[first][inverse] == label).all())


@dataclass(frozen=True)
class SplitManifest:
    """Splits with what they belong to.

    Args:
        plan: How they were drawn. label: The target whose classes were spread over the halves.
        corpora: Name -> fingerprint of the data. splits: In order.
    """

    plan: SplitPlan
    label: str
    corpora: Mapping[str, str]
    splits: tuple[Split, ...]

    @property
    def hash(self) -> str:
        """SHA-256 of everything else; equal hashes mean equal splits of equal data."""
        return hashlib.sha256(json.dumps(self._content(), sort_keys=True).encode()).hexdigest()

    def _content(self) -> dict[str, Any]:
        plan = asdict(self.plan)
        if plan["shared_stimuli"] == REFUSED:  # hashes of manifests that knew no other stay what they were
            del plan["shared_stimuli"]
        content = {
            "plan": plan,
            "label": self.label,
            "corpora": dict(self.corpora),
            "splits": [asdict(split) for split in self.splits],
        }
        return json.loads(json.dumps(content))

    def fits(self, plan: SplitPlan, label: str, corpora: Mapping[str, str]) -> bool:
        """Whether these splits are of that plan, label and data, whatever the seed they were drawn with."""
        same_plan = replace(plan, seed=self.plan.seed) == self.plan
        return same_plan and (label, dict(corpora)) == (self.label, dict(self.corpora))


def save_manifests(path: Path, manifests: Sequence[SplitManifest]) -> None:
    """Write manifests to one JSON file that [`load_manifests`] reads."""
    write_json(path, [{**manifest._content(), "hash": manifest.hash} for manifest in manifests])


def load_manifests(path: Path) -> list[SplitManifest]:
    """Read manifests.

    Raises:
        SplitError: If the file cannot be read, or its content is not what was saved.
    """
    try:
        entries = json.loads(Path(path).read_text(encoding="utf-8"))
        return [_manifest(entries[number], path) for number in range(len(entries))]
    except (OSError, ValueError, TypeError, KeyError) as error:
        if isinstance(error, SplitError):
            raise
        raise SplitError(
            f"is no manifest of splits: {error}", path=path, remedy="Give splits.json of an evaluation"
        ) from error


def _manifest(entry: dict[str, Any], path: Path) -> SplitManifest:
    splits = []
    for values in entry["splits"]:
        named: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        splits.append(Split(**named))
    manifest = SplitManifest(SplitPlan(**entry["plan"]), entry["label"], entry["corpora"], tuple(splits))
    if manifest.hash != entry["hash"]:
        raise SplitError(
            "was changed after it was saved: its hash does not fit",
            path=path,
            value=entry["hash"],
            remedy="Use the file as it was written",
        )
    return manifest
