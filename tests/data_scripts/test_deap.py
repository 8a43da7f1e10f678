"""DEAP in its three forms, with ratings as they were given and as bad copies have them."""

import json
import os

import numpy as np
import pytest
import scipy.io
from fabricated_deap import (
    GENEVA,
    PERIPHERAL,
    SECONDS,
    TWENTE,
    order,
    preprocessed,
    ratings,
    start,
    wave,
    write_dat,
    write_ratings,
)
from python2_pickle import write_python2_pickle

from mdjpt_hf.data_scripts import builder_class
from mdjpt_hf.data_scripts.base import UnitReport
from mdjpt_hf.data_scripts.deap import DEAP
from mdjpt_hf.errors import CorpusError


def read(builder):
    reports = {unit: UnitReport(unit) for unit in builder.units()}
    return [trial for unit in builder.units() for trial in builder.read_unit(unit, reports[unit])], reports


def assert_wave(trial, seconds=SECONDS):
    """The whole video and nothing of the baseline, at the right channel; edges ring where the baseline ends."""
    video = int(trial.stimulus.removeprefix("video"))
    time = np.arange(round(seconds * 125)) / 125
    wanted = np.array([wave(name, video, time) for name in trial.ch_names])
    assert trial.signal.shape == wanted.shape and trial.sampling_rate == 125
    inner = slice(60, -60)
    assert np.abs(trial.signal - wanted)[:, inner].max() < 0.1


@pytest.fixture(scope="module")
def python_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("deap") / "data_preprocessed_python"
    for subject in (1, 2):
        write_dat(folder, subject)
    return folder


def test_python_files_give_videos_in_microvolts_without_the_baseline(python_folder):
    builder = DEAP(python_folder, preprocessing="none")
    trials, reports = read(builder)
    assert [trial.subject for trial in trials] == ["01"] * 40 + ["02"] * 40
    assert [trial.stimulus for trial in trials[:40]] == [f"video{video:02d}" for video in range(1, 41)]
    assert trials[0].ch_names == GENEVA
    for trial in trials:
        assert_wave(trial)
        assert (trial.dataset, trial.session, trial.trial, trial.label, trial.label_name) == ("deap", 0, -1, -1, "")
        assert trial.emotion is None and trial.valence_class is None
        assert trial.to_row()["n_samples"] == 625
        video = int(trial.stimulus[-2:])
        given = (trial.valence, trial.arousal, trial.dominance, trial.liking)
        assert given == pytest.approx((ratings(int(trial.subject))[video - 1] - 1) / 8)
    assert trials[3].arousal == 1.0
    assert reports["01"].notes == ["s01.dat: trials last 5 s instead of 60", "s01.dat: resampled from 128 to 125 Hz"]


def test_what_is_not_there_is_noted(python_folder):
    notes = DEAP(python_folder).notes()
    assert "2 of the 32 subjects of this corpus are here" in notes
    assert any("order of presentation is unknown" in note and "participant_ratings.csv" in note for note in notes)


def test_the_usual_preprocessing_keeps_the_baseline_out(python_folder):
    trial = next(iter(DEAP(python_folder.parent).read_unit("02", UnitReport("02"))))
    assert trial.preprocessing == "basic-1" and trial.signal.shape == (32, 625)
    time = np.arange(625) / 125
    wanted = np.array([wave(name, 1, time) for name in GENEVA])
    wanted -= wanted.mean(axis=0)
    assert np.corrcoef(trial.signal[:, 125:-125].ravel(), wanted[:, 125:-125].ravel())[0, 1] > 0.99


def test_the_table_gives_the_order_of_presentation(tmp_path, python_folder):
    write_dat(tmp_path / "data_preprocessed_python", 7)
    write_ratings(tmp_path / "metadata_csv" / "participant_ratings.csv", [3, 7])
    builder = DEAP(tmp_path, preprocessing="none")
    trials, reports = read(builder)
    assert [trial.trial for trial in trials] == list(range(40))
    assert {int(trial.stimulus[-2:]): trial.trial for trial in trials} == order(7)
    for trial in trials:
        assert_wave(trial)
    assert not any("mirrored" in note for note in [*reports["07"].notes, *builder.notes()])


def test_the_table_under_the_names_that_copies_give_its_columns(tmp_path):
    write_dat(tmp_path, 7)
    path = write_ratings(tmp_path / "participant_ratings.csv", [7])
    content = path.read_text()
    for old, new in (("Participant_id", "participant"), ("Experiment_id", "video"), ("Start_time", "start_time")):
        content = content.replace(old, new)
    path.write_text(content)
    trials, _ = read(DEAP(tmp_path, preprocessing="none"))
    assert {int(trial.stimulus[-2:]): trial.trial for trial in trials} == order(7)
    path.write_text(content.replace("video", "clip"))
    with pytest.raises(CorpusError, match="cannot be read as the table of ratings"):
        read(DEAP(tmp_path, preprocessing="none"))


@pytest.mark.parametrize("total", [9, 10])
def test_mirrored_ratings_are_detected_and_corrected(tmp_path, total):
    copied = ratings(5)
    copied[10:24, :2] = total - copied[10:24, :2]
    write_dat(tmp_path, 5, labels=copied)
    write_ratings(tmp_path / "participant_ratings.csv", [5])
    trials, reports = read(DEAP(tmp_path, preprocessing="none"))
    for trial in trials:
        wanted = (ratings(5)[int(trial.stimulus[-2:]) - 1] - 1) / 8
        assert (trial.valence, trial.arousal, trial.dominance, trial.liking) == pytest.approx(wanted)
    (note,) = [note for note in reports["05"].notes if "mirrored" in note]
    assert "14 trials" in note


def test_mirrored_ratings_below_the_scale_betray_themselves_without_the_table(tmp_path):
    copied = ratings(5)
    copied[3, :2] = 9 - copied[3, :2]  # 0.5 and 0
    write_dat(tmp_path, 5, labels=copied)
    trials, reports = read(DEAP(tmp_path, preprocessing="none"))
    assert all(np.isnan([trial.valence, trial.arousal]).all() for trial in trials)
    assert trials[3].dominance == pytest.approx((copied[3, 2] - 1) / 8)
    assert any("1 trials lies below 1" in note and "left out" in note for note in reports["05"].notes)


def test_ratings_of_somebody_else_are_refused(tmp_path):
    write_dat(tmp_path, 5, labels=ratings(6))
    write_ratings(tmp_path / "participant_ratings.csv", [5])
    with pytest.raises(CorpusError, match="s05.dat: the ratings of .* trials are neither"):
        read(DEAP(tmp_path))


def test_mirrored_dominance_is_not_that_error(tmp_path):
    copied = ratings(5)
    copied[:, 2] = 10 - copied[:, 2]
    write_dat(tmp_path, 5, labels=copied)
    write_ratings(tmp_path / "participant_ratings.csv", [5])
    with pytest.raises(CorpusError, match="neither"):
        read(DEAP(tmp_path))


def test_ratings_above_the_scale_are_refused(tmp_path):
    copied = ratings(5)
    copied[0, 3] = 9.5
    write_dat(tmp_path, 5, labels=copied)
    with pytest.raises(CorpusError, match="s05.dat: ratings outside the scale from 1 to 9.*liking"):
        read(DEAP(tmp_path))


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda text: text.replace("Experiment_id", "Clip"), "KeyError"),
        (lambda text: text.replace("\n5,12,", "\n5,13,"), "each of 40 videos once for participant 5"),
        (lambda text: text.replace("\n5,", "\n4,"), "each of 40 videos once for participant 5"),
        (lambda text: text.replace("\n5,12,", "\n5,x,"), "ValueError"),
    ],
)
def test_damaged_tables_of_ratings(tmp_path, change, message):
    write_dat(tmp_path, 5)
    table = write_ratings(tmp_path / "participant_ratings.csv", [5])
    table.write_text(change(table.read_text()))
    with pytest.raises(CorpusError, match=f"participant_ratings.csv: .*{message}"):
        read(DEAP(tmp_path))


def test_matlab_files_give_the_same_trials(tmp_path):
    scipy.io.savemat(tmp_path / "s01.mat", {"data": preprocessed(), "labels": ratings(1)})
    builder = DEAP(tmp_path, preprocessing="none")
    assert builder.notes()[0] == "product: preprocessed, MATLAB"
    trials, _ = read(builder)
    assert len(trials) == 40
    for trial in trials:
        assert_wave(trial)
    assert trials[8].liking == pytest.approx((ratings(1)[8, 3] - 1) / 8)


def test_a_trial_with_missing_samples_is_left_out_and_listed(tmp_path):
    data = preprocessed()
    data[4, 2, 500] = np.nan
    data[6, :32] = 3.0
    data[7, 36] = np.nan  # skin conductance
    write_dat(tmp_path, data=data)
    trials, reports = read(DEAP(tmp_path, preprocessing="none"))
    assert len(trials) == 38 and "video08" in {trial.stimulus for trial in trials}
    assert reports["01"].rejected == [
        "s01.dat: stimulus video05 holds samples that are not numbers",
        "s01.dat: stimulus video07 is silent: no channel varies",
    ]


@pytest.mark.parametrize(
    "content, message",
    [
        ({"data": np.zeros((39, 40, 8064)), "labels": np.zeros((39, 4))}, r"found data \(39, 40, 8064\)"),
        ({"data": np.zeros((40, 14, 8064)), "labels": np.zeros((40, 4))}, r"found data \(40, 14, 8064\)"),
        ({"data": np.zeros((40, 40, 384)), "labels": np.zeros((40, 4))}, r"found data \(40, 40, 384\)"),
        ({"data": np.zeros((40, 40, 500)), "labels": np.zeros((40, 3))}, r"labels \(40, 3\)"),
        ({"x": [1]}, r"found variables \['x'\]"),
        ([1, 2], "found list"),
    ],
)
def test_files_that_are_not_of_this_corpus(tmp_path, content, message):
    if isinstance(content, dict) and "data" in content:
        content["data"] = content["data"].astype("f4")
    write_python2_pickle(tmp_path / "s01.dat", content)
    with pytest.raises(CorpusError, match=f"s01.dat: is no preprocessed DEAP file.*{message}"):
        read(DEAP(tmp_path))


def test_truncated_and_malicious_files_name_themselves(tmp_path, python_folder):
    whole = (python_folder / "s01.dat").read_bytes()
    (tmp_path / "s01.dat").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CorpusError, match="s01.dat: the file is truncated"):
        read(DEAP(tmp_path))
    (tmp_path / "s01.dat").write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    with pytest.raises(CorpusError, match="s01.dat: this pickle asks for os.system"):
        read(DEAP(tmp_path))


def test_two_copies_of_a_subject_are_refused(tmp_path):
    write_dat(tmp_path / "a", 1)
    write_dat(tmp_path / "b", 1)
    with pytest.raises(CorpusError, match="s01.dat: is there 2 times: also .*b/s01.dat"):
        read(DEAP(tmp_path))


def test_wrong_folders_say_how_to_get_the_corpus(tmp_path):
    with pytest.raises(CorpusError, match="nothing: is not a folder.*data_preprocessed_python"):
        DEAP(tmp_path / "nothing")
    (tmp_path / "s1.dat").touch()
    with pytest.raises(CorpusError, match="holds no files of DEAP.*eecs.qmul.ac.uk"):
        DEAP(tmp_path)


def test_facts_and_options(tmp_path, python_folder):
    write_dat(tmp_path, 3)
    builder = builder_class("deap")(tmp_path)
    (facts,) = builder.facts
    assert (facts.name, facts.redistributable, facts.label_source, facts.label_names) == ("deap", False, "none", ())
    assert "10.1109/T-AFFC.2011.15" in facts.citation and "1 to 9" in facts.rating_scale
    first = builder.options()
    assert json.loads(json.dumps(first)) == first
    table = write_ratings(tmp_path / "participant_ratings.csv", [3])
    second = builder_class("deap")(tmp_path).options()
    assert [file[0] for file in second["files"]] == ["s03.dat", "participant_ratings.csv"]
    os.utime(table, (1, 1))
    assert second != first and builder_class("deap")(tmp_path).options() != second


# --- original recordings ------------------------------------------------------------------------------------------


def write_bdf(path, signal, names, status, rate, unit="uV", last_unit="Boolean"):
    """24-bit BDF by its public layout: `signal` in µV, the last channel holds `status` as it is."""
    count, digital = len(names), 2**23
    top = 400.0  # µV

    def field(values, width):
        return "".join(f"{value:<{width}}" for value in values).encode()

    header = b"\xffBIOSEMI" + field(["X X X X", "Startdate X X X X"], 80) + b"01.01.0101.01.01"
    n_records = signal.shape[1] // rate
    header += field([256 * (count + 1)], 8) + field(["24BIT"], 44) + field([n_records, 1], 8) + field([count], 4)
    header += field(names, 16) + field([""] * count, 80) + field([unit] * (count - 1) + [last_unit], 8)
    header += field([-top] * (count - 1) + [-digital], 8) + field([top] * (count - 1) + [digital - 1], 8)
    header += field([-digital] * count, 8) + field([digital - 1] * count, 8)
    header += field([""] * count, 80) + field([rate] * count, 8) + field([""] * count, 32)
    counts = np.round((signal + top) / (2 * top) * (2 * digital - 1) - digital).astype("<i4")
    counts = np.concatenate([counts, np.asarray(status)[None]]).astype("<i4")
    records = counts[:, : n_records * rate].reshape(count, n_records, rate).transpose(1, 0, 2)
    path.write_bytes(header + np.ascontiguousarray(records).view(np.uint8).reshape(-1, 4)[:, :3].tobytes())
    return path


def original(tmp_path, subject=1, names=TWENTE, high_bits=0, status_name="Status", extra=(), missing=(), rate=128):
    """A session: a marker every 9 s, the video from there, 5 s long as far as these tests look."""
    shown = {position: video for video, position in order(subject).items()}
    n_samples = (20 + 40 * 9 + 60) * rate
    time = np.arange(n_samples) / rate
    signal = 5 * np.sin(2 * np.pi * 3 * time) + np.zeros((len(names), 1))
    codes = np.zeros(n_samples, int)
    for position, video in shown.items():
        first = round(start(position) * rate)
        if position not in missing:
            codes[first : first + 10] = 4
        codes[first - 2 * rate : first - 2 * rate + 10] = 3
        for row, name in enumerate(names):
            piece = slice(first, first + SECONDS * rate)
            signal[row, piece] = wave(name, video, time[piece] - start(position))
    for second in extra:
        codes[round(second * rate) : round(second * rate) + 10] = 4
    both = np.concatenate([signal, np.full((len(PERIPHERAL), n_samples), 20.0)])
    path, last_unit = tmp_path / f"s{subject:02d}.bdf", "Boolean" if status_name else "uV"
    return write_bdf(path, both, [*names, *PERIPHERAL, status_name], codes | high_bits, rate, last_unit=last_unit)


@pytest.fixture
def short_videos(monkeypatch):
    monkeypatch.setattr("mdjpt_hf.data_scripts.deap._VIDEO", float(SECONDS))


@pytest.mark.parametrize(
    "arguments",
    [
        {},  # the first 22: one order of channels
        {"subject": 23, "names": GENEVA, "extra": [3.0, 400.0]},
        {"subject": 28, "names": GENEVA, "status_name": "", "high_bits": 1638144 & ~0xFF},
    ],
)
def test_original_recordings_know_their_videos_by_the_table(tmp_path, short_videos, arguments):
    original(tmp_path, **arguments)
    subject = arguments.get("subject", 1)
    write_ratings(tmp_path / "participant_ratings.csv", [subject])
    trials, reports = read(DEAP(tmp_path, preprocessing="none"))
    assert [trial.trial for trial in trials] == list(range(40))
    assert {int(trial.stimulus[-2:]): trial.trial for trial in trials} == order(subject)
    assert trials[0].ch_names == arguments.get("names", TWENTE)
    for trial in trials:
        assert_wave(trial)
        video = int(trial.stimulus[-2:])
        assert trial.arousal == pytest.approx((ratings(subject)[video - 1, 1] - 1) / 8)
    assert any("dropped" in note and "GSR" in note for note in reports[f"{subject:02d}"].notes)


def test_original_recordings_without_the_table_are_refused(tmp_path):
    original(tmp_path)
    with pytest.raises(CorpusError, match="s01.bdf: the original recordings do not say which video.*metadata_csv.zip"):
        read(DEAP(tmp_path))


def test_original_recordings_with_a_marker_missing_are_refused(tmp_path, short_videos):
    original(tmp_path, missing=[7])
    write_ratings(tmp_path / "participant_ratings.csv", [1])
    with pytest.raises(CorpusError, match="s01.bdf: holds 39 starts of a video where 40 were shown"):
        read(DEAP(tmp_path))


def test_a_truncated_original_recording_is_refused(tmp_path, short_videos):
    path = original(tmp_path)
    write_ratings(tmp_path / "participant_ratings.csv", [1])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CorpusError, match="s01.bdf: the file is truncated"):
        read(DEAP(tmp_path))
