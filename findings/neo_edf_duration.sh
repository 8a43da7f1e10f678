#!/usr/bin/env bash
# neo gives an EDF+ annotation that has no duration, a key pressed or a trigger, one of -1 s, and puts it among the epochs
# instead of the events, where those of 0 s are: it is the number by which pyedflib, which neo reads through, says that
# there is none. Each such epoch ends a second before it begins, the signal cut by it is empty, and the mean duration of
# what was shown is wrong.
# Needs python3 and pip. Exits 0 while the behaviour stands, 1 once it changes.
set -euo pipefail
place=$(mktemp -d) && trap 'rm -rf "$place"' EXIT && cd "$place"
python3 -m venv venv && venv/bin/pip install -q neo==0.14.6 pyedflib==0.1.42 numpy==2.4.6 edfio==0.4.18
venv/bin/python - <<'PYTHON'
import warnings
from importlib.metadata import version

import neo
import numpy as np
from edfio import Edf, EdfAnnotation, EdfSignal
from neo.utils import cut_segment_by_epoch

print(*(f"{name} {version(name)}" for name in ("neo", "pyedflib", "edfio")))
signal = EdfSignal(np.zeros(2560), 256, label="Cz", physical_dimension="uV", physical_range=(-100, 100))
marks = [EdfAnnotation(2.0, 1.0, "film"), EdfAnnotation(5.0, None, "key"), EdfAnnotation(7.0, 0.0, "light")]
Edf([signal], annotations=marks).write("marks.edf")
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    segment = neo.io.EDFIO("marks.edf").read_block().segments[0]
    epochs, events = segment.epochs[0], segment.events[0]
    parts = cut_segment_by_epoch(segment, epochs)
lasting = dict(zip(epochs.labels.tolist(), epochs.durations.rescale("s").magnitude.tolist()))
lengths = [part.analogsignals[0].shape[0] for part in parts]
print("written: film of 1 s, key without a duration, light of 0 s")
print("read as epochs, with their seconds:", lasting, "as events:", events.labels.tolist())
print("samples of the signal cut by the epochs:", lengths, "mean duration:", float(epochs.durations.mean()))
print("warnings:", [str(warning.message) for warning in caught])
unchanged = lasting == {"film": 1.0, "key": -1.0} and events.labels.tolist() == ["light"] and lengths == [256, 0]
raise SystemExit(0 if unchanged and not caught else 1)
PYTHON
