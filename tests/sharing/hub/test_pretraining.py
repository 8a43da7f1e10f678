"""A run that shares its result: refused before it starts if it could not, and never lost if it fails at the end."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from run_folder import make_run

from mdjpt_hf.data.facts import energy
from mdjpt_hf.errors import ConfigurationError, HubError
from mdjpt_hf.pretraining import _check_push, _push
from mdjpt_hf.sharing.cards import gather_facts, missing_facts
from mdjpt_hf.training.config import RunConfig
from mdjpt_hf.training.record import training_seconds

ROOT = Path(__file__).parents[3]
NAME = "user/toy"


def test_what_cannot_be_shared_is_refused_before_the_run(hub, monkeypatch):
    _check_push(RunConfig())  # nothing asked, nothing checked
    _check_push(RunConfig(push_to_hub=NAME))
    _check_push(RunConfig(push_to_hub=NAME, data=("somewhere",), push_licence="mit"))
    with pytest.raises(ConfigurationError, match="need a licence"):
        _check_push(RunConfig(push_to_hub=NAME, data=("somewhere",)))
    with pytest.raises(HubError, match="user/name"):
        _check_push(RunConfig(push_to_hub="toy"))
    monkeypatch.setattr("mdjpt_hf.sharing.hub.upload.get_token", lambda: None)
    with pytest.raises(HubError, match="no token"):
        _check_push(RunConfig(push_to_hub=NAME))
    assert not hub.calls


def test_a_push_that_fails_is_reported_and_costs_nothing(hub, tmp_path, capsys):
    run = make_run(tmp_path / "run")
    _push(RunConfig(), run)
    assert not hub.calls
    hub.fault("commit", "503", times=1000)
    _push(RunConfig(push_to_hub=NAME), run)
    said = capsys.readouterr().err
    assert "NOT SHARED: HubError" in said and f"mdjpt push {run} {NAME}" in said
    (run / "run_record.json").unlink()
    _push(RunConfig(push_to_hub=NAME), run)
    assert "NOT SHARED: CardError" in capsys.readouterr().err


def test_the_record_of_a_run_sends_nothing_when_it_is_repeated(tmp_path):
    config = RunConfig(push_to_hub=NAME, push_private=True, push_licence="mit")
    config.save(tmp_path)
    assert "push" not in (tmp_path / "run.yaml").read_text()
    assert config.key(1) == RunConfig().key(1)  # a run can be resumed with or without sharing


def test_time_and_energy():
    history = [{"step": 0, "retrieval": 0.1}, {"step": 10, "windows/s": 20.0}, {"step": 15, "windows/s": 50.0}]
    assert training_seconds(history, windows_per_step=40) == 10 * 40 / 20 + 5 * 40 / 50
    cpu = energy(3600, {"device": "cpu", "processes": 2, "threads": 4})
    assert cpu["kwh"] == 0.08 and "10 W for each of 8 processor cores" in cpu["assumption"]
    gpu = energy(3600, {"device": "cuda", "processes": 2, "threads": 4})
    assert gpu["kwh"] == 0.8 and "not measured" in gpu["assumption"]


@pytest.mark.slow
def test_the_real_command_shares_its_result(server, online, prepared, tmp_path):
    corpora = {"one": {"shown": {(f"s{n}", 1): ["a", "b"] for n in range(7)}}, "two": {}}
    settings = {
        "name": "test",
        "model": {"preset": "tiny", "hidden_size": 8, "feature_size": 4, "spatial_channels": 6},
        "data": [str(prepared(name, **arguments)) for name, arguments in corpora.items()],
        **{"steps": 3, "log_steps": 2, "eval_steps": 9, "checkpoint_steps": 9, "num_threads": 1, "trackers": []},
    }
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(settings))
    command = [sys.executable, str(ROOT / "pretrain.py"), "--config", str(tmp_path / "test.yaml")]
    command += ["--output-dir", str(tmp_path / "run"), "--push-to-hub", NAME, "--push-private", "--push-licence", "mit"]
    server.fault("commit", "lost")
    done = subprocess.run(command, cwd=tmp_path, env=online, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert f"{server.url}/{NAME} holds it" in done.stdout
    repo = server.repo(NAME)
    assert repo.private and repo.titles() == ["mdjpt test, by mdjpt-hf 0.1.0"]
    assert repo.files()["model.safetensors"] == (tmp_path / "run" / "model.safetensors").read_bytes()
    record = json.loads((tmp_path / "run" / "run_record.json").read_text())
    assert [(entry["name"], entry["subjects"], entry["licence"]) for entry in record["datasets"]] == [
        ("one", 7, "CC0-1.0"),
        ("two", 3, "CC0-1.0"),
    ]
    assert record["datasets"][0]["held_out_subjects"] == 2 and record["datasets"][0]["preprocessing"] == ["none"]
    assert not record["datasets"][0]["simulated"] and record["steps"] == 3 and record["training_seconds"] > 0
    assert missing_facts(gather_facts(tmp_path / "run", "mit")) == []
    assert not [path for path, content in repo.files().items() if str(tmp_path).encode() in content]


TELEMETRY = """
import os

import mdjpt_hf, mdjpt_hf.cli, mdjpt_hf.sharing.hub
from huggingface_hub import constants

names = ("HF_HUB_DISABLE_TELEMETRY", "GRADIO_ANALYTICS_ENABLED")
print([os.environ.get(name) for name in names], constants.HF_HUB_DISABLE_TELEMETRY)
mdjpt_hf.cli.program._run(lambda: None)
print([os.environ.get(name) for name in names], constants.HF_HUB_DISABLE_TELEMETRY)
"""


def test_commands_switch_telemetry_off_and_the_import_leaves_it_alone(online):
    environment = {name: value for name, value in online.items() if name != "HF_HUB_DISABLE_TELEMETRY"}
    command = [sys.executable, "-c", TELEMETRY]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines() == ["[None, None] False", "['1', 'False'] True"], done.stderr
