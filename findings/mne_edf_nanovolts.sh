#!/usr/bin/env bash
# MNE takes EDF channels in nanovolts for volts: it scales uV and mV only, and says nothing of others.
# Needs python3 and pip. Exits 0 while the behaviour stands, 1 once it changes.
set -euo pipefail
place=$(mktemp -d) && trap 'rm -rf "$place"' EXIT && cd "$place"
python3 -m venv venv && venv/bin/pip install -q mne==1.13.2 numpy==2.4.6 scipy==1.17.1 edfio==0.4.18
venv/bin/python - <<'PYTHON'
import warnings

import mne
import numpy as np
from edfio import Edf, EdfSignal

print("mne", mne.__version__, "numpy", np.__version__)
wave = 20 * np.sin(2 * np.pi * 10 * np.arange(2000) / 200)  # µV
scales = {"Fz": ("uV", 1.0), "Cz": ("mV", 1e-3), "Pz": ("nV", 1e3)}
signals = [
    EdfSignal(wave * factor, 200, label=name, physical_dimension=unit, physical_range=(-40 * factor, 40 * factor))
    for name, (unit, factor) in scales.items()
]
Edf(signals).write("units.edf")
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    raw = mne.io.read_raw_edf("units.edf", verbose="WARNING")
    found = np.abs(raw.get_data()).max(axis=1)
for (name, (unit, _)), largest in zip(scales.items(), found):
    print(f"{name}: 20 µV stored in {unit}; MNE reads {largest:.3g} V")
print("warnings:", [str(warning.message) for warning in caught])
unchanged = np.allclose(found[:2], 20e-6, rtol=1e-2) and found[2] > 1e4 and not caught
raise SystemExit(0 if unchanged else 1)
PYTHON
