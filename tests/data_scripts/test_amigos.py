"""AMIGOS: cells in any order, some of them empty, arousal before valence."""

import json

import numpy as np
import pytest
import scipy.io

from mdjpt_hf.data_scripts import builder_class
from mdjpt_hf.data_scripts.amigos import AMIGOS
from mdjpt_hf.data_scripts.base import UnitReport
from mdjpt_hf.errors import CorpusError

CHANNELS = ["AF3", "F7", "F3", "FC5", "T7", "P7", "O1", "O2", "P8", "T8", "FC6", "F4", "F8", "AF4"]
SHORT_VIDEOS = ["4", "5", "9", "10", "13", "18", "19", "20", "23", "30", "31", "34", "36", "58", "80", "138"]
LONG_VIDEOS = ["N1", "P1", "B1", "U1"]
VIDEOS = [*SHORT_VIDEOS, *LONG_VIDEOS]
SHUFFLED = [VIDEOS[k] for k in np.random.default_rng(0).permutation(20)]


def seconds(video):
    return 4 + VIDEOS.index(video) % 3


def wave(video, channel, time):
    """µV: the channel sets the frequency, the video the amplitude."""
    return (6 + VIDEOS.index(video)) * np.sin(2 * np.pi * (5 + channel) * time)


def recorded(video):
    """`(samples, 17)`: 5 s of something else, the video; electrocardiogram and skin conductance in the last columns."""
    time = np.arange(seconds(video) * 128) / 128
    signal = np.full((640 + len(time), 17), 1e4)
    signal[:640, :14] = 60 * np.cos(2 * np.pi * 9 * np.arange(640)[:, None] / 128 + np.arange(14))
    signal[640:, :14] = np.array([wave(video, k, time) for k in range(14)]).T
    signal[700, 14:] = np.nan
    return signal


def answers(video):
    """`(1, 12)`: arousal, valence, dominance, liking, familiarity, and seven ticks."""
    rng = np.random.default_rng(VIDEOS.index(video))
    return np.concatenate([rng.uniform(1, 9, 5), rng.integers(0, 2, 7)])[None]


def cell(items):
    result = np.empty((1, len(items)), dtype=object)
    for index, item in enumerate(items):
        result[0, index] = item
    return result


def write(folder, subject=1, videos=SHUFFLED, signals=None, labels=None, ids=None, nested=True):
    folder = folder / f"Data_Preprocessed_P{subject:02d}" if nested else folder
    folder.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(
        folder / f"Data_Preprocessed_P{subject:02d}.mat",
        {
            "joined_data": cell([recorded(video) for video in videos] if signals is None else signals),
            "labels_selfassessment": cell([answers(video) for video in videos] if labels is None else labels),
            "labels_ext_annotation": cell([np.zeros((3, 3)) for _ in videos]),
            "VideoIDs": cell(videos if ids is None else ids),
        },
    )


def read(builder):
    reports = {unit: UnitReport(unit) for unit in builder.units()}
    return [trial for unit in builder.units() for trial in builder.read_unit(unit, reports[unit])], reports


@pytest.mark.parametrize("nested", [True, False])
def test_videos_in_microvolts_known_by_their_ids(tmp_path, nested):
    write(tmp_path, nested=nested)
    trials, reports = read(AMIGOS(tmp_path, preprocessing="none"))
    in_file = [f"video{video}" for video in SHUFFLED]
    assert in_file != [f"video{video}" for video in VIDEOS]  # so that a place in the file says nothing
    assert [trial.stimulus for trial in trials] == sorted(in_file, key=lambda name: not name[5:].isdigit())
    for trial in trials:
        video = trial.stimulus.removeprefix("video")
        assert (trial.dataset, trial.subject, trial.trial) == ("amigos", "01", -1)
        assert trial.session == (0 if video in SHORT_VIDEOS else 1)
        assert trial.ch_names == CHANNELS and trial.sampling_rate == 125
        time = np.arange(seconds(video) * 125) / 125
        wanted = np.array([wave(video, k, time) for k in range(14)])
        assert trial.signal.shape == wanted.shape
        assert np.abs(trial.signal - wanted)[:, 60:-60].max() < 0.3
        assert trial.to_row()["n_samples"] == len(time)
    assert reports["01"].rejected == []


def test_the_usual_preprocessing(tmp_path):
    write(tmp_path, videos=["13"])
    ((trial,), _) = read(AMIGOS(tmp_path))
    time = np.arange(seconds("13") * 125) / 125
    wanted = np.array([wave("13", k, time) for k in range(14)])
    wanted -= wanted.mean(axis=0)
    assert trial.preprocessing == "basic-1"
    assert np.corrcoef(trial.signal[:, 125:-125].ravel(), wanted[:, 125:-125].ravel())[0, 1] > 0.99


def test_arousal_comes_first_and_there_is_no_class(tmp_path):
    write(tmp_path)
    for trial in read(AMIGOS(tmp_path, preprocessing="none"))[0]:
        wanted = (answers(trial.stimulus.removeprefix("video"))[0, :4] - 1) / 8
        assert (trial.arousal, trial.valence, trial.dominance, trial.liking) == pytest.approx(wanted)
        assert (trial.label, trial.label_name, trial.emotion, trial.valence_class) == (-1, "", None, None)


def test_ids_stored_as_numbers_or_within_cells_are_the_same(tmp_path):
    videos = ["4", "138", "80", "N1", "B1"]
    ids = [4, 138.0, cell(["80"]), cell(["N1"]), "b1 "]
    write(tmp_path, videos=videos, ids=ids)
    assert [trial.stimulus[5:] for trial in read(AMIGOS(tmp_path, preprocessing="none"))[0]] == videos


def test_missing_signals_ids_ratings_and_samples(tmp_path):
    videos = ["4", "5", "9", "10", "13", "18", "19"]
    signals, labels = [recorded(video) for video in videos], [answers(video) for video in videos]
    signals[0] = np.zeros((0, 0))
    labels[0] = labels[1] = np.zeros((1, 0))
    signals[3][900, 13] = np.nan
    signals[4] = signals[4][:640]
    labels[5][0, 1] = np.nan
    write(tmp_path, 24, videos, signals, labels, ids=["4", "5", np.zeros((0, 0)), "10", "13", "18", "19"])
    trials, reports = read(AMIGOS(tmp_path, preprocessing="none"))
    trial = {trial.stimulus: trial for trial in trials}
    assert list(trial) == ["video5", "video18", "video19"]
    assert np.isnan([trial["video5"].valence, trial["video5"].arousal, trial["video5"].liking]).all()
    assert np.isnan(trial["video18"].valence) and trial["video18"].arousal == pytest.approx(
        (answers("18")[0, 0] - 1) / 8
    )
    name = "Data_Preprocessed_P24.mat"
    assert reports["24"].rejected == [
        f"{name}: cell 1, video 4 holds no signal",
        f"{name}: cell 3 does not say which video was shown",
        f"{name}: cell 5, video 13 lasts 5 s, which is no more than its baseline",
        f"{name}: stimulus video10 holds samples that are not numbers",
    ]
    assert f"{name}: cell 2, video 5 has no ratings" in reports["24"].notes
    assert f"{name}: some users of this corpus leave subject 24 out as damaged" in reports["24"].notes


def test_a_video_that_stands_twice_is_taken_once(tmp_path):
    write(tmp_path, videos=["4", "9", "31"], ids=["4", "9", "4"])
    trials, reports = read(AMIGOS(tmp_path, preprocessing="none"))
    assert [trial.stimulus for trial in trials] == ["video4", "video9"]
    assert reports["01"].rejected == ["Data_Preprocessed_P01.mat: cell 3 is a second video4"]


def test_an_unknown_video_and_fewer_subjects_are_noted(tmp_path):
    write(tmp_path, 3, videos=["4"], ids=["77"])
    builder = AMIGOS(tmp_path, preprocessing="none")
    _, reports = read(builder)
    assert "Data_Preprocessed_P03.mat: cell 1, video 77 is none of the videos of this corpus" in reports["03"].notes
    assert "1 of the 40 subjects of this corpus are here" in builder.notes()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"signals": [np.zeros((17, 1500)).T[:, :10]]}, r"a signal of shape \(1500, 10\)"),
        ({"signals": [recorded("4").T]}, r"a signal of shape \(17, 1152\)"),
        ({"labels": [np.ones((1, 5))]}, r"labels of shape \(1, 5\)"),
        ({"ids": ["4", "5"]}, r"\[1, 1, 2\] cells"),
        ({"labels": [answers("4") * 0]}, "ratings outside the scale from 1 to 9"),
    ],
)
def test_files_that_are_not_of_this_corpus(tmp_path, arguments, message):
    write(tmp_path, videos=["4"], **arguments)
    with pytest.raises(CorpusError, match=f"Data_Preprocessed_P01.mat: .*{message}"):
        read(AMIGOS(tmp_path))


def test_foreign_and_truncated_files_name_themselves(tmp_path):
    scipy.io.savemat(tmp_path / "Data_Preprocessed_P07.mat", {"joined_data": 1})
    with pytest.raises(CorpusError, match="P07.mat: is no preprocessed AMIGOS file.*joined_data"):
        read(AMIGOS(tmp_path))
    write(tmp_path, 7, nested=False)
    whole = (tmp_path / "Data_Preprocessed_P07.mat").read_bytes()
    (tmp_path / "Data_Preprocessed_P07.mat").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CorpusError, match="P07.mat: .*truncated"):
        read(AMIGOS(tmp_path))


def test_wrong_folder_copies_facts_and_options(tmp_path):
    with pytest.raises(CorpusError, match="holds no files of AMIGOS.*eecs.qmul.ac.uk/mmv/datasets/amigos"):
        AMIGOS(tmp_path)
    write(tmp_path, 1, videos=["4"])
    builder = builder_class("amigos")(tmp_path)
    (facts,) = builder.facts
    assert (facts.name, facts.redistributable, facts.label_source, facts.label_names) == ("amigos", False, "none", ())
    assert "10.1109/TAFFC.2018.2884461" in facts.citation and "1 to 9" in facts.rating_scale
    options = builder.options()
    assert json.loads(json.dumps(options)) == options and builder.units() == ["01"]
    write(tmp_path, 1, videos=["4"], nested=False)
    with pytest.raises(CorpusError, match="P01.mat: is there 2 times"):
        read(AMIGOS(tmp_path))
