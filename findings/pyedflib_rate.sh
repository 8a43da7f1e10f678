#!/usr/bin/env bash
# pyedflib writes another sampling rate than the one it is given where that is no whole number: 512.03 Hz, a clock as
# measured, becomes 512.82 Hz, and ten minutes into the recording samples are 0.9 s from their markers. It seeks a record
# that holds a whole number of samples, finds one of a single sample, 1.953 ms, and writes 0.00195 s; its warning of
# rates that cannot be kept looks at the number before it was cut. The same samples in records of 100 s keep the rate.
# Needs python3 and pip. Exits 0 while the behaviour stands, 1 once it changes.
set -euo pipefail
place=$(mktemp -d) && trap 'rm -rf "$place"' EXIT && cd "$place"
python3 -m venv venv && venv/bin/pip install -q pyedflib==0.1.42 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
from pyedflib import highlevel

print("pyedflib", version("pyedflib"))
found = {}
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for rate in (512.03, 499.93, 512.5):
        signal = np.zeros((1, round(600 * rate)))  # 10 min
        headers = highlevel.make_signal_headers(
            ["Cz"], sample_frequency=rate, physical_min=-100, physical_max=100
        )
        highlevel.write_edf("clock.edf", signal, headers, {"annotations": [[599.0, 0.5, "clip"]]})
        signals, headers, header = highlevel.read_edf("clock.edf")
        found[rate] = headers[0]["sample_frequency"]
        duration, onset = Path("clock.edf").read_bytes()[244:252].decode().strip(), header["annotations"][0][0]
        print(f"{rate} Hz: written as records of {duration} s, read as {found[rate]:.4f} Hz;", end=" ")
        print(f"the sample at 599 s is read at {round(599 * rate) / found[rate]:.2f} s, the marker at {onset:.2f} s")
print("warnings:", [str(warning.message) for warning in caught])
unchanged = np.allclose([found[512.03], found[499.93]], [512.8205, 500.0], atol=1e-3) and found[512.5] == 512.5
raise SystemExit(0 if unchanged and not caught else 1)
PYTHON
