"""Corpora that stay where they are: the same trials, bit for bit, out of Parquet files, read as they are needed."""

import json
import os
import pickle
import shutil
from dataclasses import replace

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, load_from_disk

from mdjpt_hf.data import corpus_metadata, load_corpus, ranged
from mdjpt_hf.data.batches import PretrainingSteps
from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.data.facts import dataset_facts
from mdjpt_hf.data.index import INDEX_FILE, read_index
from mdjpt_hf.data.pairs import PairSampler
from mdjpt_hf.data.parquet import _hashes, _write_file, write_parquet
from mdjpt_hf.data.ranged import Files, KeptGroups
from mdjpt_hf.data.sources import as_sources, holds_corpus, prepared_folder
from mdjpt_hf.data.storage import CORPUS_FILE
from mdjpt_hf.errors import CorpusError, UnitError
from mdjpt_hf.evaluation.run import Evaluation, evaluate
from mdjpt_hf.evaluation.scores import Effort
from mdjpt_hf.modeling.montage_mdjpt import STANDARD_CHANNELS
from mdjpt_hf.schema import TRIAL_FEATURES
from mdjpt_hf.training.config import RunConfig


@pytest.fixture(autouse=True)
def caches(cache, monkeypatch):
    monkeypatch.setattr(ranged, "_KEPT", KeptGroups())
    monkeypatch.setattr(ranged, "PAUSES", (0.0, 0.0))
    return cache


@pytest.fixture
def parquet(prepared, tmp_path):
    return write_parquet(prepared(), tmp_path / "parquet")


COLUMNS = ("subject", "session", "trial", "stimulus", "label", "emotion", "valence_class", "n_samples", "scales")


def same(found, wanted):
    told = (found.name, found.label_names, found.ch_names, found.sampling_rate, found.fingerprint)
    assert told == (wanted.name, wanted.label_names, wanted.ch_names, wanted.sampling_rate, wanted.fingerprint)
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))
    np.testing.assert_array_equal(found.ratings, wanted.ratings)
    for index in np.random.default_rng(0).permutation(len(wanted)).tolist():
        np.testing.assert_array_equal(found.signal(index), wanted.signal(index))
        assert found.window(index, 100, 500).tobytes() == wanted.window(index, 100, 500).tobytes()


def test_streamed_trials_are_those_of_the_prepared_folder(parquet, tmp_path, caches):
    (wanted,) = open_corpora([tmp_path / "toy"])
    (found,) = open_corpora([f"stream:{parquet}"])
    same(found, wanted)
    same(found.select(wanted.label == 1), wanted.select(wanted.label == 1))
    same(pickle.loads(pickle.dumps(found)), wanted)  # as a data worker gets it
    assert dataset_facts(found) == dataset_facts(wanted)
    assert sum(path.stat().st_size for path in caches.rglob("*") if path.is_file()) < 20_000  # no signal lies there
    assert prepared_folder(f"stream:{tmp_path / 'toy'}") == tmp_path / "toy"  # memory-mapped as it is


def test_every_process_draws_the_same_batches_as_from_the_prepared_folder(parquet, tmp_path):
    sets = [open_corpora([source])[0] for source in (tmp_path / "toy", f"stream:{parquet}")]
    for rank in range(2):
        mapped, streamed = (
            PretrainingSteps([PairSampler(trials, 625, viewers=3)], 6, 3, 7, 2, rank=rank, world_size=2)
            for trials in sets
        )
        for step in (0, 5, 2):
            for name, values in mapped[step].items():
                assert values.equal(streamed[step][name])


def test_an_index_is_made_where_there_is_none_or_one_of_other_files(parquet, tmp_path, caplog):
    (wanted,) = open_corpora([f"stream:{parquet}"])
    (parquet / INDEX_FILE).unlink()
    (found,) = open_corpora([f"stream:{parquet}"])
    assert found.folder != wanted.folder and found.fingerprint != wanted.fingerprint
    np.testing.assert_array_equal(found.signal(5), wanted.signal(5))
    again = shutil.copytree(parquet, tmp_path / "again")
    assert open_corpora([f"stream:{again}"])[0].fingerprint == found.fingerprint
    fewer = write_parquet(tmp_path / "toy", tmp_path / "fewer")
    sorted((fewer / "data").iterdir())[0].unlink()
    assert len(open_corpora([f"stream:{fewer}"])[0]) == len(wanted) - 1


def test_an_index_of_other_shards_of_the_same_sizes_is_found_out_at_the_first_reading(parquet):
    """Trials of equal length have files of equal size: a shard in another's place would be read under its name."""
    sizes: dict[int, list] = {}
    for path in sorted((parquet / "data").iterdir()):
        sizes.setdefault(path.stat().st_size, []).append(path)
    first, second = max(sizes.values(), key=len)[:2]
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other), second.write_bytes(one)
    (found,) = open_corpora([f"stream:{parquet}"])
    with pytest.raises(CorpusError, match="where the index of trials says"):
        [found.signal(index) for index in range(len(found))]
    (parquet / INDEX_FILE).unlink()
    (found,), (wanted,) = open_corpora([f"stream:{parquet}"]), open_corpora([parquet])
    assert (found.stimulus == wanted.stimulus).all()
    assert all(np.array_equal(found.signal(index), wanted.signal(index)) for index in range(len(wanted)))


def test_what_rows_of_others_do_not_say_is_no_contradiction(prepared, tmp_path):
    """Statistics of a column leave out what is null, which the index fills in."""
    rows = load_from_disk(str(prepared())).data.table
    for name in ("label", "label_name", "trial"):
        column = rows.column(name).to_pylist()
        kept = pa.array([None if number % 2 else value for number, value in enumerate(column)])
        rows = rows.set_column(rows.column_names.index(name), name, kept)
    (tmp_path / "theirs").mkdir()
    pq.write_table(rows, tmp_path / "theirs" / "all.parquet", row_group_size=4)
    (found,) = open_corpora([f"stream:{tmp_path / 'theirs'}"])
    assert found.label[1] == -1 and all(np.isfinite(found.signal(index)).all() for index in range(len(found)))


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        *[("emotion", 99, "emotion is 99"), ("valence_class", -2, "valence_class is -2"), ("label", -5, "label is -5")],
        *[
            ("valence", 7.0, "valence is 7"),
            ("liking", -0.5, "liking is -0.5"),
            ("ch_names", ["Cz"] * 5, "of one name"),
        ],
    ],
)
def test_what_no_trial_can_have_is_refused_in_every_way_to_hold_rows(prepared, tmp_path, column, value, told):
    rows = load_from_disk(str(prepared())).data.table
    field = rows.schema.field(column)
    changed = rows.set_column(rows.column_names.index(column), field, pa.array([value] * len(rows), field.type))
    (tmp_path / "theirs").mkdir()
    pq.write_table(changed, tmp_path / "theirs" / "all.parquet")
    for source in (f"stream:{tmp_path / 'theirs'}", tmp_path / "theirs"):
        with pytest.raises(CorpusError, match=told):
            open_corpora([source])


def test_files_without_a_row_are_no_corpus(prepared, tmp_path):
    (tmp_path / "theirs").mkdir()
    pq.write_table(load_from_disk(str(prepared())).data.table.slice(0, 0), tmp_path / "theirs" / "all.parquet")
    with pytest.raises(CorpusError, match="hold no rows"):
        open_corpora([f"stream:{tmp_path / 'theirs'}"])


@pytest.mark.parametrize("factor", [1.5, -1])
def test_other_signals_of_the_same_size_are_other_data(prepared, tmp_path, factor):
    rows, prints = load_from_disk(str(prepared())).data.table, []
    for name, by in (("one", 1), ("other", factor)):
        column = rows.column("signal").combine_chunks()
        values = pa.array(column.values.to_numpy() * np.float32(by))
        changed = pa.LargeListArray.from_arrays(column.offsets, values)
        (tmp_path / name).mkdir()
        table = rows.set_column(rows.column_names.index("signal"), rows.schema.field("signal"), changed)
        pq.write_table(table, tmp_path / name / "all.parquet", compression="NONE", use_dictionary=False)
        prints.append(open_corpora([f"stream:{tmp_path / name}"])[0].fingerprint)
    assert prints[0] != prints[1]


def test_rows_of_others_in_large_groups_are_read_as_well(prepared, tmp_path):
    folder = prepared()
    (wanted,) = open_corpora([folder])
    others = tmp_path / "others"
    others.mkdir()
    pq.write_table(load_from_disk(str(folder)).data.table, others / "rows.parquet", row_group_size=5)
    (others / "corpus.json").write_text((folder / "corpus.json").read_text())
    (found,) = open_corpora([f"stream:{others}"])
    for index in range(len(wanted)):
        np.testing.assert_array_equal(found.signal(index), wanted.signal(index))
    index = read_index((found.folder / INDEX_FILE).read_bytes(), "")
    assert not index.checked and index.rows.column("row_group").to_pylist() == [0] * 5 + [1] * 5 + [2] * 2
    assert index.rows.column("row").to_pylist() == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1]


def test_signals_that_nobody_looked_at_are_looked_at_when_they_are_read(prepared, tmp_path):
    table = load_from_disk(str(prepared())).data.table.combine_chunks()
    place = table.column_names.index("signal")
    others = tmp_path / "others"
    others.mkdir()
    for change, error, words in (
        (lambda values: values * np.float32(1e-6), UnitError, "row 3"),
        (lambda values: np.where(np.arange(len(values)) == 9, np.nan, values), CorpusError, "row 3: holds NaN"),
        (lambda values: values[:-1], CorpusError, "13499 values for 9 channels of 1500 samples"),
    ):
        rows = table.column("signal").to_pylist()
        rows[3] = change(np.array(rows[3], dtype=np.float32))
        signal = pa.array([np.asarray(row, dtype=np.float32) for row in rows], pa.large_list(pa.float32()))
        pq.write_table(table.set_column(place, "signal", signal), others / "rows.parquet")
        (found,) = open_corpora([f"stream:{others}"])
        ranged._KEPT = KeptGroups()
        assert found.signal(2).shape == (9, 1500)
        with pytest.raises(error, match=words):
            found.signal(3)


def test_after_the_first_reading_files_here_are_mapped_where_signals_lie_as_they_are(prepared, tmp_path, monkeypatch):
    names = [name for name in STANDARD_CHANNELS if name != "Cz"]
    folder = prepared(shown={("s1", 1): ["a", "b"], ("s2", 1): ["a", "b"]}, seconds=90.0, ch_names=names)
    (wanted,) = open_corpora([folder])
    assert wanted.signal(0).nbytes > 2**21  # more than a page that writers make by themselves
    parquet = write_parquet(folder, tmp_path / "parquet")
    (found,) = open_corpora([f"stream:{parquet}"])
    for index in (3, 1, 0, 2):
        np.testing.assert_array_equal(found.signal(index), wanted.signal(index))
    assert ranged._KEPT.held == 0
    monkeypatch.setattr(ranged.pq, "ParquetFile", lambda *_, **__: pytest.fail("read again"))
    for index in range(4):
        assert found.window(index, 1234, 625).tobytes() == wanted.window(index, 1234, 625).tobytes()


def test_signals_that_are_what_the_index_says_are_never_decoded(parquet, tmp_path, monkeypatch):
    (wanted,) = open_corpora([tmp_path / "toy"])
    monkeypatch.setattr(ranged.pq, "ParquetFile", lambda *_, **__: pytest.fail("decoded"))
    same(open_corpora([f"stream:{parquet}"])[0], wanted)


def test_an_index_of_a_version_without_hashes_opens_as_it_did(parquet, tmp_path):
    rows = pa.ipc.open_file((parquet / INDEX_FILE).read_bytes()).read_all().drop(["hash"])
    with pa.ipc.new_file(str(parquet / INDEX_FILE), rows.schema) as writer:
        writer.write_table(rows)
    (found,) = open_corpora([f"stream:{parquet}"])
    same(found, open_corpora([tmp_path / "toy"])[0])
    assert len(found._signals._as_they_lie) == len(found)  # decoded once


@pytest.mark.parametrize(("column", "value"), [("offset", 10**12), ("n_samples", -1), ("n_samples", 0), ("hash", 1)])
def test_an_index_that_says_nonsense_is_no_way_to_wrong_numbers(parquet, tmp_path, column, value):
    wanted = [signal.copy() for signal in map(open_corpora([tmp_path / "toy"])[0].signal, range(12))]
    rows = pa.ipc.open_file((parquet / INDEX_FILE).read_bytes()).read_all()
    field = rows.schema.field(column)
    changed = rows.set_column(rows.column_names.index(column), field, pa.array([value] * len(rows), field.type))
    with pa.ipc.new_file(str(parquet / INDEX_FILE), rows.schema) as writer:
        writer.write_table(changed)
    (found,), (copied,) = open_corpora([f"stream:{parquet}"]), open_corpora([parquet])
    assert all(np.array_equal(copied.signal(row), wanted[row]) for row in range(12))
    if column == "n_samples":
        with pytest.raises(CorpusError, match="holds n_samples 1500 where the index of trials says"):
            found.signal(0)
    else:
        assert all(np.array_equal(found.signal(row), wanted[row]) for row in range(12))


def test_a_shard_with_another_label_than_the_index_is_refused_whatever_its_signal(parquet):
    file = sorted((parquet / "data").iterdir())[5]
    size, table = file.stat().st_size, pq.read_table(file)
    other = pa.array([1 - table.column("label")[0].as_py()], table.schema.field("label").type)
    file.unlink()
    _write_file(table.set_column(table.column_names.index("label"), table.schema.field("label"), other), file)
    assert file.stat().st_size == size
    (found,) = open_corpora([f"stream:{parquet}"])
    found.signal(4)
    with pytest.raises(CorpusError, match="holds label . where the index of trials says"):
        found.signal(5)


def test_what_is_no_eeg_has_no_hash(parquet):
    """It is looked at when it is read."""
    table = pq.read_table(sorted((parquet / "data").iterdir())[0])
    values, field = table.column("signal")[0].values.to_numpy(), table.schema.field("signal")
    for change, known in ((1, True), (1e-6, False), (np.where(np.arange(len(values)) == 9, np.nan, 1), False)):
        signal = pa.array([(values * change).astype(np.float32)], field.type)
        changed = table.set_column(table.column_names.index("signal"), field, signal)
        _write_file(changed, parquet / "changed.parquet")
        assert [one is not None for one in _hashes(changed, parquet / "changed.parquet")] == [known]


@pytest.mark.parametrize("compression", ["NONE", "zstd"])
def test_signals_that_lie_otherwise_are_found_out(prepared, tmp_path, monkeypatch, compression):
    folder = prepared()
    (wanted,) = open_corpora([folder])
    others = tmp_path / "others"
    others.mkdir()
    table = load_from_disk(str(folder)).data.table
    pq.write_table(table, others / "x.parquet", row_group_size=1, compression=compression, use_dictionary=False)
    (found,) = open_corpora([f"stream:{others}"])
    signals = found._signals
    if compression == "NONE":  # such as an index of other files of the same size
        assert (signals._offset > 0).all()
        signals._offset = signals._offset + 4
        signals._offset[3] = 10**9
        signals._offset[4] += 1
    else:
        assert (signals._offset == -1).all()
    for index in [*range(12), *range(12)]:
        np.testing.assert_array_equal(found.signal(index), wanted.signal(index))
    assert not signals._as_they_lie


def test_signals_that_are_decoded_again_and_again_are_told(prepared, parquet, tmp_path, monkeypatch, caplog):
    (tmp_path / "theirs").mkdir()
    pq.write_table(load_from_disk(str(prepared())).data.table, tmp_path / "theirs" / "x.parquet", row_group_size=5)
    for most, source, told in ((2**30, "theirs", False), (12 * 54_000 - 1, "parquet", False), (9, "theirs", True)):
        monkeypatch.setattr(ranged, "KEPT_BYTES", most)
        caplog.clear()
        open_corpora([f"stream:{tmp_path / source}"])
        assert ("0.000648 GB of signals are compressed or stand in a dictionary" in caplog.text) == told


@pytest.mark.parametrize("compression", ["NONE", "zstd"])
def test_what_was_kept_of_a_file_is_forgotten_when_another_lies_there(prepared, tmp_path, compression):
    place, seen = tmp_path / "place", []
    for number in range(2):
        place.mkdir()
        table = load_from_disk(str(prepared(seed=number))).data.table
        pq.write_table(table, place / "x.parquet", row_group_size=1, compression=compression, use_dictionary=False)
        (trials,) = open_corpora([f"stream:{place}"])
        seen += [trials.signal(0).copy(), trials.signal(0).copy()]  # read, and mapped or kept
        shutil.rmtree(place)
    assert np.array_equal(seen[0], seen[1]) and np.array_equal(seen[2], seen[3]) and not np.allclose(seen[0], seen[2])


@pytest.mark.parametrize("damage", ["flip", "cut", "gone", "empty"])
def test_a_damaged_file_is_named_when_its_trial_is_read(parquet, damage):
    (trials,) = open_corpora([f"stream:{parquet}"])
    file = sorted((parquet / "data").iterdir())[4]
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.unlink()
    if damage != "gone":
        file.write_bytes({"flip": content, "cut": content[:-100], "empty": b""}[damage])
    trials.signal(3)
    with pytest.raises(CorpusError, match="train-00004.*row group 0 cannot be read.*--resume"):
        trials.signal(4)


def test_a_folder_that_cannot_be_streamed_says_why(prepared, tmp_path):
    (tmp_path / "empty").mkdir()
    for place, words in (
        (tmp_path / "empty", "holds no Parquet files"),
        (tmp_path / "nowhere", "neither a folder here nor a dataset"),
        ("nosuch://bucket", "cannot be streamed"),
    ):
        with pytest.raises(CorpusError, match=words):
            open_corpora([f"stream:{place}"])
    broken = write_parquet(prepared(), tmp_path / "broken")
    (broken / INDEX_FILE).write_bytes(b"nothing")
    with pytest.raises(CorpusError, match=f"{INDEX_FILE}: is no index of trials.*Delete it"):
        open_corpora([f"stream:{broken}"])
    (broken / INDEX_FILE).unlink()
    pq.write_table(pa.table({"x": [1]}), broken / "data" / "train-00001-of-00012.parquet")
    with pytest.raises(CorpusError, match=r"train-00001.*lacks the columns \['dataset'"):
        open_corpora([f"stream:{broken}"])


def test_streams_of_datasets_are_refused_with_what_to_give(parquet):
    stream = load_corpus(f"stream:{parquet}")
    assert next(iter(stream))["stimulus"] == "clip0" and stream.features == TRIAL_FEATURES
    for refused in (
        lambda: RunConfig(data=stream),
        lambda: as_sources([stream]),
        lambda: open_corpora([stream]),
        lambda: Evaluation(models=("de",), data=stream, protocols=("few-shot",), out="x"),
    ):
        with pytest.raises(CorpusError, match="in its own order alone.*stream:user/corpus"):
            refused()
    assert RunConfig(data=(f"stream:{parquet}",)).data == (f"stream:{parquet}",)
    assert holds_corpus(f"stream:{parquet}") and as_sources(f"stream:{parquet}") == (f"stream:{parquet}",)


# ---- where files lie elsewhere


class Counting(Files):
    """Files in the memory of this process, of which is counted what is read."""

    read = 0

    def opened(self, name):
        file = super().opened(name)
        fetch = file.read

        def counted(*arguments):
            content = fetch(*arguments)
            Counting.read += len(content)
            return content

        file.read = counted
        return file


@pytest.fixture
def elsewhere(parquet, monkeypatch):
    system = fsspec.filesystem("memory")
    system.put(str(parquet), "/far/corpus", recursive=True)
    monkeypatch.setattr("mdjpt_hf.data.streams.Files", Counting)
    monkeypatch.setattr(Counting, "read", 0)
    yield "memory://far/corpus"
    system.rm("/far", recursive=True)


def test_one_trial_reads_one_trial(elsewhere, parquet, tmp_path):
    (wanted,), (found,) = open_corpora([tmp_path / "toy"]), open_corpora([f"stream:{elsewhere}"])
    assert Counting.read == 0  # pairs, labels and scales are in the index
    sampler = PairSampler(found, 625)
    sampler.draw(np.random.default_rng(0))
    assert found.scales.shape == (12, 2)
    assert Counting.read == 0
    size = sorted((parquet / "data").iterdir())[7].stat().st_size
    np.testing.assert_array_equal(found.signal(7), wanted.signal(7))
    assert 0 < Counting.read <= size + 2**16  # pyarrow looks for the footer in the last 64 KiB
    before = Counting.read
    found.signal(7)
    assert Counting.read == before  # kept


def test_what_is_kept_is_bounded(monkeypatch, elsewhere):
    (found,) = open_corpora([f"stream:{elsewhere}"])
    size = found.signal(0).nbytes
    monkeypatch.setattr(ranged, "_KEPT", KeptGroups(3 * size))
    for index in (0, 1, 2, 0, 3):
        found.signal(index)
    assert ranged._KEPT.held == 3 * size
    before = Counting.read
    found.signal(0)
    assert Counting.read == before
    found.signal(1)  # the one that nobody asked for the longest
    assert Counting.read > before
    monkeypatch.setattr(ranged, "_KEPT", KeptGroups(1))
    assert found.signal(5).shape == (9, 1500) and ranged._KEPT.held == size


def test_a_connection_that_breaks_is_made_anew(elsewhere, monkeypatch, tmp_path):
    (wanted,), (found,) = open_corpora([tmp_path / "toy"]), open_corpora([f"stream:{elsewhere}"])
    opened, failures = Counting.opened, [ConnectionResetError("gone"), TimeoutError()]

    def breaking(self, name):
        if failures:
            raise failures.pop()
        return opened(self, name)

    monkeypatch.setattr(Counting, "opened", breaking)
    np.testing.assert_array_equal(found.signal(2), wanted.signal(2))
    assert not failures
    failures[:] = [ConnectionResetError("gone")] * 9
    with pytest.raises(CorpusError, match="row group 0 cannot be read: gone"):
        found.signal(3)


def test_the_index_says_nothing_that_the_shards_do_not(parquet):
    rows = read_index((parquet / INDEX_FILE).read_bytes(), "").rows
    wanted = Dataset.from_parquet(sorted(map(str, (parquet / "data").iterdir())))
    for name in TRIAL_FEATURES:
        if name != "signal":
            assert repr(rows.column(name).to_pylist()) == repr(wanted.data.column(name).to_pylist())
    assert json.loads((parquet / "corpus.json").read_text())["recordings"]  # scales, which need no signal either


def test_several_trials_in_a_file_and_an_evaluation_from_a_stream(prepared, tmp_path, monkeypatch):
    monkeypatch.setattr("mdjpt_hf.data.parquet.MOST_FILES", 5)
    folder = prepared(shown={(f"s{number}", 1): [f"clip{clip}" for clip in range(6)] for number in range(4)})
    parquet = write_parquet(folder, tmp_path / "parquet")
    assert len(list((parquet / "data").iterdir())) == 8
    same(open_corpora([f"stream:{parquet}"])[0], open_corpora([folder])[0])
    results = []
    for number, source in enumerate((str(folder), f"stream:{parquet}")):
        task = Evaluation(models=("de",), data=source, protocols=("few-shot",), out=tmp_path / f"out{number}")
        (record,) = evaluate(replace(task, effort=Effort(3)), lambda line: None)
        results.append({name: record[name] for name in ("results", "datasets", "splits", "data", "windows")})
    assert repr(results[0]) == repr(results[1])


def test_classes_numbered_otherwise_are_refused_in_a_stream_as_well(prepared, tmp_path):
    rows = load_from_disk(str(prepared()))
    features = rows.features.copy()
    features["emotion"] = ClassLabel(names=list(reversed(TRIAL_FEATURES["emotion"].names)))
    (tmp_path / "theirs").mkdir()
    rows.with_format("arrow").map(lambda batch: batch, batched=True, features=features).to_parquet(
        tmp_path / "theirs" / "train.parquet"
    )
    for opened in (
        lambda: open_corpora([f"stream:{tmp_path / 'theirs'}"]),
        lambda: next(iter(load_corpus(tmp_path / "theirs", streaming=True))),
        lambda: load_corpus(tmp_path / "theirs"),
    ):
        with pytest.raises(CorpusError, match="numbers emotion otherwise"):
            opened()


def test_a_parquet_folder_streams_without_being_converted(parquet, tmp_path, caches):
    wanted = load_from_disk(str(tmp_path / "toy"))
    for source in (parquet, str(parquet), f"stream:{parquet}", f"file://{parquet}"):
        stream = load_corpus(source, streaming=True)
        assert stream.features == TRIAL_FEATURES and stream.num_shards == 12
        assert corpus_metadata(stream)["facts"][0]["name"] == "toy"
        assert repr(list(stream)) == repr(wanted.to_list())
    assert not list(caches.rglob("*.arrow"))
    stream = load_corpus(parquet, streaming=True)
    next(rows := iter(stream))
    state = stream.state_dict()
    again = load_corpus(parquet, streaming=True)
    again.load_state_dict(state)
    assert [row["trial"] for row in again] == [row["trial"] for row in rows]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_a_folder_whose_name_reads_as_a_pattern_is_that_folder(prepared, tmp_path):
    """Beside one that the pattern would find."""
    write_parquet(prepared("other", shown={("s0", 1): ["clip0"], ("s1", 1): ["clip0"]}), tmp_path / "study 1")
    folder = write_parquet(prepared(), tmp_path / "study [1]*")
    assert len(list(load_corpus(folder, streaming=True))) == 12
    (found,) = open_corpora([f"stream:{folder}"])
    assert found.name == "toy" and len(found) == 12


def test_a_stream_refuses_what_is_no_eeg(parquet):
    file = sorted((parquet / "data").iterdir())[1]
    table = pq.read_table(file)
    signal = pa.array([table["signal"][0].as_py()], table.schema.field("signal").type)
    volts = pa.LargeListArray.from_arrays(signal.offsets, pc.multiply(signal.values, pa.scalar(1e-6, pa.float32())))
    pq.write_table(table.set_column(table.column_names.index("signal"), table.schema.field("signal"), volts), file)
    rows = iter(load_corpus(parquet, streaming=True))
    next(rows)
    with pytest.raises(UnitError, match="train-00001"):
        next(rows)


def test_a_window_asks_for_the_scale_of_its_own_recording_alone(parquet, tmp_path, monkeypatch):
    """Of a corpus of others, which stores none: its first window must not wait for all of it."""
    (parquet / CORPUS_FILE).unlink()
    (wanted,) = open_corpora([tmp_path / "toy"])
    (found,) = open_corpora([f"stream:{parquet}"])
    read = []
    view = ranged.RangedSignals.view
    monkeypatch.setattr(ranged.RangedSignals, "view", lambda self, *place: read.append(place[0]) or view(self, *place))
    own = (found.subject == found.subject[3]) & (found.session == found.session[3])
    assert found.window(3, 100, 500).tobytes() == wanted.window(3, 100, 500).tobytes()
    assert 0 < len(set(read)) == own.sum() < len(found)
    np.testing.assert_array_equal(found.scales, wanted.scales)
    assert len(set(read)) == len(found)
