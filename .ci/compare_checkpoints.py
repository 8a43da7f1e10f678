"""How far two files of `open_checkpoints.py` lie apart, as JSON: `python compare_checkpoints.py ONE.npz OTHER.npz`."""

import json
import sys

import numpy as np

ONE, OTHER = (np.load(name) for name in sys.argv[1:3])


def largest(names):
    """Infinite where something is finite in one file alone."""
    apart = [0.0]
    for name in names:
        one, other = ONE[name].astype(float), OTHER[name].astype(float)
        same = (one == other) | (np.isnan(one) & np.isnan(other))
        apart.append(float(np.where(same, 0.0, np.nan_to_num(np.abs(one - other), nan=np.inf)).max(initial=0.0)))
    return max(apart)


both = sorted(set(ONE.files) & set(OTHER.files))
trainer = [name for name in both if "/trainer/" in name]
features = [name for name in both if "/trainer/" not in name]
found = {"compared": len(both), "missing": len(set(ONE.files) ^ set(OTHER.files))}
found |= {"features": largest(features), "trainer": largest(trainer)}
print(json.dumps({**found, "largest": max(found["features"], found["trainer"])}))
