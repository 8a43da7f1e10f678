"""Samples that are no numbers, where a user has marked the signal as bad."""

import mne
import numpy as np
import pytest

from mdjpt_hf.data_scripts.base import UnitReport
from mdjpt_hf.data_scripts.recordings import Recordings
from mdjpt_hf.errors import SignalError
from mdjpt_hf.modeling.feature_extraction_mdjpt import MDJPTFeatureExtractor

NAMES = ["Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2"]


def signal(seconds=60):
    return np.random.default_rng(0).normal(0, 15, (len(NAMES), seconds * 250))


def raw_of(values, bads=(), annotations=None):
    raw = mne.io.RawArray(values * 1e-6, mne.create_info(NAMES, 250.0, "eeg"), verbose="ERROR")
    raw.info["bads"] = list(bads)
    return raw.set_annotations(mne.Annotations(*annotations)) if annotations else raw


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("places", [slice(None), slice(100, 200)])
def test_a_bad_channel_may_hold_anything(value, places):
    values = signal()
    values[4, places] = value
    wanted = signal()
    wanted[4] = 0
    extractor = MDJPTFeatureExtractor()
    found = extractor(raw_of(values, ["C3"]))
    as_array = extractor(values, NAMES, 250, bads=["c3"])
    assert found.report.interpolated == ["C3"] and "no numbers: C3" in str(found.report)
    expected = extractor(wanted, NAMES, 250, bads=["C3"])["input_values"]
    np.testing.assert_allclose(found["input_values"], expected, atol=1e-4)
    np.testing.assert_allclose(as_array["input_values"], expected, atol=1e-4)
    assert np.isnan(values).any() or np.isinf(values).any()  # the caller's own array is left alone


def test_a_stretch_marked_bad_may_hold_anything():
    values = signal()
    values[:, 5000:5500] = np.nan
    found = MDJPTFeatureExtractor()(raw_of(values, annotations=([20], [2], ["BAD_gap"])))
    assert np.isfinite(found["input_values"]).all()
    onsets = found["window_onsets"]
    assert all(onset + 5 <= 20 or onset >= 22 for onset in onsets) and onsets.min() == 0 and onsets.max() > 50
    assert "cut out 2 s without samples" in str(found.report)


def test_anywhere_else_they_are_refused():
    values = signal()
    values[:, 5000:5500] = np.nan
    for raw in (raw_of(values), raw_of(values, ["C3"]), raw_of(values, annotations=([20], [1], ["BAD_gap"]))):
        with pytest.raises(SignalError, match="non-finite value nan at channel Fp1, sample 5") as error:
            MDJPTFeatureExtractor()(raw)
        assert "Mark the channel or the stretch as bad" in error.value.remedy


@pytest.mark.parametrize("preset", ["none", "basic"])
def test_preparation_takes_them_the_same_way(tmp_path, preset):
    values = signal()
    values[4] = np.nan
    values[:, 5000:5500] = np.nan
    raw_of(values, ["C3"], ([20], [2], ["BAD_gap"])).save(tmp_path / "x_raw.fif", verbose="ERROR")
    (tmp_path / "t.csv").write_text("file,subject,stimulus,onset,duration\nx_raw.fif,s1,a,0,20\nx_raw.fif,s1,c,21,5\n")
    report = UnitReport("s1")
    trials = list(Recordings(tmp_path / "t.csv", preprocessing=preset).read_unit("s1", report))
    assert [trial.stimulus for trial in trials] == ["a"] and np.isfinite(trials[0].signal).all()
    assert "begins where nothing was recorded" in report.rejected[0]
