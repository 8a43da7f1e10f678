#!/usr/bin/env bash
# wfdb gives steps of the converter for microvolts where an EDF file has more than one sampling rate: read_edf brings all
# channels to the lowest rate by taking means, of the whole numbers as they are stored, and does not scale these means.
# EEG of 30 to 70 µV beside a channel of half its rate comes out as 4917 to 11466, in "uV". Of one rate it is right.
# Needs python3 and pip. Exits 0 while the behaviour stands, 1 once it changes.
set -euo pipefail
place=$(mktemp -d) && trap 'rm -rf "$place"' EXIT && cd "$place"
python3 -m venv venv && venv/bin/pip install -q wfdb==4.3.1 numpy==2.4.6 pandas==3.1.1 scipy==1.17.1 edfio==0.4.18
venv/bin/python - <<'PYTHON'
import warnings
from importlib.metadata import version

import numpy as np
from edfio import Edf, EdfSignal
from wfdb.io.convert.edf import read_edf

print("wfdb", version("wfdb"))
read = {}
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for name, rates in {"one rate": {"Cz": 256, "Resp": 256}, "two rates": {"Cz": 256, "Resp": 128}}.items():
        signals = [
            EdfSignal(
                50 + 20 * np.sin(2 * np.pi * 3 * np.arange(20 * rate) / rate), rate, label=label,
                physical_dimension="uV", physical_range=(-200, 200),
            )
            for label, rate in rates.items()
        ]
        Edf(signals).write("rates.edf")
        record = read_edf("rates.edf")
        read[name] = record.p_signal.min(axis=0), record.p_signal.max(axis=0)
        for channel, label in enumerate(record.sig_name):
            low, high = read[name][0][channel], read[name][1][channel]
            print(f"{name}: {label} from {low:.1f} to {high:.1f} {record.units[channel]}, at {record.fs} Hz")
print("stored: from 30 to 70 uV; warnings:", [str(warning.message) for warning in caught])
one = np.allclose(read["one rate"], [[30, 30], [70, 70]], atol=0.1)
two = np.allclose(read["two rates"], [[4917, 30], [11466, 70]], rtol=0.01)
raise SystemExit(0 if one and two and not caught else 1)
PYTHON
