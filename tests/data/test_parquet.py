"""Prepared folders as Parquet: the same rows, opened and streamed by plain `datasets`."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import concatenate_datasets, load_dataset, load_from_disk

from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.data.index import INDEX_FILE
from mdjpt_hf.data.parquet import write_parquet
from mdjpt_hf.data.prepare import prepare
from mdjpt_hf.data.storage import CORPUS_FILE, REPORT_FILE
from mdjpt_hf.errors import CorpusError
from mdjpt_hf.schema import TRIAL_FEATURES


def test_the_rows_are_the_same_and_stream(prepared, tmp_path):
    folder = prepared()
    out = write_parquet(folder, tmp_path / "parquet")
    wanted = load_from_disk(str(folder))
    found = load_dataset(str(out), split="train", cache_dir=tmp_path / "cache")
    assert found.features == TRIAL_FEATURES
    assert repr(found.to_list()) == repr(wanted.to_list())  # NaN is not equal to itself
    streamed = list(load_dataset(str(out), split="train", streaming=True, cache_dir=tmp_path / "cache"))
    assert len(streamed) == len(wanted)
    np.testing.assert_array_equal(streamed[-1]["signal"], wanted[-1]["signal"])
    files = sorted((out / "data").iterdir())
    assert len(files) == 12  # one per trial, since readers read ahead within a file
    assert all(pq.ParquetFile(file).num_row_groups == 1 for file in files)


def test_two_corpora_concatenate_without_casting(prepared, tmp_path):
    parts = [write_parquet(prepared(name), tmp_path / f"p-{name}") for name in ("one", "two")]
    sets = [load_dataset(str(part), split="train", cache_dir=tmp_path / "cache") for part in parts]
    assert set(concatenate_datasets(sets)["dataset"]) == {"one", "two"}


def test_changed_rows_are_never_read_from_a_cache(toy_corpus, tmp_path):
    seen = []
    for seed in (0, 1):
        prepare(toy_corpus(seed=seed), tmp_path / "toy", progress=False)
        out = write_parquet(tmp_path / "toy", tmp_path / f"parquet-{seed}")
        out = out.rename(tmp_path / "same-place")
        seen.append(load_dataset(str(out), split="train", cache_dir=tmp_path / "cache")[0]["signal"][:5])
        seen.append(load_from_disk(str(tmp_path / "toy"))[0]["signal"][:5])
        out.rename(tmp_path / f"old-{seed}")
    assert seen[0] == seen[1] and seen[2] == seen[3] and seen[0] != seen[2]


def test_a_corpus_of_one_shard_that_was_prepared_again_is_written_as_it_is_now(toy_corpus, tmp_path):
    written = []
    for seed in (0, 1):
        prepare(toy_corpus(seed=seed, shown={("s1", 1): ["a"]}), tmp_path / "toy", progress=False)
        (file,) = (write_parquet(tmp_path / "toy", tmp_path / f"parquet-{seed}") / "data").iterdir()
        written.append(pq.read_table(file).column("signal")[0].as_py()[:5])
    assert written[1] == load_from_disk(str(tmp_path / "toy"))[0]["signal"][:5] != written[0]


def test_a_folder_without_its_report_is_refused_by_name(prepared, tmp_path):
    folder = prepared()
    (folder / REPORT_FILE).unlink()
    with pytest.raises(CorpusError, match="is not a prepared corpus"):
        write_parquet(folder, tmp_path / "parquet")
    assert not (tmp_path / "parquet").exists()


def test_what_is_there_is_not_touched(prepared, tmp_path):
    with pytest.raises(CorpusError, match="not a prepared corpus"):
        write_parquet(tmp_path, tmp_path / "out")
    (tmp_path / "out").mkdir()
    with pytest.raises(CorpusError, match="exists already"):
        write_parquet(prepared(), tmp_path / "out")


def test_names_of_files_and_subjects_notes_stay_here(tmp_path, toy_corpus):
    class Named(toy_corpus):
        def options(self):
            return {**super().options(), "files": [["anna_mueller.edf", 1, 2]], "preprocessing": {"id": "none"}}

        def read_unit(self, unit, report):
            report.notes.append("anna_mueller.edf: renamed 3 channels")
            yield from super().read_unit(unit, report)

    prepare(Named(), tmp_path / "toy", progress=False)
    assert "anna" in (tmp_path / "toy" / "report.json").read_text()
    out = write_parquet(tmp_path / "toy", tmp_path / "parquet")
    files = [path for path in out.rglob("*") if path.is_file()]
    assert len(files) == 14 and not any(b"anna" in path.read_bytes() for path in files)
    assert json.loads((out / "corpus.json").read_text())["options"] == {"preprocessing": {"id": "none"}, "seed": 0}


def test_rows_of_other_columns_are_written_as_they_are_without_an_index(tmp_path):
    """What somebody put together by hand; what reads them as trials refuses them by name."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    signals = [np.full(4, number, dtype=np.float32) for number in range(3)]
    table = pa.table({"signal": pa.array(signals, pa.large_list(pa.float32())), "who": ["a", "b", "c"]})
    with pa.ipc.new_stream(folder / "s01.arrow", table.schema) as writer:
        writer.write_table(table)
    (folder / CORPUS_FILE).write_text(json.dumps({"shards": [{"file": "s01.arrow", "rows": 3}]}))
    (folder / REPORT_FILE).write_text("{}")
    out = write_parquet(folder, tmp_path / "parquet")
    assert not (out / INDEX_FILE).exists()
    assert pa.concat_tables(pq.read_table(file) for file in sorted(out.glob("data/*"))).equals(table)
    with pytest.raises(CorpusError):
        open_corpora([out])
