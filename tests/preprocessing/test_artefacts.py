"""Eye and muscle activity taken out, on simulated recordings whose artefacts are known exactly."""

import dataclasses

import numpy as np
import pytest
from scipy.signal import welch
from threadpoolctl import threadpool_limits

from mdjpt_hf.data_scripts import simulated
from mdjpt_hf.data_scripts.simulated import SimulatedCorpora
from mdjpt_hf.modeling.signal_mdjpt import average_reference, resample_and_filter
from mdjpt_hf.preprocessing import EYE_CHANNELS, PRESETS, preprocess, preprocess_session
from mdjpt_hf.preprocessing.artefacts import find_components

RATE, FRONTAL, OCCIPITAL = 125.0, ("Fp1", "Fp2"), ("O1", "O2", "Oz")


@pytest.fixture(scope="module")
def recording():
    """Names, rate, and one session in µV with and without blinks and muscle bursts; everything else is the same."""
    builder = SimulatedCorpora(seed=4, corpora=["sim-30"], subjects=2, stimuli=4)
    amplifier = builder.specs["sim-30"].amplifier
    whole = builder.recording("sim-30", "s01", 1)
    assert not whole.bads
    with pytest.MonkeyPatch.context() as patch:
        calm = dataclasses.replace(simulated.DIFFICULTIES["easy"], artefacts=0.0)
        patch.setitem(simulated.DIFFICULTIES, "easy", calm)
        brain = builder.recording("sim-30", "s01", 1)
    return list(amplifier.ch_names), amplifier.sampling_rate, whole.signal, brain.signal


@pytest.fixture(scope="module")
def components(recording):
    names, rate, whole, _ = recording
    with threadpool_limits(1):
        return find_components([whole], names, rate)


@pytest.fixture(scope="module")
def cleaned(recording):
    """The session with artefacts as the paper's preset leaves it, which takes seconds."""
    names, rate, whole, _ = recording
    with threadpool_limits(1):
        return preprocess(whole, names, rate, "paper")


def band(signal, rate):
    return average_reference(resample_and_filter(signal, rate, RATE, (0.5, 47.0)))


def alpha(values):
    frequencies, power = welch(values, RATE, nperseg=500)
    return power[(frequencies >= 8) & (frequencies <= 13)].sum()


def test_artefacts_go_and_alpha_stays(recording, components):
    names, rate, whole, brain = recording
    assert components.artefacts["eye"]
    kept = components.without_artefacts(band(brain, rate), RATE)
    # the operation is linear, so what it does to the artefacts alone is what it does to them in the mixture
    artefact = band(whole - brain, rate)
    left = components.without_artefacts(band(whole, rate), RATE) - kept
    removed = {
        name: 1 - np.square(left[names.index(name)]).sum() / np.square(artefact[names.index(name)]).sum()
        for name in FRONTAL
    }
    assert min(removed.values()) >= 0.8, removed
    stays = {
        name: alpha(kept[names.index(name)]) / alpha(band(brain, rate)[names.index(name)])
        for name in OCCIPITAL
        if name in names
    }
    assert len(stays) >= 2 and min(stays.values()) >= 0.9, stays


def test_the_preset_filters_cleans_and_reports(recording, components, cleaned):
    names, rate, whole, brain = recording
    with threadpool_limits(1):
        again = preprocess(whole, names, rate, "paper")
    np.testing.assert_array_equal(cleaned.signal, again.signal)
    assert cleaned.id == PRESETS["paper"] == "paper-1" and cleaned.sampling_rate == RATE
    assert components.notes()[0] in cleaned.notes
    basic = preprocess(whole, names, rate, "basic")
    calm = preprocess(brain, names, rate, "basic")

    def blinks(result):
        """Share of the artefact's amplitude found in the signal at Fp1."""
        artefact = band(whole - brain, rate)[names.index("Fp1")]
        return result.signal[result.ch_names.index("Fp1")] @ artefact / (artefact @ artefact)

    assert abs(blinks(calm)) < 0.1 and blinks(basic) > 0.8
    assert blinks(cleaned) ** 2 <= 0.2


def test_a_session_in_stretches_is_judged_as_a_whole(recording, cleaned):
    names, rate, whole, _ = recording
    cut = whole.shape[1] // 2
    with threadpool_limits(1):
        parts = preprocess_session([whole[:, :cut], whole[:, cut:]], names, rate, "paper")
    assert [part.notes for part in parts] == [parts[0].notes] * 2
    joined = np.concatenate([part.signal for part in parts], axis=1)
    assert joined.shape == cleaned.signal.shape
    inner = np.r_[: round(cut * RATE / rate) - 250, round(cut * RATE / rate) + 250 : joined.shape[1]]
    difference = joined[:, inner] - cleaned.signal[:, inner]
    assert np.square(difference).mean() < 0.1 * np.square(cleaned.signal).mean()  # filters end at the cut


def test_few_channels_keep_their_artefacts_and_say_so(recording):
    names, rate, whole, _ = recording
    few = [names.index(name) for name in ("Fz", "Cz", "Pz", "O1", "O2", "F3")]
    prepared = preprocess(whole[few], [names[index] for index in few], rate, "paper")
    assert any("eye and muscle activity kept: 6 good channels" in note for note in prepared.notes)


def test_channels_are_judged_twice(recording):
    """A channel of noise is rebuilt; the eye channels are not lost to blinks before the components are known."""
    names, rate, whole, _ = recording
    noisy = whole.copy()
    noisy[names.index("Cz")] = np.random.default_rng(0).normal(0, 800, whole.shape[1])
    blinking = noisy.copy()
    blinking[names.index("Fp1")] += 30 * (whole - whole.mean(axis=0))[names.index("Fp1")]
    with threadpool_limits(1):
        prepared = preprocess(blinking, names, rate, "paper")
    assert any(note.startswith("interpolated") and "Cz" in note for note in prepared.notes)
    assert "Fp1" in EYE_CHANNELS and "Fp1" in prepared.ch_names


def test_a_channel_without_a_place_is_removed(recording):
    names, rate, whole, _ = recording
    renamed = ["CB1" if name == names[-1] else name for name in names]
    with threadpool_limits(1):
        prepared = preprocess(whole, renamed, rate, "paper")
    assert "CB1" not in prepared.ch_names
    assert any(note.startswith("removed CB1") for note in prepared.notes)


@pytest.mark.parametrize(("rate", "highest"), [(128.0, 64.0), (160.0, 80.0), (250.0, 100.0), (1000.0, 100.0)])
def test_rates_that_hide_muscles_are_told(monkeypatch, rate, highest):
    """ICLabel was trained up to 100 Hz; what it says of a narrower band is another matter."""
    monkeypatch.setattr("mdjpt_hf.preprocessing.artefacts.iclabel_label_components", lambda *a, **k: np.zeros((9, 7)))
    names = ["Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2"]
    signal = np.random.default_rng(0).laplace(0, 10, (10, int(8 * rate)))
    found = find_components([signal], names, rate)
    assert found.highest == highest
    assert any(f"judged up to {highest:g} Hz" in note for note in found.notes()) == (highest < 100)
