"""EDF and BDF files as recorders write them: pauses, marks, channels of several rates and units."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

_RANGE = 1000.0  # physical units that the digital range spans, both ways


def write_edf(
    path: Path,
    signals: Sequence[np.ndarray],
    names: Sequence[str],
    rates: Sequence[int] | int = 250,
    units: Sequence[str] | str = "uV",
    starts: Sequence[float] | None = None,
    marks: Sequence[tuple[float, float, str]] = (),
) -> Path:
    """Write a file with records of one second.

    Args:
        signals: One array per channel, in `units`; rates: Hz of each.
        starts: Time of every record in s; a plain file without annotation channel if not given.
        marks: (onset, duration, text), stored in the last record that begins before.
    """
    bdf = path.suffix == ".bdf"
    n = len(names)
    rates = [rates] * n if isinstance(rates, int) else list(rates)
    units = [units] * n if isinstance(units, str) else list(units)
    top = 2**23 - 1 if bdf else 2**15 - 1
    size = 0 if starts is None else 64 // (3 if bdf else 2) * 2
    columns = {
        16: list(names),
        80: [""] * n,
        8: units,
        "8a": [-_RANGE] * n,
        "8b": [_RANGE] * n,
        "8c": [-top - 1] * n,
        "8d": [top] * n,
        "80a": [""] * n,
        "8e": rates,
        "32": [""] * n,
    }
    if starts is not None:
        extra = [("BDF" if bdf else "EDF") + " Annotations", "", "", -1, 1, -top - 1, top, "", size, ""]
        columns = {key: [*values, more] for (key, values), more in zip(columns.items(), extra, strict=True)}
    count = n + (starts is not None)
    n_records = len(signals[0]) // rates[0]
    head = (b"\xffBIOSEMI" if bdf else _pad(0, 8)) + _pad("X X X X", 80) + _pad("Startdate X X X X", 80)
    head += _pad("01.01.20", 8) + _pad("10.00.00", 8) + _pad(256 * (count + 1), 8)
    kind = "" if starts is None else ("BDF+D" if bdf else "EDF+D")
    head += _pad(kind, 44) + _pad(n_records, 8) + _pad(1, 8) + _pad(count, 4)
    head += b"".join(_pad(value, int(str(key).rstrip("abcde"))) for key, row in columns.items() for value in row)
    with path.open("wb") as file:
        file.write(head)
        for record in range(n_records):
            for values, rate in zip(signals, rates, strict=True):
                part = values[record * rate : (record + 1) * rate]
                file.write(_digital(part, top, bdf))
            if starts is not None:
                file.write(_tal(record, starts, marks).ljust(size * (3 if bdf else 2), b"\0"))
    return path


def _pad(value: object, width: int) -> bytes:
    return str(value).ljust(width)[:width].encode("latin-1")


def _digital(values: np.ndarray, top: int, bdf: bool) -> bytes:
    counts = np.round((values + _RANGE) / (2 * _RANGE) * (2 * top + 1) - top - 1).astype("<i4")
    if not bdf:
        return counts.astype("<i2").tobytes()
    return counts.view(np.uint8).reshape(-1, 4)[:, :3].tobytes()


def _tal(record: int, starts: Sequence[float], marks: Sequence[tuple[float, float, str]]) -> bytes:
    following = [*starts, np.inf][record + 1]
    here = [mark for mark in marks if starts[record] <= mark[0] < following]
    text = f"+{starts[record]:g}\x14\x14\0"
    for onset, duration, word in here:
        text += f"+{onset:g}" + (f"\x15{duration:g}" if duration else "") + f"\x14{word}\x14\0"
    return text.encode()


def paused(seconds: int, pauses: Mapping[int, float]) -> list[float]:
    """Times of records of one second: before record `k`, the recorder stood still for `pauses[k]` s."""
    starts, time = [], 0.0
    for record in range(seconds):
        time += pauses.get(record, 0.0)
        starts.append(time)
        time += 1.0
    return starts
