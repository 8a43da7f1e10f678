#!/usr/bin/env bash
# A recording without a run and without events of its own is given the events of run 2 beside it: to mne-bids an entity
# that the recording does not have contradicts nothing. By BIDS 1.10 a file applies to a recording only where all of its
# entities are in the recording's name.
# Needs python3 and pip. Exits 0 while the behaviour stands, 1 once it changes.
set -euo pipefail
place=$(mktemp -d) && trap 'rm -rf "$place"' EXIT && cd "$place"
python3 -m venv venv && venv/bin/pip install -q mne-bids==0.20.0 mne==1.13.2 numpy==2.4.6 edfio==0.4.18
venv/bin/python - <<'PYTHON'
import json
import warnings
from pathlib import Path

import mne
import mne_bids
import numpy as np

print("mne-bids", mne_bids.__version__, "mne", mne.__version__)
root, folder = Path("study"), Path("study/sub-01/eeg")
folder.mkdir(parents=True)
(root / "dataset_description.json").write_text(json.dumps({"Name": "example", "BIDSVersion": "1.9.0"}))
signal = np.random.default_rng(0).normal(0, 1e-5, (3, 5000))
raw = mne.io.RawArray(signal, mne.create_info(["Fp1", "Fp2", "Cz"], 250.0, "eeg"), verbose="ERROR")
for stem in ("sub-01_task-film", "sub-01_task-film_run-2"):
    mne.export.export_raw(folder / f"{stem}_eeg.edf", raw, verbose="ERROR")
(folder / "sub-01_task-film_run-2_events.tsv").write_text("onset\tduration\ttrial_type\n2.0\t6.0\tof run 2\n")
path = mne_bids.BIDSPath(subject="01", task="film", datatype="eeg", suffix="eeg", extension=".edf", root=root)
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    found = mne_bids.read_raw_bids(path, verbose="ERROR").annotations
events = path.find_matching_sidecar("events", ".tsv").name
print("read:", path.basename, "| events:", list(found.description), "| from:", events)
warned = [str(warning.message) for warning in told if "run-2" in str(warning.message)]
print("warned of it:", warned or "no")
raise SystemExit(0 if list(found.description) == ["of run 2"] and not warned else 1)
PYTHON
