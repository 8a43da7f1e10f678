"""Corpora of Emotiv headsets: GAMEEMO, EEGEmotions-27 and DASPS, in files laid out as their owners'."""

import json

import h5py
import numpy as np
import pytest
import scipy.io
from fabricated_seed import read

from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.data.pairs import PairSampler
from mdjpt_hf.data.prepare import prepare
from mdjpt_hf.data_scripts.dasps import DASPS
from mdjpt_hf.data_scripts.eegemotions27 import EEGEmotions27
from mdjpt_hf.data_scripts.gameemo import GAMEEMO
from mdjpt_hf.errors import CorpusError, PairingError

EPOC = ["AF3", "F7", "F3", "FC5", "T7", "P7", "O1", "O2", "P8", "T8", "FC6", "F4", "F8", "AF4"]
BY_NAME = sorted(EPOC)


def wave(channel, amplitude, rate, seconds):
    """µV: the channel sets the frequency, the amplitude tells the recording."""
    time = np.arange(round(seconds * rate)) / rate
    return amplitude * np.sin(2 * np.pi * (4 + EPOC.index(channel)) * time)


def assert_waves(trial, amplitude, rate, seconds):
    """As prepared at 125 Hz; the edges feel what was cut off."""
    assert sorted(trial.ch_names) == BY_NAME and trial.sampling_rate == 125
    time = np.arange(trial.signal.shape[1]) / 125
    assert abs(len(time) - 125 * seconds) <= 1
    for name, values in zip(trial.ch_names, trial.signal, strict=True):
        wanted = amplitude * np.sin(2 * np.pi * (4 + EPOC.index(name)) * time)
        assert np.abs(values - wanted)[60:-60].max() < 0.05 * amplitude, name


# --- GAMEEMO


def write_game(folder, subject, game, kind="AllChannels", suffix="csv", offset=0.0, amplitude=None):
    amplitude = amplitude or 10 * subject + game
    columns = {name: wave(name, amplitude, 128, 4) + offset for name in BY_NAME}  # not the device's order
    path = folder / f"(S{subject:02d})" / "Preprocessed EEG Data" / f".{suffix} format" / f"S{subject:02d}G{game}{kind}"
    path.parent.mkdir(parents=True, exist_ok=True)
    if suffix == "mat":
        scipy.io.savemat(f"{path}.mat", {name: values[:, None] for name, values in columns.items()})
    else:
        lines = [",".join([*columns, ""])]
        lines += [",".join([*(f"{value:.6f}" for value in row), ""]) for row in zip(*columns.values(), strict=True)]
        path.with_name(f"{path.name}.csv").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("kind", "suffix", "offset"),
    [("AllChannels", "csv", 0.0), ("AllChannels", "mat", 0.0), ("AllRawChannels", "csv", 4200.0)],
)
def test_games_are_read_by_the_names_of_their_columns(tmp_path, kind, suffix, offset):
    for subject in (1, 12):
        for game in (4, 2, 1, 3):
            write_game(tmp_path, subject, game, kind, suffix, offset)
    trials, reports = read(GAMEEMO(tmp_path, preprocessing="none"))
    assert [(trial.subject, trial.stimulus) for trial in trials] == [
        (subject, f"game{game}") for subject in ("01", "12") for game in (1, 2, 3, 4)
    ]
    assert [trial.label_name for trial in trials[:4]] == ["boring", "calm", "horror", "funny"]
    assert [trial.valence_class for trial in trials[:4]] == ["negative", "positive", "negative", "positive"]
    for trial in trials:
        assert_waves(trial, 10 * int(trial.subject) + int(trial.stimulus[-1]), 128, 4)
    assert any("lasts 4.0 s, 298.8 usual" in note for note in reports["01"].notes)
    assert any("offset" in note for note in reports["01"].notes) == bool(offset)


def test_games_pair_nobody(tmp_path):
    for subject in (1, 2, 3):
        for game in (1, 2):
            write_game(tmp_path / "source", subject, game)
    prepare(GAMEEMO(tmp_path / "source", preprocessing="none"), tmp_path / "prepared")
    (trials,) = open_corpora([tmp_path / "prepared"])
    with pytest.raises(PairingError, match="at their own pace") as error:
        PairSampler(trials, 250)
    assert "--objective masked" in error.value.remedy
    stored = json.loads((tmp_path / "prepared" / "corpus.json").read_text())
    assert stored["facts"][0]["unaligned"]


def test_a_table_that_is_cut_off_or_holds_words_is_named(tmp_path):
    write_game(tmp_path, 1, 1)
    (path,) = tmp_path.rglob("*.csv")
    whole = path.read_text()
    for broken, told in (
        (whole[: len(whole) // 2].rsplit(",", 8)[0] + "\n", "line"),
        (whole.replace("\n", "\nlost", 1), "line 2"),
        ("AF3,AF4\n1,2\n", "2 columns"),
        ("", "cannot be read"),
        (whole.replace("AF3", "XY1", 1), "should hold the channels"),
    ):
        path.write_text(broken)
        with pytest.raises(CorpusError, match=told) as error:
            read(GAMEEMO(tmp_path, preprocessing="none"))
        assert str(path) in str(error.value)


# --- EEGEmotions-27


def write_clip(folder, subject, emotion, amplitude, unit=1.0):
    values = np.stack([wave(name, amplitude, 256, 3) + 4200 + place for place, name in enumerate(EPOC)])
    path = folder / "eeg_raw" / f"{subject}_{emotion}.0.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savetxt(path, values.T, delimiter="\t", fmt="%.4f")


def test_clips_of_27_emotions_lose_the_offset_and_are_named(tmp_path):
    for emotion in (1, 4, 27):
        write_clip(tmp_path, 3, emotion, 20 + emotion)
    write_clip(tmp_path, 88, 10, 33)
    builder = EEGEmotions27(tmp_path, preprocessing="none")
    trials, reports = read(builder)
    assert [(trial.subject, trial.label_name, trial.emotion, trial.valence_class) for trial in trials] == [
        ("03", "admiration", None, None),
        ("03", "amusement", "amusement", "positive"),
        ("03", "surprise", "surprise", None),
        ("88", "calmness", "calmness", None),
    ]
    for trial, amplitude in zip(trials, (21, 24, 47, 33), strict=True):
        assert_waves(trial, amplitude, 256, 3)
    assert "subject 03: 3 of 27 clips are here" in reports["03"].notes
    assert len(builder.classes) == 27
    write_clip(tmp_path, 3, 28, 20)
    with pytest.raises(CorpusError, match="emotion 28, but there are 27"):
        read(EEGEmotions27(tmp_path, preprocessing="none"))


# --- DASPS


def write_segments(folder, subject, labels=None, segments=12):
    data = np.stack(
        [np.stack([wave(name, 10 + segment, 128, 15) for name in EPOC]).T for segment in range(segments)]
    ).astype(np.float32)
    labels = np.array([[1 + n % 9 for n in range(12)], [9 - n % 9 for n in range(12)]]) if labels is None else labels
    with h5py.File(folder / f"S{subject:02d}.mat", "w", userblock_size=512) as file:
        file["data"], file["labels"] = data, np.asarray(labels, dtype=float)


def test_segments_of_situations_carry_what_was_felt(tmp_path):
    write_segments(tmp_path, 7)
    trials, _ = read(DASPS(tmp_path, preprocessing="none"))
    assert [trial.stimulus for trial in trials[:3]] == ["situation1-heard", "situation1-recalled", "situation2-heard"]
    assert [trial.trial for trial in trials] == list(range(12)) and {trial.label for trial in trials} == {-1}
    for number, trial in enumerate(trials):
        assert_waves(trial, 10 + number, 128, 15)
        assert trial.valence == pytest.approx((number % 9) / 8) and trial.arousal == pytest.approx((8 - number % 9) / 8)
    assert DASPS.about.unaligned


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"segments": 11}, "is no file of segments"), ({"labels": np.full((2, 12), 10.0)}, "outside the scale")],
)
def test_other_segments_and_ratings_are_refused(tmp_path, changes, told):
    write_segments(tmp_path, 7, **changes)
    with pytest.raises(CorpusError, match=told):
        read(DASPS(tmp_path, preprocessing="none"))
