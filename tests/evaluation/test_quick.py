"""The table of a demonstration run and `mdjpt evaluate`: one engine behind both doors."""

import numpy as np
import pytest
from typer.testing import CliRunner

from mdjpt_hf import MDJPTConfig, MDJPTModel
from mdjpt_hf.cli import app
from mdjpt_hf.evaluation.encoders import model_encoder
from mdjpt_hf.evaluation.quick import quick_table, render
from mdjpt_hf.evaluation.reports import read_records

ROWS = {
    "zero-shot, 1-NN, trial excluded",
    "zero-shot, 10-NN, trial excluded",
    "zero-shot, 1-NN, stimulus excluded",
    "zero-shot, 10-NN, stimulus excluded",
    "few-shot, shared stimuli",
    "few-shot, new stimuli",
}


@pytest.fixture(scope="module")
def model():
    return MDJPTModel(MDJPTConfig.preset("tiny"))


@pytest.fixture(scope="module")
def table(model, noise_sets):
    return quick_table(noise_sets[0], [model_encoder("ours", model)], model.config.window_seconds)


def test_the_table_of_a_run_has_the_numbers_of_mdjpt_evaluate(table, model, noise_folders, tmp_path):
    model.save_pretrained(tmp_path / "ours")
    arguments = ["evaluate", str(tmp_path / "ours"), "de", "--data", str(noise_folders[0]), "--preset", "quick"]
    ended = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "records")])
    assert ended.exit_code == 0, ended.output
    told = {title: row for record in read_records([tmp_path / "records"]) for title, row in record["results"].items()}
    assert set(told) == set(table["results"]) == ROWS
    for title, row in told.items():
        for name in ("ours", "DE"):
            for value in ("score", "null", "p_value", "per_subject", "confusion", "chosen"):
                assert row[name][value] == table["results"][title][name][value], (title, name, value)


def test_the_table_says_its_choices_once(table):
    protocol = table["protocol"]
    assert protocol["normalisation"].startswith("recording") and "optimistic" in protocol
    assert set(protocol) >= ROWS and "neighbours: 10" in protocol["zero-shot, 10-NN, trial excluded"]
    assert "validation: 0" in protocol["few-shot, new stimuli"]
    assert not any("normalisation" in protocol[title] for title in ROWS)
    text = render(table)
    assert text.startswith("Simulated data: accuracy on one (6 simulated subjects") and text.count("\n") == 9
    for row in table["results"].values():
        difference = np.array(row["ours"]["per_subject"]) - np.array(row["DE"]["per_subject"])
        assert row["DE"]["reference_minus_this"]["mean"] == pytest.approx(difference.mean(), abs=1e-5)
