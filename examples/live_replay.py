"""
A live signal, replayed
=======================

A headset gives samples in pieces of any size, and sometimes loses some. ``StreamingEncoder`` makes windows of that from
the past alone; ``mdjpt live`` does the same from Lab Streaming Layer, a BrainFlow board or a file. The signal is
**simulated**.
"""

# %%
# A recording that is played
# --------------------------
# One person of the simulated consumer headset.

import matplotlib.pyplot as plt
import numpy as np
import small

from mdjpt_hf import MDJPTFeatureExtractor, MDJPTModel
from mdjpt_hf.schema import trial_signal
from mdjpt_hf.streaming import StreamingEncoder

trials = small.corpus("sim-14").select(range(3))
signal = np.concatenate([trial_signal(row) for row in trials], axis=1)
rate, names = trials[0]["sampling_rate"], trials[0]["ch_names"]
print(signal.shape, "(channels, samples) at", rate, "Hz")

# %%
# In chunks of 0.1 to 0.9 s, with a gap
# -------------------------------------
# ``skip`` says that samples never came. No window looks across a gap: the first one after it is made when a whole
# window has come.

model = MDJPTModel.from_pretrained(small.encoder())
stream = StreamingEncoder(model, MDJPTFeatureExtractor(stride_seconds=1.0), names, rate)
rng = np.random.default_rng(0)
windows, gaps, at = [], [], 0
while at < signal.shape[1]:
    length = int(rng.integers(0.1 * rate, 0.9 * rate))
    if 20 * rate <= at < 20 * rate + length:
        stream.skip(round(2.5 * rate), "the headset was out of reach")
        at += round(2.5 * rate)
    found = stream.advance(signal[:, at : at + length])
    windows, gaps, at = windows + found.windows, gaps + found.gaps, at + length
print(len(windows), "windows;", *(f"gap from {gap.onset:.1f} to {gap.end:.1f} s: {gap.reason}" for gap in gaps))

# %%
# The same numbers, whatever the chunks
# -------------------------------------
# Chunks of another size give the same windows, to the bit, as long as nothing is lost.

again = StreamingEncoder(model, MDJPTFeatureExtractor(stride_seconds=1.0), names, rate)
first = again.advance(signal[:, : round(12 * rate)]).windows
same = [np.array_equal(one.features, other.features) for one, other in zip(first, windows, strict=False)]
print(f"{sum(same)} of {len(same)} windows of the first 12 s are the same to the bit")

# %%
# What came out, second by second: each line is a feature, and nothing is drawn where nothing was known.

figure, axes = plt.subplots(figsize=(8, 3.5), layout="constrained")
ends, features = np.array([one.end for one in windows]), np.stack([one.features for one in windows])
image = np.full((features.shape[1], int(ends.max()) + 1), np.nan)
image[:, np.round(ends).astype(int)] = ((features - features.mean(0)) / features.std(0)).T
axes.imshow(image, aspect="auto", interpolation="none", cmap="RdBu_r", vmin=-3, vmax=3, origin="lower")
for gap in gaps:
    axes.axvspan(gap.onset, gap.end, color="0.6", label="gap")
axes.set(xlabel="end of the window (s)", ylabel="feature (z)")
axes.legend(loc="upper right")
plt.show()
