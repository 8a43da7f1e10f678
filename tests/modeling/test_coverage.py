"""What the standard channels may be made from, which channels are bad, and which is the reference."""

import mne
import numpy as np
import pytest

from mdjpt_hf.data_scripts.base import UnitReport
from mdjpt_hf.data_scripts.recordings import Recordings
from mdjpt_hf.errors import MontageError
from mdjpt_hf.modeling.bad_channels_mdjpt import find_bad_channels, recorded_reference
from mdjpt_hf.modeling.coverage_mdjpt import check_coverage, measure_coverage
from mdjpt_hf.modeling.electrodes_mdjpt import ELECTRODES
from mdjpt_hf.modeling.feature_extraction_mdjpt import MDJPTFeatureExtractor
from mdjpt_hf.modeling.montage_mdjpt import STANDARD_CHANNELS, select_channels
from mdjpt_hf.modeling.signal_mdjpt import clean
from mdjpt_hf.preprocessing import preprocess

CAP = [
    "Fp1",
    "Fp2",
    "F7",
    "F3",
    "Fz",
    "F4",
    "F8",
    "FC5",
    "FC1",
    "FC2",
    "FC6",
    "T7",
    "C3",
    "Cz",
    "C4",
    "T8",
    "CP5",
    "CP1",
    "CP2",
    "CP6",
    "P7",
    "P3",
    "Pz",
    "P4",
    "P8",
    "PO3",
    "PO4",
    "O1",
    "Oz",
    "O2",
]
EMOTIV = ["AF3", "F7", "F3", "FC5", "T7", "P7", "O1", "O2", "P8", "T8", "FC6", "F4", "F8", "AF4"]


def potential(names, seconds=30, rate=250, seed=0):
    """Smooth over the head, as skulls make it: `(channels, samples)` of about 15 µV."""
    rng = np.random.default_rng(seed)
    places = np.array([ELECTRODES[name] for name in names])
    sources = np.array(list(ELECTRODES.values()))[rng.integers(300, size=12)] + rng.normal(0, 20, (12, 3))
    mixing = np.exp(-((places[:, None] - sources) ** 2).sum(-1) / 2 / 55**2) * rng.choice([-1, 1], 12)
    time = np.arange(seconds * rate) / rate
    waves = [np.sin(2 * np.pi * f * time + rng.uniform(0, 6)) for f in rng.uniform(2, 25, 12)]
    return 20 * mixing @ np.array(waves)


@pytest.mark.parametrize(
    "names",
    [
        [*map(str, range(1, 31)), "Cz", "HEOG"],
        [*(f"Ch{k}" for k in range(1, 31)), "Cz"],
        [*(f"E{k}" for k in range(1, 129)), "Cz"],
        [*(f"EEG {k:03d}-REF" for k in range(1, 20)), *CAP[:5]],
        ["Fp1-F3", "F3-C3", "C3-P3", "Cz"],
    ],
)
def test_names_that_mostly_mean_nothing_are_refused(names):
    with pytest.raises(MontageError, match="most names mean nothing|amplifier input") as error:
        select_channels(names)
    assert "places" in error.value.remedy or "layout" in error.value.remedy


@pytest.mark.parametrize(
    "others",
    [
        ["EOG Left", "EMG chin", "ECG", "Resp chest", "SpO2", "Pulse", "Flow", "Snore", "Leg/L", "Leg/R", "Body"],
        [f"EXG{k}" for k in range(1, 9)],
        ["COUNTER", "INTERPOLATED", "GYROX", "GYROY", "MARKER", "CQ_AF3", "CQ_F7", "RAW_CQ", "BATTERY"],
    ],
)
def test_signals_that_are_no_eeg_do_not_count_as_unknown(others):
    assert select_channels([*others, "F3", "F4", "C3", "C4"]).ch_names == ["F3", "F4", "C3", "C4"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["Cz"], "made from 1 electrodes.*at least 4"),
        (["Fp1", "Fpz", "Fp2", "AF3", "AF4", "F7", "F5"], "31 of them lie farther than 10 cm"),
        (["O1", "Oz", "O2", "PO7", "PO8", "POz", "Pz"], "18.9 cm from the nearest electrode, 18 at most"),
    ],
)
def test_recordings_that_saw_too_little_are_refused(tmp_path, names, message):
    with pytest.raises(MontageError, match=message):
        check_coverage(names)
    signal = potential(names)
    with pytest.raises(MontageError, match=message):
        MDJPTFeatureExtractor()(signal, ch_names=names, sampling_rate=250)
    raw = mne.io.RawArray(signal * 1e-6, mne.create_info(names, 250, "eeg"), verbose="ERROR")
    raw.save(tmp_path / "x_raw.fif", verbose="ERROR")
    (tmp_path / "t.csv").write_text("file,subject,stimulus\nx_raw.fif,s1,a\n")
    with pytest.raises(MontageError, match=f"x_raw.fif: .*{message}"):
        list(Recordings(tmp_path / "t.csv").read_unit("s1", UnitReport("s1")))


@pytest.mark.parametrize(
    "names", [EMOTIV, ["AF3", "AF4", "T7", "T8", "Pz"], ["TP9", "AF7", "AF8", "TP10"], ["Fp1", "Fp2", "O1", "O2"]]
)
def test_headsets_are_taken_and_their_coverage_is_told(names):
    report = MDJPTFeatureExtractor()(potential(names), ch_names=names, sampling_rate=250).report
    coverage = report.coverage
    assert coverage == measure_coverage(names)
    assert (coverage.electrodes, coverage.made) == (len(names), 60 - len(set(names) & set(STANDARD_CHANNELS)))
    assert (f"{coverage.channel} {coverage.farthest:g} cm" in str(report)) == (coverage.far > 0)


def test_headsets_rebuild_nothing_over_half_the_head():
    names = ["AF3", "AF4", "T7", "T8", "Pz"]
    signal = potential(names)
    signal[2] *= 60
    report = MDJPTFeatureExtractor()(signal, ch_names=names, sampling_rate=250).report
    assert (report.bads, report.interpolated, report.coverage.electrodes) == (["T7"], [], 4)
    assert "removed T7" in str(report)


def test_a_quarter_of_the_channels_may_be_rebuilt():
    for count, rebuilt in ((7, 7), (8, 0)):
        cleaned = clean(potential(CAP), CAP, 250, bads=CAP[:count])
        assert (len(cleaned.bads), len(cleaned.interpolated)) == (count, rebuilt)
        assert len(cleaned.ch_names) == 30 - (count - rebuilt)


@pytest.mark.parametrize(("factor", "is_bad"), [(1e-3, True), (5e-3, True), (0.1, False)])
def test_a_channel_far_quieter_than_the_others_is_bad(factor, is_bad):
    signal = np.random.default_rng(0).normal(0, 20, (20, 2500))
    signal[4] *= factor
    assert find_bad_channels(signal) == [4] * is_bad
    assert clean(signal, CAP[:20], 125).bads == [CAP[4]] * is_bad


@pytest.mark.parametrize("reference", ["Cz", "Fz", "Pz", "FC1", "T7", "O1"])
@pytest.mark.parametrize("preset", ["basic", "paper"])
def test_a_recorded_reference_is_kept(reference, preset, monkeypatch):
    monkeypatch.setattr("mdjpt_hf.preprocessing.presets._remove_artefacts", lambda *arguments: None)
    signal = potential(CAP)
    wanted = clean(signal, CAP, 250).signal
    found = preprocess(signal - signal[CAP.index(reference)], CAP, 250, preset)
    np.testing.assert_allclose(found.signal, wanted, atol=1e-3)
    assert f"kept {reference}: its zeros are those of the recorded reference" in found.notes
    assert found.interpolated == []


def test_a_channel_that_was_not_connected_is_still_bad():
    signal = potential(CAP)
    signal -= signal.mean(axis=0)
    signal[CAP.index("F3")] = 0
    cleaned = clean(signal, CAP, 250)
    assert cleaned.interpolated == ["F3"]
    assert recorded_reference(np.zeros((3, 100)), CAP[:3]) is None
    both = potential(CAP) - potential(CAP)[[13]]
    both[4] = 0
    assert clean(both, CAP, 250).bads == ["Fz", "Cz"]  # one of two may be the reference, but which
    one = potential(CAP) - potential(CAP)[[13]]
    assert clean(one, CAP, 250, bads=["Cz"]).interpolated == ["Cz"]  # stated to be bad
