#!/usr/bin/env bash
# OpenNeuro ds003751 (DENS) spells its task "Emotion" in the names of recordings and "emotion" in those of their sidecars.
# mne-bids compares letter by letter: it opens such a recording with a warning and without a single event.
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
root, folder = Path("study"), Path("study/sub-mit003/eeg")
folder.mkdir(parents=True)
(root / "dataset_description.json").write_text(json.dumps({"Name": "example", "BIDSVersion": "1.8.0"}))
signal = np.random.default_rng(0).normal(0, 1e-5, (3, 5000))
raw = mne.io.RawArray(signal, mne.create_info(["Fp1", "Fp2", "Cz"], 250.0, "eeg"), verbose="ERROR")
mne.export.export_raw(folder / "sub-mit003_task-Emotion_eeg.edf", raw, verbose="ERROR")
path = mne_bids.BIDSPath(subject="mit003", task="Emotion", datatype="eeg", suffix="eeg", extension=".edf", root=root)
found = {}
for task in ("emotion", "Emotion"):
    events = folder / f"sub-mit003_task-{task}_events.tsv"
    events.write_text("onset\tduration\ttrial_type\n2.0\t6.0\tstm\n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found[task] = len(mne_bids.read_raw_bids(path, verbose="ERROR").annotations)
    events.unlink()
print("events found beside task-Emotion, by the spelling in their own name:", found)
raise SystemExit(0 if found == {"emotion": 0, "Emotion": 1} else 1)
PYTHON
