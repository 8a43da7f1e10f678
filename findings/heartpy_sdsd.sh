#!/usr/bin/env bash
# HeartPy's SDSD, the standard deviation of successive differences between heart beats, is half of what it should be: the
# differences are made positive before their spread is taken. Of intervals that go up and down by 40 ms it is 0. Its
# RMSSD beside it, which for a steady heart is the same number, is right. A report upstream of other numbers than before
# for both (heartrate_analysis_python 59, closed) was put down to the rejection of peaks.
# Needs python3 and pip. Exits 0 while the behaviour stands, 1 once it changes.
set -euo pipefail
place=$(mktemp -d) && trap 'rm -rf "$place"' EXIT && cd "$place"
export MPLCONFIGDIR="$place"
python3 -m venv venv && venv/bin/pip install -q heartpy==1.2.7 numpy==2.4.6 scipy==1.17.1 matplotlib==3.11.2
venv/bin/python -W ignore - <<'PYTHON'
from importlib.metadata import version

import heartpy
import numpy as np

print("heartpy", version("heartpy"), "numpy", np.__version__)
beats = np.arange(300)
hearts = {  # ms between beats
    "breathing": 800 + 50 * np.sin(2 * np.pi * beats / 5) + np.random.default_rng(0).normal(0, 10, 300),
    "up and down": 800 + 20.0 * (-1) ** beats,
}
ratio = {}
for name, intervals in hearts.items():
    _, measures = heartpy.process_rr(intervals)
    steps = np.diff(intervals)
    ratio[name] = float(measures["sdsd"] / steps.std()), float(measures["rmssd"] / np.sqrt(np.mean(steps**2)))
    print(f"{name}: SDSD {measures['sdsd']:.1f}, true {steps.std():.1f} ms;", end=" ")
    print(f"RMSSD {measures['rmssd']:.1f}, true {np.sqrt(np.mean(steps**2)):.1f} ms")
halved = 0.35 < ratio["breathing"][0] < 0.6 and ratio["up and down"][0] < 1e-6
raise SystemExit(0 if halved and np.allclose([right for _, right in ratio.values()], 1) else 1)
PYTHON
