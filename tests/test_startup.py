"""What a run loads before its first step."""

import subprocess
import sys


def loaded_after(statement: str) -> set[str]:
    names = ("mne", "matplotlib", "sklearn.cluster")
    code = f"import sys; {statement}; print(*(name for name in {names!r} if name in sys.modules))"
    return set(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())


def test_a_run_loads_what_draws_and_clusters_only_when_it_does():
    # transformers itself may load scikit-learn where it is installed.
    baseline = loaded_after("import datasets, accelerate; from transformers import PreTrainedModel, AutoModel")
    assert loaded_after("import mdjpt_hf.cli, mdjpt_hf.pretrain") <= baseline
