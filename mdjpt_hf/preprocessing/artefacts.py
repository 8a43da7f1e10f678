"""Eye and muscle activity taken out of a recording: independent components, judged by ICLabel.

Blinks and tension vary with emotion, so an encoder that sees them may learn the face instead of the brain.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import mne
import numpy as np
from mne.preprocessing import ICA
from mne_icalabel.iclabel import iclabel_label_components

from mdjpt_hf.modeling.mne_mdjpt import template_montage

#: Hz. Muscle shows above the band that is kept, so components are found on a wider copy, at no more than this rate.
WIDE_RATE, WIDE_BAND = 250.0, (1.0, 100.0)
#: Probability at which ICLabel's verdict counts (the paper's program).
THRESHOLD = 0.8
#: Samples per squared number of channels that the decomposition is fitted on; more only take time.
SAMPLES_PER_WEIGHT = 40
#: Fewer channels than this do not separate sources.
MIN_CHANNELS = 8

#: Picard, which solves the same problem as extended infomax in a fraction of the time.
_INFOMAX = {"ortho": False, "extended": True}
_CLASSES = ("brain", "muscle", "eye", "heart", "line noise", "channel noise", "other")


@dataclass
class Components:
    """Independent components of a recording.

    Attributes:
        ica: The fitted decomposition.
        ch_names: Channels it was fitted on.
        probabilities: `(components, 7)`, by ICLabel: brain, muscle, eye, heart, line noise, channel noise, other.
        highest: Hz up to which they were judged; ICLabel was trained up to 100.
    """

    ica: ICA
    ch_names: list[str]
    probabilities: np.ndarray
    highest: float = WIDE_BAND[1]

    @property
    def artefacts(self) -> dict[str, list[int]]:
        """Components that are muscle or eye with a probability of at least `THRESHOLD`."""
        return {
            name: np.flatnonzero(self.probabilities[:, _CLASSES.index(name)] >= THRESHOLD).tolist()
            for name in ("eye", "muscle")
        }

    def without_artefacts(self, signal: np.ndarray, rate: float) -> np.ndarray:
        """`(channels, samples)` µV in the order of `ch_names`: referred to their average, without the artefacts."""
        excluded = sorted({index for found in self.artefacts.values() for index in found})
        raw = _raw([signal - signal.mean(axis=0)], self.ch_names, rate)
        self.ica.apply(raw, exclude=excluded, verbose="ERROR")
        return (raw.get_data() * 1e6).astype(np.float32)

    def notes(self) -> list[str]:
        """What was removed, for the preparation report."""
        found = ", ".join(f"{len(indices)} {name}" for name, indices in self.artefacts.items())
        notes = [f"removed {found} of {len(self.probabilities)} independent components"]
        if self.highest < WIDE_BAND[1]:
            notes.append(
                f"components were judged up to {self.highest:g} Hz, all the rate carries; ICLabel was trained up to "
                f"{WIDE_BAND[1]:g} Hz, and without that band muscles are missed"
            )
        return notes


def find_components(stretches: Sequence[np.ndarray], ch_names: Sequence[str], rate: float) -> Components:
    """Decompose a recording and judge its components.

    Extended infomax on the average-referenced signal, fitted and judged between 1 and 100 Hz (or up to what the rate
    carries), as ICLabel was trained. The result is the same every time.

    Args:
        stretches: Each `(channels, samples)` in µV: good channels with known places, not band-passed yet. MNE filters
            and resamples each by itself.
        ch_names: Their names.
        rate: Hz.
    """
    raw = _raw(stretches, ch_names, rate)
    low, high = WIDE_BAND
    carried = high < 0.45 * rate
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on rates and filters that this function chose itself
        raw.filter(low, high if carried else None, verbose="ERROR")
        if rate > WIDE_RATE:
            raw.resample(WIDE_RATE, verbose="ERROR")
        raw.set_eeg_reference("average", verbose="ERROR")
        # The average reference takes one dimension away.
        ica = ICA(len(ch_names) - 1, method="picard", fit_params=_INFOMAX, random_state=0, verbose="ERROR")
        ica.fit(raw, decim=max(1, raw.n_times // (SAMPLES_PER_WEIGHT * len(ch_names) ** 2)), verbose="ERROR")
        probabilities = iclabel_label_components(raw, ica, inplace=False, backend="torch")
    return Components(ica, list(ch_names), probabilities, high if carried else rate / 2)


def _raw(stretches: Sequence[np.ndarray], ch_names: Sequence[str], rate: float) -> mne.io.BaseRaw:
    info = mne.create_info(list(ch_names), rate, "eeg")
    raw = mne.concatenate_raws([mne.io.RawArray(part * 1e-6, info, verbose="ERROR") for part in stretches])
    raw.set_montage(template_montage(), match_case=False, verbose="ERROR")
    return raw
