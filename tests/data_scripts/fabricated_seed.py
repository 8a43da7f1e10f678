"""Tiny files laid out as those of the SEED corpora: MAT files of trials, and Neuroscan recordings byte by byte."""

import struct

import numpy as np
import scipy.io

from mdjpt_hf.data_scripts.base import UnitReport

_CAP = (
    "FP1 FPZ FP2 AF3 AF4 F7 F5 F3 F1 FZ F2 F4 F6 F8 FT7 FC5 FC3 FC1 FCZ FC2 FC4 FC6 FT8 T7 C5 C3 C1 CZ C2 C4 C6 T8 "
    "TP7 CP5 CP3 CP1 CPZ CP2 CP4 CP6 TP8 P7 P5 P3 P1 PZ P2 P4 P6 P8 PO7 PO5 PO3 POZ PO4 PO6 PO8 CB1 O1 OZ O2 CB2"
)
CAP = _CAP.split()
#: The cap in MNE's spelling.
NAMES = [name.replace("FP", "Fp").replace("Z", "z") for name in CAP]


def tone(channel, amplitude, time):
    """µV: another frequency in every channel, from 4 to 34.5 Hz, so that a sample's place shows in its value."""
    return amplitude * np.sin(2 * np.pi * (4 + CAP.index(channel.upper()) / 2) * np.asarray(time) + 0.3)


def assert_tones(trial, amplitude, seconds, start=0.0):
    """Every channel of a trial is its tone from `start` on, at 125 Hz; the edges feel what was cut off."""
    time = np.arange(trial.signal.shape[1]) / 125
    assert trial.sampling_rate == 125 and abs(trial.signal.shape[1] - 125 * seconds) <= 1
    inner = slice(25, round(125 * seconds) - 25)
    for name, values in zip(trial.ch_names, trial.signal, strict=True):
        wanted = tone(name, amplitude, start + time)
        assert np.abs(values - wanted)[inner].max() < 0.02 * amplitude, name


def trial_matrix(amplitude, seconds=2.0, rate=200):
    """`(62, samples)` with one sample more than the seconds have."""
    time = np.arange(round(seconds * rate) + 1) / rate
    return np.array([tone(name, amplitude, time) for name in CAP])


def write_mat(path, variables, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, variables, appendmat=False, **options)
    return path


def with_extras(names=CAP, extras=("VEO", "HEO"), early=("M1",), late=("M2",)):
    """The cap's channels with others among them, as Neuroscan caps have them."""
    half = len(names) // 2
    return [*names[:half], *early, *names[half:], *late, *extras]


def cnt_signal(names, rate, seconds, spans, amplitude):
    """`(channels, samples)` in µV: the channels' tones, `amplitude(k)` loud in span k and 5 elsewhere.

    What is no channel of the cap is 40 µV at 40 Hz.
    """
    time = np.arange(round(seconds * rate)) / rate
    loudness = np.full(len(time), 5.0)
    for index, (start, end) in enumerate(spans):
        loudness[round(start * rate) : round(end * rate)] = amplitude(index)
    other = 40 * np.sin(2 * np.pi * 40 * time)
    return np.array([tone(name, loudness, time) if name in CAP else other for name in names])


def write_cnt(
    path,
    signal,
    names,
    rate=1000,
    width=4,
    resolution=None,
    events=(),
    table_type=1,
    header_samples=None,
    table_place=None,
    baselines=None,
    per_block=1,
    person="Roe Jane",
):
    """A Neuroscan recording.

    Args:
        signal: `(channels, samples)` in µV.
        resolution: µV per count.
        events: (sample, trigger, keyboard, keypad).
        header_samples, table_place: Instead of the true ones.
        per_block: Samples of one channel before those of the next.
    """
    n, resolution = len(names), resolution or (0.0298 if width == 4 else 0.168)
    baselines = np.zeros(n, dtype=int) if baselines is None else np.asarray(baselines)
    counts = np.round(signal / resolution).astype(np.int64) + baselines[:, None]
    assert np.abs(counts).max() < 2 ** (8 * width - 1)
    blocks = counts.reshape(n, -1, per_block).transpose(1, 0, 2)
    data = blocks.astype(f"<i{width}").tobytes()
    start = 900 + 75 * n
    setup = bytearray(900)
    setup[0:11] = b"Version 3.0"
    setup[21:25] = b"Q7Q1"
    setup[121 : 121 + len(person)] = person.encode()
    setup[225:243] = b"08/04/18\0\0" + b"09:30:00"
    struct.pack_into("<H", setup, 370, n)
    struct.pack_into("<H", setup, 376, rate)
    struct.pack_into("<i", setup, 864, signal.shape[1] if header_samples is None else header_samples)
    struct.pack_into("<I", setup, 886, start + len(data) if table_place is None else table_place)
    struct.pack_into("<i", setup, 894, per_block * width if per_block > 1 else 0)
    electrodes = bytearray(75 * n)
    for index, name in enumerate(names):
        electrodes[75 * index : 75 * index + len(name)] = name.encode()
        struct.pack_into("<h", electrodes, 75 * index + 47, int(baselines[index]))
        struct.pack_into("<f", electrodes, 75 * index + 59, 1.0)
        struct.pack_into("<f", electrodes, 75 * index + 71, 204.8 * resolution)
    listed = b""
    for sample, trigger, keyboard, keypad in events:
        place = sample if table_type == 3 else start + sample * n * width
        listed += struct.pack("<HBBi", trigger, keyboard, keypad, place)
        listed += struct.pack("<hhfBBB", 0, 0, 0.0, 0, 0, 0) if table_type > 1 else b""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(setup + electrodes) + data + struct.pack("<Bii", table_type, len(listed), 0) + listed)
    return path


def read(builder):
    """Every trial of a builder, and the reports of its units."""
    reports = {unit: UnitReport(unit) for unit in builder.units()}
    return [trial for unit in builder.units() for trial in builder.read_unit(unit, reports[unit])], reports


def everything_told(builder, trials, reports):
    """All that leaves a reader besides the signal, as one text."""
    rows = [{key: value for key, value in trial.to_row().items() if key != "signal"} for trial in trials]
    return repr([rows, reports, builder.metadata(), builder.notes()])
