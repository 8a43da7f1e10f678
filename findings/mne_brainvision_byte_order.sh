#!/usr/bin/env bash
# A BrainVision header may say that its samples are big-endian (UseBigEndianOrder=YES under [Binary Infos]). MNE does
# not look at it and reads every file as little-endian: EEG of 20 µV comes out as noise over the amplifier's whole
# range, and nothing is said.
# Needs python3 and pip. Exits 0 while the behaviour stands, 1 once it changes.
set -euo pipefail
place=$(mktemp -d) && trap 'rm -rf "$place"' EXIT && cd "$place"
python3 -m venv venv && venv/bin/pip install -q mne==1.13.2 numpy==2.4.6 pybv==0.8.1
venv/bin/python - <<'PYTHON'
import warnings
from pathlib import Path

import mne
import numpy as np
import pybv

print("mne", mne.__version__)
signal = np.random.default_rng(0).normal(0, 20e-6, (4, 5000))  # V
pybv.write_brainvision(
    data=signal, sfreq=250.0, ch_names=["Fz", "Cz", "Pz", "Oz"], fname_base="little", folder_out=".", fmt="binary_int16"
)
np.fromfile("little.eeg", "<i2").astype(">i2").tofile("big.eeg")
header = Path("little.vhdr").read_text().replace("little.eeg", "big.eeg")
Path("big.vhdr").write_text(header.replace("BinaryFormat=INT_16", "BinaryFormat=INT_16\nUseBigEndianOrder=YES"))
print(*[line for line in Path("big.vhdr").read_text().splitlines() if "INT_16" in line or "Endian" in line], sep="\n")
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    sizes = {n: mne.io.read_raw_brainvision(f"{n}.vhdr", verbose="WARNING").get_data().std() for n in ("little", "big")}
print("standard deviation read:", {name: f"{1e6 * size:.0f} µV" for name, size in sizes.items()})
print("warnings:", [str(warning.message) for warning in caught])
raise SystemExit(0 if np.isclose(sizes["little"], 20e-6, rtol=0.02) and sizes["big"] > 1e-4 and not caught else 1)
PYTHON
