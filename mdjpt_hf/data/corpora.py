"""Reading: prepared folders open as memory-mapped trials, streams as trials read when needed; a `TrialSet` each."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset

from mdjpt_hf.data.mapped import MappedSignals, mapped, mapped_columns, mapped_signals
from mdjpt_hf.data.parts import parts_joined
from mdjpt_hf.data.ranged import RangedSignals
from mdjpt_hf.data.sources import prepared_folder, prepared_folders
from mdjpt_hf.data.stimuli import published_facts, stimulus_set_of
from mdjpt_hf.data.storage import STATED_SCALES, corpus_options, folder_metadata
from mdjpt_hf.data.streams import index_in, is_index_folder, signals_of
from mdjpt_hf.data_scripts.showings import clips_of
from mdjpt_hf.errors import ConfigurationError, CorpusError
from mdjpt_hf.modeling.montage_mdjpt import channel_projection
from mdjpt_hf.modeling.signal_mdjpt import robust_scale
from mdjpt_hf.runtime.progress import LOGGER
from mdjpt_hf.schema import RATINGS, check_dataset_name

_IDENTITY = (
    "subject",
    "session",
    "trial",
    "stimulus",
    "label",
    "label_name",
    "emotion",
    "valence_class",
    *RATINGS,
    "n_samples",
    "sampling_rate",
)
_TOLD = (*_IDENTITY, "dataset", "ch_names")


@dataclass
class TrialSet:
    """The trials of one dataset.

    The arrays below have one entry per trial; signals are never copied, `signal(i)` is a view into the mapped file, or
    into a row group that was read.

    Attributes:
        name: Dataset name. folder: where it lies.
        subject, stimulus: `(trials,)` strings.
        session, trial, label, emotion, valence_class, n_samples: `(trials,)` integers; -1 where a class is unknown.
        ratings: `(trials, 4)` of `RATINGS` in [0, 1]; NaN where unknown.
        sampling_rate: Hz, the same for every trial.
    """

    name: str
    folder: Path
    rows: np.ndarray  # row numbers within the folder
    subject: np.ndarray
    session: np.ndarray
    trial: np.ndarray
    stimulus: np.ndarray
    label: np.ndarray
    emotion: np.ndarray
    valence_class: np.ndarray
    ratings: np.ndarray
    n_samples: np.ndarray
    sampling_rate: float
    ch_names: list[tuple[str, ...]]
    label_names: tuple[str, ...] = ()
    montage: str = "positions"
    _projections: dict[tuple[str, ...], tuple[np.ndarray, np.ndarray]] = field(default_factory=dict, repr=False)
    _mapped: "MappedSignals | RangedSignals | None" = field(
        default=None, repr=False
    )  # shared by all that come from one opening
    _whole: "TrialSet | None" = field(default=None, repr=False)  # what it was selected from
    _scaled: dict[tuple[str, int], tuple[float, float]] = field(default_factory=dict, repr=False)  # shared as well

    def __len__(self) -> int:
        return len(self.rows)

    def __getstate__(self) -> dict:
        """Data workers open the files themselves: maps are not sent between processes."""
        return {**self.__dict__, "_mapped": None}

    @property
    def _signals(self) -> "MappedSignals | RangedSignals":
        if self._mapped is None:
            streamed = is_index_folder(self.folder)
            self._mapped = signals_of(self.folder) if streamed else mapped_signals(self.folder)
        return self._mapped

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What is known of the corpus, by the names of `CorpusFacts`: as stored; where nothing is, as published of a
        corpus of this name."""
        return _stored_facts(self.folder).get(self.name) or published_facts(self.name)

    @cached_property
    def stimulus_set(self) -> str:
        """Whose ids its stimuli have, see [`stimulus_set_of`]: equal for corpora that show the same clips."""
        return stimulus_set_of(self.name, self.facts)

    @cached_property
    def scales(self) -> np.ndarray:
        """`(trials, 2)`: mean and standard deviation of each trial's recording (subject and session), µV.

        The recording is all of it, however few of its trials were selected. What an info says of rows that may have
        been changed since counts where it is so. Where nothing is stored, all signals are read; a window needs the
        scale of its own recording alone.
        """
        return np.array([self._scale(index) for index in range(len(self))])

    def _scale(self, index: int) -> tuple[float, float]:
        if not self._scaled:
            self._scaled.update(_stored_scales(self.folder, self.name, "recordings"))
        subject, session = key = str(self.subject[index]), int(self.session[index])
        if key not in self._scaled:
            found = (self._whole or self)._measured_scale(subject, session)
            told = self._stated_scales.get(key, found)
            self._scaled[key] = told if np.allclose(told, found, rtol=1e-5, atol=1e-5) else found
        return self._scaled[key]

    @cached_property
    def _stated_scales(self) -> dict[tuple[str, int], tuple[float, float]]:
        return _stored_scales(self.folder, self.name, STATED_SCALES)

    @property
    def stored_scales(self) -> dict[tuple[str, int], tuple[float, float]]:
        """(subject, session) -> mean and standard deviation of a recording in µV, where stored; no signal is read."""
        return self._stated_scales | _stored_scales(self.folder, self.name, "recordings")

    def _measured_scale(self, subject: str, session: int) -> tuple[float, float]:
        members = np.flatnonzero((self.subject == subject) & (self.session == session))
        return robust_scale(np.concatenate([self.signal(int(index)).ravel() for index in members])[None])

    @cached_property
    def clip_valence(self) -> np.ndarray:
        """`(trials,)`: 1 where the trial's stimulus has a mean valence rating above the median of the corpus's stimuli,
        0 where not, -1 where nobody rated it. The same for everybody who saw the stimulus; half of the stimuli are 1.
        """
        valence = self.ratings[:, RATINGS.index("valence")]
        found = np.full(len(self), -1)
        rated = ~np.isnan(valence)
        if rated.any():
            stimuli, number = np.unique(self.stimulus[rated], return_inverse=True)
            means = np.bincount(number, valence[rated]) / np.bincount(number)
            high = dict(zip(stimuli.tolist(), (means > np.median(means)).astype(int).tolist(), strict=True))
            found = np.array([high.get(stimulus, -1) for stimulus in self.stimulus.tolist()])
        return found

    def origin(self, index: int) -> tuple[str, int]:
        """The corpus of a trial, and its row in the prepared folder."""
        return self.name, int(self.rows[index])

    def signal(self, index: int) -> np.ndarray:
        """View of one trial, `(channels, samples)` float32, µV."""
        return self._signals.view(int(self.rows[index]), len(self.ch_names[index]))

    def window(self, index: int, start: int, length: int) -> np.ndarray:
        """One scaled window on the standard channels, `(60, length)` float32."""
        mean, std = self._scale(index)
        projection, weight = self._projection(self.ch_names[index])
        window = projection @ self.signal(index)[:, start : start + length]
        window -= weight * np.float32(mean)
        window *= np.float32(1 / std)
        return window

    def projection(self, index: int) -> np.ndarray:
        """What turns the channels of a trial into the standard ones, `(60, channels)` float32."""
        return self._projection(self.ch_names[index])[0]

    def _projection(self, ch_names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
        """The projection `(60, channels)`, and what a constant becomes under it, `(60, 1)`."""
        if ch_names not in self._projections:
            projection = channel_projection(list(ch_names), self.montage).astype(np.float32)
            self._projections[ch_names] = projection, projection.sum(axis=1, keepdims=True)
        return self._projections[ch_names]

    def select(self, keep: np.ndarray) -> "TrialSet":
        """The trials where `keep` `(trials,)` is true."""
        chosen = np.flatnonzero(keep)
        columns = ("rows", "subject", "session", "trial", "stimulus", "label", "emotion", "valence_class", "ratings")
        arrays = {name: getattr(self, name)[chosen] for name in (*columns, "n_samples")}
        return TrialSet(
            name=self.name,
            folder=self.folder,
            sampling_rate=self.sampling_rate,
            ch_names=[self.ch_names[index] for index in chosen],
            label_names=self.label_names,
            montage=self.montage,
            _mapped=self._mapped,
            _whole=self._whole or self,
            _scaled=self._scaled,
            **arrays,
        )

    @property
    def fingerprint(self) -> str:
        """Changes whenever the folder's rows do."""
        return json.loads((self.folder / "state.json").read_text(encoding="utf-8"))["_fingerprint"]

    @property
    def hours(self) -> float:
        """Total duration."""
        return float(self.n_samples.sum()) / self.sampling_rate / 3600


def open_corpora(paths: Sequence[str | Path | Dataset], montage: str = "positions") -> list[TrialSet]:
    """Open corpora: prepared folders, each of which may hold one dataset, several, or be a folder of prepared folders;
    Parquet folders, `user/corpus` of the Hub and a `datasets.Dataset`, see [`mdjpt_hf.data.sources.prepared_folder`].
    Parts of one corpus (`mdjpt data prepare --subjects`) are opened as the corpus.
    Every file is read, to compare it with its hash: a second for a gigabyte. What was found whole in a corpus of more
    than that is not read again while its files stay as they are ([`mdjpt_hf.data.checksums`]). Of `stream:` corpora
    nothing is read but the index; damage is noticed when a trial is read.

    Raises:
        CorpusError: If a path is not a prepared corpus, a file of it is damaged or holds NaN, or two folders hold a
            dataset of the same name.
        SchemaError: If a dataset has a name that none can have.
    """
    folders = parts_joined([folder for source in paths for folder in _folders_of(source)])
    trial_sets = [trial_set for folder in folders for trial_set in _open(folder, montage)]
    names = [trial_set.name for trial_set in trial_sets]
    for name in names:
        check_dataset_name(name)
    for name in sorted({name for name in names if names.count(name) > 1}):
        several = [str(trial_set.folder) for trial_set in trial_sets if trial_set.name == name]
        raise CorpusError(
            f"dataset {name!r} comes from several folders: {several}",
            value=name,
            remedy="Give each --data once, or prepare the second one under another name",
        )
    return trial_sets


def _folders_of(source: str | Path | Dataset) -> list[Path]:
    path = prepared_folder(source)
    folders = prepared_folders(path)
    if not folders:
        raise CorpusError(
            "is not a prepared corpus (no state.json in it or in its folders)",
            path=path,
            remedy="Make one with `mdjpt data prepare`, or give a Parquet folder or user/corpus of the Hub",
        )
    return folders


def _open(folder: Path, montage: str) -> list[TrialSet]:
    table, signals = _streamed(folder) if is_index_folder(folder) else mapped(folder, _TOLD)
    names = np.array(table.column("dataset").to_pylist(), dtype=object)
    label_names = _label_names(folder)
    for name in dict.fromkeys(names.tolist()):
        _tell_unknown(folder, str(name))
    return [
        _trial_set(folder, table, np.flatnonzero(names == name), str(name), label_names.get(name, ()), montage, signals)
        for name in dict.fromkeys(names.tolist())
    ]


def _streamed(folder: Path) -> tuple[pa.Table, RangedSignals]:
    """The same of a corpus that lies elsewhere, by its index; signals are looked at when they are read."""
    index = index_in(folder)
    signals = signals_of(folder, index)
    if line := signals.slow_in_words():
        LOGGER.warning("%s", line)
    return index.rows.select(_TOLD), signals


def require_rate(trials: TrialSet, sampling_rate: float) -> None:
    """Refuse a dataset of another sampling rate (Hz) than a model reads.

    Raises:
        ConfigurationError: If it has one.
    """
    found = trials.sampling_rate
    if found != sampling_rate:
        words = f"dataset {trials.name!r} has {found:g} Hz, the model reads {sampling_rate} Hz"
        remedy = "Prepare it again with `mdjpt data prepare`"
        raise ConfigurationError(words, path=trials.folder, value=found, remedy=remedy)


def preprocessing_of(folder: Path, rows: np.ndarray) -> tuple[str, ...]:
    """Ids of the presets that rows of a folder went through."""
    return tuple(sorted(set(_stored(folder, "preprocessing", rows))))


def stored_stimuli(trials: TrialSet) -> np.ndarray:
    """`(trials,)` ids as they stand in the rows: `trials.stimulus` but in corpora of versions before, see
    [`mdjpt_hf.data_scripts.showings.clips_of`]."""
    return np.array(_stored(trials.folder, "stimulus", trials.rows))


def _stored(folder: Path, column: str, rows: np.ndarray) -> list[Any]:
    table = index_in(folder).rows if is_index_folder(folder) else mapped_columns(folder, [column])
    return table.column(column).take(pa.array(rows)).to_pylist()


def _trial_set(
    folder: Path,
    table: pa.Table,
    rows: np.ndarray,
    name: str,
    label_names,
    montage: str,
    signals: "MappedSignals | RangedSignals",
) -> TrialSet:
    part = table.take(pa.array(rows))
    columns: dict[str, Any] = {column: np.array(part.column(column).to_pylist()) for column in _IDENTITY}
    columns["stimulus"] = _clips(folder, name, columns["stimulus"])
    rates = np.unique(columns.pop("sampling_rate"))
    if len(rates) > 1:
        raise CorpusError(
            f"dataset {name!r} mixes sampling rates {rates.tolist()} Hz",
            path=folder,
            value=rates.tolist(),
            remedy="Prepare it with a preset that resamples",
        )
    labels, in_rows = columns["label"].tolist(), columns.pop("label_name").tolist()
    columns["ratings"] = np.stack([columns.pop(rating) for rating in RATINGS], axis=1).astype(np.float32)
    montages: dict[tuple[str, ...], tuple[str, ...]] = {}  # one object per montage, however many trials have it
    pieces = part.select(["ch_names"]).to_batches(max_chunksize=1000)  # texts of all rows at once take gigabytes
    ch_names = [
        montages.setdefault(names, names) for piece in pieces for names in map(tuple, piece.column(0).to_pylist())
    ]
    return TrialSet(
        name=name,
        folder=folder,
        rows=rows,
        sampling_rate=float(rates[0]),
        ch_names=ch_names,
        label_names=_class_names(f"dataset {name!r} in {folder}", labels, in_rows, label_names),
        montage=montage,
        _mapped=signals,
        **columns,
    )


def _clips(folder: Path, name: str, stimulus: np.ndarray) -> np.ndarray:
    title = _stored_facts(folder).get(name, {}).get("title", "")
    return clips_of(stimulus, corpus_options(folder_metadata(folder), name), title)


def _stored_facts(folder: Path) -> dict[str, dict[str, Any]]:
    return {facts["name"]: facts for facts in folder_metadata(folder).get("facts", [])}


def _tell_unknown(folder: Path, name: str) -> None:
    """Say where rows came without a word on their corpus: what keeps pairs and splits sound may have been left out."""
    if name not in _stored_facts(folder) and not published_facts(name):
        LOGGER.warning(
            "the corpus %s came with nothing but its rows: its stimuli are taken for its own, and for the same moments "
            "for everybody; `mdjpt data parquet` and `mdjpt data push` write what else is known beside them",
            name,
        )


def _label_names(folder: Path) -> dict[str, tuple[str, ...]]:
    return {name: tuple(facts["label_names"]) for name, facts in _stored_facts(folder).items()}


def _class_names(where: str, labels: Sequence[int], names: Sequence[str], told: Sequence[str]) -> tuple[str, ...]:
    """Names of classes by their numbers, as rows have them; of those that do not occur, as facts `told` them.

    Raises:
        CorpusError: If a number has two names in the rows, or a name two numbers.
    """
    pairs = sorted({(label, name) for label, name in zip(labels, names, strict=True) if label >= 0 and name})
    for (label, name), (other, another) in combinations(pairs, 2):
        if label == other or name == another:
            raise CorpusError(
                f"{where}: class {label} is called {name!r}, and class {other} {another!r}",
                value=pairs,
                remedy="Give every class one number and one name: what was numbered apart, by two calls of an adapter "
                "or in two tables, is to be prepared together",
            )
    known = dict(pairs)
    free = {number: name for number, name in enumerate(told) if name not in known.values()}
    count = max([*labels, len(told) - 1], default=-1) + 1
    return tuple(known.get(label) or free.get(label, f"class {label}") for label in range(count))


def _stored_scales(folder: Path, name: str, entry: str) -> dict[tuple[str, int], tuple[float, float]]:
    recordings = folder_metadata(folder).get(entry, [])
    return {
        (entry["subject"], entry["session"]): (entry["mean"], entry["std"])
        for entry in recordings
        if entry["dataset"] == name
    }
