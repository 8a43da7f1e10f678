"""A corpus is known again under another name, by its trials."""

import numpy as np
import pytest
from datasets import Dataset

from mdjpt_hf import load_corpus
from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.data.overlap import check_no_copies, known_by
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
    assert mine == theirs and len(mine) == len(rows)


def test_a_part_is_known_by_some_of_it_and_another_corpus_by_nothing(rows, prepared):
    mine, part, other = hashes(rows, named(rows.select([7, 2]), "part"), prepared("other"))
    assert part < mine and not other & mine


def test_of_many_trials_the_smallest_hashes_are_kept(rows, monkeypatch):
    monkeypatch.setattr("mdjpt_hf.data.overlap._KNOWN", {})
    (all_of_them,) = hashes(rows)
    monkeypatch.setattr("mdjpt_hf.data.overlap._KNOWN", {})
    monkeypatch.setattr("mdjpt_hf.data.overlap._KNOWN_BY", 5)
    few, few_of_the_copy = hashes(rows, named(rows.shuffle(3), "theirs"))
    assert few == few_of_the_copy == set(sorted(all_of_them)[:5])


def test_of_a_large_corpus_a_trial_of_each_recording_is_looked_at(rows, monkeypatch):
    monkeypatch.setattr("mdjpt_hf.data.overlap._KNOWN", {})
    (all_of_them,) = hashes(rows)
    monkeypatch.setattr("mdjpt_hf.data.overlap._KNOWN", {})
    monkeypatch.setattr("mdjpt_hf.data.overlap._FEW", 11)
    large, first = hashes(rows, named(rows.filter(lambda row: row["trial"] == 0), "first"))
    assert large == first < all_of_them and len(first) == len(set(rows["subject"]))


def test_trials_in_which_nothing_varies_tell_nothing(rows):
    def flat(row):
        signal = np.array(row["signal"], np.float32)
        signal[: row["n_samples"]] = 0  # its first channel
        return {**row, "signal": signal}

    (mine,) = hashes(rows.map(flat, features=rows.features))
    assert not mine


def test_of_streams_nothing_is_read(prepared, tmp_path):
    write_parquet(prepared("mine"), tmp_path / "parquet")
    (trials,) = open_corpora([f"stream:{tmp_path / 'parquet'}"])
    assert known_by(trials) == ""
    check_no_copies([trials, trials])


def test_one_corpus_under_two_names_is_no_data_to_train_on(rows, tmp_path):
    config = RunConfig(data=(rows, named(rows.select([1, 5]), "theirs")), output_dir=str(tmp_path / "run"))
    with pytest.raises(CorpusError, match="mine and theirs hold the same recordings: they would count twice"):
        pretrain(config)
    assert not (tmp_path / "run" / "model.safetensors").exists()
