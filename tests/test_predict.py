"""Several recordings at once, and what can be stated about them."""

import csv
import json
import sys
from pathlib import Path

import mne
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from mdjpt_hf import EEGEmotionPipeline, MDJPTConfig, MDJPTFeatureExtractor, MDJPTForSequenceClassification
from mdjpt_hf.cli import app
from mdjpt_hf.errors import ConfigurationError, MDJPTError, SignalError, UnitError
from mdjpt_hf.inference.prediction import predict, predict_all
from mdjpt_hf.modeling.folders_mdjpt import recordings_in
from mdjpt_hf.modeling.smoothing_mdjpt import lds_smooth

sys.path.insert(0, str(Path(__file__).parent))
from fabricated_edf import paused, write_edf  # noqa: E402

NAMES = ["Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2"]


def noise(seconds=13, seed=0):
    return np.random.default_rng(seed).normal(0, 12, (len(NAMES), seconds * 250))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model")
    labels = {"id2label": {0: "low", 1: "high"}, "label2id": {"low": 0, "high": 1}}
    MDJPTForSequenceClassification(MDJPTConfig.preset("tiny", **labels)).save_pretrained(folder)
    MDJPTFeatureExtractor().save_pretrained(folder)
    return str(folder)


@pytest.fixture
def folder(tmp_path):
    inside = tmp_path / "data" / "sub-02"
    inside.mkdir(parents=True)
    write_edf(tmp_path / "data" / "b.edf", noise(seed=1), NAMES)
    write_edf(inside / "a.edf", noise(9, seed=2), NAMES)
    return tmp_path / "data"


def run(*arguments):
    return CliRunner().invoke(app, ["predict", *map(str, arguments)])


def test_a_folder_is_read_file_by_file(model, folder, tmp_path):
    (folder / "short.edf").write_bytes((write_edf(tmp_path / "s.edf", noise(3), NAMES)).read_bytes())
    (folder / "notes.txt").write_text("no recording")
    done = run(model, folder, "--csv", tmp_path / "all.csv", "--json", tmp_path / "all.json")
    assert done.exit_code == 1  # one could not be used; the others were
    assert [line.split(":")[0] for line in done.stdout.splitlines()[:3]] == ["b.edf", "a.edf", "short.edf"]
    assert "short.edf: not used: " in done.stdout and "lasts 3 s, one window 5 s" in done.stdout
    assert "- resampled from 250 to 125 Hz (2 recordings)" in done.stdout
    assert "normalised over the whole of each recording" in done.stdout
    rows = list(csv.DictReader((tmp_path / "all.csv").read_text().splitlines()))
    assert [row["recording"] for row in rows] == ["b.edf"] * 5 + ["a.edf"] * 3
    entries = json.loads((tmp_path / "all.json").read_text())
    assert [entry["recording"] for entry in entries] == ["b.edf", "a.edf", "short.edf"] and "error" in entries[2]
    for row, window in zip(rows, [w for entry in entries[:2] for w in entry["windows"]], strict=True):
        assert float(row["onset"]) == window["onset"] and row["label"] == window["label"]
        assert float(row[window["label"]]) == pytest.approx(window["score"], abs=1e-5)


def test_several_files_and_one_give_the_same(model, folder):
    both = predict_all(model, [folder / "b.edf", folder / "sub-02" / "a.edf"])
    alone = predict_all(model, folder / "b.edf")
    assert not both.failed and both.found[0].result == alone.found[0].result
    assert "b.edf: " in predict(model, folder / "b.edf")


def test_files_of_one_name_are_told_apart(model, folder, tmp_path):
    """As BIDS and most recorders have them: the same name in every person's folder."""
    for who in ("p1", "p2", "p3"):
        (tmp_path / who / "eeg").mkdir(parents=True)
        write_edf(tmp_path / who / "eeg" / "x.edf", noise(3 if who == "p3" else 10), NAMES)
    found = predict_all(model, [*(tmp_path / who for who in ("p1", "p2", "p3"))], csv_path=tmp_path / "all.csv")
    assert [one.name for one in found.found] == ["p1/eeg/x.edf", "p2/eeg/x.edf"]
    assert list(found.failed) == ["p3/eeg/x.edf"] and found.failed["p3/eeg/x.edf"].startswith("the recording lasts 3 s")
    rows = list(csv.DictReader((tmp_path / "all.csv").read_text().splitlines()))
    assert {row["recording"] for row in rows} == {"p1/eeg/x.edf", "p2/eeg/x.edf"}
    twice = predict_all(model, [folder / "b.edf", folder / "sub-02" / ".." / "b.edf"])
    assert [one.name for one in twice.found] == ["b.edf"]


def test_a_link_is_called_by_its_own_name(model, folder, tmp_path):
    """git-annex links every file to one whose name is a checksum."""
    (tmp_path / "rest.edf").symlink_to(folder / "b.edf")
    (tmp_path / "task.edf").symlink_to(folder / "b.edf")
    found = predict_all(model, [tmp_path / "rest.edf", tmp_path / "task.edf"]).found
    assert [one.name for one in found] == ["rest.edf", "task.edf"]


def test_a_model_that_is_no_folder_is_not_sought_at_the_hub(folder):
    with pytest.raises(ConfigurationError, match="there is no folder /nowhere/at/all"):
        predict_all("/nowhere/at/all", folder / "b.edf")


def test_stride_unit_device_and_batch_size(model, folder, tmp_path):
    path = write_edf(tmp_path / "blank.edf", noise(), NAMES, units="")
    with pytest.raises(UnitError, match="State the recording's true unit"):
        predict_all(model, path)
    found = predict_all(model, path, unit="uV", stride=1.0, device="cpu", batch_size=2).found[0]
    assert found.onsets.tolist() == [*range(9)]
    wanted = predict_all(model, write_edf(tmp_path / "told.edf", noise(), NAMES), stride=1.0).found[0]
    np.testing.assert_allclose(found.scores, wanted.scores, atol=1e-5)
    done = run(model, path, "--unit", "uV", "--stride", 1, "--device", "cpu", "--batch-size", 3)
    assert done.exit_code == 0 and len([line for line in done.stdout.splitlines() if line.strip()[:1].isdigit()]) == 9


def test_the_pipeline_takes_the_same(model, folder, tmp_path):
    path = write_edf(tmp_path / "blank.edf", noise(), NAMES, units="")
    classifier = MDJPTForSequenceClassification.from_pretrained(model)
    recognise = EEGEmotionPipeline(model=classifier, feature_extractor=MDJPTFeatureExtractor(), device="cpu")
    found = recognise([path, str(path)], unit="uV", stride_seconds=1.0, batch_size=2)
    assert [len(one["windows"]) for one in found] == [9, 9]
    assert recognise(folder) == recognise([folder / "b.edf", folder / "sub-02" / "a.edf"])
    epochs = mne.EpochsArray(noise(12).reshape(10, 2, -1).transpose(1, 0, 2) * 1e-6, mne.create_info(NAMES, 250, "eeg"))
    assert len(recognise(epochs)["windows"]) == 2


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"device": "abacus"}, ConfigurationError, "device 'abacus' cannot be used"),
        ({"unit": "kV"}, UnitError, "unknown unit 'kV'"),
        ({"stride": -1.0}, SignalError, "stride_seconds must be a positive number"),
        ({"smoothing": "much"}, ConfigurationError, "smoothing must be one of"),
        ({"csv_path": Path("/nowhere/at/all.csv")}, ConfigurationError, "does not exist"),
        ({"picture": Path("/nowhere/at/all.png")}, ConfigurationError, "does not exist"),
        ({"picture": Path("emotions.foo")}, ConfigurationError, "of no format that pictures have"),
        ({"picture": Path("emotions")}, ConfigurationError, "of no format that pictures have"),
    ],
)
def test_what_cannot_work_is_refused(model, folder, options, error, message):
    with pytest.raises(error, match=message):
        predict_all(model, folder / "b.edf", **options)


def test_nothing_usable_is_an_error(model, tmp_path, folder):
    with pytest.raises(SignalError, match="no recording was found in .*empty"):
        predict_all(model, tmp_path / "data" / ".." / "empty" if (tmp_path / "empty").mkdir() else tmp_path / "empty")
    for name in ("a.edf", "b.edf"):
        write_edf(tmp_path / "empty" / name, noise(2), NAMES)
    with pytest.raises(MDJPTError, match="none of 2 recordings can be used; the first: .*lasts 2 s"):
        predict_all(model, tmp_path / "empty", csv_path=tmp_path / "x.csv")
    assert not (tmp_path / "x.csv").exists()
    with pytest.raises(ConfigurationError, match="--picture shows one recording, found 2"):
        predict_all(model, folder, picture=tmp_path / "x.png")


def test_windows_are_told_in_the_files_own_time(model, tmp_path):
    path = write_edf(tmp_path / "x.edf", noise(20), NAMES, starts=paused(20, {10: 30.0}))
    found = predict_all(model, path).found[0]
    assert found.onsets.tolist() == [0.0, 2.0, 4.0, 40.0, 42.0, 44.0]
    assert any("pause or seam" in note for note in found.result["notes"])


def test_a_split_recording_is_one(tmp_path):
    raw = mne.io.RawArray(noise(300) * 1e-6, mne.create_info(NAMES, 250, "eeg"), verbose="ERROR")
    raw.save(tmp_path / "a_raw.fif", split_size="2MB", verbose="ERROR")
    (tmp_path / "b.mff").mkdir()
    (tmp_path / "b.mff" / "inside.edf").write_bytes(b"")
    (tmp_path / ".hidden.edf").write_bytes(b"")
    assert [path.name for path in recordings_in(tmp_path)] == ["a_raw.fif", "b.mff"]


@pytest.mark.parametrize("smoothing", ["causal", "lds"])
def test_smoothing_starts_anew_after_a_pause(model, tmp_path, smoothing):
    """What was recorded before a pause does not tell in the windows after it, but through scale and normalisation."""
    path = write_edf(tmp_path / "x.edf", noise(40), NAMES, starts=paused(40, {20: 30.0}))
    classifier = MDJPTForSequenceClassification.from_pretrained(model)
    recognise = EEGEmotionPipeline(model=classifier, feature_extractor=MDJPTFeatureExtractor(), device="cpu")
    inputs = recognise.preprocess(path)
    assert inputs["report"].breaks == [8]
    windows = torch.from_numpy(inputs["input_values"])
    together = recognise.logits(windows, 32, smoothing, inputs["report"].breaks)
    features = classifier.base_model.encode_recording(windows)
    apart = [lds_smooth(part.detach().numpy(), causal=smoothing == "causal") for part in features.split([8, 8])]
    wanted = classifier.classifier(torch.from_numpy(np.concatenate(apart)).float())
    torch.testing.assert_close(together, wanted, atol=1e-5, rtol=1e-4)
