#!/usr/bin/env bash
# braindecode's windows say where they lie by i_start_in_trial: a sample of the recording, not of the trial. The same
# windows of the same recording count from its first sample, or, made as MNE epochs (use_mne_epochs=True, or any option
# that implies it), with MNE's first_samp added: places in a cropped or FIF recording are then off by its offset.
# Needs python3 and pip. Exits 0 while the behaviour stands, 1 once it changes.
set -euo pipefail
place=$(mktemp -d) && trap 'rm -rf "$place"' EXIT && cd "$place"
export MPLCONFIGDIR="$place"
python3 -m venv venv
venv/bin/pip install -q torch==2.13.0 mne==1.13.2 mne-bids==0.20.0 numpy==2.4.6 pandas==3.1.1 skorch==1.4.0 \
    torchinfo h5py pydantic==2.14.3 wfdb linear_attention_transformer docstring-inheritance
venv/bin/pip install -q --no-deps braindecode==1.8.1 torchaudio==2.11.1
rm -rf venv/lib/python*/site-packages/torchaudio/lib  # built for CUDA, and done without where it is missing
venv/bin/python - 2>/dev/null <<'PYTHON'
import warnings
from importlib.metadata import version

warnings.simplefilter("ignore")
import mne
import numpy as np
import pandas as pd

from braindecode.datasets import BaseConcatDataset, RawDataset
from braindecode.preprocessing import create_windows_from_events

info = mne.create_info(["Fp1", "Cz"], 200.0, "eeg")
raw = mne.io.RawArray(np.random.default_rng(0).normal(0, 1e-5, (2, 4000)), info, first_samp=700, verbose="error")
raw.set_annotations(mne.Annotations([5.0], [5.0], ["joy"]))
data = BaseConcatDataset([RawDataset(raw, pd.Series({"subject": 1}))])
found = {}
for epochs in (False, True):
    made = create_windows_from_events(
        data, window_size_samples=1000, window_stride_samples=1000, drop_last_window=False, use_mne_epochs=epochs
    ).datasets[0]
    found[type(made).__name__] = int(made.metadata["i_start_in_trial"].iloc[0])
print("braindecode", version("braindecode"), "mne", mne.__version__)
print("start of the window at 5 s of a 200 Hz recording whose first_samp is 700:", found)
raise SystemExit(0 if found == {"EEGWindowsDataset": 1000, "WindowsDataset": 1700} else 1)
PYTHON
