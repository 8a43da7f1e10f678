"""A rehearsal of two machines on one: two launchers that find each other by one rendezvous train one model."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from mdjpt_hf.data.prepare import prepare
from mdjpt_hf.data_scripts.simulated import SimulatedCorpora

PROGRAM = Path(__file__).parents[2] / "pretrain.py"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def launch(folder: Path, out: str, *launcher: str) -> subprocess.Popen:
    arguments = ["--data", "data", "--config", "demo", "--steps", "2", "--output-dir", out]
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", *launcher, str(PROGRAM), *arguments],
        cwd=folder,
        env={**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
def test_two_launchers_train_the_model_of_one_with_two_processes(tmp_path):
    corpus = SimulatedCorpora(corpora=["sim-14"], subjects=4, stimuli=4, trial_seconds=12)
    prepare(corpus, tmp_path / "data", progress=False)
    meeting = ["--rdzv_backend", "c10d", "--rdzv_id", "rehearsal", "--rdzv_endpoint", f"127.0.0.1:{free_port()}"]
    machines = [launch(tmp_path, "two", "--nnodes", "2", "--nproc_per_node", "1", *meeting) for _ in range(2)]
    told = [machine.communicate(timeout=300)[0] for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0], told
    assert json.loads((tmp_path / "two" / "run_record.json").read_text())["machine"]["processes"] == 2
    alone = launch(tmp_path, "one", "--standalone", "--nproc_per_node", "2")
    told = [alone.communicate(timeout=300)[0]]
    assert alone.returncode == 0, told
    two, one = (load_file(tmp_path / name / "model.safetensors") for name in ("two", "one"))
    for name in one:  # a launcher of one process gives it all cores: sums are rounded otherwise
        assert (two[name] - one[name]).abs().max() <= 1e-3 * one[name].abs().max(), name
