"""BioSemi recordings with a status channel, which says when something was shown."""

from pathlib import Path
from typing import Any

import mne
import numpy as np

from mdjpt_hf.data_scripts.files import open_raw
from mdjpt_hf.data_scripts.isolation import isolated
from mdjpt_hf.modeling.timeline_mdjpt import read_timeline


def read_bdf(path: Path, **arguments: Any) -> mne.io.BaseRaw:
    """The status channel is always the last, but not always called so."""
    return mne.io.read_raw_bdf(path, stim_channel=-1, **arguments)


@isolated()
def status_changes(path: Path) -> list[tuple[float, int]]:
    """When the status becomes another code than 0, in s on the file's clock, and which.

    Some recorders set further bits, so only the low byte counts.

    Raises:
        CorpusError: If the file cannot be read as a BDF.
    """
    raw, _ = open_raw(path, read_bdf)
    codes = raw.get_data(picks=[len(raw.ch_names) - 1])[0].astype(np.int64) & 0xFF
    places = np.flatnonzero((codes[1:] != codes[:-1]) & (codes[1:] != 0)) + 1
    timeline = read_timeline(raw)
    return [(float(timeline.time_of(place)), int(codes[place])) for place in places.tolist()]
