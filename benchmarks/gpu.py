"""What a GPU makes of the networks: `python benchmarks/gpu.py [--minutes 8]`.

Made to fit into ten minutes of a borrowed GPU: sections come in the order of their worth, each begins only while there
is time, and every line is printed when it is known. Without a GPU it runs on the CPU at small size, so that it is known
to work; its figures mean nothing then, and it says so.

1. Correctness: features and the gradient of a training step against the CPU in float64, in float32, TF32 and bfloat16.
2. Inference: windows/s of every preset, in each precision, as it is and compiled, and the arithmetic done per second as
   a share of the device's own matrix products in that precision, measured here.
3. Training: the same for a step of the paper's network, with the peak of device memory.
4. The largest step that fits, in each way of `recompute`, found by doubling until memory ends; and the way that
   `recompute: auto` would choose for the paper's own 284 windows.
5. Where time goes: the kernels that took longest in a training step.
6. A projection: the windows of the paper's schedule (20 epochs of 1,024 steps of 284) from counted arithmetic and the
   share reached in 3, on one device and on eight at an assumed efficiency; the same for rates given with `--rates`. It
   is arithmetic, not a measurement.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from statistics import median
from typing import Any

import torch
from accelerate import Accelerator
from limits import PAIRS as PAPER_PAIRS
from limits import stand_in
from model import count_flops
from training_steps import step_batch

from mdjpt_hf import MDJPTConfig, MDJPTForPreTraining, MDJPTModel
from mdjpt_hf.errors import ConfigurationError
from mdjpt_hf.training.config import WAYS
from mdjpt_hf.training.fitting import choose_way, is_out_of_memory
from mdjpt_hf.training.ways import use_way

PRESETS = ("base", "fast", "tiny")
PAPER_STEPS = 20 * 1024
#: Arithmetic of a training step, in forwards.
FORWARDS = 3
#: Of eight devices, assumed: two processes on two cores reach 0.82 (`benchmarks/processes.py`).
EFFICIENCY = 0.8


@dataclass(frozen=True)
class Size:
    """How much is measured: windows of a batch and of a step, size of the matrix product, calls that are timed."""

    windows: int
    pairs: tuple[int, ...]
    product: int
    repeats: int
    largest: int


LARGE = Size(512, (15, 40), 8192, 5, 2**16)
SMALL = Size(4, (2, 2), 1024, 2, 16)


@dataclass
class Bench:
    """The device, how much is measured on it, and until when; by precision, what its products and steps reached."""

    device: torch.device
    size: Size
    until: float
    rates: dict[str, float] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)

    def seconds(self, run: Callable[[], object]) -> float:
        """Median of several calls, after two to warm up."""
        times = []
        for number in range(self.size.repeats + 2):
            started = time.perf_counter()
            run()
            if self.device.type == "cuda":
                torch.cuda.synchronize()
            times += [time.perf_counter() - started] if number > 1 else []
        return median(times)

    def peak(self) -> str:
        return f"{torch.cuda.max_memory_allocated() / 1e9:.2f}" if self.device.type == "cuda" else "-"

    def forget(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()


@contextmanager
def precision(name: str, device: torch.device) -> Iterator[None]:
    """`float32`, `tf32` or `bf16`: what products are computed in."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if name == "tf32" else "highest")
    try:
        with torch.autocast(device.type, torch.bfloat16) if name == "bf16" else nullcontext():
            yield
    finally:
        torch.set_float32_matmul_precision(before)


def precisions(device: torch.device) -> tuple[str, ...]:
    """A CPU has no TF32."""
    return ("float32", "tf32", "bf16") if device.type == "cuda" else ("float32", "bf16")


def main() -> None:
    """Run the sections that there is time for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=8.0, help="no section begins later")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--rates", type=float, nargs="*", default=[], help="TFLOP/s of other devices, to project for")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    bench = Bench(device, LARGE if device.type == "cuda" else SMALL, time.monotonic() + 60 * arguments.minutes)
    if device.type == "cuda":
        print(f"{torch.cuda.get_device_name()}, {torch.cuda.get_device_properties(0).total_memory / 1e9:.0f} GB")
    else:
        print("no GPU: a rehearsal on the CPU at small size; no figure below says anything about a GPU")
    for section in (correctness, products, inference, training, largest, kernels):
        if time.monotonic() > bench.until:
            print(f"\n{section.__name__}: no time left")
            continue
        section(bench)
    projection(bench, arguments.rates)


def training_network(device: torch.device, preset: str = "base", **fields: Any) -> MDJPTForPreTraining:
    """The same weights every time."""
    torch.manual_seed(0)
    return MDJPTForPreTraining(MDJPTConfig.preset(preset, **fields)).train().to(device)


def batch_on(pairs: tuple[int, ...], device: torch.device) -> dict[str, torch.Tensor]:
    """A pair of each corpus on the device."""
    return {name: values.to(device) for name, values in step_batch(pairs).items()}


def correctness(bench: Bench) -> None:
    """Features and gradients against the CPU in float64."""
    print("\nagainst the CPU in float64, relative to the norm\n| precision | features | loss | gradient |")
    print("|---|---|---|---|")
    wanted = _outcome(training_network(torch.device("cpu")).double(), _double(batch_on((4, 6), torch.device("cpu"))))
    for name in precisions(bench.device):
        with precision(name, bench.device):
            found = _outcome(training_network(bench.device), batch_on((4, 6), bench.device))
        errors = [float((one - other).norm() / other.norm()) for one, other in zip(found, wanted, strict=True)]
        print(f"| {name} | " + " | ".join(f"{error:.1e}" for error in errors) + " |", flush=True)


def _double(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return batch | {"input_values": batch["input_values"].double()}


def _outcome(model: MDJPTForPreTraining, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
    found = model(**batch)
    found.loss.backward()
    gradient = torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None])
    return tuple(part.detach().cpu().double() for part in (found.embeddings, found.loss.reshape(1), gradient))


def products(bench: Bench) -> None:
    """FLOP/s of a large square product in each precision."""
    side = bench.size.product
    first, second = torch.randn(2, side, side, device=bench.device).unbind()
    for name in precisions(bench.device):
        with precision(name, bench.device):
            bench.rates[name] = 2 * side**3 / bench.seconds(lambda: first @ second)
    told = ", ".join(f"{name} {rate / 1e12:.2f}" for name, rate in bench.rates.items())
    print(f"\nmatrix product {side}³, TFLOP/s: {told}", flush=True)


@torch.no_grad()
def inference(bench: Bench) -> None:
    """Windows/s of every preset."""
    windows = bench.size.windows
    values = torch.randn(windows, 60, 625, device=bench.device)
    print(f"\ninference, {windows} windows a batch\n| network | precision | | windows/s | share | peak, GB |")
    print("|---|---|---|---|---|---|")
    for preset in PRESETS:
        model = MDJPTModel(MDJPTConfig.preset(preset)).eval().to(bench.device)
        flops = count_flops(lambda model=model: model(values[:2])) / 2 * windows
        for name in precisions(bench.device):
            for how, run in (("as it is", model), ("compiled", torch.compile(model, dynamic=True))):
                if time.monotonic() > bench.until:
                    return
                bench.forget()
                with precision(name, bench.device):
                    spent = bench.seconds(lambda run=run: run(values))
                share = flops / spent / bench.rates[name]
                print(
                    f"| {preset} | {name} | {how} | {windows / spent:.1f} | {share:.0%} | {bench.peak()} |", flush=True
                )


def training(bench: Bench) -> None:
    """Windows/s of a step of the paper's network."""
    batch = batch_on(bench.size.pairs, bench.device)
    windows = len(batch["input_values"])
    print(f"\ntraining step of the paper's network, {windows} windows, {FORWARDS} forwards counted")
    print("| precision | | seconds | windows/s | share | peak, GB |\n|---|---|---|---|---|---|")
    for name in precisions(bench.device):
        for how in ("as it is", "compiled"):
            if time.monotonic() > bench.until:
                return
            bench.forget()
            model = training_network(bench.device)
            run = torch.compile(model, dynamic=True) if how == "compiled" else model
            with precision(name, bench.device):
                spent = bench.seconds(_step(run, model, batch))
            share = FORWARDS * window_flops() * windows / spent / bench.rates[name]
            bench.shares[name] = max(share, bench.shares.get(name, 0.0))
            print(
                f"| {name} | {how} | {spent:.2f} | {windows / spent:.1f} | {share:.0%} | {bench.peak()} |", flush=True
            )


def _step(run: Any, model: MDJPTForPreTraining, batch: dict[str, torch.Tensor]) -> Callable[[], object]:
    optimizer = torch.optim.Adam(model.parameters())

    def step() -> None:
        optimizer.zero_grad()
        run(**batch).loss.backward()
        optimizer.step()

    return step


@cache
def window_flops() -> float:
    """Arithmetic of a forward pass of the paper's network on one window."""
    model = MDJPTModel(MDJPTConfig())
    with torch.no_grad():
        return count_flops(lambda: model(torch.randn(2, 60, 625))) / 2


def largest(bench: Bench) -> None:
    """The most windows of a step in every way, and the way of the paper's own step."""
    print("\n| recompute | windows of the largest step | seconds | peak, GB |\n|---|---|---|---|")
    for way in WAYS:
        told, pairs = "| 0 | - | - |", [2, 2]
        while 2 * sum(pairs) <= bench.size.largest and time.monotonic() < bench.until:
            bench.forget()
            model = training_network(bench.device)
            use_way(model, way)
            try:
                started = time.perf_counter()
                _step(model, model, batch_on(tuple(pairs), bench.device))()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                break
            told = f"| {2 * sum(pairs)} | {time.perf_counter() - started:.2f} | {bench.peak()} |"
            pairs = [2 * count for count in pairs]
        print(f"| {way} {told}", flush=True)
    bench.forget()
    model, batch = training_network(bench.device), step_batch(PAPER_PAIRS)
    try:
        print(choose_way(model, stand_in(batch), Accelerator(cpu=bench.device.type == "cpu")))
    except ConfigurationError as error:
        print(error)


def kernels(bench: Bench) -> None:
    """What took longest in a step."""
    model = training_network(bench.device)
    step = _step(model, model, batch_on(bench.size.pairs, bench.device))
    step()
    activities = [torch.profiler.ProfilerActivity.CPU]
    activities += [torch.profiler.ProfilerActivity.CUDA] if bench.device.type == "cuda" else []
    with torch.profiler.profile(activities=activities) as profile:
        step()
    key = "self_device_time_total" if bench.device.type == "cuda" else "self_cpu_time_total"
    found = sorted(profile.key_averages(), key=lambda event: -getattr(event, key))
    whole = sum(getattr(event, key) for event in found)
    print("\nwhere a step's time goes: " + ", ".join(f"{e.key} {getattr(e, key) / whole:.0%}" for e in found[:12]))


def projection(bench: Bench, others: list[float]) -> None:
    """Hours of the paper's schedule: arithmetic / (rate x share)."""
    step = FORWARDS * window_flops() * 2 * sum(PAPER_PAIRS)
    print(f"\nprojection, not a measurement: {PAPER_STEPS} steps of {step / 1e12:.2f} TFLOP each")
    for name, share in bench.shares.items():
        _project(f"this device, {name}", step, bench.rates[name] * share)
    for rate in others:
        for share in (0.2, 0.4):
            _project(f"{rate:g} TFLOP/s of products at a share of {share:.0%}", step, rate * 1e12 * share)


def _project(name: str, step: float, rate: float) -> None:
    hours = step * PAPER_STEPS / rate / 3600
    print(f"{name}: {hours:.1f} h on one, {hours / 8 / EFFICIENCY:.1f} h on eight")


if __name__ == "__main__":
    main()
