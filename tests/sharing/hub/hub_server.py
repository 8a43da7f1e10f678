"""A Hub in memory on 127.0.0.1: the endpoints its client calls, for models, datasets and Spaces, with faults to order.

    with HubServer() as hub:
        hub.fault("commit", "503")                  # the next commit is refused once
        hub.fault("resolve", "flip", path="model")  # a byte of the next download of the weights is turned over
        HfApi(endpoint=hub.url, token=TOKEN) ...
        hub.repo("user/name").files()

| fault | what the client sees |
|---|---|
| 503 | "Service Unavailable", as plain text; nothing was done |
| reset | the connection breaks; nothing was done |
| lost | it was done, then the connection breaks |
| truncate | the body ends half-way |
| flip | one byte of the body is another |
| slow | the answer takes half a second longer |
"""

import base64
import contextlib
import hashlib
import json
import re
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_loopback"
LARGE = (".safetensors", ".parquet", ".png")
DATE = "2026-01-01T00:00:00.000Z"
PAGE = 9  # entries of a page of the tree, so that every listing here has several


def git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass
class Entry:
    """A file of a commit: its bytes, or the name of its bytes in large storage."""

    content: bytes = b""
    oid: str = ""


@dataclass
class Commit:
    sha: str
    parent: str
    title: str
    files: dict[str, Entry]


@dataclass
class Fault:
    endpoint: str
    kind: str
    at: int
    times: int
    path: str
    method: str
    seen: int = 0

    def strikes(self, endpoint: str, method: str, path: str) -> bool:
        if self.endpoint != endpoint or self.path not in path or self.method not in ("", method):
            return False
        self.seen += 1
        return self.at <= self.seen < self.at + self.times


class Refusal(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, code: str = "", message: str = ""):
        super().__init__(message)
        self.status, self.code, self.message = status, code, message or code


@dataclass
class Repo:
    kind: str
    name: str
    private: bool
    store: dict[str, bytes]
    commits: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    pulls: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self):
        self.refs["main"] = self.add("", "initial commit", {".gitattributes": Entry(b"*.safetensors filter=lfs\n")})

    def add(self, parent: str, title: str, files: dict[str, Entry]) -> str:
        sha = hashlib.sha1(f"{self.kind}{self.name}{len(self.commits)}{title}".encode()).hexdigest()
        self.commits[sha] = Commit(sha, parent, title, files)
        return sha

    def at(self, revision: str) -> Commit:
        sha = self.refs.get(revision, revision)
        if sha not in self.commits:
            raise Refusal(404, "RevisionNotFound")
        return self.commits[sha]

    def read(self, entry: Entry) -> bytes:
        return self.store[entry.oid] if entry.oid else entry.content

    def files(self, revision: str = "main") -> dict[str, bytes]:
        """Path -> bytes."""
        return {path: self.read(entry) for path, entry in self.at(revision).files.items()}

    def titles(self, revision: str = "main") -> list[str]:
        """Titles of the commits, newest first, without the one that made the repository."""
        commit, titles = self.at(revision), []
        while commit.parent:
            titles.append(commit.title)
            commit = self.commits[commit.parent]
        return titles


class HubServer:
    """The server; its address is `url`. `calls` lists every request as (endpoint, method, path)."""

    def __init__(self):
        self.repos: dict[tuple[str, str], Repo] = {}
        self.store: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.calls: list[tuple[str, str, str]] = []
        self.lock = threading.RLock()
        self.before_commit = lambda: None
        hub = self

        class Handler(_Handler):
            server_state = hub

        # Large files lie at an address of their own, as they do in the world: the client treats redirects differently.
        self._servers = [ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(2)]
        ports = [server.server_address[1] for server in self._servers]
        # Storage is another host, as it is there: what redirects to the same one some clients follow by themselves.
        self.url, self.storage = f"http://localhost:{ports[0]}", f"http://127.0.0.1:{ports[1]}"

    def __enter__(self):
        # A short poll, so that stopping does not wait.
        for server in self._servers:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_):
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def fault(self, endpoint: str, kind: str, at: int = 1, times: int = 1, path: str = "", method: str = "") -> None:
        """From the `at`-th call on that fits, `times` calls go wrong."""
        self.faults.append(Fault(endpoint, kind, at, times, path, method))

    def repo(self, name: str, kind: str = "model") -> Repo:
        if (kind, name) not in self.repos:
            raise Refusal(404, "RepoNotFound")
        return self.repos[kind, name]

    def count(self, endpoint: str) -> int:
        return sum(call[0] == endpoint for call in self.calls)


_ID = r"(?P<id>[^/]+/[^/]+)"
_API = rf"/api/(?P<kind>model|dataset|space)s/{_ID}"
_PREFIX = r"/(?P<prefix>datasets/|spaces/)?"
ROUTES = [
    ("whoami", "GET", r"/api/whoami-v2"),
    ("create", "POST", r"/api/repos/create"),
    ("validate-yaml", "POST", r"/api/validate-yaml"),
    ("preupload", "POST", _API + r"/preupload/(?P<rev>[^/]+)"),
    ("commit", "POST", _API + r"/commit/(?P<rev>[^/]+)"),
    ("tree", "GET", _API + r"/tree/(?P<rev>[^/]+)(?:/(?P<path>.+))?"),
    ("paths-info", "POST", _API + r"/paths-info/(?P<rev>[^/]+)"),
    ("refs", "GET", _API + r"/refs"),
    ("branch", "POST", _API + r"/branch/(?P<rev>[^/]+)"),
    ("discussions", "GET", _API + r"/discussions"),
    ("merge", "POST", _API + r"/discussions/(?P<number>\d+)/merge"),
    ("info", "GET", _API + r"(?:/revision/(?P<rev>[^/]+))?"),
    ("lfs-batch", "POST", _PREFIX + _ID + r"\.git/info/lfs/objects/batch"),
    ("lfs-put", "PUT", r"/storage/(?P<oid>[0-9a-f]{64})"),
    ("lfs-verify", "POST", r"/storage/verify"),
    ("storage", "HEAD|GET", r"/storage/(?P<oid>[0-9a-f]{64})"),
    ("resolve", "HEAD|GET", _PREFIX + _ID + r"/resolve/(?P<rev>[^/]+)/(?P<path>.+)"),
]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_state: HubServer
    timeout = 30
    disable_nagle_algorithm = True  # or every answer would wait 40 ms for an acknowledgement
    wbufsize = -1

    def log_message(self, *_):
        pass

    def do_GET(self):
        address = urlsplit(self.path)
        self.query = parse_qs(address.query)
        endpoint, values = self._route(address.path)
        hub = self.server_state
        with hub.lock:
            hub.calls.append((endpoint, self.command, address.path))
            struck = [fault for fault in hub.faults if fault.strikes(endpoint, self.command, address.path)]
            self.fault = struck[0].kind if struck else ""
        if self.fault == "reset":
            return self._break()
        body = self._body()
        if self.fault == "slow":
            time.sleep(0.5)
        if self.fault == "503":
            return self._send(503, b"Service Unavailable", {"Content-Type": "text/plain"})
        try:
            with hub.lock:
                answer = getattr(self, "_" + endpoint.replace("-", "_"))(values, body)
        except Refusal as refusal:
            headers = {"X-Error-Code": refusal.code, "X-Error-Message": refusal.message}
            return self._send(refusal.status, json.dumps({"error": refusal.message}).encode(), headers)
        if self.fault == "lost":
            return self._break()
        self._send(*answer)

    do_HEAD = do_POST = do_PUT = do_GET

    # --- the wire

    def _route(self, path: str) -> tuple[str, dict[str, str]]:
        for endpoint, methods, pattern in ROUTES:
            match = re.fullmatch(pattern, path)
            if match and self.command in methods.split("|"):
                values = {name: unquote(value) for name, value in match.groupdict().items() if value}
                if "prefix" in match.groupdict():
                    values["kind"] = values.get("prefix", "models/").rstrip("s/")
                return endpoint, values
        return "unknown", {}

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _break(self) -> None:
        """End the connection with a reset instead of a good-bye."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.rfile.close()
        self.wfile.close()
        self.connection.close()

    def _send(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        if self.fault == "flip" and body:
            middle = len(body) // 2
            body = body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]
        self.send_response(status)
        for name, value in {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return self.wfile.flush()
        if self.fault == "truncate":
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.wfile.write(body)
        self.wfile.flush()

    def finish(self):
        with contextlib.suppress(OSError, ValueError):  # the connection was broken on purpose, or by the client
            super().finish()

    def handle(self):
        with contextlib.suppress(OSError, ValueError):
            super().handle()

    # --- what the endpoints do

    def _json(self, content: Any, status: int = 200, headers: dict[str, str] | None = None):
        return status, json.dumps(content).encode(), headers or {}

    def _known(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _must_be_known(self) -> None:
        if not self._known():
            raise Refusal(401, message="Invalid credentials in Authorization header")

    def _repo(self, values: dict[str, str]) -> Repo:
        repo = self.server_state.repo(values["id"], values["kind"])
        if repo.private and not self._known():
            raise Refusal(404, "RepoNotFound")
        return repo

    def _unknown(self, values, body):
        raise Refusal(404, message=f"no such endpoint: {self.command} {self.path}")

    def _whoami(self, values, body):
        self._must_be_known()
        return self._json({"name": "user", "type": "user", "auth": {"accessToken": {"role": "write"}}, "orgs": []})

    def _create(self, values, body):
        self._must_be_known()
        wanted, hub = json.loads(body), self.server_state
        kind, name = wanted.get("type", "model"), f"{wanted.get('organization') or 'user'}/{wanted['name']}"
        prefix = "" if kind == "model" else f"{kind}s/"
        answer = {"url": f"{hub.url}/{prefix}{name}", "name": name}
        if (kind, name) in hub.repos:
            return self._json({**answer, "error": "You already created this repo"}, 409)
        hub.repos[kind, name] = Repo(kind, name, wanted.get("visibility") == "private", hub.store)
        return self._json(answer)

    def _validate_yaml(self, values, body):
        content = json.loads(body)["content"]
        if not content.startswith("---\n"):
            return self._json({"errors": [], "warnings": [{"message": "empty or missing yaml metadata"}]})
        if "!!python" in content or ": .nan" in content:
            return self._json({"errors": [{"message": "not plain YAML"}], "warnings": []}, 400)
        return self._json({"errors": [], "warnings": []})

    def _info(self, values, body):
        repo = self._repo(values)
        commit = repo.at(values.get("rev", "main"))
        return self._json(
            {
                "_id": "0",
                "id": repo.name,
                "sha": commit.sha,
                "private": repo.private,
                "lastModified": DATE,
                "tags": [],
                "downloads": 0,
                "likes": 0,
                "siblings": [{"rfilename": path} for path in commit.files],
            }
        )

    def _refs(self, values, body):
        repo = self._repo(values)
        refs = [{"name": n, "ref": f"refs/heads/{n}", "targetCommit": sha} for n, sha in repo.refs.items()]
        return self._json({"branches": refs, "converts": [], "tags": [], "pullRequests": []})

    def _branch(self, values, body):
        self._must_be_known()
        repo = self._repo(values)
        if values["rev"] in repo.refs:
            return self._json({"error": "Reference already exists"}, 409)
        repo.refs[values["rev"]] = repo.at(json.loads(body or b"{}").get("startingPoint", "main")).sha
        return self._json({})

    def _preupload(self, values, body):
        self._must_be_known()
        files = self._repo(values).at(values["rev"]).files
        answers = []
        for file in json.loads(body)["files"]:
            mode = "lfs" if file["path"].endswith(LARGE) else "regular"
            answer = {"path": file["path"], "uploadMode": mode, "shouldIgnore": False}
            if present := files.get(file["path"]):
                answer["oid"] = present.oid or git_hash(present.content)
            answers.append(answer)
        return self._json({"files": answers})

    def _lfs_batch(self, values, body):
        self._must_be_known()
        self._repo(values)
        hub, answers = self.server_state, []
        for wanted in json.loads(body)["objects"]:
            answer = dict(wanted)
            if wanted["oid"] not in hub.store:
                upload = {"href": f"{hub.storage}/storage/{wanted['oid']}", "header": {}}
                answer["actions"] = {"upload": upload, "verify": {"href": f"{hub.url}/storage/verify"}}
            answers.append(answer)
        return self._json({"transfer": "basic", "objects": answers})

    def _lfs_put(self, values, body):
        if self.fault == "flip":
            body, self.fault = bytes([body[0] ^ 1]) + body[1:], ""
        self.server_state.store[values["oid"]] = body
        return 200, b"", {}

    def _lfs_verify(self, values, body):
        self._must_be_known()
        wanted = json.loads(body)
        if len(self.server_state.store.get(wanted["oid"], b"")) != wanted["size"]:
            raise Refusal(422, message="size differs")
        return self._json({})

    def _commit(self, values, body):
        self._must_be_known()
        self.server_state.before_commit()
        repo = self._repo(values)
        head = repo.at(values["rev"])
        lines = [json.loads(line) for line in body.splitlines()]
        header, files = lines[0]["value"], dict(head.files)
        if header.get("parentCommit", head.sha) != head.sha:
            raise Refusal(412, message="A commit has happened since. Please refresh and try again.")
        for line in lines[1:]:
            self._apply(line["key"], line["value"], files)
        sha = repo.add(head.sha, header["summary"], files)
        answer = {"commitUrl": f"{self.server_state.url}/{repo.name}/commit/{sha}", "commitOid": sha}
        if "create_pr" in self.query:
            number = len(repo.pulls) + 1
            repo.refs[f"refs/pr/{number}"] = sha
            repo.pulls.append({"num": number, "title": header["summary"], "status": "open"})
            answer["pullRequestUrl"] = f"{self.server_state.url}/{repo.name}/discussions/{number}"
        else:
            repo.refs[values["rev"]] = sha
        return self._json(answer)

    def _apply(self, key: str, value: dict[str, Any], files: dict[str, Entry]) -> None:
        path = value["path"]
        if key == "file":
            content = base64.b64decode(value["content"])
            if self.fault == "flip":
                content, self.fault = content + b" ", ""
            files[path] = Entry(content)
        elif key == "lfsFile":
            if value["oid"] not in self.server_state.store:
                raise Refusal(400, message=f"the content of {path} was never uploaded")
            files[path] = Entry(oid=value["oid"])
        elif key == "deletedFile":
            if path not in files:
                raise Refusal(404, "EntryNotFound", "A file with this name doesn't exist")
            del files[path]
        else:
            raise Refusal(400, message=f"unknown operation {key}")

    def _discussions(self, values, body):
        repo, page = self._repo(values), int(self.query.get("p", ["0"])[0])
        shared = {"author": {"name": "user"}, "createdAt": DATE, "isPullRequest": True}
        shared["repo"] = {"name": repo.name, "type": repo.kind}
        pulls = [{**pull, **shared} for pull in reversed(repo.pulls)] if page == 0 else []
        return self._json({"discussions": pulls, "count": len(repo.pulls), "start": 0, "numClosedDiscussions": 0})

    def _merge(self, values, body):
        self._must_be_known()
        repo = self._repo(values)
        repo.refs["main"] = repo.refs[f"refs/pr/{values['number']}"]
        repo.pulls[int(values["number"]) - 1]["status"] = "merged"
        return self._json({})

    def _description(self, repo: Repo, path: str, entry: Entry) -> dict[str, Any]:
        content = repo.read(entry)
        description = {"type": "file", "path": path, "size": len(content), "oid": git_hash(content)}
        if entry.oid:
            pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n"
            pointer %= (entry.oid.encode(), len(content))
            found = hashlib.sha256(content).hexdigest()
            description["lfs"] = {"oid": found, "size": len(content), "pointerSize": len(pointer)}
            description["oid"] = git_hash(pointer)
        return description

    def _tree(self, values, body):
        repo, recursive = self._repo(values), self.query.get("recursive", ["false"])[0].lower() in ("true", "1")
        commit, inside = repo.at(values["rev"]), values.get("path", "")
        prefix = f"{inside}/" if inside else ""
        below = {path: entry for path, entry in commit.files.items() if path.startswith(prefix)}
        if inside and not below:
            raise Refusal(404, "EntryNotFound")
        entries: dict[str, dict[str, Any]] = {}
        for path, entry in sorted(below.items()):
            parts = path.removeprefix(prefix).split("/")
            for depth in range(1, len(parts) if recursive else min(2, len(parts))):
                folder = prefix + "/".join(parts[:depth])
                entries[folder] = {"type": "directory", "path": folder, "size": 0, "oid": git_hash(folder.encode())}
            if recursive or len(parts) == 1:
                entries[path] = self._description(repo, path, entry)
        start = int(self.query.get("cursor", ["0"])[0])
        page, headers = list(entries.values())[start : start + PAGE], {}
        if start + PAGE < len(entries):
            address = f"{self.server_state.url}{self.path.split('?')[0]}?recursive={recursive}&cursor={start + PAGE}"
            headers["Link"] = f'<{address}>; rel="next"'
        return self._json(page, headers=headers)

    def _paths_info(self, values, body):
        repo = self._repo(values)
        files, found = repo.at(values["rev"]).files, []
        for path in parse_qs(body.decode()).get("paths", []):
            if path in files:
                found.append(self._description(repo, path, files[path]))
            elif any(name.startswith(path + "/") for name in files):
                found.append({"type": "directory", "path": path, "size": 0, "oid": git_hash(path.encode())})
        return self._json(found)

    def _resolve(self, values, body):
        repo = self._repo(values)
        commit = repo.at(values["rev"])
        headers = {"X-Repo-Commit": commit.sha, "Accept-Ranges": "bytes"}
        if values["path"] not in commit.files:
            answer = json.dumps({"error": "Entry not found"}).encode()
            return 404, answer, {**headers, "X-Error-Code": "EntryNotFound"}
        entry = commit.files[values["path"]]
        if not entry.oid:
            return self._ranged(entry.content, {**headers, "ETag": f'"{git_hash(entry.content)}"'})
        headers["X-Linked-Etag"] = f'"{entry.oid}"'
        headers["X-Linked-Size"] = str(len(repo.read(entry)))
        return 302, b"", {**headers, "Location": f"{self.server_state.storage}/storage/{entry.oid}"}

    def _storage(self, values, body):
        if values["oid"] not in self.server_state.store:
            raise Refusal(404, message="no such object")
        return self._ranged(self.server_state.store[values["oid"]], {"ETag": f'"{values["oid"]}"'})

    def _ranged(self, content: bytes, headers: dict[str, str]):
        headers = {"Content-Type": "application/octet-stream", **headers}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not wanted:
            return 200, content, headers
        start, end = int(wanted[1]), min(int(wanted[2] or len(content) - 1), len(content) - 1)
        return 206, content[start : end + 1], {**headers, "Content-Range": f"bytes {start}-{end}/{len(content)}"}
