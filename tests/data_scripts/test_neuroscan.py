"""Neuroscan recordings whose header tells the truth, and those whose header does not."""

import mne
import numpy as np
import pytest
from fabricated_seed import CAP, NAMES, cnt_signal, tone, with_extras, write_cnt

from mdjpt_hf.data_scripts.neuroscan import read_neuroscan
from mdjpt_hf.errors import CorpusError, MontageError

RECORDED = with_extras()
RATE, SECONDS = 500, 4
RESOLUTION = {2: 0.168, 4: 0.0298}


@pytest.fixture(scope="module")
def signal():
    return cnt_signal(RECORDED, RATE, SECONDS, [(1, 2)], lambda _: 30.0)


def check(recording, signal, width=4):
    assert recording.sampling_rate == RATE
    assert recording.ch_names == NAMES  # in the order of the file, M1 in the middle left out
    wanted = signal[[RECORDED.index(name) for name in CAP]]
    assert recording.signal.shape == wanted.shape and recording.signal.dtype == np.float32
    assert np.abs(recording.signal - wanted).max() <= 0.51 * RESOLUTION[width] + 1e-6 * np.abs(wanted).max()
    assert f"samples have {8 * width} bits" in recording.notes


@pytest.mark.parametrize("width", [2, 4])
@pytest.mark.parametrize("header_samples", [None, 0, -1, 7])
def test_both_widths_whatever_the_header_counts(tmp_path, signal, width, header_samples):
    path = write_cnt(
        tmp_path / "x.cnt", signal, RECORDED, RATE, width, header_samples=header_samples, events=[(500, 1, 0, 0)]
    )
    recording = read_neuroscan(path)
    check(recording, signal, width)
    assert recording.events == [(1.0, "1")]
    told = [note for note in recording.notes if "the header tells of" in note]
    assert bool(told) == (header_samples is not None)
    assert any("M1 (reference electrode)" in note and "VEO" in note for note in recording.notes)


def test_the_narrow_width_would_pass_for_eeg_as_well(tmp_path, signal):
    """Why the wide one is tried first: the low halves of 32-bit samples look like EEG of another amplitude."""
    path = write_cnt(tmp_path / "x.cnt", signal, RECORDED, RATE, 4)
    halves = np.frombuffer(path.read_bytes()[900 + 75 * len(RECORDED) : -9], "<i2").reshape(-1, len(RECORDED))
    assert 1 < np.median(np.abs(halves[:, ::2])) * RESOLUTION[4] < 500
    check(read_neuroscan(path), signal)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_agrees_with_mne_where_mne_can_read(tmp_path, signal):
    path = write_cnt(
        tmp_path / "x.cnt",
        signal,
        RECORDED,
        RATE,
        baselines=np.arange(len(RECORDED)) * 100,
        events=[(500, 1, 0, 0), (1000, 2, 0, 0)],
    )
    raw = mne.io.read_raw_cnt(path, verbose="ERROR")
    recording = read_neuroscan(path)
    np.testing.assert_allclose(recording.signal, raw.get_data(CAP) * 1e6, atol=1e-3)
    check(recording, signal)
    # MNE places every event one sample before its own
    assert [onset for onset, _ in recording.events] == pytest.approx(raw.annotations.onset + 1 / RATE)
    assert [text for _, text in recording.events] == list(raw.annotations.description) == ["1", "2"]


@pytest.mark.parametrize("table_type", [1, 2, 3])
def test_events_of_every_type_in_order_with_keys_told_apart(tmp_path, signal, table_type):
    events = [(1000, 2, 0, 0), (500, 1, 0, 0xD0), (700, 0, 0, 3), (600, 0, 4, 0)]  # 0xD0: accepted, no key
    path = write_cnt(tmp_path / "x.cnt", signal, RECORDED, RATE, events=events, table_type=table_type)
    texts = [(1.0, "1"), (1.2, "Keyboard Response 4"), (1.4, "KeyPad Response 3"), (2.0, "2")]
    assert read_neuroscan(path).events == texts


@pytest.mark.parametrize("place", [0, 1_000_000, 950])
def test_a_table_that_stands_elsewhere_is_found_by_the_count(tmp_path, signal, place):
    """As in files beyond 2 GB, where its place has overflown."""
    path = write_cnt(tmp_path / "x.cnt", signal, RECORDED, RATE, table_place=place, events=[(500, 1, 0, 0)])
    recording = read_neuroscan(path)
    check(recording, signal)
    assert recording.events == [(1.0, "1")]


def test_without_a_table_the_signal_ends_with_the_file(tmp_path, signal):
    path = write_cnt(tmp_path / "x.cnt", signal, RECORDED, RATE, table_place=0, header_samples=0)
    path.write_bytes(path.read_bytes()[:-9])
    recording = read_neuroscan(path)
    check(recording, signal)
    assert recording.events == []


def test_samples_in_blocks_by_channel(tmp_path, signal):
    check(read_neuroscan(write_cnt(tmp_path / "x.cnt", signal, RECORDED, RATE, per_block=40)), signal)


def test_slow_drifts_and_offsets_do_not_hide_the_width(tmp_path, signal):
    drifting = signal + np.linspace(-20_000, 20_000, signal.shape[1]) + 100 * np.arange(len(signal))[:, None]
    check(read_neuroscan(write_cnt(tmp_path / "x.cnt", drifting, RECORDED, RATE)), drifting)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.999])
def test_truncated_signal(tmp_path, signal, share):
    path = write_cnt(tmp_path / "x.cnt", signal, RECORDED, RATE)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    refused(path, "the file is truncated")


def test_truncated_event_table(tmp_path, signal):
    path = write_cnt(tmp_path / "x.cnt", signal, RECORDED, RATE, events=[(500, 1, 0, 0), (900, 2, 0, 0)])
    path.write_bytes(path.read_bytes()[:-3])
    refused(path, "no whole event table")


def refused(path, message):
    with pytest.raises(CorpusError, match=message) as error:
        read_neuroscan(path)
    assert error.value.path == str(path) and error.value.remedy
    return error.value


def test_no_width_gives_eeg(tmp_path, signal):
    path = write_cnt(tmp_path / "x.cnt", signal, RECORDED, RATE, resolution=1.0)
    content = bytearray(path.read_bytes())
    data = 900 + 75 * len(RECORDED)
    noise = np.random.default_rng(0).integers(-(2**31), 2**31, (len(content) - data) // 4, dtype=np.int64)
    content[data : data + 4 * len(noise)] = noise.astype("<i4").tobytes()
    path.write_bytes(bytes(content))
    refused(path, "no width of samples gives amplitudes of EEG: .*32 bits")
    flat = write_cnt(tmp_path / "flat.cnt", np.zeros_like(signal), RECORDED, RATE)
    assert refused(flat, "no width of samples").value == [0.0, 0.0]


def test_foreign_files(tmp_path):
    for name, content in (
        ("eep.cnt", b"RIFF" + bytes(5000)),
        ("text.cnt", b"no recording at all " * 200),
        ("short.cnt", b"Version 3.0"),
        ("zeros.cnt", bytes(5000)),
    ):
        (tmp_path / name).write_bytes(content)
        refused(tmp_path / name, "is not a Neuroscan recording")
    (tmp_path / "p.cnt").write_text("/annex/objects/MD5E-s1--0.cnt\n")
    refused(tmp_path / "p.cnt", "pointer")


def test_names_that_are_no_places(tmp_path):
    names = [f"X{number}" for number in range(62)]
    signal = np.array([tone("FP1", 20.0, np.arange(1000) / RATE)] * 62)
    with pytest.raises(MontageError, match=r"x\.cnt: no channel is a scalp"):
        read_neuroscan(write_cnt(tmp_path / "x.cnt", signal, names, RATE))
