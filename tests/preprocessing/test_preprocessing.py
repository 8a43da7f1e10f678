"""Named preprocessing presets."""

import json

import numpy as np
import pytest

from mdjpt_hf.errors import ConfigurationError, MontageError, SamplingRateError, SignalError, UnitError
from mdjpt_hf.modeling.montage_mdjpt import STANDARD_CHANNELS
from mdjpt_hf.modeling.signal_mdjpt import clean, resample
from mdjpt_hf.preprocessing import PRESETS, preprocess, preset_settings

NAMES = list(STANDARD_CHANNELS[:10])


def eeg(seconds=8.0, rate=200):
    rng = np.random.default_rng(0)
    time = np.arange(round(seconds * rate)) / rate
    return np.array([10 * np.sin(2 * np.pi * f * time) for f in rng.uniform(3, 30, 10)]) + rng.normal(
        0, 2, (10, len(time))
    )


def test_none_only_resamples():
    prepared = preprocess(eeg() + 100, NAMES, 200, "none")
    np.testing.assert_allclose(prepared.signal, resample(eeg() + 100, 200), atol=1e-4)
    assert (prepared.id, prepared.sampling_rate, prepared.ch_names) == ("none-1", 125.0, NAMES)
    assert prepared.signal.dtype == np.float32 and prepared.signal.shape == (10, 1000)
    assert prepared.notes == ["resampled from 200 to 125 Hz"]


def test_none_at_the_target_rate_changes_nothing():
    signal = eeg(rate=125).astype(np.float32)
    prepared = preprocess(signal, NAMES, 125.0, "none", bads=["Fz"])
    np.testing.assert_array_equal(prepared.signal, signal)
    assert "kept the bad channels Fz" in prepared.notes[0]


def test_basic_is_the_shared_cleaning():
    prepared, cleaned = preprocess(eeg(), NAMES, 200, bads=["F5"]), clean(eeg(), NAMES, 200, ["F5"])
    np.testing.assert_array_equal(prepared.signal, cleaned.signal)
    assert (prepared.id, prepared.notes, prepared.ch_names) == ("basic-1", cleaned.notes, cleaned.ch_names)


def test_presets_that_are_not_there():
    for call in (lambda: preprocess(eeg(), NAMES, 200, "best"), lambda: preset_settings("best")):
        with pytest.raises(ConfigurationError, match="'best' is unknown") as error:
            call()
        assert "none, basic, paper" in error.value.remedy


@pytest.mark.parametrize(
    ("signal", "rate", "bads", "kind"),
    [
        (eeg() * np.nan, 200, (), SignalError),
        (eeg(), 60, (), SamplingRateError),
        (eeg() * 1e6, 200, (), UnitError),
        (eeg(), 200, ("Oz",), MontageError),
    ],
)
def test_errors_say_which_recording(signal, rate, bads, kind):
    with pytest.raises(kind) as located:
        preprocess(signal, NAMES, rate, bads=bads, where="subject 7, session 2")
    with pytest.raises(kind) as bare:
        preprocess(signal, NAMES, rate, bads=bads)
    assert str(located.value) == f"subject 7, session 2: {bare.value}"
    assert located.value.remedy == bare.value.remedy != ""
    assert located.value.value == bare.value.value or np.isnan(bare.value.value)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_settings_are_plain_json(preset):
    settings = preset_settings(preset)
    assert json.loads(json.dumps(settings)) == settings
    assert (settings["id"], settings["sampling_rate"]) == (PRESETS[preset], 125.0)
    assert ("band" in settings) == (preset != "none")
