"""Pre-train on EEG emotion corpora: `accelerate launch pretrain.py --help` explains every option."""

from mdjpt_hf.cli import pretrain_main

if __name__ == "__main__":
    pretrain_main()
