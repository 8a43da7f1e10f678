#!/usr/bin/env bash
# open-eeg-bench 0.6.0 can validate on the subjects it tests: with val_size, the places that scikit-learn draws among the
# training windows are taken for places in the whole dataset. Where training windows are the first ones nothing is seen of
# it; where they are not, as in a dataset sorted otherwise, windows of tested subjects train and choose.
# Needs python3 and pip. Exits 0 while the behaviour stands, 1 once it changes.
set -euo pipefail
place=$(mktemp -d) && trap 'rm -rf "$place"' EXIT && cd "$place"
python3 -m venv venv
venv/bin/pip install -q pydantic==2.14.3 pandas==3.1.1 scikit-learn==1.9.1 numpy==2.4.6 torch==2.13.0 exca
venv/bin/pip install -q --no-deps open-eeg-bench==0.6.0
venv/bin/python - <<'PYTHON'
from importlib.metadata import version

import pandas as pd
from open_eeg_bench.dataset import PredefinedSplitter

print("open-eeg-bench", version("open-eeg-bench"))
subjects = [f"s{number}" for number in range(8) for _ in range(5)]
metadata = pd.DataFrame({"subject": subjects, "split": ["test"] * 20 + ["train"] * 20})


def sides(**validation):
    splitter = PredefinedSplitter(
        metadata_key="split", train_values=["train"], test_values=["test"], **validation
    )
    parts = splitter.split(list(range(40)), metadata)
    return [sorted({subjects[window] for window in part.indices}) for part in parts]


train, chooses, tested = sides(val_size=0.25)
print("val_size 0.25: trained on", train, "chosen on", chooses, "tested on", tested)
overlap = set(tested) & {*train, *chooses}
print("tested subjects that train or choose:", sorted(overlap) or "none")
raise SystemExit(0 if overlap else 1)
PYTHON
