#!/usr/bin/env bash
# pyRiemann's log-det mean of covariances depends on the unit of the EEG: its tolerance is absolute, and covariances in
# V², as MNE's signals give them, are smaller than it. The iteration stops after its first step, far from the mean, with
# no warning; of the same trials in µV it converges. MDM(metric="logdet") classifies by that.
# Needs python3 and pip. Exits 0 while the behaviour stands, 1 once it changes.
set -euo pipefail
place=$(mktemp -d) && trap 'rm -rf "$place"' EXIT && cd "$place"
python3 -m venv venv
venv/bin/pip install -q pyriemann==0.12 numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1
venv/bin/python - <<'PYTHON'
import warnings
from importlib.metadata import version

import numpy as np
from pyriemann.estimation import Covariances
from pyriemann.geometry.mean import mean_logdet, mean_riemann

print("pyriemann", version("pyriemann"))
rng = np.random.default_rng(0)
sources = rng.normal(size=(30, 8, 500)) * rng.uniform(0.3, 3, (30, 8, 1))  # trials, sources, samples
trials = 10 * np.einsum("cs,nst->nct", rng.normal(size=(8, 8)), sources)  # µV
microvolts = Covariances("scm").fit_transform(trials)
volts = Covariances("scm").fit_transform(1e-6 * trials)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    off = {}
    for mean in (mean_logdet, mean_riemann):
        true = mean(microvolts)
        off[mean.__name__] = float(np.linalg.norm(1e12 * mean(volts) - true) / np.linalg.norm(true))
        print(f"{mean.__name__}: of trials in V, off by {off[mean.__name__]:.1%} of the mean of the same in µV")
    step = np.linalg.norm(mean_logdet(volts) - mean_logdet(volts, maxiter=1)) / np.linalg.norm(mean_logdet(volts))
print(f"in V, the first step and the end differ by {step:.1%}; warnings of the full run: ", end="")
told = [str(warning.message) for warning in caught]
print(told[:-1] or "none")  # the last is of maxiter=1
raise SystemExit(0 if off["mean_logdet"] > 0.05 and off["mean_riemann"] < 1e-9 and step == 0 and len(told) <= 1 else 1)
PYTHON
