"""SEED: preprocessed trials in MAT files, and raw sessions."""

import json
import os
import shutil

import numpy as np
import pytest
from fabricated_seed import (
    CAP,
    NAMES,
    assert_tones,
    cnt_signal,
    everything_told,
    read,
    tone,
    trial_matrix,
    with_extras,
    write_cnt,
    write_mat,
)

from mdjpt_hf.data_scripts import builder_class
from mdjpt_hf.data_scripts.base import UnitReport
from mdjpt_hf.data_scripts.seed import SEED
from mdjpt_hf.errors import CorpusError, UnitError

LABELS = [1, 0, -1, -1, 0, 1, -1, 0, 1, 1, 0, -1, 0, 1, -1]  # as in label.mat
WORDS = {1: "positive", 0: "neutral", -1: "negative"}


def amplitude(subject, session, trial):
    """µV; another one in every trial of everybody."""
    return 10 + subject + 20 * session + trial


def session_file(subject, session, prefix="djc", numbers=range(15, 0, -1)):
    """Variables of one session, not in the order of trials."""
    numbers = sorted(numbers, key=lambda number: (number % 4, number))
    return {f"{prefix}_eeg{number}": trial_matrix(amplitude(subject, session, number - 1)) for number in numbers}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("above") / "SEED_EEG"
    folder = root / "Preprocessed_EEG"
    write_mat(folder / "label.mat", {"label": np.array([LABELS], dtype=float)})
    (folder / "readme.txt").write_text("about the corpus")
    write_mat(folder / "1_20131107.mat", session_file(1, 2))
    write_mat(folder / "1_20131027.mat", session_file(1, 0), do_compression=True)
    write_mat(folder / "1_20131030.mat", session_file(1, 1))
    write_mat(folder / "10_20131130.mat", session_file(10, 0, "ww"))
    write_mat(folder / "2_20140404.mat", session_file(2, 0, "j_l"))
    features = {f"de_LDS{number}": np.ones((62, 2, 5)) for number in range(1, 16)}
    write_mat(root / "ExtractedFeatures_1s" / "1_20131027.mat", features)
    write_mat(root / "ExtractedFeatures" / "3_20131027.mat", features)
    return root


def test_trials_of_mat_files_come_out_in_microvolts_with_their_labels(corpus):
    builder = SEED(corpus, preprocessing="none")
    assert builder.units() == ["01", "02", "10"]
    trials, _ = read(builder)
    assert [(t.subject, t.session, t.trial) for t in trials] == [
        (subject, session, trial)
        for subject, sessions in (("01", 3), ("02", 1), ("10", 1))
        for session in range(sessions)
        for trial in range(15)
    ]
    for trial in trials:
        assert trial.ch_names == NAMES and trial.ch_names[0] == "Fp1" and "CB2" in trial.ch_names
        assert_tones(trial, amplitude(int(trial.subject), trial.session, trial.trial), 2.005)
        label = LABELS[trial.trial]
        assert (trial.label, trial.label_name, trial.valence_class) == (label + 1, WORDS[label], WORDS[label])
        assert trial.emotion == ("neutral" if label == 0 else None)
        row = trial.to_row()
        assert row["dataset"] == "seed" and row["preprocessing"] == "none-1" and np.isnan(row["valence"])


def test_the_same_clip_has_the_same_name_in_all_sessions(corpus):
    trials, _ = read(SEED(corpus, preprocessing="none"))
    assert {trial.stimulus for trial in trials if trial.trial == 3} == {"clip04"}
    assert len({trial.stimulus for trial in trials}) == 15


def test_the_usual_preprocessing(corpus):
    trials = list(SEED(corpus).read_unit("02", UnitReport("02")))
    assert len(trials) == 15 and trials[0].preprocessing == "basic-1"
    # tones of other frequencies in 62 channels: the average reference takes little away
    wanted = tone(CAP[10], amplitude(2, 0, 4), np.arange(trials[4].signal.shape[1]) / 125)
    assert np.corrcoef(trials[4].signal[10], wanted)[0, 1] > 0.9


@pytest.mark.parametrize("source", ["", "Preprocessed_EEG", "above"])
def test_the_source_may_be_the_folder_of_the_product_or_one_above(corpus, source):
    builder = SEED(corpus.parent if source == "above" else corpus / source)
    assert builder.units() == ["01", "02", "10"] and builder.product.name == "Preprocessed_EEG"


def test_the_source_may_be_the_working_folder(corpus, monkeypatch):
    monkeypatch.chdir(corpus / "Preprocessed_EEG")
    trials, _ = read(SEED(".", preprocessing="none"))
    assert len(trials) == 75


def test_what_is_not_there_is_noted(corpus, tmp_path):
    builder = SEED(corpus, preprocessing="none")
    assert builder.notes() == ["product: Preprocessed_EEG", "3 of the 15 subjects of this corpus are here"]
    write_mat(tmp_path / "seed" / "4_20140621.mat", session_file(4, 0, numbers=[1, 2, 7]))
    trials, reports = read(SEED(tmp_path, preprocessing="none"))
    assert [(trial.trial, trial.stimulus) for trial in trials] == [(0, "clip01"), (1, "clip02"), (6, "clip07")]
    notes = reports["04"].notes
    assert "1 of 3 sessions are here" in notes
    assert "4_20140621.mat: lacks the trials 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15" in notes
    assert "4_20140621.mat: trial 7 lasts 2.005 s, 236 to 238 usual" in notes


def test_a_clip_of_its_published_length_is_not_noted(tmp_path):
    write_mat(tmp_path / "seed" / "4_20140621.mat", {"x_eeg5": trial_matrix(20.0, seconds=185)})
    _, reports = read(SEED(tmp_path, preprocessing="none"))
    assert not any("usual" in note for note in reports["04"].notes)


def test_published_lists():
    assert [word + 1 for word in LABELS] == list(SEED.labels[0]) == list(SEED.labels[2])
    lengths = [235, 233, 206, 238, 185, 195, 237, 216, 265, 237, 235, 233, 235, 238, 206]
    assert [end - start for start, end in SEED.clips] == lengths and sum(lengths) == 3394
    assert list(SEED.clips) == sorted(SEED.clips) and SEED.clips[0] == (27, 262) and SEED.clips[-1] == (3599, 3805)


def test_initials_are_never_told(corpus, tmp_path):
    builder = SEED(corpus, preprocessing="none")
    text = everything_told(builder, *read(builder))
    assert not any(initials in text for initials in ("djc", "ww_", "j_l"))
    write_mat(tmp_path / "x" / "1_20131027.mat", {"qxy_eeg1": np.ones((5, 401))})
    assert "qxy" not in str(refused(tmp_path, r"trial 1 must have shape \(62, samples\), found \(5, 401\)"))


def refused(source, message):
    with pytest.raises(CorpusError, match=message) as error:
        read(SEED(source, preprocessing="none"))
    assert error.value.remedy
    return error.value


def test_wrong_folders(tmp_path):
    assert "bcmi.sjtu.edu.cn" in refused(tmp_path / "nowhere", "is not a folder").remedy
    write_mat(tmp_path / "SEED-IV" / "eeg_raw_data" / "1" / "1_20160518.mat", {"cz_eeg24": trial_matrix(20)})
    write_mat(tmp_path / "SEED" / "ExtractedFeatures_4s" / "1_20131027.mat", {"de_LDS1": np.ones((62, 2, 5))})
    error = refused(tmp_path, "holds no files of SEED; looked for Preprocessed_EEG")
    assert "Preprocessed_EEG or SEED_RAW_EEG" in error.remedy


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"de_LDS1": np.ones((62, 2, 5))}, "holds no trials"),
        ({"cz_eeg16": np.ones((62, 401))}, "holds a trial 16, but SEED has 15"),
        ({"a_eeg1": np.ones((62, 401)), "b_eeg1": np.ones((62, 401))}, "holds the same trial twice"),
        ({"a_eeg1": np.ones((401, 62))}, r"found \(401, 62\)"),
    ],
)
def test_files_of_something_else(tmp_path, variables, message):
    path = write_mat(tmp_path / "x" / "1_20131027.mat", variables)
    assert refused(tmp_path, message).path == str(path)


def test_damaged_files(tmp_path, corpus):
    path = tmp_path / "x" / "1_20131027.mat"
    whole = (corpus / "Preprocessed_EEG" / "1_20131027.mat").read_bytes()
    path.parent.mkdir()
    for content in (whole[: len(whole) // 2], whole[:100], b"", b"text " * 500):
        path.write_bytes(content)
        assert refused(tmp_path, "truncated, damaged or of another format").path == str(path)
    path.write_text("/annex/objects/MD5E-s3184976--0c79.mat\n")
    assert "datalad get" in refused(tmp_path, "pointer to data that is not here").remedy


def test_volts_are_refused(tmp_path):
    write_mat(tmp_path / "x" / "1_20131027.mat", {"x_eeg1": trial_matrix(20) * 1e-6})
    with pytest.raises(UnitError, match="1_20131027"):
        read(SEED(tmp_path))


def test_a_session_twice_and_a_date_too_many(tmp_path, corpus):
    for folder in ("a", "b"):
        write_mat(tmp_path / folder / "1_20131027.mat", session_file(1, 0, numbers=[1]))
    assert refused(tmp_path, "is there 2 times").path == str(tmp_path / "a" / "1_20131027.mat")
    shutil.rmtree(tmp_path / "b")
    for date in ("20131030", "20131107", "20131109"):
        write_mat(tmp_path / "a" / f"1_{date}.mat", session_file(1, 0, numbers=[1]))
    refused(tmp_path, "4 dates, but there were 3 sessions")


class ShortSEED(SEED):
    """SEED with clips of two seconds."""

    clips = tuple((1.0 + 2.4 * number, 3.0 + 2.4 * number) for number in range(15))


def write_raw(folder, subject, session, width=4, seconds=40.0, **options):
    names = with_extras()
    signal = cnt_signal(names, 1000, seconds, ShortSEED.clips, lambda trial: amplitude(subject, session, trial))
    return write_cnt(folder / "SEED_RAW_EEG" / f"{subject}_{session + 1}.cnt", signal, names, width=width, **options)


@pytest.mark.parametrize(("width", "header_samples"), [(4, None), (2, None), (4, 0), (2, 0)])
def test_raw_sessions_are_cut_at_their_clips(tmp_path, width, header_samples):
    write_raw(tmp_path, 3, 1, width, header_samples=header_samples)
    (tmp_path / "SEED_RAW_EEG" / "time.txt").write_text("start points")
    builder = ShortSEED(tmp_path, preprocessing="none")
    trials, reports = read(builder)
    assert builder.product.name == "SEED_RAW_EEG" and builder.units() == ["03"]
    assert [(t.subject, t.session, t.trial, t.label) for t in trials] == [
        ("03", 1, trial, LABELS[trial] + 1) for trial in range(15)
    ]
    for trial, (start, _) in zip(trials, ShortSEED.clips, strict=True):
        assert trial.ch_names == NAMES and trial.stimulus == f"clip{trial.trial + 1:02d}"
        assert_tones(trial, amplitude(3, 1, trial.trial), 2.0, start)
    assert any("dropped M1 (reference electrode)" in note for note in reports["03"].notes)
    told = everything_told(builder, trials, reports)
    assert "Jane" not in told and "Roe" not in told and "Q7Q1" not in told


def test_a_raw_session_that_ends_early_loses_its_last_clips(tmp_path):
    write_raw(tmp_path, 3, 0, seconds=35.2)
    trials, reports = read(ShortSEED(tmp_path, preprocessing="none"))
    assert len(trials) == 14
    assert reports["03"].rejected == ["3_1.cnt: stimulus clip15 lasts to 36.6 s, but the recording ends at 35.2 s"]


def test_a_truncated_raw_session_is_an_error(tmp_path):
    path = write_raw(tmp_path, 3, 0)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CorpusError, match="the file is truncated") as error:
        read(ShortSEED(tmp_path))
    assert error.value.path == str(path)


def test_a_raw_cap_without_some_channels(tmp_path):
    names = [name for name in CAP if name not in ("CB1", "CB2")]
    signal = cnt_signal(names, 1000, 40.0, ShortSEED.clips, lambda _: 20.0)
    write_cnt(tmp_path / "3_1.cnt", signal, names)
    trials, reports = read(ShortSEED(tmp_path, preprocessing="none"))
    assert len(trials[0].ch_names) == 60 and "3_1.cnt: lacks the channels CB1, CB2" in reports["03"].notes


def test_options_follow_the_files(corpus):
    first = SEED(corpus).options()
    assert json.loads(json.dumps(first)) == first
    assert [name for name, *_ in first["files"]][:2] == [
        os.path.join("Preprocessed_EEG", f"1_{date}.mat") for date in (20131027, 20131030)
    ]
    assert SEED(corpus, preprocessing="none").options() != first


def test_facts_and_registry(corpus):
    facts = builder_class("seed")(corpus).facts[0]
    assert (facts.name, facts.label_source, facts.redistributable) == ("seed", "stimulus", False)
    assert facts.label_names == tuple(meaning.name for meaning in SEED.classes)
    assert "10.1109/TAMD.2015.2431497" in facts.citation and "bcmi.sjtu.edu.cn" in facts.access
