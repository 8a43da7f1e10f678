"""Libraries that only some commands need: named by the extra that brings them, before anything heavy starts."""

import importlib.util
import subprocess
import sys

import h5py
import numpy as np
import pytest

from mdjpt_hf.data_scripts import matlab
from mdjpt_hf.data_scripts.matlab import load_matlab
from mdjpt_hf.errors import ConfigurationError, require
from mdjpt_hf.preprocessing import check_preset
from mdjpt_hf.training.config import RunConfig
from mdjpt_hf.training.loop import _trackers


@pytest.fixture
def without(monkeypatch):
    """Makes libraries look as if they were not installed."""
    found = importlib.util.find_spec

    def hide(*names):
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name, *more: None if name in names else found(name, *more)
        )

    return hide


def test_a_library_that_is_there_is_no_matter():
    require("numpy", "none")


def test_matlab_73_names_its_extra(tmp_path, without, monkeypatch):
    path = tmp_path / "signal.mat"
    with h5py.File(path, "w") as file:
        file["x"] = np.zeros((2, 3))
    assert load_matlab(path, lambda name: name == "x")["x"].shape == (3, 2)
    without("h5py")
    monkeypatch.setattr(matlab, "h5py", None)
    with pytest.raises(ConfigurationError, match=r"signal\.mat.*needs h5py.*mdjpt-hf\[matlab\]"):
        matlab._open_73(path)


@pytest.mark.parametrize("library", ["mne_icalabel", "picard"])
def test_components_name_their_extra_before_a_recording_is_read(library, without):
    check_preset("paper")
    without(library)
    with pytest.raises(ConfigurationError, match=rf"'paper' needs {library}.*mdjpt-hf\[ica\]"):
        check_preset("paper")
    check_preset("basic")


def test_a_run_without_tensorboard_says_so_and_goes_on(without, capsys):
    config = RunConfig()
    assert _trackers(config) == ["tensorboard"]
    without("tensorboard")
    assert _trackers(config) == [] and "mdjpt-hf[tensorboard]" in capsys.readouterr().out
    assert config.trackers == ("tensorboard",)  # the run is the same run


BROKEN = """
import warnings
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    import mdjpt_hf
    from transformers import Trainer, pipeline
print(*(str(warning.message) for warning in told if "torchaudio" in str(warning.message)))
"""


def test_a_torchaudio_that_cannot_be_opened_is_left_out(tmp_path):
    """transformers imports it wherever it is found, and fails with it."""
    folder = tmp_path / "torchaudio"
    (folder / "lib").mkdir(parents=True)
    (folder / "lib" / "_torchaudio.so").write_bytes(b"no library")
    (folder / "__init__.py").write_text("raise OSError('Could not load this library')\n")
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n" + BROKEN]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "it is left out: install the torchaudio that belongs to your torch" in done.stdout
