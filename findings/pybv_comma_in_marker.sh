#!/usr/bin/env bash
# A comma in a marker's text shifts its place: pybv says in every marker file it writes that commas are coded as "\1",
# and codes those of channel names, but not those of descriptions. A reader then takes what follows the comma for the
# position: "film 2, 3" at 20 s is read as "film 2" at the third sample, and lasts as long as it took to begin. MNE's
# own export to BrainVision goes through pybv.
# Needs python3 and pip. Exits 0 while the behaviour stands, 1 once it changes.
set -euo pipefail
place=$(mktemp -d) && trap 'rm -rf "$place"' EXIT && cd "$place"
python3 -m venv venv && venv/bin/pip install -q mne==1.13.2 numpy==2.4.6 pybv==0.8.1
venv/bin/python - <<'PYTHON'
import warnings
from importlib.metadata import version
from pathlib import Path

import mne
import numpy as np

print("pybv", version("pybv"), "mne", mne.__version__)
signal = np.random.default_rng(0).normal(0, 1e-5, (2, 7500))
raw = mne.io.RawArray(signal, mne.create_info(["Cz", "A,B"], 250.0, "eeg"), verbose="ERROR")
raw.set_annotations(mne.Annotations([10.0, 20.0], [5.0, 5.0], ["film 1", "film 2, 3"]))
mne.export.export_raw("marks.vhdr", raw, verbose="ERROR")
lines = Path("marks.vmrk").read_text().splitlines()
print(*[line for line in lines if "coded as" in line or line.startswith("Mk")], sep="\n")
print(next(line for line in Path("marks.vhdr").read_text().splitlines() if line.startswith("Ch2=")))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    back = mne.io.read_raw_brainvision("marks.vhdr", verbose="ERROR")
found = {mark["description"]: (float(mark["onset"]), float(mark["duration"])) for mark in back.annotations}
print("read:", found, "warnings:", [str(warning.message) for warning in caught])
moved = found.get("Comment/film 2") == (2 / 250.0, 5001 / 250.0)
raise SystemExit(0 if moved and found["Comment/film 1"] == (10.0, 5.0) and back.ch_names[1] == "A,B" else 1)
PYTHON
