"""Reports: what is comparable stands together, what is not does not, and figures are drawn."""

import copy

import numpy as np
import pytest
from matplotlib.image import imread

from mdjpt_hf.errors import RecordError
from mdjpt_hf.evaluation.protocols import honest, paper
from mdjpt_hf.evaluation.reports.records import plain, read_records, write_record
from mdjpt_hf.evaluation.reports.report import MARK, TOO_FEW, _p_cells, merge, write_report
from mdjpt_hf.evaluation.run import Evaluation, evaluate
from mdjpt_hf.evaluation.scores import Effort


@pytest.fixture(scope="module")
def folder(noise_folders, tmp_path_factory):
    """An honest and an optimistic evaluation of differential entropy."""
    out = tmp_path_factory.mktemp("records")
    for preset in ("honest", "paper"):
        task = Evaluation(
            models=("de",),
            data=(str(noise_folders[0]),),
            protocols=("zero-shot",),
            out=out / preset,
            preset=preset,
            effort=Effort(permutations=4, zero_shot_permutations=19),
        )
        evaluate(task, lambda text: None)
    return out


def renamed(record, name):
    """The record as another encoder's, a little worse for every subject."""
    other = copy.deepcopy(record)
    for row in other["results"].values():
        row[name] = row.pop("DE")
        row[name]["per_subject"] = [score - 0.1 for score in row[name]["per_subject"]]
    other["encoders"] = {name: {"weights": "none", "saw_this_corpus": "yes"}}
    return other


def test_a_report_has_tables_nulls_tests_and_pictures(folder, tmp_path):
    (record,) = read_records([folder / "honest"])
    write_record(renamed(record, "worse"), tmp_path / "worse.json")
    path = write_report([folder / "honest", tmp_path / "worse.json"], tmp_path / "report")
    text = path.read_text()
    assert "| DE |" in text and "| worse (pre-trained on this corpus, without labels) |" in text
    assert "| DE − worse | +0.100 [+0.100, +0.100] |" in text
    (entry,) = [row["DE"] for row in record["results"].values()]
    assert f"{entry['null']['mean']:.3f} [" in text and record["splits"]["hash"][:12] in text
    assert "simulated" not in text.lower().replace("not simulated", "").split("## one")[0]
    pictures = sorted(path.parent.glob("*.png"))
    assert len(pictures) == 5 and all(imread(picture).std() > 0.02 for picture in pictures)
    assert all(picture.name in text for picture in pictures)


def test_p_values_that_could_not_be_small_are_marked():
    def cells(values, permutations):
        record = {"permutations": {str(number): count for number, count in enumerate(permutations)}}
        return _p_cells([("t", str(number), {"p_value": value}, record) for number, value in enumerate(values)])

    assert cells([round(1 / 101, 6)] * 10, [100] * 10) == [f"≤ 0.099 {TOO_FEW}"] * 10
    assert cells([1 / 200] * 10, [199] * 10) == ["0.050"] * 10
    assert cells([1 / 11, 1 / 1001], [10, 1000]) == [f"≤ 0.091 {TOO_FEW}", "0.002"]
    assert cells([0.5, 1 / 1001], [10, 1000]) == [f"0.500 {TOO_FEW}", "0.002"]
    assert cells([0.5], [100]) == ["0.500"]


def test_too_few_permutations_are_said_below_the_table(folder, tmp_path):
    (record,) = read_records([folder / "honest"])
    few = {**record, "permutations": {"DE": 9}}
    write_record(few, tmp_path / "few.json")
    text = write_report([tmp_path / "few.json"], tmp_path / "report").read_text()
    assert f"{TOO_FEW} No score could have reached p = 0.05 here" in text
    assert "takes 19 permutations" in text


def test_an_encoder_that_knew_labels_of_the_corpus_is_marked(folder, tmp_path):
    (record,) = read_records([folder / "honest"])
    known = renamed(record, "emotions")
    known["encoders"]["emotions"]["saw_this_corpus"] = "with labels"
    write_record(known, tmp_path / "known.json")
    text = write_report([folder / "honest", tmp_path / "known.json"], tmp_path / "report").read_text()
    assert f"| {MARK} emotions (fine-tuned with LABELS of this corpus) |" in text
    assert f"| DE − {MARK} emotions |" in text and "(pre-trained on this corpus" not in text
    assert "| DE |" in text and f"encoder, {MARK} says" in text


def test_optimistic_rows_stand_apart_and_are_marked(folder, tmp_path):
    text = write_report([folder / "honest", folder / "paper"], tmp_path).read_text()
    honest_table, optimistic_table = text.split(f"**{MARK} Optimistic: not comparable with the table above**")
    assert "OPTIMISTIC" not in honest_table
    rows = [line for line in optimistic_table.splitlines() if line.startswith("| zero-shot") and "| DE |" in line]
    marked = [line for line in optimistic_table.splitlines() if line.startswith(f"| {MARK} zero-shot")]
    assert not rows and len(marked) == 1 and "same trial in the neighbour set" in marked[0]


def test_records_of_different_protocols_splits_or_data_never_share_a_row(folder, tmp_path):
    (record,) = read_records([folder / "honest"])
    assert len(merge([record, renamed(record, "other")])) == 1
    for change in ("protocol_key", "corpus"):
        assert len(merge([record, {**renamed(record, "other"), change: "else"}])) == 2
    for change in ({"window_seconds": 8.0}, {"montage": "released"}):
        assert len(merge([record, {**renamed(record, "other"), "protocol": {**record["protocol"], **change}}])) == 2
    assert len(merge([record, {**renamed(record, "other"), "windows": record["windows"] - 1}])) == 2
    elsewhere = {**renamed(record, "other"), "splits": {**record["splits"], "hash": "f" * 64}}
    assert len(merge([record, elsewhere])) == 2
    write_record(elsewhere, tmp_path / "elsewhere.json")
    text = write_report([folder / "honest", tmp_path / "elsewhere.json"], tmp_path / "report").read_text()
    assert "stimulus excluded [1] | DE" in text and "stimulus excluded [2] | other" in text
    with pytest.raises(RecordError, match="DE has two records"):
        merge([record, record])


def test_permutations_of_every_merged_record_are_told(folder, tmp_path):
    (record,) = read_records([folder / "honest"])
    other = {**renamed(record, "other"), "permutations": {"other": 7}}
    assert merge([record, other])[0]["permutations"] == {"DE": 19, "other": 7}
    write_record(other, tmp_path / "other.json")
    text = write_report([folder / "honest", tmp_path / "other.json"], tmp_path / "report").read_text()
    assert "permutations: DE 19, other 7." in text


def test_protocols_that_differ_anywhere_have_different_keys():
    keys = {honest("few-shot").key, paper("few-shot").key, honest("few-shot", smoothing="causal").key}
    assert len(keys | {honest("few-shot", access="labelled:2").key, honest("few-shot", stride_seconds=2.5).key}) == 5


def test_json_is_plain():
    assert plain({"a": np.float32(0.5), "b": np.array([1, 2]), "c": (np.nan, np.inf)}) == {
        "a": 0.5,
        "b": [1, 2],
        "c": [None, None],
    }
