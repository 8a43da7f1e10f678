#!/usr/bin/env bash
# BrainFlow cannot open its own library on Python 3.11 beside a current setuptools: it asks for the resources of a module,
# which Python takes from 3.12 on, and falls back on pkg_resources, which setuptools no longer has. Its synthetic board
# works as soon as it asks for those of its package.
# Needs python3 and pip. Exits 0 while the behaviour stands, 1 once it changes.
set -euo pipefail
place=$(mktemp -d) && trap 'rm -rf "$place"' EXIT && cd "$place"
python3 -m venv venv && venv/bin/pip install -q brainflow==5.23.0 numpy==2.4.6 setuptools==84.2.1
venv/bin/python - <<'PYTHON'
import sys
import time
from importlib.metadata import version
from importlib.resources import files

from brainflow import board_shim
from brainflow.board_shim import BoardIds, BoardShim, BrainFlowInputParams

print("brainflow", version("brainflow"), "setuptools", version("setuptools"), "python", sys.version.split()[0])
if sys.version_info >= (3, 12):
    print("Python takes modules here, so BrainFlow never asks for pkg_resources")
    raise SystemExit(0)
found = ""
try:
    BoardShim.get_sampling_rate(BoardIds.SYNTHETIC_BOARD)
except ImportError as error:
    found = str(error)
print("a board that is asked for its rate:", found or "answers")
board_shim.files = lambda name: files("brainflow")
BoardShim.disable_board_logger()
board = BoardShim(BoardIds.SYNTHETIC_BOARD, BrainFlowInputParams())
board.prepare_session()
board.start_stream()
time.sleep(1)
samples = board.get_board_data().shape[1]
board.release_session()
del board
print("once it asks for the resources of its package, the synthetic board sends", samples, "samples in a second")
raise SystemExit(0 if "pkg_resources" in found and samples > 100 else 1)
PYTHON
