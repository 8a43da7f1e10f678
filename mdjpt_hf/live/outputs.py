"""Where answers go: lines of text, a table that stays in its place, JSON lines, another stream."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mdjpt_hf.errors import ConfigurationError
from mdjpt_hf.live.lsl import LslOutlet
from mdjpt_hf.live.session import LiveWindow, Output, SessionFacts, Summary, as_record
from mdjpt_hf.streaming import StreamGap

#: Electrodes named at most where not all are good, and marks of a bar.
_NAMED, _BAR = 6, 24


class Lines:
    """A line of text for everything; `tell` prints it."""

    def __init__(self, tell: Callable[[str], None]):
        self.tell = tell

    def begin(self, facts: SessionFacts) -> None:
        """See [`Output`]."""
        for line in opening(facts):
            self.tell(line)

    def window(self, window: LiveWindow) -> None:
        """See [`Output`]."""
        self.tell(f"{window.end:8.1f} s  {answer(window):<40}  {1000 * window.latency:5.0f} ms  {electrodes(window)}")

    def gap(self, gap: StreamGap) -> None:
        """See [`Output`]."""
        self.tell(gap_line(gap))

    def lost(self, end: float, why: str) -> None:
        """See [`Output`]."""
        self.tell(f"{end:8.1f} s  no answer: {why}")

    def say(self, text: str) -> None:
        """See [`Output`]."""
        self.tell(text)

    def end(self, summary: Summary) -> None:
        """See [`Output`]."""
        self.tell(closing(summary))


class Screen(Lines):
    """The same on a terminal, with the last window in a table below that stays in its place."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._live = Live(console=Console(), auto_refresh=False, transient=True)
        super().__init__(lambda line: self._live.console.print(line, markup=False, highlight=False))
        self._facts: SessionFacts | None = None

    def begin(self, facts: SessionFacts) -> None:
        """See [`Output`]."""
        super().begin(facts)
        self._facts = facts
        self._live.start()

    def window(self, window: LiveWindow) -> None:
        """See [`Output`]."""
        assert self._facts is not None
        self._live.update(_table(window, self._facts), refresh=True)

    def end(self, summary: Summary) -> None:
        """See [`Output`]."""
        self._live.stop()
        super().end(summary)


def _table(window: LiveWindow, facts: SessionFacts) -> Any:
    from rich.columns import Columns
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"{window.end:.1f} s  {answer(window)}", title_justify="left", box=None, show_header=False)
    for label, score in window.scores.items():
        share = 0 if facts.ratings else round(_BAR * score)
        table.add_row(Text(label), f"{score:.2f}", "█" * share + "·" * (_BAR - share) * (not facts.ratings))
    colours = {"good": "green", "rebuilt": "yellow", "left out": "red", "silent": "red"}
    names = Columns([Text(name, style=colours[worth]) for name, worth in window.quality.items()])
    return Group(table, names, Text(f"{1000 * window.latency:.0f} ms; {electrodes(window)}", style="dim"))


class JsonLines:
    """One line of JSON for everything, behind what a file holds already; each is written whole, at once.

    Raises:
        ConfigurationError: If the file cannot be written.
    """

    def __init__(self, path: Path, consent: Mapping[str, Any] | None = None):
        self._consent = dict(consent or {})
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o600)
            if _ends_in_the_middle(path):
                os.write(self._file, b"\n")
        except OSError as error:
            raise ConfigurationError(
                f"cannot be written ({error.strerror})", path=path, value=str(path), remedy="Write elsewhere"
            ) from error

    def _write(self, event: str, content: Mapping[str, Any]) -> None:
        if self._file < 0:
            return
        line = {"event": event, "time": datetime.now(UTC).isoformat(timespec="milliseconds"), **content}
        left = memoryview(json.dumps(line, ensure_ascii=False, allow_nan=False).encode() + b"\n")
        while left:
            left = left[os.write(self._file, left) :]

    def begin(self, facts: SessionFacts) -> None:
        """See [`Output`]."""
        self._write("begin", {**as_record(facts), "consent": self._consent})

    def window(self, window: LiveWindow) -> None:
        """See [`Output`]."""
        self._write("window", as_record(window))

    def gap(self, gap: StreamGap) -> None:
        """See [`Output`]."""
        self._write("gap", {**as_record(gap), "seconds": gap.seconds})

    def lost(self, end: float, why: str) -> None:
        """See [`Output`]."""
        self._write("lost", {"end": end, "why": why})

    def say(self, text: str) -> None:
        """See [`Output`]."""
        self._write("note", {"text": text})

    def end(self, summary: Summary) -> None:
        """See [`Output`]."""
        self._write("end", as_record(summary))
        descriptor, self._file = self._file, -1
        if descriptor >= 0:
            os.close(descriptor)


def _ends_in_the_middle(path: Path) -> bool:
    """Whether the last line of a file lacks its end, after a crash."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        if not size:
            return False
        file.seek(size - 1)
        return file.read(1) != b"\n"


class Broadcast:
    """Scores as an LSL stream, for programs that record them or react.

    Args:
        name: Of the stream.
    """

    def __init__(self, name: str):
        self.name, self._outlet = name, None  # type: str, LslOutlet | None

    def begin(self, facts: SessionFacts) -> None:
        """See [`Output`]."""
        about = {
            "model": facts.model,
            "labels": ",".join(facts.labels),
            "of_stream": facts.stream,
            "window_seconds": f"{facts.window:g}",
            "stride_seconds": f"{facts.stride:g}",
            "stamped": "end of the window",
        }
        self._outlet = LslOutlet(self.name, facts.labels, about, "rating" if facts.ratings else "probability")

    def window(self, window: LiveWindow) -> None:
        """See [`Output`]."""
        if self._outlet is not None:
            self._outlet.push(list(window.scores.values()), window.stamp)

    def gap(self, gap: StreamGap) -> None:
        """See [`Output`]."""

    def lost(self, end: float, why: str) -> None:
        """See [`Output`]."""

    def say(self, text: str) -> None:
        """See [`Output`]."""

    def end(self, summary: Summary) -> None:
        """See [`Output`]."""
        if self._outlet is not None:
            self._outlet.close()


def on_screen(tell: Callable[[str], None]) -> Output:
    """A table where somebody watches, else lines."""
    return Screen() if sys.stdout.isatty() else Lines(tell)


# ---- in words


def opening(facts: SessionFacts) -> list[str]:
    """What a session begins with."""
    return [
        f"{facts.stream} ({facts.kind}): {len(facts.ch_names)} channels at {facts.sampling_rate:g} Hz; "
        f"a window of {facts.window:g} s every {facts.stride:g} s, from the last {facts.context:g} s",
        *(f"- {note}" for note in facts.notes),
        *(f"! {warning}" for warning in facts.warnings),
    ]


def answer(window: LiveWindow) -> str:
    """Label, probability and what it is worth; or ratings."""
    if window.label is None or window.score is None:
        return ", ".join(f"{name} {value:.2f}" for name, value in window.scores.items())
    return f"{window.label} {window.score:.0%}" + (f" ({window.certainty})" if window.certainty else "")


def electrodes(window: LiveWindow) -> str:
    """How many electrodes are good, and which are not."""
    bad = [f"{name} {worth}" for name, worth in window.quality.items() if worth != "good"]
    more = f" and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
    good = f"{len(window.quality) - len(bad)} of {len(window.quality)} electrodes good"
    return good + (f": {', '.join(bad[:_NAMED])}{more}" if bad else "")


def gap_line(gap: StreamGap) -> str:
    """Where a gap was, how long, and why."""
    if not gap.seconds:
        return f"{gap.onset:8.1f} s  a break: {gap.reason}"
    return f"{gap.onset:8.1f} s  a gap of {gap.seconds:.3g} s: {gap.reason}"


def closing(summary: Summary) -> str:
    """What a session came to."""
    text = f"{summary.seconds:.1f} s: {summary.windows} windows, {summary.lost} lost"
    gaps = f"{summary.gaps} gap{'s' * (summary.gaps != 1)}, {summary.gap_seconds:.3g} s in all"
    text += f"; {gaps}" if summary.gaps else "; no gaps"
    if summary.latency_median is not None and summary.latency_99 is not None:
        text += f"; answers after {1000 * summary.latency_median:.0f} ms (99 %: {1000 * summary.latency_99:.0f} ms)"
    return text
