"""Data sets of braindecode itself become the rows that the same recordings give as files.

Needs the extra `[braindecode]`, which `.ci/run` installs for this file and those like it.
"""

import csv
import warnings

import mne
import numpy as np
import pandas as pd
import pytest

import mdjpt_hf.runtime.registration  # noqa: F401  # mends a torchaudio that was built for CUDA
from mdjpt_hf.data import corpus_metadata, from_braindecode, load_corpus
from mdjpt_hf.errors import CorpusError, UnitError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its own use of MNE and torch
    datasets = pytest.importorskip("braindecode.datasets", reason="needs the extra [braindecode]")
    preprocessing = pytest.importorskip("braindecode.preprocessing", reason="needs the extra [braindecode]")

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

NAMES = ["Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2"]
RATE = 250
ONSETS, SECONDS, CLASSES = [2.0, 14.0, 26.0], 10.0, ["joy", "fear", "joy"]


def recording(person: int, first_samp: int = 0) -> mne.io.RawArray:
    noise = np.random.default_rng(person).normal(0, 1.2e-5, (len(NAMES), 40 * RATE)).astype(np.float32)
    info = mne.create_info(NAMES, RATE, "eeg")
    raw = mne.io.RawArray(noise.astype(np.float64), info, first_samp=first_samp, verbose="error")
    return raw.set_annotations(mne.Annotations(ONSETS, [SECONDS] * 3, CLASSES))


def recordings(first_samp: int = 0, **description):
    parts = [
        datasets.RawDataset(
            recording(person, first_samp),
            pd.Series(
                {"subject": person, "session": "0", **{key: value[person] for key, value in description.items()}}
            ),
        )
        for person in (1, 2)
    ]
    return datasets.BaseConcatDataset(parts)


def windows(data, **changes):
    given = {"window_size_samples": 1250, "window_stride_samples": 1250, "drop_last_window": False, "preload": True}
    return preprocessing.create_windows_from_events(data, **given | changes)


@pytest.fixture
def by_files(tmp_path):
    with open(tmp_path / "mine.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "subject", "session", "onset", "duration", "stimulus", "label"])
        for person in (1, 2):
            recording(person).save(tmp_path / f"p{person}_raw.fif", verbose="error")
            for k, onset in enumerate(ONSETS):
                writer.writerow([f"p{person}_raw.fif", person, 0, onset, SECONDS, f"clip{k}", CLASSES[k]])
    return load_corpus("recordings", table=tmp_path / "mine.csv")


def signals(rows) -> list[bytes]:
    return [np.array(row["signal"], "f4").tobytes() for row in rows]


@pytest.mark.parametrize("first_samp", [0, 700])
@pytest.mark.parametrize("stride", [1250, 500])
def test_windows_become_the_trials_of_the_files(by_files, stride, first_samp):
    rows = from_braindecode(windows(recordings(first_samp), window_stride_samples=stride), name="mine")
    assert signals(rows) == signals(by_files)
    for key in ("subject", "session", "trial", "label", "label_name", "n_samples", "ch_names", "preprocessing"):
        assert rows[key] == by_files[key]
    assert "nothing says" in corpus_metadata(rows)["facts"][0]["unaligned"]


@pytest.mark.parametrize("use_mne_epochs", [False, True])
def test_windows_that_were_resampled_are_refused(use_mne_epochs):
    cut = windows(recordings(), use_mne_epochs=use_mne_epochs, window_stride_samples=625)
    for part in cut.datasets:
        (part.windows if use_mne_epochs else part.raw).resample(125, verbose="error")
    with pytest.raises(CorpusError, match="Resample recordings before windows are cut"):
        from_braindecode(cut, name="mine")


def test_windows_made_of_epochs_become_trials_of_the_same_length(by_files):
    rows = from_braindecode(
        windows(recordings(700), use_mne_epochs=True, window_stride_samples=500), name="mine", preprocessing="none"
    )
    assert rows["n_samples"] == by_files["n_samples"] and rows["label_name"] == by_files["label_name"]
    kept = recording(1).get_data(start=500, stop=3000) * 1e6
    found = np.reshape(rows[0]["signal"], (len(NAMES), -1))
    assert abs(np.corrcoef(found[0, 100:-100], kept[0, ::2][100:-100])[0, 1]) > 0.6  # halved in rate


def test_columns_of_the_description(by_files):
    clips = {1: "clip9", 2: "clip9"}
    rows = from_braindecode(
        recordings(film=clips, mood={1: "calm", 2: "tense"}), name="m", stimulus="film", label="mood"
    )
    assert rows["stimulus"] == ["clip9"] * 2 and rows["label_name"] == ["calm", "tense"]
    assert rows["n_samples"] == [40 * 125] * 2
    with pytest.raises(CorpusError, match="no column 'person'.*subject, session"):
        from_braindecode(recordings(), name="m", subject="person")
    with pytest.raises(CorpusError, match="says nothing of whose it is"):
        from_braindecode(recordings(who={1: "a", 2: None}), name="m", subject="who")


def test_recordings_of_one_person_are_sessions_unless_something_says_which():
    def several(*sessions):
        told = [{"subject": "p"} | ({} if session is None else {"session": session}) for session in sessions]
        return datasets.BaseConcatDataset(
            [datasets.RawDataset(recording(number), pd.Series(about)) for number, about in enumerate(told)]
        )

    assert from_braindecode(several(None, None), name="m", label="-")["session"] == [0, 1]
    assert from_braindecode(several("3", "3"), name="m", label="-")["session"] == [3, 3]
    with pytest.raises(CorpusError, match="recording 1: 'session' says nothing of which session"):
        from_braindecode(several("3", None), name="m", label="-")
    with pytest.raises(CorpusError, match="no column 'visit'"):
        from_braindecode(several("3", "4"), name="m", label="-", session="visit")


def test_windows_of_a_fixed_length_are_one_trial():
    for lazy in (False, True):
        fixed = preprocessing.create_fixed_length_windows(
            recordings(), 0, None, 1000, 1000, drop_last_window=True, lazy_metadata=lazy
        )
        rows = from_braindecode(fixed, name="m")
        assert rows["n_samples"] == [40 * 125] * 2 and rows["label"] == [-1, -1]


def test_units_are_those_of_mne_unless_said():
    scaled = recordings()
    preprocessing.preprocess(scaled, [preprocessing.Preprocessor(lambda values: values * 1e6)])
    with pytest.raises(UnitError, match="recording 0"):
        from_braindecode(windows(scaled), name="m")
    assert len(from_braindecode(windows(scaled), name="m", unit="uV")) == 6


def test_what_has_no_unit_any_more_is_refused():
    data = recordings()
    standardize = preprocessing.exponential_moving_standardize
    preprocessing.preprocess(data, [preprocessing.Preprocessor(standardize, factor_new=1e-3)])
    with pytest.raises(CorpusError, match="no unit any more: .*exponential_moving_standardize"):
        from_braindecode(windows(data), name="m", unit="uV")


def test_trials_that_lack_windows_are_left_out():
    gaps = windows(recordings(), window_size_samples=500, window_stride_samples=1000, drop_last_window=True)
    with pytest.raises(CorpusError, match="lacks windows: 500 samples"):
        from_braindecode(gaps, name="m")
    some = windows(recordings(), window_size_samples=500, window_stride_samples=500)
    part = some.datasets[0]
    part.metadata = part.metadata.drop(index=[0, 7])  # the first of one trial, the third of another
    rows = from_braindecode(some, name="m")
    assert [(row["subject"], row["trial"]) for row in rows] == [("1", 2), ("2", 0), ("2", 1), ("2", 2)]


def test_windows_that_mne_drops_as_it_reads_them_do_not_move_the_others():
    data = recordings()
    loud = data.datasets[0].raw.get_data()
    loud[0, 14 * RATE : 15 * RATE] *= 50  # in the second trial
    data.datasets[0].raw._data[:] = loud
    made = windows(data, use_mne_epochs=True, reject={"eeg": 3e-4}, drop_bad_windows=False, preload=False)
    rows = from_braindecode(made, name="m", preprocessing="none")
    assert [(row["subject"], row["label_name"]) for row in rows][:2] == [("1", "joy"), ("1", "joy")]
    assert len(rows) == 5


def test_a_data_set_of_data_sets(by_files):
    whole = datasets.BaseConcatDataset([windows(recordings())], lazy=True)
    assert signals(from_braindecode(whole, name="mine")) == signals(by_files)


def test_other_things_are_refused():
    with pytest.raises(CorpusError, match="is no recording of braindecode"):
        from_braindecode([1, 2], name="m")
