"""Parts of a corpus that were prepared apart: together what one process makes, and refused where they do not fit."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from mdjpt_hf.cli import app
from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.data.parts import chosen_units, part_in_words
from mdjpt_hf.data.prepare import prepare
from mdjpt_hf.errors import ConfigurationError, CorpusError

SHOWN = {(f"s{number}", session): ["clip0", "clip1"] for number in range(5) for session in (1, 2)}


@pytest.fixture
def parts(tmp_path, toy_corpus):
    """Prepares shares of a corpus, each into a folder of its own in one folder."""

    def make(*chosen, **options):
        arguments = {"shown": SHOWN} | options
        return [
            prepare(
                toy_corpus(**arguments),
                tmp_path / "parts" / f"{'-'.join(options)}{one.replace('/', '-of-')}",
                progress=False,
                subjects=one,
            ).folder
            for one in chosen
        ]

    return make


def hashes(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.arrow")}


def test_shares_together_are_what_one_process_makes(parts, tmp_path, toy_corpus):
    whole = prepare(toy_corpus(shown=SHOWN), tmp_path / "whole", progress=False).folder
    made = parts("2/2", "1/2")
    (wanted,) = open_corpora([whole])
    for sources in (made, [tmp_path / "parts"], made[::-1]):
        (found,) = open_corpora(sources)
        assert found.fingerprint == wanted.fingerprint and hashes(found.folder) == hashes(whole)
        for name in ("subject", "session", "trial", "stimulus", "scales"):
            assert np.array_equal(getattr(found, name), getattr(wanted, name))
    (alone,) = open_corpora(made[:1])
    assert sorted(set(alone.subject)) == ["s1", "s3"]
    assert prepare(toy_corpus(shown=SHOWN), made[0], progress=False, subjects="2/2").built is False


def test_people_in_no_part_are_counted(parts, caplog):
    (found,) = open_corpora(parts("s4,s0", "s2"))
    assert sorted(set(found.subject)) == ["s0", "s2", "s4"]
    assert "2 of 5 subjects of toy are in no part: s1, s3" in caplog.text


def test_a_part_alone_says_that_it_is_one_and_who_is_missing(parts, caplog, tmp_path, monkeypatch):
    (share,) = parts("2/2")
    line = f"{share} is part 2/2 of toy, 2 of 5 subjects; missing are s0, s2, s4"
    ways = {
        "inspect": ["data", "inspect", str(share)],
        "validate": ["data", "validate", str(share)],
        "parquet": ["data", "parquet", str(share), "--out", str(tmp_path / "parquet")],
    }
    for way, command in ways.items():
        caplog.clear()
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0 and line in caplog.text, way
    (named,) = parts("s1,s3")
    caplog.clear()
    open_corpora([named])
    assert f"{named} is a part of toy, 2 of 5 subjects" in caplog.text
    about = json.loads((share / "corpus.json").read_text())  # as versions before wrote it
    del about["part"]["all"], about["part"]["chosen"]
    (share / "corpus.json").write_text(json.dumps(about))
    caplog.clear()
    open_corpora([share])
    assert f"{share} is a part of toy, 2 of 5 subjects" in caplog.text and "missing" not in caplog.text


def test_all_subjects_in_one_part_and_a_whole_corpus_say_nothing(parts, caplog, toy_corpus, tmp_path):
    (every,) = parts("1/1")
    for folder in (every, prepare(toy_corpus(shown=SHOWN), tmp_path / "whole", progress=False).folder):
        open_corpora([folder])
    assert "part" not in caplog.text


def test_many_who_are_missing_are_not_all_named(toy_corpus, tmp_path):
    shown = {(f"s{number:02d}", 1): ["clip0"] for number in range(20)}
    made = prepare(toy_corpus(shown=shown), tmp_path / "part", progress=False, subjects="1")
    line = part_in_words(made.folder)
    assert line.endswith(
        "1 of 20 subjects; missing are s01, s02, s03, s04, s05, s06, s07, s08, s09, s10, s11, s12 and 7 more"
    )


def test_parts_that_do_not_fit_are_refused(parts, toy_corpus, tmp_path):
    with pytest.raises(CorpusError, match="subject 's0' is in several parts: .*Leave out"):
        open_corpora(parts("1/2", "s0,s1"))
    with pytest.raises(CorpusError, match="is a part of another preparation than .*not the same are .*shown"):
        open_corpora([*parts("1/2"), *parts("2/2", shown=SHOWN | {("s9", 1): ["clip0"]})])
    with pytest.raises(CorpusError, match="comes from several folders"):
        open_corpora([*parts("1/2"), prepare(toy_corpus(shown=SHOWN), tmp_path / "whole", progress=False).folder])


def test_one_recording_in_two_parts_is_refused(parts):
    one, other = parts("1/2", "2/2")
    stored = [json.loads((folder / "corpus.json").read_text()) for folder in (one, other)]
    stored[1]["recordings"][0] |= {name: stored[0]["recordings"][0][name] for name in ("mean", "std")}
    (other / "corpus.json").write_text(json.dumps(stored[1]))
    with pytest.raises(CorpusError, match="holds a recording of subject 's1' that is subject 's0' in"):
        open_corpora([one, other])


def test_one_file_in_two_parts_is_refused_whichever_trials_are_listed(tmp_path, toy_corpus):
    """Means and deviations of other trials of the same file differ: files are compared by their signals."""

    class SameFile(toy_corpus):
        def read_unit(self, unit, report):
            if unit in ("s0", "s3"):
                report.signatures[f"{unit}.fif"] = np.random.default_rng(0).normal(0, 10, (9, 4)).tolist()
            yield from super().read_unit(unit, report)

    made = [
        prepare(SameFile(shown=SHOWN), tmp_path / one[0], progress=False, subjects=one).folder for one in ("1/2", "2/2")
    ]
    assert "signatures" not in (made[0] / "dataset_info.json").read_text()
    with pytest.raises(CorpusError, match="files hold the same signal: s0.fif of .* and s3.fif of .*List every"):
        open_corpora(made)


def test_a_part_takes_no_place_of_other_people(parts, toy_corpus, tmp_path):
    def part(subjects):
        return prepare(toy_corpus(shown=SHOWN), out, progress=False, subjects=subjects)

    out = tmp_path / "same"
    part("1/2")
    before = hashes(out)
    with pytest.raises(CorpusError, match="holds other people of the same corpus.*an --out of its own"):
        part("2/2")
    assert hashes(out) == before and part("1/2").built is False
    assert prepare(toy_corpus(shown=SHOWN), out, progress=False).built  # who is there is in the whole as well
    with pytest.raises(CorpusError, match="holds all people of the same corpus"):
        part("1/2")


def test_what_is_known_of_parts_prepared_anew_counts(parts, monkeypatch, toy_corpus):
    made = parts("1/2", "2/2")
    assert not open_corpora(made)[0].facts.get("unaligned")
    facts = toy_corpus().facts[0]
    monkeypatch.setattr(toy_corpus, "facts", [replace(facts, unaligned="unaligned: people press a key")])
    assert open_corpora(parts("1/2", "2/2"))[0].facts["unaligned"] == "unaligned: people press a key"


def test_a_part_that_is_taken_away_is_named(parts):
    made = parts("1/2", "2/2")
    (found,) = open_corpora(made)
    next(made[1].glob("*.arrow")).unlink()
    with pytest.raises(CorpusError, match="cannot be opened .*it holds 's1'"):
        open_corpora(made)


def test_what_a_text_chooses():
    units = [f"s{number}" for number in range(5)]
    assert chosen_units("3", units) == ["s0", "s1", "s2"] and chosen_units("s4, s1", units) == ["s1", "s4"]
    shares = [chosen_units(f"{number}/3", units) for number in (1, 2, 3)]
    assert sorted(sum(shares, [])) == units and shares[1] == ["s1", "s4"]
    assert chosen_units("7", ["6", "7"]) == ["7"] and chosen_units("a/1", ["a/1", "a/2"]) == ["a/1"]
    for text, told in (
        ("4/3", "no share 4/3"),
        ("s9", "no subject 's9'"),
        ("0", "chooses none"),
        ("6/6", "chooses none"),
    ):
        with pytest.raises(ConfigurationError, match=told):
            chosen_units(text, units)


def test_the_command_prepares_a_share(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = ["data", "prepare", "simulated", "--only", "sim-14", "--subjects", "sim-14/s01,sim-14/s02", "--out", "a"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    (found,) = open_corpora(["a"])
    assert sorted(set(found.subject)) == ["s01", "s02"]
