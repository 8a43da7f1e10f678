#!/usr/bin/env bash
# neo leaves the resolution of a BrainVision channel out where samples are floats: its header says 0.1 µV for each step,
# as pybv writes by default and MNE's export through it, and EEG of 20 µV is read as 200 µV, with µV as its unit and
# nothing said. Of whole numbers (INT_16) the same header gives 20 µV; MNE reads 20 µV of both.
# Needs python3 and pip. Exits 0 while the behaviour stands, 1 once it changes.
set -euo pipefail
place=$(mktemp -d) && trap 'rm -rf "$place"' EXIT && cd "$place"
python3 -m venv venv && venv/bin/pip install -q neo==0.14.6 pybv==0.8.1 mne==1.13.2 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import warnings
from pathlib import Path

import mne
import neo
import numpy as np
import pybv

print("neo", neo.__version__, "pybv", pybv.__version__, "mne", mne.__version__)
wave = 20e-6 * np.sin(2 * np.pi * 10 * np.arange(2000) / 250)[None]  # V
largest = {}
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for kind in ("binary_float32", "binary_int16"):
        pybv.write_brainvision(data=wave, sfreq=250.0, ch_names=["Cz"], fname_base=kind, folder_out=".", fmt=kind)
        signal = neo.io.BrainVisionIO(f"{kind}.vhdr").read_block().segments[0].analogsignals[0]
        raw = mne.io.read_raw_brainvision(f"{kind}.vhdr", verbose="WARNING")
        largest[kind] = float(np.abs(signal.magnitude).max()), 1e6 * float(np.abs(raw.get_data()).max())
        line = next(line for line in Path(f"{kind}.vhdr").read_text("utf-8").splitlines() if line.startswith("Ch1="))
        print(f"{kind}, {line}: neo {largest[kind][0]:.1f} {signal.dimensionality}, MNE {largest[kind][1]:.1f} µV")
print("warnings:", [str(warning.message) for warning in caught])
expected = {"binary_float32": (200, 20), "binary_int16": (20, 20)}
unchanged = all(np.allclose(largest[kind], expected[kind], rtol=0.01) for kind in expected)
raise SystemExit(0 if unchanged and not caught else 1)
PYTHON
