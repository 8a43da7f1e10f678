#!/usr/bin/env bash
# BrainFlow's spectral densities lack the power that the window takes away: get_psd and get_psd_welch multiply by the
# window and divide by the number of samples alone, so the band power of a 20 µV rhythm (200 µV²) is 75 with Hanning, 79
# with Hamming and 51 with Blackman-Harris. Only without a window it is 200. Powers of two windows, or of BrainFlow and
# another library, cannot be compared. (Its relative powers are not touched by it.)
# Needs python3 and pip. Exits 0 while the behaviour stands, 1 once it changes.
set -euo pipefail
place=$(mktemp -d) && trap 'rm -rf "$place"' EXIT && cd "$place"
python3 -m venv venv && venv/bin/pip install -q brainflow==5.23.0 numpy==2.4.6 scipy==1.17.1 setuptools==80.9.0
venv/bin/python -W ignore - <<'PYTHON'
from importlib.metadata import version

import numpy as np
from brainflow.data_filter import DataFilter, WindowOperations
from scipy.signal import welch

print("brainflow", version("brainflow"))
rate = 256
wave = 20 * np.sin(2 * np.pi * 10 * np.arange(20 * rate) / rate)  # µV
found, true = {}, {}
for window, name in (("NO_WINDOW", "boxcar"), ("HANNING", "hann"), ("HAMMING", "hamming"), ("BLACKMAN_HARRIS", None)):
    operation = WindowOperations[window]
    one = DataFilter.get_psd(wave[:1024].copy(), rate, operation)
    many = DataFilter.get_psd_welch(wave.copy(), 512, 256, rate, operation)
    found[window] = [float(DataFilter.get_band_power(density, 5.0, 15.0)) for density in (one, many)]
    frequencies, density = welch(wave, rate, window=name or "blackmanharris", nperseg=512)
    inside = (frequencies >= 5) & (frequencies <= 15)
    true[window] = float(np.trapezoid(density[inside], frequencies[inside]))
    print(f"{window}: get_psd {found[window][0]:.0f}, get_psd_welch {found[window][1]:.0f},", end=" ")
    print(f"SciPy {true[window]:.0f} µV²")
expected = {"NO_WINDOW": 200, "HANNING": 75, "HAMMING": 79.5, "BLACKMAN_HARRIS": 51.5}
unchanged = all(np.allclose(found[window], expected[window], rtol=0.03) for window in expected)
raise SystemExit(0 if unchanged and np.allclose(list(true.values()), 200, rtol=0.02) else 1)
PYTHON
