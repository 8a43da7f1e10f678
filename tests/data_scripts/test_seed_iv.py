"""SEED-IV: trials in MAT files, one folder per session."""

import shutil

import numpy as np
import pytest
from fabricated_seed import NAMES, assert_tones, everything_told, read, trial_matrix, write_mat

from mdjpt_hf.data_scripts import builder_class
from mdjpt_hf.data_scripts.base import UnitReport
from mdjpt_hf.data_scripts.seed_iv import SEEDIV
from mdjpt_hf.errors import CorpusError

LABELS = (
    "1 2 3 0 2 0 0 1 0 1 2 1 1 1 2 3 2 2 3 3 0 3 0 3",
    "2 1 3 0 0 2 0 2 3 3 2 3 2 0 1 1 2 1 0 3 0 1 3 1",
    "1 2 2 1 3 3 3 1 1 2 1 0 2 3 3 0 2 3 0 0 2 0 1 0",
)
MEANINGS = [("neutral", "neutral"), ("sadness", "negative"), ("fear", "negative"), ("joy", "positive")]
# the third session of subject 13 was before its others here: only the folder tells the session
FILES = {(1, 0): "1_20160518", (1, 1): "1_20161125", (13, 0): "13_20151115", (13, 2): "13_20141130"}


def amplitude(subject, session, trial):
    """µV; another one in every trial of everybody."""
    return 10 + subject + 30 * session + trial


def session_file(subject, session, numbers=range(1, 25)):
    return {f"cz_eeg{n}": trial_matrix(amplitude(subject, session, n - 1), 1.5) for n in reversed(list(numbers))}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("above") / "SEED-IV"
    for (subject, session), name in FILES.items():
        folder = f"{session + 1}"
        write_mat(root / "eeg_raw_data" / folder / f"{name}.mat", session_file(subject, session))
        write_mat(root / "eeg_feature_smooth" / folder / f"{name}.mat", {"de_LDS1": np.ones((62, 3, 5))})
        write_mat(root / "eye_feature_smooth" / folder / f"{name}.mat", {"eye_1": np.ones((31, 3))})
        write_mat(root / "eye_raw_data" / f"{name}_blink.mat", {"x": np.ones((3, 3))})
    write_mat(root / "eeg_feature_smooth" / "2" / "5_20160413.mat", {"de_LDS1": np.ones((62, 3, 5))})
    return root


def test_trials_come_out_in_microvolts_with_session_and_label(corpus):
    builder = SEEDIV(corpus, preprocessing="none")
    assert builder.units() == ["01", "13"] and builder.product.name == "eeg_raw_data"
    trials, _ = read(builder)
    assert [(int(t.subject), t.session, t.trial) for t in trials] == [(*key, n) for key in FILES for n in range(24)]
    for trial in trials:
        assert trial.ch_names == NAMES
        assert_tones(trial, amplitude(int(trial.subject), trial.session, trial.trial), 1.505)
        label = int(LABELS[trial.session].split()[trial.trial])
        assert trial.label == label and trial.label_name == ("neutral", "sad", "fear", "happy")[label]
        assert (trial.emotion, trial.valence_class) == MEANINGS[label]
        assert trial.to_row()["dataset"] == "seed_iv"


def test_clips_differ_between_sessions_and_not_between_subjects(corpus):
    trials, _ = read(SEEDIV(corpus, preprocessing="none"))
    stimuli = {(trial.session, trial.trial): trial.stimulus for trial in trials}
    assert len(set(stimuli.values())) == 72
    assert all(stimuli[trial.session, trial.trial] == trial.stimulus for trial in trials)
    labels = {}
    for trial in trials:
        assert labels.setdefault(trial.stimulus, trial.label) == trial.label


@pytest.mark.parametrize("source", [".", "eeg_raw_data", "eeg_raw_data/1", ".."])
def test_sources(corpus, source):
    builder = SEEDIV(corpus / source)
    assert builder.units() == ["01", "13"] and builder.product.name == "eeg_raw_data"
    first, *_ = builder.recordings("01", builder.files["01"], UnitReport("01"))
    assert first.session == 0 and first.file.parent.name == "1"
    assert len(builder.source_files()) == (2 if source.endswith("1") else 4)


def test_published_lists():
    assert [" ".join(map(str, session)) for session in SEEDIV.labels] == list(LABELS)
    assert [session.count(label) for session in SEEDIV.labels for label in range(4)] == [6] * 12
    assert [sum(session) for session in SEEDIV.windows] == [851, 832, 822]
    assert [len(session) for session in SEEDIV.windows] == [24, 24, 24]


def test_only_features(corpus, tmp_path):
    shutil.copytree(corpus / "eeg_feature_smooth", tmp_path / "eeg_feature_smooth")
    shutil.copytree(corpus / "eye_feature_smooth", tmp_path / "eye_feature_smooth")
    with pytest.raises(CorpusError, match="holds no files of SEED-IV") as error:
        SEEDIV(tmp_path)
    assert "eeg_raw_data" in error.value.remedy
    with pytest.raises(CorpusError, match="holds no files of SEED-IV"):
        SEEDIV(tmp_path / "eeg_feature_smooth" / "2")


def test_what_is_odd_is_noted_or_refused(tmp_path):
    folder = tmp_path / "eeg_raw_data" / "2"
    write_mat(folder / "7_20150717.mat", session_file(7, 1, [1, 20]))
    builder = SEEDIV(tmp_path, preprocessing="none")
    assert "1 of the 15 subjects of this corpus are here" in builder.notes()
    trials, reports = read(builder)
    assert [(trial.session, trial.trial) for trial in trials] == [(1, 0), (1, 19)]
    assert "7_20150717.mat: trial 20 lasts 1.505 s, 36 to 48 usual" in reports["07"].notes
    assert any("lacks the trials 2, 3, 4" in note for note in reports["07"].notes)
    assert "cz_" not in everything_told(builder, trials, reports)
    write_mat(folder / "7_20150718.mat", session_file(7, 1, [1]))
    with pytest.raises(CorpusError, match="is there 2 times"):
        read(SEEDIV(tmp_path))
    (folder / "7_20150718.mat").unlink()
    write_mat(folder / "7_20150717.mat", {"cz_eeg25": trial_matrix(20)})
    with pytest.raises(CorpusError, match="holds a trial 25, but SEED-IV has 24"):
        read(SEEDIV(tmp_path))


def test_facts_and_registry(corpus):
    facts = builder_class("seed_iv")(corpus).facts[0]
    assert (facts.name, facts.label_source, facts.redistributable) == ("seed_iv", "stimulus", False)
    assert facts.label_names == tuple(meaning.name for meaning in SEEDIV.classes)
    assert "10.1109/TCYB.2018.2797176" in facts.citation
