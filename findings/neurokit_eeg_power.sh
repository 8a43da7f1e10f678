#!/usr/bin/env bash
# neurokit2.eeg_power divides the spectrum of every channel by that channel's own maximum before it integrates: a
# channel with ten times the alpha amplitude, and a hundred times the power, has the same "power" as its neighbour.
# Frontal alpha asymmetry computed from it is always about zero. Its documentation says "the power in different
# frequency bands for each channel"; only that of signal_power, to which normalize=False can be passed on, tells of it.
# Needs python3 and pip. Exits 0 while the behaviour stands, 1 once it changes.
set -euo pipefail
place=$(mktemp -d) && trap 'rm -rf "$place"' EXIT && cd "$place"
export MPLCONFIGDIR="$place"
python3 -m venv venv && venv/bin/pip install -q neurokit2==0.3.0 mne==1.13.2 numpy==2.4.6 pandas==3.1.1 scipy==1.17.1
venv/bin/python - 2>/dev/null <<'PYTHON'
from importlib.metadata import version

import mne
import neurokit2
import numpy as np

print("neurokit2", version("neurokit2"), "mne", mne.__version__)
rate = 200.0
alpha = np.sin(2 * np.pi * 10 * np.arange(60 * rate) / rate)
noise = np.random.default_rng(0).normal(0, 0.1, (2, alpha.size))
info = mne.create_info(["F3", "F4"], rate, "eeg")
raw = mne.io.RawArray((np.stack([20 * alpha, 2 * alpha]) + noise) * 1e-6, info, verbose="ERROR")
asymmetry = {}
for text, options in {"as it is": {}, "normalize=False": {"normalize": False}}.items():
    table = neurokit2.eeg_power(raw, **options).set_index("Channel").iloc[:, 2]  # alpha; a second call renames it
    asymmetry[text] = float(np.log(table["F3"]) - np.log(table["F4"]))
    print(f"{text}: alpha of F3 {table['F3']:.4g}, of F4 {table['F4']:.4g}; ln F3 - ln F4 = {asymmetry[text]:.3f}")
print(f"true: {np.log(100):.3f}")
flat = abs(asymmetry["as it is"]) < 0.01 and abs(asymmetry["normalize=False"] - np.log(100)) < 0.05
raise SystemExit(0 if flat else 1)
PYTHON
