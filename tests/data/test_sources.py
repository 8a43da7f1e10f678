"""Whatever holds rows of the schema opens as the prepared folder it came from; whatever does not is refused."""

import errno
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, concatenate_datasets, load_dataset, load_from_disk

from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.data.facts import dataset_facts
from mdjpt_hf.data.index import INDEX_FILE
from mdjpt_hf.data.pairs import PairSampler
from mdjpt_hf.data.parquet import MOST_FILES, write_parquet
from mdjpt_hf.data.sources import as_sources, names_hub_dataset, prepared_folder
from mdjpt_hf.data.storage import info_metadata
from mdjpt_hf.errors import CorpusError, PairingError, UnitError
from mdjpt_hf.finetuning.train import FinetuneConfig
from mdjpt_hf.schema import TRIAL_FEATURES
from mdjpt_hf.training.config import RunConfig


def same(found, wanted) -> bool:
    """Whether two corpora are the same to whoever trains on them."""
    columns = ("subject", "session", "trial", "stimulus", "label", "n_samples", "scales")
    return (
        (found.name, found.label_names, found.ch_names) == (wanted.name, wanted.label_names, wanted.ch_names)
        and all(np.array_equal(getattr(found, name), getattr(wanted, name)) for name in columns)
        and all(np.array_equal(found.signal(index), wanted.signal(index)) for index in range(len(wanted)))
    )


def test_every_way_to_hold_the_rows_opens_as_the_same_corpus(prepared, tmp_path):
    folder = prepared()
    (wanted,) = open_corpora([folder])
    dataset = load_from_disk(str(folder))
    dataset.save_to_disk(tmp_path / "saved")
    parquet = write_parquet(folder, tmp_path / "parquet")
    loaded = load_dataset(str(parquet), split="train", cache_dir=tmp_path / "other-cache")
    for source in (parquet, parquet / "data", dataset, tmp_path / "saved", loaded):
        (found,) = open_corpora([source])
        assert same(found, wanted), source
    (copied,) = open_corpora([parquet])
    assert copied.fingerprint == wanted.fingerprint  # the same bytes
    told = dataset_facts(copied) | {"preprocessing": None}
    assert told == dataset_facts(wanted) | {"preprocessing": None}


def test_it_is_written_once_and_again_where_the_rows_have_changed(prepared, tmp_path, cache):
    parquet = write_parquet(prepared(), tmp_path / "parquet")
    first = prepared_folder(parquet)
    before = {path: path.stat().st_mtime_ns for path in first.rglob("*")}
    assert prepared_folder(parquet) == first and before == {path: path.stat().st_mtime_ns for path in first.rglob("*")}
    sorted((parquet / "data").iterdir())[0].unlink()
    second = prepared_folder(parquet)
    assert second != first and len(load_from_disk(str(second))) == len(load_from_disk(str(first))) - 1
    assert not list(cache.rglob("*.staging"))


def test_what_the_disk_does_not_hold_may_stay_where_it_is(prepared, tmp_path, monkeypatch):
    parquet = write_parquet(prepared(), tmp_path / "parquet")
    monkeypatch.setattr("mdjpt_hf.data.sources.shutil.disk_usage", lambda place: SimpleNamespace(free=1000))
    with pytest.raises(CorpusError, match=r"GB as memory-mapped Arrow, and 1e-06 GB are free.*stream:.*parquet"):
        open_corpora([parquet])
    assert len(open_corpora([f"stream:{parquet}"])) == 1
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr("mdjpt_hf.data.sources.snapshot_download", lambda *_, **__: (_ for _ in ()).throw(full))
    with pytest.raises(CorpusError, match="cannot be downloaded: .*No space.*leave it on the Hub: stream:user/corpus"):
        open_corpora(["user/corpus"])


def changed(parquet, **columns):
    """The first file with other values; None takes a column away."""
    file = sorted((parquet / "data").iterdir())[0]
    table = pq.read_table(file)
    for name, value in columns.items():
        place = table.column_names.index(name)
        table = table.remove_column(place) if value is None else table.set_column(place, name, value)
    pq.write_table(table, file)
    return file


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"stimulus": None}, r"row 0.*lacks the columns \['stimulus'\]"),
        ({"subject": pa.array([None], pa.string())}, r"row 0.*says nothing in the columns \['subject'\]"),
        ({"n_samples": pa.array([7])}, "values for 9 channels of 7 samples"),
        ({"sampling_rate": pa.array([0.0])}, "at 0.0 Hz"),
        ({"session": pa.array(["morning"])}, "is of other types"),
    ],
)
def test_rows_that_are_not_of_the_schema_are_refused_and_nothing_stays(prepared, tmp_path, cache, columns, message):
    parquet = write_parquet(prepared(), tmp_path / "parquet")
    changed(parquet, **columns)
    with pytest.raises(CorpusError, match=message):
        open_corpora([parquet])
    assert not list(cache.glob("mdjpt_hf/*/state.json"))
    with pytest.raises(CorpusError, match=message):  # nor is what was half written taken for whole
        open_corpora([parquet])


def test_signals_in_volts_or_with_holes_are_refused(prepared, tmp_path):
    parquet = write_parquet(prepared(), tmp_path / "parquet")
    file = sorted((parquet / "data").iterdir())[0]
    signal = pq.read_table(file).column("signal").chunk(0).flatten().to_numpy()
    kind = pa.large_list(pa.float32())
    changed(parquet, signal=pa.array([signal * 1e-6], kind))
    with pytest.raises(UnitError, match="row 0"):
        open_corpora([parquet])
    signal = signal.copy()
    signal[5] = np.nan
    changed(parquet, signal=pa.array([signal], kind))
    with pytest.raises(CorpusError, match="NaN or infinity"):
        open_corpora([parquet])


def test_classes_that_are_numbered_otherwise_are_refused(prepared):
    dataset = load_from_disk(str(prepared()))
    turned = ClassLabel(names=TRIAL_FEATURES["valence_class"].names[::-1])
    with pytest.raises(CorpusError, match="numbers valence_class otherwise"):
        open_corpora([dataset.cast_column("valence_class", turned)])


def test_a_dataset_made_by_hand_may_leave_out_what_it_does_not_know(prepared):
    rows = load_from_disk(str(prepared())).to_list()
    for row in rows:
        row |= {"valence": None, "emotion": None, "valence_class": None}
    (found,) = open_corpora([Dataset.from_list(rows)])
    assert set(found.emotion) == {-1} and np.isnan(found.ratings).all()
    assert found.label_names == ("a", "b")  # from its rows


def test_a_broken_file_is_named(prepared, tmp_path):
    parquet = write_parquet(prepared(), tmp_path / "parquet")
    file = sorted((parquet / "data").iterdir())[1]
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(CorpusError, match="train-00001"):
        open_corpora([parquet])


def test_signals_that_the_index_knows_are_copied_as_they_lie_with_the_same_bytes(prepared, tmp_path, monkeypatch):
    monkeypatch.setattr("mdjpt_hf.data.parquet.MOST_FILES", 5)  # several rows in a file
    parquet = write_parquet(prepared(), tmp_path / "parquet")
    decoded = shutil.copytree(parquet, tmp_path / "decoded")
    (decoded / INDEX_FILE).unlink()
    wanted = prepared_folder(decoded)
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", lambda *_, **__: pytest.fail("decoded"))
    found = prepared_folder(parquet)
    assert found != wanted
    names = sorted(path.name for path in wanted.glob("*.arrow"))
    assert names and all((found / name).read_bytes() == (wanted / name).read_bytes() for name in names)


@pytest.mark.parametrize("index", ["its own", "of another", "damaged", "none"])
def test_a_flipped_bit_in_a_signal_is_never_copied(prepared, tmp_path, index):
    parquet = write_parquet(prepared(), tmp_path / "parquet")
    if index == "none":
        (parquet / INDEX_FILE).unlink()
    elif index == "damaged":
        (parquet / INDEX_FILE).write_bytes(b"nothing")
    elif index == "of another":
        other = write_parquet(prepared("other", seed=5), tmp_path / "another")
        shutil.copy(other / INDEX_FILE, parquet / INDEX_FILE)
    file = sorted((parquet / "data").iterdir())[4]
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(CorpusError, match="train-00004.*cannot be read: .*CRC"):
        open_corpora([parquet])


def test_another_table_beside_prepared_folders_is_no_corpus(prepared, tmp_path):
    place = tmp_path / "data"
    place.mkdir()
    prepared("one").rename(place / "one")
    pq.write_table(pa.table({"f0": [1.0]}), place / "features.parquet")
    assert [trials.name for trials in open_corpora([place])] == ["one"]


def test_paths_are_not_taken_for_datasets_of_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outputs").mkdir()
    assert names_hub_dataset("user/corpus") and names_hub_dataset("user/corpus@v1.0")
    for path in ("outputs/corpus", "corpus", "/data/corpus", "./user/corpus", "a/b/c", "../user"):
        assert not names_hub_dataset(path), path
    with pytest.raises(CorpusError, match="is not a prepared corpus"):
        open_corpora(["outputs/corpus"])
    with pytest.raises(CorpusError, match="neither a folder here nor a dataset that the Hub gives"):  # offline
        open_corpora(["user/corpus"])


def test_settings_take_datasets_and_hold_texts(prepared):
    dataset = load_from_disk(str(prepared()))
    (place,) = as_sources(dataset)
    assert RunConfig(data=dataset).data == RunConfig(data=(dataset,)).data == (place,)
    assert FinetuneConfig(model="m", data=dataset, output_dir="o").data == (place,)
    assert as_sources("user/corpus") == ("user/corpus",)
    assert same(open_corpora([place])[0], open_corpora([dataset])[0])


def test_a_corpus_of_very_many_trials_has_no_more_files_than_the_hub_likes(prepared, tmp_path, monkeypatch):
    assert MOST_FILES < 10_000
    monkeypatch.setattr("mdjpt_hf.data.parquet.MOST_FILES", 5)
    files = sorted((write_parquet(prepared(), tmp_path / "parquet") / "data").iterdir())
    assert [pq.ParquetFile(file).num_row_groups for file in files] == [3, 1] * 3  # of twelve trials, four a subject
    assert json.loads((tmp_path / "parquet" / "corpus.json").read_text())["recordings"]


def test_a_corpus_of_very_many_people_has_files_of_several(prepared, tmp_path, monkeypatch):
    """Each has a shard of their own here; on the Hub there may be but so many files in a folder."""
    monkeypatch.setattr("mdjpt_hf.data.parquet.MOST_FILES", 4)
    monkeypatch.setattr("mdjpt_hf.data.parquet.MOST_IN_FOLDER", 5)
    few = prepared("few", shown={(f"s{number}", 1): ["a"] for number in range(5)})
    files = sorted((write_parquet(few, tmp_path / "few-parquet") / "data").iterdir())
    assert [path.name for path in files] == [f"train-{number:05d}-of-00005.parquet" for number in range(5)]
    shown = {(f"s{number}", 1): ["a", "b", "c"][: 1 + number % 3] for number in range(7)}
    folder = prepared("many", shown=shown)
    parquet = write_parquet(folder, tmp_path / "parquet")
    files = sorted((parquet / "data").iterdir())
    assert [pq.ParquetFile(file).num_row_groups for file in files] == [4, 4, 4, 1]
    (wanted,) = open_corpora([folder])
    for source in (parquet, f"stream:{parquet}"):
        (found,) = open_corpora([source])
        assert same(found, wanted)
    assert len(list(prepared_folder(parquet).glob("*.arrow"))) == 7  # a shard for each again
    assert len(set(load_dataset(str(parquet), split="train", cache_dir=tmp_path / "hf")["subject"])) == 7


def renamed(name: str, number: int | None = None):
    """Changes of a row's class: its name, and its number where one is given."""
    return lambda row: {"label_name": name} | ({} if number is None else {"label": number})


def read_as(trials) -> list[str]:
    return [trials.label_names[label] if label >= 0 else "" for label in trials.label]


def test_classes_have_the_names_of_the_rows_whatever_was_known_before(prepared):
    dataset = load_from_disk(str(prepared()))
    names = dict(enumerate(open_corpora([dataset])[0].label_names))
    called = dataset.map(lambda row: {"label_name": f"new {row['label_name']}"})
    moved = dataset.map(lambda row: {"label": row["label"] + 3})
    turned = dataset.map(lambda row: {"label": len(names) - 1 - row["label"]})
    for rows in (dataset, called, moved, turned):
        assert read_as(open_corpora([rows])[0]) == rows["label_name"]


def test_numbers_of_classes_that_contradict_each_other_are_refused(prepared):
    dataset = load_from_disk(str(prepared()))
    for change in (renamed("other"), renamed(dataset[0]["label_name"], 7)):
        one = dataset.select([0, 1]).map(change)
        with pytest.raises(CorpusError, match="number"):
            open_corpora([concatenate_datasets([dataset, one])])


def test_datasets_put_together_keep_what_was_known_of_each(prepared, tmp_path):
    first = load_from_disk(str(prepared()))
    facts = {**info_metadata(first.info.description)["facts"][0], "name": "second", "stimulus_set": "shared"}
    second = first.map(lambda row: {"dataset": "second"})
    second.info.description = json.dumps({"facts": [facts], "options": {"generator": 1}, "recordings": []})
    both = concatenate_datasets([first, second])
    both.save_to_disk(tmp_path / "both")
    for source in (both, tmp_path / "both"):
        toy, other = open_corpora([source])
        assert (toy.stimulus_set, other.stimulus_set) == (toy.name, "shared")
        assert toy.facts == open_corpora([first])[0].facts and other.facts == facts


def test_of_two_halves_of_a_corpus_neither_grants_what_the_other_does_not(prepared):
    metadata = info_metadata(load_from_disk(str(prepared())).info.description)
    fact = metadata["facts"][0]
    open_half, other = ({**metadata, "facts": [{**fact, **more}]} for more in HALVES)
    (joined,) = info_metadata(f"{json.dumps(open_half)}\n\n{json.dumps(other)}")["facts"]
    assert not joined["redistributable"] and joined["licence"] == "CC0; ask"
    assert joined["unaligned"] == "no ids" and joined["stimulus_set"] == "shared" and joined["label_names"] == []


HALVES = (
    {"redistributable": True, "licence": "CC0", "label_names": ["a"], "unaligned": "no ids"},
    {"redistributable": False, "licence": "ask", "label_names": ["b"], "unaligned": "", "stimulus_set": "shared"},
)


def test_signals_that_were_changed_have_a_scale_of_their_own(prepared, tmp_path):
    dataset = load_from_disk(str(prepared()))
    (before,) = open_corpora([dataset])
    larger = dataset.map(lambda row: {"signal": [3 * value for value in row["signal"]]})
    larger.save_to_disk(tmp_path / "larger")
    for source in (larger, tmp_path / "larger"):
        (found,) = open_corpora([source])
        np.testing.assert_allclose(found.scales, 3 * before.scales, rtol=1e-5)
        np.testing.assert_allclose(found.window(1, 0, 200), before.window(1, 0, 200), atol=1e-5)


def test_a_recording_has_one_scale_however_few_of_its_trials_are_selected(prepared):
    dataset = load_from_disk(str(prepared()))
    dataset.info.description = ""
    (trials,) = open_corpora([dataset])
    few = trials.select(np.arange(len(trials)) % 3 == 0)
    assert few.scales.tolist() == trials.scales[::3].tolist()
    assert len(set(map(tuple, trials.scales.tolist()))) < len(trials)  # several trials a recording


def written_by_datasets(folder, name, out):
    """The rows as `datasets` itself writes them to Parquet, under another name of the corpus."""
    dataset = load_from_disk(str(folder))
    out.mkdir()
    renamed = dataset.remove_columns("dataset").add_column("dataset", [name] * len(dataset))
    renamed.to_parquet(out / "rows.parquet")
    return out


@pytest.mark.parametrize("how", ["", "stream:"])
def test_what_datasets_leaves_out_of_parquet_is_restored_by_the_name_of_the_corpus(prepared, tmp_path, caplog, how):
    (games,) = open_corpora([f"{how}{written_by_datasets(prepared(), 'gameemo', tmp_path / 'games')}"])
    with pytest.raises(PairingError, match="at their own pace"):
        PairSampler(games, 250)
    (clips,) = open_corpora([f"{how}{written_by_datasets(prepared(), 'thu_ep', tmp_path / 'clips')}"])
    assert clips.stimulus_set == "tsinghua-28" and not clips.facts["redistributable"]
    assert "nothing but its rows" not in caplog.text
    open_corpora([f"{how}{written_by_datasets(prepared(), 'mine', tmp_path / 'mine')}"])
    assert "the corpus mine came with nothing but its rows" in caplog.text
