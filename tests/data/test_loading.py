"""One call for any corpus: rows of the schema, what is known of them, prepared once."""

from pathlib import Path

import pytest
from datasets import Dataset, IterableDataset

from mdjpt_hf.data import corpus_metadata, load_corpus
from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.data.parquet import write_parquet
from mdjpt_hf.errors import ConfigurationError, CorpusError
from mdjpt_hf.schema import TRIAL_FEATURES

SMALL = {"corpora": ["sim-14"], "subjects": 2, "stimuli": 2, "trial_seconds": 6}


def test_a_corpus_by_name_is_prepared_once_and_tells_what_it_is(cache):
    loaded = load_corpus("simulated", **SMALL)
    assert isinstance(loaded, Dataset) and loaded.features == TRIAL_FEATURES and len(loaded) == 4
    facts = corpus_metadata(loaded)
    assert facts["facts"][0]["name"] == "sim-14" and facts["options"]["preprocessing"]["id"] == "basic-1"
    assert "CC0" in loaded.info.license
    (file,) = {Path(entry["filename"]).parent for entry in loaded.cache_files}
    before = file.stat().st_mtime_ns
    again = load_corpus("simulated", **SMALL)
    assert file.stat().st_mtime_ns == before and again[0]["subject"] == loaded[0]["subject"]
    other = load_corpus("simulated", preprocessing="none", **SMALL)
    assert other[0]["preprocessing"] == "none-1" and loaded[0]["preprocessing"] == "basic-1"
    assert [trials.name for trials in open_corpora([loaded])] == ["sim-14"]


def test_folders_of_both_kinds(prepared, tmp_path):
    folder = prepared()
    parquet = write_parquet(folder, tmp_path / "parquet")
    for source in (folder, str(folder), parquet):
        loaded = load_corpus(source)
        assert loaded.features == TRIAL_FEATURES and len(loaded) == 12
        assert corpus_metadata(loaded)["facts"][0]["label_names"] == ["a", "b"]


def test_a_folder_of_several_is_one_dataset(prepared, tmp_path):
    prepared("one"), prepared("two")
    assert set(load_corpus(tmp_path)["dataset"]) == {"one", "two"}
    (tmp_path / "two").rename(tmp_path / ".two.old")  # of a preparation that did not finish
    assert set(load_corpus(tmp_path)["dataset"]) == {"one"}


def test_streams_have_the_same_rows_in_the_same_order(prepared):
    folder = prepared()
    stream = load_corpus(folder, streaming=True)
    assert isinstance(stream, IterableDataset) and stream.features == TRIAL_FEATURES
    rows = [(row["subject"], row["trial"]) for row in stream]
    assert rows == [(row["subject"], row["trial"]) for row in load_corpus(folder)]
    assert corpus_metadata(stream)["facts"][0]["name"] == "toy"


def test_what_makes_no_sense_is_refused_in_words(prepared, tmp_path):
    with pytest.raises(ConfigurationError, match="no use for .*colour.*seed"):
        load_corpus("simulated", colour=1)
    with pytest.raises(ConfigurationError, match="deap needs source"):
        load_corpus("deap")
    with pytest.raises(ConfigurationError, match="prepared already"):
        load_corpus(prepared(), source=tmp_path)
    with pytest.raises(CorpusError, match="neither a corpus that can be prepared"):
        load_corpus("dreamr")
