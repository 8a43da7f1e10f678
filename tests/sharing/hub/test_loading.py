"""A corpus of the Hub is opened by its name: downloaded once, or streamed a trial at a time."""

import numpy as np
import pytest
from datasets import load_from_disk

from mdjpt_hf.data import corpus_metadata, load_corpus
from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.errors import CorpusError
from mdjpt_hf.schema import TRIAL_FEATURES
from mdjpt_hf.sharing.hub import push_corpus

NAME = "user/corpus"


@pytest.fixture
def pushed(hub, prepared, tmp_path, monkeypatch):
    """A prepared folder that is on the Hub as well, and caches of its own."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    folder = prepared()
    push_corpus(folder, NAME)
    return folder


def test_it_opens_by_name_and_is_downloaded_once(hub, pushed):
    (wanted,), (found,) = open_corpora([pushed]), open_corpora([NAME])
    assert (found.name, found.label_names, found.fingerprint) == ("toy", ("a", "b"), wanted.fingerprint)
    np.testing.assert_array_equal(found.scales, wanted.scales)
    downloads = sum(call.count("resolve") for call in map(str, hub.calls))
    loaded = load_corpus(NAME)
    assert loaded.features == TRIAL_FEATURES and corpus_metadata(loaded)["facts"][0]["title"] == "toy corpus"
    assert repr(loaded.to_list()) == repr(load_from_disk(str(pushed)).to_list())
    assert sum(call.count("resolve") for call in map(str, hub.calls)) == downloads


def test_another_revision_is_another_corpus(hub, pushed, prepared):
    first = hub.repo(NAME, "dataset").at("main").sha
    push_corpus(prepared("two", shown={("s1", 1): ["a", "b"]}), NAME)
    assert [trials.name for trials in open_corpora([NAME])] == ["two"]
    assert [trials.name for trials in open_corpora([f"{NAME}@{first}"])] == ["toy"]


def test_a_stream_reads_what_it_is_asked_for(hub, pushed):
    stream = load_corpus(NAME, streaming=True)
    assert stream.features == TRIAL_FEATURES and corpus_metadata(stream)["facts"][0]["name"] == "toy"
    before = len(hub.calls)
    first = next(iter(stream))
    read = [call for call in map(str, hub.calls[before:]) if ".parquet" in call]
    assert read and all("train-00000-of-00012" in call for call in read)
    wanted = load_from_disk(str(pushed))
    np.testing.assert_array_equal(first["signal"], wanted[0]["signal"])
    assert [row["stimulus"] for row in stream] == wanted["stimulus"][:]


def test_what_the_hub_does_not_have_is_told(hub, pushed):
    for name in ("user/nothing", f"{NAME}@no-such-tag"):
        with pytest.raises(CorpusError, match="neither a folder here nor a dataset that the Hub gives"):
            open_corpora([name])
    with pytest.raises(CorpusError, match="no such dataset|no Parquet"):
        load_corpus("user/nothing", streaming=True)


def test_a_broken_download_is_told_and_the_next_try_goes_on(hub, pushed):
    hub.fault("resolve", "reset", path="train-00003")
    with pytest.raises(CorpusError, match="Hub gives"):
        open_corpora([NAME])
    assert [trials.name for trials in open_corpora([NAME])] == ["toy"]


def test_a_corpus_of_the_hub_is_trained_on_where_it_is(hub, pushed, prepared):
    (wanted,), (found,) = open_corpora([pushed]), open_corpora([f"stream:{NAME}"])
    shards = [call for call in map(str, hub.calls) if ".parquet" in call and "resolve" in call]
    assert not shards and found.fingerprint == wanted.fingerprint
    np.testing.assert_array_equal(found.signal(4), wanted.signal(4))
    np.testing.assert_array_equal(found.window(4, 10, 500), wanted.window(4, 10, 500))
    shards = [call for call in map(str, hub.calls) if ".parquet" in call and "resolve" in call]
    assert shards and all("train-00004" in call for call in shards)
    first = hub.repo(NAME, "dataset").at("main").sha
    push_corpus(prepared("two", shown={("s1", 1): ["a", "b"]}), NAME)
    np.testing.assert_array_equal(found.signal(5), wanted.signal(5))  # of the commit it was opened at
    assert [trials.name for trials in open_corpora([f"stream:{NAME}"])] == ["two"]
    assert [trials.name for trials in open_corpora([f"stream:{NAME}@{first}"])] == ["toy"]
    with pytest.raises(CorpusError, match="neither a folder here nor a dataset that the Hub gives"):
        open_corpora(["stream:user/nothing"])
