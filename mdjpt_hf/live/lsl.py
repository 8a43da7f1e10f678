"""Lab Streaming Layer: EEG streams in, predictions out.

pylsl 1.18 is used rather than mne-lsl 1.14. Both bring liblsl in their wheels and take samples as fast (figures in
docs/guides/live.md); pylsl needs nothing but NumPy, is there in a fifth of the time, and wakes with the first sample of
a chunk of any size (`min_samples`), where mne-lsl waits for a number of samples that has to be guessed.
"""

import os
import time
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from mdjpt_hf.errors import ConfigurationError, MontageError, StreamError
from mdjpt_hf.live.source import ChannelChoice, StreamFacts, StreamLost, choose_channels, differences

#: s that a search lasts at a time, and samples taken at once at most (a minute at 1000 Hz).
_SEARCH, _AT_ONCE = 1.0, 60_000
#: s that liblsl keeps for an inlet that is not read.
_BUFFERED = 120

#: A replay, and what comes of it, stays on this machine.
LOOPBACK = """\
[ports]
IPv6 = disable
[multicast]
ResolveScope = machine
AddressesOverride = {127.0.0.1}
[lab]
KnownPeers = {127.0.0.1}
[log]
level = -2
"""


def library() -> Any:
    """pylsl, if it is installed.

    Raises:
        ConfigurationError: If it, or its liblsl, is not.
    """
    try:
        import pylsl
    except (ImportError, RuntimeError) as error:  # pylsl raises the second where no liblsl is found
        raise ConfigurationError(
            f"Lab Streaming Layer cannot be used ({str(error).splitlines()[0]})",
            value="pylsl",
            remedy="Install it with `pip install 'mdjpt-hf[live]'`",
        ) from error
    return pylsl


@cache
def stay_on_this_machine() -> None:
    """Let liblsl neither look nor answer beyond this machine; without effect once anything of it was used, or where
    the user has a configuration of their own (LSLAPICFG)."""
    if "LSLAPICFG" not in os.environ:
        library().set_config_content(LOOPBACK)


def find_stream(name: str | None = None, timeout: float = 10.0) -> Any:
    """The one stream of type EEG, or that of a name.

    Raises:
        StreamError: If there is none within `timeout` s, or several.
    """
    pylsl, until = library(), time.monotonic() + timeout
    while True:
        found = pylsl.resolve_streams(min(_SEARCH, max(0.1, until - time.monotonic())))
        chosen = [info for info in found if (info.name() == name if name else info.type().strip().lower() == "eeg")]
        distinct = {info.uid(): info for info in chosen}
        if len(distinct) == 1:
            return next(iter(distinct.values()))
        if distinct or time.monotonic() > until:
            raise _not_one(name, list(distinct.values()), found)


def _not_one(name: str | None, chosen: Sequence[Any], found: Sequence[Any]) -> StreamError:
    what = f"of the name {name!r}" if name else "of type EEG"
    if chosen:
        names = sorted(f"{info.name()} on {info.hostname()}" for info in chosen)
        return StreamError(
            f"{len(chosen)} streams {what} are there: {', '.join(names)}",
            value=names,
            remedy="Let only one of them be sent" if name else "Name one of them with --stream",
        )
    others = ", ".join(sorted({f"{info.name()} ({info.type() or 'no type'})" for info in found})) or "none at all"
    return StreamError(
        f"no stream {what} was found; there are: {others}",
        value=name,
        remedy="Start the sender, in the same network and behind no firewall, or try --replay FILE",
    )


class LslSource:
    """An EEG stream of Lab Streaming Layer.

    Args:
        name: Of the stream; None for the only one of type EEG. timeout: s that it is looked for.
        unit: Of its numbers, where its description is wrong. channels: Names, where it has none.
        kind: See [`StreamFacts`].

    Raises:
        StreamError: If it cannot be found. MontageError, UnitError: If its description cannot be used.
    """

    def __init__(
        self,
        name: str | None = None,
        timeout: float = 10.0,
        unit: str | None = None,
        channels: Sequence[str] = (),
        kind: str = "LSL",
    ):
        self._lsl, self._unit, self._channels, self._kind = library(), unit, list(channels), kind
        self._open(find_stream(name, timeout))

    def _open(self, info: Any) -> None:
        flags = self._lsl.proc_clocksync | self._lsl.proc_threadsafe
        inlet = self._lsl.StreamInlet(info, max_buflen=_BUFFERED, recover=False, processing_flags=flags, as_numpy=True)
        try:
            full = inlet.info(timeout=10.0)
            inlet.open_stream(timeout=10.0)
        except (self._lsl.util.TimeoutError, self._lsl.util.LostError) as error:
            raise StreamError(
                f"the stream {info.name()!r} was found, and does not answer",
                value=info.name(),
                remedy="Look whether a firewall is between its sender and this machine",
            ) from error
        described = describe(full)
        if self._channels:
            _check_count(self._channels, full.channel_count())
            described["labels"] = self._channels
        self._choice = choose_channels(described["labels"], described["types"], described["units"], self._unit)
        self.description = described
        rate, name = described["sampling_rate"], described["name"]
        self.facts = StreamFacts(name, self._choice.ch_names, rate, self._choice.notes, self._kind)
        self._inlet = inlet

    def pull(self, timeout: float) -> tuple[np.ndarray, np.ndarray]:
        """See [`Source.pull`]."""
        if self._inlet is None:
            raise StreamLost
        try:
            samples, stamps = self._inlet.pull_chunk(timeout=timeout, min_samples=1, max_samples=_AT_ONCE)
        except self._lsl.util.LostError as error:
            self.close()
            raise StreamLost from error
        return _microvolts(samples, self._choice), np.asarray(stamps, dtype=float)

    def reconnect(self, timeout: float) -> bool:
        """See [`Source.reconnect`].

        Raises:
            StreamError: If a stream of that name is there whose channels, units or rate are others.
        """
        before = self.description
        try:
            self._open(find_stream(before["name"], timeout))
        except StreamError:
            return False
        if others := differences(before, self.description):
            self.close()
            raise StreamError(
                f"the stream {before['name']!r} came back with other {', '.join(others)}",
                value=others,
                remedy="Begin a new session with it",
            )
        return True

    def now(self) -> float:
        """s on the clock of the stamps."""
        return float(self._lsl.local_clock())

    def close(self) -> None:
        """See [`Source.close`]."""
        inlet, self._inlet = self._inlet, None
        if inlet is not None:
            inlet.close_stream()


def _check_count(channels: Sequence[str], count: int) -> None:
    if len(channels) != count:
        raise MontageError(
            f"{len(channels)} channels were named, the stream has {count}",
            value=list(channels),
            remedy="Name all of them, in their order",
        )


def _microvolts(samples: np.ndarray, choice: ChannelChoice) -> np.ndarray:
    """`(samples, channels)` as they came -> `(channels, samples)` in µV."""
    if not len(samples):
        return np.empty((len(choice.rows), 0))
    return np.asarray(samples, dtype=float)[:, choice.rows].T * choice.scales[:, None]


def describe(info: Any) -> dict[str, Any]:
    """What a stream says of itself: `name`, `sampling_rate`, and of every channel `labels`, `types` and `units`."""
    count = info.channel_count()
    rows: list[tuple[str, ...]] = []
    channel = info.desc().child("channels").child("channel")
    while not channel.empty() and len(rows) < count:
        rows.append(tuple(channel.child_value(name) for name in ("label", "type", "unit")))
        channel = channel.next_sibling("channel")
    rows += [("", "", "")] * (count - len(rows))
    labels, types, units = ([row[part] for row in rows] for part in range(3))
    rate = float(info.nominal_srate())
    return {"name": info.name(), "sampling_rate": rate, "labels": labels, "types": types, "units": units}


def add_channels(info: Any, labels: Sequence[str], kind: str, unit: str) -> None:
    """Describe the channels of a stream that is sent, in the layout of the XDF metadata specification."""
    channels = info.desc().append_child("channels")
    for label in labels:
        channel = channels.append_child("channel")
        for key, value in (("label", label), ("type", kind), ("unit", unit)):
            channel.append_child_value(key, value)


class LslOutlet:
    """Predictions as a stream: one sample a window, stamped with the end of its window.

    Args:
        name: Of the stream. labels: Of its channels. about: Facts for its description.
        scores: What the numbers are: "probability" or "rating".
    """

    def __init__(self, name: str, labels: Sequence[str], about: Mapping[str, str], scores: str = "probability"):
        pylsl = library()
        info = pylsl.StreamInfo(name, "Emotion", len(labels), pylsl.IRREGULAR_RATE, "float32", f"mdjpt-{name}")
        add_channels(info, labels, "Emotion", scores)
        described = info.desc().append_child("prediction")
        for key, value in about.items():
            described.append_child_value(key, str(value))
        self._outlet = pylsl.StreamOutlet(info)

    def push(self, scores: Sequence[float], stamp: float) -> None:
        """The scores of a window, in the order of the labels."""
        if self._outlet is not None:
            self._outlet.push_sample([float(score) for score in scores], stamp)

    def close(self) -> None:
        """Take the stream away."""
        self._outlet = None
