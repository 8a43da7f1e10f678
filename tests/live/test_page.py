"""The page of a session, in a real browser."""

import os
import shutil
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from fabricated_recordings import troubled_recording
from live_streams import LABELS, NAMES, RATE, Script, chunks, noise, times

from mdjpt_hf.errors import ConfigurationError
from mdjpt_hf.live.session import LiveSession, Summary
from mdjpt_hf.live.source import StreamFacts
from mdjpt_hf.streaming import StreamGap

pytest.importorskip("gradio", reason="the page needs the extra [live]")

from mdjpt_hf.live.page import Board, Page  # noqa: E402

CHROMIUM = shutil.which("chromium")


def test_what_others_wrote_is_shown_and_not_interpreted(recogniser):
    source, board = Script(chunks(noise(4), times(4))), Board()
    source.facts = StreamFacts("<script>cap()</script>", tuple(NAMES), RATE, ("<img src=x>",))
    LiveSession(recogniser, source, [board], "a <b>model</b>").run()
    board.gap(StreamGap(1.0, 2.0, "<i>why</i>"))
    board.lost(3.0, "<u>because</u>")
    html = board.html()
    assert "&lt;script&gt;cap()" in html and "a &lt;b&gt;model" in html and "&lt;img src=x&gt;" in html
    assert not any(tag in html for tag in ("<script", "<img", "<i>", "<u>", "<b>model"))
    assert "no answer at 3.0 s" in html and "opacity:.35" in html  # an old answer is not passed off as a new one
    board.end(Summary(seconds=4.0, windows=3))
    assert "The session is over. 4.0 s: 3 windows, 0 lost; no gaps" in board.html()


class _Gradio:
    """Of which no port is free; the real one would leave its event loop behind."""

    def __init__(self, *arguments, **options): ...

    def __enter__(self):
        return self

    def __exit__(self, *error): ...

    def tick(self, *arguments, **options): ...

    def launch(self, **options):
        assert options["server_name"] == "127.0.0.1" and options["server_port"] == 7860
        raise OSError("Cannot find empty port in range: 7860-7860")


def test_a_port_that_is_taken(monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", SimpleNamespace(Blocks=_Gradio, HTML=_Gradio, Timer=_Gradio))
    with pytest.raises(ConfigurationError, match="Cannot find empty port.*Choose another --port"):
        Page(7860)


def _free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.mark.slow
def test_a_person_watches_a_session(folder, tmp_path):
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    sync_api = pytest.importorskip("playwright.sync_api", reason="the browser is driven by playwright")
    address, recording = f"http://127.0.0.1:{_free_port()}", troubled_recording(tmp_path)
    arguments = ["--replay", recording, "--speed", "8", "--page", "--port", address.rpartition(":")[2]]
    with (tmp_path / "log").open("w") as log:
        command = [sys.executable, "-m", "mdjpt_hf", "live", folder / "model", *arguments]
        server = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | {"OMP_NUM_THREADS": "1"})
    try:
        with sync_api.sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            tab, asked = browser.new_page(viewport={"width": 900, "height": 900}), []
            tab.on("request", lambda request: asked.append(request.url))
            _open(tab, address, server)
            tab.wait_for_selector("#answer h2")
            assert any(label in tab.inner_text("#answer h2") for label in LABELS)
            first = tab.inner_text("#answer p.note")
            tab.wait_for_function(f"document.querySelector('#answer p.note').innerText != {first!r}")
            tab.wait_for_selector("text=F4: rebuilt")
            tab.wait_for_selector("text=a gap of 9 s", timeout=20_000)
            tab.wait_for_selector("text=The session is over", timeout=20_000)
            tab.screenshot(path=tmp_path / "page.png", full_page=True)
            assert tab.locator("#electrodes .chip").count() == len(NAMES)
            assert tab.locator("#live svg polyline").count() == 2 * len(LABELS)  # before the gap, and after
            assert "Not a medical device" in tab.inner_text(".warning >> nth=0")
            assert "This model was made for recordings" in tab.inner_text(".warning >> nth=1")
            tab.set_viewport_size({"width": 390, "height": 844})
            assert tab.evaluate("document.documentElement.scrollWidth") <= 400
            tab.screenshot(path=tmp_path / "phone.png", full_page=True)
            assert all(url.startswith((address, "data:", "blob:")) for url in asked), asked
            browser.close()
        server.terminate()
        assert server.wait(timeout=30) == 143
    finally:
        server.kill()
        server.wait()
    assert "the page stays until Ctrl-C" in (tmp_path / "log").read_text()


def _open(tab, address, server):
    for _ in range(120):
        assert server.poll() is None, "the command ended"
        try:
            tab.goto(address)
            return tab.wait_for_selector("#live", timeout=5000)
        except Exception:
            time.sleep(0.5)
    raise AssertionError("the page never came up")
