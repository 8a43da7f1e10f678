"""MAHNOB-HCI, REFED, SEED-FRA, SEED-GER, EAV and MPED, in files laid out as their owners'."""

import edfio
import numpy as np
import pytest
import scipy.io
from fabricated_seed import assert_tones, cnt_signal, read, with_extras, write_cnt
from typer.testing import CliRunner

from mdjpt_hf.cli import app
from mdjpt_hf.data_scripts.eav import EAV
from mdjpt_hf.data_scripts.mahnob import MAHNOB
from mdjpt_hf.data_scripts.mped import MPED
from mdjpt_hf.data_scripts.refed import REFED
from mdjpt_hf.data_scripts.seed_fra import SEEDFRA
from mdjpt_hf.data_scripts.seed_ger import SEEDGER
from mdjpt_hf.errors import CorpusError

GENEVA = ["Fp1", "AF3", "F3", "F7", "FC5", "FC1", "C3", "T7", "O1", "O2"]


def wave(place, amplitude, time):
    return amplitude * np.sin(2 * np.pi * (4 + place) * time)


# --- MAHNOB-HCI


def write_trial(folder, session, subject, trial, answers, rate=256, marks=((3.0, 16), (7.0, 16)), kind="S"):
    """Ten seconds with electrodes, a peripheral, and the status channel; marks are of 0.1 s."""
    time = np.arange(10 * rate) / rate
    signals = [
        edfio.BdfSignal(
            wave(place, 20 + trial, time), rate, label=name, physical_dimension="uV", physical_range=(-500, 500)
        )
        for place, name in enumerate([*GENEVA, "GSR1"])
    ]
    status = np.zeros(len(time))
    for start, code in marks:
        status[round(start * rate) : round((start + 0.1) * rate)] = code
    signals.append(
        edfio.BdfSignal(
            status, rate, label="Status", physical_range=(-8388608, 8388607), digital_range=(-8388608, 8388607)
        )
    )
    place = folder / "Sessions" / str(session)
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"Part_{subject}_{kind}_Trial{trial}_emotion.bdf"
    edfio.Bdf(signals).write(path)
    attributes = " ".join(f'{name}="{value}"' for name, value in answers.items())
    (place / "session.xml").write_text(
        f'<?xml version="1.0"?><session {attributes}><subject id="{subject}"/></session>'
    )
    return path


def answers(clip, emotion=4, **changes):
    told = {"feltArsl": 3, "feltVlnc": 9, "feltCtrl": 5, "feltPred": 7, "feltEmo": emotion, "mediaFile": f"{clip}.avi"}
    return {**told, "isStim": 1, "cutLenSec": 4, **changes}


def test_trials_of_mahnob_are_cut_at_their_marks_with_what_was_felt(tmp_path):
    write_trial(tmp_path, 10, 1, 2, answers("53", 4))
    write_trial(tmp_path, 12, 1, 10, answers("80", 12), rate=512)
    write_trial(tmp_path, 14, 1, 12, answers("90", 9))
    write_trial(tmp_path, 20, 1, 14, {"isStim": 0}, kind="N")
    trials, reports = read(MAHNOB(tmp_path, preprocessing="none"))
    assert [(trial.stimulus, trial.label_name, trial.emotion, trial.valence_class) for trial in trials] == [
        ("53", "joy", "joy", "positive"),
        ("80", "anxiety", None, "negative"),
        ("90", "", None, None),
    ]
    for trial, amplitude in zip(trials, (22, 30, 32), strict=True):
        assert trial.ch_names == GENEVA and abs(trial.signal.shape[1] - 500) <= 1
        assert (trial.valence, trial.arousal, trial.dominance) == pytest.approx((1.0, 0.25, 0.5))
        time = 3 + np.arange(trial.signal.shape[1]) / 125
        for place, values in enumerate(trial.signal):
            assert np.abs(values - wave(place, amplitude, time))[30:-30].max() < 2
    assert any("no emotion trial" in line for line in reports["01"].rejected)
    assert any("feltEmo 9 stands for no emotion" in note for note in reports["01"].notes)


@pytest.mark.parametrize(
    ("told", "marks", "message"),
    [
        (answers("1"), ((3.0, 16),), "found 1 changes"),
        (answers("1", mediaFile=""), ((3.0, 16), (7.0, 16)), "which clip was shown"),
        (answers("1", feltVlnc=10), ((3.0, 16), (7.0, 16)), "outside the scale"),
        (answers("1", feltEmo="joy"), ((3.0, 16), (7.0, 16)), "wanted a number"),
    ],
)
def test_what_mahnob_does_not_tell_is_named(tmp_path, told, marks, message):
    write_trial(tmp_path, 10, 1, 2, told, marks=marks)
    with pytest.raises(CorpusError, match=message):
        read(MAHNOB(tmp_path, preprocessing="none"))


@pytest.mark.parametrize("content", ["<session", '<!DOCTYPE s [<!ENTITY e "x">]><session feltArsl="1"/>', None])
def test_answers_that_are_no_answers_are_refused(tmp_path, content):
    path = write_trial(tmp_path, 10, 1, 2, answers("1")).with_name("session.xml")
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(CorpusError, match="answers of a session") as error:
        read(MAHNOB(tmp_path, preprocessing="none"))
    assert str(path) in str(error.value)


# --- REFED


def write_refed(root, subject, rate=1000, time_first=False, seconds=6, clips=(1, 2), prefix="", annotated=None):
    names = [*GENEVA, "CB1", "M1"]
    folder = root / "data" / f"{prefix}{subject}"
    folder.mkdir(parents=True)
    (root / "EEG_channels.csv").write_text("index,ch_name\n" + "".join(f"{n},{name}\n" for n, name in enumerate(names)))
    time = np.arange(seconds * rate) / rate
    videos, told = {}, {}
    for clip in clips:
        values = np.stack([wave(place, 10 + clip, time) for place in range(len(names))])
        videos[f"video_{clip}"] = values.T if time_first else values
        told[f"video_{clip}"] = np.column_stack([np.full(seconds, 128.0 + clip), np.linspace(1, 255, seconds)])
    scipy.io.savemat(folder / "EEG_videos.mat", videos)
    scipy.io.savemat(folder / "EEG_baselines.mat", {"video_1": np.zeros((len(names), 5 * rate))})
    (root / "annotations").mkdir(exist_ok=True)
    told = {name: value for name, value in told.items() if annotated is None or name in annotated}
    scipy.io.savemat(root / "annotations" / f"{prefix}{subject}_label.mat", told)


@pytest.mark.parametrize("time_first", [False, True])
@pytest.mark.parametrize(("rate", "prefix"), [(1000, ""), (200, "test_")])
def test_refed_is_read_whatever_its_rate_and_axes(tmp_path, rate, prefix, time_first):
    write_refed(tmp_path, 3, rate, time_first, prefix=prefix)
    trials, reports = read(REFED(tmp_path, preprocessing="none"))
    assert [trial.stimulus for trial in trials] == ["video01", "video02"]
    for clip, trial in enumerate(trials, start=1):
        assert trial.ch_names == [*GENEVA, "CB1"] and abs(trial.signal.shape[1] - 750) <= 1
        time = np.arange(trial.signal.shape[1]) / 125
        for place, values in enumerate(trial.signal):
            assert np.abs(values - wave(place, 10 + clip, time))[40:-40].max() < 1
        assert trial.valence == pytest.approx((127 + clip) / 254) and trial.arousal == pytest.approx(0.5)
    assert any("lacks the clips [3, 4," in note for note in reports["03"].notes)


def test_refed_refuses_what_it_cannot_tell(tmp_path):
    write_refed(tmp_path / "a", 3, annotated={"video_1"})
    trials, reports = read(REFED(tmp_path / "a", preprocessing="none"))
    assert len(trials) == 1 and "no annotation" in reports["03"].rejected[0]
    write_refed(tmp_path / "b", 3, rate=640)
    with pytest.raises(CorpusError, match="neither 1000 nor 200 Hz"):
        read(REFED(tmp_path / "b", preprocessing="none"))
    write_refed(tmp_path / "c", 3)
    (tmp_path / "c" / "EEG_channels.csv").unlink()
    with pytest.raises(CorpusError, match="list of channels"):
        read(REFED(tmp_path / "c", preprocessing="none"))


# --- SEED-FRA and SEED-GER


class ShortSEEDFRA(SEEDFRA):
    """SEED-FRA with clips of 1.6 s."""

    clips = tuple((1 + 2.0 * n, 2.6 + 2.0 * n) for n in range(21))


def write_session(folder, subject, session):
    names = with_extras()
    signal = cnt_signal(names, 1000, 45.0, ShortSEEDFRA.clips, lambda n: 10 + n)
    write_cnt(folder / "01-EEG-raw" / f"{subject}_{session}.cnt", signal, names)


def test_french_sessions_are_cut_at_their_clips_and_german_ones_stay_whole(tmp_path):
    write_session(tmp_path / "French", 1, 2)
    write_session(tmp_path / "German", 8, 1)
    french, german = ShortSEEDFRA(tmp_path, preprocessing="none"), SEEDGER(tmp_path, preprocessing="none")
    trials, _ = read(french)
    assert {trial.session for trial in trials} == {1} and [trial.stimulus for trial in trials][:2] == [
        "clip01",
        "clip02",
    ]
    signs = {"positive": "1", "neutral": "0", "negative": "-1"}
    assert " ".join(signs[trial.label_name] for trial in trials) == "1 -1 0 -1 1 0 -1 0 1 -1 0 1 1 0 -1 -1 0 1 -1 0 1"
    for number, trial in enumerate(trials):
        assert_tones(trial, 10 + number, 1.6, start=ShortSEEDFRA.clips[number][0])
    assert "single source" in " ".join(french.notes())
    (whole,), _ = read(german)
    assert whole.label == -1 and whole.subject == "08" and abs(whole.signal.shape[1] - 45 * 125) <= 1
    assert "18 of the times of 20 clips" in " ".join(german.notes()) and SEEDGER.about.unaligned


def test_published_times_fit_the_labels():
    assert len(SEEDFRA.clips) == len(SEEDFRA.labels[0]) == 21
    flat = [moment for clip in SEEDFRA.clips for moment in clip]
    assert flat == sorted(flat)


# --- EAV and MPED

NAMES = [*GENEVA, *("P3", "P4", "Pz", "Cz", "C4", "T8", "F4", "F8", "Fz", "FC2", "FC6", "CP1", "CP2", "CP5", "CP6")]
NAMES += ["P7", "P8", "Oz", "AF4", "Fp2"]


def write_conversation(folder, subject=1, variable="seg1", labels=None):
    time = np.arange(1000) / 500
    one = np.stack([wave(place, 15, time) for place in range(30)], axis=1) / 1000  # mV
    values = np.repeat(one[:, :, None], 200, axis=2)
    values[:, :, 7] *= 2
    label = np.zeros((10, 200))
    label[np.arange(200) % 10, np.arange(200)] = 1
    folder.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(folder / f"subject{subject:02d}_eeg.mat", {variable: values})
    scipy.io.savemat(folder / f"subject{subject:02d}_eeg_label.mat", {"label": label if labels is None else labels})


def test_eav_needs_to_be_told_its_channels(tmp_path):
    write_conversation(tmp_path / "EAV" / "subject01" / "EEG")
    with pytest.raises(CorpusError, match="stand in none of its files") as error:
        EAV(tmp_path)
    assert "--channels" in error.value.remedy
    trials, _ = read(EAV(tmp_path, preprocessing="none", channels=NAMES, unit="mV"))
    assert len(trials) == 100 and trials[0].stimulus == "segment002"
    assert [trial.label_name for trial in trials[:5]] == ["neutral", "sad", "angry", "happy", "calm"]
    time = np.arange(250) / 125
    for trial, amplitude in ((trials[0], 15), (trials[3], 30)):
        assert set(trial.ch_names) == set(NAMES)
        for name, values in zip(trial.ch_names, trial.signal, strict=True):
            assert np.abs(values - wave(NAMES.index(name), amplitude, time))[30:-30].max() < 0.06 * amplitude


def test_eav_on_the_command_line(tmp_path):
    write_conversation(tmp_path / "EAV")
    command = ["data", "prepare", "eav", "--source", str(tmp_path / "EAV"), "--out", str(tmp_path / "out")]
    refused = CliRunner().invoke(app, command)
    assert refused.exit_code != 0 and "needs the names" in str(refused.exception)
    done = CliRunner().invoke(app, [*command, "--channels", ", ".join(NAMES), "--unit", "mV"], catch_exceptions=False)
    assert done.exit_code == 0, done.output


def test_labels_that_are_not_one_of_ten_are_refused(tmp_path):
    write_conversation(tmp_path, labels=np.ones((10, 200)))
    with pytest.raises(CorpusError, match="a single 1 in every column"):
        read(EAV(tmp_path, channels=NAMES, unit="mV"))


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("raw_EEG_signals/someone/someone_d.mat", "34 segments"),
        ("EEG_feature/PSD/someone.mat", "features, not signals"),
    ],
)
def test_mped_says_why_it_is_not_read(tmp_path, place, told):
    (tmp_path / place).parent.mkdir(parents=True)
    scipy.io.savemat(tmp_path / place, {"raw_eeg1": np.zeros((62, 10))})
    with pytest.raises(CorpusError, match=told) as error:
        MPED(tmp_path)
    assert "someone" not in str(error.value)  # files are named by people
