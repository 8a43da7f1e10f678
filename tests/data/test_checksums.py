"""Large corpora are compared with their checksums once, and again as soon as a file is another or was changed."""

import json
import os
import shutil

import numpy as np
import pytest

from mdjpt_hf.data import checksums
from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.data.storage import CORPUS_FILE, file_hash, write_json
from mdjpt_hf.data.validate import validate
from mdjpt_hf.errors import CorpusError


@pytest.fixture
def read(monkeypatch):
    """Names of the files that were read; every corpus is large, and no file too young to be remembered."""
    names = []
    monkeypatch.setattr(checksums, "REMEMBERED", 0)
    monkeypatch.setattr(checksums, "_SETTLED", 0)
    monkeypatch.setattr(checksums, "file_hash", lambda path: names.append(path.name) or file_hash(path))
    yield names
    checksums._hash_of.cache_clear()


def shards(folder):
    return sorted(folder.glob("*.arrow"))


def open_anew(folder):
    """As another process does, which has read nothing yet."""
    checksums._hash_of.cache_clear()
    return open_corpora([folder])


def flip(path, seconds=None):
    """Change a byte of the signals in its place; the time of the change may be said to be another."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2 // 4 * 4)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))
    if seconds is not None:
        os.utime(path, ns=(seconds, seconds))


def test_files_that_stay_as_they_are_are_read_once(prepared, read):
    folder = prepared()
    (first,) = open_corpora([folder])
    assert read == [path.name for path in shards(folder)]
    (again,) = open_anew(folder)
    assert len(read) == len(shards(folder))
    np.testing.assert_array_equal(again.signal(3), first.signal(3))


def test_a_change_is_noticed_whatever_its_time_says(prepared, read):
    folder = prepared()
    open_corpora([folder])
    path = shards(folder)[1]
    flip(path, path.stat().st_mtime_ns)
    with pytest.raises(CorpusError, match=f"{path.name}: .*changed"):
        open_corpora([folder])
    assert set(read[len(shards(folder)) :]) == {path.name}, "the others are as they were"


def test_another_folder_by_the_same_words_is_read_for_itself(prepared, read, tmp_path, monkeypatch):
    shutil.copytree(prepared(), tmp_path / "other" / "toy")
    damaged = shards(tmp_path / "other" / "toy")[0]
    flip(damaged, (tmp_path / "toy" / damaged.name).stat().st_mtime_ns)
    monkeypatch.chdir(tmp_path)
    open_corpora(["toy"])
    monkeypatch.chdir(tmp_path / "other")
    with pytest.raises(CorpusError, match="changed"):
        open_corpora(["toy"])


def test_a_copy_is_read_for_itself(prepared, read, tmp_path):
    folder = prepared()
    open_corpora([folder])
    copy = shutil.copytree(folder, tmp_path / "copy")
    flip(shards(copy)[0])
    with pytest.raises(CorpusError, match="changed"):
        open_corpora([copy])
    shutil.rmtree(folder)
    copy.rename(folder)  # in the place of the one that was whole
    with pytest.raises(CorpusError, match="changed"):
        open_corpora([folder])


def test_other_hashes_are_another_corpus(prepared, read):
    folder = prepared()
    open_corpora([folder])
    corpus = json.loads((folder / CORPUS_FILE).read_text())
    corpus["shards"][1]["sha256"] = "0" * 64
    write_json(folder / CORPUS_FILE, corpus)
    with pytest.raises(CorpusError, match="changed"):
        open_corpora([folder])


def test_a_corpus_with_nan_is_never_remembered(with_nan, read, cache):
    folder, _ = with_nan
    for _ in range(2):
        with pytest.raises(CorpusError, match="row 5 of the corpus holds NaN"):
            open_corpora([folder])
    assert not list(cache.rglob("whole-*"))


def test_small_corpora_and_young_files_are_read_each_time(prepared, read, cache, monkeypatch):
    folder = prepared()
    monkeypatch.setattr(checksums, "_SETTLED", 10**12)
    open_anew(folder)
    monkeypatch.setattr(checksums, "_SETTLED", 0)
    monkeypatch.setattr(checksums, "REMEMBERED", 10**9)
    open_anew(folder)
    assert len(read) == 2 * len(shards(folder)) and not list(cache.rglob("whole-*"))


@pytest.mark.parametrize("content", ["", "[]", "{", '{"data-00000-of-00004.arrow": 3}'])
def test_a_damaged_record_is_none(prepared, read, cache, content):
    folder = prepared()
    open_corpora([folder])
    (record,) = cache.rglob("whole-*")
    record.write_text(content)
    open_anew(folder)
    assert len(read) == 2 * len(shards(folder))


def test_where_nothing_can_be_remembered_it_opens_all_the_same(prepared, read, cache):
    cache.write_text("a file where a folder should be")
    folder = prepared()
    assert len(open_anew(folder)) == len(open_anew(folder)) == 1
    assert len(read) == 2 * len(shards(folder))


def test_validating_asks_no_memory(prepared, read):
    folder = prepared()
    open_corpora([folder])
    assert validate(folder).problems == []
    path = shards(folder)[2]
    flip(path)
    assert any(path.name in problem for problem in validate(folder).problems)
