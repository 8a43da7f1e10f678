#!/usr/bin/env bash
# The player of mne-lsl says the unit of its channels as a power of ten of a volt ("0"), where streams of other senders,
# and the metadata layout of XDF, have a name ("microvolts"): a reader that knows names alone takes volts for µV.
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
inlet = pylsl.StreamInlet(pylsl.resolve_byprop("name", "finding", timeout=10)[0])
channel = inlet.info(10).desc().child("channels").child("channel")
unit = channel.child_value("unit")
samples, _ = inlet.pull_chunk(timeout=2.0, max_samples=200)
player.stop()
typical = float(np.median(np.abs(samples)))
print(f"channel {channel.child_value('label')}: unit {unit!r}, typical value {typical:.2g}")
raise SystemExit(0 if unit == "0" and typical < 1e-3 else 1)
PYTHON
