"""BIDS studies as they are: sidecars by inheritance and without case, channels by their table, times that are wrong."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from mdjpt_hf.cli import app
from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.data.prepare import prepare
from mdjpt_hf.data_scripts.bids import BIDS
from mdjpt_hf.data_scripts.bids_layout import bids_recordings, sidecar
from mdjpt_hf.data_scripts.faced import FACED
from mdjpt_hf.errors import ConfigurationError, CorpusError

sys.path.insert(0, str(Path(__file__).parents[1]))
from fabricated_edf import write_edf  # noqa: E402

NAMES = ["Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2"]
EVENTS = [(2, 8, "clip1", "joy"), (14, 8, "clip2", "fear"), (24, 0.1, "key", "n/a"), (200, 8, "clip3", "joy")]


def table(path: Path, header: str, rows) -> Path:
    lines = ["\t".join(header.split()), *("\t".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8-sig")
    return path


def study(root: Path, people=("01", "02"), names=NAMES, session="", task="watch") -> Path:
    """A study with one events.tsv for all and a channels.tsv at the top."""
    root.mkdir()
    (root / "dataset_description.json").write_text(json.dumps({"Name": "Made up", "License": "CC0"}))
    for number, person in enumerate(people):
        middle = f"_ses-{session}" if session else ""
        folder = root / f"sub-{person}" / (f"ses-{session}" if session else "") / "eeg"
        folder.mkdir(parents=True)
        values = np.random.default_rng(number).normal(0, 12, (len(names), 40 * 250))
        write_edf(folder / f"sub-{person}{middle}_task-{task}_eeg.edf", values, names, 250)
    table(root / f"task-{task}_events.tsv", "onset duration stim_file emotion", EVENTS)
    table(root / "channels.tsv", "name type units status", [(name, "EEG", "uV", "good") for name in names])
    return root


def test_a_plain_study_needs_no_word(tmp_path):
    out = tmp_path / "out"
    done = CliRunner().invoke(
        app, ["data", "prepare", "bids", "--source", str(study(tmp_path / "ds")), "--out", str(out)]
    )
    assert done.exit_code == 0, done.output
    assert "stimulus is the column 'stim_file' (3 of them), label is 'emotion': fear (2), joy (4)" in done.output
    (trials,) = open_corpora([out])
    assert trials.name == "ds" and trials.label_names == ("fear", "joy")
    assert trials.subject.tolist() == ["01", "01", "02", "02"] and trials.stimulus.tolist() == ["clip1", "clip2"] * 2
    assert trials.n_samples.tolist() == [1000] * 4  # 8 s at 125 Hz
    report = json.loads((out / "report.json").read_text())
    assert sum("lies outside the recording" in line for unit in report["units"] for line in unit["rejected"]) == 2
    facts = json.loads((out / "corpus.json").read_text())["facts"][0]
    assert (facts["title"], facts["licence_id"], facts["redistributable"]) == ("Made up", "cc0-1.0", True)


def test_sidecars_are_found_from_the_nearest_to_the_root_whatever_their_case(tmp_path):
    root = study(tmp_path / "ds", task="Emotion")
    (root / "task-Emotion_events.tsv").rename(root / "task-emotion_events.tsv")
    recording = bids_recordings(root)[0]
    assert sidecar(recording, root, "events.tsv").name == "task-emotion_events.tsv"
    own = recording.with_name("sub-01_task-emotion_events.tsv")
    table(own, "onset duration stim_file", [(3, 9, "own")])
    table(recording.with_name("sub-01_task-other_events.tsv"), "onset duration stim_file", [(3, 9, "other")])
    assert sidecar(recording, root, "events.tsv") == own
    assert sidecar(bids_recordings(root)[1], root, "events.tsv").parent == root
    (root / "derivatives" / "sub-01").mkdir(parents=True)
    assert len(bids_recordings(root)) == 2
    with pytest.raises(CorpusError, match="its tasks are emotion"):
        bids_recordings(root, "rest")


def test_channels_are_what_their_table_says(tmp_path):
    root = study(tmp_path / "ds", people=("01",))
    rows = [(name, "EEG", "uV", "bad" if name == "C3" else "good") for name in NAMES]
    rows[NAMES.index("P4")] = ("P4", "EOG", "uV", "good")
    table(root / "channels.tsv", "name type units status", rows)
    report = prepare(BIDS(root), tmp_path / "out", progress=False).report
    (trials,) = open_corpora([tmp_path / "out"])
    assert "P4" not in trials.ch_names[0]
    notes = " ".join(report["units"][0]["notes"])
    assert "P4 are no EEG: left out" in notes and "C3 are bad" in notes and "interpolated" in notes


def test_rules_say_which_lines_are_trials_and_when(tmp_path):
    root = study(tmp_path / "ds", people=("01",))
    rows = [(500, 0, "stm", "a_1", 3), (9000, 0, "stop", "n/a", "n/a"), (9500, 0, "click", "n/a", 9)]
    rows += [(12000, 1, "stm", "b_1", 9), (30000, 0, "stop", "n/a", "n/a")]
    table(root / "task-watch_events.tsv", "onset duration trial_type clip vlnc", rows)
    (tmp_path / "rules.yaml").write_text(
        "stimulus: clip\nkeep: {trial_type: stm}\nonset_unit: ms\nduration: 8\n"
        "ratings: {valence: [vlnc, 1, 9]}\nlabel: '-'"
    )
    builder = BIDS(root, rules=tmp_path / "rules.yaml")
    (found,) = builder.trials.values()
    assert [(trial.onset, trial.duration, trial.stimulus) for trial in found] == [(0.5, 8, "a_1"), (12.0, 8, "b_1")]
    prepare(builder, tmp_path / "out", progress=False)
    (trials,) = open_corpora([tmp_path / "out"])
    assert trials.ratings[:, 0].tolist() == [0.25, 1.0] and set(trials.label) == {-1}
    (tmp_path / "until.yaml").write_text("stimulus: trial_type\nuntil: exit")
    table(root / "task-watch_events.tsv", "onset trial_type", [(1, "joy"), (8, "exit"), (10, "fear"), (17, "exit")])
    (found,) = BIDS(root, rules=tmp_path / "until.yaml", label="trial_type").trials.values()
    assert [(trial.onset, trial.duration, trial.label) for trial in found] == [(1, 7, "joy"), (10, 7, "fear")]


def test_wrong_times_are_never_cut_in_silence(tmp_path):
    root = study(tmp_path / "ds", people=("01",))
    events = root / "task-watch_events.tsv"
    table(events, "onset duration stim_file", [(2000, 8, "a"), (14000, 8, "b")])
    with pytest.raises(CorpusError, match="begin at 2000 to 14000 s, but it ends at 40 s.*milliseconds"):
        prepare(BIDS(root), tmp_path / "out", progress=False)
    table(events, "onset duration stim_file", [(2, 20, "a"), (14, 8, "b")])
    with pytest.raises(CorpusError, match="lines 2 and 3 overlap"):
        BIDS(root)
    table(events, "onset duration stim_file", [("n/a", 8, "a")])
    with pytest.raises(CorpusError, match="line 2: 'n/a' is no time"):
        BIDS(root)
    table(events, "onset duration stim_file", [(2, "n/a", "a"), (14, 0.5, "b")])
    with pytest.raises(CorpusError, match="no event of 1 recordings is a trial of five seconds"):
        BIDS(root)


def test_a_trial_whose_length_nothing_says_is_not_lost_in_silence(tmp_path):
    root = study(tmp_path / "ds")
    events = root / "task-watch_events.tsv"
    table(events, "onset duration stim_file", [(2, 8, "a"), (12, "n/a", "b"), (22, "", "c"), (30, 0.1, "key")])
    corpus = BIDS(root)
    assert all([trial.stimulus for trial in trials] == ["a"] for trials in corpus.trials.values())
    wanted = "2 lines give no trial, since nothing says how long it lasts; the first is 'b', line 3 of task-watch"
    assert any(note.startswith(wanted) for note in corpus.notes())
    (tmp_path / "until.yaml").write_text("stimulus: stim_file\nuntil: exit")
    table(events, "onset stim_file", [(2, "a"), (12, "exit"), (22, "b")])
    (note,) = [note for note in BIDS(root, rules=tmp_path / "until.yaml").notes() if "how long" in note]
    assert note.startswith("1 line gives no trial") and "'b', line 4" in note
    table(events, "onset duration stim_file", [(2, 8, "a"), (14, 8, "b")])
    assert not any("how long" in note for note in BIDS(root).notes())


def test_what_cannot_be_found_is_asked_for(tmp_path):
    root = study(tmp_path / "ds", people=("01",))
    table(root / "task-watch_events.tsv", "onset duration kind", [(2, 8, "a")])
    with pytest.raises(CorpusError, match="no column that could name the stimulus.*there are onset, duration, kind"):
        BIDS(root)
    with pytest.raises(CorpusError, match="has no column 'film'"):
        BIDS(root, stimulus="film")
    assert len(BIDS(root, stimulus="kind").units()) == 1
    with pytest.raises(CorpusError, match="holds no recordings"):
        BIDS(tmp_path)
    (tmp_path / "odd.yaml").write_text("colour: red")
    with pytest.raises(ConfigurationError, match=r"rules have no \['colour'\]"):
        BIDS(root, rules=tmp_path / "odd.yaml")


def test_sessions_repeats_and_pointers(tmp_path):
    root = study(tmp_path / "ds", people=("01",), session="pre")
    table(root / "task-watch_events.tsv", "onset duration stim_file", [(2, 8, "a"), (14, 8, "a")])
    report = prepare(BIDS(root), tmp_path / "out", progress=False).report
    (trials,) = open_corpora([tmp_path / "out"])
    assert trials.session.tolist() == [1, 1] and trials.stimulus.tolist() == ["a", "a"]
    assert trials.trial.tolist() == [0, 1]
    assert any("'a' is shown again" in note for note in report["units"][0]["notes"])
    recording = bids_recordings(root)[0]
    recording.unlink()
    recording.write_text("/annex/objects/MD5E-s1-abc.edf")
    with pytest.raises(CorpusError, match="sub-01_ses-pre"):
        prepare(BIDS(root), tmp_path / "other", progress=False)


def test_the_rules_of_studies_that_can_be_downloaded(tmp_path):
    """Lines as they stand in these studies; DENS's times count samples at 250 Hz."""
    root = study(tmp_path / "ds", people=("mit003",), task="Emotion")
    events = root / "task-Emotion_events.tsv"
    header = "onset duration trial_type label description"
    rows = [(1163.24, 1000.0, "base", "baseline", "x"), (3630.99, 1000.0, "stm", "neutral_1_1", "x")]
    table(events, header, [*rows, (18755.49, 1000.0, "vlnc", "Valence", "x"), (28401.2, 1000.0, "stm", "12_2", "x")])
    with pytest.raises(CorpusError, match="counts samples, and no eeg.json"):
        BIDS(root, rules="dens")
    (root / "task-emotion_eeg.json").write_text('{"SamplingFrequency": 250}')
    (found,) = BIDS(root, rules="dens").trials.values()
    assert [(trial.stimulus, round(trial.onset, 2), trial.duration, trial.label) for trial in found] == [
        ("neutral_1", 14.52, 60.0, ""),
        ("12", 113.6, 60.0, ""),
    ]
    header = "onset duration trial_type value emotion_label video_index Valence Arousal Liking"
    rows = [
        (461.8, 0.0, "start", 5, "n/a", "n/a", "n/a", "n/a", "n/a"),
        (490.9, 60.2, "Dep", 3, "Sadness", 11, 0.7, 3.5, 7),
    ]
    table(events, header, rows)
    (found,) = BIDS(root, rules="faced").trials.values()
    assert [(trial.stimulus, trial.label) for trial in found] == [("video11", "Sadness")]
    assert found[0].ratings == pytest.approx({"valence": 0.1, "arousal": 0.5, "liking": 1.0})
    assert BIDS(root, rules="faced").facts[0].stimulus_set == FACED.about.stimulus_set != ""
    assert BIDS(root, rules="faced", stimulus_set="mine").facts[0].stimulus_set == "mine"
    (tmp_path / "mapped.yaml").write_text("stimulus: video_index\nlabel: '-'\nstimuli: {11: film}\nstimulus_set: mine")
    (found,) = BIDS(root, rules=tmp_path / "mapped.yaml").trials.values()
    assert [trial.stimulus for trial in found] == ["film"]
    (tmp_path / "mapped.yaml").write_text("stimuli: film")
    with pytest.raises(ConfigurationError, match="stimuli is 'film'"):
        BIDS(root, rules=tmp_path / "mapped.yaml")
