"""Thousands of damaged files through the process that reads them: each is one error, a note, or finite numbers.

Every mutation follows from a fixed seed and the number of the file. What a file does to an outside reader stays in the
child; a child that dies is one file that failed.
"""

import pickle
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from queue import Queue

import edfio
import h5py
import mne
import numpy as np
import pybv
import scipy.io
from fabricated_seed import cnt_signal, with_extras, write_cnt

from mdjpt_hf.data_scripts.isolation import corpus_reader
from mdjpt_hf.data_scripts.neuroscan import NeuroscanRecording
from mdjpt_hf.errors import MDJPTError
from mdjpt_hf.modeling.isolated_mdjpt import Limits
from mdjpt_hf.modeling.signal_mdjpt import check_signal

NAMES, RATE, SECONDS = ["Fp1", "Fp2", "C3", "C4", "O1", "O2"], 200, 3
FILES = 2_100  # in all
#: A damaged file may ask for no more than this.
LIMITS = Limits(memory=2**30, seconds=20.0, file_bytes=2**29)

RECORDING = "mdjpt_hf.data_scripts.files:read_recording"
NEUROSCAN = "mdjpt_hf.data_scripts.neuroscan:read_neuroscan"
MATLAB = "mdjpt_hf.data_scripts.matlab:matlab_names"
CONTENT = "mdjpt_hf.data_scripts.matlab:_load_named"
PICKLE = "mdjpt_hf.data_scripts.pickles:load_pickle"
ARRAY = "mdjpt_hf.data_scripts.pickles:load_array"


def microvolts():
    return np.random.default_rng(0).normal(0, 20, (len(NAMES), SECONDS * RATE))


def raw():
    raw = mne.io.RawArray(microvolts() * 1e-6, mne.create_info(NAMES, RATE, "eeg"), verbose="ERROR")
    return raw.set_annotations(mne.Annotations([0.5, 1.0], [0.0, 0.5], ["start", "BAD_jump"]))


def write_edf(path, write=edfio.Edf, signal=edfio.EdfSignal):
    annotations = [edfio.EdfAnnotation(0.5, None, "start"), edfio.EdfAnnotation(1.0, 0.5, "BAD_jump")]
    signals = [
        signal(row, RATE, label=name, physical_dimension="uV", physical_range=(-200, 200))
        for name, row in zip(NAMES, microvolts(), strict=True)
    ]
    write(signals, annotations=annotations).write(path)


def write_brainvision(path):
    pybv.write_brainvision(
        data=microvolts() * 1e-6,
        sfreq=RATE,
        ch_names=NAMES,
        fname_base=path.stem,
        folder_out=path.parent,
        events=np.array([[100, 1], [300, 2]]),
    )


def write_set(path, compressed):
    places = [{"labels": name, "X": 1.0, "Y": 0.0, "Z": 0.0} for name in NAMES]
    events = [
        {"type": "start", "latency": 100.0, "duration": 1.0},
        {"type": "boundary", "latency": 300.5, "duration": 5.0},
    ]
    eeg = {"trials": 1, "nbchan": len(NAMES), "pnts": SECONDS * RATE, "srate": float(RATE), "data": microvolts()}
    eeg |= {"chanlocs": places, "event": events, "xmin": 0.0, "xmax": float(SECONDS), "setname": "one", "icawinv": []}
    scipy.io.savemat(path, {"EEG": eeg}, do_compression=compressed)


def write_mat(path, compressed):
    cells = np.empty((1, 3), dtype=object)
    cells[0, :] = [microvolts()[:2, :50], "text", np.arange(4, dtype=np.uint8)]
    content = {"a": microvolts()[:, :100], "cells": cells, "struct": {"x": 1.0, "y": "z", "deep": {"k": [1, 2]}}}
    scipy.io.savemat(path, content, do_compression=compressed)


def write_mat73(path):
    with h5py.File(path, "w", userblock_size=512) as file:
        for name in ("a", "b"):
            file.create_dataset(name, data=microvolts()[:, :100], chunks=(2, 50), compression="gzip")


def write_pickle(path, protocol):
    path.write_bytes(
        pickle.dumps({"data": microvolts()[:, :50], "labels": [1, 2.5, "x", None], "more": (b"y",)}, protocol)
    )


def write_array(path, pickled):
    np.save(path, np.array({"a": microvolts()[:2, :40]}) if pickled else microvolts()[:, :60], allow_pickle=pickled)


def write_neuroscan(path):
    recorded = with_extras()
    write_cnt(path, cnt_signal(recorded, 500, 1, [(0, 1)], lambda _: 30.0), recorded, 500, 2, events=[(100, 1, 0, 0)])


#: Name of the file -> (what writes it, the functions that read it, share of all files).
KINDS = {
    "a.edf": (write_edf, (RECORDING,), 4),
    "a.bdf": (partial(write_edf, write=edfio.Bdf, signal=edfio.BdfSignal), (RECORDING,), 3),
    "a.vhdr": (write_brainvision, (RECORDING,), 4),
    "a_raw.fif": (lambda path: raw().save(path, verbose="ERROR"), (RECORDING,), 4),
    "a.set": (partial(write_set, compressed=False), (RECORDING,), 3),
    "b.set": (partial(write_set, compressed=True), (RECORDING,), 1),
    "a.cnt": (write_neuroscan, (NEUROSCAN, RECORDING), 3),
    "a.mat": (partial(write_mat, compressed=False), (MATLAB, CONTENT), 3),
    "b.mat": (partial(write_mat, compressed=True), (MATLAB, CONTENT), 2),
    "c.mat": (write_mat73, (MATLAB, CONTENT), 2),
    "a.pkl": (partial(write_pickle, protocol=2), (PICKLE,), 2),
    "b.dat": (partial(write_pickle, protocol=5), (PICKLE,), 2),
    "a.npy": (partial(write_array, pickled=False), (ARRAY,), 1),
    "b.npy": (partial(write_array, pickled=True), (ARRAY,), 2),
}


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """Bytes flipped, cut, repeated or lost, mostly near the start; numbers in text made absurd."""
    data = bytearray(content)
    # headers are small and decide most
    reach = len(data) if rng.random() < 0.3 else min(len(data), int(10 ** rng.uniform(1, 3.5)))

    for _ in range(int(rng.integers(1, 4))):
        start, length = int(rng.integers(max(1, min(reach, len(data))))), int(2 ** rng.uniform(0, 8))
        WAYS[int(rng.integers(len(WAYS)))](data, start, length, rng)
        data = data or bytearray(1)
    return bytes(data)


def flip(data, start, length, rng):
    for place in rng.integers(start, min(len(data), start + 2 * length), size=int(rng.integers(1, 17))):
        data[place] ^= 1 << int(rng.integers(8))


def fill(data, start, length, rng):
    data[start : start + length] = rng.choice([b"\0", b"\xff", b" ", b"9"]) * min(length, len(data) - start)


def lose(data, start, length, rng):
    del data[start : start + length]


def repeat(data, start, length, rng):
    data[start:start] = data[start : start + length]


def cut(data, start, length, rng):
    if rng.random() < 0.5:
        del data[max(1, int(len(data) * rng.random())) :]


def exaggerate(data, start, length, rng):
    numbers = list(re.finditer(rb"\d+", bytes(data[start : start + 400])))
    if numbers:
        number = numbers[int(rng.integers(len(numbers)))]
        absurd = [b"0", b"-1", b"1", b"9" * len(number[0]), b"nan", b"1e9", b"999999999"][int(rng.integers(7))]
        data[start + number.start() : start + number.end()] = absurd.ljust(len(number[0]))[: len(number[0])]


WAYS = (flip, fill, lose, repeat, cut, exaggerate)


def read(reader, kind, path):
    """What became of a file: the kind of our error, or `read` with finite numbers."""
    for function in KINDS[kind][1]:
        more = (["a", "cells", "struct"],) if function == CONTENT and kind != "c.mat" else ()
        more = (["a", "b"],) if function == CONTENT and kind == "c.mat" else more
        try:
            found = reader.call(function, path, *more)
            recording = found[0] if isinstance(found, tuple) and function == RECORDING else found
            if function in (RECORDING, NEUROSCAN):
                check_signal(recording.signal, recording.ch_names)  # as every use of a recording does next
        except MDJPTError as error:
            assert str(path) in str(error) or "signal" in str(error) or "channel" in str(error), str(error)
            return "died" if "did not survive" in str(error) else type(error).__name__
    return "read"


def test_no_damaged_file_is_more_than_an_error(tmp_path):
    weights = sum(share for _, _, share in KINDS.values())
    jobs = [(kind, n) for kind, (_, _, share) in KINDS.items() for n in range(-(-FILES * share // weights))]
    for kind, (write, _, _) in KINDS.items():
        (tmp_path / kind).mkdir()
        write(tmp_path / kind / kind)
    readers = Queue()
    for _ in range(2):
        readers.put(corpus_reader(LIMITS))
        readers.queue[-1].classes["NeuroscanRecording"] = NeuroscanRecording

    def try_one(job):
        kind, number = job
        rng = np.random.default_rng([ord(letter) for letter in kind] + [number])
        originals = sorted((tmp_path / kind).iterdir())
        folder = tmp_path / f"{kind}-{number}"
        folder.mkdir()
        victim = originals[int(rng.integers(len(originals)))]
        for path in originals:
            content = path.read_bytes()
            (folder / path.name).write_bytes(mutated(content, rng) if path == victim and number else content)
        reader = readers.get()
        try:
            return job, read(reader, kind, folder / kind)
        finally:
            readers.put(reader)

    with ThreadPoolExecutor(2) as pool:
        outcomes = dict(pool.map(try_one, jobs))
    for _ in range(2):
        readers.get().close()
    assert len(outcomes) >= 2_000
    assert all(outcomes[kind, 0] == "read" for kind in KINDS if kind != "a.cnt"), outcomes  # the first is whole
    counts = {kind: Counter(found for (name, _), found in outcomes.items() if name == kind) for kind in KINDS}
    print(counts)
    assert all(sum(count.values()) - count["read"] > 10 for kind, count in counts.items()), counts
