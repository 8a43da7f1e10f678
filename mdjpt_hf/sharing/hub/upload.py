"""One commit to the Hub: repeated until it is known to be there, then compared with what is here.

The client of the Hub repeats some calls by itself, but not the commit, nor the making of a repository. Here every call
is repeated while its failure may pass. A commit whose answer is lost may have happened all the same: before it is
repeated, the repository is looked at. A commit is all or nothing, so a repository is never half new.
"""

import contextlib
import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants, get_token
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

from mdjpt_hf.errors import ChecksumError, HubError, MDJPTError
from mdjpt_hf.sharing.hub.files import CHECKSUMS_FILE, SharedFile, recorded_paths, write_folder
from mdjpt_hf.version import __version__

#: Seconds before each repetition of a call that failed; the client's own repetitions come on top.
WAITS = (1.0, 2.0, 4.0, 8.0)
_PASSING = {408, 425, 429, 500, 502, 503, 504}
_CONFLICT = 412
_REPO_ID = re.compile(r"[\w.-]+/[\w.-]+")
_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Destination:
    """Where a commit goes.

    Attributes:
        repo_id: `user/name`.
        kind: `model`, `dataset` or `space`.
        private: The repository must be private; one that exists and is public is refused.
        revision: Branch, made if need be; empty for the main one.
        create_pr: Propose the commit as a pull request to the main branch.
    """

    repo_id: str
    kind: str = "model"
    private: bool = False
    revision: str = ""
    create_pr: bool = False

    @property
    def branch(self) -> str:
        """The branch, by its name."""
        return self.revision or constants.DEFAULT_REVISION

    def check(self) -> None:
        """Refuse what cannot work, without asking the Hub.

        Raises:
            HubError: If the name is not `user/name`, or the options contradict each other.
        """
        if not _REPO_ID.fullmatch(self.repo_id):
            raise HubError(
                f"{self.repo_id!r} is not the name of a repository", value=self.repo_id, remedy="Write user/name"
            )
        if self.create_pr and self.revision not in ("", constants.DEFAULT_REVISION):
            raise HubError(
                "a pull request cannot go to a branch as well",
                value=self.revision,
                remedy="Give either --create-pr or --revision",
            )

    def check_access(self) -> None:
        """Refuse to begin what must fail for want of network or token; nothing is asked of the Hub.

        Raises:
            HubError: If the Hub's client is switched off, or has no token.
        """
        if constants.HF_HUB_OFFLINE:
            raise HubError("HF_HUB_OFFLINE is set, so nothing can be sent", remedy="Unset it")
        if not get_token():
            raise HubError(
                "no token of the Hub is known here",
                remedy="Run `hf auth login` with a token that may write, or set HF_TOKEN",
            )


@dataclass(frozen=True)
class Pushed:
    """What was sent, or would be.

    Attributes:
        repo_id, kind: The repository.
        files: Path -> bytes.
        commit: Empty if nothing was sent.
        url: The page of the repository or of the pull request; empty if nothing was sent.
        folder: Where the files were written instead.
    """

    repo_id: str
    kind: str
    files: dict[str, int]
    commit: str = ""
    url: str = ""
    folder: Path | None = None

    def __str__(self) -> str:
        lines = [f"{size:>12,}  {path}" for path, size in self.files.items()]
        total = f"{len(self.files)} files, {sum(self.files.values()):,} bytes"
        state = f"{self.url} holds it, commit {self.commit[:12]}, compared" if self.commit else "nothing was sent"
        if self.folder:
            state = f"written to {self.folder}, {state}"
        return "\n".join([f"{self.kind} {self.repo_id}", *lines, f"{total}; {state}"])


def push(
    files: Sequence[SharedFile],
    to: Destination,
    message: str,
    dry_run: bool = False,
    folder: str | Path | None = None,
) -> Pushed:
    """Send files as one commit, and compare what then lies on the Hub with what lies here.

    Files of the last push that are not among these are deleted by the same commit; files others put there stay.

    Args:
        files: From [`with_checksums`].
        to (`Destination`): Where.
        message (`str`): Title of the commit.
        dry_run (`bool`): Only say what would be sent; the Hub is not spoken to.
        folder: Write the files there, as they would stand on the Hub; the Hub is not spoken to.

    Raises:
        HubError: If the Hub refuses or stays out of reach; the repository then holds the old files or the new, whole.
            If the folder holds something already.
        ChecksumError: If files on the Hub are not those sent.
    """
    to.check()
    sizes = {file.path: file.size for file in files}
    if dry_run:
        return Pushed(to.repo_id, to.kind, sizes)
    if folder:
        write_folder(files, Path(folder))
        return Pushed(to.repo_id, to.kind, sizes, folder=Path(folder))
    to.check_access()
    api = HfApi(library_name="mdjpt-hf", library_version=__version__)
    with _hub_errors(to):
        parent = _open_repository(api, to)
        commit, url = _commit(api, to, parent, files, message)
        differing = _differences(api, to, commit, files)
    if differing:
        raise ChecksumError(
            f"{to.repo_id} at {commit[:12]}: not what was sent: {', '.join(differing)}",
            value=differing,
            remedy="Push again; do not use that commit",
        )
    return Pushed(to.repo_id, to.kind, sizes, commit, url)


def _open_repository(api: HfApi, to: Destination) -> str:
    """Make the repository and the branch where they are missing; the commit to build on."""
    where: dict[str, Any] = {"repo_id": to.repo_id, "repo_type": to.kind}
    sdk = "gradio" if to.kind == "space" else None
    repeated(lambda: api.create_repo(**where, private=to.private or None, exist_ok=True, space_sdk=sdk))
    info = repeated(lambda: api.repo_info(**where))
    if to.private and not info.private:
        raise HubError(
            f"{to.repo_id} exists and is public; nothing was sent",
            value=to.repo_id,
            remedy="Make it private on the Hub, or choose another name",
        )
    if to.branch == constants.DEFAULT_REVISION:
        return str(info.sha)
    repeated(lambda: api.create_branch(**where, branch=to.branch, exist_ok=True))
    return _head(api, to, to.branch)


def _head(api: HfApi, to: Destination, revision: str) -> str:
    """The newest commit of a branch."""
    return str(repeated(lambda: api.repo_info(to.repo_id, repo_type=to.kind, revision=revision)).sha)


def _commit(api: HfApi, to: Destination, parent: str, files: Sequence[SharedFile], message: str) -> tuple[str, str]:
    """The commit's id and the page to look at."""
    outdated = _outdated(api, to, parent, files)
    earlier = _proposals(api, to, message) if to.create_pr else set()
    # The same operations serve every attempt: what was uploaded once is not uploaded again.
    operations: list[Any] = [CommitOperationAdd(file.path, file.source) for file in files]
    operations += [CommitOperationDelete(path, is_folder=False) for path in outdated]

    def attempt() -> tuple[str, str]:
        done = api.create_commit(
            to.repo_id,
            operations,
            commit_message=message,
            repo_type=to.kind,
            revision=to.branch,
            create_pr=to.create_pr,
            parent_commit=parent,  # nobody else's commit is overwritten, and no repetition commits twice
        )
        return done.oid, done.pr_url or _page(api, to)

    def look() -> tuple[str, str] | None:
        if to.create_pr:
            candidates = sorted(_proposals(api, to, message) - earlier)
            pages = {f"refs/pr/{number}": f"{_page(api, to)}/discussions/{number}" for number in candidates}
        else:
            pages = {to.branch: _page(api, to)}
        for revision, page in pages.items():
            found = _head(api, to, revision)
            if not _differences(api, to, found, files, outdated):
                return found, page
        return None

    return repeated(attempt, look)


def _outdated(api: HfApi, to: Destination, parent: str, files: Sequence[SharedFile]) -> list[str]:
    """Files of the last push that this one no longer has: old shards would otherwise be read with the new ones."""
    present = {entry.path for entry in _tree(api, to, parent)}
    if CHECKSUMS_FILE not in present:
        return []
    address = f"{_page(api, to)}/resolve/{parent}/{CHECKSUMS_FILE}"

    def read() -> bytes:
        answer = get_session().get(address, headers=build_hf_headers(), follow_redirects=True)
        hf_raise_for_status(answer)
        return answer.content

    return sorted((recorded_paths(repeated(read)) & present) - {file.path for file in files})


def _proposals(api: HfApi, to: Destination, title: str) -> set[int]:
    """Numbers of the pull requests with this title."""
    listed = repeated(lambda: list(api.get_repo_discussions(to.repo_id, repo_type=to.kind)))
    return {entry.num for entry in listed if entry.is_pull_request and entry.title == title}


def _differences(
    api: HfApi, to: Destination, revision: str, files: Sequence[SharedFile], absent: Sequence[str] = ()
) -> list[str]:
    """Paths that are missing on the Hub, differ there, or should be gone."""
    remote = {entry.path: entry for entry in _tree(api, to, revision)}
    differing = [file.path for file in files if not _same(file, remote.get(file.path))]
    return differing + [path for path in absent if path in remote]


def _same(file: SharedFile, remote: RepoFile | None) -> bool:
    if remote is None:
        return False
    return remote.lfs.sha256 == file.sha256 if remote.lfs else remote.blob_id == file.git_sha1


def _tree(api: HfApi, to: Destination, revision: str) -> list[RepoFile]:
    def read() -> list[RepoFile]:
        listed = api.list_repo_tree(to.repo_id, recursive=True, revision=revision, repo_type=to.kind)
        return [entry for entry in listed if isinstance(entry, RepoFile)]

    return repeated(read)


def _page(api: HfApi, to: Destination) -> str:
    return f"{api.endpoint}/{constants.REPO_TYPES_URL_PREFIXES.get(to.kind, '')}{to.repo_id}"


# --- failures ------------------------------------------------------------------------------------------------------


def repeated(call: Callable[[], _Answer], look: Callable[[], _Answer | None] = lambda: None) -> _Answer:
    """Call until it succeeds, waiting longer each time, as long as failures are of the kind that passes.

    Args:
        call: What to do.
        look: Whether it was done although the call failed: the answer, or None. Asked after every failure that may
            have come too late.
    """
    for wait in (*WAITS, None):
        try:
            return call()
        except Exception as error:
            if not _may_pass(error) and _status(error) != _CONFLICT:
                raise
            if wait is not None:
                time.sleep(wait)
            if (answer := look()) is not None:
                return answer
            if wait is None or _status(error) == _CONFLICT:
                raise
    raise AssertionError("unreachable")


def _http_errors(name: str, *others: type[Exception]) -> tuple[type[Exception], ...]:
    """An error of the HTTP library that the Hub's client uses: httpx2 from 2.0 on, httpx before. And others."""
    libraries = (sys.modules.get(library) for library in ("httpx", "httpx2"))  # the client has loaded its own
    return (*(getattr(library, name) for library in libraries if library is not None), *others)


def _may_pass(error: BaseException | None) -> bool:
    """Whether the failure, or what caused it, is the network's or a busy server's."""
    while error is not None:
        if _status(error) in _PASSING or isinstance(error, _http_errors("TransportError", json.JSONDecodeError)):
            return True  # a busy gateway answers with a page where JSON is expected
        if isinstance(error, RuntimeError) and "client has been closed" in str(error):
            return True  # one thread of a download could not connect, and the client was closed for all of them
        error = error.__cause__ or error.__context__
    return False


def _status(error: BaseException) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return "the answer is not JSON, as when a busy server or a proxy sends a page of its own (often with a 503)"
    return " ".join(" ".join(str(part).split()) for part in (error, error.__cause__) if part)


@contextlib.contextmanager
def _hub_errors(to: Destination) -> Iterator[None]:
    """Every failure of the client as a HubError with a remedy."""
    remedies = {
        401: "Run `hf auth login` with a token that may write to this repository",
        403: "Use a token that may write to this repository",
        404: "Check the name, and that your token may see it",
        _CONFLICT: "Somebody else has changed the repository meanwhile: look at it, then push again",
    }
    try:
        yield
    except MDJPTError:
        raise
    except _http_errors("HTTPError", HfHubHTTPError, OSError, RuntimeError, ValueError) as error:
        remedy = "The repository holds the old files or the new, whole; the same command tries again"
        raise HubError(
            f"{to.kind} {to.repo_id}: {_reason(error)}",
            value=_status(error),
            remedy=remedies.get(_status(error) or 0, remedy),
        ) from error
