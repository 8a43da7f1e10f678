"""Recordings with pauses and seams on their way to trials."""

import csv
import sys
from pathlib import Path

import mne
import numpy as np
import pytest

from mdjpt_hf.data_scripts.base import UnitReport
from mdjpt_hf.data_scripts.files import read_recording
from mdjpt_hf.data_scripts.marked import MarkedTrial, SourceRecording
from mdjpt_hf.data_scripts.recordings import Recordings
from mdjpt_hf.data_scripts.seed import SEED
from mdjpt_hf.errors import CorpusError
from mdjpt_hf.modeling.stretches_mdjpt import Stretch
from mdjpt_hf.preprocessing import preprocess
from mdjpt_hf.preprocessing.artefacts import find_components

sys.path.insert(0, str(Path(__file__).parents[1]))
from fabricated_edf import paused, write_edf  # noqa: E402

NAMES = ["Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2"]
RATE = 250


def loud_while(clip, starts, seed=0):
    """Noise with a rhythm of 10 Hz while a clip is shown, (start, end) in s of the clock of records of one second."""
    clock = np.concatenate([start + np.arange(RATE) / RATE for start in starts])
    signal = np.random.default_rng(seed).normal(0, 12, (len(NAMES), len(clock)))
    shown = (clock >= clip[0]) & (clock < clip[1])
    return signal + shown * 40 * np.sin(20 * np.pi * clock) * np.linspace(-1, 1, len(NAMES))[:, None]


def table(folder, *rows):
    with (folder / "t.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "subject", "stimulus", "onset", "duration"])
        writer.writerows(rows)
    return folder / "t.csv"


def read(builder):
    report = UnitReport("s1")
    return list(builder.read_unit("s1", report)), report


@pytest.mark.parametrize("preset", ["none", "basic"])
def test_a_trial_after_a_pause_is_the_clip(tmp_path, preset):
    starts = paused(120, {30: 15.0})
    write_edf(tmp_path / "p1.edf", loud_while((60, 90), starts), NAMES, starts=starts, marks=[(60.0, 0.0, "clip")])
    rows = [["p1.edf", "s1", "clip", 60, 30], ["p1.edf", "s1", "broken", 20, 20], ["p1.edf", "s1", "in it", 41, 2]]
    (trial,), report = read(Recordings(table(tmp_path, *rows), preprocessing=preset))
    loud = np.abs(trial.signal[0].reshape(-1, 125)).mean(axis=1) > 15
    assert trial.stimulus == "clip" and len(loud) == 30 and loud.all()
    assert report.rejected == [
        "p1.edf: the trial of line 3 runs across a pause or seam at 30 s",
        "p1.edf: the trial of line 4 begins where nothing was recorded, or too little to be filtered",
    ]
    assert any("a pause or seam in the recording (at 30 s for 15 s)" in note for note in report.notes)


def test_the_end_of_a_file_with_pauses_is_by_its_clock(tmp_path):
    starts = paused(40, {10: 20.0})
    write_edf(tmp_path / "p1.edf", loud_while((0, 0), starts), NAMES, starts=starts)
    (trial,), _ = read(Recordings(table(tmp_path, ["p1.edf", "s1", "last", 50, 10])))
    assert trial.signal.shape == (10, 1250)
    with pytest.raises(CorpusError, match="line 2: the trial lasts from 55 to 65 s, but p1.edf ends at 60 s"):
        read(Recordings(table(tmp_path, ["p1.edf", "s1", "last", 55, 10])))
    with pytest.raises(CorpusError, match="line 2: the trial begins at 70 s, but p1.edf ends at 60 s"):
        read(Recordings(table(tmp_path, ["p1.edf", "s1", "last", 70, "rest"])))


def test_trials_of_joined_recordings(tmp_path):
    signals = [loud_while((0, 0), range(20), seed) for seed in (0, 1)]
    raws = [mne.io.RawArray(s * 1e-6, mne.create_info(NAMES, RATE, "eeg"), verbose="ERROR") for s in signals]
    mne.concatenate_raws(raws).save(tmp_path / "j_raw.fif", verbose="ERROR")
    rows = [["j_raw.fif", "s1", "a", 0, 20], ["j_raw.fif", "s1", "b", 25, 10]]
    trials, _ = read(Recordings(table(tmp_path, *rows)))
    assert [trial.signal.shape[1] for trial in trials] == [2500, 1250]
    _, report = read(Recordings(table(tmp_path, ["j_raw.fif", "s1", "a", 0, "rest"])))
    assert "line 2 runs across a pause or seam at 20 s" in report.rejected[0]


def test_downloaded_corpora_cut_by_the_same_clock(tmp_path):
    starts = paused(60, {20: 10.0})
    path = write_edf(tmp_path / "x.edf", loud_while((40, 50), starts), NAMES, starts=starts)
    recording, notes = read_recording(path)
    trials = [MarkedTrial("clip", 0, onset=40.0, duration=10.0), MarkedTrial("broken", 1, onset=15.0, duration=10.0)]
    source = SourceRecording.of_file(path, recording, trials, notes)
    corpus, report = SEED.__new__(SEED), UnitReport("s1")
    corpus.preprocessing = "basic"
    (prepared,) = corpus._preprocess([source], report)
    (trial,) = [found for marked in trials for found in corpus._cut("s1", source, prepared, marked, report)]
    assert (np.abs(trial.signal[0].reshape(-1, 125)).mean(axis=1) > 15).all()
    assert report.rejected == ["x.edf: stimulus broken runs across a pause or seam at 20 s"]
    assert any("pause or seam" in note for note in report.notes)


def test_components_are_found_on_stretches_filtered_apart(monkeypatch):
    """What stands on one side of a joint cannot change the filtered copy on the other."""
    seen = []
    monkeypatch.setattr("mdjpt_hf.preprocessing.artefacts.ICA", lambda *a, **k: pytest.fail("not reached"))
    monkeypatch.setattr(mne.io.BaseRaw, "set_eeg_reference", lambda raw, *a, **k: seen.append(raw.get_data()))
    parts = [loud_while((0, 0), range(8), seed) for seed in (0, 1)]
    for offset in (0, 3000):
        with pytest.raises(pytest.fail.Exception, match="not reached"):
            find_components([parts[0], parts[1] + offset], NAMES, RATE)
    np.testing.assert_allclose(seen[0][:, :2000], seen[1][:, :2000], atol=1e-12)


def test_paper_keeps_stretches_apart():
    signal = np.hstack([loud_while((0, 0), range(20), seed) for seed in (0, 1)])
    stretches = [Stretch(0, 5000), Stretch(5000, 10000, 40.0)]
    prepared = preprocess(signal[:7], NAMES[:7], RATE, "paper", stretches=stretches)
    assert prepared.stretches == [Stretch(0, 2500), Stretch(2500, 5000, 40.0)] and prepared.end == 60.0
    assert "too few" in " ".join(prepared.notes) or "do not separate" in " ".join(prepared.notes)
