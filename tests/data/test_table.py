"""A table drafted from recordings is one that prepares, and says what to look at."""

import csv
import sys
from pathlib import Path

import mne
import numpy as np
import pytest
from typer.testing import CliRunner

from mdjpt_hf.cli import app
from mdjpt_hf.data.prepare import prepare
from mdjpt_hf.data.table import draft_table, session_of, subject_of
from mdjpt_hf.data_scripts.recordings import Recordings
from mdjpt_hf.errors import ConfigurationError, CorpusError

NAMES = ["Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2"]
MARKS = [(2.0, 10.0, "clip1"), (15.0, 0.0, "clip2"), (27.0, 2.0, "BAD_moved"), (32.0, 6.0, "clip1")]


def write(path: Path, marks=MARKS, codes=(), seed=0) -> Path:
    values = np.random.default_rng(seed).normal(0, 12e-6, (len(NAMES), 40 * 250))
    info = mne.create_info([*NAMES, "STI"], 250, ["eeg"] * len(NAMES) + ["stim"])
    stim = np.zeros((1, values.shape[1]))
    for second, code in codes:
        stim[0, second * 250 : second * 250 + 5] = code
    raw = mne.io.RawArray(np.concatenate([values, stim]), info, verbose="error")
    raw.set_annotations(mne.Annotations(*zip(*marks, strict=True)) if marks else mne.Annotations([], [], []))
    path.parent.mkdir(parents=True, exist_ok=True)
    raw.save(path, verbose="error")
    return path


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_marks_become_lines_that_prepare(tmp_path):
    for number in (1, 2):
        write(tmp_path / "study" / f"sub-0{number}" / "ses-2" / "task_raw.fif", seed=number)
    drafted = draft_table(tmp_path / "study", tmp_path / "my.csv")
    rows = read(tmp_path / "my.csv")
    assert [(row["subject"], row["session"], row["stimulus"]) for row in rows[:3]] == [
        ("01", "2", "clip1"),
        ("01", "2", "clip2"),
        ("01", "2", "clip1 (2)"),
    ]
    assert [(float(row["onset"]), float(row["duration"])) for row in rows[:3]] == [(2, 10), (15, 17), (32, 6)]
    assert drafted.lines == 6 and drafted.subjects == ["01", "02"]
    assert any("'clip1' comes again 2 times" in note for note in drafted.notes)
    report = prepare(Recordings(tmp_path / "my.csv"), tmp_path / "out", progress=False).report
    assert report["datasets"]["my"]["subjects"] == 2 and report["datasets"]["my"]["trials"] == 6


def test_trigger_channels_and_whole_recordings(tmp_path):
    write(tmp_path / "in" / "s3_raw.fif", marks=(), codes=[(5, 7), (20, 9)])
    draft_table(tmp_path / "in", tmp_path / "stim.csv", events="stim")
    rows = read(tmp_path / "stim.csv")
    assert [(row["subject"], row["stimulus"], float(row["onset"]), float(row["duration"])) for row in rows] == [
        ("s03", "7", 5.0, 15.0),
        ("s03", "9", 20.0, 20.0),
    ]
    draft_table(tmp_path / "in", tmp_path / "none.csv", events="none")
    (row,) = read(tmp_path / "none.csv")
    assert (row["stimulus"], row["onset"], row["duration"]) == ("s3_raw", "0", "40")
    prepare(Recordings(tmp_path / "none.csv"), tmp_path / "out", progress=False)


def test_what_gives_no_line_is_told(tmp_path):
    write(tmp_path / "in" / "anna_raw.fif", marks=())
    (tmp_path / "in" / "broken_raw.fif").write_bytes(b"no recording")
    with pytest.raises(CorpusError, match="gives no line.*anna_raw.*no marks"):
        draft_table(tmp_path / "in", tmp_path / "my.csv")
    drafted = draft_table(tmp_path / "in", tmp_path / "my.csv", events="none")
    assert drafted.subjects == ["anna_raw"] and any("left out in/broken_raw.fif" in note for note in drafted.notes)
    with pytest.raises(ConfigurationError, match="exists already"):
        draft_table(tmp_path / "in", tmp_path / "my.csv", events="none")
    with pytest.raises(ConfigurationError, match="unknown events"):
        draft_table(tmp_path / "in", tmp_path / "other.csv", events="triggers")
    with pytest.raises(CorpusError, match="holds no recordings"):
        draft_table(tmp_path / "nowhere", tmp_path / "other.csv")
    assert not (tmp_path / "other.csv").exists() and not list(tmp_path.glob(".*partial"))


def test_a_file_without_trigger_channel_is_told(tmp_path):
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from fabricated_edf import write_edf

    (tmp_path / "in").mkdir()
    write_edf(tmp_path / "in" / "p1.edf", np.random.default_rng(0).normal(0, 12, (10, 5000)), NAMES, 250)
    with pytest.raises(CorpusError, match="no trigger channel"):
        draft_table(tmp_path / "in", tmp_path / "my.csv", events="stim")


@pytest.mark.parametrize(
    ("path", "subject", "session"),
    [
        ("sub-P07/ses-02/eeg/sub-P07_ses-02_task-x_eeg.edf", "P07", 2),
        ("S5_session3.edf", "s05", 3),
        ("day 2/subject_11.bdf", "s11", 2),
        ("anna.edf", "anna", 0),
        ("participant-004.set", "s04", 0),
        ("responses7.edf", "responses7", 0),
    ],
)
def test_who_and_when_are_read_off_paths(path, subject, session):
    assert (subject_of(Path(path)), session_of(Path(path))) == (subject, session)


def test_the_command_says_what_comes_next(tmp_path):
    write(tmp_path / "in" / "s1_raw.fif")
    done = CliRunner().invoke(app, ["data", "table", str(tmp_path / "in"), "--out", str(tmp_path / "my.csv")])
    assert done.exit_code == 0, done.output
    assert "3 lines of 1 subjects (s01)" in done.output and "mdjpt data prepare recordings" in done.output
