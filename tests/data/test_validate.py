"""Checking prepared folders again, and their picture."""

import json
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from mdjpt_hf.cli import app
from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.data.figures import draw_corpus, region_of, region_spectra
from mdjpt_hf.data.storage import CORPUS_FILE
from mdjpt_hf.data.validate import validate
from mdjpt_hf.errors import ConfigurationError, CorpusError


@pytest.fixture
def folder(prepared, tmp_path):
    return shutil.copytree(prepared(), tmp_path / "copy")


def edit(folder, change):
    path = folder / CORPUS_FILE
    corpus = json.loads(path.read_text())
    change(corpus)
    path.write_text(json.dumps(corpus))


def test_a_good_folder_has_no_problems(folder):
    found = validate(folder)
    assert (found.trials, found.problems) == (12, [])
    result = CliRunner().invoke(app, ["data", "validate", str(folder)])
    assert result.exit_code == 0 and "12 trials looked at, everything is as it should be" in result.output


def test_a_flipped_byte_and_a_missing_shard_are_named(folder):
    first, second = sorted(folder.glob("data-*.arrow"))[:2]
    content = bytearray(first.read_bytes())
    content[len(content) // 2] ^= 1
    first.write_bytes(content)
    second.unlink()
    problems = validate(folder).problems
    assert len(problems) == 2
    assert first.name in problems[0] and "changed" in problems[0]
    assert second.name in problems[1] and "missing" in problems[1]
    result = CliRunner().invoke(app, ["data", "validate", str(folder)])
    assert result.exit_code == 1 and "2 problems" in result.output


def test_rows_that_contradict_the_description(folder):
    edit(folder, lambda corpus: corpus["facts"][0].update(label_names=["other", "names"]))
    problems = validate(folder).problems
    assert problems and all(
        "is not one of ['other', 'names']" in line or "more of this kind" in line for line in problems
    )
    edit(folder, lambda corpus: corpus["facts"][0].update(name="somebody else's"))
    assert any("is not described" in line for line in validate(folder).problems)
    edit(folder, lambda corpus: corpus["shards"][0].update(rows=99))
    assert any("were written" in line for line in validate(folder).problems)


def test_a_foreign_folder_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="is not a prepared corpus"):
        validate(tmp_path)


@pytest.mark.parametrize(
    ("name", "region"),
    [("Fp1", "frontal"), ("AFz", "frontal"), ("F7", "frontal"), ("FT7", "temporal"), ("T8", "temporal")]
    + [("FCz", "central"), ("Cz", "central"), ("P3", "parietal"), ("PO7", "occipital"), ("Oz", "occipital")]
    + [("CB1", None), ("M1", None)],
)
def test_regions(name, region):
    assert region_of(name) == region


def test_spectra_say_where_a_rhythm_is(prepared):
    (trials,) = open_corpora([prepared()])
    montage = trials.ch_names[0]
    time = np.arange(1000) / trials.sampling_rate

    def signal(index):
        return np.array([10 * np.sin(2 * np.pi * 10 * time) * (region_of(name) == "occipital") for name in montage])

    trials.signal = signal
    trials.n_samples = np.full(len(trials), 1000)
    frequencies, spectra = region_spectra(trials)
    power = {region: density[np.argmin(abs(frequencies - 10))] for region, density in spectra.items()}
    assert power.pop("occipital") > 10 and all(value == 0 for value in power.values())


def test_the_picture_is_drawn(folder, tmp_path):
    result = CliRunner().invoke(app, ["data", "inspect", str(folder), "--out", str(tmp_path / "toy.png")])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "toy.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_that_cannot_be_is_refused(folder, tmp_path):
    with pytest.raises(ConfigurationError, match="of no format that pictures have"):
        draw_corpus(folder, tmp_path / "toy.foo")
    with pytest.raises(ConfigurationError, match="does not exist"):
        draw_corpus(folder, tmp_path / "nowhere" / "toy.png")


def test_pictures_of_versions_of_a_corpus_are_two(folder, tmp_path, monkeypatch):
    for name in ("toy.v1", "toy.v2"):
        shutil.copytree(folder, tmp_path / name)
        assert CliRunner().invoke(app, ["data", "inspect", str(tmp_path / name)]).exit_code == 0
        assert (tmp_path / f"{name}.png").exists()
    monkeypatch.chdir(tmp_path / "toy.v1")
    assert CliRunner().invoke(app, ["data", "inspect", "."]).exit_code == 0


@pytest.mark.parametrize("stated", [{"shards": [], "facts": [{}]}, {"facts": []}, ["neither"]])
def test_records_that_lack_what_a_corpus_says_are_of_none(tmp_path, stated):
    (tmp_path / "corpus.json").write_text(json.dumps(stated), encoding="utf-8")
    with pytest.raises(CorpusError, match="is not a prepared corpus"):
        validate(tmp_path)
