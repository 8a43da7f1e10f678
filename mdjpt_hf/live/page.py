"""A page of this machine that shows a session while it goes on."""

import os
import threading
from collections import deque
from html import escape

from mdjpt_hf.errors import ConfigurationError
from mdjpt_hf.live.outputs import closing, electrodes, gap_line
from mdjpt_hf.live.session import LiveWindow, SessionFacts, Summary
from mdjpt_hf.streaming import StreamGap

#: s between two looks of the page at the session. Windows in the curve, and lines below it.
_LOOK, _CURVE, _LINES = 0.5, 60, 6

WARNING = (
    "<b>Not a medical device and no lie detector.</b> A model knows only the people, films and amplifiers it was "
    "trained on; on anyone else its answer may be wrong and still look sure. Do not use it to judge, select or watch "
    "people, and never without their knowledge."
)

#: Of labels, in their order; told apart by people with colour deficiencies (Okabe and Ito 2008).
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a6c00", "#555555")
_WORTH = {"good": "#009e73", "rebuilt": "#b27c00", "left out": "#d55e00", "silent": "#a3004c"}

_STYLE = """
<style>
.live { font-size: 1rem; line-height: 1.45; max-width: 60rem; margin: auto }
.live h2 { font-size: 2.2rem; margin: .2rem 0 0 }
.live .note { opacity: .75; font-size: .9rem }
.live .warning { border-left: 4px solid #d55e00; padding-left: .7rem; font-size: .9rem; margin: .6rem 0 }
.live .bar { display: grid; grid-template-columns: 9rem 1fr 3.5rem; gap: .6rem; align-items: center; margin: .2rem 0 }
.live .track { background: rgba(128,128,128,.18); border-radius: 4px; height: 1.1rem }
.live .fill { height: 100%; border-radius: 4px }
.live .chip { display: inline-block; color: #fff; border-radius: 4px; padding: 0 .4rem; margin: .12rem }
.live svg { width: 100%; height: 9rem; margin-top: .6rem }
.live pre { white-space: pre-wrap; font-size: .85rem; opacity: .85 }
</style>
"""


class Board:
    """An output that keeps what a page shows."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._facts: SessionFacts | None = None
        self._windows: deque[LiveWindow] = deque(maxlen=_CURVE)
        self._lines: deque[str] = deque(maxlen=_LINES)
        self._state = "waiting for the first samples"

    # ---- told by the session

    def begin(self, facts: SessionFacts) -> None:
        """See [`Output`]."""
        with self._lock:
            self._facts, self._state = facts, ""

    def window(self, window: LiveWindow) -> None:
        """See [`Output`]."""
        with self._lock:
            self._windows.append(window)
            self._state = ""

    def gap(self, gap: StreamGap) -> None:
        """See [`Output`]."""
        self._note(gap_line(gap).strip())

    def lost(self, end: float, why: str) -> None:
        """See [`Output`]."""
        with self._lock:
            self._state = f"no answer at {end:.1f} s: {why}"

    def say(self, text: str) -> None:
        """See [`Output`]."""
        self._note(text)

    def end(self, summary: Summary) -> None:
        """See [`Output`]."""
        with self._lock:
            self._state = f"The session is over. {closing(summary)}"

    def _note(self, text: str) -> None:
        with self._lock:
            self._lines.append(text)

    # ---- shown

    def html(self) -> str:
        """The session as it stands; everything that others have written is shown, never interpreted."""
        with self._lock:
            facts, windows, lines, state = self._facts, list(self._windows), list(self._lines), self._state
        parts = [_STYLE, '<div class="live">', f'<div class="warning">{WARNING}</div>']
        if facts is not None:
            parts += [
                f'<div class="warning">{escape(warning[:1].upper() + warning[1:])}.</div>' for warning in facts.warnings
            ]
        if windows and facts is not None:
            parts.append(_answer(windows[-1], facts, current=not state))
        if state:
            parts.append(f'<p id="state"><b>{escape(state)}</b></p>')
        if windows and facts is not None:
            parts += [_curve(windows, facts), _chips(windows[-1])]
        if lines:
            parts.append(f"<pre>{escape(chr(10).join(lines))}</pre>")
        if facts is not None:
            parts.append(_stream(facts))
        return "".join([*parts, "</div>"])


class Page(Board):
    """What a session says, for people who look at it with a browser on this machine.

    Args:
        port: Default: the first free one from 7860.

    Raises:
        ConfigurationError: If Gradio is not installed, or the port is taken.
    """

    def __init__(self, port: int | None = None):
        super().__init__()
        os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
        try:
            import gradio
        except ImportError as error:
            raise ConfigurationError(
                f"the page cannot be shown ({error})", value="gradio", remedy="pip install 'mdjpt-hf[live]'"
            ) from error
        with gradio.Blocks(title="Emotion from EEG, live", analytics_enabled=False) as blocks:
            shown = gradio.HTML(self.html(), elem_id="live")
            gradio.Timer(_LOOK).tick(self.html, outputs=shown, show_progress="hidden", queue=False)
        try:
            _, self.address, _ = blocks.launch(
                server_name="127.0.0.1", server_port=port, prevent_thread_lock=True, quiet=True
            )
        except OSError as error:  # the port is taken
            raise ConfigurationError(str(error), value=port, remedy="Choose another --port") from error


def _answer(window: LiveWindow, facts: SessionFacts, current: bool) -> str:
    told = "" if window.label is None else f"{escape(window.label)} {window.score:.0%}"
    worth = f' <span class="note">{escape(window.certainty)}</span>' if window.certainty else ""
    when = f"from {window.onset:.1f} to {window.end:.1f} s; answered after {1000 * window.latency:.0f} ms"
    rows = "".join(
        f'<div class="bar"><span>{escape(label)}</span>{_bar(score, number, facts.ratings)}'
        f"<span>{score:.2f}</span></div>"
        for number, (label, score) in enumerate(window.scores.items())
    )
    faded = "" if current else ' style="opacity:.35"'
    return f'<div id="answer"{faded}><h2>{told}{worth}</h2><p class="note">{when}</p>{rows}</div>'


def _bar(score: float, number: int, ratings: bool) -> str:
    share = 0 if ratings else max(0.0, min(1.0, score))
    colour = _COLOURS[number % len(_COLOURS)]
    return f'<div class="track"><div class="fill" style="width:{100 * share:.1f}%;background:{colour}"></div></div>'


def _curve(windows: list[LiveWindow], facts: SessionFacts) -> str:
    """Scores over time; a line ends where windows were lost."""
    last, span = windows[-1].end, _CURVE * facts.stride
    low = min([0.0, *(score for window in windows for score in window.scores.values())])
    high = max([1.0, *(score for window in windows for score in window.scores.values())])
    lines = []
    for number, label in enumerate(facts.labels):
        pieces: list[list[str]] = [[]]
        for before, window in zip([None, *windows], windows, strict=False):
            if before is not None and window.end - before.end > 1.5 * facts.stride:
                pieces.append([])
            x, y = 600 * (1 - (last - window.end) / span), 96 - 92 * (window.scores[label] - low) / (high - low)
            pieces[-1].append(f"{x:.1f},{y:.1f}")
        colour = _COLOURS[number % len(_COLOURS)]
        style = f'fill="none" stroke="{colour}" stroke-width="2" vector-effect="non-scaling-stroke"'
        lines += [f'<polyline points="{" ".join([*piece, piece[-1]])}" {style}/>' for piece in pieces if piece]
    axis = '<line x1="0" y1="96" x2="600" y2="96" stroke="gray" stroke-width="1" vector-effect="non-scaling-stroke"/>'
    return (
        f'<svg viewBox="0 0 600 100" preserveAspectRatio="none" role="img" aria-label="scores over time">{axis}'
        f'{"".join(lines)}</svg><p class="note">the last {span:g} s</p>'
    )


def _chips(window: LiveWindow) -> str:
    chips = "".join(
        f'<span class="chip" style="background:{_WORTH[worth]}" title="{worth}">{escape(name)}'
        f"{'' if worth == 'good' else f': {worth}'}</span>"
        for name, worth in window.quality.items()
    )
    return f'<div id="electrodes"><p class="note">{escape(electrodes(window).partition(":")[0])}</p>{chips}</div>'


def _stream(facts: SessionFacts) -> str:
    notes = "".join(f"<li>{escape(note)}</li>" for note in facts.notes)
    return (
        f'<details id="stream"><summary>{escape(facts.stream)} ({escape(facts.kind)}), {len(facts.ch_names)} channels '
        f"at {facts.sampling_rate:g} Hz; model {escape(facts.model)}</summary><ul>{notes}</ul></details>"
    )
