#!/usr/bin/env bash
# What MNE exports of a cropped recording says that it began when the whole one did: crop keeps the date of the first
# sample and counts from it in first_samp, export_raw moves the annotations to the samples that are left and writes the
# old date. Ten minutes cut away, and the file's clock (EDF's start time, BrainVision's New Segment) is ten minutes
# early. Who aligns it with a video, a watch or a hypnogram by the time of day is off by what was cut.
# Needs python3 and pip. Exits 0 while the behaviour stands, 1 once it changes.
set -euo pipefail
place=$(mktemp -d) && trap 'rm -rf "$place"' EXIT && cd "$place"
python3 -m venv venv && venv/bin/pip install -q mne==1.13.2 numpy==2.4.6 edfio==0.4.18 pybv==0.8.1
venv/bin/python - <<'PYTHON'
import warnings
from datetime import UTC, datetime, timedelta

import mne
import numpy as np

mne.set_log_level("WARNING")
print("mne", mne.__version__)
began = datetime(2026, 1, 2, 10, 0, tzinfo=UTC)
signal = np.random.default_rng(0).normal(0, 1e-5, (1, 90000))  # 15 min at 100 Hz
raw = mne.io.RawArray(signal, mne.create_info(["Cz"], 100.0, "eeg"), verbose="ERROR").set_meas_date(began)
raw.set_annotations(mne.Annotations([720.0], [0.0], ["film"], orig_time=began))
raw.crop(600.0, 899.99)
print("cropped: film at", (raw.info["meas_date"] + timedelta(seconds=raw.annotations.onset[0])).time())
films = {}
for name, read in {"part.edf": mne.io.read_raw_edf, "part.vhdr": mne.io.read_raw_brainvision}.items():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        mne.export.export_raw(name, raw)
    back = read(name)
    onset = next(float(mark["onset"]) for mark in back.annotations if mark["description"].endswith("film"))
    films[name] = back.info["meas_date"] + timedelta(seconds=onset)
    print(f"{name}: begins {back.info['meas_date'].time()}, film {onset:g} s later, at {films[name].time()};", end=" ")
    print("warnings:", [str(warning.message) for warning in caught if "format" not in str(warning.message)])
raise SystemExit(0 if set(films.values()) == {began + timedelta(seconds=120)} else 1)
PYTHON
