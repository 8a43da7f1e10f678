"""`mdjpt evaluate`: open everything, run every protocol on every corpus, write records; and the audit of leaks."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mdjpt_hf.data.cluster import Cluster
from mdjpt_hf.data.corpora import TrialSet, open_corpora
from mdjpt_hf.data.exposure import noted
from mdjpt_hf.data.sources import as_sources
from mdjpt_hf.data.targets import find_target
from mdjpt_hf.errors import ConfigurationError, CorpusError, RecordError, SplitError
from mdjpt_hf.evaluation.encoders import (
    Encoder,
    EncoderSource,
    open_encoders,
    shared_montage,
    usable,
    window_seconds,
)
from mdjpt_hf.evaluation.engine import score_corpus
from mdjpt_hf.evaluation.protocols import (
    LABELS,
    Pool,
    Protocol,
    SplitManifest,
    audit_stages,
    check_choices,
    draw_splits,
    fitting,
    load_manifests,
    one_stimulus_note,
    pool_for,
    preset_named,
    save_manifests,
)
from mdjpt_hf.evaluation.readout import Features
from mdjpt_hf.evaluation.reports import SHOWN_WINDOWS, FeatureSample, audit_table, write_record, write_sample
from mdjpt_hf.evaluation.scores import Effort
from mdjpt_hf.evaluation.spread import SpreadFeatures, folder_beside, place_of
from mdjpt_hf.runtime.ownership import owned_output
from mdjpt_hf.schema import RATINGS

SPLITS_FILE = "splits.json"
AUDIT_FILE = "leak_audit.md"


@dataclass(frozen=True)
class Evaluation:
    """One evaluation.

    Args:
        models: Folders, Hub ids, `random`, `de`, `braindecode:NAME`; the others are compared with the first.
        data: Prepared or Parquet folders, `user/corpus` of the Hub, or `datasets.Dataset`s of the schema.
        protocols: Names. out: The folder to make.
        preset: One of `PRESETS`. choices: Others than the preset's, by name.
        splits: A file of splits to use again. label: `label`, `emotion`, `valence_class` or a rating.
        corpora: Only these are tested; default all that have the label.
        effort: Permutations and seed. source: How models are opened.
        leak_audit: Instead of the protocols alone, add their optimistic choices one after the other.
        cluster: Workers that encode recordings and train heads in place of this process. They need models, data and the
            folder of `out` under the same absolute names; records are those of one process on a machine of their kind.

    Raises:
        ConfigurationError: If choices are given that an audit would pass over, or importance is asked of ratings.
    """

    models: tuple[str, ...]
    data: tuple[str, ...]
    protocols: tuple[str, ...]
    out: Path
    preset: str = "honest"
    choices: Mapping[str, Any] = field(default_factory=dict)
    splits: Path | None = None
    label: str = "label"
    corpora: tuple[str, ...] = ()
    effort: Effort = Effort()
    source: EncoderSource = field(default_factory=EncoderSource)
    leak_audit: bool = False
    cluster: Cluster | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", as_sources(self.data))
        if self.leak_audit and (self.preset != "honest" or self.choices):
            raise ConfigurationError(
                "the audit of leaks makes its own choices, one after the other",
                value={"preset": self.preset, **self.choices},
                remedy="Leave out --preset and --set, or leave out --leak-audit",
            )
        if self.label in RATINGS and self.leak_audit:
            raise ConfigurationError(
                "the audit of leaks trains classifiers, and ratings have no classes",
                value=self.label,
                remedy="Use --label label, or leave out --leak-audit",
            )
        if self.label in RATINGS and self.effort.importance:
            raise ConfigurationError(
                "the importance of electrodes is the probability of a class lost, and ratings have none",
                value=self.label,
                remedy="Leave out --importance, or use a label with classes",
            )

    def stages(self, name: str) -> list[tuple[str, Protocol]]:
        """The protocols behind a name: those of the preset, mostly one, or those of the audit."""
        if self.leak_audit:
            return audit_stages(name)
        preset = preset_named(self.preset)
        check_choices(self.choices)
        return [("", protocol) for protocol in preset.rows(name, **self.choices)]


def evaluate(task: Evaluation, say: Callable[[str], None] = print) -> list[dict[str, Any]]:
    """Run everything and write records, splits and a sample of the features.

    The folder appears when all is done: until then everything lies in a hidden one beside it, and a failure leaves
    nothing behind.

    Raises:
        RecordError: If there is something in the folder already.
        CorpusError: If no corpus has the label.
        SplitError: If splits that were given do not belong to the data.
        InUseError: If another process makes the same folder.
        ConfigurationError: If workers cannot be reached, or do not see what this process sees.
    """
    with owned_output(Path(task.out)):
        return _evaluate(task, Path(task.out), say)


def _evaluate(task: Evaluation, out: Path, say: Callable[[str], None]) -> list[dict[str, Any]]:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RecordError("already holds results or other files", path=out, remedy="Choose another folder")
    stages = {name: task.stages(name) for name in task.protocols}
    given = load_manifests(task.splits) if task.splits else None
    trial_sets = open_corpora(task.data, shared_montage(task.models, task.source))
    encoders = open_encoders(task.models, task.source)
    seconds = window_seconds(task.models, task.source)
    if task.effort.importance:
        scratch = [encoder.name for encoder in encoders if encoder.features is None]
        _say_without_importance(scratch, say)
    corpora = _corpora(task, trial_sets)
    for trials in trial_sets:
        with suppress(CorpusError):  # a corpus without the label is passed over later, in words
            for note in find_target([trials], task.label).notes if task.label in LABELS else ():
                say(note)
    with _features_made(task, trial_sets, seconds) as features, _finished_folder(out) as staging:
        session = _Session(replace(task, out=staging), trial_sets, encoders, seconds, given, say, features)
        planned = [(corpus, session.plan(corpus, protocols)) for corpus in corpora for protocols in stages.values()]
        for corpus, protocols in planned:
            session.run(corpus, protocols)
        _complete(session)
    return session.records


#: Makes what computes the features of a pool, for a corpus and a protocol.
_Maker = Callable[[Pool, str, Protocol], Features]


@contextmanager
def _features_made(task: Evaluation, trial_sets: list[TrialSet], seconds: float) -> Iterator[_Maker]:
    """By this process, or by workers, who share a folder beside the output as long as they work."""
    cluster = task.cluster
    if cluster is None:
        yield lambda pool, corpus, protocol: Features(pool)
        return
    with folder_beside(Path(task.out)) as folder:
        place = place_of(task.models, task.source, task.data, trial_sets, task.label, seconds, folder)
        yield lambda pool, corpus, protocol: SpreadFeatures(pool, corpus, protocol, cluster, place)


def _say_without_importance(scratch: list[str], say: Callable[[str], None]) -> None:
    """Say which networks are trained from scratch, and therefore have no importance of electrodes."""
    if scratch:
        say(f"{', '.join(scratch)}: no importance of electrodes, which only encoders that are not trained anew have")


@contextmanager
def _finished_folder(out: Path) -> Iterator[Path]:
    """A hidden folder beside `out` that takes its name at the end, or is deleted if something fails."""
    out = out.resolve()
    out.parent.mkdir(parents=True, exist_ok=True)
    staging = out.with_name(f".{out.name}.{os.getpid()}.partial")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    try:
        yield staging
        os.replace(staging, out)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def _complete(session: "_Session") -> None:
    """Write what belongs to all records.

    Raises:
        CorpusError: If there are none.
        SplitError: If that is because no splits could be drawn.
    """
    task, out = session.task, Path(session.task.out)
    if not session.records and session.failed:
        raise session.failed[-1]
    if not session.records:
        raise CorpusError(
            f"no corpus has {task.label} of two classes, or as a rating",
            value=task.label,
            remedy="Choose another --label or --data",
        )
    save_manifests(out / SPLITS_FILE, list(session.manifests.values()))
    if session.audit:
        (out / AUDIT_FILE).write_text("\n".join(session.audit) + "\n", encoding="utf-8")


def _corpora(task: Evaluation, trial_sets: list[TrialSet]) -> list[str]:
    names = [trials.name for trials in trial_sets]
    unknown = sorted(set(task.corpora) - set(names))
    if unknown:
        raise ConfigurationError(f"there is no corpus {unknown}", value=unknown, remedy=f"Use {', '.join(names)}")
    return [name for name in names if not task.corpora or name in task.corpora]


class _Session:
    """What lasts from one protocol to the next: features, splits, records."""

    def __init__(
        self, task: Evaluation, trial_sets, encoders: list[Encoder], seconds: float, given, say, features: _Maker
    ):
        self.task, self.trial_sets, self.encoders, self.seconds, self.say = task, trial_sets, encoders, seconds, say
        self.given: list[SplitManifest] | None = given
        self.manifests: dict[str, SplitManifest] = {}
        self.records: list[dict[str, Any]] = []
        self.audit: list[str] = []
        self.designs: dict[tuple[str, str], str] = {}  # (corpus, protocol) -> why it is not the one asked for
        self.told: set[str] = set()  # notes on corpora
        self.failed: list[SplitError] = []
        self._make_features = features
        self._features: dict[tuple[Any, ...], Features] = {}
        self._rehearsed: set[tuple[Any, ...]] = set()  # kinds of windows that all encoders left have taken

    def plan(self, corpus: str, stages: list[tuple[str, Protocol]]) -> list[tuple[str, Protocol]]:
        """The protocols as far as this corpus can be judged by them; none where it lacks the label."""
        planned: list[tuple[str, Protocol]] = []
        for stage, protocol in stages:
            try:
                pool, _ = pool_for(self.trial_sets, corpus, protocol, self.task.label, self.seconds)
            except CorpusError as error:
                if self.task.corpora:
                    raise
                self.say(f"{corpus} is passed over: {error}")
                return []
            self._rehearse(pool)
            found, note = fitting(protocol, pool, corpus, self.task.choices)
            if note and note not in self.designs.values():
                self.say(note)
            self.designs |= {(corpus, found.key): note} if note else {}
            one = one_stimulus_note(pool, corpus)
            if one and not note and one not in self.told:
                self.say(one)
                self.told.add(one)
            if all(found != other for _, other in planned):  # stages may differ in what this corpus does not have
                planned.append((stage, found))
        return planned

    def _rehearse(self, pool: Pool) -> None:
        """Leave out encoders that cannot take such windows, while nothing has been computed yet."""
        first = pool.parts[0]
        kind = (first.trials.sampling_rate, first.index.length, len(pool.classes))
        if kind not in self._rehearsed:
            self.encoders = usable(self.encoders, pool, self.say)
            self._rehearsed.add(kind)

    def run(self, corpus: str, stages: list[tuple[str, Protocol]]) -> None:
        """Score a corpus by protocols; where no splits can be drawn, the others go on."""
        results: list[tuple[str, Protocol, dict[str, Any]]] = []
        for stage, protocol in stages:
            pool, used = pool_for(self.trial_sets, corpus, protocol, self.task.label, self.seconds)
            try:
                results.append((stage, protocol, self._score(pool, used, corpus, protocol)))
            except SplitError as error:
                if self.given is not None:
                    raise
                self.failed.append(error)
                self.say(f"{corpus}, {protocol.name} is passed over: {error}")
        if self.task.leak_audit and results:
            lines = audit_table(results, self.records[-1])
            self.audit += lines
            self.say("\n".join(lines))

    def _score(self, pool: Pool, used: list[TrialSet], corpus: str, protocol: Protocol) -> dict[str, Any]:
        features = self._shared(pool, corpus, protocol)
        manifest = self._manifest(features.pool, used, corpus, protocol)
        entry = score_corpus(features, used, corpus, self.encoders, protocol, self.task.effort, manifest)
        (rows,) = entry["results"].values()
        if (corpus, protocol.key) in self.designs:
            entry["protocol"]["design"] = self.designs[corpus, protocol.key]
        name = f"{corpus}_{protocol.name}_{protocol.key}"
        write_record(entry, Path(self.task.out) / f"{name}.json")
        _keep_features(features, self.encoders, protocol, Path(self.task.out))
        self.records.append(entry)
        for encoder, row in rows.items():
            self.say(f"{corpus}, {protocol.title}: {noted(encoder, entry['encoders'][encoder])} {_cell(row)}")
        return rows

    def _shared(self, pool: Pool, corpus: str, protocol: Protocol) -> Features:
        """Features of windows met before are not computed again."""
        key = (*np.unique(pool.corpus).tolist(), pool.target, protocol.stride_seconds)
        if key not in self._features:
            self._features[key] = self._make_features(pool, corpus, protocol)
        return self._features[key]

    def _manifest(self, pool: Pool, used: list[TrialSet], corpus: str, protocol: Protocol) -> SplitManifest:
        fingerprints = {trials.name: trials.fingerprint for trials in used}
        if self.given is None:
            manifest = draw_splits(pool, protocol, corpus, fingerprints, self.task.effort.seed)
        else:
            plan = protocol.plan(corpus, self.task.effort.seed)
            fitting = [entry for entry in self.given if entry.fits(plan, pool.target, fingerprints)]
            if not fitting:
                raise SplitError(
                    f"has no splits of {protocol.name} for {corpus} as it lies here",
                    path=self.task.splits or "",
                    remedy="Give the same data, label and protocols that the splits were made with",
                )
            manifest = fitting[0]
            _check_stimuli(manifest, pool, self.task.splits or "")
        self.manifests[manifest.hash] = manifest
        return manifest


def _check_stimuli(manifest: SplitManifest, pool: Pool, path: Path | str) -> None:
    """Refuse splits over stimuli that are called otherwise here: they would train and test nobody."""
    named = {name for split in manifest.splits for name in (*(split.train_stimuli or ()), *(split.test_stimuli or ()))}
    if unknown := sorted(named - set(pool.stimulus.tolist())):
        raise SplitError(
            f"names stimuli that are not here, such as {unknown[0]}",
            path=path,
            value=unknown,
            remedy="Draw splits anew: a clip that several corpora show has one name in all of them",
        )


def _keep_features(features: Features, encoders: list[Encoder], protocol: Protocol, out: Path) -> None:
    """A sample of the windows with every encoder's features, for the picture of them; once for every set of windows."""
    pool = features.pool
    path = out / f"features_{'+'.join(np.unique(pool.corpus))}_{protocol.encoder_groups}.npz"
    if path.exists():
        return
    chosen = np.sort(np.random.default_rng(0).permutation(len(pool))[:SHOWN_WINDOWS])
    shown = [encoder for encoder in encoders if encoder.features is not None]
    names = {"corpus": pool.corpus, "subject": pool.subject, "recording": pool.recording}
    names["emotion"] = _rated(pool) if pool.rated else np.array(pool.classes)[pool.label]
    sample = FeatureSample(
        {one.name: features.of(one, protocol.encoder_groups)[chosen].astype(np.float32) for one in shown},
        tuple(one.name for one in shown if one.facts.get("weights") in ("none", "random")),
        {name: values[chosen] for name, values in names.items()},
    )
    write_sample(path, sample)


def _rated(pool: Pool) -> np.ndarray:
    """Ratings in thirds of their scale, `(windows,)` words."""
    words = [f"{pool.target} {part}" for part in ("low", "middle", "high")]
    return np.array(words)[np.digitize(pool.label, [1 / 3, 2 / 3])]


def _cell(row: Mapping[str, Any]) -> str:
    score, null = row["score"], row["null"]
    return (
        f"{score['mean']:.3f} [{score['low']:.3f}, {score['high']:.3f}], "
        f"null {null['mean']:.3f} [{null['low']:.3f}, {null['high']:.3f}]"
    )
