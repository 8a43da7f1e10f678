"""One commit, whatever goes wrong on the way: nothing lost, nothing twice, nothing half."""

import itertools
import json

import pytest
from hub_server import Entry, Repo

from mdjpt_hf.errors import ChecksumError, HubError
from mdjpt_hf.sharing.hub.files import SharedFile, with_checksums
from mdjpt_hf.sharing.hub.upload import WAITS, Destination, push

NAME = "user/thing"


def some_files(tmp_path, **contents):
    """A large file, a small one, a picture, a card, and enough others for a tree of several pages."""
    weights = tmp_path / "weights"
    weights.write_bytes(contents.pop("weights", b"w" * 3000))
    contents = {"README": "---\nlicense: mit\n---\n", "config": "{}", **contents}
    suffixes = {"README": "md", "config": "json"}
    files = [SharedFile(f"{name}.{suffixes.get(name, 'py')}", text.encode()) for name, text in contents.items()]
    files += [SharedFile(f"figures/{number}.png", b"\x89PNG%d" % number) for number in range(12)]
    return with_checksums([*files, SharedFile("model.safetensors", weights)])


def contents(files):
    return {file.path: file.source if isinstance(file.source, bytes) else file.source.read_bytes() for file in files}


def holds(repo: Repo, files, revision="main"):
    found = repo.files(revision)
    found.pop(".gitattributes")
    return found == contents(files)


def test_one_commit_holds_everything(hub, tmp_path):
    files = some_files(tmp_path)
    done = push(files, Destination(NAME), "first")
    repo = hub.repo(NAME)
    assert holds(repo, files) and repo.titles() == ["first"] and not repo.private
    assert done.commit == repo.refs["main"] and done.url == f"{hub.url}/{NAME}"
    assert done.files == {path: len(content) for path, content in contents(files).items()}


def test_pushing_the_same_again_commits_nothing(hub, tmp_path):
    for _ in range(2):
        done = push(some_files(tmp_path), Destination(NAME), "same")
    assert hub.repo(NAME).titles() == ["same"] and done.commit == hub.repo(NAME).refs["main"]


def test_files_of_the_last_push_go_and_those_of_others_stay(hub, tmp_path):
    push(some_files(tmp_path, old="1", kept="2"), Destination(NAME), "first")
    repo = hub.repo(NAME)
    repo.refs["main"] = repo.add(repo.refs["main"], "by hand", {**repo.at("main").files, "notes.txt": Entry(b"mine")})
    push(some_files(tmp_path, kept="3"), Destination(NAME), "second")
    assert repo.titles() == ["second", "by hand", "first"]
    assert {"kept.py", "notes.txt"} <= set(repo.files()) and "old.py" not in repo.files()
    assert repo.files()["kept.py"] == b"3"


def test_a_record_that_is_no_record_deletes_nothing(hub, tmp_path):
    push(some_files(tmp_path, old="1"), Destination(NAME), "first")
    repo = hub.repo(NAME)
    edited = {**repo.at("main").files, "checksums.json": Entry(b"not JSON")}
    repo.refs["main"] = repo.add(repo.refs["main"], "by hand", edited)
    push(some_files(tmp_path), Destination(NAME), "second")
    assert "old.py" in repo.files()


def test_branches_and_pull_requests_leave_main_alone(hub, tmp_path):
    files = some_files(tmp_path)
    push(files, Destination(NAME, revision="trial"), "on a branch")
    assert holds(hub.repo(NAME), files, "trial") and hub.repo(NAME).titles() == []
    proposed = push(files, Destination(NAME, create_pr=True), "proposed")
    assert holds(hub.repo(NAME), files, "refs/pr/1") and hub.repo(NAME).titles() == []
    assert proposed.url.endswith("/discussions/1")


def test_private_repositories(hub, tmp_path):
    push(some_files(tmp_path), Destination(NAME, private=True), "hidden")
    assert hub.repo(NAME).private
    push(some_files(tmp_path), Destination("user/open"), "open")
    with pytest.raises(HubError, match="exists and is public; nothing was sent"):
        push(some_files(tmp_path, more="1"), Destination("user/open", private=True), "hidden")
    assert hub.repo("user/open").titles() == ["open"]


@pytest.mark.parametrize(
    "to", [Destination("thing"), Destination("a/b/c"), Destination(NAME, "model", False, "x", True)]
)
def test_impossible_destinations_are_refused_unasked(hub, tmp_path, to):
    with pytest.raises(HubError):
        push(some_files(tmp_path), to, "no")
    assert not hub.calls


def test_a_dry_run_speaks_to_nobody(hub, tmp_path, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    files = some_files(tmp_path)
    done = push(files, Destination(NAME), "no", dry_run=True)
    assert not hub.calls and not done.commit
    assert "3,000  model.safetensors" in str(done) and "nothing was sent" in str(done)


def test_what_must_fail_is_not_begun(hub, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match="HF_HUB_OFFLINE"):
        push(some_files(tmp_path), Destination(NAME), "no")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("mdjpt_hf.sharing.hub.upload.get_token", lambda: None)
    with pytest.raises(HubError, match="hf auth login"):
        push(some_files(tmp_path), Destination(NAME), "no")
    assert not hub.calls


# --- faults

#: What a push calls, in its order, with how often.
CALLED = {
    "create": 1,
    "info": 1,
    "tree": 5,
    "resolve": 1,
    "validate-yaml": 1,
    "preupload": 1,
    "lfs-batch": 1,
    "lfs-put": 1,
    "lfs-verify": 1,
    "commit": 1,
}
#: A commit is looked for, not asked for again; the others have nothing in their answer that could be cut off.
HARMLESS = {("commit", "truncate"), ("lfs-put", "truncate")}
EVERY_CALL = [(endpoint, at) for endpoint, count in CALLED.items() for at in range(1, count + 1)]


def second_push(hub, tmp_path):
    """A push over an earlier one, so that every endpoint is called."""
    push(some_files(tmp_path, old="1"), Destination(NAME), "first")
    hub.calls.clear()
    return some_files(tmp_path, weights=b"v" * 3000)


def test_every_call_is_known(hub, tmp_path):
    push(second_push(hub, tmp_path), Destination(NAME), "second")
    called = [endpoint for endpoint, *_ in hub.calls if endpoint != "unknown"]
    assert {endpoint: called.count(endpoint) for endpoint in called} == CALLED


@pytest.mark.parametrize("kind", ["503", "reset", "truncate"])
@pytest.mark.parametrize(("endpoint", "at"), EVERY_CALL)
def test_a_call_that_fails_once_changes_nothing(hub, tmp_path, endpoint, at, kind):
    files = second_push(hub, tmp_path)
    hub.fault(endpoint, kind, at=at)
    done = push(files, Destination(NAME), "second")
    repo = hub.repo(NAME)
    assert holds(repo, files) and repo.titles() == ["second", "first"]
    assert done.commit == repo.refs["main"]
    assert hub.faults[0].seen >= at  # it did strike
    if (endpoint, kind) not in HARMLESS:
        assert hub.faults[0].seen > at  # and the call was made again


@pytest.mark.parametrize("endpoint", ["create", "commit", "lfs-put", "lfs-verify"])
def test_an_answer_that_is_lost(hub, tmp_path, endpoint):
    files = second_push(hub, tmp_path)
    hub.fault(endpoint, "lost")
    done = push(files, Destination(NAME), "second")
    repo = hub.repo(NAME)
    assert holds(repo, files) and repo.titles() == ["second", "first"] and done.commit == repo.refs["main"]
    if endpoint == "commit":
        assert hub.count("commit") == 1  # found by looking, not by asking for it again


def test_a_lost_answer_and_a_blind_look(hub, tmp_path):
    """The look after the lost answer fails too: the commit is still not made twice."""
    files = second_push(hub, tmp_path)
    hub.fault("commit", "lost")
    hub.fault("info", "503", at=2, times=2)
    push(files, Destination(NAME), "second")
    assert hub.repo(NAME).titles() == ["second", "first"]


def test_a_lost_answer_to_a_pull_request(hub, tmp_path):
    files = some_files(tmp_path)
    push(some_files(tmp_path, old="1"), Destination(NAME, create_pr=True), "proposed")
    hub.fault("commit", "lost")
    done = push(files, Destination(NAME, create_pr=True), "proposed")
    assert len(hub.repo(NAME).pulls) == 2 and done.url.endswith("/discussions/2")
    assert holds(hub.repo(NAME), files, "refs/pr/2")


def test_an_older_pull_request_is_not_taken_for_the_new_one(hub, tmp_path):
    for _ in range(2):
        hub.fault("commit", "503")
        done = push(some_files(tmp_path), Destination(NAME, create_pr=True), "proposed")
    assert len(hub.repo(NAME).pulls) == 2 and done.url.endswith("/discussions/2")


def test_slow_answers_are_waited_for(hub, tmp_path):
    files = some_files(tmp_path)
    for endpoint in ("commit", "lfs-put"):
        hub.fault(endpoint, "slow")
    push(files, Destination(NAME), "slow")
    assert holds(hub.repo(NAME), files)


@pytest.mark.parametrize("endpoint", ["create", "info", "validate-yaml", "preupload", "lfs-put", "commit"])
def test_a_hub_that_stays_down_keeps_its_old_files(hub, tmp_path, endpoint):
    files = second_push(hub, tmp_path)
    before = hub.repo(NAME).files()
    hub.fault(endpoint, "503", times=1000)
    with pytest.raises(HubError, match="503") as error:
        push(files, Destination(NAME), "second")
    assert "the same command tries again" in error.value.remedy
    assert hub.repo(NAME).files() == before and hub.repo(NAME).titles() == ["first"]
    if endpoint == "commit":
        assert hub.count("commit") == 1 + len(WAITS)
    hub.faults.clear()
    push(files, Destination(NAME), "second")
    assert holds(hub.repo(NAME), files)


def test_a_hub_that_cannot_be_reached(hub, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    with pytest.raises(HubError, match="refused") as error:
        push(some_files(tmp_path), Destination(NAME), "no")
    assert "the same command tries again" in error.value.remedy and not hub.calls


def test_waiting_grows(hub, tmp_path, monkeypatch):
    waited = []
    monkeypatch.setattr("mdjpt_hf.sharing.hub.upload.time.sleep", waited.append)
    hub.fault("create", "503", times=1000)
    with pytest.raises(HubError):
        push(some_files(tmp_path), Destination(NAME), "no")
    assert waited == list(WAITS) and all(later >= 2 * earlier for earlier, later in itertools.pairwise(waited))


def test_refusals_are_not_repeated(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_somebody")
    with pytest.raises(HubError, match="401") as error:
        push(some_files(tmp_path), Destination(NAME), "no")
    assert "hf auth login" in error.value.remedy and hub.count("create") == 1


def test_a_card_the_hub_refuses(hub, tmp_path):
    files = some_files(tmp_path, README="---\nvalue: !!python/object:x\n---\n")
    with pytest.raises(HubError, match="not plain YAML"):
        push(files, Destination(NAME), "no")
    assert hub.repo(NAME).titles() == [] and hub.count("commit") == 0


def test_a_commit_of_somebody_else_is_not_overwritten(hub, tmp_path):
    files = second_push(hub, tmp_path)
    repo = hub.repo(NAME)

    def race():
        repo.refs["main"] = repo.add(repo.refs["main"], "theirs", repo.at("main").files)

    hub.before_commit = race
    with pytest.raises(HubError, match="Somebody else"):
        push(files, Destination(NAME), "second")
    assert repo.titles() == ["theirs", "first"]


@pytest.mark.parametrize(("endpoint", "path"), [("lfs-put", "model.safetensors"), ("commit", "README.md")])
def test_files_that_arrive_changed_are_noticed(hub, tmp_path, endpoint, path):
    hub.fault(endpoint, "flip")
    files = [file for file in some_files(tmp_path) if not file.path.startswith("figures/")]
    with pytest.raises(ChecksumError) as error:
        push(files, Destination(NAME), "changed on the way")
    assert len(error.value.value) == 1 and str(error.value.value[0]) in str(error.value)
    assert (error.value.value[0] == path) or endpoint == "commit"


def test_the_record_names_every_file_but_the_card(tmp_path):
    record = json.loads(some_files(tmp_path)[-1].source)
    assert "model.safetensors" in record and not {"README.md", "checksums.json"} & set(record)
    assert record["config.json"] == {
        "sha256": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        "bytes": 2,
    }
