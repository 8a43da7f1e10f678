"""All corpora: registered, described, and named by the command line."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

import mdjpt_hf
from mdjpt_hf.cli import app
from mdjpt_hf.data_scripts import BUILDERS, builder_class
from mdjpt_hf.data_scripts.downloaded import DownloadedCorpus
from mdjpt_hf.data_scripts.published import published
from mdjpt_hf.errors import CorpusError
from mdjpt_hf.schema import EMOTIONS, VALENCE_CLASSES

FACTS = Path(mdjpt_hf.__file__).parent / "data_scripts" / "facts"
DOWNLOADED = [name for name in BUILDERS if issubclass(builder_class(name), DownloadedCorpus)]


def test_every_published_corpus_has_a_reader():
    wanted = {"seed", "seed_iv", "seed_v", "seed_vii", "faced", "deap", "dreamer", "amigos", "emoeeg_mc"}
    wanted |= {"seed_fra", "seed_ger", "thu_ep", "bci2022", "mahnob", "refed", "eegemotions27", "gameemo", "dasps"}
    wanted |= {"eav", "mped"}
    assert set(DOWNLOADED) == wanted


@pytest.mark.parametrize("name", DOWNLOADED)
def test_every_corpus_is_described(name):
    builder = builder_class(name)
    about = builder.about
    assert about.name == name
    assert all((about.title, about.licence, about.access, about.size))
    assert about.citation.startswith("@") and ("doi" in about.citation or "url" in about.citation)
    assert about.label_names == tuple(meaning.name for meaning in builder.classes)
    assert str(builder.expected_subjects) in about.size
    for meaning in builder.classes:
        assert meaning.emotion in (None, *EMOTIONS) and meaning.valence in (None, *VALENCE_CLASSES)


def test_every_file_of_facts_belongs_to_a_corpus():
    told = {file.stem: tomllib.loads(file.read_text(encoding="utf-8")) for file in FACTS.glob("*.toml")}
    shared = {f"_{name}" for facts in told.values() for name in facts.get("shares", ())}
    assert set(told) == {*DOWNLOADED, *shared}


def test_facts_of_a_corpus_win_over_those_it_shares():
    about, classes = published("seed_ger")
    assert about.licence == published("seed")[0].licence and about.citation == published("seed_fra")[0].citation
    assert (about.label_source, about.label_names, classes) == ("none", (), ())


@pytest.mark.parametrize("name", DOWNLOADED)
def test_a_wrong_folder_says_how_to_get_the_corpus(name, tmp_path):
    (tmp_path / "readme.txt").write_text("nothing of it")
    for source in (tmp_path, tmp_path / "missing"):
        with pytest.raises(CorpusError) as error:
            builder_class(name)(source)
        assert error.value.remedy == builder_class(name).about.access
        assert str(source) in str(error.value)


def test_the_command_line_lists_them_and_cites_on_request():
    everything = CliRunner().invoke(app, ["data", "list"])
    assert everything.exit_code == 0
    assert all(f"{name}:" in everything.output for name in BUILDERS)
    assert "@" not in everything.output
    one = CliRunner().invoke(app, ["data", "list", "faced"])
    assert "CC-BY-4.0" in one.output and "@article" in one.output and "seed:" not in one.output


def test_a_source_must_be_given():
    result = CliRunner().invoke(app, ["data", "prepare", "seed", "--out", "nowhere"])
    assert result.exit_code != 0 and "--source" in str(result.exception)


def test_the_table_of_corpora_says_what_the_readers_say():
    script = Path(__file__).parents[2] / ".ci" / "corpora.py"
    done = subprocess.run([sys.executable, str(script), "--check"])
    assert done.returncode == 0, "run `python .ci/corpora.py`"
