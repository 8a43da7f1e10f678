"""A user's own recordings, in the file formats people have."""

import csv
import json
import os

import edfio
import mne
import numpy as np
import pybv
import pytest
import scipy.io

from mdjpt_hf.data.prepare import prepare
from mdjpt_hf.data_scripts import builder_class
from mdjpt_hf.data_scripts.base import UnitReport
from mdjpt_hf.data_scripts.recordings import Recordings
from mdjpt_hf.errors import (
    ConfigurationError,
    CorpusError,
    MontageError,
    SamplingRateError,
    SchemaError,
    SignalError,
    UnitError,
)
from mdjpt_hf.modeling.feature_extraction_mdjpt import MDJPTFeatureExtractor
from mdjpt_hf.modeling.montage_mdjpt import channel_projection
from mdjpt_hf.modeling.opening_mdjpt import _refuse_partial_sample
from mdjpt_hf.modeling.signal_mdjpt import clean, robust_scale

NAMES = ["Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2"]
RATE = 250


def eeg(seconds=20, rate=RATE, channels=10, seed=0):
    """Tones of about 10 µV, another frequency in each channel."""
    rng = np.random.default_rng(seed)
    time = np.arange(seconds * rate) / rate
    return np.array([10 * np.sin(2 * np.pi * (4 + k) * time + rng.uniform(0, 6)) for k in range(channels)])


def raw_of(signal, names=NAMES, rate=RATE, types="eeg"):
    return mne.io.RawArray(signal * 1e-6, mne.create_info(list(names), rate, types), verbose="ERROR")


def write_edf(path, signal, names=NAMES, rate=RATE, unit="uV", **patient):
    top = 1.05 * np.abs(signal).max()
    signals = [
        edfio.EdfSignal(row, rate, label=name, physical_dimension=unit, physical_range=(-top, top))
        for row, name in zip(signal, names, strict=True)
    ]
    edfio.Edf(signals, patient=edfio.Patient(**patient)).write(path)
    return path


def write_set(path, signal, epochs=1):
    locations = np.array([(name,) for name in NAMES], dtype=[("labels", object)])
    content = {
        "setname": "x",
        "srate": float(RATE),
        "nbchan": len(NAMES),
        "trials": epochs,
        "chanlocs": locations,
    }
    content |= {
        "pnts": signal.shape[-1],
        "data": signal,
        "xmin": 0.0,
        "xmax": signal.shape[-1] / RATE,
        "event": [],
    }
    content |= {"icawinv": [], "icasphere": [], "icaweights": [], "epoch": [], "ref": "common", "times": []}
    scipy.io.savemat(
        path,
        {"EEG": content | {"chaninfo": {"nodatchans": []}, "icachansind": [], "icaact": []}},
        appendmat=False,
    )
    return path


#: What a table must say in every line if it says it in one.
DEFAULTS = {"onset": 0, "duration": "rest", "session": 0}


def write_table(path, rows):
    columns = list(dict.fromkeys(column for row in rows for column in row))
    defaults = {column: value for column, value in DEFAULTS.items() if column in columns}
    rows = [defaults | row for row in rows]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    return path


def row(file="a.fif", subject="s1", stimulus="clip1", **more):
    return {"file": file, "subject": subject, "stimulus": stimulus, **more}


def read(builder):
    reports = {unit: UnitReport(unit) for unit in builder.units()}
    return [trial for unit in builder.units() for trial in builder.read_unit(unit, reports[unit])], reports


@pytest.fixture
def folder(tmp_path):
    raw_of(eeg()).save(tmp_path / "a_raw.fif", verbose="ERROR")
    os.rename(tmp_path / "a_raw.fif", tmp_path / "a.fif")
    return tmp_path


def write_as(path, signal):
    if path.suffix == ".edf":
        write_edf(path, signal)
    elif path.suffix == ".fif":
        raw_of(signal).save(path, verbose="ERROR")
    elif path.suffix == ".vhdr":
        pybv.write_brainvision(
            data=signal * 1e-6,
            sfreq=RATE,
            ch_names=NAMES,
            fname_base=path.stem,
            folder_out=str(path.parent),
            unit="µV",
        )
    else:
        write_set(path, signal)


@pytest.mark.parametrize("name", ["x.edf", "x_raw.fif", "x.vhdr", "x.set"])
def test_every_format_gives_the_signal_in_microvolts_at_its_time(tmp_path, name):
    write_as(tmp_path / name, eeg())
    table = write_table(tmp_path / "mine.csv", [row(name, onset=4, duration=6)])
    (trial,), _ = read(Recordings(table))
    wanted = clean(eeg(), NAMES, RATE).signal[:, 500:1250]
    assert (trial.dataset, trial.ch_names, trial.sampling_rate, trial.preprocessing) == (
        "mine",
        NAMES,
        125,
        "basic-1",
    )
    assert trial.signal.shape == wanted.shape
    assert np.abs(trial.signal - wanted).max() < 0.05
    assert trial.to_row()["n_samples"] == 750


def test_none_keeps_reference_and_offsets(tmp_path):
    write_edf(tmp_path / "x.edf", eeg(rate=125) + 30, rate=125)
    (trial,), _ = read(Recordings(write_table(tmp_path / "t.csv", [row("x.edf")]), preprocessing="none"))
    assert np.abs(trial.signal - eeg(rate=125) - 30).max() < 0.01
    assert trial.preprocessing == "none-1"


def test_prepared_trial_gives_the_extractor_windows(tmp_path):
    write_edf(tmp_path / "x.edf", eeg())
    (trial,), _ = read(Recordings(write_table(tmp_path / "t.csv", [row("x.edf")])))
    raw = mne.io.read_raw(tmp_path / "x.edf", verbose="ERROR")
    inputs = MDJPTFeatureExtractor()(raw)
    mean, std = robust_scale(trial.signal)
    prepared = channel_projection(trial.ch_names) @ ((trial.signal - mean) / std)
    for window, onset in zip(inputs["input_values"], inputs["window_onsets"], strict=True):
        start = round(float(onset) * 125)
        np.testing.assert_allclose(window, prepared[:, start : start + 625], atol=1e-3)


def test_identity_labels_and_ratings(folder):
    rows = [
        row(
            stimulus="c",
            onset=12,
            duration=4,
            label="sad",
            valence=0.1,
            emotion="sadness",
            valence_class="negative",
        ),
        row(stimulus="a", onset=0, duration=4, label="happy", valence=0.9, arousal=1, extra="kept out"),
        row(stimulus="b", onset=5, duration=4),
        row(stimulus="a", subject="s2", onset=17, duration=2, session=3),
    ]
    builder = Recordings(write_table(folder / "mine.csv", rows), name="own", label_source="self-report")
    trials, _ = read(builder)
    assert [(t.subject, t.session, t.stimulus, t.trial) for t in trials] == [
        *(("s1", 0, "c", 2), ("s1", 0, "a", 0), ("s1", 0, "b", 1), ("s2", 3, "a", 0))
    ]
    assert [(t.label, t.label_name) for t in trials] == [(1, "sad"), (0, "happy"), (-1, ""), (-1, "")]
    assert [t.valence for t in trials[:2]] == [0.1, 0.9] and np.isnan(trials[2].valence) and trials[1].arousal == 1
    assert (trials[0].emotion, trials[0].valence_class, trials[1].emotion) == ("sadness", "negative", None)
    facts = builder.facts[0]
    assert (facts.name, facts.label_names, facts.label_source) == ("own", ("happy", "sad"), "self-report")
    assert not facts.redistributable and "valence, arousal in [0, 1]" in facts.rating_scale
    assert all(trial.to_row()["dataset"] == "own" for trial in trials)


def test_order_is_unknown_across_files_unless_given(folder):
    (folder / "b.fif").write_bytes((folder / "a.fif").read_bytes())
    rows = [row(), row("b.fif", stimulus="clip2")]
    assert [trial.trial for trial in read(Recordings(write_table(folder / "t.csv", rows)))[0]] == [-1, -1]
    rows = [row(trial=1), row("b.fif", stimulus="clip2", trial=0)]
    builder = Recordings(write_table(folder / "t.csv", rows))
    assert [trial.trial for trial in read(builder)[0]] == [1, 0]
    assert builder.facts[0].label_source == "none"


def test_trials_of_a_session_come_one_after_the_other(folder):
    for name in ("b.fif", "c.fif"):
        (folder / name).write_bytes((folder / "a.fif").read_bytes())
    rows = [
        row(session=1),
        row("b.fif", stimulus="clip2", session=2, duration=5),
        row("b.fif", stimulus="clip3", session=1, onset=6),
        row("c.fif", stimulus="clip3", session=2),
    ]
    trials, reports = read(Recordings(write_table(folder / "t.csv", rows)))
    assert [(trial.session, trial.stimulus) for trial in trials] == [
        *((1, "clip1"), (1, "clip3"), (2, "clip2"), (2, "clip3"))
    ]
    assert len(set(reports["s1"].notes)) == len(reports["s1"].notes) > 0


def test_absent_words_are_no_class(folder):
    rows = [row(label="n/a", emotion="NaN", duration=3), row(stimulus="b", onset=3, label="sad", valence="n/a")]
    builder = Recordings(write_table(folder / "t.csv", rows))
    assert builder.label_names == ("sad",)
    assert (builder.rows[0].label, builder.rows[0].emotion) == ("", None)


def test_names_of_folders_are_neither_a_verdict_nor_kept(tmp_path):
    home = tmp_path / "incomplete of Jane_Roe"
    home.mkdir()
    raw_of(eeg()).save(home / "a_raw.fif", verbose="ERROR")
    os.rename(home / "a_raw.fif", home / "corrupt.fif")  # MNE warns of the name, with the path
    (trial,), reports = read(Recordings(write_table(home / "t.csv", [row("corrupt.fif")])))
    assert trial.signal.shape == (10, 2500)
    told = [note for note in reports["s1"].notes if "MNE warns" in note]
    assert told and "Jane" not in " ".join(told)


def test_brainvision_in_text_is_not_truncated(tmp_path):
    write_as(tmp_path / "x.vhdr", eeg())
    header = (tmp_path / "x.vhdr").read_text(encoding="utf-8")
    raw = mne.io.read_raw(tmp_path / "x.vhdr", verbose="ERROR")
    width = 4 * len(NAMES)
    (tmp_path / "x.eeg").write_bytes(b"x" * (width * 9 + 1))
    with pytest.raises(SignalError, match="truncated within a sample"):
        _refuse_partial_sample(tmp_path / "x.vhdr", raw)
    (tmp_path / "x.vhdr").write_text(header.replace("DataFormat=BINARY", "DataFormat=ASCII"), encoding="utf-8")
    _refuse_partial_sample(tmp_path / "x.vhdr", raw)


def test_source_folder_and_tsv(folder):
    tables = folder / "tables"
    tables.mkdir()
    (tables / "t.tsv").write_text("subject\tfile\tstimulus\ns1\ta.fif\tx\n")
    (trial,), _ = read(Recordings(tables / "t.tsv", source=folder))
    assert trial.signal.shape == (10, 2500)
    with pytest.raises(CorpusError, match="line 2: the file 'a.fif' is not in"):
        Recordings(tables / "t.tsv")


def test_channels_are_renamed_dropped_and_reported(tmp_path):
    names = ["EEG Fp1-REF", "EEG T3", *NAMES[2:], "ECG ECG", "EEG A2-A1", "EOG1"]
    write_edf(tmp_path / "x.edf", eeg(channels=13), names)
    (trial,), reports = read(Recordings(write_table(tmp_path / "t.csv", [row("x.edf")])))
    assert trial.ch_names == ["Fp1", "T7", *NAMES[2:]]
    notes = " ".join(reports["s1"].notes)
    assert "x.edf: renamed 2 channels, such as 'EEG Fp1-REF' to Fp1" in notes
    assert "ECG ECG" in notes and "A2-A1" in notes and "EOG1" in notes and "resampled from 250" in notes


def test_bads_of_the_file_are_interpolated(tmp_path):
    signal = eeg()
    signal[4] = eeg(seed=5)[0]
    raw = raw_of(signal)
    raw.info["bads"] = ["C3"]
    raw.set_annotations(mne.Annotations([3.0], [1.0], ["BAD_blink"]))
    raw.save(tmp_path / "x_raw.fif", verbose="ERROR")
    rows = [row("x_raw.fif", duration=5), row("x_raw.fif", stimulus="clip2", onset=6, duration=5)]
    trials, reports = read(Recordings(write_table(tmp_path / "t.csv", rows)))
    wanted = clean(signal, NAMES, RATE, bads=["C3"]).signal
    np.testing.assert_allclose(trials[1].signal, wanted[:, 750:1375], atol=1e-2)
    assert "x_raw.fif: interpolated C3" in reports["s1"].notes
    assert [note for note in reports["s1"].notes if "marked bad" in note] == [
        "x_raw.fif: the trial of line 2 overlaps a stretch marked bad"
    ]


def test_names_in_headers_never_reach_the_rows(tmp_path):
    write_edf(tmp_path / "x.edf", eeg(), name="Jane_Roe", code="MRN-Q7Q1")
    builder = Recordings(write_table(tmp_path / "t.csv", [row("x.edf")]))
    trials, reports = read(builder)
    text = repr([{k: v for k, v in t.to_row().items() if k != "signal"} for t in trials]) + repr(reports)
    assert b"Jane" in (tmp_path / "x.edf").read_bytes()
    assert not any(word in text + json.dumps(builder.metadata()) for word in ("Jane", "Roe", "Q7Q1"))


@pytest.mark.parametrize(("factor", "true_unit"), [(1e6, "uV"), (1e3, "mV")])
def test_numbers_too_large_for_their_header(tmp_path, factor, true_unit):
    raw_of(eeg() * factor).save(tmp_path / "x_raw.fif", verbose="ERROR")
    table = write_table(tmp_path / "t.csv", [row("x_raw.fif")])
    with pytest.raises(UnitError, match=r"x_raw\.fif: typical amplitude .* unit 'V'"):
        read(Recordings(table))
    (trial,), _ = read(Recordings(table, unit=true_unit))
    assert np.abs(trial.signal - clean(eeg(), NAMES, RATE).signal).max() < 0.01


def test_volts_stored_as_microvolts(tmp_path):
    raw_of(eeg() * 1e-6).save(tmp_path / "x_raw.fif", verbose="ERROR")
    with pytest.raises(UnitError, match="stored as µV"):
        read(Recordings(write_table(tmp_path / "t.csv", [row("x_raw.fif")])))
    with pytest.raises(UnitError, match="unknown unit"):
        Recordings(tmp_path / "t.csv", unit="nV")


@pytest.mark.parametrize(
    ("names", "rate", "kind", "message"),
    [
        (NAMES, 64, SamplingRateError, "64 Hz is below 94"),
        (["T3", "T7", *NAMES[2:]], RATE, MontageError, "T3, T7 all mean T7"),
        ([f"EEG {k:03d}" for k in range(10)], RATE, MontageError, "no channel is a scalp"),
    ],
)
def test_recordings_the_model_cannot_use(tmp_path, names, rate, kind, message):
    write_edf(tmp_path / "x.edf", eeg(rate=rate), names, rate)
    with pytest.raises(kind, match=message) as error:
        read(Recordings(write_table(tmp_path / "t.csv", [row("x.edf")])))
    assert "x.edf" in str(error.value) and error.value.remedy


def test_labels_twice_in_one_file(tmp_path):
    write_edf(tmp_path / "x.edf", eeg(), ["Fp1", "Fp1", *NAMES[2:]])
    with pytest.raises(MontageError, match="all mean Fp1"):
        read(Recordings(write_table(tmp_path / "t.csv", [row("x.edf")])))


def refused(tmp_path, name, message):
    with pytest.raises(CorpusError, match=message) as error:
        read(Recordings(write_table(tmp_path / "t.csv", [row(name)])))
    assert error.value.path == str(tmp_path / name) and error.value.remedy
    return error.value


@pytest.mark.parametrize("name", ["x.edf", "x_raw.fif", "x.vhdr", "x.set"])
def test_truncated_files(tmp_path, name):
    write_as(tmp_path / name, eeg())
    data = tmp_path / name if name != "x.vhdr" else tmp_path / "x.eeg"
    data.write_bytes(data.read_bytes()[: data.stat().st_size * 6 // 10 + 1])
    refused(tmp_path, name, "truncated|cannot read")


def test_foreign_files(tmp_path):
    (tmp_path / "x.edf").write_text("no recording at all " * 100)
    refused(tmp_path, "x.edf", "MNE cannot read this file")
    (tmp_path / "x.txt").write_text("1,2,3\n" * 500)
    refused(tmp_path, "x.txt", "MNE cannot read this file")
    (tmp_path / "empty.edf").write_bytes(b"")
    refused(tmp_path, "empty.edf", "MNE cannot read this file")


def test_signal_file_instead_of_header(tmp_path):
    write_as(tmp_path / "x.vhdr", eeg())
    assert "x.vhdr" in refused(tmp_path, "x.eeg", "cannot read").remedy


def test_epoched_set(tmp_path):
    write_set(tmp_path / "x.set", eeg().reshape(10, 5, -1).transpose(0, 2, 1), epochs=5)
    assert "continuous" in refused(tmp_path, "x.set", "cut into epochs").remedy


@pytest.mark.parametrize(
    "pointer",
    [
        "../../.git/annex/objects/Vx/vf/MD5E-s3184976--0c79.set/MD5E-s3184976--0c79.set",
        "/annex/objects/MD5E-s3184976--0c79.edf\n",
        "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
    ],
)
def test_pointers_instead_of_data(tmp_path, pointer):
    (tmp_path / "x.edf").write_text(pointer)
    assert "datalad get" in refused(tmp_path, "x.edf", "pointer to data that is not here").remedy


def test_dangling_links_and_missing_companions(tmp_path):
    (tmp_path / "x.edf").symlink_to(".git/annex/objects/aa/bb/x.edf")
    refused(tmp_path, "x.edf", "pointer")
    write_as(tmp_path / "y.vhdr", eeg())
    (tmp_path / "y.eeg").write_text("/annex/objects/MD5E-s1--0.eeg")
    refused(tmp_path, "y.vhdr", "y.eeg is a pointer")
    (tmp_path / "y.eeg").unlink()
    refused(tmp_path, "y.vhdr", "MNE cannot read")


def test_trials_outside_the_file_name_their_line(folder):
    times_outside = ({"onset": 18, "duration": 3}, {"onset": 20}, {"onset": 500, "duration": 1})
    for times in (*times_outside, {"onset": 3, "duration": 0.001}):
        with pytest.raises(CorpusError, match=r"t\.csv: line 3: .*a\.fif ends at 20 s"):
            read(Recordings(write_table(folder / "t.csv", [row(duration=1), row(stimulus="b", **times)])))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row(), row(onset=5)], "lines 2 and 3 have the same subject, session and stimulus"),
        ([row(), row(stimulus="b")], "lines 2 and 3 have the same file and onset"),
        ([row(), row("b.fif", onset=2, stimulus="b")], "line 3: the file 'b.fif'"),
        ([row(), row(stimulus="")], "line 3: stimulus is empty"),
        ([row(valence=7)], "line 2: valence must be a number from 0 to 1, found '7'"),
        ([row(arousal="high")], "line 2: arousal must be a number"),
        ([row(onset=-1)], "line 2: onset must be a number of at least 0, found '-1'"),
        ([row(onset="nan1")], "found 'nan1'"),
        ([row(duration=0)], "duration is 0"),
        ([row(session="first")], "session must be a whole number"),
        ([row(session="9" * 400)], "session must be a whole number"),
        ([row(emotion="bliss")], "unknown emotion 'bliss'"),
        ([row(trial=0), row(stimulus="b", onset=3, trial=0)], r"each once, found \[0, 0\]"),
        ([row(trial=0), row(stimulus="b", onset=3)], r"each once, found \[0, -1\]"),
        ([row(), row(stimulus="b", onset=3)], "lines 2 and 3 overlap: a.fif at 0 s and 3 s"),
        ([row(stimulus="b", onset=3), row(duration=3.5)], "lines 3 and 2 overlap"),
        ([row(durations=4)], "unknown column 'durations'"),
        ([{"file": "a.fif", "subject": "s1"}], r"lacks the columns \['stimulus'\]"),
        ([], "lacks the columns"),
    ],
)
def test_wrong_tables(folder, rows, message):
    with pytest.raises(CorpusError, match=message) as error:
        Recordings(write_table(folder / "t.csv", rows))
    assert error.value.path == str(folder / "t.csv") and error.value.remedy


@pytest.mark.parametrize("word", ["n/a", "N/A", "nan", "NaN", "NA", "<NA>", "None", "null", "?", " n/a "])
@pytest.mark.parametrize("column", ["file", "subject", "stimulus", "session", "onset", "duration"])
def test_unknown_is_neither_zero_nor_a_name(folder, column, word):
    good = row(session=1, onset=5, duration=3)
    rows = [good, {**row(stimulus="b", session=1, onset=9, duration=3), column: word}]
    with pytest.raises(CorpusError, match=f"t.csv: line 3: {column} is .* not known") as error:
        Recordings(write_table(folder / "t.csv", rows))
    assert error.value.value == word.strip() and column in error.value.remedy


@pytest.mark.parametrize("column", ["session", "onset", "duration"])
def test_an_empty_cell_is_unknown_where_others_have_one(folder, column):
    rows = [row(session=1, onset=5, duration=3), {**row(stimulus="b", session=1, onset=9, duration=3), column: ""}]
    with pytest.raises(CorpusError, match=f"line 3: {column} is empty, though other lines have one"):
        Recordings(write_table(folder / "t.csv", rows))
    alone = [{**row(duration=3, onset=0, session=1), column: ""}]
    assert len(Recordings(write_table(folder / "t.csv", alone)).rows) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"subject": "01"},
        {"subject": "Anna"},
        {"subject": "s2"},
        {"session": 2},
        {"file": "./a.fif"},
        {"file": "link.fif"},
    ],
)
def test_the_same_stretch_belongs_to_one_person(folder, other):
    (folder / "link.fif").symlink_to("a.fif")
    rows = [
        row(subject="1", session=1, onset=2, duration=5),
        row(**{"subject": "1", "session": 1, "onset": 2.004, "duration": 5, "stimulus": "b"} | other),
    ]
    with pytest.raises(CorpusError, match="lines 2 and 3 overlap") as error:
        Recordings(write_table(folder / "t.csv", rows))
    assert "one subject" in error.value.remedy
    rows[1]["onset"] = 7
    assert len(Recordings(write_table(folder / "t.csv", rows)).rows) == 2


def test_ids_that_only_spelling_tells_apart_are_named(folder):
    rows = [
        row(subject=subject, stimulus=stimulus, label=label, onset=onset, duration=1)
        for subject, stimulus, label, onset in [
            *(("1", "clip1", "Joy", 0), ("01", "clip01", "joy", 2), ("10", "clip10", "fear", 4)),
            *(("Anna", "x", "fear", 6), ("anna", "y", "fear", 8)),
        ]
    ]
    notes = " ".join(Recordings(write_table(folder / "t.csv", rows)).notes())
    for words in (
        "subject '01' and '1' differ",
        "subject 'Anna' and 'anna'",
        "'clip01' and 'clip1'",
        "'Joy' and 'joy'",
    ):
        assert words in notes
    assert "'10'" not in notes and "a.fif is listed under the subjects 01, 1, 10, Anna, anna" in notes
    assert Recordings(write_table(folder / "t.csv", [row(subject="s1", stimulus="a10")])).notes() == []


def test_trials_that_give_no_window_are_counted(folder):
    rows = [row(stimulus=f"clip{k}", onset=6 * k, duration=duration) for k, duration in enumerate((4.9, 5, "rest"))]
    (note,) = Recordings(write_table(folder / "t.csv", rows)).notes()
    assert note == "1 trial is shorter than a window of 5 s, and gives none"


@pytest.mark.parametrize("format", ["copy", "fif", "edf"])
def test_one_signal_under_two_names_is_refused(tmp_path, format):
    """However it is stored: the samples are compared, not the names."""
    write_edf(tmp_path / "a.edf", eeg(seed=1))
    write_edf(tmp_path / "b.edf", eeg(seed=2))
    raw = mne.io.read_raw(tmp_path / "a.edf", verbose="ERROR")
    if format == "copy":
        (tmp_path / "c.edf").write_bytes((tmp_path / "a.edf").read_bytes())
    elif format == "fif":
        raw.save(tmp_path / "c_raw.fif", verbose="ERROR")
    else:
        write_edf(tmp_path / "c.edf", raw.get_data() * 1e6 * 1.0001)  # other rounding
    name = "c_raw.fif" if format == "fif" else "c.edf"
    rows = [row("a.edf", "s1"), row("b.edf", "s2"), row(name, "s3")]
    with pytest.raises(CorpusError, match=rf"files hold the same signal: a\.edf and {name}"):
        prepare(Recordings(write_table(tmp_path / "t.csv", rows)), tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()
    prepare(Recordings(write_table(tmp_path / "t.csv", rows[:2])), tmp_path / "out", progress=False)


def test_unknown_labels_and_ratings_are_none(folder):
    rows = [
        row(label=word, valence=word, duration=1, onset=k, stimulus=f"c{k}") for k, word in enumerate(["NA", "", "n/a"])
    ]
    builder = Recordings(write_table(folder / "t.csv", rows))
    assert builder.label_names == () and all(np.isnan(one.ratings["valence"]) for one in builder.rows)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,subject,stimulus\n", "no trials"),
        ("file;subject;stimulus\na.fif;s1;x\n", "put commas between them"),
        ("file,subject,stimulus\na.fif,s1\n", "number of fields"),
        ("file,subject,stimulus\na.fif,s1,x,y\n", "number of fields"),
        ("file,file,subject,stimulus\na,b,c,d\n", "occur twice"),
        ("file,subject,stimulus\n\xff\xfe", "cannot be read"),
    ],
)
def test_damaged_tables(folder, text, message):
    (folder / "t.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(CorpusError, match=message):
        Recordings(folder / "t.csv")


def test_missing_table_and_wrong_preset(folder):
    with pytest.raises(CorpusError, match="nothing.csv: the table cannot be read"):
        Recordings(folder / "nothing.csv")
    with pytest.raises(ConfigurationError, match="'best' is unknown"):
        Recordings(folder / "t.csv", preprocessing="best")


def test_options_follow_table_files_and_settings(folder):
    table = write_table(folder / "t.csv", [row()])
    first = Recordings(table).options()
    assert json.loads(json.dumps(first)) == first == Recordings(table).options()
    assert first["files"][0][:2] == ["a.fif", (folder / "a.fif").stat().st_size]
    assert Recordings(table, preprocessing="none").options() != first
    assert Recordings(table, unit="mV").options() != first
    shared = Recordings(table, stimulus_set="clips-8")
    assert shared.options() != first and shared.facts[0].stimulus_set == "clips-8"
    assert Recordings(table).facts[0].stimulus_set == "" and "stimulus_set" not in first
    os.utime(folder / "a.fif", (1, 1))
    assert Recordings(table).options() != first
    write_table(table, [row(onset=1)])
    assert Recordings(table).options()["table"] != first["table"]


def test_units_are_subjects_and_the_registry_knows_the_builder(folder):
    rows = [
        row(subject="b", duration=1),
        row(subject="a", onset=1, duration=1),
        row(subject="b", stimulus="y", onset=2),
    ]
    builder = builder_class("recordings")(write_table(folder / "t.csv", rows))
    assert builder.units() == ["b", "a"]
    assert [trial.stimulus for trial in builder.read_unit("b", UnitReport("b"))] == ["clip1", "y"]


@pytest.mark.parametrize("preprocessing", ["basic", "none"])
def test_a_silent_trial_is_left_out_and_listed(tmp_path, preprocessing):
    signal = eeg(60)
    signal[:, 20 * RATE : 40 * RATE] = signal[:, 20 * RATE - 1, None]  # the amplifier repeats its last value
    raw_of(signal).save(tmp_path / "a.fif", verbose="ERROR")
    rows = [row(stimulus=f"clip{k}", onset=20 * k, duration=20) for k in range(3)]
    trials, reports = read(Recordings(write_table(tmp_path / "t.csv", rows), preprocessing=preprocessing))
    assert [trial.stimulus for trial in trials] == ["clip0", "clip2"]
    assert reports["s1"].rejected == ["a.fif: the trial of line 3 is silent: no channel varies"]


def test_a_trial_in_volts_is_refused_by_the_schema(folder):
    (trial,), _ = read(Recordings(write_table(folder / "t.csv", [row()])))
    trial.signal = trial.signal * 1e-6
    with pytest.raises((UnitError, SchemaError), match="s1"):
        trial.to_row()


def test_label_source_is_one_of_two(folder):
    with pytest.raises(CorpusError, match="found 'felt'"):
        Recordings(write_table(folder / "t.csv", [row()]), label_source="felt")
