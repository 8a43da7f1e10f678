#!/usr/bin/env bash
# MOABB: the same call of the same paradigm gives arrays in microvolts, and epochs (return_epochs=True) in volts.
# Only the arrays are multiplied by the data set's unit_factor, 1e6; neither says its unit.
# Needs python3 and pip. Exits 0 while the behaviour stands, 1 once it changes.
set -euo pipefail
place=$(mktemp -d) && trap 'rm -rf "$place"' EXIT && cd "$place"
export MNE_DATA="$place" MPLCONFIGDIR="$place"
python3 -m venv venv && venv/bin/pip install -q moabb==1.7.2 mne==1.13.2 numpy==2.4.6
venv/bin/python - 2>/dev/null <<'PYTHON'
import warnings

warnings.simplefilter("ignore")
from importlib.metadata import version

import mne
from moabb.datasets.fake import FakeDataset
from moabb.paradigms import LeftRightImagery

mne.set_log_level("ERROR")
dataset = FakeDataset(["left_hand", "right_hand"], n_subjects=1, n_sessions=1, n_runs=1, n_events=6, duration=60, seed=1)
arrays, _, _ = LeftRightImagery().get_data(dataset, [1])
epochs, _, _ = LeftRightImagery().get_data(dataset, [1], return_epochs=True)
spread = arrays.std(), epochs.get_data().std()
print("moabb", version("moabb"), "mne", mne.__version__)
print(f"spread of the arrays {spread[0]:.3g}, of the epochs {spread[1]:.3g}: {spread[0] / spread[1]:.3g} times as much")
raise SystemExit(0 if abs(spread[0] / spread[1] / 1e6 - 1) < 1e-6 else 1)
PYTHON
