"""
The masked method
=================

The second method hides half of a window's tokens and predicts which clusters they belong to, at several granularities
(in the style of Hu et al. 2024). The clusters come from differential entropy first and from the network itself later.
Forty steps on two small **simulated** corpora show what is printed and what is to be looked at.
"""

# %%
# The run
# -------

import json
from pathlib import Path

import matplotlib.pyplot as plt
import small

from mdjpt_hf import RunConfig, pretrain

folder = Path("outputs", "examples", "masked")
config = RunConfig(
    name="masked",
    objective="masked",
    data=[small.corpus("sim-32"), small.corpus("sim-14")],
    output_dir=str(folder),
    model={"preset": "tiny", "unmasked_weight": 0.5, "max_clusters": [8, 32]},
    masked={"windows_per_step": 16, "rounds": 2, "first_share": 0.75, "candidates": [[6, 8], [24, 32]], "batches": 10},
    **{"steps": 40, "log_steps": 5, "eval_steps": 20, "learning_rate": 3e-3, "adam_betas": (0.9, 0.98)},
    trackers=(),
)
if not (folder / "model.safetensors").exists():
    pretrain(config, resume=True)  # where it was broken off, if it was

# %%
# What to look at
# ---------------
# A loss that falls says little: the guesses beside it do. *Own recording* is the most frequent cluster of the very
# recording, so what lies above it does not come from knowing whose recording it is. After so few steps little does.

history = json.loads((folder / "history.json").read_text())
print(*(f"{name}: {value}" for name, value in history[-1].items()), sep="\n")

# %%

losses = [(entry["step"], entry["loss"]) for entry in history if "loss" in entry]
figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
axes.plot(*zip(*losses, strict=True), marker="o")
axes.set(xlabel="step", ylabel="cross-entropy")
plt.show()
