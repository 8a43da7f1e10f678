"""Files that are opened: what belongs to them, what is said where they cannot be read."""

import re
import struct
import sys
import warnings
from pathlib import Path

import mne
import numpy as np
import pybv
import pytest
import scipy.io
from mne.utils import check_version

from mdjpt_hf.data_scripts.files import read_recording
from mdjpt_hf.errors import CorpusError, SignalError
from mdjpt_hf.modeling.companions_mdjpt import companions, pointers
from mdjpt_hf.modeling.opening_mdjpt import OPTIONAL_READERS, open_file, watched

sys.path.insert(0, str(Path(__file__).parents[1]))
from fabricated_edf import write_edf  # noqa: E402

NAMES = ["Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2"]


def noise(seconds=20, channels=10, seed=0):
    return np.random.default_rng(seed).normal(0, 12, (channels, seconds * 250))


def raw_of(signal):
    return mne.io.RawArray(signal * 1e-6, mne.create_info(NAMES, 250, "eeg"), verbose="ERROR")


def write_vhdr(folder, name="x"):
    pybv.write_brainvision(
        data=noise() * 1e-6, sfreq=250, ch_names=NAMES, fname_base=name, folder_out=str(folder), unit="µV"
    )
    return folder / f"{name}.vhdr"


def names(path):
    return [part.name for part in companions(path)]


def test_files_of_the_same_name_belong_together(tmp_path):
    write_edf(tmp_path / "a.edf", noise(), NAMES)
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "a2.edf").write_bytes(b"")
    assert names(tmp_path / "a.edf") == ["a.edf", "a.json"]
    folder = tmp_path / "b.mff"
    (folder / "c").mkdir(parents=True)
    (folder / "c" / "signal1.bin").write_bytes(b"1")
    assert names(folder) == ["signal1.bin"]


def test_what_a_brainvision_header_names_belongs_to_it(tmp_path):
    header = write_vhdr(tmp_path, "old")
    (tmp_path / "old.vmrk").rename(tmp_path / "marks.vmrk")
    text = header.read_text(encoding="utf-8").replace("MarkerFile=old.vmrk", "markerfile = sub\\marks.vmrk ")
    header.rename(tmp_path / "new.vhdr").write_text(text, encoding="utf-8")
    assert names(tmp_path / "new.vhdr") == ["marks.vmrk", "new.vhdr", "old.eeg"]
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "marks.vmrk").write_bytes((tmp_path / "marks.vmrk").read_bytes())
    below = tmp_path / "below.vhdr"
    below.write_text(text.replace("sub\\", "sub/"), encoding="utf-8")
    assert companions(below) == [below, tmp_path / "old.eeg", tmp_path / "sub" / "marks.vmrk"]
    (tmp_path / "old.eeg").unlink()  # named, so that it is noticed when it is gone
    assert "old.eeg" in names(tmp_path / "new.vhdr")


@pytest.mark.parametrize("compressed", [False, True])
def test_what_a_set_file_names_belongs_to_it(tmp_path, compressed):
    (tmp_path / "Other name.fdt").write_bytes(b"1")
    (tmp_path / "unrelated.fdt").write_bytes(b"1")
    content = {"EEG": {"data": "Other name.fdt", "datfile": "Other name.fdt", "nbchan": 3}}
    scipy.io.savemat(tmp_path / "x.set", content, appendmat=False, do_compression=compressed)
    assert names(tmp_path / "x.set") == ["Other name.fdt", "x.set"]
    (tmp_path / "noise.set").write_bytes(b"MATLAB 5.0".ljust(128) + b"\x0f\0\0\0\xff\xff\xff\x7f" + b"x" * 50)
    assert names(tmp_path / "noise.set") == ["noise.set"]


def test_parts_of_split_recordings_belong_together(tmp_path):
    for name, naming in (("a_raw.fif", "neuromag"), ("sub-01_eeg.fif", "bids")):
        raw_of(noise(300)).save(tmp_path / name, split_size="2MB", split_naming=naming, verbose="ERROR")
    bids = sorted(path.name for path in tmp_path.glob("sub-01_split*"))
    assert len(bids) > 1 and names(tmp_path / bids[0]) == bids
    for path in (tmp_path / "a_raw.fif", tmp_path / bids[0]):
        assert {Path(name).name for name in mne.io.read_raw(path, verbose="ERROR").filenames} == set(names(path))


def test_a_persyst_layout_names_its_signal(tmp_path):
    (tmp_path / "x.lay").write_text("[FileInfo]\nFile=C:\\data\\y.dat\nFileType=Interleaved\n")
    assert names(tmp_path / "x.lay") == ["x.lay", "y.dat"]


def test_pointers_are_found_among_all_of_them(tmp_path):
    header = write_vhdr(tmp_path, "old")
    header.rename(tmp_path / "new.vhdr")
    (tmp_path / "old.eeg").write_text("version https://git-lfs.github.com/spec/v1\n")
    assert [path.name for path in pointers(tmp_path / "new.vhdr")] == ["old.eeg"]
    with pytest.raises(SignalError, match="old.eeg is a pointer"):
        open_file(tmp_path / "new.vhdr")


def test_a_renamed_header_is_told_what_it_still_names(tmp_path):
    write_vhdr(tmp_path, "VP04")
    for suffix in ("vhdr", "eeg", "vmrk"):
        (tmp_path / f"VP04.{suffix}").rename(tmp_path / f"s04.{suffix}")
    with pytest.raises(
        SignalError, match=r"still names VP04\.eeg, VP04\.vmrk, .*\(found s04\.eeg, s04\.vmrk\)"
    ) as error:
        open_file(tmp_path / "s04.vhdr")
    assert "DataFile" in error.value.remedy


def test_epochs_get_the_advice_for_epochs(tmp_path):
    epochs = mne.EpochsArray(
        noise().reshape(10, 10, -1).transpose(1, 0, 2) * 1e-6, raw_of(noise()).info, verbose="ERROR"
    )
    epochs.save(tmp_path / "x-epo.fif", verbose="ERROR")
    with pytest.raises(SignalError, match="cut into epochs") as error:
        open_file(tmp_path / "x-epo.fif")
    assert "feature extractor" in error.value.remedy
    epochs.average().save(tmp_path / "x-ave.fif", verbose="ERROR")
    with pytest.raises(SignalError, match="MNE cannot read this file"):
        open_file(tmp_path / "x-ave.fif")


def test_a_reader_that_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("mdjpt_hf.modeling.opening_mdjpt.find_spec", lambda name: None)
    for suffix, start, package in OPTIONAL_READERS.values():
        path = tmp_path / f"x{suffix}"
        path.write_bytes(start + b"\0" * 600)
        with pytest.raises(SignalError, match=f"need the package {package}, which is not installed") as error:
            open_file(path)
        assert error.value.remedy.startswith(f"pip install {package}")
    (tmp_path / "y.set").write_bytes(b"MATLAB 5.0 MAT-file" + b"\0" * 600)
    with pytest.raises(SignalError, match="MNE cannot read this file"):
        open_file(tmp_path / "y.set")


@pytest.mark.skipif(check_version("mne", "1.13") is False, reason="the table is that of MNE 1.13")
def test_the_table_of_readers_is_mnes_own():
    """Every package that a reader of MNE asks for is on the table, or one of ours."""
    folder = Path(mne.__file__).parent / "io"
    asked = {
        name
        for path in folder.rglob("*.py")
        if "tests" not in path.parts
        for name in re.findall(r'_soft_import\(\s*"(\w+)"', path.read_text(encoding="utf-8"))
    }
    ours = {"pandas", "h5py"}
    assert asked - ours == {package for _, _, package in OPTIONAL_READERS.values()} - {"pymatreader"}


@pytest.mark.parametrize("suffix", [".edf", ".bdf"])
def test_half_a_file_is_refused(tmp_path, suffix):
    path = write_edf(tmp_path / f"x{suffix}", noise(), NAMES)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SignalError, match="truncated or damaged"):
        open_file(path)


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_an_eeglab_signal_shorter_than_its_header_says(tmp_path, share):
    """The signal stands in a file of its own, and is read only when samples are wanted."""
    eeg = {"setname": "x", "srate": 250.0, "nbchan": 10, "trials": 1, "pnts": 5000, "data": "x.fdt", "xmin": 0.0}
    eeg |= {"chanlocs": np.array([(name,) for name in NAMES], dtype=[("labels", object)]), "event": [], "xmax": 20.0}
    eeg |= {"icawinv": [], "icasphere": [], "icaweights": [], "epoch": [], "ref": "common", "times": []}
    eeg |= {"chaninfo": {"nodatchans": []}, "icachansind": [], "icaact": []}
    scipy.io.savemat(tmp_path / "x.set", {"EEG": eeg}, appendmat=False)
    content = noise().astype("<f4").T.tobytes()
    (tmp_path / "x.fdt").write_bytes(content)
    np.testing.assert_allclose(read_recording(tmp_path / "x.set")[0].signal, noise(), atol=1e-3)
    (tmp_path / "x.fdt").write_bytes(content[: int(share * len(content)) // 40 * 40])
    with pytest.raises(CorpusError, match="truncated or damaged: its signal ends before"):
        read_recording(tmp_path / "x.set")


def test_a_brainvision_signal_shorter_than_its_header_says(tmp_path):
    header = write_vhdr(tmp_path)
    text = header.read_text(encoding="utf-8").replace("[Common Infos]\n", "[Common Infos]\nDataPoints=5000\n")
    header.write_text(text, encoding="utf-8")
    open_file(header)
    signal = tmp_path / "x.eeg"
    signal.write_bytes(signal.read_bytes()[: 4 * 10 * 2000])
    with pytest.raises(SignalError, match="truncated: 2000 of 5000 samples"):
        open_file(header)


@pytest.mark.parametrize(
    "said",
    ["UseBigEndianOrder=YES", "usebigendianorder = yes", "DataOffset=512", "TrailerSize=4", "DataType=FrequencyDomain"],
)
def test_brainvision_samples_in_a_layout_that_mne_does_not_look_at_are_refused(tmp_path, said):
    header = write_vhdr(tmp_path)
    text = header.read_text(encoding="utf-8")
    header.write_text(text.replace("[Channel Infos]", "UseBigEndianOrder=NO\nDataOffset=0\n\n[Channel Infos]"), "utf-8")
    assert open_file(header)[0].n_times == 5000
    header.write_text(text.replace("[Channel Infos]", f"{said}\n\n[Channel Infos]"), "utf-8")
    with pytest.raises(SignalError, match=re.escape(said)):
        open_file(header)


@pytest.mark.parametrize("text", ["film 2, 3", "film, happy", "7,5", "a, b, 2"])
def test_a_comma_in_the_text_of_a_brainvision_marker_is_refused_until_it_is_coded(tmp_path, text):
    raw = raw_of(noise())
    raw.set_meas_date(0)
    raw.set_annotations(mne.Annotations([2.0, 8.0], [1.0, 4.0], ["film 1", text], orig_time=raw.info["meas_date"]))
    header, marks = tmp_path / "x.vhdr", tmp_path / "x.vmrk"
    mne.export.export_raw(header, raw, verbose="ERROR")
    coded = text.replace(",", r"\1")
    written = marks.read_text(encoding="utf-8").replace(coded, text)  # however pybv writes it
    marks.write_text(written, encoding="utf-8")
    with pytest.raises(SignalError, match=re.escape(text)) as told:
        open_file(header)
    assert "x.vmrk" in told.value.remedy
    marks.write_text(written.replace(text, coded), encoding="utf-8")
    found = open_file(header)[0].annotations
    at = {mark["description"].removeprefix("Comment/"): float(mark["onset"]) for mark in found}
    assert at["film 1"] == 2.0 and at[text] == 8.0  # beside New Segment, whose line ends in a date


DATE = "20260102030405000000"
#: Marker lines of writers that differ in what stands behind the channel, each with its places in samples.
WRITERS = {
    "Recorder": [f"New Segment,,1,1,0,{DATE}", "Stimulus,S  1,501,1,0", "Comment,film,1001,1,0"],
    "Analyzer": [f"New Segment,,1,1,0,{DATE}", f"Stimulus,S  1,501,1,0,{DATE},1", f"Comment,film,1001,1,0,{DATE}"],
    "EEGLAB": ["New Segment,,1,0,0,0", "Stimulus,S  1,501,0,0,0", "Comment,film,1001,0,0,0"],
    "pybv 0.0": ["New Segment,,1,1,0,0", "Stimulus,S  1,501,1,0", "Comment,film,1001,1,0"],
    "short": ["Stimulus,S  1,501,1,0", "Comment,film,1001,1,0"],
    "zero dates alone": ["Stimulus,S  1,501,1,0,0", "Comment,film,1001,1,0,0"],
    "empty ends": [f"New Segment,,1,1,0,{DATE}", "Stimulus,S  1,501,1,0,,", "Comment,film,1001,1,,"],
    "dates in words": ["New Segment,,1,1,0,2026-01-02T03:04:05", "Comment,film,1001,1,0,2026-01-02T03:04:07"],
}


def with_markers(tmp_path, lines, name="x.vmrk"):
    header = write_vhdr(tmp_path)
    text = re.sub(r"(?m)^MarkerFile=.*$", f"MarkerFile={name}", header.read_text(encoding="utf-8"))
    header.write_text(text, encoding="utf-8")
    marks = "".join(f"Mk{number}={line}\n" for number, line in enumerate(lines, 1))
    beginning = "Brain Vision Data Exchange Marker File, Version 1.0\n[Common Infos]\nCodepage=UTF-8\n[Marker Infos]\n"
    place = header.parent / name
    place.parent.mkdir(exist_ok=True)
    place.write_text(beginning + "; a comment, with commas, 1, 2, 3, 4\n" + marks, encoding="utf-8")
    return header


@pytest.mark.parametrize("writer", WRITERS)
def test_marker_lines_of_every_writer_are_read(tmp_path, writer):
    found = open_file(with_markers(tmp_path, WRITERS[writer]))[0]
    at = {mark["description"]: round(float(mark["onset"]) * found.info["sfreq"]) for mark in found.annotations}
    assert at["Comment/film"] == 1000


@pytest.mark.parametrize("writer", [writer for writer in WRITERS if writer != "zero dates alone"])
def test_a_comma_among_the_lines_of_every_writer_is_seen(tmp_path, writer):
    lines = [line.replace("film", "film 2, 3") for line in WRITERS[writer]]
    if writer == "empty ends":
        lines[-1] = lines[-1].replace("1,,", "1,0,,")  # without its channel such a marker cannot be told
    with pytest.raises(SignalError, match="film 2, 3"):
        open_file(with_markers(tmp_path, lines))


@pytest.mark.parametrize("name", ["sub/x.vmrk", "gone"])
def test_the_marker_file_that_mne_takes_is_the_one_looked_at(tmp_path, name):
    lines = ["Stimulus,S  1,501,1,0", "Comment,film 2, 3,1001,1,0"]
    header = with_markers(tmp_path, lines, name if name != "gone" else "other.vmrk")
    if name == "gone":  # a recording that was renamed, whose header was not told
        (header.parent / "other.vmrk").rename(header.with_suffix(".vmrk"))
    with pytest.raises(SignalError, match="film 2, 3"):
        open_file(header)


def test_neuroscan_is_read_as_the_corpora_read_it(tmp_path):
    counts = np.round(np.cumsum(np.random.default_rng(0).normal(0, 60, (10, 5000)), axis=1)).astype("<i4")
    events = [(1, 0, 0xE0, 900 + 750 + 40 * 1000), (7, 0, 0, 900 + 750 + 40 * 2000)]
    events += [(0, 0, 0xC0, 900 + 750 + 40 * 3000), (0, 0, 0xD0, 900 + 750 + 40 * 3500)]
    path = _write_neuroscan(tmp_path / "x.cnt", counts, events, n_samples=10_000)
    recording, notes = read_recording(path)
    np.testing.assert_allclose(recording.signal, counts * 0.03, rtol=1e-4, atol=1e-3)
    assert recording.ch_names == NAMES and recording.sampling_rate == 500
    assert [(s.start, s.stop) for s in recording.stretches] == [(0, 1000), (1000, 5000)]
    assert recording.bad_spans == [(6.0, 7.0)]
    assert "the header tells of 10000 samples, the file holds 5000" in notes
    raw, _ = open_file(path)
    np.testing.assert_array_equal(raw.get_data(start=1234, stop=4321), raw.copy().load_data().get_data()[:, 1234:4321])
    assert raw.copy().crop(2, 4).get_data().shape == (10, 1001)
    path.write_bytes(path.read_bytes()[:60_000])
    with pytest.raises(CorpusError, match="truncated"):
        read_recording(path)


def _write_neuroscan(path, counts, events, n_samples):
    head, cap = bytearray(900), bytearray(75 * len(counts))
    for number, name in enumerate(NAMES):
        cap[75 * number : 75 * number + len(name)] = name.upper().encode()
        struct.pack_into("<f", cap, 75 * number + 59, 1.0)
        struct.pack_into("<f", cap, 75 * number + 71, 204.8 * 0.03)
    data = counts.T.tobytes()
    struct.pack_into("<H", head, 370, len(counts))
    struct.pack_into("<H", head, 376, 500)
    struct.pack_into("<i", head, 864, n_samples)
    struct.pack_into("<I", head, 886, 900 + len(cap) + len(data))
    table = b"".join(struct.pack("<HBBI", *event) for event in events)
    path.write_bytes(bytes(head + cap) + data + struct.pack("<BiI", 1, len(table), 0) + table)
    return path


def test_a_folder_is_no_recording(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "x.edf").write_bytes(b"/annex/objects/x")
    with pytest.raises(SignalError, match="is a folder, not a recording. Name a file in it"):
        open_file(tmp_path / "sub")


def test_warnings_of_several_lines_become_one():
    _, notes = watched(None, lambda: warnings.warn("one\n  two\n", stacklevel=1))
    assert notes == ["MNE warns: one two"]
