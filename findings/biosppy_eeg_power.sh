#!/usr/bin/env bash
# BioSPPy's EEG band powers grow with the sampling rate, by its square: get_power_features, which eeg() takes them from,
# pads a window of a quarter of a second with zeros to 1024 points and divides by these instead of by the samples there
# are. The same rhythm has 17 times the "average power" at 500 Hz that it has at 125 Hz, so recordings of two devices
# cannot be put together. Windows of 1024 samples and more are not padded, and depend on the rate no longer.
# Needs python3 and pip. Exits 0 while the behaviour stands, 1 once it changes.
set -euo pipefail
place=$(mktemp -d) && trap 'rm -rf "$place"' EXIT && cd "$place"
export MPLCONFIGDIR="$place"
python3 -m venv venv
venv/bin/pip install -q numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 matplotlib==3.11.2 h5py==3.16.0 \
    PyWavelets==1.9.0 peakutils==1.3.5 joblib bidict shortuuid six
venv/bin/pip install -q --no-deps biosppy==2.2.4  # asks for OpenCV, which EEG does without
venv/bin/python -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from biosppy.signals.eeg import get_power_features

print("biosppy", version("biosppy"), "numpy", np.__version__)
found = {}
for seconds in (0.25, 10.0):
    for rate in (125, 250, 500):
        wave = 20 * np.sin(2 * np.pi * 10.05 * np.arange(60 * rate) / rate)[:, None]  # µV
        features = get_power_features(wave, sampling_rate=rate, size=seconds)
        found[seconds, rate] = float(np.mean(features["alpha_low"][1:-1] + features["alpha_high"][1:-1]))
    text = ", ".join(f"{found[seconds, rate]:.3g} at {rate} Hz" for rate in (125, 250, 500))
    print(f"alpha, both halves, in windows of {seconds:g} s: {text}")
grown = [found[0.25, rate] / found[0.25, 125] for rate in (250, 500)]
steady = [found[10.0, rate] / found[10.0, 125] for rate in (250, 500)]
print("times that of 125 Hz:", np.round(grown, 1).tolist(), "and, not padded,", np.round(steady, 2).tolist())
raise SystemExit(0 if np.allclose(grown, [4.1, 17.1], rtol=0.05) and np.allclose(steady, 1, rtol=0.05) else 1)
PYTHON
