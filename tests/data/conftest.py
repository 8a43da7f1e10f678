"""What the tests of data share."""

import json

import numpy as np
import pytest
from datasets import load_from_disk

from mdjpt_hf.data.storage import CORPUS_FILE, file_hash, write_json


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The cache of `datasets`, of every test its own."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path / "cache"


@pytest.fixture
def with_nan(prepared):
    """A folder whose row 5, of `s1`, was written with NaN: its hash is that of the file. And that file."""
    folder = prepared()
    path = sorted(folder.glob("*.arrow"))[1]
    content, signal = path.read_bytes(), load_from_disk(str(folder))[5]["signal"]
    place = content.index(np.asarray(signal, dtype=np.float32).tobytes()) + 400
    path.write_bytes(content[:place] + np.float32("nan").tobytes() + content[place + 4 :])
    corpus = json.loads((folder / CORPUS_FILE).read_text())
    corpus["shards"][1]["sha256"] = file_hash(path)
    write_json(folder / CORPUS_FILE, corpus)
    return folder, path
