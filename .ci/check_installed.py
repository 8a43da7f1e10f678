"""Run from anywhere but the checkout: the installed package imports, lists corpora and saves a model with its code."""

import tempfile
from pathlib import Path

import mdjpt_hf
from mdjpt_hf.data_scripts import BUILDERS, builder_class
from mdjpt_hf.training.config import load_run_config, preset_names

assert "site-packages" in mdjpt_hf.__file__, mdjpt_hf.__file__
assert [builder_class(name) for name in BUILDERS] and [load_run_config(name) for name in preset_names()]
with tempfile.TemporaryDirectory() as folder:
    mdjpt_hf.MDJPTModel(mdjpt_hf.MDJPTConfig.preset("tiny")).save_pretrained(folder)
    assert (Path(folder) / "modeling_mdjpt.py").exists()
print(f"installed: {mdjpt_hf.__file__}")
