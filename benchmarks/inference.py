"""What a window costs before it has an answer: `python benchmarks/inference.py`.

Prints a table: windows/s in batches of 16, milliseconds of a single window and size, of `tiny`, `fast` and `base` as
they are, compiled and in onnxruntime (the extra `[onnx]`), and, with the extra `[braindecode]`, of published foundation
models with random weights, each at the rate it was made for; on one core and on two. Windows have 60 channels and 5 s.
Networks take turns, so that all meet the same load; a figure is the median of its turns.
"""

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import torch
from model import OTHERS, other_network, seconds_of
from torch import nn

from mdjpt_hf import MDJPTConfig, MDJPTModel
from mdjpt_hf.inference.onnx_model import OnnxModel
from mdjpt_hf.sharing.export import export_onnx

PRESETS = ("tiny", "fast", "base")
BATCH = 16
#: What is aimed at: a network of ours, one of others, how many times as fast it should be.
GOALS = (("fast", "LUNA", 1.5), ("fast", "CBraMod", 8.0))


@dataclass(frozen=True)
class Row:
    """A network in a runtime: how it is called, on a batch and on one window, and its bytes."""

    network: str
    runtime: str
    batch: Callable[[], object]
    single: Callable[[], object]
    size: int


def main() -> None:
    """Measure with one core and with two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--only", nargs="+", default=[*PRESETS, *OTHERS], help="networks; default all")
    arguments = parser.parse_args()
    torch.set_flush_denormal(True)
    with tempfile.TemporaryDirectory() as name, torch.no_grad():
        for threads in arguments.threads:
            torch.set_num_threads(threads)
            rows = [*ours(Path(name), threads, arguments.only), *others(arguments.only)]
            report(rows, threads, arguments.turns)


def ours(folder: Path, threads: int, names: list[str]) -> list[Row]:
    """Presets in every runtime."""
    rows = []
    for preset in filter(names.__contains__, PRESETS):
        torch.manual_seed(0)
        model = MDJPTModel(MDJPTConfig.preset(preset)).eval()
        compiled = MDJPTModel(MDJPTConfig.preset(preset)).eval()
        compiled.load_state_dict(model.state_dict())
        compiled.compile_encoder(for_inference=True)
        rows += [_row(preset, "PyTorch", model, _bytes(model)), _row(preset, "compiled", compiled, _bytes(model))]
        if find_spec("onnxruntime"):
            model.save_pretrained(folder / preset)
            path = folder / f"{preset}.onnx"
            if not path.exists():
                export_onnx(str(folder / preset), path)
            opened = OnnxModel(path, threads)
            rows.append(
                _row(preset, "onnxruntime", lambda values, opened=opened: opened(values.numpy()), path.stat().st_size)
            )
    return rows


def _row(network: str, runtime: str, model: Callable[[torch.Tensor], object], size: int) -> Row:
    many, one = torch.randn(BATCH, 60, 625), torch.randn(1, 60, 625)
    return Row(network, runtime, lambda: model(many), lambda: model(one), size)


def others(names: list[str]) -> list[Row]:
    """braindecode's networks as they are."""
    if not find_spec("braindecode"):
        return []
    rows = []
    for name in filter(names.__contains__, OTHERS):
        (network, many), (_, one) = other_network(name, BATCH), other_network(name, 1)
        rows.append(Row(name, "PyTorch", many, one, _bytes(network)))
    return rows


def _bytes(model: nn.Module) -> int:
    return sum(weight.nbytes for weight in model.parameters())


def report(rows: list[Row], threads: int, turns: int) -> None:
    """Print the table and how the goals stand."""
    spent: list[list[tuple[float, float]]] = [[] for _ in rows]
    for _ in range(turns + 1):
        for times, row in zip(spent, rows, strict=True):
            times.append((seconds_of(row.batch), seconds_of(row.single)))
    batches = [BATCH / median(many for many, _ in times[1:]) for times in spent]
    print(f"\n{threads} cores, {turns} turns\n| network | runtime | windows/s | one window, ms | MB |")
    print("|---|---|---|---|---|")
    for row, rate, times in zip(rows, batches, spent, strict=True):
        alone = 1000 * median(one for _, one in times[1:])
        print(f"| {row.network} | {row.runtime} | {rate:.1f} | {alone:.1f} | {row.size / 1e6:.1f} |")
    found = {row.network: rate for row, rate in zip(rows, batches, strict=True) if row.runtime == "PyTorch"}
    for one, other, goal in GOALS:
        if {one, other} <= set(found):
            print(f"{one} / {other}: {found[one] / found[other]:.2f} x the windows/s (goal {goal})")


if __name__ == "__main__":
    main()
