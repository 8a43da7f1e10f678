"""What preparing and opening hold grows with what is known of people, not with their signals or their files."""

import gc
import json
import tracemalloc

import numpy as np
import pyarrow as pa
import pytest

from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.data.mapped import mapped
from mdjpt_hf.data.parquet import write_parquet
from mdjpt_hf.data.prepare import prepare
from mdjpt_hf.data.rows import GatheredRows
from mdjpt_hf.errors import CorpusError

FEW, MANY = 8, 32
SIGNALS = 2 * 9 * 1500 * 4  # bytes of one of these people


def people(number):
    return {(f"s{person:02d}", 1): ["a", "b"] for person in range(number)}


def peak(call) -> int:
    """Bytes that Python and NumPy held at most, beyond what they held before."""
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        call()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("step", ["prepare", "write as Parquet", "open"])
def test_a_further_person_adds_a_fraction_of_their_signal(toy_corpus, tmp_path, step):
    def run(number):
        folder = tmp_path / f"{step}-{number}"
        if step == "prepare":
            return peak(lambda: prepare(toy_corpus(shown=people(number)), folder, progress=False))
        prepare(toy_corpus(shown=people(number)), folder, progress=False)
        if step == "open":
            return peak(lambda: open_corpora([folder]))
        return peak(lambda: write_parquet(folder, tmp_path / f"parquet-{number}"))

    run(FEW)  # what is loaded and kept once
    few, many = run(FEW + 1), run(MANY)
    assert (many - few) / (MANY - FEW - 1) < SIGNALS / 8


def test_rows_of_many_files_are_one_piece(toy_corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(GatheredRows, "together", 5)
    folder = prepare(toy_corpus(shown=people(13)), tmp_path / "toy", progress=False).folder
    table, signals = mapped(folder, ["subject", "n_samples"])
    assert [column.num_chunks for column in table.columns] == [1, 1]
    assert table.column("subject").to_pylist() == [f"s{person:02d}" for person in range(13) for _ in range(2)]
    (trials,) = open_corpora([folder])
    assert all(np.array_equal(signals.view(row, 9), trials.signal(row)) for row in range(26))


def test_a_folder_that_names_no_files_is_refused(toy_corpus, tmp_path):
    folder = prepare(toy_corpus(shown=people(2)), tmp_path / "toy", progress=False).folder
    state = json.loads((folder / "state.json").read_text())
    (folder / "state.json").write_text(json.dumps(state | {"_data_files": []}))
    with pytest.raises(CorpusError, match="cannot be opened: it names no files of rows"):
        open_corpora([folder])


def test_nothing_gathered_but_empty_pieces_is_an_empty_table():
    gathered = GatheredRows()
    gathered.add(pa.table({"x": pa.array([], pa.int64())}))
    assert len(gathered.table()) == 0
