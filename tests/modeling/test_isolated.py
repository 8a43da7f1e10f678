"""The process that reads strangers' files: what it may do, what becomes of it, and what comes back."""

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import h5py
import mne
import numpy as np
import pytest

from mdjpt_hf.data_scripts.matlab import load_matlab
from mdjpt_hf.errors import CorpusError, SignalError
from mdjpt_hf.modeling import isolated_mdjpt
from mdjpt_hf.modeling.confinement_mdjpt import Watch
from mdjpt_hf.modeling.control_groups_mdjpt import MemoryLimit
from mdjpt_hf.modeling.exchange_mdjpt import Unpacker, pack
from mdjpt_hf.modeling.isolated_mdjpt import IsolatedReader, Limits
from mdjpt_hf.modeling.reading_mdjpt import open_recording, read_file

PROBE = """
import ctypes, os, signal, socket, subprocess, time
from pathlib import Path

import numpy as np


def read(path, other): return Path(other).read_bytes()
def read_by_number(path, other): return os.read(os.open(other, os.O_RDONLY), 9)
def read_through_a_link(path, other): return Path(path).with_name("link").read_bytes()
def memory_map(path, other): return np.array(np.memmap(other, "u1", "r"))
def write(path, other): Path(other).write_text("changed")
def remove(path, other): os.remove(other)
def run(path, other): return subprocess.run(["cat", other], capture_output=True).stdout
def connect(path, other): socket.create_connection(("127.0.0.1", 9))
def swallow(path, other):
    try:
        return Path(other).read_bytes()
    except OSError:
        return b"something else"


def read_natively(path, other):
    libc = ctypes.CDLL(None)
    return libc.open(os.fsencode(str(other)), 0)


def be_killed(path): signal.raise_signal(signal.SIGKILL)
def abort(path): os.abort()
def leave(path): os._exit(3)
def hang(path): time.sleep(60)
def grow(path): return len(bytearray(2**33))
def give_much(path): return np.zeros(2**20)
def own(path): return path.read_text(), sorted(os.environ), os.getpid()
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder to read, a secret beside it, and the functions that are tried on them."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "probe_of_readers.py").write_text(PROBE)
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    (tmp_path / "up").mkdir()
    (tmp_path / "up" / "file").write_text("mine")
    (tmp_path / "secret").write_text("marker")
    return tmp_path


def reader(folder=None, **limits):
    limits = Limits(**{"memory": 2**30, "seconds": 30.0, "file_bytes": 2**22, **limits})
    return IsolatedReader(folder, limits, modules=("probe_of_readers",))


@pytest.mark.parametrize("private", [True, False])
def test_the_child_reads_its_folder_and_nothing_else(place, private):
    ways = ("read", "read_by_number", "memory_map", "write", "remove", "run", "swallow")
    with reader(place / "up" if private else None) as child:
        for way in ways:
            with pytest.raises(SignalError, match="points to a file"):
                child.call(f"probe_of_readers:{way}", place / "up" / "file", place / "secret")
        with pytest.raises(SignalError):
            child.call("probe_of_readers:connect", place / "up" / "file", place / "secret")
        text, environment, number = child.call("probe_of_readers:own", place / "up" / "file")
    assert text == "mine" and number != os.getpid()
    assert not {name for name in environment if "TOKEN" in name or name.startswith("HF_")}
    assert (place / "secret").read_text() == "marker"


def test_links_lead_out_only_where_they_stand_beside_the_file(place):
    """git-annex keeps every recording behind a link beside its companions."""
    (place / "up" / "sub").mkdir()
    (place / "up" / "link").symlink_to(place / "secret")
    with reader() as child:
        assert child.call("probe_of_readers:read_through_a_link", place / "up" / "file", "") == b"marker"
        with pytest.raises(SignalError, match="points to a file"):
            child.call("probe_of_readers:read", place / "up" / "sub" / "file", place / "up" / "link")


def test_a_missing_file_elsewhere_is_answered_like_one_that_is_there(place):
    messages = set()
    for name in ("secret", "nothing"):
        with reader(place / "up") as child, pytest.raises(SignalError) as caught:
            child.call("probe_of_readers:read", place / "up" / "file", place / name)
        messages.add(str(caught.value))
    assert len(messages) == 1 and str(place) not in messages.pop()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux binds compiled code")
def test_compiled_code_is_bound_as_well(place):
    with reader(place / "up") as child:
        assert child.call("probe_of_readers:read_natively", place / "up" / "file", place / "up" / "file") >= 0
        if not child._child.locked:
            pytest.skip("this system has no Landlock")
        assert child.call("probe_of_readers:read_natively", place / "up" / "file", place / "secret") == -1


@pytest.mark.parametrize(
    ("way", "limits", "message"),
    [
        ("be_killed", {}, "did not survive it .SIGKILL"),
        ("abort", {}, "did not survive it .SIGABRT"),
        ("leave", {}, "did not survive it .exit 3"),
        ("hang", {"seconds": 1.0}, "takes longer than 1 s"),
        ("grow", {}, "takes more than 1 GiB of memory"),
        ("give_much", {}, "cannot be read .OSError"),
    ],
)
def test_what_becomes_of_the_child_is_one_error_and_the_next_file_is_read(place, way, limits, message):
    started = time.monotonic()
    with reader(**limits) as child:
        with pytest.raises(SignalError, match=message) as caught:
            child.call(f"probe_of_readers:{way}", place / "up" / "file")
        assert "file: " in str(caught.value) and caught.value.remedy
        assert child.call("probe_of_readers:own", place / "up" / "file")[0] == "mine"
    assert time.monotonic() - started < 40


def test_no_child_and_no_folder_is_left(place):
    with reader() as child:
        _, _, number = child.call("probe_of_readers:own", place / "up" / "file")
        folder = Path(child._child.place)
    assert not folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


# ---- headers that lead elsewhere

HEADER = """Brain Vision Data Exchange Header File Version 1.0
[Common Infos]
{codepage}{key}{separator}{value}
{other}
DataFormat=BINARY
DataOrientation=MULTIPLEXED
NumberOfChannels=2
SamplingInterval=4000
[Binary Infos]
BinaryFormat=INT_16
[Channel Infos]
Ch1=Cz,,0.1,µV
Ch2=Pz,,0.1,µV
"""


@pytest.mark.parametrize(
    ("key", "separator", "encoding"),
    [
        *((key, sign, "utf-8") for key in ("DataFile", "MarkerFile", "datafile") for sign in ("=", " = ", ":", " : ")),
        ("DataFile", " = ", "utf-16-le"),
        ("DataFile", ":", "cp1252"),
    ],
)
def test_no_spelling_of_a_header_leads_out(tmp_path, key, separator, encoding):
    """Real parsers accept more than any pattern of ours would look for, so only what is opened counts."""
    folder = tmp_path / "up"
    folder.mkdir()
    marker = np.random.default_rng(0).integers(-3000, 3000, (5000, 2)).astype("<i2")
    marker.tofile(tmp_path / "marker.eeg")
    marks = "Brain Vision Data Exchange Marker File, Version 1.0\n[Marker Infos]\nMk1=Stimulus,X,1,1,0\n"
    (tmp_path / "marker.vmrk").write_text(marks)
    (marker * 0 + 7).tofile(folder / "a.eeg")
    is_data = key.lower() == "datafile"
    value = tmp_path / ("marker.eeg" if is_data else "marker.vmrk")
    other = "DataFile=a.eeg" if not is_data else ""
    text = HEADER.format(codepage="Codepage=UTF-8\n", key=key, separator=separator, value=value, other=other)
    (folder / "a.vhdr").write_bytes(text.encode(encoding))
    try:
        recording, notes = read_file(folder / "a.vhdr")
    except SignalError as error:
        assert str(tmp_path) not in str(error)
    else:  # a reader may take the key for another one; then it has read nothing from elsewhere
        assert np.ptp(recording.signal) == 0 and "X" not in " ".join(notes)


def hdf5(path, way, elsewhere):
    """A MATLAB-like file, a part of which lies in another file."""
    with h5py.File(path, "w", userblock_size=512) as file:
        if way == "external link":
            file["data"] = h5py.ExternalLink(str(elsewhere), "data")
        elif way == "external storage":
            file.create_dataset("data", (4, 4), "u1", external=[(str(elsewhere), 0, 16)])
        else:
            layout = h5py.VirtualLayout((4, 4), "u1")
            layout[:] = h5py.VirtualSource(str(elsewhere), "data", (4, 4))
            file.create_virtual_dataset("data", layout)
    return path


@pytest.mark.parametrize("way", ["external link", "external storage", "virtual"])
def test_parts_of_hdf5_in_other_files_are_refused(tmp_path, way):
    (tmp_path / "up").mkdir()
    with h5py.File(tmp_path / "elsewhere.h5", "w") as file:
        file["data"] = np.full((4, 4), 7, "u1")
    path = hdf5(tmp_path / "up" / "a.mat", way, tmp_path / "elsewhere.h5")
    with pytest.raises(CorpusError, match="points to a file outside its own folder"):
        load_matlab(path)
    path.rename(path.with_suffix(".set"))
    with pytest.raises(SignalError, match="points to a file that was not uploaded"):
        read_file(path.with_suffix(".set"))


# ---- what comes back


def test_a_recording_is_the_same_through_the_child(tmp_path):
    info = mne.create_info(["Fp1", "EEG C3-REF", "O2", "ECG"], 250.0, "eeg")
    values = np.random.default_rng(0).normal(0, 2e-5, (4, 250 * 900))
    raw = mne.io.RawArray(values, info, verbose="ERROR")
    raw.set_annotations(mne.Annotations([2.0], [1.5], ["BAD_jump"]))
    raw.info["bads"] = ["O2"]
    raw.save(tmp_path / "a_raw.fif", verbose="ERROR")
    (here, notes), (through, notes_through) = open_recording(tmp_path / "a_raw.fif"), read_file(tmp_path / "a_raw.fif")
    np.testing.assert_array_equal(through.signal, here.signal)
    through.signal[0, 0] = 1  # the caller may change it
    assert (through.selection, through.bads, through.bad_spans, through.unit, notes_through) == (
        here.selection,
        here.bads,
        here.bad_spans,
        here.unit,
        notes,
    )


@dataclass
class Known:
    content: object


def test_values_come_back_as_they_were_and_nothing_is_pickled(tmp_path):
    cells = np.empty((1, 2), dtype=object)
    cells[0, 0], cells[0, 1] = np.arange(3), "text"
    records = np.empty((1, 1), dtype=[("a", object), ("b", "f8")])
    records[0, 0] = (cells, 2.5)
    shared = [1, float("nan"), float("-inf"), b"\xff", None, True, 10**30]
    value = Known({"cells": cells, "records": records, 3: (shared, shared), "set": {1, 2}, "number": np.float32(0.1)})
    found = Unpacker(tmp_path, {"Known": Known}).value(pack(value, tmp_path)).content
    assert found[3][0] is found[3][1] and repr(found[3][0]) == repr(shared)
    assert found["set"] == {1, 2} and found["number"].dtype == np.float32
    assert found["cells"].shape == (1, 2) and found["cells"][0, 0].tolist() == [0, 1, 2]
    assert found["records"]["a"][0, 0][0, 1] == "text" and found["records"]["b"][0, 0] == 2.5
    np.save(tmp_path / "evil.npy", cells, allow_pickle=True)
    for tree in ({"array": "evil.npy"}, {"function": "os:system"}, {"dataclass": "Other", "content": {}}, [1], 1.5):
        with pytest.raises(ValueError):
            Unpacker(tmp_path).value(tree)
    with pytest.raises(TypeError):
        pack(object(), tmp_path)


def test_a_look_for_fonts_is_refused_and_held_against_nobody(tmp_path):
    """matplotlib asks the system for fonts when it is first loaded, which MNE below 1.13 does while it reads."""
    watch = Watch([], str(tmp_path))
    for program, counted in (("fc-list", 0), ("cat", 1)):
        with pytest.raises(PermissionError):
            watch("subprocess.Popen", (program, [program], None, None))
        assert len(watch.refused) == counted


def test_a_reader_takes_no_more_than_half_of_a_container(monkeypatch):
    monkeypatch.setattr(isolated_mdjpt, "memory_limits", list)  # most machines have no such limit
    machine = Limits().memory_bytes
    assert machine >= 2**32
    monkeypatch.setattr(isolated_mdjpt, "memory_limits", lambda: [MemoryLimit(2**62, 2**61), MemoryLimit(2**32, 5)])
    assert Limits().memory_bytes == min(machine, 2**31)
    assert Limits(memory=7).memory_bytes == 7, "who asks for a number gets it"
