"""
A data set of braindecode
=========================

What braindecode, MOABB or your own code hold as ``BaseConcatDataset`` becomes a corpus like any other: windows of one
trial are that trial again, and it is prepared as files are. The signals here are **noise** with the names of channels
that a headset has.
"""

# %%
# A data set
# ----------
# Two recordings of a minute, as any loader of braindecode gives them: who it is stands in the description, what was
# shown in the annotations.

import matplotlib.pyplot as plt
import mne
import numpy as np
import pandas as pd
import small

from mdjpt_hf import embed
from mdjpt_hf.data import from_braindecode

try:
    from braindecode.datasets import BaseConcatDataset, RawDataset
    from braindecode.preprocessing import create_windows_from_events
except ImportError:
    BaseConcatDataset = None
    print("braindecode is not installed here (extra [braindecode]): the rest of this example is skipped.")

recordings = []
for number in range(2):
    noise = np.random.default_rng(number).normal(0, 2e-5, (8, 60 * 200))
    info = mne.create_info(["Fp1", "Fp2", "F3", "F4", "C3", "C4", "O1", "O2"], 200.0, "eeg")
    shown = mne.Annotations([5, 30], [20, 20], ["calm", "tense"])
    recordings.append(mne.io.RawArray(noise, info, verbose="error").set_annotations(shown))

# %%
# As a corpus
# -----------
# Windows that overlap are fine, since trials are put together from them. Signals are taken to be in volts, as MNE has
# them; ``unit="uV"`` is for data sets that a preprocessor scaled.

if BaseConcatDataset is not None:
    parts = [RawDataset(raw, pd.Series({"subject": f"s{number}"})) for number, raw in enumerate(recordings)]
    windows = create_windows_from_events(
        BaseConcatDataset(parts), window_size_samples=1000, window_stride_samples=500, drop_last_window=False
    )
    corpus = from_braindecode(windows, name="mine", stimulus="target")
    print(corpus.to_pandas()[["subject", "stimulus", "label_name", "n_samples"]])

# %%
# Features of it
# --------------
# It goes wherever a corpus goes: training, evaluation, and features of every window.

if BaseConcatDataset is not None:
    found = embed(small.encoder(), corpus)
    print(found.features.shape)
    print(found.windows.groupby(["subject", "label_name"]).size())

# %%
# A row is a window, in the order of the trials. Features of noise differ, and mean nothing.

if BaseConcatDataset is not None:
    spread = (found.features - found.features.mean(0)) / found.features.std(0)
    figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
    axes.imshow(spread, aspect="auto", interpolation="none", cmap="RdBu_r", vmin=-3, vmax=3)
    firsts = found.windows.groupby(["subject", "label_name"], sort=False).head(1)
    axes.set_yticks(firsts.index, firsts["subject"] + ", " + firsts["label_name"])
    axes.set(xlabel="feature (z)")
    plt.show()
