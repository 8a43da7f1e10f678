"""What a run loads before its first step."""

import gc
import os
import platform
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch

from mdjpt_hf.runtime.importing import collection_paused, workers_without_models


def loaded_after(statement: str) -> set[str]:
    names = ("mne", "matplotlib", "sklearn.cluster")
    code = f"import sys; {statement}; print(*(name for name in {names!r} if name in sys.modules))"
    return set(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())


def test_a_run_loads_what_draws_and_clusters_only_when_it_does():
    # transformers itself may load scikit-learn where it is installed.
    baseline = loaded_after("import datasets, accelerate; from transformers import PreTrainedModel, AutoModel")
    assert loaded_after("import mdjpt_hf.cli, mdjpt_hf.pretraining") <= baseline


def printed_by(code: str) -> list[str]:
    """Words that a fresh process prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


#: Each takes from a tenth of a second to some seconds.
LARGE = (
    *("accelerate", "datasets", "evaluate", "huggingface_hub", "matplotlib", "mne", "numpy", "pandas", "pyarrow"),
    *("rich", "scipy", "sklearn", "torch", "transformers", "typer"),
)


def test_importing_the_package_loads_nothing_large():
    assert printed_by(f"import mdjpt_hf, sys; print(*sorted(set({LARGE!r}) & set(sys.modules)))") == []


REGISTERED = """
from transformers import AutoConfig, AutoModel
from transformers.pipelines import PIPELINE_REGISTRY
from mdjpt_hf.modeling.modeling_mdjpt import MDJPTModel
known = AutoConfig.for_model("mdjpt")
print(AutoModel._model_mapping[type(known)] is MDJPTModel, MDJPTModel._auto_class)
print("eeg-emotion-recognition" in PIPELINE_REGISTRY.get_supported_tasks())
print(any("first_use" in type(finder).__module__ for finder in sys.meta_path))
"""


@pytest.mark.parametrize(
    "door",
    [
        "from transformers import AutoConfig",
        "import transformers.generation.utils",  # which stands in the middle of those that import each other
        "from mdjpt_hf.modeling.pipeline_mdjpt import EEGEmotionPipeline",
        "mdjpt_hf.MDJPTModel",
    ],
)
def test_models_are_registered_by_whichever_door_one_comes(door):
    assert printed_by(f"import sys, transformers, mdjpt_hf; {door}; {REGISTERED}") == [
        "True",
        "AutoModel",
        "True",
        "False",
    ]


def test_models_are_registered_at_once_where_the_auto_classes_are_loaded():
    code = "import sys; from transformers import AutoModel; import mdjpt_hf"
    at_once = "print('mdjpt_hf.runtime.registration' in sys.modules)"
    found = printed_by(f"{code}; {at_once}; {REGISTERED}")
    assert found == ["True", "True", "AutoModel", "True", "False"]


def test_torchaudio_is_mended_before_transformers_looks_for_it():
    code = """if True:
        import sys
        import mdjpt_hf
        from mdjpt_hf.runtime import torchaudio_guard
        torchaudio_guard.mend_torchaudio = lambda: print("transformers.pipelines.base" in sys.modules)
        import transformers.pipelines
    """
    assert printed_by(code)[0] == "False"


#: Every module, as where Python has none of the modules of POSIX alone; libraries keep theirs.
WITHOUT_POSIX = """
import builtins, importlib, pkgutil
import mdjpt_hf
found = builtins.__import__
def without(name, globals=None, *rest, **options):
    ours = str((globals or {}).get("__name__", "")).startswith("mdjpt_hf")
    if ours and name.partition(".")[0] in ("resource", "fcntl", "pwd", "grp", "termios", "pty", "syslog"):
        raise ModuleNotFoundError(f"no {name} here", name=name)
    return found(name, globals, *rest, **options)
builtins.__import__ = without
"""
EVERY_MODULE = """
names = [module.name for module in pkgutil.walk_packages(mdjpt_hf.__path__, "mdjpt_hf.")]
for name in names:
    if not name.endswith("__main__"):
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != "gradio":  # an extra
                raise
print(len(names))
"""
LOCK_AND_MEMORY = """
import sys
from pathlib import Path
from unittest.mock import patch
from mdjpt_hf.errors import ConfigurationError
from mdjpt_hf.reproduction.processes import locked
from mdjpt_hf.training.memory import own_memory
with locked(Path(sys.argv[1])) as lock:
    assert lock is None
    try:
        with locked(Path(sys.argv[1])):
            pass
    except ConfigurationError as error:
        print("in use by process" in str(error))
with patch("psutil.Process") as process, patch("pathlib.Path.read_text", side_effect=OSError):  # as on Windows
    process.return_value.memory_info.return_value.rss = 7
    print(own_memory())
"""


def test_no_module_needs_posix():
    command = [sys.executable, "-c", WITHOUT_POSIX + EVERY_MODULE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and int(done.stdout.split()[-1]) > 100, done.stderr


def test_locks_and_memory_are_known_without_posix(tmp_path):
    code = WITHOUT_POSIX + LOCK_AND_MEMORY
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=300)
    assert done.stdout.split() == ["True", "7"], done.stderr


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


def test_loading_the_models_hardly_collects():
    ours = "import mdjpt_hf; mdjpt_hf.MDJPTModel"
    assert 10 * collections_of(ours) < collections_of("from transformers import PreTrainedModel")


#: A worker's first task: this file would load torch there.
TASK = """
import importlib, sys
def loaded_with(name):
    importlib.import_module(name)
    return [name for name in ("torch", "transformers", "mne") if name in sys.modules]
"""


def test_workers_that_prepare_data_load_no_models(tmp_path, monkeypatch):
    (tmp_path / "task_of_a_worker.py").write_text(TASK)
    monkeypatch.syspath_prepend(tmp_path)
    from task_of_a_worker import loaded_with

    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        with workers_without_models():
            loaded = pool.submit(loaded_with, "mdjpt_hf.data_scripts.simulated")
        assert loaded.result() == ["mne"]
    assert "MDJPT_HF_WITHOUT_MODELS" not in os.environ


def loaded_by_the_command(*arguments: str) -> tuple[int, str, set[str]]:
    """Exit status, output and large libraries of the command in a process of its own."""
    names = ("torch", "transformers", "numpy", "mne", "datasets")
    report = f"print('loaded:', *(name for name in {names!r} if name in sys.modules))"
    code = f"import atexit, sys; atexit.register(lambda: {report})"
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "sitecustomize.py").write_text(code)
        environment = {**os.environ, "PYTHONPATH": folder, "COLUMNS": "200"}
        command = [sys.executable, "-m", "mdjpt_hf", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
    output, _, loaded = done.stdout.rpartition("loaded:")
    return done.returncode, output + done.stderr, set(loaded.split())


@pytest.mark.parametrize(
    "arguments", [["--help"], ["finetune", "--help"], ["data", "prepare", "--help"], ["--version"]]
)
def test_help_and_version_load_nothing_large(arguments):
    status, output, loaded = loaded_by_the_command(*arguments)
    assert status == 0 and output.strip() and not loaded


def test_a_mistyped_command_is_told_without_loading_anything():
    status, output, loaded = loaded_by_the_command("pretrian")
    assert status == 2 and "pretrian" in output and not loaded


def test_what_a_fault_report_needs_is_printed_and_nothing_of_the_machine():
    status, output, _ = loaded_by_the_command("env")
    assert status == 0 and f"torch: {torch.__version__}" in output and "accelerators:" in output
    assert platform.node() not in output and str(Path.home()) not in output
