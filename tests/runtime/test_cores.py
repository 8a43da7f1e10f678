"""Containers and batch jobs leave a process fewer cores than the machine has; more threads than that are in the way."""

import os
import subprocess
import sys

import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from mdjpt_hf.runtime.cores import keep_to_usable_cores, usable_cores
from mdjpt_hf.runtime.threads import Threads, computing_with
from mdjpt_hf.training.config import RunConfig
from mdjpt_hf.training.loop import make_accelerator

#: What joblib takes for the quota of a container, without a container.
QUOTA = "LOKY_MAX_CPU_COUNT"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot bind a process to a core")
def test_cores_that_a_job_is_bound_to_are_those_it_uses():
    first = min(os.sched_getaffinity(0))
    told = subprocess.run(
        [sys.executable, "-c", "from mdjpt_hf.runtime.cores import usable_cores; print(usable_cores())"],
        preexec_fn=lambda: os.sched_setaffinity(0, {first}),
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == "1"


@pytest.fixture
def threads():
    with computing_with(Threads(torch=2, algebra=1)):
        yield


def test_training_takes_a_thread_for_each_of_its_cores(monkeypatch, threads, tmp_path):
    monkeypatch.setenv(QUOTA, "1")
    make_accelerator(RunConfig(), str(tmp_path))
    assert torch.get_num_threads() == 1
    make_accelerator(RunConfig(num_threads=2), str(tmp_path))
    assert torch.get_num_threads() == 2, "what a run asks for is its own affair"


def algebra():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


@pytest.fixture
def undecided(monkeypatch):
    """Nobody has said how many threads there shall be, and NumPy has two."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "")  # as it was, afterwards
        monkeypatch.delenv(name)
    with threadpool_limits(2, user_api="blas"):
        yield


def test_threads_are_as_many_as_usable_cores(monkeypatch, undecided):
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setenv(QUOTA, "1")
    keep_to_usable_cores()
    assert os.environ["OMP_NUM_THREADS"] == "1" and set(algebra()) == {1}


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"])
def test_who_chose_a_number_keeps_it(monkeypatch, undecided, name):
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setenv(QUOTA, "1")
    monkeypatch.setenv(name, "2")
    keep_to_usable_cores()
    assert os.environ[name] == "2" and set(algebra()) == {2}


def test_where_all_cores_are_usable_nothing_is_set(monkeypatch, undecided):
    monkeypatch.setattr(os, "cpu_count", usable_cores().__int__)
    keep_to_usable_cores()
    assert "OMP_NUM_THREADS" not in os.environ and set(algebra()) == {2}


def test_every_command_is_kept_to_its_cores():
    command = [sys.executable, "-m", "mdjpt_hf", "env"]
    environment = {**os.environ, QUOTA: "1"}
    environment.pop("OMP_NUM_THREADS", None)
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert f"{os.cpu_count()} cores, 1 usable, 1 threads of torch" in told
