"""Corpora that show FACED's clips: THU-EP and the contest of BCI2022; and pickles as joblib writes them."""

import gzip
import pickle

import h5py
import joblib
import numpy as np
import pytest
from fabricated_seed import read

from mdjpt_hf.data_scripts.bci2022 import BCI2022
from mdjpt_hf.data_scripts.bci2022 import CHANNELS as BATCHES
from mdjpt_hf.data_scripts.faced import FACED
from mdjpt_hf.data_scripts.pickles import load_joblib
from mdjpt_hf.data_scripts.thu_ep import CHANNELS, THUEP
from mdjpt_hf.errors import CorpusError

SCALP = [name for name in CHANNELS if name not in ("A1", "A2")]


def wave(channel, amplitude, time):
    return amplitude * np.sin(2 * np.pi * (4 + CHANNELS.index(channel)) * time)


def assert_waves(trial, amplitude, start=0.0):
    assert list(trial.ch_names) == SCALP
    time = start + np.arange(trial.signal.shape[1]) / 125
    for name, values in zip(trial.ch_names, trial.signal, strict=True):
        assert np.abs(values - wave(name, amplitude, time))[40:-40].max() < 0.05 * amplitude, name


def write_bands(path, subject, seconds=2.0):
    """`(time, channel, clip, band)`, as h5py shows the owners' arrays; the five narrow bands are another signal."""
    time = np.arange(round(250 * seconds)) / 250
    data = np.full((len(time), 32, 28, 6), 77.0)
    for clip in range(28):
        data[:, :, clip, 5] = np.stack([wave(name, 5 + subject % 10 + clip, time) for name in CHANNELS], axis=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", userblock_size=512) as file:
        file["data"] = data


def test_the_broad_band_of_thu_ep_is_taken_and_bad_clips_are_left_out(tmp_path):
    for subject in (2, 37, 75):
        write_bands(tmp_path / "EEG data" / f"sub_{subject}.mat", subject)
    trials, reports = read(THUEP(tmp_path, preprocessing="none"))
    mine = [trial for trial in trials if trial.subject == "02"]
    assert [trial.stimulus for trial in mine] == [f"video{clip:02d}" for clip in range(1, 29)]
    for clip, trial in enumerate(mine):
        assert_waves(trial, 7 + clip)
        assert (trial.label_name, trial.valence_class) == (
            FACED.classes[trial.label].name,
            FACED.classes[trial.label].valence,
        )
    assert [trial.label_name for trial in mine[:13]] == [
        *["anger"] * 3,
        *["disgust"] * 3,
        *["fear"] * 3,
        *["sadness"] * 3,
        "neutral",
    ]
    left = {trial.stimulus for trial in trials if trial.subject == "37"}
    assert len(left) == 25 and not {"video16", "video22", "video25"} & left
    assert not [trial for trial in trials if trial.subject == "75"] and len(reports["75"].rejected) == 28


def test_a_file_of_other_axes_is_refused(tmp_path):
    with h5py.File(tmp_path / "sub_1.mat", "w", userblock_size=512) as file:
        file["data"] = np.zeros((6, 28, 32, 500))  # MATLAB would show (500, 32, 28, 6)
    with pytest.raises(CorpusError, match="should hold an array of shape"):
        read(THUEP(tmp_path, preprocessing="none"))


def contest_array(batch, order=(3, 28, 1), seconds=2.0, extra=()):
    """32 channels and events: a pause, the clip's number, its start 0.1 s later, its end, the end of the block."""
    parts, events = [], []
    for clip in order:
        time = np.arange(round(250 * seconds)) / 250
        parts.append(np.zeros((32, 100)) + 0.01)
        parts.append(np.stack([wave(name, 6 + clip, time) for name in BATCHES[batch]]))
        marks, shown = np.zeros(100), np.zeros(len(time))
        marks[75], shown[0] = clip, 240
        events += [marks, shown]
        parts.append(np.zeros((32, 50)) + 0.01)
        events.append(np.array([241, *np.zeros(40), 243, *np.zeros(8)]))
    return np.vstack([np.concatenate(parts, axis=1), np.concatenate(events)[None]])


def write_contest(folder, batch, subject, array, dump=joblib.dump):
    path = folder / "TrainSet" / f"TrainSet_{batch}_batch" / f"sub{subject}" / f"sub{subject}.pkl"
    path.parent.mkdir(parents=True, exist_ok=True)
    dump(array, path)
    return path


def test_batches_of_the_contest_have_channels_in_their_own_order(tmp_path):
    write_contest(tmp_path, "first", 4, contest_array("first"))
    write_contest(tmp_path, "second", 41, contest_array("second", (9, 10)))
    trials, reports = read(BCI2022(tmp_path, preprocessing="none"))
    assert [(trial.subject, trial.stimulus, trial.trial) for trial in trials] == [
        *(("04", "video03", 0), ("04", "video28", 1), ("04", "video01", 2)),
        *(("41", "video09", 0), ("41", "video10", 1)),
    ]
    assert [trial.label_name for trial in trials] == ["anger", "tenderness", "anger", "fear", "sadness"]
    for trial in trials:
        assert_waves(trial, 6 + int(trial.stimulus[-2:]))
    assert "sub4.pkl: 3 of 28 clips have a start and an end" in reports["04"].notes


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (np.zeros((32, 500)), r"shape \(33, samples\)"),
        (np.zeros((33, 500)), "clips once each"),
        (contest_array("first", (3, 3)), "clips once each"),
    ],
)
def test_what_is_no_recording_of_the_contest_is_refused(tmp_path, array, told):
    path = write_contest(tmp_path, "first", 1, array)
    with pytest.raises(CorpusError, match=told) as error:
        read(BCI2022(tmp_path, preprocessing="none"))
    assert str(path) in str(error.value)


def test_all_three_name_the_same_clips():
    names = {builder.about.stimulus_set for builder in (FACED, THUEP, BCI2022)}
    assert len(names) == 1 and names != {""}


# --- joblib's files


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_joblib_come_back_whole(tmp_path, protocol, order):
    content = {
        "a": np.asarray(np.random.default_rng(0).normal(size=(33, 7)), order=order),
        "b": [1, "two", np.arange(5)],
    }
    joblib.dump(content, tmp_path / "x.pkl", protocol=protocol)
    found = load_joblib(tmp_path / "x.pkl")
    np.testing.assert_array_equal(found["a"], content["a"])
    assert found["b"][:2] == [1, "two"] and found["b"][2].tolist() == [0, 1, 2, 3, 4]


def test_a_plain_pickle_is_read_as_well(tmp_path):
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(np.arange(4.0)))
    np.testing.assert_array_equal(load_joblib(tmp_path / "x.pkl"), np.arange(4.0))


class Foreign:
    """Leaves a mark if it is ever made."""

    def __reduce__(self):
        return (open, (Foreign.mark, "w"))


@pytest.mark.parametrize("dump", [joblib.dump, lambda thing, path: path.write_bytes(pickle.dumps(thing))])
def test_nothing_that_a_joblib_file_asks_for_is_run(tmp_path, dump):
    Foreign.mark = str(tmp_path / "mark")
    dump({"a": np.arange(3), "b": Foreign()}, tmp_path / "x.pkl")
    with pytest.raises(CorpusError, match="could run foreign code"):
        load_joblib(tmp_path / "x.pkl")
    assert not (tmp_path / "mark").exists()


def test_truncated_compressed_and_object_arrays_are_refused(tmp_path):
    joblib.dump(np.arange(100.0), tmp_path / "whole.pkl")
    whole = (tmp_path / "whole.pkl").read_bytes()
    cases = {"cut.pkl": (whole[:-80], "truncated"), "gz.pkl": (gzip.compress(whole), "compressed with gzip")}
    for name, (content, told) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CorpusError, match=told):
            load_joblib(tmp_path / name)
    joblib.dump(np.arange(9.0), tmp_path / "z.pkl", compress=3)
    with pytest.raises(CorpusError, match="compressed with zlib"):
        load_joblib(tmp_path / "z.pkl")
