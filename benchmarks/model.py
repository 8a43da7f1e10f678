"""How much of the machine the model uses: `python benchmarks/model.py [--threads N]`.

Prints, all measured in this run: windows/s, and the arithmetic done per second as a share of the same machine's
matrix-product rate. The arithmetic is counted by torch on the forward pass; a training step counts three forwards.
"""

import argparse
import time
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from mdjpt_hf import MDJPTConfig, MDJPTForPreTraining, MDJPTModel

GEMM_SIZE = 2048
TINY_BATCH = (4, 2, 16)  # datasets, subjects, clips: about the default run's step


def main() -> None:
    """Measure inference of the paper's network and a training step of the default one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--windows", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)
    gemm = gemm_rate(arguments.repeats)
    print(f"{arguments.threads} threads, float32; matrix product {GEMM_SIZE}³: {gemm / 1e9:.0f} GFLOP/s")
    inference(gemm, arguments.windows, arguments.repeats)
    training_step(gemm, arguments.repeats)


def fastest(run: Callable[[], object], repeats: int) -> float:
    """Seconds of the fastest of several runs, after one to warm up."""
    run()
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def gemm_rate(repeats: int) -> float:
    """FLOP/s of a large square matrix product."""
    first, second = torch.randn(2, GEMM_SIZE, GEMM_SIZE).unbind()
    return 2 * GEMM_SIZE**3 / fastest(lambda: first @ second, repeats)


def count_flops(run: Callable[[], object]) -> int:
    """Arithmetic of the matrix products and convolutions in one call."""
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def inference(gemm: float, windows: int, repeats: int) -> None:
    """The paper's network, eager."""
    model = MDJPTModel(MDJPTConfig()).eval()
    values = torch.randn(windows, 60, 625)
    with torch.no_grad():
        flops = count_flops(lambda: model(values))
        seconds = fastest(lambda: model(values), repeats)
    print(
        f"inference, paper's configuration: {windows / seconds:.1f} windows/s, {flops / windows / 1e9:.2f} GFLOP a "
        f"window, {flops / seconds / gemm:.0%} of the matrix-product rate"
    )


def training_step(gemm: float, repeats: int) -> None:
    """One step of the default run's network, which keeps its activations here."""
    datasets, subjects, clips = TINY_BATCH
    windows = datasets * subjects * clips
    ids = torch.arange(windows)
    batch = {
        "input_values": torch.randn(windows, 60, 625),
        "group_ids": ids // clips,
        "dataset_ids": ids // (subjects * clips),
        "stimulus_ids": ids % clips,
    }
    model = MDJPTForPreTraining(MDJPTConfig.preset("tiny", ffn_norm=False))
    optimizer = torch.optim.Adam(model.parameters())

    def step() -> None:
        optimizer.zero_grad()
        model(**batch).loss.backward()
        optimizer.step()

    with torch.no_grad():
        flops = 3 * count_flops(lambda: model(**batch))
    seconds = fastest(step, repeats)
    print(
        f"training step, default run, {windows} windows: {seconds:.2f} s, {windows / seconds:.0f} windows/s, "
        f"{flops / seconds / gemm:.0%} of the matrix-product rate (three forwards counted)"
    )


if __name__ == "__main__":
    main()
