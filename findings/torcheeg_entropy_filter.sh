#!/usr/bin/env bash
# torcheeg's differential entropy of theta is 111 at 1000 Hz, where 5.8 is right: its band transforms filter with the
# coefficients (b, a) of a tenth-order Butterworth band-pass, which in double precision is unstable for a band that low
# at a rate that high, and the output grows without bound. As second-order sections the same filter gives 5.8 at every
# rate.
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
from scipy.signal import butter, sosfilt
from torcheeg import __version__
from torcheeg.transforms import BandDifferentialEntropy

print("torcheeg", __version__, "numpy", np.__version__)
rng = np.random.default_rng(0)
found, true = {}, {}
for rate in (128, 200, 500, 1000):
    time = np.arange(4 * rate) / rate
    eeg = rng.normal(0, 10, (1, time.size)) + 20 * np.sin(2 * np.pi * 6 * time)  # µV
    found[rate] = float(BandDifferentialEntropy(sampling_rate=rate, band_dict={"theta": [4, 8]})(eeg=eeg)["eeg"][0, 0])
    theta = sosfilt(butter(5, [4, 8], btype="band", fs=rate, output="sos"), eeg[0])
    true[rate] = float(0.5 * np.log2(2 * np.pi * np.e * theta.var()))
    print(f"theta at {rate} Hz: torcheeg {found[rate]:.2f}, by second-order sections {true[rate]:.2f} bits")
right = all(abs(found[rate] - true[rate]) < 0.1 for rate in (128, 200, 500))
raise SystemExit(0 if right and found[1000] > 20 and true[1000] < 7 else 1)
PYTHON
