"""What the simulated heads feel and emit: stimuli, subjects and the activity of every source.

A stimulus is a pair of time courses (valence, arousal), events and two tracking waveforms, the same for all
subjects. A subject turns them into band power and event-locked responses of known dipoles (`RHYTHMS`,
`locked_responses`) and adds what has nothing to do with emotion: background, posterior alpha, vigilance,
drift, blinks and muscle.
Source amplitudes are in units of `UNIT_MICROVOLT` at the nearest electrode.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import fft, signal

from mdjpt_hf.data_scripts.simulated_head import EYES, MUSCLES, NAMED_DIPOLES, NUM_BACKGROUND, HeadModel

#: Hz, rate of the stimulus time courses.
COURSE_RATE = 125.0
#: µV at its strongest electrode that a radial dipole of source amplitude 1 makes.
UNIT_MICROVOLT = 5.0

EVENT_RATE = 0.9  # per s
EVENT_AMPLITUDE = 2.5  # peak response to an event of size 1; trains of them then vary by about 1, as tracking does
BLINK_RATE = 0.2  # per s
BURST_RATE = 0.1  # per s and muscle


@dataclass(frozen=True)
class Rhythm:
    """Log power of one band at one dipole: `valence * v(t) + arousal * a(t)`."""

    dipole: str
    band: str
    valence: float
    arousal: float


#: Every rhythm that emotion modulates.
RHYTHMS = (
    Rhythm("F3", "alpha", -1.0, 0.0),
    Rhythm("F4", "alpha", 1.0, 0.0),
    Rhythm("T7", "beta", 0.7, 0.5),
    Rhythm("T8", "beta", 0.7, 0.5),
    Rhythm("T7", "gamma", 1.0, 0.3),
    Rhythm("T8", "gamma", 1.0, 0.3),
    Rhythm("Pz", "alpha", 0.0, -1.0),
    Rhythm("P3", "alpha", 0.0, -1.0),
    Rhythm("P4", "alpha", 0.0, -1.0),
    Rhythm("O1", "alpha", 0.0, -0.5),
    Rhythm("O2", "alpha", 0.0, -0.5),
    Rhythm("Fz", "theta", -0.7, 0.5),
    Rhythm("C3", "beta", 0.0, -0.5),
    Rhythm("C4", "beta", 0.0, -0.5),
)
AMPLITUDES = {"alpha": 1.6, "theta": 1.2, "beta": 0.7, "gamma": 0.5}
BANDS = {"theta": (4.0, 7.0), "beta": (14.0, 28.0), "gamma": (30.0, 46.0)}  # Hz; alpha is the subject's own
BACKGROUND_AMPLITUDE = 1.3
ALPHA_WIDTH = 1.0  # Hz, standard deviation of the alpha peak
#: Posterior alpha without emotion: one coherent rhythm, its amplitude under each electrode.
POSTERIOR_ALPHA = {"O1": 1.4, "O2": 1.4, "P3": 0.8, "P4": 0.8, "Pz": 0.8}


@dataclass(frozen=True)
class Difficulty:
    """How much emotion there is, and how much else.

    Attributes:
        effect: Factor of every coefficient of `RHYTHMS`.
        locked: Amplitude of responses that tell the stimulus, not the emotion.
        emotional_locked: Amplitude of responses scaled by arousal or signed by valence.
        drift: Standard deviation of slow log-power drift of every rhythm of `RHYTHMS`.
        artefacts: Factor of blinks and muscle.
    """

    effect: float
    locked: float
    emotional_locked: float
    drift: float
    artefacts: float = 1.0


DIFFICULTIES = {
    "easy": Difficulty(effect=1.0, locked=0.8, emotional_locked=0.8, drift=0.5),
    "mid": Difficulty(effect=0.6, locked=0.6, emotional_locked=0.6, drift=0.7),
    "hard": Difficulty(effect=0.35, locked=0.4, emotional_locked=0.4, drift=0.8, artefacts=1.5),
}


def keyed_rng(seed: int, *keys: str | int) -> np.random.Generator:
    """A generator that depends on seed and keys alone, not on what was drawn before or in which process."""
    return np.random.default_rng([seed, *(zlib.crc32(str(key).encode()) for key in keys)])


# --- stimuli ---


@dataclass(frozen=True, eq=False)
class StimulusCourse:
    """What one stimulus does to everybody, at `COURSE_RATE`, `S` samples.

    Attributes:
        mean_valence, mean_arousal: Of the stimulus, about -1 to 1.
        valence, arousal: `(S,)` time courses.
        envelope: `(S,)` positive, how strongly the emotion is evoked at the time.
        events: `(S,)` size of the event at its sample, else 0.
        tracking: `(2, S)` 1-7 Hz waveforms of standard deviation 1 that sensory sources follow.
    """

    mean_valence: float
    mean_arousal: float
    valence: np.ndarray
    arousal: np.ndarray
    envelope: np.ndarray
    events: np.ndarray
    tracking: np.ndarray


def stimulus_course(rng: np.random.Generator, emotion: tuple[float, float], seconds: float) -> StimulusCourse:
    """Draw a stimulus of a class whose (valence, arousal) is `emotion`."""
    samples = round(seconds * COURSE_RATE)
    mean_valence, mean_arousal = np.asarray(emotion) + 0.2 * rng.standard_normal(2)
    onset_ramp = np.minimum(np.arange(samples) / (2 * COURSE_RATE), 1)
    envelope = onset_ramp * np.exp(0.4 * slow_process(rng, 1, samples, COURSE_RATE, 2.5)[0])
    deviation = 0.15 * slow_process(rng, 2, samples, COURSE_RATE, 2.5)
    count = rng.poisson(EVENT_RATE * seconds)
    events = np.zeros(samples)
    events[rng.integers(0, samples, count)] = rng.lognormal(0, 0.4, count)
    tracking = band_noise(rng, 2, samples, COURSE_RATE, 1.0, 7.0).astype(np.float64)
    return StimulusCourse(
        mean_valence=float(mean_valence),
        mean_arousal=float(mean_arousal),
        valence=mean_valence * envelope + deviation[0],
        arousal=mean_arousal * envelope + deviation[1],
        envelope=envelope,
        events=events,
        tracking=tracking,
    )


def log_power_courses(course: StimulusCourse, level: Difficulty) -> np.ndarray:
    """`(len(RHYTHMS), S)` change of log power of each rhythm in a subject of average reactivity."""
    coefficients = np.array([[rhythm.valence, rhythm.arousal] for rhythm in RHYTHMS])
    return level.effect * coefficients @ np.stack([course.valence, course.arousal])


def locked_responses(course: StimulusCourse, level: Difficulty) -> np.ndarray:
    """`(len(NAMED_DIPOLES), S)` time-locked source activity.

    O1 and O2 respond to events and T7 and T8 track the stimulus whatever it means; the late positivity at Pz
    grows with arousal; F3 and F4 respond with opposite signs, scaled by valence.
    """
    responses = np.zeros((len(NAMED_DIPOLES), len(course.events)))
    sensory = _evoked(course.events, (0.12, 0.03, 1.0), (0.20, 0.045, -1.2), (0.32, 0.08, 0.8))
    late = _evoked(course.events * np.maximum(0.5 + 0.5 * course.arousal, 0), (0.5, 0.13, 1.0))
    signed = _evoked(course.events * course.valence, (0.3, 0.08, 1.0))
    for names, waveforms, amplitude in (
        (("O1", "O2"), (sensory, sensory), level.locked),
        (("T7", "T8"), course.tracking, level.locked),
        (("Pz",), (late,), level.emotional_locked),
        (("F3", "F4"), (-signed, signed), level.emotional_locked),
    ):
        for name, waveform in zip(names, waveforms, strict=True):
            responses[NAMED_DIPOLES.index(name)] = amplitude * waveform
    return responses


def _evoked(events: np.ndarray, *peaks: tuple[float, float, float]) -> np.ndarray:
    """Response to events: Gaussian peaks of (latency in s, width in s, factor of `EVENT_AMPLITUDE`)."""
    time = np.arange(round(COURSE_RATE)) / COURSE_RATE
    kernel = sum(size * np.exp(-0.5 * ((time - latency) / width) ** 2) for latency, width, size in peaks)
    return EVENT_AMPLITUDE * signal.fftconvolve(events, kernel)[: len(events)]


# --- subjects ---


@dataclass(frozen=True)
class Subject:
    """One simulated person.

    Attributes:
        columns: `(E, D)` field of each dipole in its own orientation, 1 = `UNIT_MICROVOLT`.
        shift: `(2, E, D)` change of `columns` per mm of cap displacement.
        alpha: Hz, the person's alpha frequency.
        reactivity: Factor of every emotional effect on power.
        lag: s, delay of every response to the stimulus.
        rhythm_gains, background_gains: Amplitude factors, `(len(RHYTHMS),)` and `(NUM_BACKGROUND,)`.
        blink: µV at Fp1.
        muscle: Amplitude of muscle bursts.
    """

    columns: np.ndarray
    shift: np.ndarray
    alpha: float
    reactivity: float
    lag: float
    rhythm_gains: np.ndarray
    background_gains: np.ndarray
    blink: float
    muscle: float


def draw_subject(rng: np.random.Generator, head: HeadModel) -> Subject:
    """Draw anatomy and physiology of one person."""
    orientation = head.radial + 0.35 * rng.standard_normal(head.radial.shape)
    orientation[head.columns("eyes")] = head.radial[head.columns("eyes")] + [0.0, 0.0, 0.5]
    scale = _column_scale(head, orientation)
    fields = np.concatenate([head.leadfield[None], head.shift])
    columns = np.einsum("keda,da->ked", fields, orientation) * scale
    _mix_neighbours(rng, head, columns)
    return Subject(
        columns=columns[0],
        shift=columns[1:],
        alpha=float(np.clip(10 + 0.8 * rng.standard_normal(), 8, 12)),
        reactivity=float(rng.lognormal(0, 0.25)),
        lag=float(rng.uniform(0, 0.15)),
        rhythm_gains=rng.lognormal(0, 0.3, len(RHYTHMS)),
        background_gains=BACKGROUND_AMPLITUDE * rng.lognormal(0, 0.4, NUM_BACKGROUND) * rng.lognormal(0, 0.2),
        blink=float(100 * rng.lognormal(0, 0.25)),
        muscle=float(rng.lognormal(0, 0.4)),
    )


def _column_scale(head: HeadModel, orientation: np.ndarray) -> np.ndarray:
    """`(D,)` factors from V per A m to source units.

    Amplitudes are stated at the scalp, so a radial named or muscle dipole peaks at 1 wherever it lies;
    background dipoles share one factor, and both eyes together give 1 at Fp1.
    """
    radial = np.einsum("eda,da->ed", head.leadfield, head.radial)
    scale = 1 / np.abs(radial).max(axis=0)
    background, eyes = head.columns("background"), head.columns("eyes")
    scale[background] = scale[background].mean()
    frontopolar = np.einsum("da,da->d", head.leadfield[head.rows(["Fp1"])[0]], orientation)
    scale[eyes] = 1 / frontopolar[eyes].sum()
    return scale


def _mix_neighbours(rng: np.random.Generator, head: HeadModel, columns: np.ndarray) -> None:
    """Let each named dipole spread, in place, into its 4 nearest background dipoles."""
    named, background = head.columns("named"), head.columns("background")
    distances = np.linalg.norm(head.sources[named, None] - head.sources[None, background], axis=-1)
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :4]
    weights = 0.25 * rng.standard_normal(nearest.shape)
    columns[..., named] += np.einsum("keij,ij->kei", columns[..., background][..., nearest], weights)


# --- activity ---


def source_activity(
    rng: np.random.Generator,
    subject: Subject,
    level: Difficulty,
    log_power: np.ndarray,
    locked: np.ndarray,
    sampling_rate: float,
    exponent: float,
) -> np.ndarray:
    """Activity of all dipoles over one recording.

    Args:
        log_power: `(len(RHYTHMS), T)` emotional change of log power for average reactivity, already lagged.
        locked: `(len(NAMED_DIPOLES), T)` time-locked responses, already lagged.
        exponent: Of the background's power spectrum, about 1.

    Returns:
        `np.ndarray` of shape `(D, T)`, float32, in source units.
    """
    samples = log_power.shape[1]
    ends = np.cumsum([len(NAMED_DIPOLES), NUM_BACKGROUND, len(EYES), len(MUSCLES)])
    activity = np.empty((ends[-1], samples), dtype=np.float32)
    named, background, eyes, muscles = np.split(activity, ends[:-1])
    np.add(locked, _rhythms(rng, subject, level, log_power, sampling_rate), out=named, casting="same_kind")
    power_law_noise(rng, NUM_BACKGROUND, samples, sampling_rate, exponent, out=background)
    background *= subject.background_gains[:, None].astype(np.float32)
    eyes[:] = blink_course(rng, samples, sampling_rate) * (level.artefacts * subject.blink / UNIT_MICROVOLT)
    muscles[:] = _muscle(rng, len(MUSCLES), samples, sampling_rate)
    muscles *= np.float32(level.artefacts * subject.muscle)
    return activity


def _rhythms(
    rng: np.random.Generator, subject: Subject, level: Difficulty, log_power: np.ndarray, sampling_rate: float
) -> np.ndarray:
    """`(len(NAMED_DIPOLES), T)` rhythms of the named dipoles, those of emotion and the posterior alpha."""
    samples = log_power.shape[1]
    vigilance = 0.5 * slow_process(rng, 1, samples, sampling_rate, 40.0)[0]
    drift = level.drift * slow_process(rng, len(RHYTHMS), samples, sampling_rate, 6.0)
    activity = np.zeros((len(NAMED_DIPOLES), samples), dtype=np.float32)
    for i, rhythm in enumerate(RHYTHMS):
        change = subject.reactivity * log_power[i] + drift[i] + (vigilance if rhythm.band == "alpha" else 0)
        amplitude = AMPLITUDES[rhythm.band] * subject.rhythm_gains[i] * np.exp(change / 2)
        carrier = _carrier(rng, rhythm.band, subject, samples, sampling_rate)
        activity[NAMED_DIPOLES.index(rhythm.dipole)] += (amplitude * carrier).astype(np.float32)
    posterior = _carrier(rng, "alpha", subject, samples, sampling_rate) * np.exp(vigilance / 2)
    for dipole, amplitude in POSTERIOR_ALPHA.items():
        activity[NAMED_DIPOLES.index(dipole)] += (amplitude * posterior).astype(np.float32)
    return activity


def _carrier(rng: np.random.Generator, band: str, subject: Subject, samples: int, sampling_rate: float) -> np.ndarray:
    """`(T,)` narrow-band noise of standard deviation 1."""
    if band != "alpha":
        return band_noise(rng, 1, samples, sampling_rate, *BANDS[band])[0]
    return shaped_noise(rng, 1, samples, sampling_rate, Peak(subject.alpha, ALPHA_WIDTH))[0]


def blink_course(rng: np.random.Generator, samples: int, sampling_rate: float) -> np.ndarray:
    """`(T,)` blinks of about 1: a fast closing, a slower opening, some 0.3 s in all."""
    time = np.arange(round(0.6 * sampling_rate)) / sampling_rate - 0.15
    width = np.where(time < 0, 0.045, 0.09)
    shape = np.exp(-0.5 * (time / width) ** 2)
    count = rng.poisson(BLINK_RATE * samples / sampling_rate)
    course = np.zeros(samples)
    course[rng.integers(0, samples, count)] = rng.lognormal(0, 0.2, count)
    return signal.oaconvolve(course, shape)[:samples].astype(np.float32)


def _muscle(rng: np.random.Generator, count: int, samples: int, sampling_rate: float) -> np.ndarray:
    """`(count, T)` 22-50 Hz noise in bursts of 0.3 to 2 s."""
    noise = band_noise(rng, count, samples, sampling_rate, 22.0, 50.0)
    envelope = np.zeros((count, samples), dtype=np.float32)
    for row in envelope:
        for start in rng.integers(0, samples, rng.poisson(BURST_RATE * samples / sampling_rate)):
            length = round(rng.uniform(0.3, 2.0) * sampling_rate)
            burst = rng.lognormal(0.4, 0.4) * np.hanning(length)[: samples - start]
            row[start : start + len(burst)] += burst
    return noise * envelope


# --- noise ---


@dataclass(frozen=True)
class PowerLaw:
    """Amplitude spectrum of power that falls as `f ** -exponent` above 0.3 Hz."""

    exponent: float

    def __call__(self, frequencies: np.ndarray) -> np.ndarray:
        """Amplitude at each of `frequencies`, Hz."""
        return np.maximum(frequencies, 0.3) ** (-self.exponent / 2)


@dataclass(frozen=True)
class Band:
    """Amplitude spectrum flat from `low` to `high` Hz, half power at both."""

    low: float
    high: float

    def __call__(self, frequencies: np.ndarray) -> np.ndarray:
        """Amplitude at each of `frequencies`, Hz."""
        centre, half = (self.low + self.high) / 2, (self.high - self.low) / 2
        return np.sqrt(0.5 ** (((frequencies - centre) / half) ** 4))


@dataclass(frozen=True)
class Peak:
    """Gaussian amplitude spectrum around `centre`, of standard deviation `width`, both in Hz."""

    centre: float
    width: float

    def __call__(self, frequencies: np.ndarray) -> np.ndarray:
        """Amplitude at each of `frequencies`, Hz."""
        return np.exp(-0.5 * ((frequencies - self.centre) / self.width) ** 2)


def power_law_noise(
    rng: np.random.Generator,
    rows: int,
    samples: int,
    sampling_rate: float,
    exponent: float,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """`(rows, T)` noise of standard deviation 1, power falling as `f ** -exponent` above 0.3 Hz."""
    return shaped_noise(rng, rows, samples, sampling_rate, PowerLaw(exponent), out)


def band_noise(
    rng: np.random.Generator, rows: int, samples: int, sampling_rate: float, low: float, high: float
) -> np.ndarray:
    """`(rows, T)` noise of standard deviation 1, flat from `low` to `high` Hz, half power at both."""
    return shaped_noise(rng, rows, samples, sampling_rate, Band(low, high))


def shaped_noise(
    rng: np.random.Generator,
    rows: int,
    samples: int,
    sampling_rate: float,
    shape: Callable[[np.ndarray], np.ndarray],
    out: np.ndarray | None = None,
) -> np.ndarray:
    """`(rows, T)` float32 Gaussian noise of standard deviation 1 with amplitude spectrum `shape(frequency)`.

    Made in the frequency domain: one inverse transform of a length that is fast to transform, cut to `T`.

    Args:
        shape: Hashable; the same one of the same length is computed once.
        out: `(rows, T)` float32 to write into.
    """
    length = fft.next_fast_len(samples, real=True)
    first, amplitude = _lines(length, sampling_rate, shape)
    noise = np.empty((rows, samples), dtype=np.float32) if out is None else out
    spectrum = np.zeros((min(rows, _ROWS), length // 2 + 1), dtype=np.complex64)
    parts = spectrum.view(np.float32)[:, 2 * first : 2 * first + len(amplitude)]
    for start in range(0, rows, _ROWS):
        count = min(_ROWS, rows - start)
        for row in parts[:count]:
            rng.standard_normal(out=row, dtype=np.float32)
            row *= amplitude
        noise[start : start + count] = fft.irfft(spectrum[:count], length, axis=1)[:, :samples]
    return noise


#: Rows drawn and transformed at a time: several share a transform's instructions, few stay in the cache.
_ROWS = 4


@lru_cache(maxsize=32)
def _lines(length: int, sampling_rate: float, shape: Callable[[np.ndarray], np.ndarray]) -> tuple[int, np.ndarray]:
    """The first line of a spectrum that is used, and float32 amplitudes from there, once for each part of a line."""
    frequencies = np.arange(length // 2 + 1) * sampling_rate / length
    amplitude = shape(frequencies)
    amplitude[0] = 0
    # Each line has two parts of variance 1 and a mirror image.
    amplitude *= length / np.sqrt(4 * np.sum(amplitude**2))
    used = np.flatnonzero(amplitude > 1e-6 * amplitude.max())
    return int(used[0]), np.repeat(amplitude[used[0] : used[-1] + 1].astype(np.float32), 2)


def slow_process(
    rng: np.random.Generator, rows: int, samples: int, sampling_rate: float, time_constant: float
) -> np.ndarray:
    """`(rows, T)` stationary process of standard deviation 1 and correlation time `time_constant` (s)."""
    rate = 20.0 / time_constant
    count = int(np.ceil(samples / sampling_rate * rate)) + 2
    decay = np.exp(-1 / (rate * time_constant))
    innovations = rng.standard_normal((rows, count)) * np.sqrt(1 - decay**2)
    innovations[:, 0] /= np.sqrt(1 - decay**2)  # start in the stationary state
    coarse = signal.lfilter([1.0], [1.0, -decay], innovations, axis=1)
    return interpolate(coarse, np.arange(samples) * (rate / sampling_rate))


def interpolate(courses: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Rows of `courses`, `(rows, samples)`, at fractional positions `(n,)`, linear between samples: `(rows, n)`."""
    left = np.minimum(index.astype(np.int64), courses.shape[1] - 2)
    weight = index - left
    right, rest = left + 1, 1 - weight
    result = np.empty((len(courses), len(index)))
    for course, row in zip(courses, result, strict=True):
        np.multiply(course.take(left), rest, out=row)
        row += course.take(right) * weight
    return result
