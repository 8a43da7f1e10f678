"""
A reader for a new corpus, in 60 lines
======================================

A corpus becomes rows of the one schema through a class that says what it is, what can be read by itself, and how. Work
side by side, resuming after a crash, validation, storage and the report come with it. The corpus here is made up: files
of NumPy arrays, a table of ratings, and a trial that is broken.
"""

# %%
# What was downloaded
# -------------------
# Three people, four clips of 20 s at 250 Hz, in volts.

import csv
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from mdjpt_hf import load_corpus
from mdjpt_hf.data.prepare import prepare
from mdjpt_hf.data_scripts.base import CorpusBuilder, CorpusFacts
from mdjpt_hf.errors import CorpusError
from mdjpt_hf.preprocessing import preprocess, preset_settings
from mdjpt_hf.schema import Trial, trial_signal

source = Path("outputs", "examples", "download")
source.mkdir(parents=True, exist_ok=True)
rng = np.random.default_rng(0)
for person in ("p1", "p2", "p3"):
    np.savez(source / f"{person}.npz", eeg=rng.normal(0, 2e-5, (4, 8, 5000)), clips=rng.permutation(4))
with open(source / "ratings.csv", "w", newline="") as file:
    lines = [(person, clip, rng.integers(1, 10)) for person in ("p1", "p2", "p3") for clip in range(4)]
    csv.writer(file).writerows([("person", "clip", "pleasure"), *lines])
broken = dict(np.load(source / "p2.npz"))
broken["eeg"][3] = 0.0  # the amplifier was off
np.savez(source / "p2.npz", **broken)

# %%
# The reader
# ----------
# ``read_unit`` yields trials in µV and says in the report what was left out. ``options`` holds everything that the rows
# depend on: when it changes, the corpus is prepared anew.

CHANNELS = ["Fp1", "Fp2", "F3", "F4", "C3", "C4", "O1", "O2"]
GENRES = ("comedy", "drama")  # clips 0 and 1, clips 2 and 3


class MadeUp(CorpusBuilder):
    """Four clips of two genres; files `p1.npz`, ... with `eeg` (trials, channels, samples) in V at 250 Hz."""

    facts = [
        CorpusFacts(
            name="made-up",
            title="Made up for an example",
            licence="CC0-1.0",
            redistributable=True,
            label_source="stimulus",
            label_names=GENRES,
            rating_scale="pleasure: 1 to 9",
        )
    ]

    def __init__(self, source, preprocessing="basic"):
        super().__init__(preprocessing)
        self.source = Path(source)
        with open(self.source / "ratings.csv") as file:
            self.ratings = {(row["person"], int(row["clip"])): int(row["pleasure"]) for row in csv.DictReader(file)}

    def units(self):
        return sorted(path.stem for path in self.source.glob("p*.npz"))

    def options(self):
        files = {path.name: path.stat().st_size for path in sorted(self.source.iterdir())}
        return {"preprocessing": preset_settings(self.preprocessing), "files": files}

    def read_unit(self, unit, report):
        path = self.source / f"{unit}.npz"
        content = np.load(path, allow_pickle=False)
        if content["eeg"].shape[1] != len(CHANNELS):
            raise CorpusError("has another number of channels", path=path, value=content["eeg"].shape, remedy="Get it")
        for position, (signal, clip) in enumerate(zip(content["eeg"], content["clips"].tolist(), strict=True)):
            if not signal.any():
                report.rejected.append(f"trial {position}: holds nothing but zeros")
                continue
            cleaned = preprocess(signal * 1e6, CHANNELS, 250.0, preset=self.preprocessing)
            report.notes += [note for note in cleaned.notes if note not in report.notes]
            yield Trial(
                dataset="made-up",
                subject=unit,
                session=0,
                trial=position,
                stimulus=f"clip{clip}",
                label=clip // 2,
                label_name=GENRES[clip // 2],
                valence=(self.ratings[unit, clip] - 1) / 8,
                **cleaned.cut(cleaned.span(0.0, None)),  # signal, rate, channels, preset
            )


# %%
# Prepare
# -------

prepared = prepare(MadeUp(source), "outputs/examples/made-up", progress=False)
for entry in prepared.report["units"]:
    print(entry["unit"], "rejected:", entry["rejected"] or "none", "| notes:", entry["notes"])

# %%
# And open it as any other.

corpus = load_corpus("outputs/examples/made-up")
corpus.select_columns(["subject", "trial", "stimulus", "label_name", "valence", "n_samples"]).to_pandas()

# %%
# The first trial, cleaned: 125 Hz, in µV, under the standard names of its channels.

signal, names = trial_signal(corpus[0]), corpus[0]["ch_names"]
seconds = np.arange(signal.shape[1]) / corpus[0]["sampling_rate"]
figure, axes = plt.subplots(figsize=(8, 3), layout="constrained")
axes.plot(seconds, signal.T + 60 * np.arange(len(names))[::-1], color="0.2", linewidth=0.6)
axes.set(xlabel="time in the trial (s)", yticks=60 * np.arange(len(names))[::-1], yticklabels=names)
axes.set_title("60 µV between channels", fontsize=9, loc="left")
plt.show()
