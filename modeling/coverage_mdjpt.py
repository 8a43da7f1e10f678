"""How much of the head a recording saw: limits on what the 60 standard channels may be made from.

Every standard channel that was not recorded is the mean of its nearest recorded neighbours, however far they are. So a
recording of one electrode would give sixty copies of it, and one of the forehead an occiput that nobody measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .electrodes_mdjpt import ELECTRODES
from .errors_mdjpt import MontageError
from .montage_mdjpt import REFERENCES, STANDARD_CHANNELS, canonical_name

#: Electrodes a recording needs; up to 56 of the 60 channels may be made.
MIN_ELECTRODES = 4
#: cm. A channel is far from everything recorded beyond this, and cannot be made at all beyond the second.
FAR, FARTHEST = 10.0, 18.0
#: Channels that may be far.
MAX_FAR = 30


@dataclass(frozen=True)
class Coverage:
    """What the standard channels of one recording were made from.

    Attributes:
        electrodes: How many good ones with a place were recorded. made: Standard channels that were not.
        far: Standard channels with no recorded electrode within 10 cm.
        farthest: cm from a standard channel to its nearest recorded electrode, at most. channel: Which one that is.
    """

    electrodes: int
    made: int
    far: int
    farthest: float
    channel: str


def measure_coverage(ch_names: Sequence[str]) -> Coverage:
    """What the standard channels would be made from, given good electrodes by name.

    Raises:
        MontageError: If none of them has a place.
    """
    recorded = {str(canonical_name(name)) for name in ch_names} & ELECTRODES.keys() - set(REFERENCES)
    if not recorded:
        raise MontageError(
            "no electrode with a known place is good", value=list(ch_names), remedy="Check the recording"
        )
    places = np.array([ELECTRODES[name] for name in recorded])
    wanted = np.array([ELECTRODES[name] for name in STANDARD_CHANNELS])
    nearest = np.linalg.norm(wanted[:, None] - places, axis=2).min(axis=1) / 10  # cm
    return Coverage(
        electrodes=len(recorded),
        made=len(set(STANDARD_CHANNELS) - recorded),
        far=int((nearest > FAR).sum()),
        farthest=round(float(nearest.max()), 1),
        channel=STANDARD_CHANNELS[int(nearest.argmax())],
    )


def check_coverage(ch_names: Sequence[str]) -> Coverage:
    """The coverage of good electrodes, if it is enough.

    Raises:
        MontageError: If fewer than 4 were recorded, more than 30 of the 60 standard channels lie farther than 10 cm
            from all of them, or one lies farther than 18 cm.
    """
    found = measure_coverage(ch_names)
    problem = ""
    if found.electrodes < MIN_ELECTRODES:
        problem = f"at least {MIN_ELECTRODES} are needed"
    elif found.far > MAX_FAR:
        problem = f"{found.far} of them lie farther than {FAR:g} cm from every electrode, {MAX_FAR} may"
    elif found.farthest > FARTHEST:
        problem = f"{found.channel} lies {found.farthest:g} cm from the nearest electrode, {FARTHEST:g} at most"
    if problem:
        raise MontageError(
            f"the 60 standard channels would all be made from {found.electrodes} electrodes "
            f"({', '.join(list(ch_names)[:8])}): {problem}",
            value=list(ch_names),
            remedy="Name all electrodes by their places, or use a recording that covers more of the head",
        )
    return found
