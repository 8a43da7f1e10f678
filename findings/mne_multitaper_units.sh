#!/usr/bin/env bash
# MNE says V²/Hz of a spectrum that is not: compute_psd(method="multitaper"), the default of epochs, leaves the sampling
# rate in (normalization="length"), and units() still answers V²/Hz. The same rhythm has 125 times its power at 125 Hz
# and 1000 times at 1000 Hz, so epochs and raw (Welch) differ, and corpora of different rates cannot be put together.
# normalization="full" is right. Upstream has had it as a question of documentation since 2021 (mne-python 9868).
# Needs python3 and pip. Exits 0 while the behaviour stands, 1 once it changes.
set -euo pipefail
place=$(mktemp -d) && trap 'rm -rf "$place"' EXIT && cd "$place"
python3 -m venv venv && venv/bin/pip install -q mne==1.13.2 numpy==2.4.6 scipy==1.17.1
venv/bin/python - <<'PYTHON'
import warnings

import mne
import numpy as np

print("mne", mne.__version__)
ways = {
    "multitaper": {},
    "multitaper, full": {"method": "multitaper", "normalization": "full"},
    "welch": {"method": "welch"},
}
power, units = {}, set()
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for rate in (125, 250, 1000):
        wave = 20e-6 * np.sin(2 * np.pi * 10 * np.arange(8 * rate) / rate)  # V; its power is 20² / 2 = 200 µV²
        info = mne.create_info(["Cz"], float(rate), "eeg")
        epochs = mne.EpochsArray(wave[None, None], info, verbose="ERROR")
        for name, options in ways.items():
            more = {"n_fft": 2 * rate} if name == "welch" else {}
            spectrum = epochs.compute_psd(fmin=2, fmax=30, verbose="WARNING", **options, **more)
            power[name, rate] = 1e12 * float(np.trapezoid(spectrum.get_data()[0, 0], spectrum.freqs))
            units |= {spectrum.units()["eeg"]}
for name in ways:
    print(f"{name}:", ", ".join(f"{power[name, rate]:.0f} at {rate} Hz" for rate in (125, 250, 1000)), "µV²")
print("units:", units, "warnings:", [str(warning.message) for warning in caught])
off = [power["multitaper", rate] / 200 for rate in (125, 250, 1000)]
right = [power[name, rate] for name in ("multitaper, full", "welch") for rate in (125, 250, 1000)]
unchanged = np.allclose(off, [125, 250, 1000], rtol=0.01) and np.allclose(right, 200, rtol=0.01)
raise SystemExit(0 if unchanged and units == {"V²/Hz"} and not caught else 1)
PYTHON
