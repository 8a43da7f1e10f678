"""
ONNX, without PyTorch
=====================

A network as one file, for programs, servers and browsers that have no PyTorch; here ``onnxruntime`` opens it. Needs the
extra ``[onnx]``. The encoder was trained on **simulated** data, and the input is noise.
"""

# %%
# Write
# -----
# The export compares the file with PyTorch on windows of several numbers and lengths, and leaves nothing behind where
# they differ. Every window is taken by itself, as live use needs.

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import small
import torch

from mdjpt_hf import MDJPTFeatureExtractor, MDJPTModel
from mdjpt_hf.inference.onnx_model import OnnxModel
from mdjpt_hf.sharing.export import export_onnx

path = Path("outputs", "examples", "encoder.onnx")
print(export_onnx(small.encoder(), path))
print(f"{path.stat().st_size / 1024:.0f} KiB")

# %%
# Open
# ----
# What the file expects stands in it: standard channels in their order, the rate, the length of a window. ``OnnxModel``
# refuses what PyTorch refuses; ``onnxruntime.InferenceSession(path)`` alone runs the file as well.

exported = OnnxModel(path)
for name, value in exported.facts.items():
    print(f"{name}: {value[:70]}")

# %%
# Run
# ---
# Windows come from the feature extractor, or from code of your own that does what it does: 60 standard channels at
# 125 Hz, 0.5 to 47 Hz, divided by one robust deviation.

noise = np.random.default_rng(0).normal(0, 20, (8, 60 * 256))
names = ["Fp1", "Fp2", "F3", "F4", "C3", "C4", "O1", "O2"]
inputs = MDJPTFeatureExtractor()(noise, ch_names=names, sampling_rate=256, unit="uV", return_tensors="pt")
windows = inputs["input_values"]
features = exported(windows.numpy())
print(windows.shape, "->", features.shape)

# %%
# PyTorch's numbers are the same when it is also given every window as a group of its own.

model = MDJPTModel.from_pretrained(small.encoder()).eval()
with torch.no_grad():
    alone = model(windows, torch.arange(len(windows))).pooler_output.numpy()
print(f"largest difference {np.abs(alone - features).max():.1e}, features up to {np.abs(features).max():.2f}")

# %%

figure, axes = plt.subplots(figsize=(4, 4), layout="constrained")
axes.plot(alone.ravel(), features.ravel(), ".", markersize=2)
axes.set(xlabel="feature in PyTorch", ylabel="feature in onnxruntime", aspect="equal")
plt.show()
