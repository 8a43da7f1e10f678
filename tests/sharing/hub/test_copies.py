"""A byte that changed on the way, or on the disk since, is noticed."""

import json

import pytest
from hub_server import Entry
from run_folder import make_run
from typer.testing import CliRunner

from mdjpt_hf.cli import app
from mdjpt_hf.errors import ChecksumError, HubError
from mdjpt_hf.sharing.hub import push_model, push_space, verify

NAME = "user/toy"


@pytest.fixture
def shared(hub, tmp_path, monkeypatch):
    """A pushed model, and a cache of one's own to download it to."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    push_model(make_run(tmp_path / "run"), NAME)
    hub.calls.clear()
    return hub


@pytest.mark.parametrize(
    ("endpoint", "path"), [("storage", ""), ("resolve", "modeling_mdjpt.py"), ("resolve", "README.md")]
)
def test_a_flipped_byte_in_a_download(shared, endpoint, path):
    shared.fault(endpoint, "flip", method="GET", path=path)
    with pytest.raises(ChecksumError) as error:
        verify(NAME)
    assert path in str(error.value) and shared.faults[0].seen


@pytest.mark.parametrize("fault", ["503", "reset", "truncate"])
@pytest.mark.parametrize("endpoint", ["info", "tree", "resolve", "storage"])
def test_downloads_that_fail_once_are_tried_again(shared, endpoint, fault):
    if (endpoint, fault) == ("resolve", "503"):
        shared.fault(endpoint, fault, method="GET")
    else:
        shared.fault(endpoint, fault, method="GET", at=1)
    assert "model.safetensors" in verify(NAME)
    assert shared.faults[0].seen


def test_good_copies_pass_online_and_offline(shared, monkeypatch):
    checked = verify(NAME)
    assert {"model.safetensors", "config.json", "modeling_mdjpt.py", "run_record.json"} <= set(checked)
    shared.calls.clear()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    from huggingface_hub.utils import _http

    _http.close_session()
    assert verify(NAME) == checked and not shared.calls


def test_a_byte_that_changes_in_the_cache(shared, tmp_path):
    verify(NAME)
    blob = next((tmp_path / "cache").rglob("model.safetensors")).resolve()
    content = bytearray(blob.read_bytes())
    content[len(content) // 2] ^= 1
    blob.chmod(0o644)
    blob.write_bytes(content)
    with pytest.raises(ChecksumError, match="model.safetensors has SHA-256"):
        verify(NAME)


def test_what_the_hub_itself_keeps_counts_too(shared, tmp_path):
    """The card is not in the record, because people edit it on the Hub; its copy is still compared."""
    repo = shared.repo(NAME)
    repo.refs["main"] = repo.add(repo.refs["main"], "edit", {**repo.at("main").files, "README.md": Entry(b"edited")})
    verify(NAME)
    card = next((tmp_path / "cache").rglob("README.md")).resolve()
    card.chmod(0o644)
    card.write_bytes(b"edired")
    with pytest.raises(ChecksumError, match="not what the Hub holds: README.md"):
        verify(NAME)


def folder_of(hub, tmp_path):
    folder = tmp_path / "copy"
    for path, content in hub.repo(NAME).files().items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def test_folders(shared, tmp_path):
    folder = folder_of(shared, tmp_path)
    assert "model.safetensors" in verify(folder)
    (folder / "config.json").unlink()
    (folder / "loss.png").write_bytes(b"")
    with pytest.raises(ChecksumError) as error:
        verify(folder)
    assert error.value.value[0] == "config.json is missing" and "loss.png has SHA-256" in error.value.value[1]
    assert not shared.calls  # a folder asks nobody


@pytest.mark.parametrize(
    "record", [None, "{", "[]", '{"../outside": {"sha256": "ab"}}', '{"/etc/passwd": {"sha256": ""}}']
)
def test_records_that_are_none(shared, tmp_path, record):
    folder = folder_of(shared, tmp_path)
    if record is None:
        (folder / "checksums.json").unlink()
    else:
        (folder / "checksums.json").write_text(record)
    with pytest.raises(ChecksumError, match="missing or damaged"):
        verify(folder)


@pytest.mark.parametrize("name", ["user/absent", "no such folder"])
def test_what_is_not_there(hub, name):
    with pytest.raises(HubError):
        verify(name)


def test_the_command(shared, tmp_path):
    folder = folder_of(shared, tmp_path)
    good = CliRunner().invoke(app, ["verify", str(folder)])
    count = len(json.loads((folder / "checksums.json").read_text()))
    assert good.exit_code == 0 and f"{count} files are as shared" in good.output
    (folder / "config.json").write_text("{}")
    assert isinstance(CliRunner().invoke(app, ["verify", str(folder)]).exception, ChecksumError)


# --- Spaces


@pytest.fixture
def space(tmp_path):
    folder = tmp_path / "space"
    (folder / "examples").mkdir(parents=True)
    (folder / "__pycache__").mkdir()
    contents = {"README.md": "---\nsdk: gradio\n---\n", "app.py": "print()\n", "examples/one.edf": "0"}
    for path, text in {**contents, ".secret": "x", "__pycache__/app.pyc": "x"}.items():
        (folder / path).write_text(text)
    return folder


def test_a_space_is_sent_whole(hub, space):
    push_space(space, "user/app", private=True)
    repo = hub.repo("user/app", "space")
    assert set(repo.files()) == {"README.md", "app.py", "examples/one.edf", "checksums.json", ".gitattributes"}
    assert repo.private and len(repo.titles()) == 1
    (space / "examples" / "one.edf").unlink()
    result = CliRunner().invoke(app, ["push", "--space", str(space), "user/app"])
    assert result.exit_code == 0 and f"{hub.url}/spaces/user/app" in result.output
    assert "examples/one.edf" not in repo.files()


def test_what_is_no_space(hub, space):
    refused = CliRunner().invoke(app, ["push", "--space", str(space), "user/app", "--licence", "mit"])
    assert "--space takes no --licence" in str(refused.exception)
    (space / "README.md").write_text("no settings")
    with pytest.raises(HubError, match="does not open with the settings"):
        push_space(space, "user/app")
    (space / "app.py").unlink()
    with pytest.raises(HubError, match=r"lacks app.py"):
        push_space(space, "user/app")
    assert not hub.calls
