"""Live use beside an acquisition: `python benchmarks/live.py` (ONNX needs the extra `[onnx]`).

Prints, on one thread, how long it takes from the last sample of a window to its answer (median and 99th percentile),
how long the processor is busy with it, which others on the machine change less, and how many times faster than life the
whole stream is taken in; for 14, 32 and 64 channels at 250 Hz, every preset, PyTorch and ONNX Runtime. A process of
its own meanwhile sends a stream through Lab Streaming Layer on loopback, which is read on the side, as an acquisition
would be; `--alone` leaves it out.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from mdjpt_hf import MDJPTConfig, MDJPTFeatureExtractor, MDJPTForSequenceClassification
from mdjpt_hf.live.lsl import LOOPBACK
from mdjpt_hf.modeling.montage_mdjpt import STANDARD_CHANNELS
from mdjpt_hf.sharing.export import export_onnx
from mdjpt_hf.streaming import StreamingEncoder

PRESETS, CHANNELS, RATE = ("tiny", "fast", "base"), (14, 32, 64), 250.0
NAMES = [*STANDARD_CHANNELS, "FT9", "FT10", "TP9", "TP10"]

#: A sender of 64 channels, and somebody who reads it.
ACQUISITION = f"""
import sys, threading, time
import numpy as np, pylsl
pylsl.set_config_content({LOOPBACK!r})
outlet = pylsl.StreamOutlet(pylsl.StreamInfo("acquisition", "EEG", 64, 250, "float32", "acquisition"))
inlet = pylsl.StreamInlet(pylsl.resolve_byprop("name", "acquisition", timeout=10)[0], as_numpy=True)
chunk = np.random.default_rng(0).normal(0, 15, (16, 64)).astype(np.float32)
begun, sent = time.monotonic(), 0
while True:
    sent += 16
    time.sleep(max(0.0, begun + sent / 250 - time.monotonic()))
    outlet.push_chunk(chunk)
    inlet.pull_chunk(timeout=0.0)
"""


def main() -> None:
    """Measure every combination on one thread."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=100, help="That are measured, of each combination.")
    parser.add_argument("--alone", action="store_true", help="Without an acquisition beside it.")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"load of the machine: {os.getloadavg()[0]:.1f} of {os.cpu_count()} cores, before anything was started\n")
    print("| preset | channels | runtime | median ms | 99 % ms | processor ms | times real time |")
    print("|---|---|---|---|---|---|---|")
    with acquisition(not arguments.alone):
        for preset in PRESETS:
            for runtime, model in models(preset):
                for channels in CHANNELS:
                    waited, worked, speed = measure(model, channels, arguments.windows)
                    median, late = 1000 * np.percentile(waited, [50, 99])
                    numbers = f"{median:.0f} | {late:.0f} | {1000 * np.median(worked):.0f} | {speed:.0f}"
                    print(f"| {preset} | {channels} | {runtime} | {numbers} |", flush=True)


@contextmanager
def acquisition(wanted: bool) -> Iterator[None]:
    """A process that sends and reads a stream."""
    process = subprocess.Popen([sys.executable, "-c", ACQUISITION]) if wanted else None
    try:
        yield
    finally:
        if process is not None:
            process.kill()
            process.wait()


def models(preset: str) -> Iterator[tuple[str, Any]]:
    """The network of a preset in PyTorch, and what stands in for it in ONNX Runtime."""
    torch.manual_seed(0)
    model = MDJPTForSequenceClassification(MDJPTConfig.preset(preset, num_labels=3)).eval()
    yield "PyTorch", model
    if find_spec("onnxruntime") and find_spec("onnxscript"):
        yield "ONNX Runtime", Exported(model)


class Exported:
    """A classifier whose encoder is a file in ONNX Runtime, with the parts of a model that a stream asks for."""

    def __init__(self, model: MDJPTForSequenceClassification):
        import onnxruntime

        with tempfile.TemporaryDirectory() as folder:
            model.base_model.save_pretrained(folder)
            file = Path(folder) / "model.onnx"
            export_onnx(folder, file)
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = 1
            session = onnxruntime.InferenceSession(file.read_bytes(), options, providers=["CPUExecutionProvider"])
        self.config, self.classifier, self.base_model = model.config, model.classifier, _Encoder(session)

    def eval(self) -> "Exported":
        """As it is."""
        return self


class _Encoder:
    device, dtype = torch.device("cpu"), torch.float32

    def __init__(self, session: Any):
        self._session = session

    def __call__(self, windows: torch.Tensor) -> SimpleNamespace:
        (features,) = self._session.run(None, {"input_values": windows.numpy()})
        return SimpleNamespace(pooler_output=torch.from_numpy(features))


def measure(model: Any, channels: int, windows: int) -> tuple[list[float], list[float], float]:
    """Of every window the seconds from its last sample to its answer, and those that the processor was busy with it;
    and seconds of signal taken in per second."""
    rng, chunk = np.random.default_rng(0), round(RATE / 10)
    stream = StreamingEncoder(model, MDJPTFeatureExtractor(), NAMES[:channels], RATE)
    signal = rng.normal(0, 15, (channels, round(RATE * 30)))
    stream.push(signal)  # caches are warm, and the context is full
    waited: list[float] = []
    worked: list[float] = []
    taken, begun = 0.0, time.perf_counter()
    while len(waited) < windows:
        part = rng.integers(0, signal.shape[1] - chunk)
        started, busy = time.perf_counter(), time.process_time()
        if stream.push(signal[:, part : part + chunk]):
            waited.append(time.perf_counter() - started)
            worked.append(time.process_time() - busy)
        taken += chunk / RATE
    return waited, worked, taken / (time.perf_counter() - begun)


if __name__ == "__main__":
    main()
