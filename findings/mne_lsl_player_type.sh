#!/usr/bin/env bash
# The player of mne-lsl sends EEG as a stream of type "eeg", and liblsl compares types letter by letter: whoever looks for
# type "EEG", as recorders and amplifiers write it, does not find it.
# Needs python3 and pip. Exits 0 while the behaviour stands, 1 once it changes.
set -euo pipefail
place=$(mktemp -d) && trap 'rm -rf "$place"' EXIT && cd "$place"
python3 -m venv venv && venv/bin/pip install -q mne-lsl==1.14.0 mne==1.13.2 numpy==2.4.6 pylsl==1.18.6
printf '[multicast]\nResolveScope = machine\nAddressesOverride = {127.0.0.1}\n[lab]\nKnownPeers = {127.0.0.1}\n' > lsl.cfg
LSLAPICFG="$place/lsl.cfg" venv/bin/python - <<'PYTHON'
import mne
import mne_lsl
import numpy as np
import pylsl
from mne_lsl.player import PlayerLSL

print("mne-lsl", mne_lsl.__version__, "mne", mne.__version__, "pylsl", pylsl.__version__)
signal = np.random.default_rng(0).normal(0, 15e-6, (2, 2500))
raw = mne.io.RawArray(signal, mne.create_info(["Cz", "Pz"], 250.0, "eeg"), verbose="ERROR")
player = PlayerLSL(raw, chunk_size=10, name="finding").start()
by_name = [info.type() for info in pylsl.resolve_byprop("name", "finding", timeout=10)]
by_type = {kind: len(pylsl.resolve_byprop("type", kind, timeout=3)) for kind in ("EEG", "eeg")}
player.stop()
print("looked for by its name, its type is", by_name)
print("streams found by type:", by_type)
raise SystemExit(0 if by_name == ["eeg"] and by_type == {"EEG": 0, "eeg": 1} else 1)
PYTHON
