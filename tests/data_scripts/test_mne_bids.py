"""Studies that mne-bids writes, read as mne-bids reads them: signals, bad channels, trials, positions, choices."""

import shutil
from pathlib import Path

import mne
import mne_bids
import numpy as np
import pytest

from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.data.prepare import prepare
from mdjpt_hf.data_scripts.base import UnitReport
from mdjpt_hf.data_scripts.bids import BIDS
from mdjpt_hf.data_scripts.bids_layout import Sidecars, bids_recordings, sidecar
from mdjpt_hf.errors import CorpusError
from mdjpt_hf.modeling.electrodes_mdjpt import ELECTRODES

from .test_bids import NAMES, study, table
from .test_places import CAP

RATE = 125  # Hz: nothing is resampled
TRIALS = [(2.0, 8.0, "joy"), (14.0, 8.0, "fear"), (26.4, 7.2, "joy")]


def recorded(seed: int, names=NAMES, called=None, bads=()) -> mne.io.RawArray:
    """40 s of noise in places of the 10-20 system, whose sensors may be called otherwise."""
    values = np.random.default_rng(seed).normal(0, 12e-6, (len(names), 40 * RATE))
    raw = mne.io.RawArray(values, mne.create_info(list(called or names), RATE, "eeg"), verbose="error")
    places = {name: np.array(ELECTRODES[place]) / 1000 for name, place in zip(raw.ch_names, names, strict=True)}
    landmarks = {"nasion": [0, 0.0868, -0.04], "lpa": [-0.0861, -0.02, -0.048], "rpa": [0.0858, -0.02, -0.048]}
    raw.set_montage(mne.channels.make_dig_montage(places, **landmarks, coord_frame="head"))
    raw.info["line_freq"], raw.info["bads"] = 50, list(bads)
    onsets, durations, shown = zip(*TRIALS, strict=True)
    return raw.set_annotations(mne.Annotations(onsets, durations, shown))


def written(raw: mne.io.BaseRaw, root: Path, form: str, **entities: str) -> mne_bids.BIDSPath:
    path = mne_bids.BIDSPath(root=root, datatype="eeg", task="film", **entities)
    return mne_bids.write_raw_bids(raw, path, format=form, allow_preload=True, verbose="error")


@pytest.mark.parametrize("form", ["EDF", "BDF", "BrainVision"])
def test_what_mne_bids_writes_is_read_as_mne_bids_reads_it(tmp_path, form):
    path = written(recorded(0, bads=["C3"]), tmp_path / "ds", form, subject="01", session="pre", run="1")
    theirs = mne_bids.read_raw_bids(path, verbose="error")
    builder = BIDS(tmp_path / "ds", label="trial_type", preprocessing="none")
    report = UnitReport("01")
    ours = list(builder.read_unit("01", report))
    marks = [(mark["onset"], mark["duration"], mark["description"]) for mark in theirs.annotations]
    (found,) = builder.trials.values()
    assert [trial.label for trial in found] == [shown for *_, shown in marks] == ["joy", "fear", "joy"]
    np.testing.assert_allclose([(t.onset, t.duration) for t in found], [mark[:2] for mark in marks])
    assert any("channels.tsv says that C3 are bad" in note for note in report.notes) and theirs.info["bads"] == ["C3"]
    for trial, (onset, duration, _) in zip(ours, marks, strict=True):
        expected = theirs.get_data(tmin=onset, tmax=onset + duration) * 1e6
        kept = [name for name in trial.ch_names if name != "C3"]
        assert set(kept) == set(theirs.ch_names) - {"C3"} and trial.sampling_rate == RATE
        rows = [theirs.ch_names.index(name) for name in kept]
        signal = np.asarray(trial.signal)[[list(trial.ch_names).index(name) for name in kept]]
        np.testing.assert_allclose(signal, expected[rows], atol=2e-3)


def test_sensors_that_mne_bids_gives_positions_are_called_by_their_places(tmp_path):
    sensors = [f"S{number}" for number in range(len(CAP))]
    written(recorded(1, CAP, sensors), tmp_path / "ds", "EDF", subject="01")
    builder = BIDS(tmp_path / "ds", preprocessing="none")
    (trial, *_) = builder.read_unit("01", UnitReport("01"))
    assert list(trial.ch_names) == CAP


def test_people_sessions_runs_and_tasks_are_all_found(tmp_path):
    for seed, (person, session, run) in enumerate(
        [("01", "a", "1"), ("01", "a", "2"), ("01", "b", "1"), ("02", "a", "1")]
    ):
        written(recorded(seed), tmp_path / "ds", "EDF", subject=person, session=session, run=run)
    prepare(BIDS(tmp_path / "ds"), tmp_path / "out", progress=False)
    (trials,) = open_corpora([tmp_path / "out"])
    assert trials.subject.tolist() == ["01"] * 9 + ["02"] * 3
    listed = mne_bids.find_matching_paths(tmp_path / "ds", suffixes="eeg", extensions=".edf")
    assert bids_recordings(tmp_path / "ds") == [path.fpath for path in listed]
    files = Sidecars(tmp_path / "ds")
    for path in listed:
        for kind in ("events.tsv", "channels.tsv", "electrodes.tsv", "coordsystem.json", "eeg.json"):
            suffix, extension = kind.split(".")
            assert files.nearest(path.fpath, kind) == path.find_matching_sidecar(suffix, f".{extension}")


def test_recordings_are_chosen_with_mne_bids(tmp_path):
    for seed, (person, session) in enumerate([("01", "a"), ("01", "b"), ("02", "a")]):
        written(recorded(seed), tmp_path / "ds", "EDF", subject=person, session=session)
    chosen = mne_bids.find_matching_paths(tmp_path / "ds", sessions="a", suffixes="eeg", extensions=".edf")
    builder = BIDS(tmp_path / "ds", recordings=chosen)
    assert [path.name for path in builder.recordings] == [path.basename for path in chosen] and len(chosen) == 2
    with pytest.raises(CorpusError, match=r"events\.json: 1 of 1 chosen files are no recordings.*suffixes='eeg'"):
        BIDS(tmp_path / "ds", recordings=[sidecar(builder.recordings[0], tmp_path / "ds", "events.json")])
    with pytest.raises(CorpusError, match="no recording was chosen"):
        BIDS(tmp_path / "ds", recordings=[])


# --- studies that do not keep the rules, which mne-bids 0.20 passes over, refuses or mistakes -------------------------


def test_no_recording_is_passed_over_in_silence(tmp_path):
    """Pointers, capitals, hyphens, unknown entities and another order: each is found, and has its own events."""
    root = study(tmp_path / "ds", people=("01",))
    (root / "task-watch_events.tsv").unlink()
    whole = root / "sub-01" / "eeg" / "sub-01_task-watch_eeg.edf"
    odd = ["sub-a-1_task-watch_eeg.edf", "sub-a-2_task-watch_eeg.EDF", "sub-b_task-watch_mood-2_eeg.edf"]
    odd += ["sub-c_run-1_task-watch_eeg.edf", "sub-d_task-watch_eeg.edf"]
    for number, name in enumerate(odd):
        place = root / name.split("_")[0] / "eeg"
        place.mkdir(parents=True)
        shutil.copy(whole, place / name)
        events = name.replace("eeg.edf", "events.tsv").replace("eeg.EDF", "events.tsv")
        table(place / events, "onset duration stim_file", [(number + 1, 8, f"clip{number}")])
    (root / "sub-d" / "eeg" / odd[-1]).unlink()
    (root / "sub-d" / "eeg" / odd[-1]).symlink_to(tmp_path / "annex" / "objects" / "nowhere.edf")
    builder = BIDS(root)
    assert builder.units() == ["a-1", "a-2", "b", "c", "d"]
    assert [trials[0].stimulus for trials in builder.trials.values()] == [f"clip{number}" for number in range(5)]
    with pytest.raises(CorpusError, match="sub-d_task-watch_eeg.edf"):
        list(builder.read_unit("d", UnitReport("d")))


def test_events_are_never_those_of_another_run_task_person_or_kind(tmp_path):
    root = study(tmp_path / "ds", people=("01",))
    (root / "task-watch_events.tsv").unlink()
    recording = bids_recordings(root)[0]
    for other in ("task-watch_run-2", "task-rest", "task-watch_acq-long", "task-watch_mood-2"):
        table(recording.with_name(f"sub-01_{other}_events.tsv"), "onset duration stim_file", [(2, 8, other)])
    table(root / "sub-02_task-watch_events.tsv", "onset duration stim_file", [(2, 8, "other")])
    table(root / "task-watch_keyevents.tsv", "onset duration stim_file", [(2, 8, "other")])
    assert sidecar(recording, root, "events.tsv") is None
    table(root / "events.tsv", "onset duration stim_file", [(2, 8, "all")])
    assert sidecar(recording, root, "events.tsv") == root / "events.tsv"


def test_files_that_macos_leaves_beside_others_are_none(tmp_path):
    root = study(tmp_path / "ds", people=("01",))
    recording = bids_recordings(root)[0]
    table(recording.with_name("sub-01_task-watch_events.tsv"), "onset duration stim_file", [(2, 8, "own")])
    for path in [*recording.parent.iterdir(), root / "channels.tsv"]:
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\26\7")
    (root / ".trash" / "sub-01").mkdir(parents=True)
    assert bids_recordings(root) == [recording]
    assert BIDS(root).trials[recording][0].stimulus == "own"
    assert sidecar(recording, root, "channels.tsv") == root / "channels.tsv"


def test_positions_go_with_the_frame_of_their_own_space(tmp_path):
    """A frame of another space would turn the head: CTF has its nose where CapTrak has its right ear."""
    sensors = [f"S{number}" for number in range(len(CAP))]
    path = written(recorded(2, CAP, sensors), tmp_path / "ds", "EDF", subject="01")
    folder = path.fpath.parent
    (folder / "sub-01_space-CTF_coordsystem.json").write_text('{"EEGCoordinateSystem": "CTF"}')
    builder = BIDS(tmp_path / "ds", preprocessing="none")
    assert list(next(builder.read_unit("01", UnitReport("01"))).ch_names) == CAP
    beside = [str(name) for name, *_ in builder.options()["files"]]
    assert any("CapTrak_coordsystem" in name for name in beside) and not any("CTF" in name for name in beside)


def test_a_nearer_eeg_json_adds_to_those_above_it(tmp_path):
    root = study(tmp_path / "ds", people=("01",))
    table(root / "task-watch_events.tsv", "onset duration stim_file", [(500, 2000, "a")])
    (root / "task-watch_eeg.json").write_text('{"SamplingFrequency": 100, "PowerLineFrequency": 50}')
    recording = bids_recordings(root)[0]
    (tmp_path / "rules.yaml").write_text("onset_unit: samples")
    (trials,) = BIDS(root, rules=tmp_path / "rules.yaml").trials.values()
    assert (trials[0].onset, trials[0].duration) == (5.0, 20.0)
    recording.with_name("sub-01_task-watch_eeg.json").write_text('{"EEGReference": "Cz"}')
    assert BIDS(root, rules=tmp_path / "rules.yaml").trials[recording][0].onset == 5.0
    recording.with_name("sub-01_task-watch_eeg.json").write_text('{"SamplingFrequency": 250}')
    assert BIDS(root, rules=tmp_path / "rules.yaml").trials[recording][0].onset == 2.0


def test_later_parts_of_a_recording_need_times_of_their_own(tmp_path):
    root = study(tmp_path / "ds", people=("01",))
    first = bids_recordings(root)[0]
    first.rename(first.with_name("sub-01_task-watch_split-01_eeg.edf"))
    assert len(BIDS(root).units()) == 1
    later = first.with_name("sub-01_task-watch_split-10_eeg.edf")
    shutil.copy(first.with_name("sub-01_task-watch_split-01_eeg.edf"), later)
    with pytest.raises(CorpusError, match=r"split-10_eeg\.edf: is part 10 .* counts from the start of all"):
        BIDS(root)
    table(
        later.with_name("sub-01_task-watch_split-10_events.tsv"),
        "onset duration stim_file emotion",
        [(2, 8, "b", "joy")],
    )
    assert [trial.stimulus for trial in BIDS(root).trials[later]] == ["b"]


def test_what_began_before_the_recording_is_left_out_with_a_line(tmp_path):
    root = study(tmp_path / "ds", people=("01",))
    table(root / "task-watch_events.tsv", "onset duration stim_file", [(-3, 8, "early"), (14, 8, "whole")])
    report = prepare(BIDS(root), tmp_path / "out", progress=False).report
    (trials,) = open_corpora([tmp_path / "out"])
    assert trials.stimulus.tolist() == ["whole"]
    (line,) = report["units"][0]["rejected"]
    assert "the trial of line 2 begins where nothing was recorded" in line
