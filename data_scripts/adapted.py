"""A corpus of what another library holds in memory, or reads: prepared as own recordings are.

An adapter says what the recordings of each subject are, and which trials are marked in them. Everything is read twice:
once to know what it is (its labels, its sessions, and whether it was prepared before), and once to prepare it.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mdjpt_hf.data_scripts.base import CorpusBuilder, CorpusFacts, UnitReport
from mdjpt_hf.data_scripts.own_recordings import (
    LabelSource,
    add_notes,
    check_label_source,
    first_overlap,
    prepared_recording,
    problem_of,
    session_numbers,
    short_notes,
)
from mdjpt_hf.data_scripts.showings import Presentation, rule_of
from mdjpt_hf.data_scripts.signatures import signature
from mdjpt_hf.errors import CorpusError
from mdjpt_hf.modeling.montage_mdjpt import ChannelSelection
from mdjpt_hf.modeling.raw_mdjpt import Recording
from mdjpt_hf.modeling.stretches_mdjpt import Stretch
from mdjpt_hf.preprocessing import check_preset, preset_settings
from mdjpt_hf.schema import RATINGS, Trial

#: Why a corpus without ids of its stimuli has no pairs.
UNKNOWN_STIMULI = "nothing says which stimulus was shown"


@dataclass(frozen=True)
class AdaptedTrial:
    """One trial in an adapted recording.

    Attributes:
        onset, duration: s on the recording's clock; a duration of None is to its end.
        stimulus: The same id for everybody who saw the same clip; empty where it is not known.
        label: Name of the class; empty where there is none.
        emotion, valence_class: Words of the common vocabulary.
        ratings: In [0, 1], by the names of `schema.RATINGS`.
        problem: Why it cannot be used; empty if it can.
    """

    onset: float
    duration: float | None
    stimulus: str = ""
    label: str = ""
    emotion: str | None = None
    valence_class: str | None = None
    ratings: Mapping[str, float] = field(default_factory=dict)
    problem: str = ""


@dataclass
class AdaptedRecording:
    """What was recorded in one go, and the trials in it.

    Attributes:
        where: Where it comes from, for messages. session: As the other library names it.
        recording: In µV, not yet cleaned. trials: In the order of presentation.
        notes: What the adapter noticed.
    """

    where: str
    session: str
    recording: Recording
    trials: Sequence[AdaptedTrial]
    notes: Sequence[str] = ()


#: Reads the recordings of one subject, session by session.
Reader = Callable[[], Iterable[AdaptedRecording]]


class AdaptedCorpus(CorpusBuilder):
    """Corpus of recordings that another library holds; one unit of work per subject.

    Args:
        subjects: Id -> what reads the recordings of this person.
        name: Value of the `dataset` column.
        preprocessing: Preset of `mdjpt_hf.preprocessing`, applied before trials are cut.
        label_source: Whether labels say what was shown or what was felt.
        stimulus_set: Name of the stimuli, where other corpora show the same ones under the same ids.
        about: Fields of `CorpusFacts` for what is not the user's own.

    Raises:
        CorpusError: If there are no subjects, or trials of one recording overlap.
        ConfigurationError: If the preset is unknown.
        MDJPTError: What reading a recording raises.
    """

    def __init__(
        self,
        subjects: Mapping[str, Reader],
        name: str,
        preprocessing: str = "basic",
        label_source: LabelSource = "stimulus",
        stimulus_set: str = "",
        about: Mapping[str, Any] | None = None,
    ):
        super().__init__(preprocessing)
        check_preset(preprocessing)
        check_label_source(label_source)
        if not subjects or not name:
            raise CorpusError(
                "no subjects are given" if name else "the corpus has no name",
                value=name,
                remedy="Give recordings of at least one person, and a name=",
            )
        self.subjects, self.name, self.label_source = dict(subjects), name, label_source
        self.stimulus_set, self.about = stimulus_set, dict(about or {})
        self._known = _survey(self.subjects)

    @property
    def facts(self) -> list[CorpusFacts]:
        """The one dataset of this builder."""
        rated, known = self._known.rated, self._known
        own = {
            "title": "Recordings that their owner holds in another library",
            "licence": "The owner's own recordings; no licence is given",
            "redistribution": "Up to whom they belong to, and to the consent of those recorded",
            "redistributable": False,
            "own": True,
        }
        told: dict[str, Any] = self.about or own
        return [
            CorpusFacts(
                name=self.name,
                label_source=self.label_source if known.labels else "none",
                label_names=known.labels,
                rating_scale=f"{', '.join(rated)} in [0, 1], as rescaled by their owner" if rated else "",
                stimulus_set=self.stimulus_set,
                unaligned="" if known.stimuli else UNKNOWN_STIMULI,
                **told,
            )
        ]

    def units(self) -> list[str]:
        """The subjects, in the order given."""
        return list(self.subjects)

    def notes(self) -> list[str]:
        """What is not known, and trials that give no window of the usual length."""
        remarks = [] if self._known.stimuli else [f"{UNKNOWN_STIMULI}: there are no pairs for inter-subject alignment"]
        return remarks + short_notes(self._known.durations)

    def options(self) -> dict[str, Any]:
        """A hash of signals and trials, and the settings the rows depend on."""
        return {
            "content": self._known.sha256,
            "name": self.name,
            "label_source": self.label_source,
            "preprocessing": preset_settings(self.preprocessing),
            **({"stimulus_set": self.stimulus_set} if self.stimulus_set else {}),
            **self._known.rules,
        }

    def read_unit(self, unit: str, report: UnitReport) -> Iterator[Trial]:
        """Yield the trials of one subject, session by session.

        Raises:
            MDJPTError: What the signal path raises, with the place in front.
        """
        shown = Presentation()
        numbers = self._known.sessions
        for part in sorted(self.subjects[unit](), key=lambda part: numbers[part.session]):
            recording, session = part.recording, numbers[part.session]
            if all(trial.problem for trial in part.trials):
                for trial in part.trials:
                    shown.next(session, trial.stimulus)
                report.rejected += [f"{part.where}: trial {k} {trial.problem}" for k, trial in enumerate(part.trials)]
                continue
            report.signatures[f"{unit}: {part.where}"] = signature(recording)
            prepared = prepared_recording(Path(part.where), recording, self.preprocessing)
            notes = [*part.notes, *recording.notes, *recording.selection.notes(), *prepared.notes]
            add_notes(report, part.where, notes)
            for number, trial in enumerate(part.trials):
                position, _ = shown.next(session, trial.stimulus)
                span = prepared.span(trial.onset, trial.duration)
                beyond = "lies outside the recording" if span.beyond else ""
                if problem := trial.problem or beyond or problem_of(span, prepared):
                    report.rejected.append(f"{part.where}: trial {number} {problem}")
                    continue
                yield Trial(
                    dataset=self.name,
                    subject=unit,
                    session=session,
                    trial=position,
                    stimulus=trial.stimulus or f"unknown: subject {unit}, session {session}, trial {position}",
                    label=self._known.labels.index(trial.label) if trial.label else -1,
                    label_name=trial.label,
                    emotion=trial.emotion,
                    valence_class=trial.valence_class,
                    **prepared.cut(span) | {name: trial.ratings.get(name, float("nan")) for name in RATINGS},
                )


@dataclass(frozen=True)
class _Known:
    """What one reading of everything tells."""

    sha256: str
    labels: tuple[str, ...]
    sessions: dict[str, int]
    rated: tuple[str, ...]
    stimuli: bool
    durations: list[float | None]
    rules: dict[str, Any]


def _survey(subjects: Mapping[str, Reader]) -> _Known:
    content, trials = hashlib.sha256(), Counter[str]()
    labels: set[str] = set()
    rated: set[str] = set()
    sessions: dict[str, set[str]] = defaultdict(set)
    shown: list[tuple[Any, str]] = []
    durations: list[float | None] = []
    for subject, read in subjects.items():
        _check_subject(subject)
        for part in read():
            _check_overlaps(part)
            _add(content, subject, part)
            sessions[subject].add(part.session)
            shown += [((subject, part.session), trial.stimulus) for trial in part.trials]
            labels |= {trial.label for trial in part.trials if trial.label}
            rated |= {name for trial in part.trials for name, value in trial.ratings.items() if not np.isnan(value)}
            trials["known"] += sum(bool(trial.stimulus) for trial in part.trials)
            durations += [trial.duration for trial in part.trials]
    numbers, numbering = session_numbers(sessions)
    return _Known(
        content.hexdigest(),
        tuple(sorted(labels)),
        numbers,
        tuple(name for name in RATINGS if name in rated),
        bool(trials["known"]),
        durations,
        numbering | rule_of(shown),
    )


def _check_subject(subject: Any) -> None:
    if not isinstance(subject, str) or not subject.strip():
        raise CorpusError(
            f"a subject is called {subject!r}", value=subject, remedy="Give each a short id without personal data"
        )


def _check_overlaps(part: AdaptedRecording) -> None:
    """A stretch of signal belongs to one trial."""
    if overlap := first_overlap(trial for trial in part.trials if not trial.problem):
        first, second = overlap
        raise CorpusError(
            f"trials overlap: one from {first.onset:g} s"
            + (f" for {first.duration:g} s" if first.duration is not None else " to the end")
            + f", the next from {second.onset:g} s",
            path=part.where,
            value=(first.onset, second.onset),
            remedy="Give trials that share no samples: windows of the same trial are put together here",
        )


def _add(content: Any, subject: str, part: AdaptedRecording) -> None:
    recording = part.recording
    facts = [subject, part.session, recording.sampling_rate, recording.ch_names, recording.bads, recording.stretches]
    content.update(repr([*facts, list(part.trials)]).encode())
    content.update(np.ascontiguousarray(recording.signal))


def laid_apart(
    signals: Sequence[np.ndarray],
    trials: Sequence[AdaptedTrial],
    selection: ChannelSelection,
    rate: float,
    bads: Sequence[str] = (),
    unit: str = "uV",
    notes: Sequence[str] = (),
) -> tuple[Recording, list[AdaptedTrial]]:
    """Trials that were stored one by one as one recording, in which nothing runs from one into another.

    Signals of trials that cannot be used are left out, so that no channel is judged by them.

    Args:
        signals: Each `(channels, samples)` in µV, channels as `selection` keeps them.
        trials: One for each, with its onset in s from the start of its signal.
        rate: Hz. bads: Standard names. unit: What the values were taken to be in, for messages. notes: For people.

    Returns:
        `(Recording, list[AdaptedTrial])`: The recording, and the trials with their onsets on its clock.
    """
    good = [number for number, trial in enumerate(trials) if not trial.problem] or list(range(len(trials)))
    kept = [signals[number] for number in good]
    stops = np.cumsum([signal.shape[1] for signal in kept]).tolist()
    stretches = [
        Stretch(stop - signal.shape[1], stop, (stop - signal.shape[1]) / rate)
        for stop, signal in zip(stops, kept, strict=True)
    ]
    signal = np.concatenate(kept, axis=1).astype(np.float32, copy=False)
    recording = Recording(signal, rate, selection, list(bads), [], unit, stretches, list(notes))
    placed = list(trials)
    for number, stretch in zip(good, stretches, strict=True):
        placed[number] = replace(trials[number], onset=trials[number].onset + stretch.onset)
    return recording, placed


def joined(starts: Sequence[int], pieces: Sequence[np.ndarray], where: str) -> tuple[np.ndarray, str]:
    """Windows of one trial put together, and why that cannot be done where some are missing.

    Args:
        starts: The first sample of each on one clock. pieces: Each `(channels, samples)`. where: For messages.

    Returns:
        `(signal, problem)`: `(channels, samples)`; `problem` is empty if nothing is missing.

    Raises:
        CorpusError: If windows that overlap do not agree.
    """
    first, end = min(starts), max(start + piece.shape[1] for start, piece in zip(starts, pieces, strict=True))
    signal, covered = np.zeros((len(pieces[0]), end - first), pieces[0].dtype), np.zeros(end - first, bool)
    for start, piece in zip(starts, pieces, strict=True):
        place = slice(start - first, start - first + piece.shape[1])
        known = covered[place]
        if not np.allclose(signal[:, place][:, known], piece[:, known], rtol=1e-4, atol=1e-9, equal_nan=True):
            raise CorpusError(
                "windows overlap, but hold different values where they do",
                path=where,
                value=int(start),
                remedy="Give the signals before anything was done to single windows",
            )
        signal[:, place], covered[place] = piece, True
    missing = int((~covered).sum())
    return signal, f"lacks windows: {missing} samples are in none of them" if missing else ""
