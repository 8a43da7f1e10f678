"""
A data set of braindecode
=========================

What braindecode, MOABB or your own code hold as ``BaseConcatDataset`` goes into an encoder as it is: every recording of
it is an ``mne.io.Raw``. The signals here are **noise** with the names of channels that a headset has.
"""

# %%
# A data set
# ----------
# Two recordings of a minute, as any loader of braindecode gives them.

import mne
import numpy as np
import pandas as pd
import small

from mdjpt_hf import embed

try:
    from braindecode.datasets import BaseConcatDataset, RawDataset
except ImportError:
    BaseConcatDataset = None
    print("braindecode is not installed here (extra [braindecode]): the rest of this example is skipped.")

recordings = []
for number in range(2):
    noise = np.random.default_rng(number).normal(0, 2e-5, (8, 60 * 200))
    info = mne.create_info(["Fp1", "Fp2", "F3", "F4", "C3", "C4", "O1", "O2"], 200.0, "eeg")
    recordings.append(mne.io.RawArray(noise, info, verbose="error"))

# %%
# Features of it
# --------------
# Resampling, names, missing channels and scale are the extractor's business; the description of each recording goes
# along with its windows.

if BaseConcatDataset is not None:
    parts = [
        RawDataset(raw, pd.Series({"subject": f"s{number}", "mood": mood}))
        for number, (raw, mood) in enumerate(zip(recordings, ("calm", "tense"), strict=True))
    ]
    dataset = BaseConcatDataset(parts)
    found = embed(small.encoder(), [part.raw for part in dataset.datasets])
    described = found.windows.join(dataset.description, on="recording")
    print(found.features.shape)
    print(described.groupby(["recording", "subject", "mood"]).size())
