"""Files that the tests of replays play."""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from fabricated_edf import paused, write_edf  # noqa: E402
from live_streams import NAMES, noise  # noqa: E402


def paused_recording(folder: Path) -> Path:
    """EDF+D: six seconds, a pause of nine, five seconds; 250 Hz."""
    values = np.asarray(noise(11))
    return write_edf(folder / "paused.edf", values, NAMES, starts=paused(11, {6: 9.0}))


def troubled_recording(folder: Path) -> Path:
    """The same with sixteen seconds before the pause and ten after it, in which F4 stands still."""
    values = np.asarray(noise(26))
    values[3, 250 * 16 :] = 0
    return write_edf(folder / "troubled.edf", values, NAMES, starts=paused(26, {16: 9.0}))
