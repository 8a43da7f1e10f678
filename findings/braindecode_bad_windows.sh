#!/usr/bin/env bash
# braindecode keeps windows over stretches marked BAD, or leaves them out, by options that have nothing to do with
# marks: create_fixed_length_windows and create_windows_from_events look at MNE's marks only where they make MNE epochs,
# which reject={...}, picks=... or flat={...} imply. Without one of these, artefacts marked by hand are trained on.
# Needs python3 and pip. Exits 0 while the behaviour stands, 1 once it changes.
set -euo pipefail
place=$(mktemp -d) && trap 'rm -rf "$place"' EXIT && cd "$place"
export MPLCONFIGDIR="$place"
python3 -m venv venv
venv/bin/pip install -q torch==2.13.0 mne==1.13.2 mne-bids==0.20.0 numpy==2.4.6 pandas==3.1.1 skorch==1.4.0 \
    torchinfo h5py pydantic==2.14.3 wfdb linear_attention_transformer docstring-inheritance
venv/bin/pip install -q --no-deps braindecode==1.8.1 torchaudio==2.11.1
rm -rf venv/lib/python*/site-packages/torchaudio/lib  # built for CUDA, and done without where it is missing
venv/bin/python -W ignore - 2>/dev/null <<'PYTHON'
from importlib.metadata import version

import mne
import numpy as np
import pandas as pd
from braindecode.datasets import BaseConcatDataset, RawDataset
from braindecode.preprocessing import create_fixed_length_windows, create_windows_from_events

mne.set_log_level("ERROR")
info = mne.create_info(["Fp1", "Cz"], 200.0, "eeg")
raw = mne.io.RawArray(np.random.default_rng(0).normal(0, 1e-5, (2, 4000)), info)  # 20 s
raw.set_annotations(mne.Annotations([2.0, 10.0, 12.0], [3.0, 8.0, 1.0], ["BAD_moved", "joy", "BAD_moved"]))
data = BaseConcatDataset([RawDataset(raw, pd.Series({"subject": 1}))])
size = dict(window_size_samples=200, window_stride_samples=200, drop_last_window=False)
found = {}
for name, make in {"fixed length": create_fixed_length_windows, "from events": create_windows_from_events}.items():
    for text, options in {"alone": {}, "reject=1 V": {"reject": {"eeg": 1.0}}, "picks": {"picks": "eeg"}}.items():
        found[name, text] = len(make(data, **size, **options))
print("braindecode", version("braindecode"), "mne", mne.__version__)
print("windows of 1 s; 20 s with 4 s marked BAD, and an event of 8 s with 1 s of them:")
for (name, text), number in found.items():
    print(f"  {name}, {text}: {number}")
raise SystemExit(0 if list(found.values()) == [20, 16, 16, 8, 7, 7] else 1)
PYTHON
