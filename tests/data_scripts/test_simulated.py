"""The simulated corpora are deterministic, look like EEG, and carry the emotion where the truth says."""

from functools import cache

import mne
import numpy as np
import pytest
from scipy import fft, signal
from threadpoolctl import threadpool_limits

from mdjpt_hf.data_scripts.base import UnitReport
from mdjpt_hf.data_scripts.simulated import SimulatedCorpora, stimulus_id
from mdjpt_hf.data_scripts.simulated_brain import (
    RHYTHMS,
    Band,
    Peak,
    PowerLaw,
    interpolate,
    power_law_noise,
    shaped_noise,
    slow_process,
)
from mdjpt_hf.data_scripts.simulated_experiments import SPECS
from mdjpt_hf.data_scripts.simulated_head import head_model, recording_info
from mdjpt_hf.errors import ConfigurationError, CorpusError
from mdjpt_hf.schema import Trial

RATE = 125.0
SEVERAL = 8  # subjects over whom emotional effects are averaged


def small(**changes) -> SimulatedCorpora:
    """A builder of short recordings."""
    return SimulatedCorpora(**({"subjects": 2, "stimuli": 3, "trial_seconds": 8.0} | changes))


def read(builder: SimulatedCorpora, unit: str) -> list[Trial]:
    return list(builder.read_unit(unit, UnitReport(unit)))


def signals(trials: list[Trial]) -> bytes:
    return b"".join(trial.signal.tobytes() for trial in trials)


@cache
def one_subject(corpus: str) -> list[Trial]:
    return read(small(corpora=[corpus]), f"{corpus}/s01")


@cache
def cohort() -> dict[str, list[Trial]]:
    """Trials of several subjects of sim-30, by stimulus: full-length clips, the same order in every list."""
    builder = SimulatedCorpora(corpora=["sim-30"], subjects=SEVERAL, stimuli=9)
    trials: dict[str, list[Trial]] = {}
    for unit in builder.units():
        for trial in read(builder, unit):
            trials.setdefault(trial.stimulus, []).append(trial)
    return dict(sorted(trials.items()))


# --- determinism ---


def test_a_unit_gives_the_same_bytes_whatever_was_read_before_and_with_any_number_of_threads():
    first = signals(read(small(corpora=["sim-30"]), "sim-30/s02"))
    other = small()  # all corpora, another subject first
    read(other, "sim-14/s01")
    read(other, "sim-30/s01")
    with threadpool_limits(2):
        assert signals(read(other, "sim-30/s02")) == first


def test_another_seed_subject_session_or_difficulty_gives_other_signals():
    variants = [
        small(corpora=["sim-62"]).recording("sim-62", "s01", 1),
        small(corpora=["sim-62"]).recording("sim-62", "s01", 2),
        small(corpora=["sim-62"]).recording("sim-62", "s02", 1),
        small(corpora=["sim-62"], seed=1).recording("sim-62", "s01", 1),
        small(corpora=["sim-62"], difficulty="hard").recording("sim-62", "s01", 1),
    ]
    assert len({variant.signal.tobytes() for variant in variants}) == len(variants)


def test_every_setting_changes_the_options():
    changes = [{}, {"seed": 1}, {"difficulty": "mid"}, {"corpora": ["sim-14"]}, {"subjects": 1}]
    changes += [{"stimuli": 2}, {"trial_seconds": 9.0}, {"preprocessing": "none"}]
    assert len({repr(small(**change).options()) for change in changes}) == len(changes)
    assert small().options()["generator"]


# --- rows ---


@pytest.mark.parametrize("corpus", SPECS)
def test_trials_fit_the_schema(corpus):
    spec, trials = SPECS[corpus], one_subject(corpus)
    assert len(trials) == 3 * spec.sessions
    for trial in trials:
        assert trial.to_row()["n_samples"] == 1000
        assert trial.signal.shape == (len(spec.amplifier.ch_names), 1000)
        assert trial.signal.dtype == np.float32
        assert (trial.dataset, trial.subject, trial.sampling_rate) == (corpus, "s01", RATE)
        assert trial.ch_names == list(spec.amplifier.ch_names)
    typical = np.median(np.abs(np.concatenate([trial.signal for trial in trials], axis=1)))
    assert 3 < typical < 25


@pytest.mark.parametrize("corpus", ["sim-62", "sim-60", "sim-32", "sim-30"])
def test_labels_follow_the_stimulus(corpus):
    classes = SPECS[corpus].classes
    for trial in one_subject(corpus):
        expected = classes[(int(trial.stimulus.removeprefix("clip-")) - 1) % len(classes)]
        assert trial.label_name == expected.name == classes[trial.label].name
        assert (trial.emotion, trial.valence_class) == (expected.emotion, expected.valence_class)
        assert np.isnan(trial.valence)


def test_raters_agree_with_the_truth_and_differ_from_each_other():
    builder = small(corpora=["sim-14"], stimuli=16, trial_seconds=2.0)
    courses = builder.truth("sim-14").courses
    ratings, truth = [], []
    for unit in builder.units():
        trials = sorted(read(builder, unit), key=lambda trial: trial.stimulus)
        assert {trial.label for trial in trials} == {-1}
        ratings.append([(trial.valence, trial.arousal) for trial in trials])
        truth = [(courses[t.stimulus].mean_valence, courses[t.stimulus].mean_arousal) for t in trials]
    assert np.min(ratings) >= 0 and np.max(ratings) <= 1
    for scale in range(2):
        assert np.corrcoef(np.array(ratings)[0, :, scale], np.array(truth)[:, scale])[0, 1] > 0.7
    assert not np.allclose(ratings[0], ratings[1])


def test_the_order_is_the_subjects_own_and_counts_from_0():
    builder = SimulatedCorpora(corpora=["sim-62"])
    orders = [builder.presentation("sim-62", subject, session) for subject in ("s01", "s02") for session in (1, 2)]
    assert all(sorted(order) == list(range(15)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4
    trials = [trial for trial in one_subject("sim-62") if trial.session == 2]
    order = small(corpora=["sim-62"]).presentation("sim-62", "s01", 2)
    assert [(trial.trial, trial.stimulus) for trial in trials] == [(i, stimulus_id(j)) for i, j in enumerate(order)]


def test_sessions_share_stimuli_in_sim_62_and_have_their_own_in_sim_60():
    def shown(corpus: str, session: int) -> set[str]:
        return {trial.stimulus for trial in one_subject(corpus) if trial.session == session}

    assert shown("sim-62", 1) == shown("sim-62", 2)
    assert not shown("sim-60", 1) & shown("sim-60", 2)


def test_facts_say_simulated_and_free():
    for facts in SimulatedCorpora().facts:
        assert "simulated" in facts.title and facts.redistributable
        assert facts.licence == "CC0-1.0 (simulated, no human data)"
        assert (facts.label_source == "self-report") == (facts.name == "sim-14")


def test_default_units_are_one_per_corpus_and_subject():
    units = SimulatedCorpora().units()
    assert len(units) == len(set(units)) == 12 * 4 + 16
    assert units[2] == "sim-62/s03"


def test_bad_settings_are_refused_with_the_choices():
    with pytest.raises(CorpusError, match="sim-99.*sim-62, sim-60, sim-32, sim-14, sim-30"):
        SimulatedCorpora(corpora=["sim-99"])
    with pytest.raises(CorpusError, match="easy, mid, hard"):
        SimulatedCorpora(difficulty="trivial")
    with pytest.raises(CorpusError, match="subjects must be positive, found 0"):
        SimulatedCorpora(subjects=0)
    with pytest.raises(CorpusError, match="seed"):
        SimulatedCorpora(seed=-1)
    with pytest.raises(ConfigurationError):
        SimulatedCorpora(preprocessing="magic")
    with pytest.raises(CorpusError, match="no unit"):
        read(small(), "sim-62/s99")


# --- head ---


def test_the_field_is_mnes_and_linear_in_orientation():
    head = head_model()
    index = head.dipoles.index("P3")
    orientation = np.array([0.6, -0.48, 0.64])
    dipole = mne.Dipole(times=[0.0], pos=head.sources[[index]], amplitude=[1e-9], ori=orientation[None], gof=[100.0])
    info = recording_info(dict(zip(head.electrodes, head.positions, strict=True)))
    forward, _ = mne.make_forward_dipole(dipole, head.sphere, info, verbose="ERROR")
    np.testing.assert_allclose(head.leadfield[:, index] @ orientation, forward["sol"]["data"][:, 0], rtol=1e-5)


def test_named_dipoles_lie_under_their_electrodes_and_eyes_and_muscles_outside():
    head = head_model()
    centre, radius = head.sphere["r0"], head.sphere.radius
    depth = np.linalg.norm(head.sources - centre, axis=1) / radius
    np.testing.assert_allclose(depth[head.columns("named")], 0.72)
    assert depth[head.columns("eyes")].min() > 0.85 and depth[head.columns("muscles")].min() > 0.85
    field = np.abs(np.einsum("eda,da->ed", head.leadfield, head.radial))[:, head.columns("named")]
    assert [head.electrodes[row] for row in field.argmax(axis=0)] == list(head.dipoles[:12])


def test_moving_the_cap_changes_the_field_as_moving_the_electrodes_does():
    head = head_model()
    row = head.rows(["Fz"])[0]
    backwards, left = head.leadfield[row] + 5 * head.shift[:, row]
    mz = np.einsum("da,da->d", backwards, head.radial)[head.dipoles.index("Fz")]
    assert mz < np.einsum("da,da->d", head.leadfield[row], head.radial)[head.dipoles.index("Fz")]
    toward_f3 = np.einsum("da,da->d", left, head.radial)
    assert toward_f3[head.dipoles.index("F3")] > toward_f3[head.dipoles.index("F4")]


# --- physics of the recording ---


def test_noise_has_the_spectrum_and_memory_asked_for():
    rng = np.random.default_rng(0)
    noise = power_law_noise(rng, 20, 30_000, 250.0, 1.2)
    assert noise.std() == pytest.approx(1, abs=0.05)
    frequencies, power = signal.welch(noise, 250.0, nperseg=2000)
    band = (frequencies > 1) & (frequencies < 50)
    slope = np.polyfit(np.log(frequencies[band]), np.log(power.mean(axis=0)[band]), 1)[0]
    assert slope == pytest.approx(-1.2, abs=0.08)
    slow = slow_process(rng, 50, 10_000, 50.0, 5.0)
    assert slow.std() == pytest.approx(1, abs=0.1)
    assert (slow[:, 250:] * slow[:, :-250]).mean() == pytest.approx(np.exp(-1), abs=0.12)


def _noise_at_once(rng, rows, samples, rate, shape):
    """All rows drawn, weighted and transformed together."""
    length = fft.next_fast_len(samples, real=True)
    amplitude = shape(np.arange(length // 2 + 1) * rate / length)
    amplitude[0] = 0
    amplitude *= length / np.sqrt(4 * np.sum(amplitude**2))
    used = np.flatnonzero(amplitude > 1e-6 * amplitude.max())
    first, last = used[0], used[-1] + 1
    spectrum = np.zeros((rows, len(amplitude)), dtype=np.complex64)
    parts = rng.standard_normal((rows, last - first, 2), dtype=np.float32)
    spectrum[:, first:last] = parts.view(np.complex64)[..., 0] * amplitude[first:last].astype(np.float32)
    return fft.irfft(spectrum, length, axis=1)[:, :samples]


@pytest.mark.parametrize("rows", [1, 4, 11])
@pytest.mark.parametrize("shape", [PowerLaw(1.1), Band(14.0, 28.0), Peak(10.2, 1.0)], ids=["law", "band", "peak"])
def test_noise_made_in_pieces_is_that_made_at_once(rows, shape):
    fast, slow = np.random.default_rng(3), np.random.default_rng(3)
    for _ in range(2):
        noise = shaped_noise(fast, rows, 7001, 250.0, shape)
        assert np.array_equal(noise, _noise_at_once(slow, rows, 7001, 250.0, shape))
    into = np.empty((rows, 7001), dtype=np.float32)
    assert shaped_noise(fast, rows, 7001, 250.0, shape, into) is into
    assert np.array_equal(into, _noise_at_once(slow, rows, 7001, 250.0, shape))
    assert fast.random() == slow.random()


def test_rows_between_samples_lie_on_a_line():
    courses = np.random.default_rng(0).standard_normal((3, 40))
    places = np.linspace(0, 39, 777)
    expected = [np.interp(places, np.arange(40), course) for course in courses]
    np.testing.assert_allclose(interpolate(courses, places), expected, atol=1e-12)


def test_the_spectrum_falls_with_an_alpha_peak_that_is_occipital():
    clean = np.concatenate([trial.signal for stimulus in cohort().values() for trial in stimulus], axis=1)
    names = list(SPECS["sim-30"].amplifier.ch_names)
    frequencies, power = signal.welch(clean, RATE, nperseg=500)
    density = dict(zip(names, power, strict=True))

    def at(name: str, low: float, high: float) -> float:
        return density[name][(frequencies >= low) & (frequencies <= high)].mean()

    assert at("Oz", 9, 11) > 3 * np.sqrt(at("Oz", 4, 6) * at("Oz", 16, 20))
    assert min(at(name, 9, 11) for name in ("O1", "Oz", "O2")) > max(at(name, 9, 11) for name in ("Cz", "C3", "C4"))
    for name in names:
        assert at(name, 1, 3) > 3 * at(name, 16, 20) > 3 * at(name, 40, 46)


def test_blinks_are_frontal_and_as_large_as_blinks():
    builder = small(corpora=["sim-62"], trial_seconds=30.0)
    amplitudes = []
    for subject in ("s01", "s02"):
        raw = builder.recording("sim-62", subject, 1)
        names = list(builder.specs["sim-62"].amplifier.ch_names)
        slow = signal.sosfiltfilt(signal.butter(2, [1, 10], "bandpass", fs=200.0, output="sos"), raw.signal)
        slow -= np.median(slow, axis=0)
        frontal = slow[[names.index(name) for name in ("Fp1", "Fpz", "Fp2") if name not in raw.bads]].mean(axis=0)
        peaks, _ = signal.find_peaks(frontal, height=40, distance=80)
        assert 0.05 < len(peaks) / (slow.shape[1] / 200) < 0.5  # per s
        blink = slow[:, peaks].mean(axis=1)
        amplitudes.append(frontal[peaks].mean())
        ranked = [names[row] for row in np.argsort(-blink) if names[row] not in raw.bads]
        assert set(ranked[:3]) <= {"Fp1", "Fpz", "Fp2", "AF3", "AF4"}
        assert blink[names.index("Cz")] < 0.2 * blink[names.index("Fpz")]
    assert 40 < np.mean(amplitudes) < 160


@pytest.mark.parametrize(("corpus", "line"), [("sim-60", 50.0), ("sim-30", 60.0)])
def test_mains_are_in_the_recording_and_not_in_the_trials(corpus, line):
    def prominence(data: np.ndarray, rate: float, frequency: float) -> float:
        frequencies, power = signal.welch(data, rate, nperseg=round(4 * rate))
        density = np.median(power, axis=0)
        index = np.argmin(np.abs(frequencies - frequency))
        return density[index] / density[[index - 6, index + 6]].mean()

    raw = small(corpora=[corpus]).recording(corpus, "s01", 1).signal
    assert prominence(raw, 250.0, line) > 4
    assert prominence(raw, 250.0, 110 - line) < 1.5  # the other country's mains
    clean = np.concatenate([trial.signal for trial in one_subject(corpus)], axis=1)
    density = signal.welch(clean, RATE, nperseg=250)[1].mean(axis=0)
    assert density[100:120].max() < density[60:88].mean()  # 50-60 Hz against 30-44 Hz


def test_the_hardware_high_pass_of_sim_32_removes_slow_waves():
    def slow_share(corpus: str) -> float:
        recording = small(corpora=[corpus]).recording(corpus, "s01", 1).signal
        frequencies, power = signal.welch(recording, 250.0, nperseg=1000)
        density = np.median(power, axis=0)
        return (
            density[(frequencies > 0.4) & (frequencies < 1.1)].mean()
            / density[(frequencies > 4) & (frequencies < 6)].mean()
        )

    assert slow_share("sim-32") < 1 < 4 < slow_share("sim-30")


def test_two_to_five_percent_of_channels_break_and_are_reported():
    builder = SimulatedCorpora(corpora=["sim-62"], stimuli=1, trial_seconds=2.0)
    recordings = [builder.recording("sim-62", f"s{i:02d}", j) for i in range(1, 13) for j in (1, 2)]
    assert 0.015 < np.mean([len(recording.bads) for recording in recordings]) / 62 < 0.06
    names = list(builder.specs["sim-62"].amplifier.ch_names)
    for recording in recordings:
        spread = np.diff(recording.signal, axis=1).std(axis=1)
        bad = [spread[names.index(name)] for name in recording.bads]
        assert not bad or min(bad) > 2 * np.median(spread)


# --- emotion ---


def log_band_power(trial: Trial, channel: str, low: float, high: float) -> float:
    data = trial.signal[trial.ch_names.index(channel)]
    frequencies, power = signal.welch(data, RATE, nperseg=250)
    return float(np.log(power[(frequencies >= low) & (frequencies <= high)].mean()))


def mean_effect(measure) -> np.ndarray:
    """`(stimuli,)` a measure of each trial, averaged over the subjects."""
    return np.array([np.mean([measure(trial) for trial in trials]) for trials in cohort().values()])


def true_effect(dipole: str, band: str) -> np.ndarray:
    """`(stimuli,)` mean log power change the simulation put into one rhythm."""
    truth = SimulatedCorpora(corpora=["sim-30"], subjects=SEVERAL, stimuli=9).truth("sim-30")
    row = truth.rhythms.index((dipole, band))
    return np.array([truth.log_power[stimulus][row].mean() for stimulus in cohort()])


def matching(measured: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """Correlation with the truth, and the 95th percentile of those with the stimuli shuffled."""
    rng = np.random.default_rng(0)
    shuffled = [np.corrcoef(measured, rng.permutation(true))[0, 1] for _ in range(500)]
    return float(np.corrcoef(measured, true)[0, 1]), float(np.quantile(shuffled, 0.95))


@pytest.mark.parametrize(
    ("channels", "band", "rhythm"),
    [
        (("F4",), (8, 12), ("F4", "alpha")),
        (("F3",), (8, 12), ("F3", "alpha")),
        (("T7", "T8"), (30, 46), ("T7", "gamma")),
        (("T7", "T8"), (14, 28), ("T8", "beta")),
        (("Pz", "P3", "P4"), (8, 12), ("Pz", "alpha")),
    ],
)
def test_emotion_is_in_the_band_power_the_truth_says(channels, band, rhythm):
    measured = mean_effect(lambda trial: np.mean([log_band_power(trial, name, *band) for name in channels]))
    found, chance = matching(measured, true_effect(*rhythm))
    assert found > max(0.75, chance)


def test_frontal_asymmetry_follows_valence():
    courses = SimulatedCorpora(corpora=["sim-30"], stimuli=9).truth("sim-30").courses
    valence = np.array([courses[stimulus].mean_valence for stimulus in cohort()])
    asymmetry = mean_effect(lambda trial: log_band_power(trial, "F4", 8, 12) - log_band_power(trial, "F3", 8, 12))
    found, chance = matching(asymmetry, valence)
    assert found > max(0.8, chance)
    assert np.polyfit(valence, asymmetry, 1)[0] > 0.3  # log units per unit of valence


def test_a_lower_level_has_less_emotion():
    def spread(difficulty: str) -> np.ndarray:
        truth = small(corpora=["sim-30"], difficulty=difficulty).truth("sim-30")
        return np.array([np.ptp([np.abs(x).max() for x in part.values()]) for part in (truth.log_power, truth.locked)])

    assert (spread("easy") > spread("mid")).all() and (spread("mid") > spread("hard")).all()


def test_the_truth_obeys_its_own_table():
    truth = small().truth("sim-60")
    course, power = truth.courses["clip-02"], truth.log_power["clip-02"]
    for row, rhythm in enumerate(RHYTHMS):
        expected = rhythm.valence * course.valence + rhythm.arousal * course.arousal
        np.testing.assert_allclose(power[row], expected, atol=1e-12)
    f3, f4 = (truth.locked["clip-02"][truth.dipoles.index(name)] for name in ("F3", "F4"))
    np.testing.assert_allclose(f3, -f4)
    assert course.envelope[0] == 0 and course.envelope[1:].min() > 0
    assert len(truth.courses) == 6  # three stimuli in each of two sessions


def intersubject_correlation(names: tuple[str, ...], advance: np.ndarray) -> np.ndarray:
    """`(stimuli,)` mean correlation of 1-7 Hz signals between subjects, each advanced by so many seconds."""
    band = signal.butter(2, [1, 7], "bandpass", fs=RATE, output="sos")
    result = []
    for trials in cohort().values():
        rows = [trials[0].ch_names.index(name) for name in names]
        waves = [signal.sosfiltfilt(band, trial.signal[rows], axis=1) for trial in trials]
        waves = [np.roll(wave, -round(s * RATE), axis=1) for wave, s in zip(waves, advance, strict=True)]
        pairs = np.triu_indices(len(waves), 1)
        result.append(np.mean([np.corrcoef([w[row] for w in waves])[pairs].mean() for row in range(len(rows))]))
    return np.array(result)


@pytest.mark.parametrize("names", [("T7", "T8"), ("O1", "O2"), ("Pz",)])
def test_subjects_are_time_locked_to_the_stimulus(names):
    builder = SimulatedCorpora(corpora=["sim-30"], subjects=SEVERAL)
    lags = np.array([builder.person("sim-30", unit.split("/")[1]).lag for unit in builder.units()])
    assert 0 <= lags.min() < lags.max() <= 0.15
    control = intersubject_correlation(names, lags + 3.0 * np.arange(SEVERAL))  # no two at the same moment
    aligned = intersubject_correlation(names, lags)
    error = np.std(control) / np.sqrt(len(control))
    assert aligned.mean() > control.mean() + max(4 * error, 0.01)
    if names == ("T7", "T8"):  # slow enough to survive the lags of different subjects
        assert aligned.mean() > intersubject_correlation(names, 0 * lags).mean() > control.mean() + 4 * error
