"""Arrays, epochs and folders of torcheeg become the rows that the same signals give as files."""

import csv
import pickle
from pathlib import Path

import mne
import numpy as np
import pandas as pd
import pytest
import torch

from mdjpt_hf.data import corpus_metadata, from_arrays, from_epochs, from_torcheeg, load_corpus
from mdjpt_hf.data.adapters import Preparation
from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.data.pairs import PairSampler
from mdjpt_hf.data_scripts.adapted import joined
from mdjpt_hf.errors import ConfigurationError, CorpusError, MDJPTError, PairingError, UnitError
from mdjpt_hf.modeling.errors_mdjpt import SamplingRateError
from mdjpt_hf.schema import TRIAL_FEATURES

NAMES = ["Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2"]
RATE, SECONDS = 250, 8
FROM_ARRAYS = {"ch_names": NAMES, "sampling_rate": RATE, "unit": "V", "name": "mine", "subject": "s1"}
CLIPS, LABELS = ["clip1", "clip2", "clip3"], ["joy", "fear", "joy"]


def trials_in_volts(person: int, count: int = 3) -> np.ndarray:
    """`(trials, channels, samples)`, each value one that single precision holds, as FIF files have it."""
    noise = np.random.default_rng(person).normal(0, 1.2e-5, (count, len(NAMES), SECONDS * RATE))
    return noise.astype(np.float32).astype(np.float64)


def epochs_of(person: int, **more) -> mne.EpochsArray:
    codes = {"joy": 1, "fear": 2}
    events = np.array([[k * 5000, 0, codes[label]] for k, label in enumerate(LABELS)])
    metadata = pd.DataFrame({"film": CLIPS, "vlnc": [1, 5, 9], **more})
    info = mne.create_info(NAMES, RATE, "eeg")
    return mne.EpochsArray(trials_in_volts(person), info, events, event_id=codes, metadata=metadata, verbose="error")


@pytest.fixture
def by_files(tmp_path):
    """The same trials as recordings with seams between them, listed in a table."""
    lines = []
    for person in (1, 2):
        info = mne.create_info(NAMES, RATE, "eeg")
        parts = [mne.io.RawArray(trial, info, verbose="error") for trial in trials_in_volts(person)]
        raw = mne.concatenate_raws(parts, verbose="error")
        raw.save(tmp_path / f"p{person}_raw.fif", verbose="error")
        for k, (clip, label) in enumerate(zip(CLIPS, LABELS, strict=True)):
            lines.append([f"p{person}_raw.fif", str(person), 0, k * SECONDS, SECONDS, clip, label, k / 2])
    with open(tmp_path / "mine.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "subject", "session", "onset", "duration", "stimulus", "label", "valence"])
        writer.writerows(lines)
    return load_corpus("recordings", table=tmp_path / "mine.csv")


def assert_same_rows(one, other):
    assert one.features == other.features == TRIAL_FEATURES and len(one) == len(other)
    for row, same in zip(one, other, strict=True):
        assert np.array(row.pop("signal"), "f4").tobytes() == np.array(same.pop("signal"), "f4").tobytes()
        assert str(row) == str(same)  # NaN is NaN


def test_arrays_give_the_bytes_of_files(by_files):
    signals = np.concatenate([trials_in_volts(1), trials_in_volts(2)])
    arrays = from_arrays(
        signals,
        ch_names=NAMES,
        sampling_rate=RATE,
        unit="V",
        name="mine",
        subject=["1"] * 3 + ["2"] * 3,
        stimulus=CLIPS * 2,
        label=LABELS * 2,
        ratings={"valence": [0, 0.5, 1] * 2},
    )
    assert_same_rows(arrays, by_files)
    facts = corpus_metadata(arrays)["facts"][0]
    assert facts["label_names"] == ["fear", "joy"] and facts["own"] and facts["rating_scale"]


def test_epochs_give_the_bytes_of_files(by_files):
    given = {"name": "mine", "stimulus": "film", "ratings": {"valence": ("vlnc", 1, 9)}}
    one_each = from_epochs([epochs_of(1), epochs_of(2)], **given)
    assert_same_rows(one_each, by_files)
    assert_same_rows(from_epochs({"1": epochs_of(1), "2": [epochs_of(2)]}, **given), by_files)
    both = mne.concatenate_epochs([epochs_of(1, who=[1.0] * 3), epochs_of(2, who=[2.0] * 3)], verbose="error")
    assert_same_rows(from_epochs(both, subject="who", **given), by_files)


def test_what_is_before_the_event_is_no_part_of_the_trial():
    info = mne.create_info(NAMES, RATE, "eeg")
    events = np.array([[k * 5000, 0, 1] for k in range(3)])
    early = mne.EpochsArray(trials_in_volts(1), info, events, tmin=-2.0, verbose="error")
    rows = from_epochs(early, name="early", preprocessing="none")
    assert set(rows["n_samples"]) == {6 * 125}
    whole = from_epochs(epochs_of(1), name="whole", preprocessing="none")
    assert rows[0]["signal"][:750] == np.reshape(whole[0]["signal"], (len(NAMES), -1))[0, 250:].tolist()


def test_sessions_units_bad_channels_and_repeats():
    volts = trials_in_volts(1)
    shared = {"ch_names": NAMES, "sampling_rate": RATE, "subject": "s1", "bads": ["F3"]}
    rows = from_arrays(
        volts * 1e6, unit="uV", name="a", session=["pre", "pre", "post"], stimulus=["x", "x", "x"], **shared
    )
    assert [(r["session"], r["trial"], r["stimulus"]) for r in rows] == [(1, 0, "x"), (2, 0, "x"), (2, 1, "x")]
    wrong = {"unit": "V", "name": "b", "stimulus": CLIPS}
    with pytest.raises(UnitError, match="session 0"):
        from_arrays(volts * 1e6, **wrong, **shared)
    with pytest.raises(UnitError, match="epochs 0, session 0"):
        from_epochs(epochs_of(1).apply_function(lambda x: x * 1e6, verbose="error"), name="b")
    scaled = epochs_of(1).apply_function(lambda x: x * 1e6, verbose="error")
    assert len(from_epochs(scaled, unit="uV", name="b")) == 3
    longer = [volts[0], volts[1][:, :1500]]
    assert from_arrays(longer, unit="V", name="c", preprocessing="none", **shared)["n_samples"] == [1000, 750]


def test_sets_of_epochs_of_one_person_are_sessions_of_their_own():
    """Windows of one session are scaled together, and stand for one recording."""
    sets = [epochs_of(1, who=["a", "a", "b"]), epochs_of(2, who=["a", "b", "b"]), epochs_of(3, who=["b", "b", "b"])]
    rows = from_epochs(sets, subject="who", stimulus="film", name="mine")
    found = {(s, n) for s, n in zip(rows["subject"], rows["session"], strict=True)}
    assert found == {("a", 0), ("a", 1), ("b", 0), ("b", 1), ("b", 2)}
    alone = from_epochs({"a": [epochs_of(1), epochs_of(2)], "b": epochs_of(3)}, name="mine")
    assert sorted(set(zip(alone["subject"], alone["session"], strict=True))) == [("a", 0), ("a", 1), ("b", 0)]
    said = [epochs_of(1, who=["a"] * 3, day=["1"] * 3), epochs_of(2, who=["a"] * 3, day=["1"] * 3)]
    assert set(from_epochs(said, subject="who", session="day", name="mine")["session"]) == {1}


@pytest.mark.parametrize(("unit", "scale"), [("V", 1e6), ("mV", 1e6), ("uV", 1.0)])
@pytest.mark.parametrize("preprocessing", ["none", "basic"])
def test_a_wrong_unit_is_told_by_the_name_it_was_given(unit, scale, preprocessing):
    with pytest.raises(UnitError, match=f"unit '{unit}'"):
        from_arrays(trials_in_volts(1) * scale, **FROM_ARRAYS | {"unit": unit}, preprocessing=preprocessing)


def test_without_ids_of_stimuli_there_are_no_pairs():
    rows = from_epochs([epochs_of(1), epochs_of(2)], name="mine")
    assert len(set(rows["stimulus"])) == 6
    (trials,) = open_corpora([rows])
    with pytest.raises(PairingError, match="nothing says which stimulus was shown"):
        PairSampler(trials, length=625)
    assert "nothing says" in corpus_metadata(rows)["facts"][0]["unaligned"]


def test_a_column_of_ones_own_comes_before_the_names_of_events():
    rows = from_epochs(epochs_of(1, event=["calm", "tense", "calm"]), name="mine")
    assert rows["label_name"] == ["calm", "tense", "calm"]


def test_one_signal_of_two_people_is_refused():
    with pytest.raises(CorpusError, match="hold the same signal"):
        from_epochs([epochs_of(1), epochs_of(1)], name="mine")


def test_what_does_not_go_together_is_refused():
    volts = trials_in_volts(1)
    good = {"ch_names": NAMES, "sampling_rate": RATE, "unit": "V", "name": "a", "subject": "s1"}
    for change, message in [
        ({"subject": ["s1"]}, "1 values of subject for 3 trials"),
        ({"ch_names": NAMES[1:]}, "trial 0 has shape .* ch_names are 9"),
        ({"unit": "volts"}, "unknown unit"),
        ({"subject": ""}, "a subject is called ''"),
        ({"ratings": {"joy": 1}}, "no ratings"),
        ({"ratings": {"valence": 7}}, "outside"),
        ({"emotion": "bliss"}, "common vocabulary"),
        ({"sampling_rate": 60}, "60"),
        ({"bads": ["X9"]}, "X9"),
        ({"name": ""}, "no name"),
    ]:
        with pytest.raises(MDJPTError, match=message):
            from_arrays(volts, **good | change)
    with pytest.raises(CorpusError, match="no subjects"):
        from_arrays([], **good)
    with pytest.raises(CorpusError, match="no real numbers but complex"):
        from_arrays(volts + 1j, **good)
    assert set(from_arrays(volts, **good | {"session": ["1", "01", "2"]})["session"]) == {1, 2, 3}
    with pytest.raises(ConfigurationError, match="no use for .*colour"):
        from_arrays(volts, colour=1, **good)
    for given, message in [
        ({"stimulus": "clip"}, "no column 'clip'.*event, film, vlnc"),
        ({"ratings": {"valence": ("vlnc", 0, 5)}}, "vlnc is '9', not from 0 to 5"),
        ({"ratings": {"valence": ("vlnc", 5, 0)}}, "Give .column"),
    ]:
        with pytest.raises(MDJPTError, match=message):
            from_epochs(epochs_of(1), name="a", **given)
    with pytest.raises(CorpusError, match="is not mne.Epochs"):
        from_epochs([volts], name="a")


@pytest.mark.parametrize(
    "label",
    [
        (text for text in "ab"),
        map(str, range(2)),
        {"a", "b"},
        {1: "a", 2: "b"},
        {1: "a", 2: "b"}.values(),
        np.eye(2),
        [["a"], ["b"]],
        [{"a"}, {"b"}],
        pd.DataFrame({"label": ["a", "b"]}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_stands_in_no_order_is_no_value_of_each_trial(label):
    with pytest.raises(CorpusError, match="which trial"):
        from_arrays(trials_in_volts(1, 2), **FROM_ARRAYS, label=label)


@pytest.mark.parametrize(
    "label",
    [torch.tensor([0, 1]), np.array([0.0, 1.0]), pd.Series([0, 1], index=[5, 6]), np.array([b"0", b"1"]), range(2)],
    ids=lambda value: type(value).__name__,
)
def test_labels_of_any_array_are_texts(label):
    assert from_arrays(trials_in_volts(1, 2), **FROM_ARRAYS, label=label)["label_name"] == ["0", "1"]


def test_signals_of_any_sequence_are_taken_and_others_refused():
    signals = trials_in_volts(1, 2)
    rows = [
        from_arrays(given, **FROM_ARRAYS) for given in (signals, signals.tolist(), iter(signals), torch.tensor(signals))
    ]
    assert all(one["signal"] == rows[0]["signal"] for one in rows)
    with pytest.raises(CorpusError, match="no arrays"):
        from_arrays([[[1.0, 2.0], [1.0]]], **FROM_ARRAYS)
    with pytest.raises(CorpusError, match="'high'"):
        from_arrays(signals, **FROM_ARRAYS, ratings={"valence": "high"})
    for rate in (0, "fast", [250]):
        with pytest.raises(SamplingRateError, match="sampling_rate"):
            from_arrays(signals, **FROM_ARRAYS | {"sampling_rate": rate})


@pytest.mark.parametrize(("labels", "numbers"), [(["²", "1"], [2, 1]), (["20211231235959", "7"], [1, 2])])
def test_sessions_that_the_schema_holds_no_number_of_are_counted(labels, numbers):
    rows = from_arrays(trials_in_volts(1, 2), **FROM_ARRAYS, session=labels, stimulus=labels)
    assert dict(zip(rows["stimulus"], rows["session"], strict=True)) == dict(zip(labels, numbers, strict=True))


def test_a_trial_that_is_left_out_was_shown_nevertheless():
    """Else later trials would stand where others' earlier ones do."""
    signals = trials_in_volts(1)
    signals[0] = 0
    rows = from_arrays(signals, **FROM_ARRAYS, stimulus=["clip", "clip", "other"])
    assert list(zip(rows["trial"], rows["stimulus"], strict=True)) == [(1, "clip"), (2, "other")]


def test_stimuli_that_other_corpora_show_have_their_name():
    rows = from_arrays(trials_in_volts(1, 2), **FROM_ARRAYS, stimulus=["1", "2"], stimulus_set="tsinghua-28")
    assert open_corpora([rows])[0].stimulus_set == "tsinghua-28"


def test_two_people_of_one_name_are_refused_and_not_one_of_them_lost():
    with pytest.raises(CorpusError, match="called the same"):
        from_epochs({1: epochs_of(1), "1": epochs_of(2)}, name="mine")


def test_epochs_that_share_samples_are_refused():
    raw = mne.io.RawArray(np.hstack(trials_in_volts(1)), mne.create_info(NAMES, RATE, "eeg"), verbose="error")
    sliding = mne.make_fixed_length_epochs(raw, 8, overlap=4, verbose="error")
    with pytest.raises(CorpusError, match="epochs overlap"):
        from_epochs(sliding, name="a")
    assert len(from_epochs(mne.make_fixed_length_epochs(raw, 8, verbose="error"), name="a")) == 3


@pytest.mark.parametrize("change", [lambda e: e.decimate(2, verbose="error"), lambda e: e.resample(125)])
def test_events_count_samples_of_the_rate_that_epochs_were_cut_at(change):
    raw = mne.io.RawArray(np.hstack(trials_in_volts(1)), mne.create_info(NAMES, RATE, "eeg"), verbose="error")
    raw.filter(None, 40, verbose="error")
    sliding = mne.make_fixed_length_epochs(raw, 8, overlap=3, preload=True, verbose="error")
    with pytest.raises(CorpusError, match="epochs overlap"):
        from_epochs(change(sliding), name="a")
    apart = mne.make_fixed_length_epochs(raw, 8, preload=True, verbose="error")
    assert len(from_epochs(change(apart), name="a")) == 3
    assert len(from_epochs(apart.resample(500), name="a")) == 3


def test_nothing_is_prepared_twice_and_changed_data_is(monkeypatch):
    first = from_epochs(epochs_of(1), name="mine")
    again = from_epochs(epochs_of(1), name="mine")
    assert first.cache_files == again.cache_files
    changed = epochs_of(1)
    changed.metadata.loc[0, "film"] = "other"
    assert from_epochs(changed, name="mine", stimulus="film").cache_files != first.cache_files
    louder = epochs_of(1).apply_function(lambda x: x * 1.01, verbose="error")
    assert from_epochs(louder, name="mine").cache_files != first.cache_files


def test_every_option_of_preparation_is_taken():
    given: Preparation = {"preprocessing": "none", "label_source": "self-report", "workers": 1, "skip_bad": True}
    rows = from_epochs(epochs_of(1), name="mine", **given)
    facts = corpus_metadata(rows)
    assert facts["facts"][0]["label_source"] == "self-report" and rows[0]["preprocessing"] == "none-1"


# --- torcheeg ---------------------------------------------------------------------------------------------------------


def torcheeg_folder(root: Path, chunk=500, overlap=0, store="lmdb", drop=(), change=lambda array: array) -> Path:
    """As torcheeg 1.1 writes its DEAP: a baseline of 2 s first, chunks after it, a record for each file."""
    for person in (1, 2):
        record = root / f"_record_{person - 1}"
        (record / "eeg").mkdir(parents=True)
        values, lines = {}, []
        for k, trial in enumerate(trials_in_volts(person) * 1e6):
            for start in range(0, trial.shape[1] - chunk + 1, chunk - overlap):
                key = f"s{person:02d}.dat_{len(values)}"
                values[key] = change(trial[:, start : start + chunk])
                lines.append(
                    {"start_at": start + 500, "end_at": start + 500 + chunk, "clip_id": key}
                    | {"subject_id": f"s{person:02d}.dat", "trial_id": k, "valence": [1.0, 5.0, 9.0][k]}
                )
            values[f"s{person:02d}.dat_base_{k}"] = trial[:, :500]
        with open(record / "info.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, list(lines[0]))
            writer.writeheader()
            writer.writerows(line for number, line in enumerate(lines) if number not in drop)
        write_store(record / "eeg", values, store)
    return root


def write_store(folder: Path, values: dict, store: str) -> None:
    if store == "pickle":
        for key, value in values.items():
            (folder / key).write_bytes(pickle.dumps(value))
        return
    lmdb = pytest.importorskip("lmdb", reason="needs the extra [torcheeg]")
    with lmdb.open(str(folder), map_size=2**26, lock=False) as opened, opened.begin(write=True) as transaction:
        for key, value in values.items():
            transaction.put(key.encode(), pickle.dumps(value))


GIVEN = {
    **{"ch_names": NAMES, "sampling_rate": RATE, "unit": "uV", "name": "deap", "stimulus": "trial_id"},
    "ratings": {"valence": ("valence", 1, 9)},
}


@pytest.mark.parametrize("store", ["lmdb", "pickle"])
@pytest.mark.parametrize("overlap", [0, 250])
def test_chunks_of_torcheeg_become_trials_again(tmp_path, store, overlap):
    rows = from_torcheeg(torcheeg_folder(tmp_path / "io", store=store, overlap=overlap), **GIVEN)
    same = from_arrays(
        np.concatenate([trials_in_volts(1), trials_in_volts(2)]) * 1e6,
        **{"ch_names": NAMES, "sampling_rate": RATE, "unit": "uV", "name": "deap"},
        subject=["s01.dat"] * 3 + ["s02.dat"] * 3,
        stimulus=[0, 1, 2] * 2,
        ratings={"valence": [0, 0.5, 1] * 2},
    )
    assert_same_rows(rows, same)


def test_where_sessions_are_not_named_a_line_says_that_all_are_one(tmp_path, caplog):
    """Records of one person, as of SEED-IV: which column tells sessions is asked for."""
    folder = torcheeg_folder(tmp_path / "io", store="pickle")
    from_torcheeg(folder, **GIVEN)
    assert "session" not in caplog.text  # a record for each person says nothing of sessions
    for number, (date, session) in enumerate([("20130101", "1"), ("20130108", "2")]):
        table = pd.read_csv(folder / f"_record_{number}" / "info.csv")
        table["subject_id"], table["date"], table["session_id"] = "s01", date, session
        table.to_csv(folder / f"_record_{number}" / "info.csv", index=False)
    rows = from_torcheeg(folder, **GIVEN)
    assert set(rows["session"]) == {0}
    told = "one session, also of s01, who has several records or values of date, session_id; name one"
    assert told in caplog.text
    caplog.clear()
    rows = from_torcheeg(folder, **GIVEN, session="session_id")
    assert rows["session"] == [1, 1, 1, 2, 2, 2] and "session=" not in caplog.text


def test_a_column_of_sessions_within_one_record_is_told_as_well(tmp_path, caplog):
    folder = torcheeg_folder(tmp_path / "io", store="pickle")
    for number in (0, 1):
        table = pd.read_csv(folder / f"_record_{number}" / "info.csv")
        table["session_id"] = (table["trial_id"] > 1).astype(int)
        table.to_csv(folder / f"_record_{number}" / "info.csv", index=False)
    assert set(from_torcheeg(folder, **GIVEN)["session"]) == {0}
    assert "also of s01.dat and 1 more, who have several records or values of session_id" in caplog.text


def test_trials_that_lack_chunks_are_left_out(tmp_path):
    rows = from_torcheeg(torcheeg_folder(tmp_path / "io", store="pickle", drop=(1,)), **GIVEN)
    assert [(row["subject"], row["stimulus"]) for row in rows] == [
        (f"s{person:02d}.dat", clip) for person in (1, 2) for clip in ("1", "2")
    ]


def test_a_trial_that_lacks_its_first_chunk_is_left_out(tmp_path):
    """Its second chunk would be taken for the first, and paired with what others saw seconds before."""
    rows = from_torcheeg(torcheeg_folder(tmp_path / "io", store="pickle", drop=(4,)), **GIVEN)
    assert [row["stimulus"] for row in rows] == ["0", "2", "0", "2"]


@pytest.mark.parametrize(
    ("column", "value"), [("start_at", ""), ("start_at", "nan"), ("end_at", "x"), ("end_at", "inf"), ("trial_id", "")]
)
def test_a_line_that_does_not_say_which_chunk_it_is_is_named(tmp_path, column, value):
    folder = torcheeg_folder(tmp_path / "io", store="pickle")
    table = pd.read_csv(folder / "_record_1" / "info.csv", dtype=str)
    table.loc[2, column] = value
    table.to_csv(folder / "_record_1" / "info.csv", index=False)
    with pytest.raises(CorpusError, match=f"info.csv: chunk s02.dat_2 .*{column}"):
        from_torcheeg(folder, **GIVEN)


class Marker:
    """Asks to make a file when it is unpickled by whoever trusts it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_pickles_of_strangers_run_nothing(tmp_path):
    marker = tmp_path / "marker"
    for store in ("lmdb", "pickle"):
        folder = torcheeg_folder(tmp_path / store, store=store, change=lambda array: Marker(marker))
        with pytest.raises(CorpusError, match="could run foreign code; nothing was run"):
            from_torcheeg(folder, **GIVEN)
    assert not marker.exists()


def test_features_and_other_folders_are_refused(tmp_path):
    for name, change, message in [
        ("features", lambda array: array.mean(axis=1), "features, or a signal that was changed"),
        ("scaled", lambda array: (array - array.mean()) / array.std() * np.r_[1, 2][:, None, None], "features"),
    ]:
        with pytest.raises(CorpusError, match=message):
            from_torcheeg(torcheeg_folder(tmp_path / name, store="pickle", change=change), **GIVEN)
    folder = torcheeg_folder(tmp_path / "io", store="pickle")
    with pytest.raises(CorpusError, match="no column 'emotion'.*subject_id"):
        from_torcheeg(folder, **GIVEN | {"label": "emotion"})
    with pytest.raises(CorpusError, match="holds no folders _record_0"):
        from_torcheeg(tmp_path, **GIVEN)
    (folder / "_record_0" / "eeg" / "s01.dat_0").write_bytes(b"no pickle")
    with pytest.raises(CorpusError, match="truncated, damaged"):
        from_torcheeg(folder, **GIVEN)


def test_a_store_that_is_none_or_lacks_a_key_is_named(tmp_path):
    pytest.importorskip("lmdb", reason="needs the extra [torcheeg]")
    folder = torcheeg_folder(tmp_path / "io")
    table = folder / "_record_0" / "info.csv"
    table.write_text(table.read_text().replace("s01.dat_0,", "other,"))
    with pytest.raises(CorpusError, match="holds nothing under other"):
        from_torcheeg(folder, **GIVEN)
    (folder / "_record_0" / "eeg" / "data.mdb").write_bytes(b"no store" * 1000)
    with pytest.raises(CorpusError, match=r"data\.mdb.*is no LMDB store"):
        from_torcheeg(folder, **GIVEN)


def test_windows_that_disagree_where_they_overlap():
    whole = np.random.default_rng(0).normal(0, 1, (2, 30))
    signal, problem = joined([10, 0, 5], [whole[:, 10:30], whole[:, 0:10], whole[:, 5:15]], "here")
    assert problem == "" and (signal == whole).all()
    assert "5 samples are in none" in joined([0, 15], [whole[:, :10], whole[:, 15:]], "here")[1]
    with pytest.raises(CorpusError, match="hold different values"):
        joined([0, 5], [whole[:, :10], whole[:, 5:15] + 1], "here")


def test_a_folder_that_torcheeg_itself_wrote(tmp_path):
    """torcheeg 1.1 asks for a SciPy older than ours: to run this, install it with `--no-deps`."""
    module = pytest.importorskip("torcheeg.datasets", reason="torcheeg needs an environment of its own")
    (tmp_path / "deap").mkdir()
    trials = trials_in_volts(1) * 1e6
    content = {"data": trials, "labels": np.array([[1.0, 5, 5, 5], [5, 5, 5, 5], [9, 5, 5, 5]])}
    (tmp_path / "deap" / "s01.dat").write_bytes(pickle.dumps(content))
    module.DEAPDataset(
        root_path=str(tmp_path / "deap"),
        io_path=str(tmp_path / "io"),
        **{"chunk_size": 500, "num_channel": len(NAMES), "num_baseline": 2, "baseline_chunk_size": 250},
        verbose=False,
    )
    rows = from_torcheeg(tmp_path / "io", **GIVEN)
    same = from_arrays(
        trials[:, :, 500:],  # what torcheeg takes for the baseline is no part of its chunks
        **{"ch_names": NAMES, "sampling_rate": RATE, "unit": "uV", "name": "deap", "subject": "s01.dat"},
        stimulus=[0, 1, 2],
        ratings={"valence": [0, 0.5, 1]},
    )
    assert_same_rows(rows, same)
