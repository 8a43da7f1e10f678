"""From sources to a recorded session: electrodes, reference, amplifier, noise; continuous, in µV."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import signal

from mdjpt_hf.data_scripts.simulated_brain import (
    COURSE_RATE,
    NAMED_DIPOLES,
    RHYTHMS,
    UNIT_MICROVOLT,
    Difficulty,
    StimulusCourse,
    Subject,
    interpolate,
    locked_responses,
    log_power_courses,
    source_activity,
)
from mdjpt_hf.data_scripts.simulated_head import HeadModel

LEAD_SECONDS = 3.0  # before the first stimulus and after the last
GAP_SECONDS = 2.0  # between stimuli
_BLOCK = 4096  # samples worked on at a time, which stay in the cache
NOISE_UNIT = 0.35  # source units; sensor noise of a corpus with noise 1, as seen at `COURSE_RATE`


@dataclass(frozen=True)
class Amplifier:
    """How a corpus records.

    Attributes:
        ch_names: Montage, in the order of the file.
        sampling_rate: Hz.
        reference: Electrodes whose mean is subtracted at recording.
        noise: Sensor noise in units of `NOISE_UNIT`.
        gain: Factor of the whole recording, from caps and calibration.
        exponent: Of the 1/f background of this population and laboratory.
        line: Hz, mains frequency.
        line_microvolt: µV, typical amplitude of mains pick-up.
        high_pass: Hz, cut-off of the hardware filter, 0 for a DC-coupled amplifier.
    """

    ch_names: tuple[str, ...]
    sampling_rate: float
    reference: tuple[str, ...]
    noise: float
    gain: float = 1.0
    exponent: float = 1.0
    line: float = 50.0
    line_microvolt: float = 4.0
    high_pass: float = 0.0


@dataclass(frozen=True)
class Recording:
    """One session of one subject.

    Attributes:
        signal: `(channels, T)` float32 µV at the amplifier's rate.
        onsets: s, start of each stimulus in order of presentation.
        bads: Channels that failed.
    """

    signal: np.ndarray
    onsets: list[float]
    bads: list[str]


def record(
    rng: np.random.Generator,
    head: HeadModel,
    subject: Subject,
    courses: list[StimulusCourse],
    amplifier: Amplifier,
    level: Difficulty,
) -> Recording:
    """Present `courses` in this order to `subject` and record one session."""
    onsets, log_power, locked = _present(courses, subject, amplifier.sampling_rate, level)
    sources = source_activity(rng, subject, level, log_power, locked, amplifier.sampling_rate, amplifier.exponent)
    electrodes = [*amplifier.ch_names, *amplifier.reference]
    columns = _session_columns(rng, subject, head.rows(electrodes))
    potential = columns.astype(np.float32) @ sources  # (channels + references, T), source units
    _add_sensor_noise(rng, potential, amplifier)
    potential *= np.float32(UNIT_MICROVOLT)
    _add_line(rng, potential, amplifier)
    count = len(amplifier.ch_names)
    channels = potential[:count]
    channels -= potential[count:].mean(axis=0)
    channels *= (amplifier.gain * rng.lognormal(0, 0.1) * rng.lognormal(0, 0.05, (count, 1))).astype(np.float32)
    bads = _break_channels(rng, channels, amplifier)
    return Recording(_high_pass(channels, amplifier), onsets, bads)


def _present(
    courses: list[StimulusCourse], subject: Subject, sampling_rate: float, level: Difficulty
) -> tuple[list[float], np.ndarray, np.ndarray]:
    """Onsets in s, emotional log power `(len(RHYTHMS), T)` and locked responses `(len(NAMED_DIPOLES), T)`."""
    duration = len(courses[0].events) / COURSE_RATE
    onsets = [LEAD_SECONDS + i * (duration + GAP_SECONDS) for i in range(len(courses))]
    samples = round((onsets[-1] + duration + LEAD_SECONDS) * sampling_rate)
    log_power = np.zeros((len(RHYTHMS), samples))
    locked = np.zeros((len(NAMED_DIPOLES), samples))
    for onset, course in zip(onsets, courses, strict=True):
        start = int(np.ceil((onset + subject.lag) * sampling_rate))
        elapsed = (np.arange(start, samples) / sampling_rate - onset - subject.lag) * COURSE_RATE
        elapsed = elapsed[elapsed <= len(course.events) - 1]
        during = slice(start, start + len(elapsed))
        common_power, common_locked = _common(course, level)
        log_power[:, during] = interpolate(common_power, elapsed)
        locked[:, during] = interpolate(common_locked, elapsed)
    return onsets, log_power, locked


@lru_cache(maxsize=32)
def _common(course: StimulusCourse, level: Difficulty) -> tuple[np.ndarray, np.ndarray]:
    """What a stimulus does to everybody: subjects of a corpus follow each other and see the same ones."""
    return log_power_courses(course, level), locked_responses(course, level)


def _session_columns(rng: np.random.Generator, subject: Subject, rows: list[int]) -> np.ndarray:
    """`(rows, D)` field after the cap was put on a few mm away from where it belongs."""
    millimetres = 3 * rng.standard_normal(2)
    return subject.columns[rows] + np.einsum("k,ked->ed", millimetres, subject.shift[:, rows])


def _add_sensor_noise(rng: np.random.Generator, potential: np.ndarray, amplifier: Amplifier) -> None:
    """Add white noise, in place, of the same density per Hz at every rate: a faster amplifier collects more of it."""
    deviation = np.float32(NOISE_UNIT * amplifier.noise * np.sqrt(amplifier.sampling_rate / COURSE_RATE))
    noise = np.empty(potential.shape[1], dtype=np.float32)
    for electrode in potential:  # one at a time stays in the cache
        rng.standard_normal(out=noise, dtype=np.float32)
        noise *= deviation
        electrode += noise


def _add_line(rng: np.random.Generator, potential: np.ndarray, amplifier: Amplifier) -> None:
    """Add mains pick-up, in place: each electrode has its own amplitude and phase."""
    count, samples = potential.shape
    amplitude = amplifier.line_microvolt * rng.lognormal(0, 0.5, count)
    phase = rng.normal(0, 0.5, count)
    angle = 2 * np.pi * amplifier.line * np.arange(samples) / amplifier.sampling_rate
    quadrature = np.stack([amplitude * np.cos(phase), amplitude * np.sin(phase)], axis=1).astype(np.float32)
    waves = np.stack([np.sin(angle), np.cos(angle)]).astype(np.float32)
    for start in range(0, samples, _BLOCK):
        block = slice(start, start + _BLOCK)
        potential[:, block] += quadrature @ waves[:, block]


def _break_channels(rng: np.random.Generator, channels: np.ndarray, amplifier: Amplifier) -> list[str]:
    """Replace 2-5 % of the channels, in place, by what a loose electrode gives: little EEG, much noise."""
    count, samples = channels.shape
    broken = np.flatnonzero(rng.random(count) < rng.uniform(0.02, 0.05))
    angle = 2 * np.pi * amplifier.line * np.arange(samples) / amplifier.sampling_rate
    for channel in broken:
        noise = rng.uniform(30, 80) * rng.standard_normal(samples) + rng.uniform(20, 60) * np.sin(angle)
        channels[channel] = 0.2 * channels[channel] + noise
    return [amplifier.ch_names[channel] for channel in broken]


def _high_pass(channels: np.ndarray, amplifier: Amplifier) -> np.ndarray:
    if not amplifier.high_pass:
        return channels
    section = signal.butter(2, amplifier.high_pass, "highpass", fs=amplifier.sampling_rate, output="sos")
    return signal.sosfilt(section, channels, axis=1).astype(np.float32)
