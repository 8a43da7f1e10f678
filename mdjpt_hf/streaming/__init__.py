"""Features and answers of a signal that comes piece by piece."""

from mdjpt_hf.streaming.encoder import (
    STATE_VERSION,
    Streamed,
    StreamedWindow,
    StreamGap,
    StreamingEncoder,
    last_window,
    streaming_options,
)

__all__ = [
    "STATE_VERSION",
    "StreamGap",
    "Streamed",
    "StreamedWindow",
    "StreamingEncoder",
    "last_window",
    "streaming_options",
]
