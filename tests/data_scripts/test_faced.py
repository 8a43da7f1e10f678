"""FACED: processed arrays, raw recordings of both cohorts, and the BIDS copy."""

import json

import numpy as np
import pytest
from fabricated_faced import (
    CLIP_SECONDS,
    COHORT_1,
    COHORT_2,
    EMOTIONS,
    NAMES,
    assert_tones,
    clip_times,
    order_of,
    processed_array,
    scores_of,
    triggers,
    write_bids,
    write_events,
    write_pickle,
    write_raw,
    write_remarks,
)
from fabricated_seed import everything_told, read

from mdjpt_hf.data_scripts import builder_class
from mdjpt_hf.data_scripts.faced import FACED, PROCESSED_CHANNELS
from mdjpt_hf.errors import CorpusError, SchemaError, UnitError

RATED = {"arousal": 8, "valence": 9, "liking": 11}
VALENCE = {"neutral": "neutral", **dict.fromkeys(["anger", "disgust", "fear", "sadness"], "negative")}


def check_identity(trial, subject, video):
    emotion = EMOTIONS[video - 1]
    assert (trial.subject, trial.session, trial.stimulus) == (f"{subject:02d}", 0, f"video{video:02d}")
    assert trial.label_name == trial.emotion == emotion == FACED.classes[trial.label].name
    assert trial.valence_class == VALENCE.get(emotion, "positive")
    assert trial.to_row()["dataset"] == "faced"


def check_ratings(trial, subject, video):
    for name, index in RATED.items():
        assert getattr(trial, name) == pytest.approx(scores_of(subject, video)[index] / 7)
    assert np.isnan(trial.dominance)


@pytest.fixture(scope="module")
def processed(tmp_path_factory):
    root = tmp_path_factory.mktemp("above") / "FACED"
    for subject, protocol in ((0, 2), (11, 4), (100, 5)):
        write_pickle(root / "Processed_data" / f"sub{subject:03d}.pkl", processed_array(subject), protocol)
    write_remarks(root / "Data" / "sub000", 0)
    write_remarks(root / "Data" / "sub011", 11)
    for kind in ("DE", "PSD"):
        write_pickle(root / "EEG_Features" / kind / "sub003.pkl.pkl", np.zeros((28, 32, 30, 5)))
        write_pickle(root / "EEG_Features" / kind / "sub004.pkl", np.zeros((28, 32, 30, 5)))
    return root


def test_processed_clips_come_out_in_microvolts_in_order_of_presentation(processed):
    builder = FACED(processed, preprocessing="none")
    assert builder.units() == ["00", "11", "100"] and builder.product.name == "Processed_data"
    assert "3 of the 123 subjects of this corpus are here" in builder.notes()
    trials, reports = read(builder)
    assert [trial.subject for trial in trials] == ["00"] * 28 + ["11"] * 28 + ["100"] * 28
    for subject in (0, 11):
        shown = [trial for trial in trials if int(trial.subject) == subject]
        assert [trial.trial for trial in shown] == list(range(28))
        for trial, video in zip(shown, order_of(subject), strict=True):
            check_identity(trial, subject, video)
            check_ratings(trial, subject, video)
            assert_tones(trial, subject, video, 2.0)
    assert "sub000.pkl: clips last 2 s, 30 usual" in reports["00"].notes


def test_without_remarks_neither_order_nor_ratings_are_known(processed):
    trials, reports = read(FACED(processed, preprocessing="none"))
    unknown = [trial for trial in trials if trial.subject == "100"]
    for video, trial in enumerate(unknown, 1):
        check_identity(trial, 100, video)
        assert_tones(trial, 100, video, 2.0)
        assert trial.trial == -1 and all(np.isnan(getattr(trial, name)) for name in RATED)
    assert any("no After_remarks.mat is here" in note for note in reports["100"].notes)
    assert not any("After_remarks" in note for note in reports["00"].notes)


def test_the_same_video_pairs_across_subjects_whatever_their_order(processed):
    trials, _ = read(FACED(processed, preprocessing="none"))
    by_subject = [{t.stimulus: t.label for t in trials if t.subject == subject} for subject in ("00", "11", "100")]
    assert by_subject[0] == by_subject[1] == by_subject[2] and len(by_subject[0]) == 28


def test_processed_files_of_the_second_cohort_say_what_their_last_rows_were(tmp_path):
    for subject in (60, 61):
        write_pickle(tmp_path / f"sub{subject:03d}.pkl", processed_array(subject, 7500).astype(np.float32))
    _, reports = read(FACED(tmp_path, preprocessing="none"))
    told = {unit: any("HEOR and HEOL" in note for note in report.notes) for unit, report in reports.items()}
    assert told == {"60": False, "61": True}


def test_clips_of_thirty_seconds_are_not_noted(tmp_path):
    write_pickle(tmp_path / "sub001.pkl", processed_array(1, 7500).astype(np.float32))
    trials, reports = read(FACED(tmp_path, preprocessing="none"))
    assert trials[0].signal.shape == (30, 3750)
    assert not any("usual" in note for note in reports["01"].notes)


def test_the_usual_preprocessing(processed):
    trials = [trial for trial in read(FACED(processed))[0] if trial.subject == "11"]
    assert len(trials) == 28 and trials[0].ch_names == NAMES and trials[0].preprocessing == "basic-1"


@pytest.mark.parametrize("source", ["Processed_data", "."])
def test_sources(processed, source):
    builder = FACED(processed / source, preprocessing="none")
    assert builder.units() == ["00", "11", "100"]
    remarks = [path for path in builder.source_files() if path.name == "After_remarks.mat"]
    assert [path.parent.name for path in remarks] == ["sub000", "sub011"]
    assert read(builder)[0][0].trial == 0
    assert json.loads(json.dumps(builder.options())) == builder.options()


def test_a_double_suffix_is_no_obstacle(tmp_path):
    write_pickle(tmp_path / "Processed_data" / "sub007.pkl.pkl", processed_array(7))
    trials, _ = read(FACED(tmp_path, preprocessing="none"))
    assert_tones(trials[4], 7, 5, 2.0)


def test_published_lists():
    assert [meaning.name for meaning in FACED.classes] == list(dict.fromkeys(EMOTIONS))
    assert [EMOTIONS.count(meaning.name) for meaning in FACED.classes] == [3, 3, 3, 3, 4, 3, 3, 3, 3]
    assert list(PROCESSED_CHANNELS) == [*NAMES, "A2", "A1"]


def refused(source, message, path=None):
    with pytest.raises(CorpusError, match=message) as error:
        read(FACED(source, preprocessing="none"))
    assert error.value.remedy and (path is None or error.value.path == str(path))
    return error.value


def test_only_features(processed):
    error = refused(processed / "EEG_Features", "holds no files of FACED; looked for Processed_data")
    assert "syn50614194" in error.remedy
    refused(processed / "EEG_Features" / "DE", "holds no files of FACED")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.zeros((28, 32, 30, 5)), r"found \(28, 32, 30, 5\)"),
        (np.zeros((32, 28, 500)), r"found \(32, 28, 500\)"),
        ({"data": np.zeros((28, 32, 500))}, "found dict"),
        (np.linalg.norm, "asks for numpy.linalg"),
    ],
)
def test_pickles_of_something_else(tmp_path, content, message):
    refused(tmp_path, message, write_pickle(tmp_path / "sub001.pkl", content))


def test_damaged_pickles(tmp_path):
    path = write_pickle(tmp_path / "sub001.pkl", processed_array(1, 100))
    path.write_bytes(path.read_bytes()[:-1000])
    refused(tmp_path, "truncated", path)
    path.write_text("/annex/objects/MD5E-s57344000--0c79.pkl\n")
    refused(tmp_path, "pointer", path)


def test_two_copies(tmp_path):
    for folder in ("a", "b"):
        write_pickle(tmp_path / folder / "sub001.pkl", processed_array(1, 100))
    refused(tmp_path, "is there 2 times")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"shown": [1] * 28}, "once each"),
        ({"shown": list(range(1, 28))}, "once each"),
        ({"scores": [7.5] * 12}, "outside the scale from 0 to 7"),
        ({"scores": [1.0] * 5}, "5 scores, wanted 1 and 12"),
        ({"name": "After_remarks"}, "holds no After_remark with vid and score"),
    ],
)
def test_wrong_remarks(tmp_path, changed, message):
    write_pickle(tmp_path / "Processed_data" / "sub001.pkl", processed_array(1, 100))
    refused(tmp_path, message, write_remarks(tmp_path / "Data" / "sub001", 1, **changed))


def test_remarks_that_are_a_pointer(tmp_path):
    write_pickle(tmp_path / "Processed_data" / "sub001.pkl", processed_array(1, 100))
    path = tmp_path / "Data" / "sub001" / "After_remarks.mat"
    path.parent.mkdir(parents=True)
    path.symlink_to("../../.git/annex/objects/aa/bb/After_remarks.mat")
    refused(tmp_path, "pointer", path)


def check_raw(trials, subject):
    shown = order_of(subject)
    assert [trial.trial for trial in trials] == list(range(28))
    for trial, (video, start, _) in zip(trials, clip_times(shown), strict=True):
        check_identity(trial, subject, video)
        check_ratings(trial, subject, video)
        assert_tones(trial, subject, video, CLIP_SECONDS, start)


@pytest.mark.parametrize("unit", ["uV", "n/a", "", "µV"])
@pytest.mark.parametrize(("names", "rate"), [(COHORT_1, 250), (COHORT_2, 1000)])
def test_raw_recordings_of_both_cohorts_with_and_without_unit(tmp_path, names, rate, unit):
    write_raw(tmp_path, 61, names.split(), rate, unit)
    builder = FACED(tmp_path, preprocessing="none")
    assert builder.product.name == "Data" and builder.units() == ["61"]
    trials, reports = read(builder)
    check_raw(trials, 61)
    notes = reports["61"].notes
    assert any("the header gives no unit" in note for note in notes) == (unit in ("", "n/a"))
    assert any("A1" in note or "HEOR" in note for note in notes if "dropped" in note)
    assert any("owners call A2 and A1" in note for note in notes) == ("HEOR" in names)
    told = everything_told(builder, trials, reports)
    assert "Jane" not in told and "Q7Q1" not in told
    assert {path.name for path in builder.source_files()} == {"data.bdf", "evt.bdf", "After_remarks.mat"}


def test_raw_without_remarks_has_its_order_from_the_triggers(tmp_path):
    path = write_raw(tmp_path, 5, COHORT_1.split(), 250, "")
    path.with_name("After_remarks.mat").unlink()
    trials, _ = read(FACED(tmp_path, preprocessing="none"))
    assert [trial.stimulus for trial in trials] == [f"video{video:02d}" for video in order_of(5)]
    assert [trial.trial for trial in trials] == list(range(28)) and np.isnan(trials[0].valence)


def test_raw_files_that_do_not_go_together(tmp_path):
    path = write_raw(tmp_path, 5, COHORT_1.split(), 250)
    write_remarks(path.parent, 6)
    refused(tmp_path, "in another order", path.with_name("evt.bdf"))
    write_remarks(path.parent, 5)
    write_events(path.with_name("evt.bdf"), triggers(order_of(5))[:-9])
    refused(tmp_path, "once each", path.with_name("evt.bdf"))
    path.with_name("evt.bdf").unlink()
    refused(tmp_path, "cannot be read as events", path.with_name("evt.bdf"))


def test_units_of_some_channels_only(tmp_path):
    path = write_raw(tmp_path, 5, COHORT_1.split(), 250, ["uV"] * 20 + [""] * 12)
    refused(tmp_path, "a unit for 20 of 32 channels only", path)


def test_a_wrong_unit_is_refused(tmp_path):
    path = write_raw(tmp_path, 5, COHORT_1.split(), 250, "V")
    with pytest.raises(UnitError, match=str(path)):
        read(FACED(tmp_path))
    with pytest.raises((UnitError, SchemaError)):
        [trial.to_row() for trial in read(FACED(tmp_path, preprocessing="none"))[0]]


@pytest.mark.parametrize("share", [0.5, 0.01])
def test_truncated_recordings(tmp_path, share):
    path = write_raw(tmp_path, 5, COHORT_1.split(), 250)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    refused(tmp_path, "truncated|cannot read", path)


@pytest.mark.parametrize(("names", "rate", "unit"), [(COHORT_1, 250, "n/a"), (COHORT_2, 1000, "uV")])
def test_bids_copy(tmp_path, names, rate, unit):
    write_bids(tmp_path, 61, names.split(), rate, unit)
    (tmp_path / "dataset_description.json").write_text("{}")
    builder = FACED(tmp_path, preprocessing="none")
    assert builder.product.name == "BIDS" and builder.units() == ["61"]
    trials, reports = read(builder)
    check_raw(trials, 61)
    told = everything_told(builder, trials, reports)
    assert "Jane" not in told and "Blue" not in told
    assert builder.facts[0].licence == "CC-BY-4.0" and builder.facts[0].redistributable


def test_wrong_events_of_the_bids_copy(tmp_path):
    path = write_bids(tmp_path, 5, COHORT_1.split(), 250)
    events = path.with_name(path.name.replace("_eeg.bdf", "_events.tsv"))
    whole = events.read_text(encoding="utf-8")
    for content, message in (
        (whole.replace("video_index", "index"), r"once each, found \[\]"),
        (whole[: len(whole) // 2].rsplit("\n", 1)[0], "once each"),
        (whole.replace("Arousal", "Aroused"), "lacks its time or a rating"),
        (whole.replace("\t1.2", "\tn/a"), "lacks its time or a rating"),
        ("/annex/objects/MD5E-s1--0.tsv\n", "pointer"),
    ):
        events.write_text(content, encoding="utf-8")
        refused(tmp_path, message, events)
    events.unlink()
    refused(tmp_path, "cannot be read", events)


def test_a_bids_clone_without_its_recordings(tmp_path):
    path = write_bids(tmp_path, 5, COHORT_1.split(), 250)
    path.unlink()
    path.symlink_to("../../.git/annex/objects/aa/bb/x.bdf")
    assert "datalad get" in refused(tmp_path, "pointer", path).remedy


def test_facts_and_registry(processed):
    facts = builder_class("faced")(processed).facts[0]
    assert (facts.name, facts.label_source, facts.redistributable) == ("faced", "stimulus", False)
    assert facts.label_names == tuple(meaning.name for meaning in FACED.classes)
    assert "10.1038/s41597-023-02650-w" in facts.citation and "0 to 7" in facts.rating_scale
