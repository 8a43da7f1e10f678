"""Checkpoints: complete or absent, verified before use."""

import json

import pytest
import torch

from mdjpt_hf.errors import CheckpointError
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
