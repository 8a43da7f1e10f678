"""A loopback server that speaks what NEMAR's data endpoint speaks, with TLS, resumption by range, and faults."""

import hashlib
import json
import shutil
import ssl
import subprocess
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest


@dataclass
class Archive:
    """One study, what is wrong with it, and what was asked for.

    Attributes:
        cut: Path -> how often its connection is cut half-way.
        wrong: Paths whose bytes are not those of the checksum. gone: Paths that answer with 404.
        asked: (path, range) of every request for a file.
    """

    study: str
    files: dict[str, bytes]
    url: str = ""
    cut: dict[str, int] = field(default_factory=dict)
    wrong: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    asked: list[tuple[str, str]] = field(default_factory=list)

    def answer(self, path: str) -> bytes | None:
        """What stands under a path of the control plane."""
        version = {"version": "v1.0.0", "manifest_url": f"{self.url}{self.study}/v1.0.0/manifest.json"}
        known = {
            f"/{self.study}/": {"dataset_id": self.study, "latest": "v1.0.0", "versions": [version]},
            f"/{self.study}/v1.0.0/manifest.json": [self._entry(name) for name in self.files],
        }
        return json.dumps(known[path]).encode() if path in known else None

    def _entry(self, name: str) -> dict:
        content = self.files[name]
        large = name.endswith(".bdf")
        digest = hashlib.sha256(content) if large else hashlib.sha1(b"blob %d\0" % len(content) + content)
        checksum = {"checksum_algorithm": "sha256" if large else "git", "checksum": digest.hexdigest()}
        return {"path": name, "size": len(content), "url": f"{self.url}files/{name}", **checksum}


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for this machine by itself, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl to make a certificate")
    made, key = folder / "cert.pem", folder / "key.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names]
    subprocess.run([*command, "-keyout", str(key), "-out", str(made)], check=True, capture_output=True)
    return made, key


def serve(archive: Archive, cert: Path, key: Path) -> ThreadingHTTPServer:
    """The server, running."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments):
            pass

        def do_GET(self):
            content = archive.answer(self.path)
            name = self.path.removeprefix("/files/")
            if content is None and name in archive.files and name not in archive.gone:
                self._send_file(name)
                return
            self._send(200 if content is not None else 404, content or b"{}")

        def _send_file(self, name):
            content, asked = archive.files[name], self.headers.get("Range", "")
            archive.asked.append((name, asked))
            if name in archive.wrong:
                content = bytes(255 - byte for byte in content)
            if archive.cut.get(name, 0) > 0:
                archive.cut[name] -= 1
                self._send(200, content, stop=len(content) // 2)
                return
            begin = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
            self._send(206 if asked else 200, content[begin:])

        def _send(self, status, content, stop=None):
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Content-Type", "application/octet-stream")
            self.end_headers()
            self.wfile.write(content[:stop])
            if stop is not None:
                self.wfile.flush()
                self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
