"""How far something is: a bar on a terminal, and anywhere else lines of the logger `mdjpt_hf`, one for each stretch.

What is piped into a file holds no carriage returns, and `logging.getLogger("mdjpt_hf").setLevel(logging.WARNING)`
silences it.
"""

import logging
import os
import sys
import time
from types import TracebackType

from tqdm.auto import tqdm

LOGGER = logging.getLogger("mdjpt_hf")

#: Without a terminal a line is due after this share of the work, or after so many seconds.
_SHARE, _SECONDS = 0.1, 60.0


class Progress:
    """A stretch of work whose parts are counted; a context manager.

    Args:
        total, done: Parts in all, and of them before this began.
        what, unit: Names of the work and of a part. shown: False tells nothing, as on all processes but the main one.
    """

    def __init__(self, total: int, done: int, what: str, unit: str, shown: bool = True):
        self.total, self.done, self.what, self.unit, self.shown = total, done, what, unit, shown
        self.bar = tqdm(total=total, initial=done, desc=what, unit=unit, disable=not (shown and _has_bars()))
        self._told, self._since = done, time.monotonic()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.bar.close()

    def advance(self, text: str = "") -> None:
        """One more part is done; `text` says where this stands."""
        self.done += 1
        if text:
            self.tell(text)
        self.bar.update()

    def tell(self, text: str) -> None:
        """Numbers of this moment."""
        self.bar.set_postfix_str(text, refresh=False)
        due = self.done - self._told >= _SHARE * self.total or time.monotonic() - self._since >= _SECONDS
        if self.shown and self.bar.disable and (due or self.done == self.total):
            LOGGER.info("%s: %d of %d %ss, %s", self.what, self.done, self.total, self.unit, text)
            self._told, self._since = self.done, time.monotonic()

    def say(self, line: str) -> None:
        """A line of its own, above the bar."""
        if self.bar.disable:
            LOGGER.info(line)
        else:
            tqdm.write(line)


def _has_bars() -> bool:
    """Bars are for people who watch, at a terminal or in a notebook, and have not asked for quiet."""
    return not _Quiet.asked and (sys.stderr.isatty() or "ipykernel" in sys.modules)


class _Quiet:
    asked = False


def print_log(quiet: bool = False) -> None:
    """Print what the logger is told, as a command does: on the standard output, or nothing but warnings."""
    if not any(isinstance(handler, _ToStandardOutput) for handler in LOGGER.handlers):
        LOGGER.addHandler(_ToStandardOutput())
    LOGGER.setLevel(logging.WARNING if quiet else logging.INFO)
    _Quiet.asked = quiet
    if not _has_bars():
        _switch_off_bars_of_libraries()


def _switch_off_bars_of_libraries() -> None:
    """Of those that load weights, write shards and download; they look at their environment when they are imported."""
    for name in ("HF_HUB_DISABLE_PROGRESS_BARS", "HF_DATASETS_DISABLE_PROGRESS_BARS"):
        os.environ.setdefault(name, "1")
    for module, switch in (
        ("huggingface_hub.utils", "disable_progress_bars"),
        ("transformers.utils.logging", "disable_progress_bar"),
        ("datasets", "disable_progress_bars"),
    ):
        if module in sys.modules:
            getattr(sys.modules[module], switch)()


class _ToStandardOutput(logging.Handler):
    """Whatever the standard output is at that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), flush=True)
