"""Data that other libraries hold, as a corpus of the one schema: prepared by the code that prepares files.

| from | signals are in | subjects, sessions | labels |
|---|---|---|---|
| `from_arrays` | the unit you give | you give them | you give them |
| `from_epochs` (MNE) | V, as MNE promises | a list, a dict, or columns of `metadata` | names of events, or a column |
| `from_braindecode` | V, unless a preprocessor scaled them | columns of `description` | the target, by its name |
| `from_moabb` | V | MOABB's own | names of events |
| `from_torcheeg` | the unit you give: its folders hold none | columns of `info.csv` | a column |

Nothing but you can say which trials showed the same clip to several people (`stimulus`). Without it each trial has an
id of its own, and no pairs are made of the corpus.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np
from datasets import Dataset

from mdjpt_hf.data.loading import prepared_once
from mdjpt_hf.data_scripts.adapted import AdaptedCorpus, Reader
from mdjpt_hf.data_scripts.adapted_arrays import EVENTS, array_subjects, epochs_subjects
from mdjpt_hf.data_scripts.adapted_braindecode import TARGET, braindecode_subjects
from mdjpt_hf.data_scripts.adapted_columns import TrialColumns, as_text, one_each
from mdjpt_hf.data_scripts.adapted_moabb import moabb_facts, moabb_subjects
from mdjpt_hf.data_scripts.adapted_torcheeg import torcheeg_subjects
from mdjpt_hf.data_scripts.own_recordings import LabelSource
from mdjpt_hf.errors import ConfigurationError, CorpusError
from mdjpt_hf.schema import RATINGS

#: Of a rating: `(column, lowest, highest)` of the instrument.
Scales = Mapping[str, tuple[str, float, float]]


class Preparation(TypedDict, total=False):
    """How a corpus is prepared; what every adapter takes.

    Attributes:
        preprocessing: `none`, `basic` (default) or `paper`.
        label_source: `stimulus` (default) if labels say what was shown, `self-report` if they say what was felt.
        stimulus_set: Name of the stimuli, where another corpus shows the same ones under the same ids.
        workers: Processes that prepare subjects side by side, for data that lies on disk.
        cache_dir: Where the rows are kept; by default in the cache of `datasets`.
        skip_bad: Leave out subjects that cannot be read.
    """

    preprocessing: str
    label_source: LabelSource
    stimulus_set: str
    workers: int
    cache_dir: str | Path | None
    skip_bad: bool


def from_arrays(
    signals: np.ndarray | Sequence[np.ndarray],
    *,
    ch_names: Sequence[str],
    sampling_rate: float,
    unit: str,
    name: str,
    subject: Any,
    session: Any = 0,
    stimulus: Any = None,
    label: Any = None,
    emotion: Any = None,
    valence_class: Any = None,
    ratings: Mapping[str, Any] | None = None,
    bads: Sequence[str] = (),
    **preparation: Unpack[Preparation],
) -> Dataset:
    """Trials that are arrays, as rows of `mdjpt_hf.schema.TRIAL_FEATURES`.

        from_arrays(trials, ch_names=["Fp1", "Fp2", ...], sampling_rate=250, unit="uV", name="mine",
                    subject=["s1", "s1", "s2"], stimulus=["clip1", "clip2", "clip1"], label=["joy", "fear", "joy"])

    Args:
        signals: `(trials, channels, samples)`, or arrays `(channels, samples)` of any lengths, in the order of
            presentation.
        ch_names, bads: Names of all channels, and of bad ones. sampling_rate: Hz, at least 94.
        unit: Of the numbers: "V", "mV" or "uV".
        name: Value of the `dataset` column.
        subject, session, stimulus, label, emotion, valence_class: One value for all trials, or one for each.
        ratings: Of `valence`, `arousal`, `dominance`, `liking`: one value for all trials or one for each, in [0, 1].
        preparation: See [`Preparation`].

    Raises:
        CorpusError: If shapes or lengths do not go together.
        MDJPTError: What the signal path raises.
    """
    arrays = _as_arrays(signals)
    given = {"stimulus": stimulus, "label": label, "emotion": emotion, "valence_class": valence_class}
    texts = {key: [as_text(item) for item in one_each(value, len(arrays), key)] for key, value in given.items()}
    rated = {key: one_each(value, len(arrays), key) for key, value in (ratings or {}).items()}
    if unknown := sorted(set(rated) - set(RATINGS)):
        raise ConfigurationError(f"there are no ratings {unknown}", value=unknown, remedy=f"Use {list(RATINGS)}")
    trials = [
        {
            "stimulus": texts["stimulus"][k],
            "label": texts["label"][k],
            "emotion": texts["emotion"][k] or None,
            "valence_class": texts["valence_class"][k] or None,
            "ratings": {key: _rating(values[k], key) for key, values in rated.items()},
        }
        for k in range(len(arrays))
    ]
    people = [as_text(item) for item in one_each(subject, len(arrays), "subject")]
    sessions = [as_text(item) for item in one_each(session, len(arrays), "session")]
    subjects = array_subjects(arrays, ch_names, sampling_rate, unit, people, sessions, trials, bads)
    return _prepared(subjects, name, preparation)


def from_epochs(
    epochs: Any,
    *,
    name: str,
    subject: str = "",
    session: str = "",
    stimulus: str = "",
    label: str = EVENTS,
    emotion: str = "",
    valence_class: str = "",
    ratings: Scales | None = None,
    unit: str | None = None,
    **preparation: Unpack[Preparation],
) -> Dataset:
    """`mne.Epochs`, as rows of `mdjpt_hf.schema.TRIAL_FEATURES`; an epoch is a trial.

    What an epoch holds before its event (`tmin` below 0) helps to filter, and is no part of the trial. Bad channels
    are those of `info["bads"]`.

    Args:
        epochs: `mne.Epochs`; a list of them, one a subject; or a dict of subject -> epochs, or a list of them, one a
            session. Subjects of a list are called `1`, `2`, ...
        name: Value of the `dataset` column.
        subject, session: Columns of `metadata` that say whose an epoch is, and of which session. Without `session`,
            each set of epochs that holds some of a person is a session of theirs.
        stimulus, label, emotion, valence_class: Columns of `metadata`; `event` is the name of the event where there
            is no such column, `-` nothing.
        ratings: Of `valence`, `arousal`, `dominance`, `liking` -> `(column, lowest, highest)`.
        unit: What the numbers really are, where they are not V, as MNE promises.
        preparation: See [`Preparation`].

    Raises:
        CorpusError: If they are no epochs, overlap, or have no such column.
        MDJPTError: What the signal path raises, a wrong unit among them.
    """
    columns = TrialColumns(stimulus, label, emotion, valence_class, ratings or {})
    if isinstance(epochs, Mapping):
        people = {as_text(who): list(own) if isinstance(own, list | tuple) else [own] for who, own in epochs.items()}
        if len(people) < len(epochs):
            raise CorpusError(
                f"two subjects of {list(epochs)} are called the same",
                value=list(epochs),
                remedy="Give each a name of its own",
            )
    else:
        sets = list(epochs) if isinstance(epochs, list | tuple) else [epochs]
        people = {str(number): [own] for number, own in enumerate(sets, 1)}
    return _prepared(epochs_subjects(people, columns, subject, session, unit), name, preparation)


def from_braindecode(
    dataset: Any,
    *,
    name: str,
    subject: str = "subject",
    session: str = "session",
    unit: str | None = None,
    stimulus: str = "",
    label: str = TARGET,
    emotion: str = "",
    valence_class: str = "",
    ratings: Scales | None = None,
    **preparation: Unpack[Preparation],
) -> Dataset:
    """A data set of braindecode, as rows of `mdjpt_hf.schema.TRIAL_FEATURES`.

    Windows of one trial become that trial again, overlapping or not; one that lacks some of its windows is left out.
    Of a `RawDataset` each recording is one trial. Transforms that are applied to windows as they are taken out are not
    applied here.

    Args:
        dataset: A `BaseConcatDataset`, or a `RawDataset`, `EEGWindowsDataset` or `WindowsDataset`.
        name: Value of the `dataset` column.
        subject, session: Columns of `description`. Without the latter each recording of a person is a session.
        stimulus, label, emotion, valence_class: Columns of `description` or of the windows' `metadata`; `target` is
            what braindecode predicts, by the name that windows were made with, `-` nothing.
        ratings: Of `valence`, `arousal`, `dominance`, `liking` -> `(column, lowest, highest)`.
        unit: What the numbers really are, where a preprocessor scaled them: "uV" after a multiplication by 10⁶.
        preparation: See [`Preparation`].

    Raises:
        CorpusError: If it is no such data set, was standardised, or has no such column.
        MDJPTError: What the signal path raises, a wrong unit among them.
    """
    columns = TrialColumns(stimulus, label, emotion, valence_class, ratings or {})
    return _prepared(braindecode_subjects(dataset, columns, subject, session, unit), name, preparation)


def from_moabb(
    dataset: Any,
    paradigm: Any,
    *,
    subjects: Sequence[Any] | None = None,
    name: str = "",
    **preparation: Unpack[Preparation],
) -> Dataset:
    """A data set of MOABB, as rows of `mdjpt_hf.schema.TRIAL_FEATURES`.

    The paradigm says which events are trials, from when to when, and on which channels. Its filter and rate are not
    applied: recordings are prepared as a whole, as files are.

    Args:
        dataset, paradigm: Of MOABB. subjects: Of `dataset.subject_list`; all of them by default.
        name: Value of the `dataset` column; the data set's code by default.
        preparation: See [`Preparation`].

    Raises:
        CorpusError: If they do not fit each other, or a subject is not there.
        MDJPTError: What the signal path raises.
    """
    readers = moabb_subjects(dataset, paradigm, subjects)
    return _prepared(readers, name or str(dataset.code), preparation, moabb_facts(dataset))


def from_torcheeg(
    folder: str | Path,
    *,
    ch_names: Sequence[str],
    sampling_rate: float,
    unit: str,
    name: str,
    subject: str = "subject_id",
    session: str = "",
    trial: str = "trial_id",
    stimulus: str = "",
    label: str = "",
    emotion: str = "",
    valence_class: str = "",
    ratings: Scales | None = None,
    **preparation: Unpack[Preparation],
) -> Dataset:
    """A folder that torcheeg prepared, as rows of `mdjpt_hf.schema.TRIAL_FEATURES`; needs the extra `[torcheeg]`.

    Chunks of one trial become that trial again. torcheeg itself is not needed.

    Args:
        folder: The `io_path` of a torcheeg data set.
        ch_names: Names of its channels in their order, such as `torcheeg.datasets.constants.DEAP_CHANNEL_LIST`.
        sampling_rate: Hz. unit: Of the numbers. torcheeg keeps neither, and takes both from the corpus as it is.
        name: Value of the `dataset` column.
        subject, session, trial: Columns of `info.csv` that say whose a chunk is, and of which session and trial.
            Without `session` all that there is of a person is one, and a line names columns that may tell sessions.
        stimulus, label, emotion, valence_class: Columns of `info.csv`, empty for none.
        ratings: Of `valence`, `arousal`, `dominance`, `liking` -> `(column, lowest, highest)`.
        preparation: See [`Preparation`].

    Raises:
        CorpusError: If it is no such folder, has no such column, or holds features in the place of signals.
        ConfigurationError: If the extra is missing.
    """
    columns = TrialColumns(stimulus, label, emotion, valence_class, ratings or {})
    place = Path(folder).expanduser()
    readers = torcheeg_subjects(place, ch_names, sampling_rate, unit, columns, subject, session, trial)
    return _prepared(readers, name, preparation)


def _prepared(
    subjects: Mapping[str, Reader], name: str, preparation: Preparation, about: Mapping[str, Any] | None = None
) -> Dataset:
    options: dict[str, Any] = dict(preparation)
    if unknown := sorted(set(options) - set(Preparation.__annotations__)):
        raise ConfigurationError(
            f"no use for {unknown}", value=unknown, remedy=f"Use {', '.join(Preparation.__annotations__)}"
        )
    kept = {key: options.pop(key) for key in ("workers", "cache_dir", "skip_bad") if key in options}
    return prepared_once(AdaptedCorpus(subjects, name, about=about, **options), name, **kept)


def _as_arrays(signals: Any) -> list[np.ndarray]:
    try:
        return [np.asarray(signal) for signal in signals]
    except (TypeError, ValueError) as error:
        raise CorpusError(
            f"signals are {type(signals).__name__}, no arrays: {error}",
            value=type(signals).__name__,
            remedy="Give arrays (channels, samples)",
        ) from error


def _rating(value: Any, name: str) -> float:
    try:
        return float(as_text(value) or "nan")
    except ValueError as error:
        raise CorpusError(
            f"a rating of {name} is {value!r}", value=value, remedy="Give numbers from 0 to 1, None where there is none"
        ) from error


__all__ = ["Preparation", "from_arrays", "from_braindecode", "from_epochs", "from_moabb", "from_torcheeg"]
