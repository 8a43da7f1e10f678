"""Checkpoints: complete or absent, verified before use."""

import errno
import json
import subprocess
import sys
import textwrap

import pytest
import torch

from mdjpt_hf.errors import CheckpointError
from mdjpt_hf.training import checkpoint as checkpoint_module
from mdjpt_hf.training.checkpoint import OPTIMIZER_FILE, STATE_FILE, WEIGHTS_FILE, Checkpoint, CheckpointFolder


def checkpoint(step: int) -> Checkpoint:
    weights = {"layer.weight": torch.full((3, 2), float(step)), "layer.bias": torch.arange(3.0)}
    return Checkpoint(step, weights, {"state": {0: {"step": torch.tensor(step)}}}, [{"step": step, "loss": 1.5}])


@pytest.fixture
def folder(tmp_path):
    return CheckpointFolder(tmp_path / "checkpoints", key="run", keep=2)


def test_what_is_saved_comes_back_and_the_oldest_goes(folder):
    for step in (1, 2, 10):
        folder.save(checkpoint(step))
    assert [path.name for path in sorted(folder.folder.iterdir())] == ["step-00000002", "step-00000010"]
    loaded = folder.load_newest()
    assert loaded.step == 10 and loaded.history == [{"step": 10, "loss": 1.5}]
    assert torch.equal(loaded.weights["layer.weight"], checkpoint(10).weights["layer.weight"])
    assert loaded.optimizer["state"][0]["step"] == 10


def test_without_checkpoints_there_is_none(folder):
    assert folder.load_newest() is None


@pytest.mark.parametrize("name", [WEIGHTS_FILE, OPTIMIZER_FILE, STATE_FILE])
@pytest.mark.parametrize("damage", ["truncate", "flip", "remove"])
def test_a_damaged_newest_checkpoint_is_passed_over_with_a_warning(folder, name, damage):
    folder.save(checkpoint(1))
    path = folder.save(checkpoint(2)) / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    if damage == "truncate":
        path.write_bytes(path.read_bytes()[:-20])
    elif damage == "flip":
        path.write_bytes(bytes(content))
    else:
        path.unlink()
    with pytest.warns(UserWarning, match="step-00000002 is damaged"):
        assert folder.load_newest().step == 1


def test_half_written_checkpoints_are_ignored_and_cleared(folder):
    folder.save(checkpoint(1))
    (folder.folder / ".step-00000002.partial").mkdir()
    (folder.folder / ".step-00000002.partial" / WEIGHTS_FILE).write_bytes(b"half")
    assert folder.load_newest().step == 1
    folder.save(checkpoint(2))
    assert not list(folder.folder.glob(".*"))


def test_a_run_with_other_settings_is_refused(folder):
    path = folder.save(checkpoint(1))
    with pytest.raises(CheckpointError, match="other settings or another number of processes"):
        CheckpointFolder(folder.folder, key="other", keep=2).load_newest()
    assert json.loads((path / STATE_FILE).read_text())["key"] == "run"


def test_code_in_an_optimizer_file_is_not_run(folder, tmp_path):
    """Even with a matching hash: what is loaded is data."""

    class Malicious:
        def __reduce__(self):
            return (open, (str(tmp_path / "written-by-attacker"), "w"))

    folder.save(checkpoint(1))
    folder.save(Checkpoint(2, checkpoint(2).weights, {"state": Malicious()}, []))
    # torch.load refuses with an UnpicklingError, and the checkpoint before is used.
    with pytest.warns(UserWarning, match="is damaged"):
        assert folder.load_newest().step == 1
    assert not (tmp_path / "written-by-attacker").exists()


@pytest.mark.parametrize("change", [{"step": 7}, {"key": "another"}, {"history": []}, {"sha256": {}}])
def test_a_state_that_was_changed_is_damaged_though_it_is_good_json(folder, change):
    folder.save(checkpoint(1))
    path = folder.save(checkpoint(2)) / STATE_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.warns(UserWarning, match="step-00000002 is damaged .*does not match its hash.*the one before"):
        assert folder.load_newest().step == 1


def test_where_no_checkpoint_is_whole_nothing_begins_from_zero(folder):
    for step in (1, 2):
        (folder.save(checkpoint(step)) / STATE_FILE).write_text("{")
    with (
        pytest.warns(UserWarning, match="is damaged"),
        pytest.raises(CheckpointError, match="none of the 2 checkpoints"),
    ):
        folder.load_newest()


def test_a_full_disk_is_an_error_of_ours_and_leaves_the_earlier_one(folder, monkeypatch):
    folder.save(checkpoint(1))

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    for name in ("save_file", "file_hash", "_sync"):
        with monkeypatch.context() as patch:
            patch.setattr(checkpoint_module, name, full)
            with pytest.raises(
                CheckpointError, match=r"step 2 cannot be written .*No space left.*earlier .* are whole"
            ):
                folder.save(checkpoint(2))
        assert not list(folder.folder.glob(".*")) and folder.load_newest().step == 1


def test_two_processes_that_save_at_once_take_turns(tmp_path):
    code = """
        import sys, torch
        from pathlib import Path
        from mdjpt_hf.training.checkpoint import Checkpoint, CheckpointFolder
        folder = CheckpointFolder(Path(sys.argv[1]), sys.argv[2], 2)
        for step in range(1, 20):
            folder.save(Checkpoint(step, {"w": torch.full((50, 50), float(step))}, {}, []))
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "checkpoints")]
    both = [subprocess.Popen([*command, key], stderr=subprocess.PIPE, text=True) for key in "ab"]
    messages = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], messages
    states = [json.loads(path.read_text()) for path in (tmp_path / "checkpoints").glob("*/state.json")]
    assert len(states) == 2 and all(state["step"] in (18, 19) for state in states)
