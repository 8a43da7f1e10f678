"""What BrainVision headers and marker files say that MNE 1.13 does not look at: such recordings are refused.

| said | what MNE makes of it |
|---|---|
| `UseBigEndianOrder=YES` | bytes in the wrong order: noise over the amplifier's whole range |
| `DataOffset`, `ChannelOffset`, `SegmentHeaderSize`, `TrailerSize` | headers within the signal file, read as samples |
| `DataType=FREQUENCYDOMAIN` | a spectrum, read as samples in time |
| a comma in a marker's text, not coded as `\\1` | what follows it as the place, and the place as the duration |

A marker has type, text, place, size and channel, and after them may have a date and more. A comma in its text makes one
more, and where writers differ in what they write at the end, that is told by the other markers of the file. It cannot
be told of a marker that leaves its channel out, nor in a file whose every marker ends in a short number and that has no
`New Segment`.
"""

import re
from pathlib import Path

from .companions_mdjpt import named_files
from .errors_mdjpt import SignalError

_LAYOUT = re.compile(
    rb"^[ \t]*(UseBigEndianOrder[ \t]*=[ \t]*YES|DataType[ \t]*=[ \t]*FREQUENCYDOMAIN|"
    rb"(?:DataOffset|ChannelOffset|SegmentHeaderSize|TrailerSize)[ \t]*=[ \t]*0*[1-9]\d*)",
    re.IGNORECASE | re.MULTILINE,
)
_MARKER = re.compile(rb"^(Mk\d+)=(.*?)\r?$", re.MULTILINE)
_NUMBER = re.compile(rb"-?\d+")
_DATE = re.compile(rb"\d{14,}|\d{4}-\d\d-\d\d.*")
_TEXT, _PLACE, _CHANNEL, _AFTER = 1, 2, 4, 5  # which part of a marker


def refuse_misread(path: Path) -> None:
    """Refuse a BrainVision recording that MNE would read, or place in time, wrongly and in silence.

    Args:
        path: Of a recording in any format; `.vhdr` and `.ahdr` headers are looked at, and the marker files beside them.

    Raises:
        SignalError: With the file, and the line that says so.
    """
    if path.suffix.lower() not in (".vhdr", ".ahdr") or not path.is_file():
        return
    header = path.read_bytes()
    said = _LAYOUT.search(header)
    if said:
        line = said[1].decode("ascii")
        raise SignalError(
            f"its samples are stored in a layout that MNE does not read ({line})",
            path=path,
            value=line,
            remedy="Export it again: little-endian, in time, without offsets",
        )
    for marks in _marker_files(path):
        _refuse_commas(path, marks)


def _marker_files(path: Path) -> list[Path]:
    """Those that MNE may take: named by the header, or of its own name."""
    found = {*named_files(path), path.with_suffix(".vmrk"), path.with_suffix(".amrk")}
    beside = path.parent.resolve()
    return sorted(
        place
        for place in found
        if place.suffix.lower() in (".vmrk", ".amrk") and place.is_file() and place.resolve().is_relative_to(beside)
    )


def _refuse_commas(path: Path, marks: Path) -> None:
    """pybv 0.8 writes descriptions as they are, so that MNE's own exports have such markers."""
    lines = [(name, _parts(entry), entry) for name, entry in _MARKER.findall(marks.read_bytes())]
    segments = [parts for _, parts, _ in lines if _begins_a_segment(parts)]
    others = [parts for _, parts, _ in lines if not _begins_a_segment(parts)]
    for name, parts, entry in lines:
        if not _begins_a_segment(parts) and _is_shifted(parts, segments, others):
            line = f"{name.decode()}={entry.decode('utf-8', 'replace')}"
            raise SignalError(
                f"a marker of {marks.name} has a comma in its text, which shifts its place in time: {line[:100]}",
                path=path,
                value=line[:200],
                remedy=f"Write \\1 for the comma in {marks.name}, as the format asks",
            )


def _parts(entry: bytes) -> list[bytes]:
    """What stands between commas, without what is empty at the end."""
    parts = [part.strip() for part in entry.split(b",")]
    while len(parts) > _AFTER and not parts[-1]:
        parts.pop()
    return parts


def _begins_a_segment(parts: list[bytes]) -> bool:
    return parts[0].lower() == b"new segment" and len(parts) > _TEXT and not parts[_TEXT]


def _is_shifted(parts: list[bytes], segments: list[list[bytes]], others: list[list[bytes]]) -> bool:
    numbers = parts[_PLACE : _CHANNEL + 1]
    if not all(_NUMBER.fullmatch(part) for part in numbers if part):
        return True
    if len(parts) <= _AFTER or _DATE.fullmatch(parts[_AFTER]):
        return False
    # a short number where a date may stand: a writer that has no date, or the channel behind a comma
    undated = [segment for segment in segments if len(segment) > _AFTER and not _DATE.fullmatch(segment[_AFTER])]
    shortest = min(map(len, others))
    if undated and shortest > _AFTER:
        return len(parts) > max(map(len, undated))
    return len(parts) > shortest or (bool(segments) and not undated)
