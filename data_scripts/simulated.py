"""Simulated corpora: five emotion experiments that differ as real ones do, made from a seed.

`SimulatedCorpora` needs no download, so it is what the examples, the tests and a first run use. It stands for
no human data: a result on it says that the software works, not that a method does. Heads are in
`simulated_head`, what they feel and emit in `simulated_brain`, how it is recorded in `simulated_recording`,
the table of experiments in `simulated_experiments`; here they become rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from mdjpt_hf.data_scripts.base import CorpusBuilder, CorpusFacts, UnitReport
from mdjpt_hf.data_scripts.simulated_brain import (
    COURSE_RATE,
    DIFFICULTIES,
    NAMED_DIPOLES,
    RHYTHMS,
    StimulusCourse,
    Subject,
    draw_subject,
    keyed_rng,
    locked_responses,
    log_power_courses,
    stimulus_course,
)
from mdjpt_hf.data_scripts.simulated_experiments import SPECS, CorpusSpec
from mdjpt_hf.data_scripts.simulated_head import head_model
from mdjpt_hf.data_scripts.simulated_recording import Recording, record
from mdjpt_hf.errors import CorpusError
from mdjpt_hf.preprocessing import check_preset, preprocess, preset_settings
from mdjpt_hf.schema import Trial

#: Raise whenever the same settings would give other rows.
GENERATOR_VERSION = "1"


@dataclass(frozen=True)
class SimulationTruth:
    """What was put into a corpus, for tests and figures.

    Attributes:
        sampling_rate: Hz of every time course, `S` samples from the stimulus onset, no subject's lag.
        rhythms: `(dipole, band)` of each row of `log_power`.
        dipoles: Name of each row of `locked`.
        courses: Stimulus id to its valence, arousal, envelope, events and tracking.
        log_power: Stimulus id to `(len(rhythms), S)` change of log power for average reactivity.
        locked: Stimulus id to `(len(dipoles), S)` time-locked activity in source units.
    """

    sampling_rate: float
    rhythms: tuple[tuple[str, str], ...]
    dipoles: tuple[str, ...]
    courses: dict[str, StimulusCourse]
    log_power: dict[str, np.ndarray]
    locked: dict[str, np.ndarray]


class SimulatedCorpora(CorpusBuilder):
    """All simulated corpora, or some of them.

    A row depends on the seed, the settings below and its corpus, subject, session and stimulus, never on what
    was made before it or in which process.

    Args:
        seed (`int`): From 0. Another seed is another set of people and stimuli.
        difficulty (`str`): `easy`, `mid` or `hard`.
        corpora (`Sequence[str]`, *optional*): Names of `SPECS`; all by default.
        subjects, stimuli (`int`, *optional*), trial_seconds (`float`, *optional*): Override every corpus, for
            a quick run. Fewer subjects are the first of the full corpus.
        preprocessing (`str`): Preset of `mdjpt_hf.preprocessing`.

    Raises:
        CorpusError: If a corpus or difficulty is unknown or a count is not positive.
        ConfigurationError: If there is no such preprocessing.
    """

    def __init__(
        self,
        seed: int = 0,
        difficulty: str = "easy",
        corpora: Sequence[str] | None = None,
        subjects: int | None = None,
        stimuli: int | None = None,
        trial_seconds: float | None = None,
        preprocessing: str = "basic",
    ):
        super().__init__(preprocessing)
        check_preset(preprocessing)
        names = list(SPECS) if corpora is None else list(dict.fromkeys(corpora))
        for name in names:
            _check_choice("corpus", name, SPECS)
        _check_choice("difficulty", difficulty, DIFFICULTIES)
        changes: dict[str, Any] = {"subjects": subjects, "stimuli": stimuli, "trial_seconds": trial_seconds}
        changes = {name: value for name, value in changes.items() if value is not None}
        _check_counts(seed, changes)
        self.seed = seed
        self.difficulty = difficulty
        self.changes = changes
        self.specs = {name: replace(SPECS[name], **changes) for name in names}

    @property
    def facts(self) -> list[CorpusFacts]:
        """One per corpus."""
        return [_facts(spec) for spec in self.specs.values()]

    def units(self) -> list[str]:
        """One per corpus and subject, e.g. `sim-62/s03`."""
        return [f"{spec.name}/{subject_id(i)}" for spec in self.specs.values() for i in range(spec.subjects)]

    def read_unit(self, unit: str, report: UnitReport) -> Iterator[Trial]:
        """Simulate, preprocess and cut all sessions of one subject.

        Raises:
            CorpusError: If [`units`] has no such subject.
        """
        if unit not in self.units():
            raise CorpusError(f"no unit {unit!r}", value=unit, remedy="Use a name that units() returns")
        corpus, subject = unit.split("/")
        for session in range(1, self.specs[corpus].sessions + 1):
            yield from self._read_session(corpus, subject, session, report)

    def options(self) -> dict[str, Any]:
        """Every setting and the version of the generator."""
        return {
            "generator": GENERATOR_VERSION,
            "seed": self.seed,
            "difficulty": self.difficulty,
            "corpora": list(self.specs),
            "changes": self.changes,
            "preprocessing": preset_settings(self.preprocessing),
        }

    def recording(self, corpus: str, subject: str, session: int) -> Recording:
        """The raw session before preprocessing; stimuli follow each other as in `presentation`."""
        spec = self.specs[corpus]
        courses = self._courses(corpus)
        order = [courses[index] for index in self.presentation(corpus, subject, session)]
        rng = keyed_rng(self.seed, corpus, subject, session, "recording")
        # One thread: the last bits of a matrix product depend on how BLAS splits it.
        with threadpool_limits(1):
            person = self.person(corpus, subject)
            level = DIFFICULTIES[self.difficulty]
            return record(rng, head_model(), person, order, spec.amplifier, level)

    def person(self, corpus: str, subject: str) -> Subject:
        """Anatomy and physiology of one subject, the same in all sessions."""
        return _person(self.seed, corpus, subject)

    def presentation(self, corpus: str, subject: str, session: int) -> list[int]:
        """Indices of the stimuli of one session in the order this subject saw them."""
        indices = np.array(self.specs[corpus].stimulus_indices(session))
        return keyed_rng(self.seed, corpus, subject, session, "order").permutation(indices).tolist()

    def truth(self, corpus: str) -> SimulationTruth:
        """The emotional time courses of every stimulus of a corpus and what they do to every named dipole."""
        _check_choice("corpus", corpus, self.specs)
        level = DIFFICULTIES[self.difficulty]
        courses = {stimulus_id(index): course for index, course in self._courses(corpus).items()}
        return SimulationTruth(
            sampling_rate=COURSE_RATE,
            rhythms=tuple((rhythm.dipole, rhythm.band) for rhythm in RHYTHMS),
            dipoles=NAMED_DIPOLES,
            courses=courses,
            log_power={name: log_power_courses(course, level) for name, course in courses.items()},
            locked={name: locked_responses(course, level) for name, course in courses.items()},
        )

    def _courses(self, corpus: str) -> dict[int, StimulusCourse]:
        """Every stimulus of a corpus; no subject in the key, so all subjects see the same."""
        spec = self.specs[corpus]
        shown = sorted({i for session in range(1, spec.sessions + 1) for i in spec.stimulus_indices(session)})
        return {index: _course(self.seed, spec, index) for index in shown}

    def _read_session(self, corpus: str, subject: str, session: int, report: UnitReport) -> Iterator[Trial]:
        spec = self.specs[corpus]
        recording = self.recording(corpus, subject, session)
        names, where = list(spec.amplifier.ch_names), f"{corpus}, subject {subject}, session {session}"
        rate = spec.amplifier.sampling_rate
        with threadpool_limits(1):
            clean = preprocess(recording.signal, names, rate, self.preprocessing, recording.bads, where)
        report.notes += [f"session {session}: {note}" for note in clean.notes]
        samples = round(spec.trial_seconds * clean.sampling_rate)
        for trial, index in enumerate(self.presentation(corpus, subject, session)):
            start = round(recording.onsets[trial] * clean.sampling_rate)
            yield Trial(
                dataset=corpus,
                subject=subject,
                session=session,
                trial=trial,
                stimulus=stimulus_id(index),
                signal=clean.signal[:, start : start + samples],
                sampling_rate=clean.sampling_rate,
                ch_names=list(clean.ch_names),
                preprocessing=clean.id,
                **self._labels(spec, subject, session, index),
            )

    def _labels(self, spec: CorpusSpec, subject: str, session: int, index: int) -> dict[str, Any]:
        """Class of the stimulus, or the subject's ratings of it."""
        if spec.rated:
            course = _course(self.seed, spec, index)
            rng = keyed_rng(self.seed, spec.name, subject, session, index, "rating")
            bias = 0.05 * keyed_rng(self.seed, spec.name, subject, "rating bias").standard_normal(2)
            felt = np.array([course.mean_valence, course.mean_arousal])
            ratings = np.clip((felt + 1) / 2 + bias + 0.1 * rng.standard_normal(2), 0, 1)
            return {"valence": float(ratings[0]), "arousal": float(ratings[1])}
        kind = spec.emotion_class(index)
        return {
            "label": spec.classes.index(kind),
            "label_name": kind.name,
            "emotion": kind.emotion,
            "valence_class": kind.valence_class,
        }


def subject_id(index: int) -> str:
    """`s01` for the first subject."""
    return f"s{index + 1:02d}"


def stimulus_id(index: int) -> str:
    """`clip-01` for the first stimulus."""
    return f"clip-{index + 1:02d}"


@lru_cache(maxsize=128)
def _course(seed: int, spec: CorpusSpec, index: int) -> StimulusCourse:
    kind = spec.emotion_class(index)
    rng = keyed_rng(seed, spec.name, "stimulus", index)
    return stimulus_course(rng, (kind.valence, kind.arousal), spec.trial_seconds)


@lru_cache(maxsize=4)
def _person(seed: int, corpus: str, subject: str) -> Subject:
    return draw_subject(keyed_rng(seed, corpus, subject, "subject"), head_model())


def _facts(spec: CorpusSpec) -> CorpusFacts:
    return CorpusFacts(
        name=spec.name,
        title=f"Simulated EEG: {spec.title}; simulated, not human data",
        licence="CC0-1.0 (simulated, no human data)",
        redistributable=True,
        redistribution="Nobody's data",
        licence_id="cc0-1.0",
        label_source="self-report" if spec.rated else "stimulus",
        label_names=() if spec.rated else tuple(kind.name for kind in spec.classes),
        access="Made by this package; nothing to download.",
        rating_scale="continuous, 0 to 1" if spec.rated else "",
    )


def _check_choice(what: str, name: str, choices: dict[str, Any]) -> None:
    if name not in choices:
        raise CorpusError(f"unknown {what} {name!r}", value=name, remedy=f"Choose from {', '.join(choices)}")


def _check_counts(seed: int, changes: dict[str, Any]) -> None:
    if seed < 0:
        raise CorpusError(f"seed must not be negative, found {seed}", value=seed, remedy="Use 0 or more")
    for name, value in changes.items():
        if not value > 0:
            raise CorpusError(f"{name} must be positive, found {value}", value=value, remedy="Use 1 or more")
