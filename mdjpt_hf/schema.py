"""The one schema: a row is a trial, one stimulus shown to one subject in one session, once.

Every corpus, simulated or real, becomes exactly these columns, so any two concatenate without casting. Signals are
float32 microvolts, stored flat and channel by channel (C order of `(channels, samples)`), so that a window is a view
into memory-mapped storage. `label` is the corpus's own class; whether it says what the stimulus was meant to evoke or
what the subject reported stands in the corpus metadata (`CorpusFacts.label_source`).
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import ClassLabel, Features, LargeList, List, Value

from mdjpt_hf.errors import SchemaError
from mdjpt_hf.modeling.signal_mdjpt import check_amplitude

#: Common vocabulary of emotions; a corpus's own class maps to one of these or to -1.
EMOTIONS = (
    "neutral",
    "anger",
    "disgust",
    "fear",
    "sadness",
    "surprise",
    "amusement",
    "joy",
    "inspiration",
    "tenderness",
    "calmness",
    "excitement",
)
VALENCE_CLASSES = ("negative", "neutral", "positive")
#: What each emotion counts as where a corpus does not say: the grouping of FACED (Chen et al. 2023), whose classes
#: these are. Surprise, calmness and excitement are in none of its groups, and stay unknown.
VALENCE_OF_EMOTION = {
    "neutral": "neutral",
    **dict.fromkeys(("anger", "disgust", "fear", "sadness"), "negative"),
    **dict.fromkeys(("amusement", "joy", "inspiration", "tenderness"), "positive"),
}
RATINGS = ("valence", "arousal", "dominance", "liking")

TRIAL_FEATURES = Features(
    {
        "dataset": Value("string"),
        "subject": Value("string"),
        "session": Value("int32"),
        "trial": Value("int32"),
        "stimulus": Value("string"),
        "signal": LargeList(Value("float32")),
        "n_samples": Value("int64"),
        "sampling_rate": Value("float32"),
        "ch_names": List(Value("string")),
        "label": Value("int32"),
        "label_name": Value("string"),
        "emotion": ClassLabel(names=list(EMOTIONS)),
        "valence_class": ClassLabel(names=list(VALENCE_CLASSES)),
        **{rating: Value("float32") for rating in RATINGS},
        "preprocessing": Value("string"),
    }
)


@cache
def arrow_schema() -> pa.Schema:
    """Of `TRIAL_FEATURES`; datasets (5.2) composes it anew each time it is asked, which takes a millisecond."""
    return TRIAL_FEATURES.arrow_schema


@dataclass
class Trial:
    """One trial as a corpus builder hands it over, before it becomes a row.

    Attributes:
        dataset, subject: Identity; `subject` is unique within the dataset and carries no personal data.
        session: Session number. trial: presentation order within the session from 0, -1 where unknown.
        stimulus: The same id for every subject who saw the same clip, and for every time that it was shown: trials of a
            clip shown again differ in `session` or `trial`, which must be known then.
        signal: `(channels, samples)` in µV.
        sampling_rate: Hz.
        ch_names: One name per channel in MNE's 10-05 spelling.
        label, label_name: The corpus's own class, -1 and "" where it has none.
        emotion, valence_class: A word of `EMOTIONS`, `VALENCE_CLASSES`, or None where unknown.
        valence, arousal, dominance, liking: The subject's own rating in [0, 1]; NaN where not collected.
        preprocessing: Id of the exact preprocessing.
        unit: What the recording was taken to be in before it was µV, for messages; it is no column.
    """

    dataset: str
    subject: str
    session: int
    trial: int
    stimulus: str
    signal: np.ndarray
    sampling_rate: float
    ch_names: list[str]
    label: int = -1
    label_name: str = ""
    emotion: str | None = None
    valence_class: str | None = None
    valence: float = float("nan")
    arousal: float = float("nan")
    dominance: float = float("nan")
    liking: float = float("nan")
    preprocessing: str = "none"
    unit: str = "uV"

    @property
    def where(self) -> str:
        """Which trial this is, for messages."""
        return f"{self.dataset}, subject {self.subject}, session {self.session}, stimulus {self.stimulus}"

    def to_row(self) -> dict[str, Any]:
        """The trial as a row of `TRIAL_FEATURES`.

        Raises:
            SchemaError: On a wrong shape, an empty trial, duplicate channels, non-finite samples, or a label, rating
                or identity out of range.
            UnitError: If the amplitude cannot be EEG in µV.
        """
        _check_identity(self)
        _check_signal(self)
        _check_labels(self)
        row = {name: getattr(self, name) for name in TRIAL_FEATURES if hasattr(self, name)}
        row["signal"] = np.ascontiguousarray(self.signal, dtype=np.float32).reshape(-1)
        row["n_samples"] = self.signal.shape[1]
        row["emotion"] = -1 if self.emotion is None else EMOTIONS.index(self.emotion)
        row["valence_class"] = -1 if self.valence_class is None else VALENCE_CLASSES.index(self.valence_class)
        return row


def trial_signal(row: dict[str, Any]) -> np.ndarray:
    """The signal of a stored row as `(channels, samples)` float32, µV."""
    return np.asarray(row["signal"], dtype=np.float32).reshape(len(row["ch_names"]), row["n_samples"])


def check_dataset_name(name: str) -> None:
    """Refuse a name of a dataset that cannot be part of the name of a file, nor stand before that of a subject.

    Raises:
        SchemaError: With the name.
    """
    if "/" in name or "\\" in name:
        raise SchemaError(
            f"a dataset is called {name!r}: records are named after it, and people {'dataset/subject'!r}",
            value=name,
            remedy=f"Call it {name.replace('/', '-').replace(chr(92), '-')!r}, with --name or name=",
        )


def _check_identity(trial: Trial) -> None:
    for name in ("dataset", "subject", "stimulus"):
        if not isinstance(getattr(trial, name), str) or not getattr(trial, name):
            raise SchemaError(
                f"{trial.where}: {name} must be a non-empty string, found {getattr(trial, name)!r}",
                value=getattr(trial, name),
                remedy=f"Give every trial a {name} id",
            )
    check_dataset_name(trial.dataset)
    if trial.trial < -1:
        raise SchemaError(
            f"{trial.where}: trial must be a position from 0, or -1 where unknown, found {trial.trial}",
            value=trial.trial,
            remedy="Count trials from 0 in order of presentation",
        )


def _check_signal(trial: Trial) -> None:
    signal, names = trial.signal, trial.ch_names
    if signal.ndim != 2 or signal.shape[0] != len(names):
        raise SchemaError(
            f"{trial.where}: signal must have shape (channels, samples) with {len(names)} channels, "
            f"found {tuple(signal.shape)}",
            value=tuple(signal.shape),
            remedy="Put channels first and name every channel",
        )
    if signal.size == 0:
        raise SchemaError(
            f"{trial.where}: the trial is empty, shape {tuple(signal.shape)}",
            value=tuple(signal.shape),
            remedy="Check the onset and duration of this trial",
        )
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        raise SchemaError(
            f"{trial.where}: duplicate channels {duplicates}",
            value=duplicates,
            remedy="Rename or drop all but one of each",
        )
    if not np.isfinite(signal).all():
        channel, sample = (int(i) for i in np.argwhere(~np.isfinite(signal))[0])
        raise SchemaError(
            f"{trial.where}: non-finite value {signal[channel, sample]} at channel {names[channel]}, sample {sample}",
            value=float(signal[channel, sample]),
            remedy="Repair or drop the trial; missing samples cannot be stored as NaN",
        )
    if not trial.sampling_rate > 0:
        raise SchemaError(
            f"{trial.where}: sampling_rate must be positive, found {trial.sampling_rate}",
            value=trial.sampling_rate,
            remedy="Give the rate in Hz",
        )
    check_amplitude(signal, trial.where, trial.unit)


def _check_labels(trial: Trial) -> None:
    for name, vocabulary in (("emotion", EMOTIONS), ("valence_class", VALENCE_CLASSES)):
        word = getattr(trial, name)
        if word is not None and word not in vocabulary:
            raise SchemaError(
                f"{trial.where}: {name} {word!r} is not in the common vocabulary",
                value=word,
                remedy=f"Use one of {', '.join(vocabulary)}, or leave it empty",
            )
    for name in RATINGS:
        rating = getattr(trial, name)
        if not np.isnan(rating) and not 0.0 <= rating <= 1.0:
            raise SchemaError(
                f"{trial.where}: {name} {rating} lies outside [0, 1]",
                value=rating,
                remedy="Rescale the instrument's scale linearly to [0, 1]",
            )
    if trial.label < -1 or (trial.label == -1) != (trial.label_name == ""):
        raise SchemaError(
            f"{trial.where}: label {trial.label} and label_name {trial.label_name!r} do not go together",
            value=(trial.label, trial.label_name),
            remedy="Give both, or -1 and an empty name",
        )
