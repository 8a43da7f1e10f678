#!/usr/bin/env bash
# An EEGLAB file says where the nose points (chaninfo.nosedir): along +X by default, or along +Y, as in files whose
# places came with another convention. MNE does not look: it turns every file as if the nose were at +X. Of a file with
# +Y, the head is read a quarter turn off, Fz over the left ear, without a warning: maps and interpolated channels are
# wrong.
# Needs python3 and pip. Exits 0 while the behaviour stands, 1 once it changes.
set -euo pipefail
place=$(mktemp -d) && trap 'rm -rf "$place"' EXIT && cd "$place"
python3 -m venv venv && venv/bin/pip install -q mne==1.13.2 numpy==2.4.6 scipy==1.17.1 pymatreader==1.3.2
venv/bin/python - <<'PYTHON'
import warnings

import mne
import numpy as np
from scipy.io import savemat

print("mne", mne.__version__)
names = ["Fz", "T7", "Cz"]
places = {  # mm: the same head, with the nose along X, then along Y
    "+X": np.array([[85.0, 0, 30], [0, 85, 0], [0, 0, 100]]),
    "+Y": np.array([[0.0, 85, 30], [-85, 0, 0], [0, 0, 100]]),
}
read = {}
for nose, xyz in places.items():
    eeg = {
        **{"setname": "head", "nbchan": 3.0, "pnts": 500.0, "trials": 1.0, "srate": 250.0, "xmin": 0.0, "xmax": 1.996},
        "data": np.random.default_rng(0).normal(0, 10, (3, 500)).astype("float32"),
        "chanlocs": np.rec.fromarrays([names, *xyz.T], names=["labels", "X", "Y", "Z"]),
        "chaninfo": {"nosedir": nose},
        **{"event": [], "icawinv": [], "icasphere": [], "icaweights": [], "ref": "common"},
    }
    savemat(f"nose{nose[1]}.set", {"EEG": eeg})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        raw = mne.io.read_raw_eeglab(f"nose{nose[1]}.set", verbose="WARNING")
    at = raw.get_montage().get_positions()["ch_pos"]
    read[nose] = np.array([at[name] for name in names])
    print(f"nosedir {nose}: Fz at (right, front, up) = {np.round(1000 * read[nose][0] + 0.0).tolist()} mm,", end=" ")
    print("warnings:", [str(warning.message)[:60] for warning in caught])
right = np.allclose(read["+X"], [[0, 0.085, 0.03], [-0.085, 0, 0], [0, 0, 0.1]])
turned = np.allclose(read["+Y"], [[-0.085, 0, 0.03], [0, -0.085, 0], [0, 0, 0.1]])
raise SystemExit(0 if right and turned and not caught else 1)
PYTHON
