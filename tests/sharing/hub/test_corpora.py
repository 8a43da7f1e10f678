"""A prepared corpus on its way to the Hub: only where its terms allow it, and the same rows come back."""

import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from datasets import load_from_disk
from huggingface_hub import DatasetCard
from typer.testing import CliRunner

from mdjpt_hf.cli import app
from mdjpt_hf.data_scripts import BUILDERS, builder_class
from mdjpt_hf.data_scripts.downloaded import DownloadedCorpus
from mdjpt_hf.errors import CorpusError, LicenceError
from mdjpt_hf.schema import TRIAL_FEATURES
from mdjpt_hf.sharing.hub import push_corpus
from mdjpt_hf.sharing.hub.corpora import check_terms

NAME = "user/corpus"
DOWNLOADED = [name for name in BUILDERS if issubclass(builder_class(name), DownloadedCorpus)]
OPEN = {"emoeeg_mc", "eegemotions27"}


def facts(folder, **changes):
    """Rewrite the facts of a prepared folder."""
    corpus = json.loads((folder / "corpus.json").read_text())
    corpus["facts"] = [{**entry, **changes} for entry in corpus["facts"]]
    (folder / "corpus.json").write_text(json.dumps(corpus))
    return folder


def test_shards_card_and_metadata_in_one_commit(hub, prepared):
    folder = facts(prepared(), licence_id="cc0-1.0", citation="@misc{toy}", redistribution="we made it")
    push_corpus(folder, NAME)
    repo = hub.repo(NAME, "dataset")
    pushed = repo.files()
    shards = [path for path in pushed if path.startswith("data/")]
    assert shards == [f"data/train-{number:05d}-of-00012.parquet" for number in range(12)]
    assert set(pushed) - set(shards) == {"README.md", "corpus.json", "trials.arrow", "checksums.json", ".gitattributes"}
    assert len(repo.titles()) == 1
    card = DatasetCard(pushed["README.md"].decode())
    assert card.data.license == "cc0-1.0"
    assert card.data.to_dict()["configs"][0]["data_files"] == [{"split": "train", "path": "data/train-*"}]
    for told in (
        "| toy | toy corpus | 3 | 12 | 2.4 |",
        "CC0-1.0. we made it.",
        "@misc{toy}",
        "0 a, 1 b",
        "meant to evoke",
    ):
        assert told in card.text, told
    assert all(f"| `{column}` | " in card.text for column in TRIAL_FEATURES) and "$" not in card.text


def test_names_of_source_files_stay_here(hub, prepared):
    folder = prepared()
    corpus = json.loads((folder / "corpus.json").read_text())
    corpus["options"] |= {"files": [["anna_karenina.cnt", 1, 1]], "table": "ab12", "preprocessing": {"preset": "none"}}
    (folder / "corpus.json").write_text(json.dumps(corpus))
    report = json.loads((folder / "report.json").read_text())
    report["units"][0] |= {"notes": ["anna_karenina.cnt: resampled"], "rejected": ["anna_karenina.cnt: silent"]}
    (folder / "report.json").write_text(json.dumps(report))
    push_corpus(folder, NAME)
    pushed = hub.repo(NAME, "dataset").files()
    assert not [path for path, content in pushed.items() if b"anna" in content or str(folder).encode() in content]
    assert json.loads(pushed["corpus.json"])["options"] == {"seed": 0, "preprocessing": {"preset": "none"}}
    assert b"1 trials were left out" in pushed["README.md"] and b"- preset: none" in pushed["README.md"]


def test_fewer_shards_leave_no_old_ones(hub, prepared):
    push_corpus(prepared(), NAME)
    push_corpus(prepared("two", shown={("s1", 1): ["a", "b"]}), NAME)
    shards = [path for path in hub.repo(NAME, "dataset").files() if path.startswith("data/")]
    assert shards == [f"data/train-{number:05d}-of-00002.parquet" for number in range(2)]  # of two trials


# --- terms


@pytest.mark.parametrize("name", DOWNLOADED)
def test_every_published_corpus_says_whether_it_may_be_passed_on(name):
    about = builder_class(name).about
    assert about.redistribution and about.redistributable == (name in OPEN) and not about.own
    entry = {field: getattr(about, field) for field in ("name", "licence", "redistribution", "redistributable", "own")}
    if name in OPEN:
        return check_terms([entry])
    for options in ({}, {"private": True}, {"holds_licence": True}, {"licence": "cc0-1.0"}):
        with pytest.raises(LicenceError) as error:
            check_terms([entry], **options)
        assert about.licence in str(error.value) and about.redistribution in str(error.value)
        assert "--i-hold-the-licence" in error.value.remedy
    check_terms([entry], private=True, holds_licence=True)


def test_one_restricted_corpus_among_open_ones_is_enough(hub, prepared):
    folder = prepared()
    corpus = json.loads((folder / "corpus.json").read_text())
    corpus["facts"].append({**corpus["facts"][0], "name": "closed", "redistributable": False})
    (folder / "corpus.json").write_text(json.dumps(corpus))
    with pytest.raises(LicenceError, match="closed may not be passed on"):
        push_corpus(folder, NAME)
    assert not hub.calls


def test_recordings_of_ones_own_need_a_licence(hub, prepared):
    folder = facts(prepared(), own=True, redistributable=False, licence="no licence is given")
    with pytest.raises(LicenceError, match="no licence is named") as error:
        push_corpus(folder, NAME, private=True, holds_licence=True)
    assert "codes, not names" in error.value.remedy and not hub.calls
    push_corpus(folder, NAME, licence="cc-by-4.0")
    card = DatasetCard(hub.repo(NAME, "dataset").files()["README.md"].decode())
    assert card.data.license == "cc-by-4.0" and "`cc-by-4.0`, named by the owner" in card.text


def test_a_private_push_never_lands_in_a_public_repository(hub, prepared):
    push_corpus(prepared(), NAME)
    closed = facts(prepared("closed"), redistributable=False)
    from mdjpt_hf.errors import HubError

    with pytest.raises(HubError, match="is public; nothing was sent"):
        push_corpus(closed, NAME, private=True, holds_licence=True)
    assert len(hub.repo(NAME, "dataset").titles()) == 1


@pytest.mark.parametrize("content", [None, "{", "{}", '{"facts": [], "package_version": "1", "options": {}}'])
def test_a_folder_that_does_not_say_what_it_is(hub, prepared, content):
    folder = prepared()
    if content is None:
        (folder / "corpus.json").unlink()
    else:
        (folder / "corpus.json").write_text(content)
    with pytest.raises(CorpusError):
        push_corpus(folder, NAME)
    assert not hub.calls


def test_the_command(hub, prepared):
    folder = facts(prepared(), redistributable=False)

    def call(*options):
        return CliRunner().invoke(app, ["data", "push", str(folder), NAME, *options])

    assert isinstance(call().exception, LicenceError) and not hub.calls
    printed = call("--private", "--i-hold-the-licence", "--dry-run")
    assert not hub.calls and "data/train-00000-of-00012.parquet" in printed.output
    assert call("--private", "--i-hold-the-licence").exit_code == 0
    assert hub.repo(NAME, "dataset").private


# --- the rows come back

READER = """
    import json
    import os
    import sys

    from datasets import load_dataset

    rows = load_dataset("user/corpus", split="train")
    seen = {"features": json.dumps(rows.features.to_dict()), "rows": [dict(row) for row in rows]}
    if "HF_HUB_OFFLINE" not in os.environ:
        seen["streamed"] = [dict(row) for row in load_dataset("user/corpus", split="train", streaming=True)]
    json.dump(seen, open(sys.argv[1], "w"))
"""


def test_load_dataset_opens_and_streams_it(hub, online, prepared, tmp_path):
    folder = prepared(seconds=1.0)
    push_corpus(folder, NAME)
    wanted = json.loads(json.dumps([dict(row) for row in load_from_disk(str(folder))]))

    def read(output, **changes):
        command = [sys.executable, "-I", "-c", textwrap.dedent(READER), output]
        done = subprocess.run(
            command, cwd=tmp_path, env={**online, **changes}, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        return json.loads((tmp_path / output).read_text())

    hub.fault("storage", "truncate", method="GET")
    found = read("online.json")
    assert found["features"] == json.dumps(TRIAL_FEATURES.to_dict())
    hub.calls.clear()
    offline = read("offline.json", HF_HUB_OFFLINE="1")
    assert not hub.calls
    for rows in (found["rows"], found["streamed"], offline["rows"]):
        assert repr(rows) == repr(wanted)  # NaN is not equal to itself
    assert np.isfinite(wanted[0]["signal"]).all()
