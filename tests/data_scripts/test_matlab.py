"""MATLAB files of both kinds, whole and damaged."""

import h5py
import numpy as np
import pytest
import scipy.io

from mdjpt_hf.data_scripts.matlab import load_matlab, matlab_names
from mdjpt_hf.errors import CorpusError

CONTENT = {"b_eeg2": np.arange(12.0).reshape(3, 4), "a": np.array([[1, 2]], dtype=np.uint8), "1": np.eye(2)}


@pytest.fixture(params=[False, True], ids=["plain", "compressed"])
def path(tmp_path, request):
    scipy.io.savemat(tmp_path / "x.mat", CONTENT, do_compression=request.param)
    return tmp_path / "x.mat"


def test_variables_keep_order_axes_and_type(path):
    assert matlab_names(path) == list(CONTENT)
    content = load_matlab(path)
    assert list(content) == list(CONTENT)
    for name, wanted in CONTENT.items():
        np.testing.assert_array_equal(content[name], wanted)
        assert content[name].dtype == wanted.dtype


def test_only_what_is_wanted_is_read(path):
    assert list(load_matlab(path, lambda name: name.startswith("b"))) == ["b_eeg2"]
    assert load_matlab(path, lambda name: False) == {}


def test_names_without_the_usual_suffix(tmp_path, path):
    other = path.rename(tmp_path / "x.dat")
    assert matlab_names(other) == list(CONTENT)


def refused(path, message):
    for action in (load_matlab, matlab_names):
        with pytest.raises(CorpusError, match=message) as error:
            action(path)
        assert error.value.path == str(path) and error.value.remedy


def test_damaged_and_foreign_files(path):
    whole = path.read_bytes()
    for content in (b"", b"text " * 300, whole[:60], whole[:150]):
        path.write_bytes(content)
        refused(path, "truncated, damaged or of another format")
    path.write_bytes(whole[:-3])
    with pytest.raises(CorpusError, match="truncated, damaged"):
        load_matlab(path)
    path.write_text("/annex/objects/MD5E-s3184976--0c79.mat\n")
    refused(path, "pointer")
    path.unlink()
    refused(path, "cannot be opened")


def test_version_73(tmp_path):
    path = tmp_path / "x.mat"
    with h5py.File(path, "w", userblock_size=512) as content:
        content["a"] = np.arange(6.0).reshape(3, 2)  # MATLAB's axes in reverse
        content.create_group("#refs#")
        content.create_group("struct")
    assert matlab_names(path) == ["a", "struct"]
    np.testing.assert_array_equal(load_matlab(path, "a".__eq__)["a"], np.arange(6.0).reshape(3, 2).T)
    with pytest.raises(CorpusError, match="'struct' is a struct or a cell"):
        load_matlab(path)
    path.write_bytes(path.read_bytes()[:900])
    refused(path, "truncated or damaged")
