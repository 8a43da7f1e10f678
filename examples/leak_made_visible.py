"""
A leak made visible
===================

White noise holds no emotion. Whatever a protocol finds in it comes from the protocol: here a corpus of noise goes
through the audit that ``mdjpt evaluate --leak-audit`` makes of any corpus, which adds the optimistic choices of
published results one after the other.
"""

# %%
# A corpus of noise
# -----------------
# Eight people, six clips, three classes, 30 s a trial.

import shutil
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import small

from mdjpt_hf import Evaluation, evaluate
from mdjpt_hf.data.prepare import prepare
from mdjpt_hf.data_scripts.base import CorpusBuilder, CorpusFacts
from mdjpt_hf.schema import Trial

CLASSES = ("negative", "neutral", "positive")


class Noise(CorpusBuilder):
    """White noise of 20 µV."""

    facts = [CorpusFacts("noise", "White noise", "CC0-1.0", True, "stimulus", CLASSES)]

    def units(self):
        return [f"s{number:02d}" for number in range(8)]

    def options(self):
        return {"version": 1}

    def read_unit(self, unit, report):
        names = ["Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2"]
        for clip in range(6):
            signal = np.random.default_rng([int(unit[1:]), clip]).normal(0, 20, (len(names), 30 * 125))
            label = clip % 3
            yield Trial(
                dataset="noise",
                subject=unit,
                session=0,
                trial=clip,
                stimulus=f"clip{clip}",
                signal=signal,
                sampling_rate=125.0,
                ch_names=names,
                label=label,
                label_name=CLASSES[label],
                preprocessing="none-1",
            )


noise = prepare(Noise("none"), "outputs/examples/noise", progress=False).folder

# %%
# The audit
# ---------
# Every line adds one choice to those before it.

out = Path("outputs", "examples", "audit")
shutil.rmtree(out, ignore_errors=True)
task = Evaluation(
    models=(small.encoder(),),
    data=(str(noise),),
    protocols=("zero-shot",),
    out=out,
    effort=replace(Evaluation.effort, zero_shot_permutations=50),
    leak_audit=True,
)
evaluate(task, say=lambda line: None)
table = (out / "leak_audit.md").read_text()
print(table)

# %%
# The jump
# --------
# With smoothing that looks ahead, windows of a trial resemble each other; once they may be each other's neighbours,
# noise is recognised always, and so are permuted labels: the null, of the very same protocol, goes along. A score is
# therefore read beside its null, never beside one over the number of classes.

cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line.startswith("| ")]
stages = [(row[0], float(row[2]), float(row[4].split()[0])) for row in cells[1:]]
names, scores, nulls = zip(*stages, strict=True)
figure, axes = plt.subplots(figsize=(8, 3.5), layout="constrained")
axes.barh(names, scores, label="noise")
axes.plot(nulls, range(len(names)), "kx", label="permuted labels")
axes.axvline(1 / 3, color="0.5", linestyle=":", label="one of three classes")
axes.invert_yaxis()
axes.set(xlabel="accuracy", xlim=(0, 1.05))
axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
plt.show()
