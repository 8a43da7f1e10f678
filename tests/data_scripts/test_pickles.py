"""Pickles and arrays of strangers: what they hold is read, what they ask for is not run."""

import collections
import importlib.util
import os
import pickle
import pickletools
from pathlib import Path

import numpy as np
import pytest

from mdjpt_hf.data_scripts.pickles import load_array, load_pickle
from mdjpt_hf.errors import CorpusError


def _python2():
    spec = importlib.util.spec_from_file_location("python2_pickle", Path(__file__).parent / "python2_pickle.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


write_python2_pickle = _python2().write_python2_pickle

CONTENT = {
    "data": np.arange(24, dtype=float).reshape(2, 3, 4) * -1.5,
    "turned": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "small": np.array([1, 2], dtype=">i2"),
    "flags": np.array([True, False]),
    "names": np.array(["Cz", "Pz"]),
    "single": np.float32(2.5),
    "list": [1, (2.5, "x"), None, {"k": np.zeros(0)}],
    "objects": np.array([np.arange(3), "text", None], dtype=object),
}


def same(found, wanted):
    if isinstance(wanted, np.ndarray) and wanted.dtype == object:
        return type(found) is np.ndarray and found.shape == wanted.shape and all(map(same, found.flat, wanted.flat))
    if isinstance(wanted, (np.ndarray, np.generic)):
        return type(found) is type(wanted) and found.dtype == wanted.dtype and np.array_equal(found, wanted)
    if isinstance(wanted, dict):
        return type(found) is dict and list(found) == list(wanted) and all(same(found[k], wanted[k]) for k in wanted)
    if isinstance(wanted, (list, tuple)):
        return type(found) is type(wanted) and len(found) == len(wanted) and all(map(same, found, wanted))
    return found == wanted


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_numbers_and_containers_of_every_protocol(tmp_path, protocol):
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(CONTENT, protocol))
    assert same(load_pickle(tmp_path / "x.pkl"), CONTENT)


def test_a_pickle_of_python_2(tmp_path):
    path = write_python2_pickle(tmp_path / "s01.dat", CONTENT)
    opcodes = {opcode.name for opcode, _, _ in pickletools.genops(path.read_bytes())}
    assert {"SHORT_BINSTRING", "GLOBAL"} <= opcodes and not opcodes & {"BINUNICODE", "BINBYTES"}
    assert b"numpy.core.multiarray" in path.read_bytes()
    with pytest.raises(UnicodeDecodeError):  # so the file is what it should be: Python 3 alone cannot read it
        pickle.loads(path.read_bytes())
    assert same(load_pickle(path), CONTENT)


def test_long_python_2_strings_keep_every_byte(tmp_path):
    wanted = np.frombuffer(bytes(range(256)) * 8, np.uint8)
    path = write_python2_pickle(tmp_path / "x.dat", wanted)
    assert "BINSTRING" in {opcode.name for opcode, _, _ in pickletools.genops(path.read_bytes())}
    assert same(load_pickle(path), wanted)


def test_plain_containers_and_what_occurs_twice(tmp_path):
    array = np.arange(3)
    content = {"a": array, "b": array, "set": {1, 2}, "ordered": collections.OrderedDict(z=1, a=2)}
    for protocol in (2, 5):
        (tmp_path / "x.pkl").write_bytes(pickle.dumps(content, protocol))
        found = load_pickle(tmp_path / "x.pkl")
        assert found["a"] is found["b"] and found["set"] == {1, 2}
        assert type(found["ordered"]) is dict and list(found["ordered"].items()) == [("z", 1), ("a", 2)]


class Attack:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: {"data": [x]}, lambda x: np.array([x, 1], dtype=object)])
def test_a_malicious_pickle_is_refused_by_name_and_not_run(tmp_path, protocol, wrap):
    trace = tmp_path / "trace"
    (tmp_path / "bad.dat").write_bytes(pickle.dumps(wrap(Attack(trace)), protocol))
    with pytest.raises(CorpusError, match=r"bad\.dat: this pickle asks for .*mkdir") as caught:
        load_pickle(tmp_path / "bad.dat")
    assert not trace.exists() and "nothing was run" in str(caught.value)
    with (tmp_path / "bad.npy").open("wb") as file:
        np.save(file, np.array(wrap(Attack(trace)), dtype=object), allow_pickle=True)
    with pytest.raises(CorpusError, match=r"bad\.npy: this pickle asks for .*mkdir"):
        load_array(tmp_path / "bad.npy")
    assert not trace.exists()
    pickle.loads((tmp_path / "bad.dat").read_bytes())
    assert trace.exists()  # so it would have run


@pytest.mark.parametrize(
    "asked, name",
    [
        (b"cos\nsystem\n(S'exit 1'\ntR.", "os.system"),
        (b"c__builtin__\neval\n(S'1'\ntR.", "__builtin__.eval"),
        (b"cnumpy\nload\n(S'x.npy'\ntR.", "numpy.load"),
        (b"cnumpy.core.multiarray\nfromfile\n.", "numpy.core.multiarray.fromfile"),
        (b"(S'exit 1'\nios\nsystem\n.", "os.system"),
        (b"\x80\x04\x8c\x05numpy\x8c\x0cndarray.dump\x93.", "numpy.ndarray.dump"),
    ],
)
def test_names_are_never_looked_up(tmp_path, asked, name):
    (tmp_path / "bad.pkl").write_bytes(asked)
    with pytest.raises(CorpusError, match="nothing was run") as caught:
        load_pickle(tmp_path / "bad.pkl")
    assert caught.value.value == name and str(tmp_path / "bad.pkl") in str(caught.value)


@pytest.mark.parametrize("dtype", [[("x", "f8"), ("o", "O")], "M8[s]", ("f8", (2,))])
def test_records_and_dates_are_refused(tmp_path, dtype):
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(np.dtype(dtype), 2))
    with pytest.raises(CorpusError, match="x.pkl.*array"):
        load_pickle(tmp_path / "x.pkl")


def test_a_crafted_array_cannot_reach_beyond_its_bytes(tmp_path):
    text = pickle.dumps(np.arange(4, dtype=float), 2)
    crafted = text.replace(b"K\x04\x85", b"M\x00\x40\x85")  # its shape says 16384
    assert crafted != text
    (tmp_path / "x.pkl").write_bytes(crafted)
    with pytest.raises(CorpusError, match="4 values for an array of shape"):
        load_pickle(tmp_path / "x.pkl")


def test_arrays_plain_and_around_a_dictionary(tmp_path):
    plain = np.arange(12.0).reshape(3, 4)
    np.save(tmp_path / "plain.npy", plain)
    np.save(tmp_path / "dict.npy", {"de": plain})
    np.save(tmp_path / "list.npy", np.array([plain, None], dtype=object))
    assert same(load_array(tmp_path / "plain.npy"), plain)
    assert same(load_array(tmp_path / "dict.npy"), {"de": plain})
    assert same(load_array(tmp_path / "list.npy"), np.array([plain, None], dtype=object))


@pytest.mark.parametrize("keep", [0, 5, 90, 0.5, 0.99])
def test_truncated_files(tmp_path, keep):
    np.save(tmp_path / "whole.npy", np.arange(100.0))
    np.save(tmp_path / "object.npy", {"de": np.arange(100.0)})
    write_python2_pickle(tmp_path / "whole.dat", {"data": np.arange(100.0)})
    for name, read in (("whole.npy", load_array), ("object.npy", load_array), ("whole.dat", load_pickle)):
        content = (tmp_path / name).read_bytes()
        (tmp_path / f"cut_{name}").write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
        with pytest.raises(CorpusError, match=f"cut_{name}: the file is truncated, damaged"):
            read(tmp_path / f"cut_{name}")


def test_foreign_and_missing_files(tmp_path):
    (tmp_path / "x.dat").write_bytes(b"MATLAB 5.0 MAT-file")
    for read in (load_pickle, load_array):
        with pytest.raises(CorpusError, match="x.dat: the file is truncated, damaged"):
            read(tmp_path / "x.dat")
        with pytest.raises(CorpusError, match="nothing: cannot be opened"):
            read(tmp_path / "nothing")
