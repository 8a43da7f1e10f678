"""Batches come from worker processes or from the run itself, and no run waits for ever for one."""

import multiprocessing
import os
import signal
import time
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from mdjpt_hf import pretraining
from mdjpt_hf.data.batches import PretrainingSteps
from mdjpt_hf.data.prepare import prepare
from mdjpt_hf.errors import MDJPTError
from mdjpt_hf.training import feeding
from mdjpt_hf.training.config import RunConfig

SHOWN = {(f"s{number}", 1): ["a", "b", "c"] for number in range(4)}
SETTINGS = {"steps": 3, "steps_per_epoch": 3, "checkpoint_steps": 3, "eval_steps": 3, "num_threads": 1, "trackers": ()}


@pytest.fixture
def folder(toy_corpus, tmp_path):
    return prepare(toy_corpus(shown=SHOWN), tmp_path / "toy", progress=False).folder


def weights(folder, out, workers):
    given = {"data": (str(folder),), "held_out_subjects": 0, "model": {"preset": "tiny"}}
    run = pretraining.pretrain(RunConfig(output_dir=str(out), num_workers=workers, **given, **SETTINGS))
    return load_file(run / "model.safetensors")


def with_free(monkeypatch, tmp_path, size):
    """As if shared memory had so many bytes free."""
    monkeypatch.setattr(feeding, "SHARED", tmp_path)
    monkeypatch.setattr(feeding.shutil, "disk_usage", lambda place: SimpleNamespace(free=size, total=10**9))


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
    monkeypatch.setattr(feeding, "SHARED", tmp_path)
    monkeypatch.setattr(feeding.shutil, "disk_usage", lambda place: SimpleNamespace(free=0, total=0))
    assert feeding.feeding_workers(2, batch) == 2, "nor has one that was made without a size"


@pytest.fixture
def slow_to_end(monkeypatch):
    """A run takes its time to end, in which torch may hear of workers that were killed."""
    give_back = pretraining._give_back

    def slow(place):
        for _ in range(30):
            time.sleep(0.01)
        give_back(place)

    monkeypatch.setattr(pretraining, "_give_back", slow)


def in_workers(monkeypatch, what):
    first, read = os.getpid(), PretrainingSteps.__getitem__
    monkeypatch.setattr(
        PretrainingSteps, "__getitem__", lambda self, step: read(self, step) if os.getpid() == first else what()
    )


def test_a_worker_that_dies_ends_the_run_with_whole_checkpoints(folder, tmp_path, monkeypatch, slow_to_end):
    in_workers(monkeypatch, lambda: os._exit(1))
    with pytest.raises(MDJPTError, match="a data worker died or stands still .DataLoader worker"):
        weights(folder, tmp_path / "dead", workers=1)
    assert not multiprocessing.active_children()


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
def test_workers_that_stand_still_end_with_the_run(folder, tmp_path, monkeypatch, slow_to_end):
    in_workers(monkeypatch, lambda: time.sleep(60))
    monkeypatch.setattr(feeding, "PATIENCE", 2.0)
    with pytest.raises(MDJPTError, match="stands still .DataLoader timed out after 2"):
        weights(folder, tmp_path / "still", workers=4)
    assert not multiprocessing.active_children(), "they would outlive the run"
    assert callable(signal.getsignal(signal.SIGCHLD)), "torch hears of other workers as before"
