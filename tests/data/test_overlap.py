"""A corpus is known again under another name, by its trials."""

import numpy as np
import pytest
from datasets import Dataset

from mdjpt_hf import load_corpus
from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.data.overlap import check_no_copies, known_by, recordings_in_common
from mdjpt_hf.data.parquet import write_parquet
from mdjpt_hf.errors import CorpusError
from mdjpt_hf.pretraining import pretrain
from mdjpt_hf.training.config import RunConfig


@pytest.fixture
def rows(prepared) -> Dataset:
    return load_corpus(str(prepared("mine")))


def named(rows: Dataset, name: str) -> Dataset:
    return rows.map(lambda row: {**row, "dataset": name}, features=rows.features)


def hashes(*sources) -> list[set[str]]:
    return [set(known_by(trials).split()) for trials in open_corpora(list(sources))]


def test_a_copy_is_known_by_the_same(rows):
    mine, theirs = hashes(rows, named(rows, "theirs"))
    assert len(theirs) == len(rows) and theirs < mine, "mine also by the scales that stand beside its rows"


def test_a_part_is_known_by_some_of_it_and_another_corpus_by_nothing(rows, prepared):
    mine, part, other = hashes(rows, named(rows.select([7, 2]), "part"), prepared("other"))
    assert part < mine and not other & mine


def test_a_person_of_many_is_known_again(prepared, monkeypatch):
    """However many others there are, and though a few trials of each go on record."""
    monkeypatch.setattr("mdjpt_hf.data.overlap._TRIALS", 1)
    clips = [f"clip{number}" for number in range(6)]
    many = load_corpus(str(prepared("mine", shown={(f"s{person:02d}", 1): clips for person in range(40)}, seconds=2.0)))
    for person in ("s03", "s39"):
        one = named(many.filter(lambda row, person=person: row["subject"] == person), person)
        mine, theirs = hashes(many, one)
        assert mine & theirs


def test_of_a_large_corpus_with_scales_no_signal_is_read(prepared, monkeypatch):
    folder = prepared("mine")
    (few,) = hashes(folder)
    monkeypatch.setattr("mdjpt_hf.data.overlap._KNOWN", {})
    monkeypatch.setattr("mdjpt_hf.data.overlap._FEW", 11)
    monkeypatch.setattr("mdjpt_hf.data.overlap._piece", lambda trials, index: pytest.fail("a signal is read"))
    (large,) = hashes(folder)
    assert large < few and len(large) == 3


def test_of_a_large_corpus_without_scales_a_trial_of_each_recording_is_looked_at(rows, monkeypatch):
    monkeypatch.setattr("mdjpt_hf.data.overlap._FEW", 11)
    (large,) = hashes(named(rows, "theirs"))
    assert len(large) == 3


@pytest.mark.parametrize("wave", [np.zeros_like, np.sign, lambda signal: signal.clip(-1, 1)])
def test_trials_in_which_little_varies_tell_nothing(rows, wave):
    """What is off, a calibration, a converter at its limits: the same in anybody's recordings."""

    def changed(row):
        signal = np.array(row["signal"], np.float32)
        signal[: row["n_samples"]] = wave(signal[: row["n_samples"]])  # its first channel
        return {**row, "dataset": "theirs", "signal": signal}

    (theirs,) = hashes(rows.map(changed, features=rows.features))
    assert not theirs


def test_of_streams_no_signal_is_read(prepared, tmp_path, monkeypatch):
    folder = prepared("mine")
    assert known_by(open_corpora([folder])[0])
    write_parquet(folder, tmp_path / "parquet")
    (trials,) = open_corpora([f"stream:{tmp_path / 'parquet'}"])
    monkeypatch.setattr(type(trials), "signal", lambda self, index: pytest.fail("a signal is read"))
    here, there = open_corpora([folder])[0], trials
    assert set(known_by(there).split()) < set(known_by(here).split()), "by its scales"
    with pytest.raises(CorpusError, match="hold the same recordings"):
        check_no_copies([trials, trials])
    assert recordings_in_common(trials, trials) == 3


def test_one_corpus_under_two_names_is_no_data_to_train_on(rows, tmp_path):
    config = RunConfig(data=(rows, named(rows.select([1, 5]), "theirs")), output_dir=str(tmp_path / "run"))
    with pytest.raises(CorpusError, match="mine and theirs hold the same recordings: they would count twice"):
        pretrain(config)
    assert not (tmp_path / "run" / "model.safetensors").exists()
