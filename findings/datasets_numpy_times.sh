#!/usr/bin/env bash
# datasets hands out a float64 column as float32 with with_format("numpy"), though only where several rows are taken:
# one row has the stored number, the same row of a slice, a column or a batch of iter() is rounded. Times in seconds
# since 1970, as BrainFlow and others stamp samples, are then off by up to a minute, and the starts of windows fall
# together. with_format("numpy", dtype=None) keeps them.
# Needs python3 and pip. Exits 0 while the behaviour stands, 1 once it changes.
set -euo pipefail
place=$(mktemp -d) && trap 'rm -rf "$place"' EXIT && cd "$place"
python3 -m venv venv && venv/bin/pip install -q datasets==5.2.0 pyarrow==26.0.1 numpy==2.4.6
HF_HUB_OFFLINE=1 venv/bin/python - <<'PYTHON'
import datasets
import numpy as np

print("datasets", datasets.__version__, "numpy", np.__version__)
start = 1_767_348_050.25 + 2.0 * np.arange(60)  # s since 1970; windows of 2 s
table = datasets.Dataset.from_dict({"start": start})
print("stored as:", table.features["start"])
rows = table.with_format("numpy")
one = float(rows[0]["start"])
ways = {"slice": rows[:]["start"], "column": rows["start"][:], "iter": next(rows.iter(60))["start"]}
print(f"first window, alone: {one:.2f}, off by {abs(one - start[0]):g} s")
for name, times in ways.items():
    off = np.abs(times.astype(float) - start)
    print(f"{name}: {times.dtype}, off by up to {off.max():.2f} s; {len(set(times.tolist()))} different times of 60")
kept = table.with_format("numpy", dtype=None)[:]["start"]
print(f"dtype=None: {kept.dtype}")
rounded = all(times.dtype == np.float32 and len(set(times.tolist())) < 5 for times in ways.values())
raise SystemExit(0 if one == start[0] and rounded and np.array_equal(kept, start) else 1)
PYTHON
