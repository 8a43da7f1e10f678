#!/usr/bin/env bash
# mne-features' power in a band depends on the sampling rate: compute_pow_freq_bands adds up the bins of the spectral
# density and does not multiply by their width, the rate over 256. The same rhythm, recorded twice as fast, has half the
# power (log=True: 3 dB less), so corpora of different rates cannot be put together. With normalize=True, the default,
# the width cancels.
# Needs python3 and pip. Exits 0 while the behaviour stands, 1 once it changes.
set -euo pipefail
place=$(mktemp -d) && trap 'rm -rf "$place"' EXIT && cd "$place"
python3 -m venv venv && venv/bin/pip install -q mne-features==0.3.2 mne==1.13.2 numpy==2.4.6 scipy==1.17.1
venv/bin/python - 2>/dev/null <<'PYTHON'
from importlib.metadata import version

import numpy as np
from mne_features.univariate import compute_pow_freq_bands
from scipy.signal import welch

print("mne-features", version("mne-features"), "numpy", np.__version__)
bands = {"around it": [2.0, 30.0]}
found, true = {}, {}
for rate in (125, 250, 500, 1000):
    wave = 20 * np.sin(2 * np.pi * 10 * np.arange(60 * rate) / rate)[None]  # µV; its power is 20² / 2 = 200 µV²
    found[rate] = float(compute_pow_freq_bands(rate, wave, freq_bands=bands, normalize=False)[0])
    frequencies, density = welch(wave[0], rate, nperseg=2 * rate)
    inside = (frequencies >= 2) & (frequencies <= 30)
    true[rate] = float(density[inside].sum() * frequencies[1])
    print(f"{rate} Hz: mne-features {found[rate]:.0f}, integrated {true[rate]:.0f} µV²")
halves = np.allclose([found[125] / found[rate] for rate in (250, 500, 1000)], [2, 4, 8], rtol=0.05)
raise SystemExit(0 if halves and np.allclose(list(true.values()), 200, rtol=0.02) else 1)
PYTHON
