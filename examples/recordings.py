"""Write twelve simulated recordings, as those of a study: `python examples/recordings.py my_recordings`.

A file a person, nine clips of 30 s each, marked by annotations; no human data. What is felt stands in `labels.csv`.
"""

import sys
from pathlib import Path

import mne
import numpy as np

from mdjpt_hf import load_corpus
from mdjpt_hf.schema import trial_signal

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "my_recordings")
folder.mkdir(parents=True, exist_ok=True)
people = load_corpus("simulated", corpora=["sim-30"], subjects=12, stimuli=9, trial_seconds=30.0, preprocessing="none")
for person in sorted(set(people["subject"])):
    trials = [row for row in people if row["subject"] == person]
    signal = np.concatenate([trial_signal(row) for row in trials], axis=1) * 1e-6  # MNE keeps volts
    rate = trials[0]["sampling_rate"]
    raw = mne.io.RawArray(signal, mne.create_info(trials[0]["ch_names"], rate, "eeg"), verbose="error")
    seconds = np.array([row["n_samples"] for row in trials]) / rate
    raw.set_annotations(mne.Annotations(np.cumsum(seconds) - seconds, seconds, [row["stimulus"] for row in trials]))
    raw.save(folder / f"sub-{person[1:]}_raw.fif", overwrite=True, verbose="error")
labels = dict(zip(people["stimulus"], people["label_name"], strict=True))
(folder / "labels.csv").write_text("stimulus,label\n" + "".join(f"{clip},{labels[clip]}\n" for clip in sorted(labels)))
print(f"{len(set(people['subject']))} recordings in {folder}")
