"""What an EDF or BDF file says and MNE does not hand on: the clock of its records, rates and units by channel.

Layout after Kemp et al. 1992 (EDF) and Kemp & Olivan 2003 (EDF+): a header of fixed columns, then data records of
`seconds` each. In EDF+ and BDF+ every record opens its first annotation channel with its own time, and a file of the
kind `EDF+D` may pause between two records. Persons named in the header are never read.
"""

import os
import re
from dataclasses import dataclass

import numpy as np

_FIXED, _PER_CHANNEL = 256, 256  # bytes of the header
#: Columns of the per-channel header in order, bytes each.
_COLUMNS = {
    "label": 16,
    "transducer": 80,
    "unit": 8,
    "physical_min": 8,
    "physical_max": 8,
    "digital_min": 8,
    "digital_max": 8,
    "prefilter": 80,
    "samples": 8,
    "reserved": 32,
}
_ANNOTATIONS = ("EDF Annotations", "BDF Annotations")
_CLOCK = re.compile(rb"\s*([+-]?\d+(?:\.\d*)?)\x14")
_ENTRY = re.compile(rb"([+-]\d+(?:\.\d*)?)(?:\x15(\d+(?:\.\d*)?))?\x14([^\x00]*?)\x14(?=\x00|$)")


@dataclass(frozen=True)
class EdfFile:
    """The facts of one file.

    Attributes:
        path: Of the file.
        labels, units, samples: Of every channel, annotations included: name, physical dimension, samples per record.
        seconds: Length of a record. n_records: Whole records in the file. promised: What its header says, or -1.
        width: Bytes per sample. start: Bytes before the first record.
    """

    path: str
    labels: tuple[str, ...]
    units: tuple[str, ...]
    samples: tuple[int, ...]
    seconds: float
    n_records: int
    promised: int
    width: int
    start: int

    @property
    def signals(self) -> list[int]:
        """Channels that are no annotations."""
        return [index for index, label in enumerate(self.labels) if label not in _ANNOTATIONS]

    def annotation_bytes(self) -> list[list[bytes]]:
        """Annotation channel by annotation channel, the bytes of every record."""
        size = self.width * sum(self.samples)
        if not self.n_records or len(self.signals) == len(self.labels):
            return []
        records = np.memmap(self.path, np.uint8, "r", offset=self.start, shape=(self.n_records, size))
        ends = np.cumsum(self.samples) * self.width
        return [
            [
                records[record, ends[index] - self.samples[index] * self.width : ends[index]].tobytes()
                for record in range(self.n_records)
            ]
            for index in range(len(self.labels))
            if index not in self.signals
        ]


def read_edf_file(path: str | os.PathLike) -> EdfFile | None:
    """The facts of a file, or None if it is not laid out as EDF or BDF (MNE then says what is wrong)."""
    try:
        with open(path, "rb") as file:
            fixed = file.read(_FIXED)
            channels = int(fixed[252:256])
            table = file.read(_PER_CHANNEL * channels)
        columns = _columns(table, channels)
        samples = tuple(int(text) for text in columns["samples"])
        start, promised, seconds = int(fixed[184:192]), int(fixed[236:244]), float(fixed[244:252])
        width = 3 if fixed[:1] == b"\xff" else 2
        n_records = (os.path.getsize(path) - start) // (width * sum(samples))
    except (OSError, ValueError, ZeroDivisionError):
        return None
    labels, units = tuple(columns["label"]), tuple(columns["unit"])
    return EdfFile(os.fspath(path), labels, units, samples, seconds or 1.0, max(n_records, 0), promised, width, start)


def _columns(table: bytes, channels: int) -> dict[str, list[str]]:
    found, place = {}, 0
    for name, size in _COLUMNS.items():
        cells = [table[place + size * index : place + size * (index + 1)] for index in range(channels)]
        found[name] = [cell.decode("latin-1").strip() for cell in cells]
        place += size * channels
    return found


def record_clock(channels: list[list[bytes]]) -> np.ndarray | None:
    """Start of every record in s from that of the first, `(records,)`; None where the file does not tell.

    A record without a time of its own follows the one before (NaN here). A file whose records all claim the same time
    has no clock.

    Args:
        channels: Of [`EdfFile.annotation_bytes`].
    """
    if not channels:
        return None
    found = [_CLOCK.match(record) for record in channels[0]]
    clock = np.array([float(match[1]) if match else np.nan for match in found])
    told = clock[np.isfinite(clock)]
    if len(told) < 2 or not np.isfinite(clock[0]) or not np.ptp(told):
        return None
    return clock - clock[0]


def annotations(channels: list[list[bytes]]) -> list[tuple[float, float, str]]:
    """Every annotation as (onset, duration, text): s from the first record, in the order of the file.

    MNE 1.13 reads the same, but drops those beyond the last sample, as if there were no pauses.
    """
    clock = _CLOCK.match(channels[0][0]) if channels and channels[0] else None
    zero = float(clock[1]) if clock else 0.0
    return [
        (float(onset) - zero, float(duration or 0), text)
        for records in channels
        for record in records
        for onset, duration, texts in _ENTRY.findall(record)
        for text in texts.decode("utf-8", "replace").split("\x14")
        if text
    ]
