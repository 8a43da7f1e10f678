"""Containers and batch jobs leave a process fewer cores than the machine has; more threads than that are in the way."""

import os
import subprocess
import sys

import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from mdjpt_hf.modeling.control_groups_mdjpt import core_quotas
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


@pytest.mark.parametrize(
    ("group", "file", "quota"),
    [
        ("0::/job.slice/step", "job.slice/cpu.max", "150000 100000"),
        ("3:cpuacct,cpu:/job/step", "cpu/job/cpu.cfs_quota_us", "150000"),
    ],
)
def test_a_quota_of_any_group_above_a_process_is_seen(tmp_path, monkeypatch, group, file, quota):
    (groups := tmp_path / "groups").write_text(f"9:name=systemd:/\n{group}\n")
    (limit := tmp_path / file).parent.mkdir(parents=True)
    limit.write_text(quota)
    limit.with_name("cpu.cfs_period_us").write_text("100000")
    (step := limit.parent / "step").mkdir()
    (step / limit.name).write_text("max 100000" if limit.name == "cpu.max" else "-1")  # of its own it has none
    (step / "cpu.cfs_period_us").write_text("100000")
    assert core_quotas(tmp_path, groups) == [1.5]
    monkeypatch.setattr("mdjpt_hf.runtime.cores.core_quotas", lambda: [1.5, 0.2])
    assert usable_cores() == 1


def test_a_system_without_control_groups_has_no_quota(tmp_path):
    assert core_quotas(tmp_path, tmp_path / "none") == []


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
