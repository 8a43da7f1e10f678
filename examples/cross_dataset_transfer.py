"""
Transfer to a corpus that was never seen
========================================

An encoder pre-trained on three corpora meets the people, the montage and the clips of a fourth. Beside it stand the
same network with random weights and differential entropy, on the same windows and splits. All data are **simulated**.
"""

# %%
# Two questions
# -------------
# *Zero-shot*: do windows of one emotion lie near each other, where the neighbours must come from other clips?
# *Few-shot*: how well does a classifier, trained on a quarter of the people and half of the clips, do on the others?
# Nothing is chosen on those tested, and intervals are over people.

import shutil
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import small

from mdjpt_hf import Evaluation, evaluate

out = Path("outputs", "examples", "transfer")
shutil.rmtree(out, ignore_errors=True)
task = Evaluation(
    models=(small.encoder(), "random", "de"),
    data=(small.corpus(),),
    protocols=("zero-shot", "few-shot"),
    out=out,
    effort=replace(Evaluation.effort, permutations=10, zero_shot_permutations=100),
)
records = evaluate(task)

# %%
# Beside chance
# -------------
# Chance is what the same protocol gives when labels are permuted over clips, not one over the number of classes: with
# the own clip left out, neighbours of the right class are missing.

figure, panels = plt.subplots(1, 2, figsize=(8, 3.5), sharey=True, layout="constrained")
for axes, record in zip(panels, records, strict=True):
    (rows,) = record["results"].values()
    for number, row in enumerate(rows.values()):
        score, null = row["score"], row["null"]
        error = [[score["mean"] - score["low"]], [score["high"] - score["mean"]]]
        axes.bar(number, score["mean"], yerr=error, capsize=4, color=f"C{number}")
        axes.plot([number - 0.4, number + 0.4], [null["mean"]] * 2, "k--", linewidth=1)
    axes.set_xticks(range(len(rows)), rows, rotation=15)
    axes.set_title(record["choices"]["name"])
panels[0].set_ylabel("accuracy, three classes\n(dashed: permuted labels)")
plt.show()
