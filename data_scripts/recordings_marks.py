"""When something was shown, as the recordings themselves tell it: their annotations, or their trigger channels."""

from pathlib import Path

import mne

from mdjpt_hf.data_scripts.files import open_raw
from mdjpt_hf.data_scripts.isolation import isolated
from mdjpt_hf.errors import CorpusError
from mdjpt_hf.modeling.timeline_mdjpt import read_timeline

#: Where marks are taken from.
KINDS = ("annotations", "stim", "none")


@isolated()
def read_marks(path: Path, kind: str = "annotations") -> tuple[float, list[tuple[float, float, str]]]:
    """When a recording ends, and its marks `(onset, duration, text)`; in s on its own clock, in order of time.

    Seams and what is marked bad are no marks. Codes of trigger channels have no duration.

    Args:
        path: The file. kind: Of `KINDS`.

    Raises:
        CorpusError: If the file cannot be opened, or has no trigger channel where one is asked for.
    """
    raw, _ = open_raw(path)
    timeline = read_timeline(raw)
    if kind == "none":
        return timeline.end, []
    if kind == "annotations":
        return timeline.end, [(m.onset, m.duration, m.bare) for m in timeline.marks if not m.is_bad]
    channels = [raw.ch_names[index] for index in mne.pick_types(raw.info, meg=False, stim=True)]
    if not channels:
        raise CorpusError(
            f"has no trigger channel among {', '.join(raw.ch_names[:8])}, ...",
            path=path,
            value=raw.ch_names,
            remedy="Use --events annotations, or none",
        )
    events = mne.find_events(raw, channels, shortest_event=1, consecutive=True, verbose="error")
    return timeline.end, [(timeline.time_of(int(at) - raw.first_samp), 0.0, str(code)) for at, _, code in events]
