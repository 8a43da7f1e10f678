"""Neuroscan `.cnt` recordings, read from their layout on disk.

The header's own figures cannot be trusted: files are found with no sample count, with one that disagrees with their
size, and beyond 2 GB with an overflown place of the event table. Nor does it say whether samples have 16 or 32 bits,
and the wrong width gives noise that looks like EEG. So the width is the one whose amplitudes can be EEG, and the end of
the signal is where an event table really stands. Persons named in the header are never read.
"""

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .errors_mdjpt import MontageError, SignalError, located
from .mne_mdjpt import load_mne
from .montage_mdjpt import select_channels

_HEADER, _ELECTRODE, _TABLE_HEAD = 900, 75, 9  # bytes
#: Layout of one event by the type of its table.
_EVENTS = {1: struct.Struct("<HBBI"), 2: struct.Struct("<HBBIhhfBBB"), 3: struct.Struct("<HBBIhhfBBB")}

#: Typical amplitude in µV within one second, outside which samples have another width. Bits of two samples read as
#: one number are some 65536 times too large; narrower samples than there are would pass, so the wide ones come first.
_PLAUSIBLE = (0.05, 5000.0)
_LOOKED_AT = 16  # seconds of the recording, evenly spread
_BLOCK_SECONDS = 30  # read at a time: what is on disk never stands in memory in float64


@dataclass
class NeuroscanRecording:
    """A recording read from a `.cnt` file.

    Attributes:
        signal: Float32 `(channels, samples)` in µV, scalp electrodes only.
        ch_names: Their names in MNE's spelling.
        sampling_rate: Hz.
        events: (s from the start, text), in order of time. The text is the trigger's number, or `KeyPad Response 3`,
            `Keyboard Response 3` for a key.
        notes: What was renamed, dropped, or is odd about the file.
        breaks: s from the start at which the amplifier was stopped and started, or its offset corrected.
    """

    signal: np.ndarray
    ch_names: list[str]
    sampling_rate: float
    events: list[tuple[float, str]]
    notes: list[str] = field(default_factory=list)
    breaks: list[float] = field(default_factory=list)


def is_neuroscan(path: Path) -> bool:
    """Whether a file may be one: ANT's recordings have the same suffix, but begin as RIFF."""
    if path.suffix.lower() != ".cnt":
        return False
    with path.open("rb") as file:
        return file.read(4) not in (b"RIFF", b"RF64", b"")


def read_neuroscan(path: Path) -> NeuroscanRecording:
    """Read a Neuroscan recording.

    Raises:
        SignalError: If it is truncated, or no Neuroscan recording.
        MontageError: If no channel is a known electrode, with the file in front.
    """
    header = _read_header(path)
    width = _find_width(header)
    samples, table = _find_end(header, width)
    try:
        selection = select_channels(header.ch_names)
    except MontageError as error:
        raise located(error, str(path)) from error
    events = _read_events(header, width, table) if table else []
    breaks = [event.onset for event in events if event.state in _BREAKS]
    told = [f"the amplifier was stopped or corrected at {', '.join(f'{at:g}' for at in breaks)} s"] if breaks else []
    return NeuroscanRecording(
        _read_signal(header, width, samples, selection.indices),
        selection.ch_names,
        float(header.rate),
        [(event.onset, event.text) for event in events],
        [*selection.notes(), *_notes(header, width, samples), *told],
        breaks,
    )


def neuroscan_raw(path: Path) -> tuple[Any, list[str]]:
    """A Neuroscan recording as an `mne.io.Raw` whose samples are still on disk, and notes.

    MNE 1.13 takes the header's count and the width of samples as given, and reads noise where they are wrong.

    Raises:
        SignalError: If it is truncated, or no Neuroscan recording.
    """
    mne = load_mne()
    header = _read_header(path)
    width = _find_width(header)
    samples, table = _find_end(header, width)
    events = _read_events(header, width, table) if table else []

    class RawNeuroscan(mne.io.BaseRaw):  # type: ignore[name-defined]
        """Reads blocks of samples where they lie."""

        def _read_segment_file(self, data, idx, fi, start, stop, cals, mult):
            values = _read_block(header, width, samples, start, stop) * 1e-6
            data[:] = values[idx] if mult is None else mult @ values

    info = mne.create_info(_unique(header.ch_names), float(header.rate), "eeg")
    raw = RawNeuroscan(info, last_samps=[samples - 1], filenames=[path], orig_format="int", verbose="ERROR")
    annotations = [*((event.onset, 0.0, event.text) for event in events), *_states(events, samples / header.rate)]
    raw.set_annotations(mne.Annotations(*(zip(*annotations, strict=True) if annotations else ([], [], []))))
    return raw, _notes(header, width, samples)


def _unique(names: list[str]) -> list[str]:
    """MNE wants names to differ; it numbers those that do not."""
    return [f"{name}-{names[:k].count(name)}" if names.count(name) > 1 else name for k, name in enumerate(names)]


def _notes(header: "_Header", width: int, samples: int) -> list[str]:
    notes = [f"samples have {8 * width} bits"]
    if samples != header.n_samples:
        notes.append(f"the header tells of {header.n_samples} samples, the file holds {samples}")
    return notes


@dataclass(frozen=True)
class _Event:
    """s from the start, text, and the recorder's state: 12 rejected, 13 accepted, 11 and 14 a break."""

    onset: float
    text: str
    state: int


_BREAKS, _REJECTED, _ACCEPTED = (11, 14), 12, 13


def _states(events: "list[_Event]", end: float) -> list[tuple[float, float, str]]:
    """Annotations (onset, duration, text) of breaks, and of what was rejected until it was accepted again."""
    found = [(event.onset, 0.0, "boundary") for event in events if event.state in _BREAKS]
    judged = [event for event in events if event.state in (_REJECTED, _ACCEPTED)]
    for event, following in zip(judged, [*(later.onset for later in judged[1:]), end], strict=False):
        if event.state == _REJECTED:
            found.append((event.onset, following - event.onset, "BAD_rejected"))
    return found


@dataclass
class _Header:
    path: Path
    size: int
    ch_names: list[str]
    rate: int
    n_samples: int
    table: int
    per_block: int  # bytes of one channel before the next one's, at most one sample's if they alternate
    baseline: np.ndarray  # (channels, 1), counts
    scale: np.ndarray  # (channels, 1), µV per count

    @property
    def start(self) -> int:
        """The byte at which the signal begins."""
        return _HEADER + _ELECTRODE * len(self.ch_names)

    def blocks(self, width: int, n_bytes: int) -> np.ndarray:
        """`(blocks, channels, samples in a block)` counts, on disk."""
        n, per_block = len(self.ch_names), max(1, self.per_block // width)
        count = n_bytes // (width * n * per_block)
        if count < 1:
            return np.empty((0, n, per_block), f"<i{width}")
        return np.memmap(self.path, f"<i{width}", "r", offset=self.start, shape=(count, n, per_block))


def _read_header(path: Path) -> _Header:
    size = path.stat().st_size
    with path.open("rb") as file:
        setup = file.read(_HEADER)
        if len(setup) < _HEADER or setup.startswith(b"RIFF"):
            raise _foreign(path, f"it begins with {setup[:12]!r}")
        channels, rate = struct.unpack_from("<H", setup, 370)[0], struct.unpack_from("<H", setup, 376)[0]
        electrodes = file.read(_ELECTRODE * channels)
    (n_samples,), (table,) = struct.unpack_from("<i", setup, 864), struct.unpack_from("<I", setup, 886)
    if not channels or not rate or size <= _HEADER + len(electrodes) or len(electrodes) < _ELECTRODE * channels:
        raise _foreign(path, f"{channels} channels at {rate} Hz in {size} bytes")
    records = np.frombuffer(
        electrodes,
        np.dtype(
            {
                "names": ["name", "baseline", "sensitivity", "calibration"],
                "formats": ["S10", "<i2", "<f4", "<f4"],
                "offsets": [0, 47, 59, 71],
                "itemsize": _ELECTRODE,
            }
        ),
    )
    return _Header(
        path,
        size,
        [bytes(name).split(b"\0")[0].decode("latin-1").strip() for name in records["name"]],
        rate,
        n_samples,
        table,
        struct.unpack_from("<i", setup, 894)[0],
        records["baseline"].astype(np.float64)[:, None],
        (records["sensitivity"].astype(np.float64) * records["calibration"] / 204.8)[:, None],
    )


def _foreign(path: Path, why: str) -> SignalError:
    return SignalError(
        f"is not a Neuroscan recording: {why}",
        path=path,
        value=why,
        remedy="Check that it is complete; other makers use the same suffix for other formats",
    )


def _find_width(header: _Header) -> int:
    """Bytes per sample: the first width, widest first, whose amplitudes can be EEG."""
    seen = {}
    for width in (4, 2):
        seen[width] = _typical_amplitude(header, width)
        if _PLAUSIBLE[0] <= seen[width] <= _PLAUSIBLE[1]:
            return width
    amplitudes = ", ".join(f"{amplitude:.3g} µV with {8 * width} bits" for width, amplitude in seen.items())
    raise SignalError(
        f"no width of samples gives amplitudes of EEG: {amplitudes}",
        path=header.path,
        value=list(seen.values()),
        remedy="Copy or download it again; the file is damaged, or nothing was recorded",
    )


def _typical_amplitude(header: _Header, width: int) -> float:
    """Median over channels of |x| around its median within one second, µV; drifts slower than that do not count."""
    end = header.table if header.start < header.table <= header.size else header.size
    blocks = header.blocks(width, end - header.start)
    second = max(1, header.rate // blocks.shape[2])
    if len(blocks) < 2:
        return 0.0
    amplitudes = []
    for first in np.linspace(0, max(0, len(blocks) - second), _LOOKED_AT).astype(int):
        counts = _in_order(blocks[first : first + second])
        centred = np.abs(counts - np.median(counts, axis=1, keepdims=True)) * np.abs(header.scale)
        amplitudes.append(np.median(centred, axis=1))
    return float(np.median(amplitudes))


def _find_end(header: _Header, width: int) -> tuple[int, int | None]:
    """How many samples there are, and the byte where the event table stands, None if there is none.

    Raises:
        SignalError: If the file ends before its event table or within it.
    """
    sample = width * len(header.ch_names)
    counted = header.start + sample * header.n_samples
    for table in (header.table, counted):
        if header.start < table <= header.size and (table - header.start) % sample == 0 and _is_table(header, table):
            return (table - header.start) // sample, table
    # a table at the very end is one that was never written
    if header.table > header.size or header.table == counted < header.size:
        raise SignalError(
            f"the file is truncated: it has {header.size} bytes and no whole event table at {header.table}",
            path=header.path,
            value=header.size,
            remedy="Copy or download it again",
        )
    end = counted if header.start < counted <= header.size else header.size
    return (end - header.start) // sample, None


def _is_table(header: _Header, place: int) -> bool:
    """Whether an event table stands there: its length fits its events and the file."""
    with header.path.open("rb") as file:
        file.seek(place)
        head = file.read(_TABLE_HEAD)
    if len(head) < _TABLE_HEAD:
        return False
    kind, length, _ = struct.unpack("<BiI", head)
    return kind in _EVENTS and 0 <= length <= header.size - place - _TABLE_HEAD and length % _EVENTS[kind].size == 0


def _read_signal(header: _Header, width: int, samples: int, indices: list[int]) -> np.ndarray:
    signal = np.empty((len(indices), samples), dtype=np.float32)
    step = _BLOCK_SECONDS * header.rate
    for first in range(0, samples, step):
        stop = min(first + step, samples)
        signal[:, first:stop] = _read_block(header, width, samples, first, stop)[indices]
    return signal


def _read_block(header: _Header, width: int, samples: int, start: int, stop: int) -> np.ndarray:
    """`(channels, stop - start)` µV of the samples from `start` on."""
    blocks = header.blocks(width, samples * width * len(header.ch_names))
    per_block = blocks.shape[2]
    first = start // per_block
    counts = _in_order(blocks[first : -(-stop // per_block)])[:, start - first * per_block : stop - first * per_block]
    return (counts - header.baseline) * header.scale


def _in_order(blocks: np.ndarray) -> np.ndarray:
    """`(blocks, channels, samples in a block)` -> `(channels, samples)`."""
    return np.asarray(blocks).transpose(1, 0, 2).reshape(blocks.shape[1], -1)


def _read_events(header: _Header, width: int, table: int) -> list[_Event]:
    with header.path.open("rb") as file:
        file.seek(table)
        kind, length, _ = struct.unpack("<BiI", file.read(_TABLE_HEAD))
        content = file.read(length)
    # up to type 2 an event's place is a byte of the file, from type 3 on a sample
    first, sample = (0, 1) if kind == 3 else (header.start, width * len(header.ch_names))
    events = []
    for trigger, keyboard, keypad, place, *_ in _EVENTS[kind].iter_unpack(content):
        onset, text = (place - first) / sample / header.rate, _event_text(trigger, keyboard, keypad & 0x0F)
        events.append(_Event(onset, text, keypad >> 4))
    return sorted(events, key=lambda event: event.onset)


def _event_text(trigger: int, keyboard: int, keypad: int) -> str:
    if keypad:
        return f"KeyPad Response {keypad}"
    return f"Keyboard Response {keyboard}" if keyboard else str(trigger)
