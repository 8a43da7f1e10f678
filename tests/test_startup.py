"""What a run loads before its first step."""

import gc
import subprocess
import sys

import pytest

from mdjpt_hf.importing import collection_paused


def loaded_after(statement: str) -> set[str]:
    names = ("mne", "matplotlib", "sklearn.cluster")
    code = f"import sys; {statement}; print(*(name for name in {names!r} if name in sys.modules))"
    return set(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())


def test_a_run_loads_what_draws_and_clusters_only_when_it_does():
    # transformers itself may load scikit-learn where it is installed.
    baseline = loaded_after("import datasets, accelerate; from transformers import PreTrainedModel, AutoModel")
    assert loaded_after("import mdjpt_hf.cli, mdjpt_hf.pretrain") <= baseline


@pytest.mark.parametrize("enabled", [True, False])
def test_collection_is_afterwards_as_it_was_before(enabled):
    if not enabled:
        gc.disable()
    try:
        with pytest.raises(ImportError), collection_paused():
            assert not gc.isenabled()
            raise ImportError
        assert gc.isenabled() == enabled
    finally:
        gc.enable()


def collections_of(statement: str) -> int:
    """How often garbage is collected while a statement runs in a fresh process, which must leave the collector on."""
    code = (
        "import gc; runs = []; gc.callbacks.append(lambda phase, _: runs.append(phase)); "
        f"{statement}; assert gc.isenabled(); print(runs.count('start'))"
    )
    return int(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)


def test_importing_the_package_hardly_collects():
    assert 10 * collections_of("import mdjpt_hf") < collections_of("from transformers import PreTrainedModel")
