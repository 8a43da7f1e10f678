"""Who trains where: one process per pre-training, one pre-training per GPU, one reproduction per folder."""

import fcntl
import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mdjpt_hf.data.facts import RECORD_FILE
from mdjpt_hf.errors import ConfigurationError, MDJPTError
from mdjpt_hf.reproduction import processes
from mdjpt_hf.reproduction.plan import Reproduction, make_plan
from mdjpt_hf.reproduction.processes import Processes, devices, locked
from mdjpt_hf.reproduction.run import _pretrained


@pytest.fixture
def plan(prepared, tmp_path, tiny):
    data = [str(prepared(name, seed=number)) for number, name in enumerate(("one", "two", "three"))]
    return make_plan(Reproduction(tuple(data), tmp_path / "out", tiny))


def finish(config):
    """What a pre-training leaves behind, as far as a reproduction looks at it."""
    folder = Path(config.output_dir)
    folder.mkdir(parents=True)
    record = {"datasets": [{"name": Path(path).name} for path in config.data]}
    (folder / RECORD_FILE).write_text(json.dumps(record))
    (folder / "model.safetensors").touch()


def test_several_gpus_have_a_target_each(plan):
    both, seen = threading.Barrier(2, timeout=20), []

    def pretrain(config, device):
        seen.append((config.name, device))
        if len(seen) <= 2:
            both.wait()  # only passes if two are trained at a time
        finish(config)

    targets = [target.name for target in _pretrained(plan, pretrain, ["4", "6"], lambda text: None)]
    assert sorted(targets) == ["one", "three", "two"]
    assert {device for _, device in seen[:2]} == {"4", "6"} and len(seen) == 3


def test_with_one_device_the_next_waits_for_the_evaluation_before(plan):
    order = []

    def pretrain(config, device):
        order.append(config.name)
        finish(config)

    for target in _pretrained(plan, pretrain, [""], lambda text: None):
        order.append(f"evaluate {target.name}")
    assert order[:3] == ["without-one", "evaluate one", "without-two"]
    order.clear()
    assert len(list(_pretrained(plan, pretrain, [""], lambda text: None))) == 3 and not order


def test_devices(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    for count, visible, wanted in (
        (0, None, [""]),
        (1, "3", [""]),
        (2, None, ["0", "1"]),
        (2, "5,GPU-7", ["5", "GPU-7"]),
    ):
        monkeypatch.setattr(processes.torch.cuda, "device_count", lambda count=count: count)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert devices() == wanted
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigurationError, match="several processes"):
        devices()


def test_the_command_its_device_and_its_failure(plan, tmp_path, monkeypatch):
    program = tmp_path / "python"
    program.write_text('#!/bin/sh\necho "$@" on $CUDA_VISIBLE_DEVICES\nexit 3\n')
    program.chmod(0o755)
    monkeypatch.setattr(processes.sys, "executable", str(program))
    config = plan.without(plan.targets[0])
    folder = Path(config.output_dir).parent
    with locked(tmp_path / "out") as lock:
        start = Processes(lock, logged=True)
        with pytest.raises(MDJPTError, match="without-one ended with 3; see .*pretrain.log"):
            start(config, "1")
        said = (folder / "pretrain.log").read_text()
        assert said == f"-m mdjpt_hf pretrain --config {folder / 'run.yaml'} --resume on 1\n"
        start.stop()
        start(config, "1")  # after the end nothing is begun
    assert (folder / "pretrain.log").read_text() == said


def test_what_was_begun_ends_with_us(plan, tmp_path, monkeypatch):
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setattr(processes.sys, "executable", str(program))
    with locked(tmp_path / "out") as lock, ThreadPoolExecutor(1) as pool:
        start = Processes(lock, logged=False)
        training = pool.submit(start, plan.without(plan.targets[0]), "")
        while not start._running:
            time.sleep(0.01)
        start.stop()
        with pytest.raises(MDJPTError, match="ended with -15"):
            training.result(timeout=20)


def test_a_folder_has_one_reproduction_even_after_a_kill(tmp_path):
    """The lock lives as long as any process that was given it."""
    with locked(tmp_path) as lock:
        with pytest.raises(ConfigurationError, match="still works here"), locked(tmp_path):
            pass
        inherited = os.dup(lock)
    with pytest.raises(ConfigurationError, match="still works here"), locked(tmp_path):
        pass
    os.close(inherited)
    with locked(tmp_path) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
