"""The real command: it trains, dies at any moment, resumes to the same bits, on one process and on two."""

import functools
import hashlib
import json
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch
import yaml
from safetensors.torch import load_file

from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.data.parquet import write_parquet
from mdjpt_hf.data.prepare import prepare
from mdjpt_hf.errors import ConfigurationError, CorpusError
from mdjpt_hf.pretraining import _given_data, _simulated_data, pretrain
from mdjpt_hf.training import loop, stopping
from mdjpt_hf.training.alignment import pair_samplers
from mdjpt_hf.training.config import RunConfig, load_run_config

ROOT = Path(__file__).parents[1]
CORPORA = {
    "one": {"shown": {(f"s{n}", 1): [f"clip{k}" for k in range(4)] for n in range(7)}},
    "two": {"shown": {(f"p{n}", 1): [f"film{k}" for k in range(3)] for n in range(4)}, "ch_names": ["C3", "C4", "Cz"]},
}
SMALL = {"subjects": 2, "stimuli": 2, "trial_seconds": 6.0}
SETTINGS = {
    "name": "test",
    "model": {"preset": "tiny", "hidden_size": 8, "feature_size": 4, "spatial_channels": 6, "intermediate_size": 12},
    "steps": 12,
    "steps_per_epoch": 5,
    "log_steps": 2,
    "eval_steps": 5,
    "checkpoint_steps": 2,
    "num_threads": 1,
    "trackers": [],
}
MASKED = {
    **SETTINGS,
    "objective": "masked",
    "model": {
        "preset": "tiny",
        "window_seconds": 2.0,
        "hidden_size": 16,
        "num_attention_heads": 2,
        "spatial_filters": 4,
        "max_clusters": [6, 9],
    },
    "masked": {
        "windows_per_step": 4,
        "rounds": 2,
        "candidates": [[4, 6], [9]],
        "components": 5,
        "batches": 4,
        "batch_size": 64,
        "sample": 200,
        "eval_windows": 4,
    },
}
JOINT = {
    **SETTINGS,
    "objective": "mdjpt+masked",
    "model": {**SETTINGS["model"], "max_clusters": [6, 9]},
    "masked": MASKED["masked"],
}


def starter(folder: Path, data: list[str]):
    """Starts the real script in a folder; returns the process, already finished unless told otherwise."""
    for name, settings in (("mdjpt", SETTINGS), ("masked", MASKED), ("mdjpt+masked", JOINT)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({**settings, "data": data}))

    def start(output: str, *options: str, objective: str = "mdjpt", processes: int = 1, wait: bool = True, **more):
        launcher = [sys.executable]
        if processes > 1:
            launcher += ["-m", "torch.distributed.run", "--nproc_per_node", str(processes), "--master_port", _port()]
        script = [str(ROOT / "pretrain.py"), "--config", str(folder / f"{objective}.yaml")]
        command = [*launcher, *script, "--output-dir", str(folder / output), *options]
        process = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more
        )
        if not wait:
            return process
        output_text = process.communicate(timeout=300)[0]
        return subprocess.CompletedProcess(command, process.returncode, output_text)

    return start


@pytest.fixture
def run(prepared, tmp_path):
    """The script on two small corpora."""
    return starter(tmp_path, [str(prepared(name, **arguments)) for name, arguments in CORPORA.items()])


@pytest.fixture(scope="module")
def whole(toy_corpus, tmp_path_factory):
    """Folder and output of a run on the same corpora that nothing interrupted: one for all tests, to be read only."""
    folder = tmp_path_factory.mktemp("whole")
    corpora = [toy_corpus(name, **arguments) for name, arguments in CORPORA.items()]
    start = starter(folder, [str(prepare(corpus, folder / corpus.name, progress=False).folder) for corpus in corpora])

    @functools.cache
    def made(objective: str = "mdjpt", processes: int = 1) -> tuple[Path, str]:
        name = f"{objective} of {processes}"
        finished = start(name, objective=objective, processes=processes)
        assert finished.returncode == 0, finished.stdout
        return folder / name, finished.stdout

    return made


def _port() -> str:
    return str(random.SystemRandom().randint(20000, 60000))


def newest_step(folder: Path) -> int:
    return max((int(path.name[5:]) for path in (folder / "checkpoints").glob("step-*")), default=0)


def weights(folder: Path) -> str:
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def kill_after(process: subprocess.Popen, ready) -> None:
    """SIGKILL the run with all its processes as soon as `ready()`; it must not have finished by then."""
    while not ready():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.002)
    launcher = psutil.Process(process.pid)
    for victim in (launcher, *launcher.children(recursive=True)):
        victim.kill()
    process.communicate()


def test_a_run_can_leave_out_datasets_of_its_folders(prepared, tmp_path):
    data = tuple(str(prepared(name, **arguments)) for name, arguments in CORPORA.items())
    config = RunConfig(data=data, leave_out=("one",))
    assert [trials.name for trials in _given_data(config)] == ["two"]
    assert config.key(1) != RunConfig(data=data).key(1)
    with pytest.raises(ConfigurationError, match=r"\['three'\], which the data do not hold"):
        _given_data(RunConfig(data=data, leave_out=("one", "three")))
    with pytest.raises(ConfigurationError, match="leaves no dataset"):
        _given_data(RunConfig(data=data, leave_out=("one", "two")))


@pytest.mark.slow
@pytest.mark.parametrize(("processes", "workers"), [(1, 0), (1, 2), (2, 0), (2, 2)])
def test_a_killed_run_resumes_to_bit_identical_weights(run, whole, tmp_path, processes, workers):
    """To those of a run without workers, however many there are."""
    options = ("--num-workers", str(workers))
    killed = tmp_path / "killed"
    # Killed twice: in the middle of a step, and while a checkpoint is being written.
    process = run("killed", *options, processes=processes, wait=False)
    kill_after(process, lambda: (killed / "checkpoints" / "step-00000004").exists())
    process = run("killed", "--resume", *options, processes=processes, wait=False)
    kill_after(process, lambda: any((killed / "checkpoints").glob(".step-*8.partial")) or _beyond(killed, 8))
    resumed = run("killed", "--resume", *options, processes=processes)
    assert resumed.returncode == 0, resumed.stdout
    assert "resumed after step" in resumed.stdout
    assert weights(killed) == weights(whole(processes=processes)[0])


@pytest.mark.slow
def test_a_run_from_the_prepared_folder_goes_on_from_its_streamed_parquet_to_the_same_bits(run, whole, tmp_path):
    options = ("--num-workers", "2")
    mapped, _ = whole(processes=2)
    killed = tmp_path / "killed"
    process = run("killed", *options, processes=2, wait=False)
    kill_after(process, lambda: (killed / "checkpoints" / "step-00000004").exists())
    streams = [part for name in CORPORA for part in ("--data", f"stream:{tmp_path / 'parquet' / name}")]
    for name in CORPORA:
        write_parquet(tmp_path / name, tmp_path / "parquet" / name)
        shutil.rmtree(tmp_path / name)  # nothing else is left to read
    resumed = run("killed", "--resume", *streams, *options, processes=2)
    assert resumed.returncode == 0 and "resumed after step" in resumed.stdout, resumed.stdout
    assert weights(killed) == weights(mapped)
    losses = [json.loads((folder / "history.json").read_text()) for folder in (mapped, killed)]
    told = [[{key: value for key, value in entry.items() if "/s" not in key} for entry in part] for part in losses]
    assert told[0] == told[1] and len(told[0]) > 2


def _beyond(folder: Path, step: int) -> bool:
    return (folder / "checkpoints" / f"step-{step:08d}").exists()


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["masked", "mdjpt+masked"])
def test_a_masked_run_killed_in_any_round_resumes_to_bit_identical_weights(run, whole, tmp_path, objective):
    """Killed in the first round and in the second, where the file of pseudo-labels is lost as well."""
    check_masked_run(*whole(objective))
    killed = tmp_path / "killed"
    process = run("killed", objective=objective, wait=False)
    kill_after(process, lambda: _beyond(killed, 4))
    process = run("killed", "--resume", objective=objective, wait=False)
    kill_after(process, lambda: _beyond(killed, 8))
    labels = killed / "pseudo_labels" / "round-1.npy"
    before = labels.read_bytes()
    labels.unlink()
    resumed = run("killed", "--resume", objective=objective)
    assert resumed.returncode == 0, resumed.stdout
    assert "resumed after step" in resumed.stdout and "round 1: clustering" not in resumed.stdout
    assert labels.read_bytes() == before
    assert weights(killed) == weights(whole(objective)[0])


def check_masked_run(folder: Path, printed: str) -> None:
    """What a masked run prints and leaves behind."""
    for words in (
        "Davies-Bouldin",
        "perplexity",
        "NMI with dataset",
        "majority",
        "unigram",
        "held-out subjects",
        "since round 0",
    ):
        assert words in printed
    history = json.loads((folder / "history.json").read_text())
    rounds = [entry for entry in history if "round" in entry]
    assert [(entry["round"], entry["step"]) for entry in rounds] == [(0, 0), (1, 6)]
    facts = {f"nmi/{fact}/{g}" for fact in ("dataset", "subject", "stimulus", "emotion") for g in (1, 2)}
    assert facts <= set(rounds[0]) and set(rounds[0]["candidates/1"]) == {"4", "6"}
    scored = [entry for entry in history if "accuracy/1" in entry]
    assert [entry["step"] for entry in scored] == [0, 5, 10, 12] and "nearest/2" in scored[0]
    assert (folder / "masked.png").read_bytes()[:4] == b"\x89PNG"
    from transformers import AutoModel, AutoModelForPreTraining

    assert AutoModel.from_pretrained(folder).config.max_clusters == [6, 9]
    counts = AutoModelForPreTraining.from_pretrained(folder).heads.counts.tolist()
    assert counts == [rounds[1]["clusters/1"], rounds[1]["clusters/2"]]


@pytest.mark.slow
def test_two_processes_find_the_clusters_and_weights_of_one(run, whole, tmp_path):
    finished = run("two", "--set", "masked.windows_per_step=2", objective="masked", processes=2)
    assert finished.returncode == 0, finished.stdout
    for number in (0, 1):
        path = Path("pseudo_labels") / f"round-{number}.npy"
        assert (whole("masked")[0] / path).read_bytes() == (tmp_path / "two" / path).read_bytes()
    one, two = (load_file(folder / "model.safetensors") for folder in (whole("masked")[0], tmp_path / "two"))
    assert max((one[name] - two[name]).abs().max().item() for name in one) < 1e-5


@pytest.mark.slow
def test_resuming_copes_with_nothing_and_with_a_truncated_checkpoint(run, tmp_path):
    first = run("run", "--resume")  # nothing to resume: from the beginning
    assert first.returncode == 0, first.stdout
    expected = weights(tmp_path / "run")
    newest = sorted((tmp_path / "run" / "checkpoints").glob("step-*"))[-1] / "model.safetensors"
    newest.write_bytes(newest.read_bytes()[:100])
    again = run("run", "--resume")
    assert again.returncode == 0, again.stdout
    assert "is damaged" in again.stdout and "resumed after step 10" in again.stdout
    assert weights(tmp_path / "run") == expected


def test_an_occupied_folder_is_refused_before_data_are_read(tmp_path):
    config = RunConfig(data=(str(tmp_path / "a corpus that takes long to read"),), output_dir=str(tmp_path / "run"))
    with pytest.raises(CorpusError):
        pretrain(config)
    (tmp_path / "run").mkdir()
    config.save(tmp_path / "run")
    for _ in range(2):  # nobody owns the folder afterwards
        with pytest.raises(ConfigurationError, match="already holds a run"):
            pretrain(config)
    with pytest.raises(CorpusError):
        pretrain(config, resume=True)


@pytest.mark.slow
def test_an_occupied_folder_and_other_settings_are_refused(run, whole, tmp_path):
    shutil.copytree(whole()[0], tmp_path / "run")
    occupied = run("run")
    assert occupied.returncode == 1 and "already holds a run" in occupied.stdout
    assert "Traceback" not in occupied.stdout
    record = (tmp_path / "run" / "run.yaml").read_text()
    other = run("run", "--resume", "--seed", "9")
    assert other.returncode == 1 and "CheckpointError" in other.stdout and "other settings" in other.stdout
    assert (tmp_path / "run" / "run.yaml").read_text() == record


@pytest.mark.slow
def test_what_a_run_leaves_behind(run, tmp_path):
    finished = run("run", "--set", "trackers=[tensorboard]")
    assert finished.returncode == 0, finished.stdout
    folder = tmp_path / "run"
    for line in ("one: 7 subjects, 2 of them held out", "two: 4 subjects, 12 trials", "parameters", "min an epoch"):
        assert line in finished.stdout
    assert "two: no subjects are held out: fewer than 4 would be left" in finished.stdout
    assert "one: no subjects" not in finished.stdout
    assert "held-out pair retrieval" in finished.stdout
    history = json.loads((folder / "history.json").read_text())
    logged = [entry for entry in history if "loss" in entry]
    assert {"isa/one", "isa/two", "cda", "windows/s"} <= set(logged[0])
    assert [entry["step"] for entry in logged] == [2, 4, 6, 8, 10, 12]
    assert list((folder / "logs").rglob("events.out.tfevents*"))
    assert (folder / "loss.png").read_bytes()[:4] == b"\x89PNG"
    from transformers import AutoFeatureExtractor, AutoModel

    model = AutoModel.from_pretrained(folder)
    assert model.config.hidden_size == 8 and model.config.package_version
    assert AutoFeatureExtractor.from_pretrained(folder).sampling_rate == 125


def test_subjects_that_cannot_be_paired_are_not_held_out(prepared):
    """Five subjects saw the same clips, two saw their own: some choices leave no pair, and training goes on whole."""
    shown = {(f"s{n}", 1): [f"clip{k}" for k in range(3)] for n in range(5)}
    shown |= {("t1", 1): ["x1", "x2"], ("t2", 1): ["y1", "y2"]}
    trial_sets = open_corpora([prepared("odd", shown=shown)])
    held_out = [pair_samplers(RunConfig(seed=seed), trial_sets)[1] for seed in range(20)]
    assert {} in held_out and any(held_out)


@pytest.mark.parametrize(
    ("simulation", "message"),
    [({"subject": 3}, r"no settings \['subject'\]"), ({"corpora": ["sim-30"], **SMALL}, "no simulated corpus is left")],
)
def test_simulations_that_cannot_be_trained_on_are_refused(tmp_path, simulation, message):
    alone = SimpleNamespace(is_main_process=True, wait_for_everyone=lambda: None)
    with pytest.raises(ConfigurationError, match=message):
        _simulated_data(load_run_config("demo", simulation=simulation), tmp_path, alone)


def test_processes_that_do_not_know_of_each_other_are_refused(monkeypatch):
    """A launcher that starts two processes which Accelerate does not join would train two separate models."""

    class Alone:
        num_processes = 1

        def __init__(self, **arguments):
            pass

    monkeypatch.setattr(loop, "Accelerator", Alone)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigurationError, match="2 processes were started, but this one sees 1"):
        loop.make_accelerator(RunConfig(), "logs")


@pytest.mark.slow
def test_the_default_run_compares_on_a_simulated_corpus_it_never_saw(tmp_path):
    small = ["simulation.subjects=6", "simulation.stimuli=6", "simulation.trial_seconds=10", "steps=2"]
    settings = [part for text in (*small, "num_threads=1") for part in ("--set", text)]
    command = [sys.executable, str(ROOT / "pretrain.py"), *settings]
    finished = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    folder = tmp_path / "outputs" / "demo"  # where a run goes that says nothing
    assert list((folder / "logs").glob("events.out.tfevents*")) and not (tmp_path / "outputs" / "logs").exists()
    record = json.loads((folder / "comparison.json").read_text())
    assert record["data"] == "simulated" and record["corpus"] == "sim-30" and len(record["subjects"]) == 6
    assert "sim-30:" not in finished.stdout.split("comparing on")[0]  # not among the training corpora
    for word in ("Simulated data", "few-shot, new stimuli", "stimulus excluded", "null", "differs from the paper"):
        assert word in finished.stdout
    for row in record["results"].values():
        assert set(row) == {"pre-trained", "random weights", "DE"}
        assert all(scores["null"]["low"] <= scores["null"]["high"] for scores in row.values())


@pytest.mark.slow
@pytest.mark.parametrize(("number", "workers"), [(signal.SIGTERM, 2), (signal.SIGINT, 0)])
def test_a_run_that_is_told_to_stop_saves_its_last_step_first(run, tmp_path, number, workers):
    """The signal goes to every process of the group, as clusters and keyboards send it."""
    options = ("--num-workers", str(workers), "--set", "checkpoint_steps=1000", "--set", "steps=300")
    process = run("told", *options, wait=False, start_new_session=True)
    for line in process.stdout:
        if "step 10:" in line:
            break
    os.killpg(process.pid, number)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 128 + number, output
    stopped = newest_step(tmp_path / "told")
    assert 10 <= stopped < 300 and f"stopped by {number.name} after step {stopped}; go on with --resume" in output
    resumed = run("told", "--resume", *options[:4], "--set", "steps=300")
    assert resumed.returncode == 0 and f"resumed after step {stopped}" in resumed.stdout, resumed.stdout


@pytest.mark.slow
def test_processes_whose_launcher_was_killed_save_and_end(run, tmp_path):
    options = ("--set", "checkpoint_steps=1000", "--set", "steps=3000")
    process = run("orphans", *options, processes=2, wait=False)
    orphans = []
    while len(orphans) < 2 or not (tmp_path / "orphans" / "run.yaml").exists():
        assert process.poll() is None
        orphans = psutil.Process(process.pid).children(recursive=True)
        time.sleep(0.05)
    for line in process.stdout:
        if "step 10:" in line:
            break
    process.kill()
    process.wait()
    process.stdout.close()
    _, alive = psutil.wait_procs(orphans, timeout=30)
    assert not alive and newest_step(tmp_path / "orphans") >= 10


def test_a_first_checkpoint_comes_early_and_all_processes_agree(monkeypatch):
    clock = iter([0.0, 59.0, 61.0, 61.0, 400.0, 662.0])
    monkeypatch.setattr(stopping.time, "monotonic", lambda: next(clock))
    alone = SimpleNamespace(num_processes=1)
    requests = stopping.StopRequests()
    assert [requests.agreed(alone), requests.agreed(alone)] == [(0, False), (0, True)]
    requests.saved()
    assert [requests.agreed(alone), requests.agreed(alone)] == [(0, False), (0, True)]
    others = SimpleNamespace(
        num_processes=2, device="cpu", gather=lambda mine: torch.cat([mine, torch.tensor([int(signal.SIGTERM)])])
    )
    monkeypatch.setattr(stopping.time, "monotonic", lambda: 0.0)
    assert requests.agreed(others) == (signal.SIGTERM, False)


def test_what_may_be_broken_off_is_broken_off_at_once_and_the_rest_is_not():
    done, before = [], signal.getsignal(signal.SIGINT)
    with stopping.StopRequests() as requests:
        signal.raise_signal(signal.SIGTERM)
        done.append("a step")
        requests.signal = 0
        with requests.interruptible():
            signal.raise_signal(signal.SIGTERM)
            done.append("never")
        assert requests.signal == signal.SIGTERM
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert done == ["a step"] and signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_a_learning_rate_that_cannot_be_one_is_refused(rate):
    with pytest.raises(ConfigurationError, match="learning_rate must be a positive number"):
        RunConfig(learning_rate=rate)


def test_a_corpus_that_has_gone_is_named(prepared):
    folder = prepared("one")
    (trials,) = open_corpora([folder])
    copy = pickle.loads(pickle.dumps(trials))  # as a data worker gets it
    shutil.rmtree(folder)
    with pytest.raises(CorpusError, match="one: cannot be opened"):
        copy.signal(0)
