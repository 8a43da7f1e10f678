#!/usr/bin/env bash
# torcheeg's BandPowerSpectralDensity and BandDifferentialEntropyV1 look at the first second of a window, whatever its
# length: they take as many points of it as the sampling rate has (fft_n=None), after a taper over the whole window, so
# of the beginning that is left most is tapered away. Alpha that begins after a second is not there.
# Needs python3 and pip. Exits 0 while the behaviour stands, 1 once it changes.
set -euo pipefail
place=$(mktemp -d) && trap 'rm -rf "$place"' EXIT && cd "$place"
export MPLCONFIGDIR="$place"
python3 -m venv venv
venv/bin/pip install -q torch==2.13.0 mne==1.13.2 mne-connectivity==0.9.0 numpy==2.4.6 pandas==3.1.1 scipy==1.17.1 \
    scikit-learn==1.9.1 networkx PyWavelets spectrum pillow
venv/bin/pip install -q --no-deps torcheeg==1.1.3  # asks for SciPy below 1.10.2 without need
venv/bin/python - 2>/dev/null <<'PYTHON'
import numpy as np
from torcheeg import __version__
from torcheeg.transforms import BandDifferentialEntropyV1, BandPowerSpectralDensity

print("torcheeg", __version__, "numpy", np.__version__)
rate = 200
time = np.arange(4 * rate) / rate
noise = np.random.default_rng(0).normal(0, 1, (1, time.size))
alpha = 20 * np.sin(2 * np.pi * 10 * time)  # µV
windows = {"alpha throughout": noise + alpha, "from 1 s on": noise + alpha * (time >= 1), "no alpha": noise}
same = {}
for kind in (BandPowerSpectralDensity, BandDifferentialEntropyV1):
    alpha_of = kind(sampling_rate=rate, band_dict={"alpha": [8, 13]})
    of = {name: float(alpha_of(eeg=eeg)["eeg"][0, 0]) for name, eeg in windows.items()}
    print(f"{kind.__name__}, windows of 4 s:", ", ".join(f"{name} {value:.4g}" for name, value in of.items()))
    same[kind] = of["from 1 s on"] == of["no alpha"] < of["alpha throughout"] / 1.5
raise SystemExit(0 if all(same.values()) else 1)
PYTHON
