"""SEED-VII: one preprocessed file per subject, or raw sessions with triggers, two of them wrong."""

import numpy as np
import pytest
from fabricated_seed import (
    NAMES,
    assert_tones,
    cnt_signal,
    everything_told,
    read,
    trial_matrix,
    with_extras,
    write_cnt,
    write_mat,
)

from mdjpt_hf.data_scripts import builder_class
from mdjpt_hf.data_scripts.seed_vii import SEEDVII
from mdjpt_hf.errors import CorpusError

ORDER = (
    "happy neutral disgust sad anger anger sad disgust neutral happy",
    "anger sad fear neutral surprise surprise neutral fear sad anger",
    "happy surprise disgust fear anger anger fear disgust surprise happy",
    "disgust sad fear surprise happy happy surprise fear sad disgust",
)
MEANINGS = {
    "happy": ("joy", "positive"),
    "neutral": ("neutral", "neutral"),
    "disgust": ("disgust", "negative"),
    "sad": ("sadness", "negative"),
    "anger": ("anger", "negative"),
    "surprise": ("surprise", None),
    "fear": ("fear", "negative"),
}
#: Clips of 0.8 s, a second apart in the raw recordings.
SPANS = [(1 + 1.04 * number, 1.8 + 1.04 * number) for number in range(20)]


def amplitude(number):
    """µV of the clip with this number, 1 to 80."""
    return 10 + number


def expected_name(session, trial):
    return (2 * ORDER[session].split())[trial]


def check_labels(trial):
    name = expected_name(trial.session, trial.trial)
    assert trial.label_name == name == SEEDVII.classes[trial.label].name
    assert (trial.emotion, trial.valence_class) == MEANINGS[name]
    assert trial.stimulus == f"session{trial.session + 1}-clip{trial.trial + 1:02d}"
    assert trial.to_row()["dataset"] == "seed_vii"


def test_preprocessed_files_hold_all_sessions_by_number(tmp_path):
    numbers = [*range(80, 0, -3), *range(79, 0, -3), *range(78, 0, -3)]  # in no useful order
    write_mat(tmp_path / "EEG_preprocessed" / "3.mat", {str(n): trial_matrix(amplitude(n), 1.0) for n in numbers})
    for folder in ("EEG_features", "EYE_features", "continuous_labels"):
        write_mat(tmp_path / folder / "4.mat", {"1": np.ones((5, 33))})
    builder = SEEDVII(tmp_path, preprocessing="none")
    assert builder.units() == ["03"]
    assert builder.notes() == ["product: EEG_preprocessed", "1 of the 20 subjects of this corpus are here"]
    trials, reports = read(builder)
    assert [(t.session, t.trial) for t in trials] == [(session, n) for session in range(4) for n in range(20)]
    for trial in trials:
        assert trial.ch_names == NAMES
        assert_tones(trial, amplitude(20 * trial.session + trial.trial + 1), 1.005)
        check_labels(trial)
    assert "3.mat: trial 80 lasts 1.005 s, 54 to 350 usual" in reports["03"].notes
    assert not any("sessions are here" in note for note in reports["03"].notes)


def test_published_lists():
    names = [[SEEDVII.classes[label].name for label in session] for session in SEEDVII.labels]
    assert names == [2 * order.split() for order in ORDER]
    counts = {name: sum(session.count(name) for session in names) for name in MEANINGS}
    assert counts == {name: 8 if name == "neutral" else 12 for name in MEANINGS}


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"81": np.ones((62, 201))}, "holds a trial 81, but SEED-VII has 80"),
        ({"de_1": np.ones((3, 5, 62))}, "holds no trials"),
        ({"1": np.ones((201, 62))}, r"found \(201, 62\)"),
    ],
)
def test_files_of_something_else(tmp_path, variables, message):
    path = write_mat(tmp_path / "EEG_preprocessed" / "1.mat", variables)
    with pytest.raises(CorpusError, match=message) as error:
        read(SEEDVII(tmp_path))
    assert error.value.path == str(path)


def test_other_folders_are_told_apart(tmp_path):
    write_mat(tmp_path / "EEG_features" / "1.mat", {"1": np.ones((62, 201))})
    (tmp_path / "1_1_20180804.cnt").write_bytes(b"a SEED-V file")
    with pytest.raises(CorpusError, match="holds no files of SEED-VII"):
        SEEDVII(tmp_path)


def triggers():
    """One start and one end per clip, by sample."""
    return [(round(time * 1000), code, 0, 0) for span in SPANS for code, time in enumerate(span, 1)]


def write_raw(root, name="5_20221015_2.cnt", events=None, **options):
    names = with_extras(extras=("ECG", "HEO", "VEO"))
    session = int(name[-5]) - 1
    signal = cnt_signal(names, 1000, 24.0, SPANS, lambda n: amplitude(20 * session + n + 1))
    path = root / "EEG_raw" / name
    return write_cnt(path, signal, names, events=triggers() if events is None else events, **options)


def check_raw(trials, session):
    assert [(trial.session, trial.trial) for trial in trials] == [(session, n) for n in range(20)]
    for trial, (start, _) in zip(trials, SPANS, strict=True):
        assert trial.ch_names == NAMES
        assert_tones(trial, amplitude(20 * session + trial.trial + 1), 0.8, start)
        check_labels(trial)


@pytest.mark.parametrize("options", [{}, {"header_samples": 0}, {"table_place": 0}, {"table_type": 3}])
def test_raw_sessions_are_cut_at_their_triggers(tmp_path, options):
    write_raw(tmp_path, **options)
    builder = SEEDVII(tmp_path, preprocessing="none")
    assert builder.units() == ["05"] and builder.product.name == "EEG_raw"
    trials, reports = read(builder)
    check_raw(trials, 1)
    told = everything_told(builder, trials, reports)
    assert "Jane" not in told and "Q7Q1" not in told
    assert "1 of 4 sessions are here" in reports["05"].notes
    assert any("ECG" in note and "M1 (reference electrode)" in note for note in reports["05"].notes)


def test_keys_that_were_pressed_are_no_triggers(tmp_path):
    keys = [(900, 0, 0, 1), (9000, 0, 0, 2), (9100, 0, 1, 0)]
    write_raw(tmp_path, events=sorted(triggers() + keys))
    check_raw(read(SEEDVII(tmp_path, preprocessing="none"))[0], 1)


@pytest.mark.parametrize(
    "broken",
    [lambda events: events[:-1], lambda events: events[1:], lambda events: [], lambda events: events[:1] + events],
)
def test_triggers_that_do_not_alternate(tmp_path, broken):
    path = write_raw(tmp_path, events=broken(triggers()))
    with pytest.raises(CorpusError, match="should have 20 times a trigger 1 and then 2") as error:
        read(SEEDVII(tmp_path))
    assert error.value.path == str(path)


def write_list(root, name, start, row="{code},2022-10-15 {time}"):
    """The list of triggers by the clock, of a recording that began at `start` (h, min, s)."""
    lines = []
    for sample, code, *_ in triggers():
        seconds = 3600 * start[0] + 60 * start[1] + start[2] + sample / 1000
        hours, rest = divmod(seconds, 3600)
        clock = f"{int(hours):02d}:{int(rest // 60):02d}:{rest % 60:09.6f}"
        lines.append(row.format(code=code, time=clock))
    path = root / "save_info" / f"{name}_trigger_info.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("row", ["{code},2022-10-15 {time}", "{code},{time}"])
@pytest.mark.parametrize(("name", "start"), [("14_20221015_1", (14, 25, 34)), ("9_20221111_3", (14, 1, 27))])
def test_wrong_triggers_are_replaced_by_the_list_beside_them(tmp_path, name, start, row):
    wrong = [(sample // 2, code, 0, 0) for sample, code, *_ in triggers()]
    write_raw(tmp_path, f"{name}.cnt", wrong)
    listed = write_list(tmp_path, name, start, row)
    builder = SEEDVII(tmp_path / "EEG_raw", preprocessing="none")
    trials, reports = read(builder)
    check_raw(trials, int(name[-1]) - 1)
    assert listed in builder.source_files()
    assert any("times of the trials are those of trigger_info.csv" in note for note in reports[trials[0].subject].notes)


def test_a_missing_or_damaged_list_of_triggers(tmp_path):
    write_raw(tmp_path, "14_20221015_1.cnt")
    path = tmp_path / "save_info" / "14_20221015_1_trigger_info.csv"
    for content, message in (
        (None, "the file with the right ones is not here"),
        ("/annex/objects/MD5E-s1--0.csv\n", "pointer"),
        ("1,yesterday\n2,today\n", "no time of day such as 14:25:34, found 'yesterday'"),
        ("1\n", "no time of day"),
    ):
        if content is not None:
            path.parent.mkdir(exist_ok=True)
            path.write_text(content)
        with pytest.raises(CorpusError, match=message) as error:
            read(SEEDVII(tmp_path))
        assert error.value.path == str(path)
    write_list(tmp_path, "14_20221015_1", (14, 25, 34))
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:30]))
    with pytest.raises(CorpusError, match="found 30 triggers"):
        read(SEEDVII(tmp_path))


def test_a_truncated_recording_is_an_error(tmp_path):
    path = write_raw(tmp_path)
    path.write_bytes(path.read_bytes()[:-4_000_000])
    with pytest.raises(CorpusError, match="the file is truncated") as error:
        read(SEEDVII(tmp_path))
    assert error.value.path == str(path)


def test_facts_and_registry(tmp_path):
    write_mat(tmp_path / "EEG_preprocessed" / "1.mat", {"1": trial_matrix(20)})
    facts = builder_class("seed_vii")(tmp_path).facts[0]
    assert (facts.name, facts.label_source, facts.redistributable) == ("seed_vii", "stimulus", False)
    assert facts.label_names == tuple(meaning.name for meaning in SEEDVII.classes)
    assert "10.1109/TAFFC.2024.3485057" in facts.citation
