#!/usr/bin/env bash
# antropy's sample entropy falls to half where a signal has 5000 samples instead of 4999: below, pairs of samples that
# differ by the tolerance itself do not match, from 5000 on, by another algorithm, they do. EEG in steps of a converter
# has many such pairs as soon as the tolerance is a whole number of steps. A short and a long trial of the same signal
# then differ, and nothing says so; a tolerance between two steps gives the same number by both.
# Needs python3 and pip. Exits 0 while the behaviour stands, 1 once it changes.
set -euo pipefail
place=$(mktemp -d) && trap 'rm -rf "$place"' EXIT && cd "$place"
export NUMBA_CACHE_DIR="$place"
python3 -m venv venv
venv/bin/pip install -q antropy==0.2.3 numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 numba==0.68.1
venv/bin/python - <<'PYTHON'
import warnings
from importlib.metadata import version

import antropy
import numpy as np

print("antropy", version("antropy"), "numpy", np.__version__)
signal = np.round(np.random.default_rng(0).normal(0, 2, 6000))  # in whole steps
found = {}
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for tolerance in (1.0, 1.5):
        for samples in (4000, 4999, 5000, 6000):
            found[tolerance, samples] = float(antropy.sample_entropy(signal[:samples], tolerance=tolerance))
        told = ", ".join(f"{found[tolerance, samples]:.3f} of {samples}" for samples in (4000, 4999, 5000, 6000))
        print(f"tolerance of {tolerance} steps: {told} samples")
print("warnings:", [str(warning.message) for warning in caught])
short, long = [found[1.0, samples] for samples in (4000, 4999)], [found[1.0, samples] for samples in (5000, 6000)]
between = [found[1.5, samples] for samples in (4000, 4999, 5000, 6000)]
jumps = np.allclose(short, 1.98, atol=0.02) and np.allclose(long, 0.915, atol=0.02)
raise SystemExit(0 if jumps and np.ptp(between) < 0.02 and not caught else 1)
PYTHON
