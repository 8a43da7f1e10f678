"""Open studies from an archive on this machine: sizes, resumption, checksums, terms, and faults on the way."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from mdjpt_hf.cli import app
from mdjpt_hf.data import download as module
from mdjpt_hf.data.download import RECORD, download, plan_download
from mdjpt_hf.errors import ConfigurationError, CorpusError

pytest.importorskip("nemar", reason="needs the extra [download]")

sys.path.insert(0, str(Path(__file__).parent))
from nemar_server import Archive, certificate, serve  # noqa: E402

LARGE = "sub-001/eeg/sub-001_task-watch_eeg.bdf"


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def archive(tls, monkeypatch):
    files = {
        "dataset_description.json": json.dumps({"Name": "Made up", "License": "CC BY 4.0"}).encode(),
        "README": b"read me",
        "derivatives/features/sub-000/sub-000_de.npy": b"computed",
        "code/run.py": b"print()",
    }
    for number in range(4):
        stem = f"sub-{number:03d}/eeg/sub-{number:03d}_task-watch_"
        files |= {f"{stem}eeg.bdf": np.random.default_rng(number).bytes(200_000), f"{stem}events.tsv": b"onset\n"}
    made = Archive("nm000112", files)
    server = serve(made, *tls)
    made.url = f"https://127.0.0.1:{server.server_port}/"
    monkeypatch.setenv("SSL_CERT_FILE", str(tls[0]))
    monkeypatch.setattr(module, "DATA_URL", made.url)
    yield made
    server.shutdown()
    server.server_close()


def plan(archive, out, subjects="2", **more):
    return plan_download("faced", out, subjects, data_url=archive.url, **more)


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_size_is_known_before_anything_is_fetched(archive, tmp_path):
    found = plan(archive, tmp_path / "out")
    assert found.told().startswith(
        "FACED in BIDS: film clips, 123 people; version v1.0.0; 2 of 4 subjects, 6 files, 0.4 MB"
    )
    assert found.missing == found.size > 400_000 and not archive.asked and not (tmp_path / "out").exists()


def test_subjects_are_chosen_by_number_or_name(archive, tmp_path):
    told = []
    download(plan(archive, tmp_path / "out", "sub-003"), tmp_path / "out", told.append)
    assert names(tmp_path / "out") == {
        *("dataset_description.json", "README", RECORD),
        *("sub-003/eeg/sub-003_task-watch_eeg.bdf", "sub-003/eeg/sub-003_task-watch_events.tsv"),
    }
    assert told == ["licence: CC BY 4.0 (dataset_description.json)"]
    record = json.loads((tmp_path / "out" / RECORD).read_text())
    assert record["licence"] == "CC BY 4.0" and record["version"] == "v1.0.0" and record["subjects"] == ["sub-003"]
    assert record["files"]["README"].startswith("git:")
    assert len(plan(archive, tmp_path / "x", "").subjects) == 4
    computed = plan(archive, tmp_path / "x", "1", derivatives=True)
    assert "derivatives/features/sub-000/sub-000_de.npy" in {file.path for file in computed.files}
    with pytest.raises(ConfigurationError, match="no subjects sub-9.*sub-000, sub-001"):
        plan(archive, tmp_path / "x", "sub-9")
    with pytest.raises(ConfigurationError, match="no study 'deap'.*dens, ds002721"):
        plan_download("deap", tmp_path / "x")


def test_a_connection_that_is_cut_is_taken_up_where_it_was(archive, tmp_path):
    archive.cut[LARGE] = 1
    download(plan(archive, tmp_path / "out"), tmp_path / "out", lambda line: None)
    assert (tmp_path / "out" / LARGE).read_bytes() == archive.files[LARGE]
    asked = [where for name, where in archive.asked if name == LARGE]
    assert asked[0] == "" and asked[1].startswith("bytes=1")


def test_what_is_there_is_not_fetched_again(archive, tmp_path):
    archive.gone.add(LARGE)
    with pytest.raises(CorpusError, match="cannot be downloaded .*404.*goes on from here"):
        download(plan(archive, tmp_path / "out"), tmp_path / "out", lambda line: None)
    assert not (tmp_path / "out" / RECORD).exists()
    archive.gone.clear()
    before = len(archive.asked)
    again = plan(archive, tmp_path / "out")
    download(again, tmp_path / "out", lambda line: None)
    assert LARGE in {name for name, _ in archive.asked[before:]} and "README" not in {
        n for n, _ in archive.asked[before:]
    }
    assert plan(archive, tmp_path / "out").missing == 0


def test_people_who_come_later_stand_beside_the_first_on_record(archive, tmp_path):
    out = tmp_path / "my study"
    for who in ("sub-000", "sub-002"):
        download(plan(archive, out, who), out, lambda line: None)
    record = json.loads((out / RECORD).read_text())
    assert record["subjects"] == ["sub-000", "sub-002"] and set(record["files"]) | {RECORD} == names(out)


@pytest.mark.parametrize(("entry", "value"), [("version", "0.0.1"), ("study", "nm000001")])
def test_another_study_or_version_does_not_get_into_the_folder(archive, tmp_path, entry, value):
    out = tmp_path / "out"
    download(plan(archive, out, "sub-000"), out, lambda line: None)
    (out / RECORD).write_text(json.dumps(json.loads((out / RECORD).read_text()) | {entry: value}))
    with pytest.raises(CorpusError, match=f"holds .*{value}"):
        download(plan(archive, out, "sub-001"), out, lambda line: None)
    assert not (out / "sub-001").exists()


def test_a_place_that_is_no_folder_is_told(archive, tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(ConfigurationError, match="cannot be written"):
        download(plan(archive, tmp_path / "out"), tmp_path / "out")


def test_a_file_that_is_not_the_published_one_does_not_stay(archive, tmp_path):
    archive.wrong.add(LARGE)
    with pytest.raises(CorpusError, match="Checksum mismatch"):
        download(plan(archive, tmp_path / "out"), tmp_path / "out", lambda line: None)
    assert LARGE not in names(tmp_path / "out") and "README" in names(tmp_path / "out")
    archive.wrong.clear()
    download(plan(archive, tmp_path / "out"), tmp_path / "out", lambda line: None)
    assert (tmp_path / "out" / LARGE).read_bytes() == archive.files[LARGE]


def test_a_file_that_was_changed_here_is_fetched_again(archive, tmp_path):
    download(plan(archive, tmp_path / "out"), tmp_path / "out", lambda line: None)
    (tmp_path / "out" / LARGE).write_bytes(bytes(len(archive.files[LARGE])))
    with pytest.raises(CorpusError, match="Checksum mismatch"):
        download(plan(archive, tmp_path / "out"), tmp_path / "out", lambda line: None)
    download(plan(archive, tmp_path / "out"), tmp_path / "out", lambda line: None)
    assert (tmp_path / "out" / LARGE).read_bytes() == archive.files[LARGE]


def test_a_disk_that_is_too_small_is_told_before(archive, tmp_path, monkeypatch):
    monkeypatch.setattr(module.shutil, "disk_usage", lambda place: type("Usage", (), {"free": 1000})())
    with pytest.raises(CorpusError, match="0.4 MB are missing, and 1000 bytes are free"):
        download(plan(archive, tmp_path / "out"), tmp_path / "out", lambda line: None)
    assert not archive.asked


def test_the_command_says_sizes_terms_and_what_comes_next(archive, tmp_path):
    command = ["data", "download", "faced", "--out", str(tmp_path / "out"), "--subjects", "1"]
    sized = CliRunner().invoke(app, [*command, "--dry-run"])
    assert sized.exit_code == 0 and "1 of 4 subjects" in sized.output and not (tmp_path / "out").exists()
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert done.output.index("1 of 4 subjects") < done.output.index("licence: CC BY 4.0")
    assert "mdjpt data prepare bids --rules faced --source" in done.output


def test_an_archive_that_does_not_have_it_is_an_error_in_words(archive, tmp_path):
    with pytest.raises(CorpusError, match="dens: cannot be downloaded"):
        plan_download("dens", tmp_path / "out", data_url=archive.url)
