"""A session over a source that does whatever can happen to one, without a network."""

import json
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from live_streams import LABELS, NAMES, RATE, Script, Told, chunks, noise, times

from mdjpt_hf.errors import ConfigurationError, MontageError, SamplingRateError, StreamError
from mdjpt_hf.live.model_record import GUESSES, MADE_FOR_RECORDINGS, SIMULATED, warnings_of
from mdjpt_hf.live.outputs import JsonLines, Lines, Screen, on_screen
from mdjpt_hf.live.session import LiveSession
from mdjpt_hf.live.source import EndOfStream, StreamLost
from mdjpt_hf.modeling.feature_extraction_mdjpt import MDJPTFeatureExtractor
from mdjpt_hf.modeling.pipeline_mdjpt import EEGEmotionPipeline
from mdjpt_hf.streaming import StreamingEncoder


def run(recogniser, steps, told=None, **options):
    told, source = told or Told(), steps if isinstance(steps, Script) else Script(steps)
    limits = {name: options.pop(name) for name in ("seconds",) if name in options}
    session = LiveSession(recogniser, source, [told], "a model", **options)
    try:
        session.run(**limits)
    finally:
        assert source.closed and told.summary is session.summary
    return told


def offline(recogniser, signal, **options):
    stream = StreamingEncoder(recogniser.model, recogniser.feature_extractor, NAMES, RATE, **options)
    return stream.advance(signal)


def test_windows_are_those_of_the_same_signal_offline(recogniser):
    signal = noise(12)
    told = run(recogniser, chunks(signal, times(12)), warnings=["doubtful"])
    wanted = offline(recogniser, signal).windows
    assert [window.end for window in told.windows] == [window.end for window in wanted] == [*np.arange(2.0, 12.5)]
    for found, window in zip(told.windows, wanted, strict=True):
        scores = np.exp(window.logits - window.logits.max())
        np.testing.assert_allclose([*found.scores.values()], scores / scores.sum(), atol=1e-4)
        assert list(found.scores) == LABELS and found.label == LABELS[int(window.logits.argmax())]
        assert found.stamp == pytest.approx(100 + found.end - 1 / RATE) and found.behind == 1000 - found.stamp
        assert set(found.quality) == set(NAMES) and set(found.quality.values()) == {"good"}
        assert 0 < found.latency < 5 and found.certainty
    facts = told.facts
    assert (facts.stream, facts.sampling_rate, facts.window, facts.stride, facts.context) == ("cap", 250, 2, 1, 15)
    assert "a note of the stream" in facts.notes and "resampled from 250 to 125 Hz" in facts.notes
    assert facts.warnings == ("doubtful",) and facts.labels == tuple(LABELS)
    assert told.summary.windows == 11 and told.summary.lost == 0 and told.summary.latency_99 > 0


def test_what_is_on_record_of_a_model_is_told(recogniser, tmp_path):
    config = recogniser.model.config
    assert warnings_of("", config) == warnings_of(str(tmp_path), config) == [MADE_FOR_RECORDINGS]
    (tmp_path / "run_record.json").write_text(json.dumps({"datasets": [{"name": "a", "simulated": True}]}))
    (tmp_path / "finetune.json").write_text(json.dumps({"validation": {"above_chance": False}}))
    assert warnings_of(str(tmp_path), config)[1:] == [SIMULATED, GUESSES]
    (tmp_path / "run_record.json").write_text(json.dumps({"datasets": [{"simulated": True}, {"simulated": False}]}))
    (tmp_path / "finetune.json").write_text("[1, 2")
    made = SimpleNamespace(streaming={"decay": 0.99})
    assert warnings_of(str(tmp_path), made) == []


def test_a_gap_in_the_stamps_is_told_and_not_spanned(recogniser):
    signal, when = noise(20), times(20)
    lost = slice(round(8.2 * RATE), round(9.5 * RATE))
    told = run(recogniser, chunks(np.delete(signal, lost, axis=1), np.delete(when, lost)))
    assert [(gap.onset, round(gap.seconds, 6)) for gap in told.gaps] == [(8.2, 1.3)]
    assert [window.end for window in told.windows] == [*np.arange(2.0, 8.5), *np.arange(12.0, 20.5)]
    assert told.summary.lost == 3 and told.summary.gap_seconds == pytest.approx(1.3)
    later = offline(recogniser, signal[:, lost.stop :])
    assert later.windows and told.windows[-1].stamp == pytest.approx(when[-1])


def test_a_stream_that_is_gone_comes_back_by_its_clock(recogniser):
    first, second = noise(6), noise(6, seed=1)
    steps = [*chunks(first, times(6)), StreamLost, *chunks(second, times(6, 100 + 8))]
    told = run(recogniser, steps)
    assert [(gap.onset, round(gap.seconds, 6), gap.reason) for gap in told.gaps] == [(6.0, 2.0, "the stream was gone")]
    assert [window.end for window in told.windows] == [*np.arange(2.0, 6.5), *np.arange(10.0, 14.5)]
    assert told.texts == ["the stream 'cap' is gone; looking for it", "the stream 'cap' is back"]
    assert told.summary.reconnections == 1
    again = {window.end: window for window in offline(recogniser, second).windows}
    scores = np.exp(again[4.0].logits - again[4.0].logits.max())
    found = next(window for window in told.windows if window.end == 12.0)
    np.testing.assert_allclose([*found.scores.values()], scores / scores.sum(), atol=1e-4)


def test_a_stream_that_comes_back_with_another_clock(recogniser):
    steps = [*chunks(noise(6), times(6)), StreamLost, *chunks(noise(6), times(6, 5.0))]
    told = run(recogniser, steps)
    assert len(told.gaps) == 1 and 0 < told.gaps[0].seconds < 5 and len(told.windows) >= 8


def test_a_stream_that_is_lost_before_it_was_measured(recogniser):
    steps = [*chunks(noise(1), times(1)), StreamLost, *chunks(noise(6), times(6, 300))]
    told = run(recogniser, steps)
    assert [window.end for window in told.windows] == [*np.arange(2.0, 6.5)]


def test_a_stream_that_does_not_come_back(recogniser):
    source = Script([*chunks(noise(4), times(4)), StreamLost], returns=False)
    told = Told()
    with pytest.raises(StreamError, match="'cap' did not come back within 0 s.*--wait"):
        run(recogniser, source, told, wait=0)
    assert told.summary.windows == 3


def test_another_rate_is_used_and_told(recogniser):
    count = round(10 * 240)
    signal = np.random.default_rng(0).normal(0, 15, (len(NAMES), count))
    told = run(recogniser, chunks(signal, 100 + np.arange(count) / 240))
    assert told.facts.sampling_rate == 240 and "announces 250 Hz and sends 240 Hz" in " ".join(told.facts.notes)
    assert [window.end for window in told.windows] == pytest.approx([*np.arange(2.0, 10.5)])
    with pytest.raises(SamplingRateError, match="time stamps say 150 Hz.*--sampling-rate"):
        run(recogniser, chunks(signal, 100 + np.arange(count) / 150))
    told = run(recogniser, chunks(signal, 100 + np.arange(count) / 150), sampling_rate=150.0)
    assert told.facts.sampling_rate == 150


def test_a_rate_that_changes_is_followed_and_told(recogniser):
    first, second = times(30), 130 + np.arange(round(60 * 244)) / 244
    signal = np.random.default_rng(0).normal(0, 15, (len(NAMES), len(first) + len(second)))
    told = run(recogniser, chunks(signal, np.concatenate([first, second])))
    assert any("now sends 244 Hz" in text and "instead of 250 Hz" in text for text in told.texts)
    assert told.windows[-1].end > 88 and told.summary.seconds == pytest.approx(90, abs=0.1) and not told.gaps


def test_windows_that_are_no_eeg_are_told_and_the_session_goes_on(recogniser):
    signal = noise(12)
    signal[:, : round(5 * RATE)] *= 1e6
    told = run(recogniser, chunks(signal, times(12)))
    assert [end for end, _ in told.losses][:3] == [2, 3, 4] and "typical amplitude" in told.losses[0][1]
    assert told.windows[0].end == 7.0 and told.gaps[0].end == pytest.approx(5.0)


def test_electrodes_that_say_too_little_are_refused_before_anything_is_taken(recogniser):
    with pytest.raises(MontageError):
        run(recogniser, Script(chunks(noise(3)[:2], times(3)), names=("Fp1", "Fp2")))


def test_silence_and_a_stop_from_another_thread(recogniser, monkeypatch):
    monkeypatch.setattr("mdjpt_hf.live.session._SILENCE", 0.01)
    told, begun = Told(), threading.Event()

    class Endless(Script):
        def pull(self, timeout):
            begun.set()
            threading.Event().wait(0.02)
            return np.empty((len(NAMES), 0)), np.empty(0)

    source = Endless([])
    session = LiveSession(recogniser, source, [told])
    thread = threading.Thread(target=session.run)
    thread.start()
    begun.wait(5)
    threading.Event().wait(0.15)
    session.stop()
    thread.join(5)
    assert not thread.is_alive() and source.closed and told.texts == ["no samples for 0.01 s"]


def test_a_session_ends_after_the_seconds_asked_for(recogniser):
    told = run(recogniser, chunks(noise(12), times(12)), seconds=5)
    assert 5 <= told.summary.seconds < 5.3 and told.windows[-1].end == 5


def test_lines_say_everything(recogniser):
    signal, lines = noise(12), []
    signal[3, round(5 * RATE) :] = 0
    signal[:, round(8 * RATE) : round(8.5 * RATE)] = np.nan
    told = Told()
    LiveSession(recogniser, Script(chunks(signal, times(12))), [Lines(lines.append), told], "m").run()
    text = "\n".join(lines)
    assert lines[0].startswith("cap (LSL): 11 channels at 250 Hz; a window of 2 s every 1 s, from the last 15 s")
    assert "11 of 11 electrodes good" in text and "10 of 11 electrodes good: F4 rebuilt" in text
    assert "8.0 s  a gap of 0.5 s: samples hold NaN" in text and "no answer: samples hold NaN" in text
    assert lines[-1].startswith("12.0 s: ") and "1 gap, 0.5 s in all; answers after" in lines[-1]


def test_a_table_stays_in_its_place_on_a_terminal(recogniser, capsys):
    screen = Screen()
    signal = noise(6)
    signal[3] = 0
    signal[:, round(4 * RATE) : round(4.5 * RATE)] = np.nan
    LiveSession(recogniser, Script(chunks(signal, times(6))), [screen], "m").run()
    printed = capsys.readouterr().out
    assert "cap (LSL): 11 channels" in printed and "no answer: samples hold NaN" in printed
    assert "6.0 s: " in printed and not screen._live.is_started
    assert isinstance(on_screen(print), Lines) and not isinstance(on_screen(print), Screen)  # nobody watches


def test_json_lines_are_whole_whatever_was_there_before(recogniser, tmp_path):
    path = tmp_path / "out.jsonl"
    path.write_text('{"event": "end"}\n{"event": "windo')  # a session that was cut off
    output = JsonLines(path, {"how": "asked"})
    LiveSession(recogniser, Script(chunks(noise(4), times(4))), [output], "m").run()
    before, cut, *rest = path.read_text().splitlines()
    events = [json.loads(line) for line in rest]
    assert cut == '{"event": "windo' and [event["event"] for event in events] == ["begin", *["window"] * 3, "end"]
    assert events[0]["consent"] == {"how": "asked"} and events[0]["ch_names"] == NAMES
    assert set(events[1]["scores"]) == set(LABELS) and events[1]["quality"]["Cz"] == "good"
    assert events[-1]["windows"] == 3
    with pytest.raises(ConfigurationError, match="cannot be written"):
        JsonLines(tmp_path / "nowhere" / "out.jsonl")


@pytest.mark.slow
def test_eight_hours_with_gaps_in_flat_memory(recogniser, monkeypatch):
    """The network is left out; everything that keeps something is there."""
    import psutil

    seen, told = [], Told()
    told.window = lambda window: None
    told.gap = told.lost = lambda *arguments: None
    signal = noise(10)

    def steps():
        for number in range(8 * 360):
            start = number * 10.0
            part = signal if number % 7 else np.where(np.arange(signal.shape[1]) > 2000, np.nan, signal)
            lost = slice(0, 0) if number % 11 else slice(500, 900)
            yield from chunks(np.delete(part, lost, axis=1), np.delete(times(10, start), lost), 2500)
            if number in (360, 8 * 360 - 1):
                seen.append(psutil.Process().memory_info().rss)

    class Generated(Script):
        def __init__(self):
            super().__init__([])
            self.given = steps()

        def pull(self, timeout):
            try:
                return next(self.given)
            except StopIteration:
                raise EndOfStream from None

    seldom = MDJPTFeatureExtractor(window_seconds=2.0, stride_seconds=5.0)
    pipeline = EEGEmotionPipeline(model=recogniser.model, feature_extractor=seldom)
    session = LiveSession(pipeline, Generated(), [told])
    made = session._make

    def make(rate):
        encoder = made(rate)
        look = encoder._look

        def without_network():
            encoder._watch(look(encoder._buffer))
            raise ValueError("left out")

        encoder._encode = without_network
        return encoder

    monkeypatch.setattr(session, "_make", make)
    session.run()
    assert session.summary.seconds == pytest.approx(8 * 3600, abs=2) and session.summary.gaps > 600
    assert seen[1] - seen[0] < 20 * 2**20
