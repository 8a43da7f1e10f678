"""Live use on one core: `python benchmarks/latency.py` (ONNX needs the extra `[onnx]`).

Prints how long one window of 5 s takes through encoder and classification head, for PyTorch as it is, compiled, and
ONNX Runtime with a file written by `mdjpt export`; and how many times faster than the signal comes in
`StreamingEncoder` is, which also filters, resamples and scales.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from mdjpt_hf import MDJPTConfig, MDJPTFeatureExtractor, MDJPTForSequenceClassification
from mdjpt_hf.modeling.montage_mdjpt import STANDARD_CHANNELS
from mdjpt_hf.sharing.export import export_onnx
from mdjpt_hf.streaming import StreamingEncoder

PRESETS = ("base", "fast", "tiny")
LABELS = {"id2label": {0: "negative", 1: "neutral", 2: "positive"}}
#: Of the live signal: electrodes, Hz and seconds.
CHANNELS, RATE, SECONDS = 32, 256, 60


def main() -> None:
    """Measure every preset on one thread."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    models = {preset: build(preset) for preset in PRESETS}
    print("one window of 5 s on one core, encoder and head, median ms")
    print("| preset | PyTorch | compiled | ONNX Runtime | ONNX Runtime / PyTorch | largest difference |")
    print("|---|---|---|---|---|---|")
    for preset, model in models.items():
        print(latency(preset, model, arguments.repeats))
    print(f"\nStreamingEncoder, {CHANNELS} channels at {RATE} Hz, a window of 5 s every 2 s, context 15 s")
    for preset, model in models.items():
        eager = stream(model)
        model.compile_encoder(for_inference=True)
        stream(model, seconds=6)  # compiles
        print(f"  {preset}: {eager:.0f} x real time, compiled {stream(model):.0f} x")


def build(preset: str) -> MDJPTForSequenceClassification:
    """A classifier with random weights; the time does not depend on them."""
    torch.manual_seed(0)
    return MDJPTForSequenceClassification(MDJPTConfig.preset(preset, **LABELS)).eval()


@torch.no_grad()
def latency(preset: str, model: MDJPTForSequenceClassification, repeats: int) -> str:
    """One row of the table."""
    window = torch.randn(1, 60, 625)
    wanted = model(window).logits.numpy()
    runs: dict[str, Callable[[], np.ndarray]] = {"eager": lambda: model(window).logits.numpy()}
    compiled = build(preset)
    compiled.load_state_dict(model.state_dict())
    compiled.compile_encoder(for_inference=True)
    runs["compiled"] = lambda: compiled(window).logits.numpy()
    if find_spec("onnxruntime"):
        runs["onnx"] = onnx_session(model, window)
    error = max(float(np.abs(run() - wanted).max()) for run in runs.values())
    rounds = [{name: _milliseconds(run) for name, run in runs.items()} for _ in range(repeats + 2)][2:]
    median = {name: statistics.median(one[name] for one in rounds) for name in runs}
    onnx = f"{median['onnx']:.1f} | {median['onnx'] / median['eager']:.2f}" if "onnx" in median else "not installed | "
    return f"| {preset} | {median['eager']:.1f} | {median['compiled']:.1f} | {onnx} | {error:.0e} |"


def _milliseconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return 1000 * (time.perf_counter() - started)


def onnx_session(model: MDJPTForSequenceClassification, window: torch.Tensor) -> Callable[[], np.ndarray]:
    """The model as a file, opened in ONNX Runtime on one thread."""
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        file = Path(folder) / "model.onnx"
        export_onnx(folder, file)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(file.read_bytes(), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"input_values": window.numpy()})[0]


def stream(model: MDJPTForSequenceClassification, seconds: int = SECONDS) -> float:
    """Seconds of signal taken in per second."""
    rng = np.random.default_rng(0)
    signal = rng.normal(0, 15, (CHANNELS, RATE * seconds))
    size = model.config.pooled_size
    prior = {"prior_mean": np.zeros(size), "prior_variance": np.ones(size)}
    encoder = StreamingEncoder(model, MDJPTFeatureExtractor(), list(STANDARD_CHANNELS[:CHANNELS]), RATE, **prior)
    started = time.perf_counter()
    for start in range(0, signal.shape[1], RATE // 8):  # as an amplifier sends it: eight blocks a second
        encoder.push(signal[:, start : start + RATE // 8])
    return seconds / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
