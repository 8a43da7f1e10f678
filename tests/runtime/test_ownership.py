"""Who writes a folder: one process at a time, however the one before ended."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from mdjpt_hf.data.parquet import write_parquet
from mdjpt_hf.data.prepare import prepare
from mdjpt_hf.errors import ConfigurationError, CorpusError
from mdjpt_hf.evaluation.run import Evaluation, evaluate
from mdjpt_hf.finetuning.train import FinetuneConfig, finetune
from mdjpt_hf.pretraining import _choose_output_dir, _give_back
from mdjpt_hf.runtime.ownership import InUseError, owned, owned_output, take
from mdjpt_hf.training.config import load_run_config

HOLD = """
import sys, time
from pathlib import Path
from mdjpt_hf.runtime.ownership import take
held = take(Path(sys.argv[1]), Path("demo"))
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture
def holder():
    """Starts another process that holds a lock until it is killed."""
    started = []

    def hold(file):
        process = subprocess.Popen([sys.executable, "-c", HOLD, str(file)], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield hold
    for process in started:
        process.kill()
        process.communicate()


def test_the_second_is_told_who_the_first_is_and_a_killed_one_holds_nothing(tmp_path, holder):
    process = holder(tmp_path / ".lock")
    with pytest.raises(InUseError, match=rf"demo: is in use by process {process.pid} on .* since 20"):
        take(tmp_path / ".lock", "demo")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with owned(tmp_path / ".lock", "demo"), pytest.raises(InUseError), owned(tmp_path / ".lock", "demo"):
        pass
    with owned(tmp_path / ".lock", "demo"):  # given back
        pass


def test_one_that_is_about_to_end_is_waited_for(tmp_path, holder, capfd):
    process = holder(tmp_path / ".lock")
    process.send_signal(signal.SIGTERM)
    with owned(tmp_path / ".lock", "demo", wait=20.0):
        pass
    started = time.monotonic()
    process = holder(tmp_path / ".lock")
    with pytest.raises(InUseError), owned(tmp_path / ".lock", "demo", wait=2.5):
        pass
    assert time.monotonic() - started > 2.5 and f"in use by process {process.pid}" in capfd.readouterr().err


def test_a_run_takes_the_next_number_and_a_named_or_resumed_one_is_refused(tmp_path, holder, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mdjpt_hf.pretraining._ENDING", 0.1)
    (tmp_path / "outputs" / "demo").mkdir(parents=True)
    process = holder(tmp_path / "outputs" / "demo" / ".lock")
    config = load_run_config("demo")
    try:
        assert _choose_output_dir(config, False) == "outputs/demo-2"
        assert _choose_output_dir(config, False) == "outputs/demo-3"  # the same process twice
        named = load_run_config("demo", output_dir="outputs/demo")
        for resume in (False, True):
            assert f"in use by process {process.pid}" in str(_choose_output_dir(named, resume))
    finally:
        for name in ("demo-2", "demo-3"):
            _give_back(tmp_path.joinpath("outputs", name).relative_to(tmp_path))


def test_a_corpus_is_prepared_by_one_at_a_time(tmp_path, holder, toy_corpus):
    holder(tmp_path / ".toy.lock")
    with pytest.raises(InUseError, match="toy: is in use by process"):
        prepare(toy_corpus(), tmp_path / "toy", progress=False)
    assert not (tmp_path / "toy").exists()


WRITERS = {
    "finetune": lambda out, corpus: finetune(FinetuneConfig(model="no-model", data=("none",), output_dir=str(out))),
    "evaluate": lambda out, corpus: evaluate(Evaluation(("de",), (str(corpus),), ("zero-shot",), out)),
    "parquet": lambda out, corpus: write_parquet(corpus, out),
}


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
def test_results_are_written_by_one_at_a_time(tmp_path, holder, prepared, writer):
    corpus = prepared()
    process = holder(tmp_path / ".out.lock")
    (tmp_path / "elsewhere").mkdir()
    for out in (tmp_path / "out", tmp_path / "elsewhere" / ".." / "out"):  # however it is named
        with pytest.raises(InUseError, match=f"out: is in use by process {process.pid}"):
            writer(out, corpus)
    assert not (tmp_path / "out").exists()


def test_the_next_one_may_write_once_the_first_is_through(tmp_path, prepared):
    corpus = prepared()
    for name in ("one", "two"):
        assert write_parquet(corpus, tmp_path / name).is_dir()
    with pytest.raises(CorpusError, match="exists already"):
        write_parquet(corpus, tmp_path / "one")


def test_a_lock_that_is_removed_never_has_two_owners(tmp_path):
    inside, most, turns = [], [], []

    def write():
        while len(turns) < 60:
            with contextlib.suppress(InUseError), owned_output(tmp_path / "out"):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.001)
                turns.append(inside.pop())

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(write) for _ in range(4)]:
            done.result()
    assert max(most) == 1 and list(tmp_path.iterdir()) == []


def test_a_place_where_nothing_can_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ConfigurationError, match="out: cannot be written"), owned_output(tmp_path / "file" / "out"):
        pass
