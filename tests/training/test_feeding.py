"""Batches come from worker processes or from the run itself, and no run waits for ever for one."""

import multiprocessing
import os
import time
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from mdjpt_hf.data.batches import PretrainingSteps
from mdjpt_hf.data.prepare import prepare
from mdjpt_hf.errors import MDJPTError
from mdjpt_hf.pretraining import pretrain
from mdjpt_hf.training import feeding
from mdjpt_hf.training.config import RunConfig

SHOWN = {(f"s{number}", 1): ["a", "b", "c"] for number in range(4)}
SETTINGS = {"steps": 3, "steps_per_epoch": 3, "checkpoint_steps": 3, "eval_steps": 3, "num_threads": 1, "trackers": ()}


@pytest.fixture
def folder(toy_corpus, tmp_path):
    return prepare(toy_corpus(shown=SHOWN), tmp_path / "toy", progress=False).folder


def weights(folder, out, workers):
    given = {"data": (str(folder),), "held_out_subjects": 0, "model": {"preset": "tiny"}}
    run = pretrain(RunConfig(output_dir=str(out), num_workers=workers, **given, **SETTINGS))
    return load_file(run / "model.safetensors")


def with_free(monkeypatch, tmp_path, size):
    """As if shared memory had so many bytes free."""
    monkeypatch.setattr(feeding, "SHARED", tmp_path)
    monkeypatch.setattr(feeding.shutil, "disk_usage", lambda place: SimpleNamespace(free=size))


def test_where_shared_memory_is_small_the_run_reads_its_batches(folder, tmp_path, monkeypatch, caplog):
    with_free(monkeypatch, tmp_path, 64_000)

    def refuse(*arguments):
        raise AssertionError("a worker was started")

    monkeypatch.setattr("torch.utils.data.dataloader._MultiProcessingDataLoaderIter", refuse)
    assert weights(folder, tmp_path / "run", workers=2)
    assert "the run reads them itself" in caplog.text and "--shm-size" in caplog.text


@pytest.mark.parametrize("free, workers", [(2 * 5 * 4000, 2), (2 * 5 * 4000 - 1, 0)])
def test_room_is_needed_for_all_batches_under_way(monkeypatch, tmp_path, free, workers):
    with_free(monkeypatch, tmp_path, free)
    batch = {"input_values": torch.zeros(900), "group_ids": torch.zeros(50, dtype=torch.int64)}
    assert feeding.feeding_workers(2, batch) == workers
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert feeding.feeding_workers(2, batch) == 0, "processes of one machine share it"
    monkeypatch.setattr(feeding, "SHARED", tmp_path / "none")
    assert feeding.feeding_workers(2, batch) == 2, "a system without such a place has no such limit"


def test_a_worker_that_dies_or_stands_still_ends_the_run_with_whole_checkpoints(folder, tmp_path, monkeypatch):
    first = os.getpid()
    read = PretrainingSteps.__getitem__

    def die(self, step):
        if os.getpid() != first:
            os._exit(1)
        return read(self, step)

    monkeypatch.setattr(PretrainingSteps, "__getitem__", die)
    with pytest.raises(MDJPTError, match="a data worker died or stands still .DataLoader worker"):
        weights(folder, tmp_path / "dead", workers=1)

    def wait(self, step):
        return read(self, step) if os.getpid() == first else time.sleep(60)

    monkeypatch.setattr(PretrainingSteps, "__getitem__", wait)
    monkeypatch.setattr("mdjpt_hf.training.loop.PATIENCE", 2.0)
    with pytest.raises(MDJPTError, match="stands still .DataLoader timed out after 2"):
        weights(folder, tmp_path / "still", workers=1)
    assert not multiprocessing.active_children(), "it would outlive the run"
