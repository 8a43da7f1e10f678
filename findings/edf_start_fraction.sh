#!/usr/bin/env bash
# Three libraries, three clocks: an EDF+ file that starts at 10:00:00.750 (the fraction stands in its first annotation,
# as the standard has it) starts at .750 for edfio, at .075 for pyedflib (it counts 100 ns as if they were 10), and at
# .000 for MNE, which drops the fraction. Who aligns EEG with a video or another device by these times is off by it.
# Needs python3 and pip. Exits 0 while the behaviour stands, 1 once it changes.
set -euo pipefail
place=$(mktemp -d) && trap 'rm -rf "$place"' EXIT && cd "$place"
python3 -m venv venv && venv/bin/pip install -q mne==1.13.2 numpy==2.4.6 edfio==0.4.18 pyedflib==0.1.42
venv/bin/python - <<'PYTHON'
import datetime
from importlib.metadata import version
from pathlib import Path

import mne
import numpy as np
import pyedflib
from edfio import Edf, EdfAnnotation, EdfSignal, Recording, read_edf

print(*(f"{name} {version(name)}" for name in ("edfio", "pyedflib", "mne")))
wave = 20 * np.sin(2 * np.pi * 10 * np.arange(1000) / 100)  # µV
signal = EdfSignal(wave, 100, label="Cz", physical_dimension="uV", physical_range=(-40, 40))
day = Recording(startdate=datetime.date(2026, 1, 2))
start = datetime.time(10, 0, 0, 750000)
Edf([signal], recording=day, starttime=start, annotations=[EdfAnnotation(2.0, 1.0, "clip")]).write("start.edf")
print("the file has +0.75 as its first annotation:", b"+0.75\x14\x14" in Path("start.edf").read_bytes())
with pyedflib.EdfReader("start.edf") as reader:
    found = {
        "edfio": read_edf("start.edf").startdatetime.microsecond,
        "pyedflib": reader.getStartdatetime().microsecond,
        "mne": mne.io.read_raw_edf("start.edf", verbose="ERROR").info["meas_date"].microsecond,
    }
    print("pyedflib's own starttime_subsecond, in units of 100 ns:", reader.starttime_subsecond)
for name, microseconds in found.items():
    print(f"{name}: starts at 10:00:00.{microseconds:06d}")
raise SystemExit(0 if found == {"edfio": 750000, "pyedflib": 75000, "mne": 0} else 1)
PYTHON
