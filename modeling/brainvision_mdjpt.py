"""What BrainVision headers and marker files say that MNE 1.13 does not look at: such recordings are refused.

| said | what MNE makes of it |
|---|---|
| `UseBigEndianOrder=YES` | bytes in the wrong order: noise over the amplifier's whole range |
| `DataOffset`, `ChannelOffset`, `SegmentHeaderSize`, `TrailerSize` | headers within the signal file, read as samples |
| a comma in a marker's text, not coded as `\\1` | what follows it as the place, and the place as the duration |
"""

import re
from pathlib import Path

from .companions_mdjpt import named_files
from .errors_mdjpt import SignalError

_LAYOUT = re.compile(
    rb"^[ \t]*(UseBigEndianOrder[ \t]*=[ \t]*YES|"
    rb"(?:DataOffset|ChannelOffset|SegmentHeaderSize|TrailerSize)[ \t]*=[ \t]*0*[1-9]\d*)",
    re.IGNORECASE | re.MULTILINE,
)
_MARKER = re.compile(rb"^(Mk\d+)=(.*?)\r?$", re.MULTILINE)
_DATE = 14  # digits of a date at least; 20 with the fraction of a second


def refuse_misread(path: Path) -> None:
    """Refuse a BrainVision recording that MNE would read, or place in time, wrongly and in silence.

    Args:
        path: Of a recording in any format; `.vhdr` and `.ahdr` headers are looked at, and the marker files they name.

    Raises:
        SignalError: With the file, and the line that says so.
    """
    if path.suffix.lower() not in (".vhdr", ".ahdr") or not path.is_file():
        return
    said = _LAYOUT.search(path.read_bytes())
    if said:
        line = said[1].decode("ascii")
        raise SignalError(
            f"its samples are stored in a layout that MNE does not read ({line})",
            path=path,
            value=line,
            remedy="Export it again: little-endian, without offsets",
        )
    for marks in named_files(path):
        if marks.suffix.lower() in (".vmrk", ".amrk") and marks.is_file():
            _refuse_commas(path, marks)


def _refuse_commas(path: Path, marks: Path) -> None:
    """pybv 0.8 writes descriptions as they are, so that MNE's own exports have such markers."""
    for name, entry in _MARKER.findall(marks.read_bytes()):
        if _is_shifted([part.strip() for part in entry.split(b",")]):
            line = f"{name.decode()}={entry.decode('utf-8', 'replace')}"
            raise SignalError(
                f"a marker of {marks.name} has a comma in its text, which shifts its place in time: {line[:100]}",
                path=path,
                value=line[:200],
                remedy=f"Write \\1 for the comma in {marks.name}, as the format asks",
            )


def _is_shifted(parts: list[bytes]) -> bool:
    """Whether an entry has more parts than type, text, place, size, channel and date."""
    date = parts[5] if len(parts) == 6 else b""
    return len(parts) > 6 or bool(date and not (date.isdigit() and len(date) >= _DATE))
