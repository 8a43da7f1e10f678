"""The whole table on six made-up corpora, killed and resumed; and that a target never enters its own pre-training."""

import json
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml
from fabricated_corpora import seed
from typer.testing import CliRunner

from mdjpt_hf.cli import app
from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.data.facts import RECORD_FILE
from mdjpt_hf.data.prepare import prepare
from mdjpt_hf.data_scripts.seed import SEED
from mdjpt_hf.data_scripts.simulated import SimulatedCorpora
from mdjpt_hf.errors import RecordError
from mdjpt_hf.evaluation.reports.records import read_records
from mdjpt_hf.pretraining import pretrain
from mdjpt_hf.reproduction.plan import Reproduction, make_plan
from mdjpt_hf.reproduction.run import reproduce

NAMES = ["deap", "faced", "seed", "seed_iv", "seed_v", "seed_vii"]
CLASSES = {"deap": 2, "faced": 9, "seed": 3, "seed_iv": 4, "seed_v": 5, "seed_vii": 7}


def here(config, device):
    """A pre-training in this process, which is quicker to start."""
    assert device == ""
    pretrain(config, resume=True)


def task(data, out, tiny, **changes):
    given = {"data": tuple(map(str, data)), "out": out, "config": tiny, "permutations": 1, **changes}
    return Reproduction(**given)


@pytest.fixture(scope="module")
def finished(corpora, tiny, tmp_path_factory):
    """The table over all six corpora."""
    out = tmp_path_factory.mktemp("six") / "out"
    assert reproduce(task([corpora], out, tiny), lambda text: None, here) == out / "table.md"
    return out


def rows_of(out):
    rows = json.loads((out / "table.json").read_text())["rows"]
    return {(row["corpus"], row["protocol"], row["preset"]): row for row in rows}


@pytest.mark.slow
def test_every_row_holds_the_scores_of_its_record(finished):
    rows = rows_of(finished)
    presets = ("honest", "paper")
    assert set(rows) == {(n, p, q) for n in NAMES for p in ("few-shot", "zero-shot") for q in presets}
    for (name, protocol, preset), row in rows.items():
        records = {record["choices"]["name"]: record for record in read_records([finished / name / preset])}
        record = records[protocol]
        assert record["corpus"] == name and len(record["classes"]) == len(row["classes"]) == CLASSES[name]
        ((_, results),) = record["results"].items()
        assert set(row["scores"]) == set(results) == {"pre-trained", "random weights", "DE"}
        for encoder, entry in results.items():
            assert row["scores"][encoder]["accuracy"]["mean"] == entry["score"]["mean"]
            assert row["scores"][encoder]["null"]["high"] == entry["null"]["high"]
        if preset == "honest":  # the paper's zero-shot finds every trial of noise again
            assert results["pre-trained"]["per_subject"] != results["DE"]["per_subject"]
        assert bool(row["optimistic"]) == (preset == "paper")
        assert record["encoders"]["pre-trained"]["saw_this_corpus"] == "no"
        assert record["permutations"]["DE"] == (1 if protocol == "few-shot" else 5)
    assert {row["label"] for key, row in rows.items() if key[0] == "deap"} == {"clip_valence"}
    assert {row["label"] for key, row in rows.items() if key[0] != "deap"} == {"label"}


@pytest.mark.slow
def test_published_figures_stand_beside_with_source_and_differences(finished):
    rows, text = rows_of(finished), (finished / "table.md").read_text()
    few = rows["seed_v", "few-shot", "paper"]["published"]
    assert [(figure["system"], figure["text"]) for figure in few] == [
        ("mdJPT", "65.02 ± 0.98"),
        ("LaBraM", "41.80"),
        ("DE", "45.58"),
    ]
    assert all("2510.22197" in figure["source"] and figure["secondary"] for figure in few)
    assert rows["seed_iv", "zero-shot", "paper"]["published"] == []
    lines = {line.split(" | ")[0] + line.split(" | ")[1]: line for line in text.splitlines() if line.startswith("| ")}
    line = lines["| SEED-VII (NOT THE WHOLE CORPUS), 7 classes⚠ zero-shot, paper"]
    assert line.split(" | ")[7] == "not published"
    line = lines["| FACED (NOT THE WHOLE CORPUS), 9 classeszero-shot, honest"]
    assert "73.34 (number of classes not stated)" in line
    mean = rows["faced", "zero-shot", "honest"]["scores"]["DE"]["accuracy"]["mean"]
    assert line.split(" | ")[4].startswith(f"{100 * mean:.1f} [")
    assert "secondary article only" in text and "+11.92 points" in text
    assert "must not be compared with published ones" in text and "SEED-V (4 of 16 subjects" in text


@pytest.mark.slow
def test_differences_are_those_of_the_row(finished):
    rows = rows_of(finished)

    def told(*key):
        return " / ".join(rows[key]["differences"])

    for key in rows:
        assert "pre-trained for 2 steps instead of 20,480" in told(*key)
        assert "departure of the run: network: window_seconds 1.0 instead of 5.0" in told(*key)
        assert told(*key).count("steps instead of") == 1
        assert ("pre-trained on seed_v with 4 of 16 subjects" in told(*key)) == (key[0] != "seed_v")
        assert ("mean valence rating" in told(*key)) == (key[0] == "deap")
        assert "instead of the other five" not in told(*key)
        assert ("not on those tested" in told(*key)) == (key[1:] == ("few-shot", "honest"))
    assert "its neighbours; here: they may" in told("seed", "zero-shot", "paper")
    assert "nor may windows of the same stimulus" in told("seed", "zero-shot", "honest")
    text = (finished / "table.md").read_text()
    everywhere = text.partition("In every row:")[2].partition("In the rows")[0]
    assert "20,480" in everywhere and "valence" not in everywhere


@pytest.mark.slow
def test_the_target_is_not_on_record_in_its_own_pre_training(finished, corpora):
    fingerprints = {trials.name: trials.fingerprint for trials in open_corpora([corpora])}
    for name in NAMES:
        folder = finished / name / "pre-trained"
        record = json.loads((folder / RECORD_FILE).read_text())
        others = {other: value for other, value in fingerprints.items() if other != name}
        assert {entry["name"]: entry["fingerprint"] for entry in record["datasets"]} == others
        settings = yaml.safe_load((folder / "run.yaml").read_text())
        assert sorted(Path(path).name for path in settings["data"]) == sorted(others) and settings["leave_out"] == []
        assert {entry["held_out_subjects"] for entry in record["datasets"]} == {0}


@pytest.mark.slow
def test_a_finished_table_is_written_again_without_training(finished, corpora, tiny):
    before = (finished / "table.json").read_bytes()
    (finished / "table.json").unlink()
    reproduce(task([corpora], finished, tiny), lambda text: None, _never)
    assert (finished / "table.json").read_bytes() == before


@pytest.mark.slow
def test_an_encoder_that_saw_the_target_is_refused(finished, corpora, tiny):
    path = finished / "seed" / "pre-trained" / RECORD_FILE
    kept = path.read_text()
    content = json.loads(kept)
    content["datasets"][0]["name"] = "seed"
    path.write_text(json.dumps(content))
    with pytest.raises(RecordError, match="without seed, but on record are .*'seed'"):
        reproduce(task([corpora], finished, tiny), lambda text: None, _never)
    path.write_text(kept)


def _never(config, device):
    raise AssertionError("a finished pre-training was repeated")


# ---- what the target's signals reach


def weights_without(name, data, out, tiny):
    """The encoder's file after pre-training without a corpus."""
    plan = make_plan(task(data, out, tiny))
    target = next(corpus for corpus in plan.corpora if corpus.name == name)
    return (pretrain(plan.without(target)) / "model.safetensors").read_bytes()


@pytest.mark.slow
def test_the_targets_signals_change_no_weight_and_a_sources_do(corpora, tiny, tmp_path):
    seed(tmp_path / "louder", amplitude=60.0)
    prepare(SEED(tmp_path / "louder", preprocessing="none"), tmp_path / "seed", progress=False)
    given, other = [corpora / "seed", corpora / "seed_v"], [tmp_path / "seed", corpora / "seed_v"]
    scales = [open_corpora(data)[0].scales for data in (given, other)]
    assert (scales[0] != scales[1]).all()  # the recordings did change
    as_target = [weights_without("seed", data, tmp_path / f"a{n}", tiny) for n, data in enumerate((given, other))]
    as_source = [weights_without("seed_v", data, tmp_path / f"b{n}", tiny) for n, data in enumerate((given, other))]
    assert as_target[0] == as_target[1]
    assert as_source[0] != as_source[1]


@pytest.mark.slow
def test_corpora_in_one_folder_are_told_apart_and_simulated_ones_marked(tiny, tmp_path):
    builder = SimulatedCorpora(corpora=["sim-62", "sim-14"], subjects=4, stimuli=6, trial_seconds=4.0)
    prepare(builder, tmp_path / "data", progress=False)
    out = tmp_path / "out"
    reproduce(task([tmp_path / "data"], out, tiny), lambda text: None, here)
    for target, source in (("sim-62", "sim-14"), ("sim-14", "sim-62")):
        folder = out / target / "pre-trained"
        assert [entry["name"] for entry in json.loads((folder / RECORD_FILE).read_text())["datasets"]] == [source]
        assert yaml.safe_load((folder / "run.yaml").read_text())["leave_out"] == [target]
    text = (out / "table.md").read_text()
    assert "**SIMULATED recordings: sim-14, sim-62." in text and "| sim-62 (SIMULATED), 3 classes |" in text
    assert text.count("| not published |") == 8 and "pre-trained on SIMULATED recordings: sim-14" in text


@pytest.mark.slow
def test_the_montage_of_the_training_is_that_of_the_evaluation(corpora, tiny, tmp_path):
    data, settings = [corpora / "seed", corpora / "deap"], {"montage": "released"}
    reproduce(task(data, tmp_path, tiny, targets=("deap",), settings=settings), lambda text: None, here)
    for preset in ("honest", "paper"):
        for record in read_records([tmp_path / "deap" / preset]):
            assert record["protocol"]["montage"] == "released"


# ---- killed


@pytest.mark.slow
def test_a_killed_reproduction_goes_on_to_the_same_table(corpora, tiny, tmp_path, capfd):
    data = [corpora / "seed", corpora / "seed_v"]
    only = {"targets": ("seed",), "settings": {"steps": 6}}
    reproduce(task(data, tmp_path / "whole", tiny, **only), lambda text: None, here)
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "mdjpt_hf", "reproduce", "--out", str(out), "--config", tiny, "--target", "seed"]
    command += ["--set", "steps=6", "--permutations", "1", "--data", str(data[0]), "--data", str(data[1])]
    trained = out / "seed" / "pre-trained"
    kill_when(command, lambda: (trained / "checkpoints" / "step-00000002").exists())
    assert not (trained / RECORD_FILE).exists(), "it was killed after the pre-training, not in it"
    finished = CliRunner().invoke(app, command[3:])
    assert finished.exit_code == 0, (finished.output, finished.exception)
    assert "resumed after step" in capfd.readouterr().out and f"{out / 'table.md'} is ready" in finished.output
    for name in ("table.json", "table.md", "seed/pre-trained/model.safetensors"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def kill_when(command, ready):
    """Start it, and kill it with its pre-training as soon as `ready()`."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while not ready():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.002)
    parent = psutil.Process(process.pid)
    for victim in (*parent.children(recursive=True), parent):
        victim.kill()
    process.communicate()


@pytest.mark.slow
def test_an_evaluation_that_was_interrupted_starts_anew(corpora, tiny, tmp_path):
    """Half of one is no place to go on from; what was trained and evaluated before it is kept."""
    out = tmp_path / "out"
    given = task([corpora / "seed", corpora / "seed_v"], out, tiny, targets=("seed",))

    def interrupted(text):
        if text.startswith("seed, zero-shot, 1-NN"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reproduce(given, interrupted, here)
    assert not list((out / "seed").glob("*paper*"))
    kept = {path: path.stat().st_mtime_ns for path in (out / "seed" / "honest").iterdir()}
    reproduce(given, lambda text: None, _never)
    assert kept == {path: path.stat().st_mtime_ns for path in (out / "seed" / "honest").iterdir()}
    rows = rows_of(out)
    assert rows["seed", "few-shot", "paper"]["scores"] and not rows["seed_v", "few-shot", "honest"]["scores"]
    assert "not run" in (out / "table.md").read_text()
