#!/usr/bin/env bash
# MNE does not apply a FIF channel's unit_mul: values stored in microvolts by it come out a million times too large.
# Needs python3 and pip. Exits 0 while the behaviour stands, 1 once it changes.
set -euo pipefail
place=$(mktemp -d) && trap 'rm -rf "$place"' EXIT && cd "$place"
python3 -m venv venv && venv/bin/pip install -q mne==1.13.2 numpy==2.4.6 scipy==1.17.1
venv/bin/python - <<'PYTHON'
import mne
import numpy as np

print("mne", mne.__version__, "numpy", np.__version__)
info = mne.create_info(["Cz"], 200.0, "eeg")
raw = mne.io.RawArray(np.full((1, 400), 20.0), info, verbose="ERROR")  # 20 in units of 1e-6 V
raw.info["chs"][0]["unit_mul"] = mne.io.constants.FIFF.FIFF_UNITM_MU
raw.save("micro_raw.fif", verbose="ERROR")
again = mne.io.read_raw_fif("micro_raw.fif", verbose="ERROR")
channel = again.info["chs"][0]
value = float(again.get_data()[0, 0])
print(f"unit {channel['unit']}, unit_mul {int(channel['unit_mul'])}: 20 microvolts; MNE reads {value:g} V")
raise SystemExit(0 if int(channel["unit_mul"]) == -6 and abs(value - 20) < 1e-3 else 1)
PYTHON
