#!/usr/bin/env bash
# MNE reads a paused EDF+D file as one unbroken signal: its annotations keep the file's clock, its samples do not.
# Needs python3 and pip. Exits 0 while the behaviour stands, 1 once it changes.
set -euo pipefail
place=$(mktemp -d) && trap 'rm -rf "$place"' EXIT && cd "$place"
python3 -m venv venv && venv/bin/pip install -q mne==1.13.2 numpy==2.4.6 scipy==1.17.1
venv/bin/python - <<'PYTHON'
import warnings

import mne
import numpy as np

print("mne", mne.__version__, "numpy", np.__version__)
RATE, SIZE = 100, 40  # Hz; samples of the annotation channel in a record
starts = [0, 1, 2, 3, 4, 14, 15, 16, 17, 18]  # one-second records with a pause of nine seconds
marks = {14: "tone", 17: "late"}


def pad(value, width):
    return str(value).ljust(width).encode()


head = pad(0, 8) + pad("X X X X", 80) + pad("Startdate X X X X", 80) + pad("01.01.20", 8) + pad("10.00.00", 8)
head += pad(768, 8) + pad("EDF+D", 44) + pad(len(starts), 8) + pad(1, 8) + pad(2, 4)
for values, width in (
    (["Cz", "EDF Annotations"], 16), (["", ""], 80), (["uV", ""], 8), ([-100, -1], 8), ([100, 1], 8),
    ([-32768, -32768], 8), ([32767, 32767], 8), (["", ""], 80), ([RATE, SIZE], 8), (["", ""], 32),
):
    head += b"".join(pad(value, width) for value in values)
with open("paused.edf", "wb") as file:
    file.write(head)
    for start in starts:
        signal = np.full(RATE, 10000 if start == 14 else 0, "<i2")  # loud while the tone is on, from 14 to 15 s
        text = f"+{start}\x14\x14\0" + (f"+{start}\x14{marks[start]}\x14\0" if start in marks else "")
        file.write(signal.tobytes() + text.encode().ljust(2 * SIZE, b"\0"))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    raw = mne.io.read_raw_edf("paused.edf", verbose="WARNING")
loud = np.flatnonzero(raw.get_data()[0] > 20e-6) / RATE
told = list(zip(raw.annotations.onset.tolist(), raw.annotations.description.tolist()))
print("the recording lasts", raw.n_times / RATE, "s for MNE; on its own clock it ends at 19 s")
print("the tone is marked at 14 s; loud samples lie from", loud.min(), "to", loud.max(), "s")
print("annotations that MNE keeps:", told)
print("warnings:", [str(warning.message).splitlines()[0] for warning in caught])
unchanged = raw.n_times == 10 * RATE and loud.min() == 5.0 and not any(text in ("tone", "late") for _, text in told)
raise SystemExit(0 if unchanged else 1)
PYTHON
