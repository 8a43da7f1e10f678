"""Many at once and much at a time: memory stays bounded, and every answer is the one that is given alone."""

import base64
import contextlib
import json
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor

import edfio
import mne
import numpy as np
import psutil
import pytest
import torch

from mdjpt_hf import EEGEmotionPipeline, MDJPTConfig, MDJPTFeatureExtractor, MDJPTForSequenceClassification
from mdjpt_hf.demo.recognition import recognise_uploads
from mdjpt_hf.modeling.handler import PEAK_BYTES, EndpointHandler
from mdjpt_hf.modeling.mne_mdjpt import template_montage

NAMES, RATE = ["Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2"], 250
SIZES = {"hidden_size": 8, "num_attention_heads": 2, "feature_size": 4, "spatial_channels": 6, "intermediate_size": 12}
LABELS = {"id2label": {0: "low", 1: "high"}, "label2id": {"low": 0, "high": 1}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model")
    model = MDJPTForSequenceClassification(MDJPTConfig.preset("tiny", **SIZES, **LABELS)).eval()
    with torch.no_grad():  # a head with opinions
        model.classifier[-1].weight.mul_(200)
    model.save_pretrained(folder)
    MDJPTFeatureExtractor().save_pretrained(folder)
    return folder


def values(seed, seconds=9):
    return np.random.default_rng(seed).normal(0, 15, (len(NAMES), seconds * RATE))


def write_edf(path, signal, ch_names=NAMES, rate=RATE):
    signals = [
        edfio.EdfSignal(row, rate, label=name, physical_dimension="uV", physical_range=(-500, 500))
        for name, row in zip(ch_names, signal, strict=True)
    ]
    edfio.Edf(signals).write(path)
    return path


def requests(place):
    """Signals, files, damaged files and nonsense."""
    for seed in range(5):
        signal = {"signal": values(seed).tolist(), "ch_names": NAMES, "sampling_rate": RATE}
        file = write_edf(place / f"{seed}.edf", values(seed)).read_bytes()
        yield {"inputs": signal, "parameters": {"smoothing": "causal"}}
        yield {"inputs": [{"edf": base64.b64encode(file).decode()}, signal]}
        yield {"inputs": {"edf": base64.b64encode(file[:700]).decode()}}
        yield {"inputs": {**signal, "unit": "V"}}
        yield {"inputs": {**signal, "signal": [["text", 1.0]]}}


def watched(action):
    """What an action returns, and by how many bytes this process grew at most meanwhile."""
    process, ended, peak = psutil.Process(), threading.Event(), [0]
    before = process.memory_info().rss

    def watch():
        while not ended.wait(0.02):
            peak[0] = max(peak[0], process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        return action(), peak[0] - before
    finally:
        ended.set()
        watcher.join()


def reading_processes():
    """Those this process has started to read files, the ones that other tests keep included."""
    found = set()
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if "-I" in child.cmdline():
                found.add(child.pid)
    return found


@pytest.mark.slow
def test_fifty_mixed_requests_at_once_get_the_answers_they_get_alone(folder, tmp_path):
    handler, bodies, others = EndpointHandler(str(folder)), list(requests(tmp_path)), reading_processes()
    alone = [json.dumps(handler(body), allow_nan=False) for body in bodies]
    assert sum("error" in answer for answer in alone) == 15
    with ThreadPoolExecutor(50) as pool:
        together, grown = watched(lambda: list(pool.map(handler, bodies * 2)))
    assert [json.dumps(answer) for answer in together] == alone * 2
    assert grown < 300 * 2**20
    assert len(reading_processes() - others) <= 1  # a spare one


@pytest.mark.slow
def test_twelve_visitors_of_the_page_at_once(folder, tmp_path):
    model = MDJPTForSequenceClassification.from_pretrained(folder).eval()
    recogniser = EEGEmotionPipeline(model=model, feature_extractor=MDJPTFeatureExtractor())
    files = [write_edf(tmp_path / f"{seed}.edf", values(seed, 7)) for seed in range(4)]
    (tmp_path / "broken.edf").write_bytes(files[0].read_bytes()[:600])

    def visit(path):
        try:
            found = recognise_uploads(recogniser, [str(path)])
        except ValueError as error:
            assert str(tmp_path) not in str(error) and "/" not in str(error).replace("EDF", "")
            return str(error)
        return found.result, found.evidence, found.signal.tolist()

    paths = [*files, tmp_path / "broken.edf", files[1]]
    alone = [visit(path) for path in paths]
    with ThreadPoolExecutor(12) as pool:
        together, grown = watched(lambda: list(pool.map(visit, paths * 2)))
    for found, wanted in zip(together, alone * 2, strict=True):
        assert found == wanted
    assert isinstance(alone[4], str) and grown < 300 * 2**20


LIMITED = """
    import json, resource, sys
    import numpy as np
    from mdjpt_hf.modeling.electrodes_mdjpt import ELECTRODES
    from mdjpt_hf.modeling.handler import PEAK_BYTES, EndpointHandler

    handler = EndpointHandler(sys.argv[1])
    channels, samples, rate, parameters = json.loads(sys.argv[2])
    row = np.random.default_rng(0).normal(0, 20, samples).tolist()
    rows = [row[7 * channel :] + row[: 7 * channel] for channel in range(channels)]
    spread = "Fp1 Fp2 C3 C4 O1 O2 F7 F8 P3 P4".split()
    names = list(ELECTRODES)[:channels] if channels > 10 else spread
    handler({"inputs": {"signal": [r[: 8 * rate] for r in rows], "ch_names": names, "sampling_rate": rate}})
    now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + PEAK_BYTES,) * 2)
    body = {"signal": rows, "ch_names": names, "sampling_rate": rate}
    answer = handler({"inputs": body, "parameters": parameters})
    print(json.dumps([answer.get("error"), len(answer.get("windows", []))]))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory of a process is bound on Linux alone")
@pytest.mark.parametrize(
    ("request_", "windows"),
    [
        ((64, 1_000_000, 250, {"batch_size": 1024}), 1998),
        ((10, 490_000, 250, {"stride_seconds": 0.5, "batch_size": 1024}), 3942),
        ((10, 330_000, 100, {"window_seconds": 60, "stride_seconds": 10, "batch_size": 1024}), 325),
    ],
    ids=["long", "many windows", "long windows"],
)
def test_the_largest_requests_keep_within_the_memory_that_is_stated(folder, request_, windows):
    assert PEAK_BYTES == 2 * 2**30
    command = [sys.executable, "-c", textwrap.dedent(LIMITED), str(folder), json.dumps(request_)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    error, found = json.loads(done.stdout.splitlines()[-1])
    assert error is None and found == windows, (error, found, done.stderr[-500:])


LONG = """
    import resource, sys
    from pathlib import Path
    import psutil
    from mdjpt_hf.inference.prediction import predict

    before = psutil.Process().memory_info().rss
    table = predict(sys.argv[1], Path(sys.argv[2]))
    peaks = [resource.getrusage(who).ru_maxrss * 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(len(table.splitlines()), peaks[0] - before, peaks[1])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted in other units elsewhere")
def test_two_hours_of_sixty_channels_through_predict(folder, tmp_path):
    """216 MB on disk and 432 MB as the float32 that everything is computed in."""
    ch_names = [
        name for name in mne.channels.make_standard_montage(template_montage()).ch_names if name[-1:].isdigit()
    ][:60]
    minute = np.random.default_rng(0).normal(0, 15, (60, 60 * RATE))
    write_edf(tmp_path / "long.edf", np.tile(minute, 120), ch_names)
    command = [sys.executable, "-c", textwrap.dedent(LONG), str(folder), str(tmp_path / "long.edf")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stderr[-2000:]
    lines, grown, reader = map(int, done.stdout.split()[-3:])
    assert lines > 3_590 and grown < 3 * 2**30 and reader < 1.5 * 2**30
