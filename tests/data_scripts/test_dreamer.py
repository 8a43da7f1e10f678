"""DREAMER: one MATLAB file for everybody, nested as its owners nested it."""

import json
import os

import numpy as np
import pytest
import scipy.io

from mdjpt_hf.data_scripts import builder_class
from mdjpt_hf.data_scripts.base import UnitReport
from mdjpt_hf.data_scripts.dreamer import DREAMER, _load
from mdjpt_hf.errors import CorpusError

CHANNELS = ["AF3", "F7", "F3", "FC5", "T7", "P7", "O1", "O2", "P8", "T8", "FC6", "F4", "F8", "AF4"]
TARGETS = [
    *("calmness", "surprise", "amusement", "fear", "excitement", "disgust", "happiness", "anger", "sadness"),
    *("disgust", "calmness", "amusement", "happiness", "anger", "fear", "excitement", "sadness", "surprise"),
]
# seconds of each clip in these files; real ones last one to six minutes
SECONDS = [6 + clip % 4 for clip in range(18)]
OFFSET = 4200.0


def wave(subject, clip, channel, time):
    """µV: the channel sets the frequency, clip and subject the amplitude."""
    return (8 + clip + 10 * subject) * np.sin(2 * np.pi * (4 + channel) * time)


def recorded(subject, clip):
    """`(samples, 14)` on an offset that differs between channels, as the headset gives it."""
    time = np.arange(SECONDS[clip] * 128) / 128
    return np.array([OFFSET + 10 * k + wave(subject, clip, k, time) for k in range(14)]).T


def scores(subject):
    return np.random.default_rng(subject).integers(1, 6, (18, 3))


def cell(items, shape):
    result = np.empty(shape, dtype=object)
    for index, item in enumerate(items):
        result.flat[index] = item
    return result


def person(subject, stimuli=None):
    stimuli = [recorded(subject, clip) for clip in range(18)] if stimuli is None else stimuli
    rest = cell([np.full((256, 14), 9e3) for _ in range(18)], (18, 1))
    heart = cell([np.zeros((512, 2)) for _ in range(18)], (18, 1))
    valence, arousal, dominance = (column[:, None] for column in scores(subject).T)
    return {
        "Age": f"{31 + subject}",
        "Gender": "female",
        "EEG": {"baseline": rest, "stimuli": cell(stimuli, (len(stimuli), 1))},
        "ECG": {"baseline": heart, "stimuli": heart},
        "ScoreValence": valence,
        "ScoreArousal": arousal,
        "ScoreDominance": dominance,
    }


def write(folder, people, **changes):
    content = {
        "Data": cell(people, (1, len(people))),
        "EEG_SamplingRate": 128,
        "ECG_SamplingRate": 256,
        "EEG_Electrodes": cell(CHANNELS, (1, 14)),
        "noOfSubjects": 23,
        "noOfVideoSequences": 18,
        "Disclaimer": "x",
        "Provider": "x",
        "Version": "1.0.2",
        "Acknowledgement": "x",
    }
    folder.mkdir(exist_ok=True)
    scipy.io.savemat(folder / "DREAMER.mat", {"DREAMER": content | changes}, do_compression=True)
    return folder


def read(builder):
    reports = {unit: UnitReport(unit) for unit in builder.units()}
    return [trial for unit in builder.units() for trial in builder.read_unit(unit, reports[unit])], reports


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write(tmp_path_factory.mktemp("dreamer"), [person(0), person(1)])


def test_the_file_is_nested_as_its_owners_wrote_it(folder):
    content = scipy.io.loadmat(folder / "DREAMER.mat")
    assert content["DREAMER"][0, 0]["Data"][0, 1]["EEG"][0, 0]["stimuli"][0, 0][2, 0].shape == (SECONDS[2] * 128, 14)


def test_clips_in_microvolts_without_offset_at_their_channels(folder):
    trials, reports = read(DREAMER(folder, preprocessing="none"))
    assert [(trial.subject, trial.trial) for trial in trials] == [(s, k) for s in ("01", "02") for k in range(18)]
    for trial in trials:
        subject, clip = int(trial.subject) - 1, trial.trial
        assert (trial.dataset, trial.session, trial.stimulus) == ("dreamer", 0, f"clip{clip + 1:02d}")
        assert trial.ch_names == CHANNELS and trial.sampling_rate == 125
        time = np.arange(SECONDS[clip] * 125) / 125
        wanted = np.array([wave(subject, clip, k, time) for k in range(14)])
        assert trial.signal.shape == wanted.shape
        assert np.abs(trial.signal - wanted)[:, 60:-60].max() < 0.5
        assert trial.to_row()["n_samples"] == len(time)
    notes = reports["01"].notes
    assert "DREAMER.mat: removed the offset of each channel, about 4300" in notes
    assert not any("31" in note or "female" in note for report in reports.values() for note in report.notes)


def test_the_usual_preprocessing(folder):
    trial = next(iter(DREAMER(folder).read_unit("02", UnitReport("02"))))
    time = np.arange(SECONDS[0] * 125) / 125
    wanted = np.array([wave(1, 0, k, time) for k in range(14)])
    wanted -= wanted.mean(axis=0)
    assert trial.preprocessing == "basic-1"
    assert np.corrcoef(trial.signal[:, 125:-125].ravel(), wanted[:, 125:-125].ravel())[0, 1] > 0.99


def test_classes_and_ratings(folder):
    trials, _ = read(DREAMER(folder, preprocessing="none"))
    for trial in trials:
        given = (trial.valence, trial.arousal, trial.dominance)
        assert given == pytest.approx((scores(int(trial.subject) - 1)[trial.trial] - 1) / 4)
        assert np.isnan(trial.liking)
        assert trial.label_name == TARGETS[trial.trial]
    clip = {trial.stimulus: trial for trial in trials}
    seen = {name: (clip[name].label_name, clip[name].emotion, clip[name].valence_class) for name in clip}
    assert seen["clip01"] == ("calmness", "calmness", "positive")
    assert seen["clip02"] == seen["clip18"] == ("surprise", "surprise", None)
    assert seen["clip04"] == ("fear", "fear", "negative")
    assert seen["clip07"] == seen["clip13"] == ("happiness", "joy", "positive")
    assert seen["clip16"] == ("excitement", "excitement", "positive")
    names = DREAMER(folder).facts[0].label_names
    assert all(names[trial.label] == trial.label_name for trial in trials) and len(names) == 9
    assert all(TARGETS.count(name) == 2 for name in names)


def test_fewer_subjects_and_short_clips_are_noted(folder):
    builder = DREAMER(folder)
    assert builder.units() == ["01", "02"]
    assert "2 of the 23 subjects of this corpus are here" in builder.notes()
    report = UnitReport("01")
    list(builder.read_unit("01", report))
    assert "DREAMER.mat: subject 01, clip 3 lasts 8.0 s; every clip is longer than a minute" in report.notes


def test_empty_damaged_and_silent_clips_are_left_out_and_listed(tmp_path):
    stimuli = [recorded(0, clip) for clip in range(18)]
    stimuli[2] = np.zeros((0, 0))
    stimuli[5][100, 3] = np.nan
    stimuli[9][:] = OFFSET
    trials, reports = read(DREAMER(write(tmp_path, [person(0, stimuli)]), preprocessing="none"))
    assert [trial.trial for trial in trials] == [k for k in range(18) if k not in (2, 5, 9)]
    assert trials[2].stimulus == "clip04" and trials[2].label_name == "fear"
    assert reports["01"].rejected == [
        "DREAMER.mat: subject 01, clip 3 is empty",
        "DREAMER.mat: stimulus clip06 holds samples that are not numbers",
        "DREAMER.mat: stimulus clip10 is silent: no channel varies",
    ]


@pytest.mark.parametrize(
    "people, changes, message",
    [
        ([person(0, [recorded(0, 0).T] * 18)], {}, r"a clip of shape \(14, 768\), wanted \(samples, 14\)"),
        ([person(0, [recorded(0, 0)] * 17)], {}, "17 clips"),
        ([person(0)], {"EEG_SamplingRate": 256}, "256 Hz"),
        ([person(0)], {"EEG_Electrodes": cell(CHANNELS[::-1], (1, 14))}, "electrodes AF4, F8"),
        ([{"Age": "1"}], {}, "EEG"),
        ([person(0) | {"ScoreArousal": np.full((18, 1), 6)}], {}, "outside the scale from 1 to 5.*arousal.*6"),
    ],
)
def test_files_that_are_not_of_this_corpus(tmp_path, people, changes, message):
    with pytest.raises(CorpusError, match=f"DREAMER.mat: .*{message}"):
        read(DREAMER(write(tmp_path, people, **changes)))


def test_other_matlab_files_and_truncated_ones(tmp_path, folder):
    scipy.io.savemat(tmp_path / "DREAMER.mat", {"x": 1})
    with pytest.raises(CorpusError, match="DREAMER.mat: is not the DREAMER.mat.*no struct named DREAMER"):
        DREAMER(tmp_path).units()
    whole = (folder / "DREAMER.mat").read_bytes()
    (tmp_path / "DREAMER.mat").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CorpusError, match="DREAMER.mat: .*truncated"):
        DREAMER(tmp_path).units()


def test_the_file_is_read_once_for_all_subjects_and_again_when_it_changes(tmp_path):
    write(tmp_path, [person(0)])
    _load.cache_clear()
    builder = DREAMER(tmp_path, preprocessing="none")
    read(builder)
    read(builder)
    assert _load.cache_info().misses == 1
    write(tmp_path, [person(0), person(1)])
    os.utime(tmp_path / "DREAMER.mat", (1, 1))
    assert builder.units() == ["01", "02"]


def test_wrong_folder_copies_facts_and_options(tmp_path, folder):
    with pytest.raises(CorpusError, match="holds no files of DREAMER.*zenodo"):
        DREAMER(tmp_path)
    for name in ("a", "b"):
        write(tmp_path / name, [])
    with pytest.raises(CorpusError, match="DREAMER.mat: is there 2 times"):
        DREAMER(tmp_path).units()
    builder = builder_class("dreamer")(folder)
    (facts,) = builder.facts
    assert (facts.name, facts.redistributable, facts.label_source) == ("dreamer", False, "stimulus")
    assert "10.1109/JBHI.2017.2688239" in facts.citation and "1 to 5" in facts.rating_scale
    options = builder.options()
    assert json.loads(json.dumps(options)) == options and options["files"][0][0] == "DREAMER.mat"
