"""Pre-train on EEG emotion corpora: `accelerate launch pretrain.py --help` explains every option."""

import os

# Read when torch loads: threads that wait sleep instead of spinning, which costs nothing on an idle machine and keeps
# a busy one from slowing a step down many times over.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from mdjpt_hf.cli import pretrain_main  # noqa: E402

if __name__ == "__main__":
    pretrain_main()
