#!/usr/bin/env bash
# MNE 1.12 starts programs to read an EDF file: it loads matplotlib, which asks the system for its fonts (fc-list).
# Whoever reads files in a process that may start nothing, or counts what a file made it do, meets that; 1.13 does not.
# Needs python3 and pip. Exits 0 while the behaviour stands, 1 once it changes.
set -euo pipefail
place=$(mktemp -d) && trap 'rm -rf "$place"' EXIT && cd "$place"
python3 -m venv venv
cat > read.py <<'PYTHON'
import sys

started = []
sys.addaudithook(lambda event, about: started.append(about[0]) if event == "subprocess.Popen" else None)

import mne

before = len(started)
mne.io.read_raw_edf("signal.edf", preload=True, verbose="ERROR")
print("mne", mne.__version__, "started while reading:", started[before:], "matplotlib loaded:", "matplotlib" in sys.modules)
sys.exit((len(started) > before) != (sys.argv[1] == "starts"))
PYTHON
for expected in "1.12.1 starts" "1.13.2 starts-nothing"; do
    read -r version word <<< "$expected"
    venv/bin/pip install -q "mne==$version" numpy==2.4.6 scipy==1.17.1 matplotlib==3.11.2 edfio==0.4.18
    if [ ! -f signal.edf ]; then
        venv/bin/python - <<'PYTHON'
import mne
import numpy as np

signal = np.random.default_rng(0).normal(0, 2e-5, (2, 1000))
raw = mne.io.RawArray(signal, mne.create_info(["Fz", "Cz"], 100, "eeg"), verbose="ERROR")
raw.export("signal.edf", verbose="ERROR")
PYTHON
    fi
    # A fresh configuration folder, as a new user or a confined process has: no list of fonts was kept.
    MPLCONFIGDIR=$(mktemp -d -p "$place") venv/bin/python read.py "$word"
done
