"""
Own recordings to emotion over time
===================================

A folder of recordings and a table that says who watched what and when: that is all the four steps below need. The
recordings here are **simulated**, so that the script runs anywhere; put your own files in their place.
"""

# %%
# Recordings and a table
# ----------------------
# Eight people, six clips each, one file a person. Any format that MNE opens will do; ``stimulus`` is the same id for
# everybody who saw the same clip, and that is what pairs people in pre-training.

from pathlib import Path

import matplotlib.pyplot as plt
import mne
import numpy as np
import pandas as pd

from mdjpt_hf import FinetuneConfig, RunConfig, finetune, load_corpus, predict, pretrain
from mdjpt_hf.schema import trial_signal

folder = Path("outputs", "own_recordings")
folder.mkdir(parents=True, exist_ok=True)
people = load_corpus("simulated", corpora=["sim-30"], subjects=8, stimuli=6, trial_seconds=30.0, preprocessing="none")
lines = []
for person in sorted(set(people["subject"])):
    trials = [row for row in people if row["subject"] == person]
    signal = np.concatenate([trial_signal(row) for row in trials], axis=1) * 1e-6  # MNE keeps volts
    rate = trials[0]["sampling_rate"]
    info = mne.create_info(trials[0]["ch_names"], rate, "eeg")
    mne.io.RawArray(signal, info, verbose="error").save(folder / f"{person}_raw.fif", overwrite=True, verbose="error")
    ends = np.cumsum([row["n_samples"] for row in trials]) / rate
    for row, end in zip(trials, ends, strict=True):
        seconds = row["n_samples"] / rate
        lines.append([f"{person}_raw.fif", person, row["stimulus"], end - seconds, seconds, row["label_name"]])
table = pd.DataFrame(lines, columns=["file", "subject", "stimulus", "onset", "duration", "label"])
table.to_csv(folder / "my.csv", index=False)
table.head(8)

# %%
# Prepare
# -------
# Cleaned, resampled to 125 Hz, and checked: a row of the result is a trial.

mine = load_corpus("recordings", table=folder / "my.csv")
print(mine.num_rows, "trials of", len(set(mine["subject"])), "people,", len(mine[0]["ch_names"]), "channels")

# %%
# Pre-train
# ---------
# Without labels: people who watch the same moment of the same clip should look alike. Eighty steps of a
# small network show how it is done; a real run takes all corpora that there are, and thousands of steps.

settings = RunConfig(
    name="own",
    data=[mine],
    output_dir=str(folder / "encoder"),
    model={"preset": "tiny", "block": "released", "contrastive_temperature": 0.4},
    steps=80,
    learning_rate=6e-3,
    viewers=8,
    held_out_subjects=0,
    trackers=(),
)
if not (folder / "encoder" / "model.safetensors").exists():
    pretrain(settings, resume=True)  # where it was broken off, if it was

# %%
# Fine-tune
# ---------
# The head alone, on the labels of the table. A fifth of the people never train.

classifier = folder / "classifier"
if not (classifier / "config.json").exists():
    finetune(FinetuneConfig(model=str(folder / "encoder"), data=[mine], output_dir=str(classifier), steps=60))

# %%
# Emotion over time
# -----------------
# Of one recording, window by window. This person was among those it was trained on: for a score to believe, see
# the example on transfer.

found = predict(str(classifier), folder / "s01_raw.fif").found[0]
middles = found.onsets + found.duration / 2
figure, axes = plt.subplots(figsize=(8, 3.5), layout="constrained")
axes.plot(middles, found.scores, label=found.labels)
for row in table[table["subject"] == "s01"].itertuples():
    axes.axvline(row.onset, color="0.8", linewidth=1, zorder=0)
    axes.text(row.onset + 1, 1.02, row.label, size=8, color="0.3")
axes.set(xlabel="time in the recording (s)", ylabel="probability", ylim=(0, 1.1))
axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
plt.show()
