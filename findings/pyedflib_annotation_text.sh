#!/usr/bin/env bash
# pyedflib cuts the text of an annotation off after 40 characters, which EDF+ does not ask for: of two long names that
# differ at their end one label is left. write_edf and writeAnnotation say nothing, nor do their documents; edfio writes
# the whole text. Upstream knows (pyedflib 215, closed): the number is one of the C library within.
# Needs python3 and pip. Exits 0 while the behaviour stands, 1 once it changes.
set -euo pipefail
place=$(mktemp -d) && trap 'rm -rf "$place"' EXIT && cd "$place"
python3 -m venv venv && venv/bin/pip install -q pyedflib==0.1.42 numpy==2.4.6 edfio==0.4.18
venv/bin/python - <<'PYTHON'
import warnings
from importlib.metadata import version

import numpy as np
from edfio import Edf, EdfAnnotation, EdfSignal
from pyedflib import highlevel

print(*(f"{name} {version(name)}" for name in ("pyedflib", "edfio")))
texts = [f"stimulus/film/block-2/condition-watch/valence-{valence}" for valence in ("positive", "negative")]
signal = np.zeros((1, 2560))
read = {}
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    channels = highlevel.make_signal_headers(["Cz"], sample_frequency=256, physical_min=-100, physical_max=100)
    marks = [[2.0 + 3 * number, 1.0, text] for number, text in enumerate(texts)]
    highlevel.write_edf("pyedflib.edf", signal, channels, {"annotations": marks})
    wave = EdfSignal(signal[0], 256, label="Cz", physical_dimension="uV", physical_range=(-100, 100))
    Edf([wave], annotations=[EdfAnnotation(*mark) for mark in marks]).write("edfio.edf")
    for name in ("pyedflib", "edfio"):
        found = highlevel.read_edf(f"{name}.edf")[2]["annotations"]
        read[name] = [str(mark[2]) for mark in found]
        print(f"written by {name}: {read[name]}")
print("warnings:", [str(warning.message) for warning in caught])
cut = read["pyedflib"] == [text[:40] for text in texts] and len(set(read["pyedflib"])) == 1
raise SystemExit(0 if cut and read["edfio"] == texts and not caught else 1)
PYTHON
