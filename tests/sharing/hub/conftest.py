"""A loopback Hub for the tests beside, and the environment in which a program talks to it."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from hub_server import TOKEN, HubServer  # noqa: E402

HERE = Path(__file__).parent


@pytest.fixture
def server():
    with HubServer() as running:
        yield running


@pytest.fixture
def hub(server, monkeypatch):
    """The server, with the client in this process turned towards it, and no waiting between repetitions."""
    from huggingface_hub import constants
    from huggingface_hub.utils import _http

    template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
    for name, value in (
        ("HF_HUB_OFFLINE", False),
        ("HF_HUB_DISABLE_XET", True),
        ("ENDPOINT", server.url),
        ("HUGGINGFACE_CO_URL_TEMPLATE", template),
    ):
        monkeypatch.setattr(constants, name, value)
    monkeypatch.setattr(_http, "time", SimpleNamespace(sleep=lambda seconds: None))
    monkeypatch.setattr("mdjpt_hf.sharing.hub.upload.time", SimpleNamespace(sleep=lambda seconds: None))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    _http.close_session()  # a client made before would still refuse to go online
    yield server
    _http.close_session()


@pytest.fixture
def online(server, tmp_path):
    """Environment of a fresh process that talks to the server, with caches of its own and without our package."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "HF_HOME": str(tmp_path / "hf-home"),
        "HF_ENDPOINT": server.url,
        "HF_TOKEN": TOKEN,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
