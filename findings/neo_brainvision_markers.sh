#!/usr/bin/env bash
# neo reads every BrainVision marker one sample late: the format counts data points from 1, and neo divides their numbers
# by the rate as they stand, while it starts the signal at 0 s. A marker on the sample at 2 s of a 250 Hz recording is
# at 2.004 s, and the New Segment marker of the first sample is not at its start. MNE had the same until 2018
# (mne-python 5284) and takes one off since.
# Needs python3 and pip. Exits 0 while the behaviour stands, 1 once it changes.
set -euo pipefail
place=$(mktemp -d) && trap 'rm -rf "$place"' EXIT && cd "$place"
python3 -m venv venv && venv/bin/pip install -q neo==0.14.6 pybv==0.8.1 mne==1.13.2 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import datetime
from pathlib import Path

import mne
import neo
import numpy as np
import pybv

print("neo", neo.__version__, "pybv", pybv.__version__, "mne", mne.__version__)
signal = np.zeros((1, 1000))
signal[0, 500] = 20e-6  # V; a pulse at 2 s
pybv.write_brainvision(
    data=signal, sfreq=250.0, ch_names=["Cz"], fname_base="pulse", folder_out=".", events=np.array([[500, 1]]),
    meas_date=datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),
)
print(*[line for line in Path("pulse.vmrk").read_text("utf-8").splitlines() if line.startswith("Mk")], sep="\n")
segment = neo.io.BrainVisionIO("pulse.vhdr").read_block().segments[0]
read = segment.analogsignals[0]
pulse = float(read.times[int(np.argmax(read.magnitude[:, 0]))])
marks = {event.name: event.times.rescale("s").magnitude.tolist() for event in segment.events}
onsets = mne.io.read_raw_brainvision("pulse.vhdr", verbose="ERROR").annotations.onset.tolist()
print(f"neo: the signal starts at {float(read.t_start):g} s, the pulse is at {pulse:g} s, the markers are at {marks} s")
print("MNE: the stimulus is at", onsets, "s")
late = marks.get("Stimulus") == [2.004] and marks.get("New Segment") == [0.004]
raise SystemExit(0 if late and float(read.t_start) == 0 and pulse == 2.0 and onsets == [2.0] else 1)
PYTHON
