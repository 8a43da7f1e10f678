"""Preparing corpora: the same bytes whatever happens on the way, and nothing half-written."""

import errno
import hashlib
import importlib
import inspect
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from datasets import concatenate_datasets, load_from_disk

from mdjpt_hf.data import prepare as prepare_module
from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.data.prepare import prepare
from mdjpt_hf.data_scripts.base import CorpusBuilder
from mdjpt_hf.data_scripts.simulated import SimulatedCorpora
from mdjpt_hf.errors import CorpusError, SchemaError
from mdjpt_hf.schema import TRIAL_FEATURES, trial_signal

TINY = {"corpora": ["sim-30", "sim-14"], "subjects": 2, "stimuli": 3, "trial_seconds": 6.0}


def folder_hash(folder: Path) -> str:
    parts = [(path.name, path.read_bytes()) for path in sorted(folder.iterdir())]
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def test_a_prepared_folder_opens_with_plain_datasets(prepared, toy_corpus):
    dataset = load_from_disk(str(prepared()))
    assert dataset.features == TRIAL_FEATURES
    assert len(dataset) == 12
    expected = toy_corpus().trial("s1", 1, 2, "clip2").signal
    row = next(row for row in dataset if (row["subject"], row["stimulus"]) == ("s1", "clip2"))
    np.testing.assert_array_equal(trial_signal(row), expected)


def test_two_corpora_concatenate_without_casting(prepared):
    first, second = (load_from_disk(str(prepared(name))) for name in ("one", "two"))
    assert set(concatenate_datasets([first, second])["dataset"]) == {"one", "two"}


def test_the_same_seed_gives_the_same_bytes_on_one_and_on_two_processes(tmp_path):
    alone = prepare(SimulatedCorpora(seed=3, **TINY), tmp_path / "alone", workers=1, progress=False)
    together = prepare(SimulatedCorpora(seed=3, **TINY), tmp_path / "together", workers=2, progress=False)
    assert folder_hash(alone.folder) == folder_hash(together.folder)
    other = prepare(SimulatedCorpora(seed=4, **TINY), tmp_path / "other", workers=1, progress=False)
    assert folder_hash(other.folder) != folder_hash(alone.folder)


def test_unchanged_options_are_left_alone_and_changed_ones_rebuilt(tmp_path, toy_corpus):
    out = tmp_path / "toy"
    assert prepare(toy_corpus(), out, progress=False).built
    before = folder_hash(out)
    assert not prepare(toy_corpus(), out, progress=False).built
    assert folder_hash(out) == before
    assert prepare(toy_corpus(seed=1), out, progress=False).built
    assert folder_hash(out) != before


def test_a_foreign_folder_is_refused_and_untouched(tmp_path, toy_corpus):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(CorpusError, match="not a prepared corpus"):
        prepare(toy_corpus(), tmp_path / "mine", progress=False)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_after_an_error_finished_units_are_kept_and_not_read_again(tmp_path, toy_corpus, monkeypatch):
    whole = prepare(toy_corpus(), tmp_path / "whole", progress=False).folder
    reads = []

    class Failing(toy_corpus):
        broken = True

        def read_unit(self, unit, report):
            reads.append(unit)
            for trial in super().read_unit(unit, report):
                if self.broken and unit == "s2" and trial.stimulus == "clip3":
                    trial.signal[0, 0] = np.nan
                yield trial

    with pytest.raises(SchemaError, match="subject s2"):
        prepare(Failing(), tmp_path / "toy", progress=False)
    assert not (tmp_path / "toy").exists()
    Failing.broken = False
    prepare(Failing(), tmp_path / "toy", progress=False)
    assert reads == ["s0", "s1", "s2", "s2"]
    assert folder_hash(tmp_path / "toy") == folder_hash(whole)


def test_skipping_leaves_out_bad_units_and_lists_them(tmp_path, toy_corpus):
    broken = BrokenCorpus(toy_corpus(), "s1")
    prepared = prepare(broken, tmp_path / "toy", progress=False, skip_bad=True)
    assert list(prepared.report["skipped"]) == ["s1"]
    assert "s1.mat" in prepared.report["skipped"]["s1"]
    assert set(load_from_disk(str(tmp_path / "toy"))["subject"]) == {"s0", "s2"}
    assert open_corpora([tmp_path / "toy"])[0].subject.tolist().count("s1") == 0
    assert not prepare(broken, tmp_path / "toy", progress=False, skip_bad=True).built
    with pytest.raises(CorpusError, match="s1.mat"):  # without the option it is not passed over in silence
        prepare(broken, tmp_path / "toy", progress=False)
    assert set(load_from_disk(str(tmp_path / "toy"))["subject"]) == {"s0", "s2"}


class BrokenCorpus(CorpusBuilder):
    """Another corpus, one of whose units cannot be read after its first trial."""

    def __init__(self, corpus, broken):
        super().__init__()
        self.corpus, self.broken = corpus, broken

    facts = property(lambda self: self.corpus.facts)

    def units(self):
        return self.corpus.units()

    def options(self):
        return self.corpus.options()

    def read_unit(self, unit, report):
        for trial in self.corpus.read_unit(unit, report):
            yield trial
            if unit == self.broken:
                raise CorpusError("is truncated", path=f"{unit}.mat", remedy="Fetch it again")


def test_a_full_disk_keeps_what_is_finished(tmp_path, toy_corpus, monkeypatch):
    whole = prepare(toy_corpus(), tmp_path / "whole", progress=False).folder
    write, calls = prepare_module.write_shard, []

    def fill_up(path, trials):
        calls.append(path)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, trials)

    monkeypatch.setattr(prepare_module, "write_shard", fill_up)
    with pytest.raises(CorpusError, match=r"disk is full at unit 's1'.*Free some space"):
        prepare(toy_corpus(), tmp_path / "toy", progress=False, skip_bad=True)  # not the source's fault: never skipped
    prepare(toy_corpus(), tmp_path / "toy", progress=False)
    assert len(calls) == 4  # the first unit was not read again
    assert folder_hash(tmp_path / "toy") == folder_hash(whole)


@pytest.mark.slow
def test_a_killed_preparation_goes_on_and_gives_the_same_bytes(tmp_path):
    arguments = ["data", "prepare", "simulated", "--only", "sim-14", "--seed", "5"]
    command = [sys.executable, "-m", "mdjpt_hf", *arguments, "--out"]
    subprocess.run([*command, str(tmp_path / "whole")], check=True, capture_output=True)
    process = subprocess.Popen([*command, str(tmp_path / "killed")], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while not list(tmp_path.glob(".killed.*.staging/unit-00002.json")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "killed").exists()
    subprocess.run([*command, str(tmp_path / "killed")], check=True, capture_output=True)
    assert folder_hash(tmp_path / "killed") == folder_hash(tmp_path / "whole")


def test_the_report_counts_and_the_metadata_scale(prepared, toy_corpus):
    folder = prepared()
    report = json.loads((folder / "report.json").read_text())
    assert report["datasets"] == {"toy": {"subjects": 3, "trials": 12, "minutes": 2.4}}
    assert report["units"][0] == {"unit": "s0", "notes": ["read"], "rejected": []}
    corpus = json.loads((folder / "corpus.json").read_text())
    own = np.concatenate([toy_corpus().trial("s0", 1, n, f"clip{n}").signal.ravel() for n in range(4)])
    assert corpus["recordings"][0]["std"] == pytest.approx(own.std(), rel=1e-4)
    for shard in corpus["shards"]:
        assert hashlib.sha256((folder / shard["file"]).read_bytes()).hexdigest() == shard["sha256"]


def test_memory_of_writing_does_not_grow_with_the_number_of_trials(prepared):
    """A record batch holds one trial, so that reading one never loads another."""
    dataset = load_from_disk(str(prepared()))
    assert all(len(chunk) == 1 for chunk in dataset.data.column("signal").chunks)


def test_a_corpus_without_any_trial_is_refused(tmp_path, toy_corpus):
    class Empty(toy_corpus):
        def read_unit(self, unit, report):
            report.rejected.append("too short")
            return iter(())

    with pytest.raises(CorpusError, match="no usable trial.* left out: too short"):
        prepare(Empty(), tmp_path / "toy", progress=False)


def test_a_recording_in_several_stretches_is_scaled_as_a_whole(tmp_path, toy_corpus):
    class Interleaved(toy_corpus):
        def read_unit(self, unit, report):
            for session, position in ((1, 0), (2, 0), (1, 1)):
                trial = self.trial(unit, session, position, f"clip{position}")
                trial.signal *= 1 + position
                yield trial

    folder = prepare(Interleaved(), tmp_path / "toy", progress=False).folder
    (trials,) = open_corpora([folder])
    first = np.concatenate([trials.signal(0).ravel(), trials.signal(2).ravel()])
    np.testing.assert_allclose(trials.scales[[0, 2], 1], first.std(dtype=np.float64), rtol=1e-6)


MORTAL = '''
import os
import signal
from data_of_toys import ToyCorpus


class Mortal(ToyCorpus):
    """Reading one of its subjects ends the process that does it."""

    def read_unit(self, unit, report):
        if unit == "s1":
            signal.raise_signal(signal.SIGKILL)
        yield from super().read_unit(unit, report)
'''


@pytest.fixture
def mortal(tmp_path, monkeypatch, toy_corpus):
    """A corpus in modules of their own, which worker processes can import."""
    conftest = Path(inspect.getfile(toy_corpus))
    (tmp_path / "data_of_toys.py").write_text(conftest.read_text())
    (tmp_path / "data_of_mortals.py").write_text(MORTAL)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("data_of_mortals").Mortal
    for name in ("data_of_toys", "data_of_mortals"):
        sys.modules.pop(name, None)


def test_a_worker_that_dies_is_one_unit_that_was_skipped(tmp_path, mortal):
    shown = {(f"s{number}", 1): ["clip0"] for number in range(4)}
    with pytest.raises(CorpusError, match="read unit 's1' died"):
        prepare(mortal(shown=shown), tmp_path / "toy", workers=2, progress=False)
    prepared = prepare(mortal(shown=shown), tmp_path / "toy", workers=2, progress=False, skip_bad=True)
    assert list(prepared.report["skipped"]) == ["s1"] and "died" in prepared.report["skipped"]["s1"]
    assert set(load_from_disk(str(tmp_path / "toy"))["subject"]) == {"s0", "s2", "s3"}


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EIO])
def test_a_disk_that_cannot_be_written_is_an_error_of_ours(tmp_path, toy_corpus, monkeypatch, number):
    def refuse(path, trials):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(prepare_module, "write_shard", refuse)
    with pytest.raises(CorpusError, match=r"toy: cannot be written .*choose another --out"):
        prepare(toy_corpus(), tmp_path / "toy", progress=False, skip_bad=True)
