#!/usr/bin/env bash
# A clone of an OpenNeuro study by git-annex or DataLad holds links whose content comes later. mne-bids lists only what
# can be opened: of two people, one fetched, find_matching_paths gives one and says nothing of the other, while
# get_entity_vals counts both.
# Needs python3 and pip. Exits 0 while the behaviour stands, 1 once it changes.
set -euo pipefail
place=$(mktemp -d) && trap 'rm -rf "$place"' EXIT && cd "$place"
python3 -m venv venv && venv/bin/pip install -q mne-bids==0.20.0 mne==1.13.2 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import json
import warnings
from pathlib import Path

import mne
import mne_bids

print("mne-bids", mne_bids.__version__, "mne", mne.__version__)
root = Path("study")
for person in ("01", "02"):
    (root / f"sub-{person}" / "eeg").mkdir(parents=True)
(root / "dataset_description.json").write_text(json.dumps({"Name": "example", "BIDSVersion": "1.9.0"}))
(root / "sub-01" / "eeg" / "sub-01_task-film_eeg.edf").write_bytes(b"0" + b" " * 255)
pointer = root / "sub-02" / "eeg" / "sub-02_task-film_eeg.edf"
pointer.symlink_to("../../.git/annex/objects/xx/yy/MD5E-s1024--0123.edf/MD5E-s1024--0123.edf")
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    listed = mne_bids.find_matching_paths(root, suffixes="eeg", extensions=".edf")
    people = mne_bids.get_entity_vals(root, "subject")
print("recordings:", [path.basename for path in listed], "| people:", people, "| warnings:", len(told))
raise SystemExit(0 if len(listed) == 1 and people == ["01", "02"] and not told else 1)
PYTHON
