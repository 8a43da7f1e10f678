"""Against the real libraries on loopback: outlets and inlets of liblsl, the player of mne-lsl, a board of BrainFlow."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid

import numpy as np
import pytest
from live_streams import LABELS, NAMES, RATE, Told, noise

from mdjpt_hf.cli.live import live
from mdjpt_hf.errors import ConfigurationError, MDJPTError, MontageError, StreamError
from mdjpt_hf.live.consent import TEXT, ask_consent
from mdjpt_hf.live.outputs import Broadcast
from mdjpt_hf.live.replay import Player, ReplaySource
from mdjpt_hf.live.session import LiveSession
from mdjpt_hf.streaming import StreamingEncoder

pylsl = pytest.importorskip("pylsl", reason="Lab Streaming Layer needs the extra [live]")

from mdjpt_hf.live.lsl import LslSource, find_stream  # noqa: E402


def unique(name):
    """No other stream of this machine is called so."""
    return f"{name}-{uuid.uuid4().hex[:8]}"


def play(name, signal, speed=8.0, names=NAMES, times=None):
    times = np.arange(signal.shape[1]) / RATE if times is None else times
    player = Player(name, signal, times, names, RATE, speed)
    player.start()
    return player


def outlet(name, channels, rate=RATE, kind="EEG", source_id=None):
    """An outlet that describes (label, type, unit) of its channels."""
    info = pylsl.StreamInfo(name, kind, len(channels), rate, "float32", source_id or unique("source"))
    described = info.desc().append_child("channels")
    for channel in channels:
        entry = described.append_child("channel")
        for key, value in zip(("label", "type", "unit"), channel, strict=True):
            entry.append_child_value(key, value)
    return pylsl.StreamOutlet(info)


def run(recogniser, source, seconds, *more, **options):
    told = Told()
    LiveSession(recogniser, source, [told, *more], "a model", **options).run(seconds)
    return told


def test_a_real_stream_gives_what_the_signal_gives_offline(recogniser):
    name, signal = unique("cap"), noise(9)
    player = play(name, signal)
    told = run(recogniser, LslSource(name), 8.9)
    player.stop()
    stream = StreamingEncoder(recogniser.model, recogniser.feature_extractor, NAMES, RATE)
    wanted = stream.advance(signal.astype(np.float32)).windows
    assert [window.end for window in told.windows][:7] == [*np.arange(2.0, 8.5)] and not told.gaps
    for found, window in zip(told.windows, wanted, strict=False):
        scores = np.exp(window.logits - window.logits.max())
        np.testing.assert_allclose([*found.scores.values()], scores / scores.sum(), atol=1e-4)


def test_units_types_and_names_come_from_the_description():
    channels = [("Fp1", "EEG", "volts"), ("Cz", "EEG", "microvolts"), ("O2", "EEG", "mV"), ("TRG", "Markers", "")]
    name = unique("cap")
    sender = outlet(name, channels)
    source = LslSource(name)
    assert source.facts.ch_names == ("Fp1", "Cz", "O2") and source.facts.sampling_rate == RATE
    assert source.facts.notes == ("dropped TRG (type Markers)",)
    while not sender.wait_for_consumers(0.1):
        pass
    sender.push_chunk(np.full((20, 4), 2e-6, dtype=np.float32), np.arange(20) / RATE + 5)
    samples, stamps = source.pull(5.0)
    np.testing.assert_allclose(samples[:, 0], [2, 2e-6, 2e-3], rtol=1e-5)
    assert samples.shape == (3, len(stamps)) and abs(source.now() - pylsl.local_clock()) < 5
    source.close()
    source.close()
    named = LslSource(name, channels=["Fp2", "Pz", "O1", "TRG"], unit="uV")
    assert named.facts.ch_names == ("Fp2", "Pz", "O1") and "the stream says" in named.facts.notes[-1]
    named.close()
    with pytest.raises(MontageError, match="2 channels were named, the stream has 4"):
        LslSource(name, channels=["Fp2", "Pz"])
    bare = outlet(unique("bare"), [("", "", "")] * 2)
    with pytest.raises(MontageError, match="names none of its 2 channels"):
        LslSource(bare.get_info().name())


def test_which_stream_is_meant():
    with pytest.raises(StreamError, match="no stream of the name 'nobody' was found; there are"):
        find_stream("nobody", timeout=0.3)
    first, second = unique("one"), unique("two")
    kept = [outlet(first, [("Cz", "EEG", "uV")]), outlet(second, [("Cz", "EEG", "uV")], kind="eeg")]
    with pytest.raises(StreamError, match="2 streams of type EEG are there.*--stream"):
        find_stream(None, timeout=3)
    assert find_stream(second, timeout=3).name() == second
    kept.append(outlet(first, [("Cz", "EEG", "uV")]))
    with pytest.raises(StreamError, match=f"2 streams of the name '{first}'"):
        find_stream(first, timeout=3)
    del kept


def test_a_sender_that_ends_and_returns(recogniser):
    name, signal = unique("cap"), noise(12)
    times = 1000 + np.arange(signal.shape[1]) / RATE
    source, told = None, Told()
    sender = outlet(name, [(label, "EEG", "uV") for label in NAMES], source_id="the same cap")
    source = LslSource(name)
    session = LiveSession(recogniser, source, [told], wait=30)
    thread = threading.Thread(target=session.run, args=(9.0,))
    thread.start()
    while not sender.wait_for_consumers(0.1):
        pass
    cut, back = round(4 * RATE), round(6 * RATE)
    sender.push_chunk(np.ascontiguousarray(signal[:, :cut].T, dtype=np.float32), times[:cut].tolist())
    _wait_until(lambda: len(told.windows) == 3)
    del sender
    _wait_until(lambda: told.texts)
    sender = outlet(name, [(label, "EEG", "uV") for label in NAMES], source_id="the same cap")
    while not sender.wait_for_consumers(0.1):
        pass
    sender.push_chunk(np.ascontiguousarray(signal[:, back:].T, dtype=np.float32), times[back:].tolist())
    thread.join(30)
    assert not thread.is_alive() and session.summary.reconnections == 1
    assert [(gap.onset, round(gap.seconds, 3)) for gap in told.gaps] == [(4.0, 2.0)]
    assert [window.end for window in told.windows[:3]] == [2, 3, 4] and told.windows[3].end == 8.0


def test_a_stream_that_returns_with_other_channels_is_another_one(recogniser):
    name = unique("cap")
    sender = outlet(name, [(label, "EEG", "uV") for label in NAMES])
    source = LslSource(name)
    del sender
    sender = outlet(name, [(label, "EEG", "V") for label in NAMES])
    with pytest.raises(StreamError, match="came back with other units"):
        source.reconnect(10)
    del sender


def test_predictions_go_back_as_a_stream(recogniser):
    name, predictions = unique("cap"), unique("emotion")
    player = play(name, noise(5), speed=8)
    told = run(recogniser, LslSource(name), 4.9)
    player.stop()
    broadcast = Broadcast(predictions)
    broadcast.begin(told.facts)
    inlet = pylsl.StreamInlet(find_stream(predictions, timeout=20), as_numpy=True)
    info = inlet.info(10)
    inlet.open_stream(10)
    channel, labels = info.desc().child("channels").child("channel"), []
    for _ in range(info.channel_count()):
        labels.append((channel.child_value("label"), channel.child_value("unit")))
        channel = channel.next_sibling("channel")
    assert info.type() == "Emotion" and labels == [(label, "probability") for label in LABELS]
    about = info.desc().child("prediction")
    assert about.child_value("model") == "a model" and about.child_value("labels") == ",".join(LABELS)
    received = []
    for window in told.windows:
        broadcast.window(window)
        scores, stamps = inlet.pull_chunk(timeout=5.0, min_samples=1)
        received += zip(scores, stamps, strict=True)
    broadcast.end(told.summary)
    assert len(received) == len(told.windows) >= 3
    for (scores, stamp), window in zip(received, told.windows, strict=True):
        np.testing.assert_allclose(scores, [*window.scores.values()], atol=1e-6)
        assert stamp == pytest.approx(window.stamp, abs=1e-6)
    broadcast.window(told.windows[0])  # too late, and no harm


def test_a_recording_is_played_with_its_pauses(recogniser, tmp_path):
    from fabricated_recordings import paused_recording

    told = run(recogniser, ReplaySource(paused_recording(tmp_path), speed=8), np.inf, live=False)
    assert told.facts.kind == "replay of paused.edf" and told.windows[-1].behind is None
    assert [(gap.onset, round(gap.seconds, 2)) for gap in told.gaps] == [(6.0, 9.0)]
    assert not [window for window in told.windows if 6 < window.end < 17] and told.windows[-1].end == 20.0
    for speed in (0, -1, float("nan"), 1000):
        with pytest.raises(ConfigurationError, match="speed must lie in"):
            ReplaySource(tmp_path / "paused.edf", speed=speed)


PLAYER = """
import sys, time, warnings
warnings.simplefilter("ignore")
import mne
from mne_lsl.player import PlayerLSL
raw = mne.io.read_raw_fif(sys.argv[1], verbose="ERROR")
player = PlayerLSL(raw, chunk_size=25, name=sys.argv[2], source_id=sys.argv[2]).start()
time.sleep(float(sys.argv[3]))
player.stop()
"""


def test_the_player_of_mne_lsl(recogniser, folder):
    """A foreign sender with a liblsl of its own, which sends volts at the pace of the recording."""
    pytest.importorskip("mne_lsl", reason="a test with the player of mne-lsl")
    name = unique("player")
    player = subprocess.Popen([sys.executable, "-c", PLAYER, str(folder / "noise_raw.fif"), name, "20"])
    try:
        source = LslSource(name, timeout=20)
        told = run(recogniser, source, 4.2)
    finally:
        player.kill()
        player.wait()
    assert source.facts.ch_names == tuple(NAMES) and source.description["units"][0] not in ("", "microvolts")
    assert [window.end for window in told.windows][:3] == [2, 3, 4] and not told.losses
    assert -0.1 < told.windows[-1].behind < 2


def test_the_synthetic_board_of_brainflow(recogniser):
    pytest.importorskip("brainflow", reason="boards need the extra [live]")
    from mdjpt_hf.live.brainflow_board import BrainFlowSource

    with pytest.raises(ConfigurationError, match="BrainFlow knows no board 'toaster'.*synthetic"):
        BrainFlowSource("toaster")
    with pytest.raises(ConfigurationError, match="no setting 'colour'"):
        BrainFlowSource("synthetic", {"colour": "red"})
    with pytest.raises(ConfigurationError, match="has 16 EEG channels, 2 are named"):
        BrainFlowSource("synthetic", channels=["Cz", "Pz"])
    source = BrainFlowSource("Synthetic", {"timeout": "5"})
    told = run(recogniser, source, 3.1)
    assert "where BrainFlow thinks" in source.facts.notes[0]
    assert source.facts.kind == "BrainFlow" and len(source.facts.ch_names) == 16
    assert [window.end for window in told.windows][:2] == [2, 3] and told.facts.sampling_rate == 250
    source.close()


# ---- the command


@pytest.mark.slow
def test_ctrl_c_ends_the_command_with_what_was_written(folder, tmp_path):
    out = tmp_path / "out.jsonl"
    arguments = ["--replay", folder / "noise_raw.fif", "--speed", "2", "--json", out]
    process = subprocess.Popen(
        [sys.executable, "-m", "mdjpt_hf", "live", folder / "model", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    try:
        _wait_until(lambda: out.exists() and out.read_text().count('"event": "window"') > 2, 60)
        process.send_signal(signal.SIGINT)
        printed, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0 and not errors
    events = [json.loads(line) for line in out.read_text().splitlines()]
    windows = [event["end"] for event in events if event["event"] == "window"]
    assert windows == [*np.arange(2.0, 2.0 + len(windows))] and 3 <= len(windows) < 11
    assert events[0]["consent"]["how"] == "not asked: a recording is replayed"
    assert events[-1]["event"] == "end" and events[-1]["windows"] == len(windows)
    assert "replay of noise_raw.fif" in printed and "made for recordings" in printed
    assert printed.count("11 of 11 electrodes good") == len(windows) and f"{len(windows)} windows, 0 lost" in printed


def test_what_the_command_refuses_and_records(folder, tmp_path, monkeypatch):
    model = str(folder / "model")
    monkeypatch.setattr("typer.get_app_dir", lambda name: str(tmp_path / "settings"))
    monkeypatch.setattr("sys.stdin", io.StringIO())
    for arguments, message in [
        ({"stream": "x", "brainflow": "synthetic"}, "--brainflow and --stream name several sources"),
        ({"speed": 4.0}, "--speed 4 is for a replay"),
        ({"stream": "nobody"}, "nobody can be asked whether the person"),
        ({"replay": tmp_path / "none.edf", "unit": "volts"}, "unknown unit 'volts'"),
        ({"stream": unique("nobody"), "consent_shown": True, "find": 0.2}, "no stream of the name"),
    ]:
        with pytest.raises(MDJPTError, match=message):
            live(model, **arguments)
    assert not (tmp_path / "settings").exists()
    own = tmp_path / "consent.txt"
    own.write_text("You will be recorded. Agreed?\n")
    name = unique("cap")
    player = play(name, noise(4), speed=8)
    live(model, stream=name, consent=own, consent_shown=True, seconds=3.0, json_path=tmp_path / "out.jsonl")
    player.stop()
    record = json.loads((tmp_path / "settings" / "consent.jsonl").read_text())
    assert record["text"] == "You will be recorded. Agreed?" and record["how"] == "stated with --consent-shown"
    assert record["stream"] == name and len(record["sha256"]) == 64
    written = json.loads((tmp_path / "out.jsonl").read_text().splitlines()[0])
    assert written["consent"]["sha256"] == record["sha256"]


def test_consent_is_asked_for_once():
    shown, asked = [], []

    def confirm(question):
        asked.append(question)
        return len(asked) == 1

    record = ask_consent(None, False, True, shown.append, confirm)
    assert record["how"] == "asked at the terminal" and shown == [TEXT] and len(asked) == 1
    with pytest.raises(ConfigurationError, match="no consent was given"):
        ask_consent(None, False, True, shown.append, confirm)


def _wait_until(condition, seconds=20.0):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.05)
