"""How much of the machine the model uses: `python benchmarks/model.py [--threads N]`.

Prints, all measured in this run: windows/s, and the arithmetic done per second as a share of the same machine's
matrix-product rate. The arithmetic is counted by torch on the forward pass; a training step counts three forwards,
also where chunks are computed twice. Networks take turns, so that all meet the same load.

1. Inference: the paper's network, the authors' block, the presets; as it is, and compiled.
2. With the extra `[braindecode]`: published foundation models on windows of the same 60 channels and 5 s, each
   at the rate it was made for, with random weights.
3. Training steps of the paper's network: 110 windows (pairs of 15 and 40 stimuli), as it is, compiled, and in each way
   of `recompute`; each in a process of its own, whose peak memory is printed. A step takes many seconds, in which a
   shared machine changes: it is compared with the products right before and after it, and the median step is printed.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from itertools import pairwise
from statistics import median

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from training_steps import PAIRS, SECONDS, peak_of_process, step_batch

from mdjpt_hf import MDJPTConfig, MDJPTForPreTraining, MDJPTModel
from mdjpt_hf.modeling.mne_mdjpt import template_montage
from mdjpt_hf.training.config import WAYS
from mdjpt_hf.training.memory import PeakMemory
from mdjpt_hf.training.ways import use_way

GEMM_SIZE = 2048
#: Networks of ours: preset and what replaces its values.
NETWORKS = {
    "base": ("base", {}),
    "base, authors' block": ("base", {"block": "released"}),
    "fast": ("fast", {}),
    "tiny": ("tiny", {}),
}
#: Networks of braindecode and the Hz they were made for.
OTHERS = {"LUNA": 256, "CBraMod": 200, "BIOT": 200, "EEGPT": 256, "Labram": 200, "SignalJEPA": 128}
#: Those that are told the names of the channels with every call.
_WITH_NAMES = {"Labram"}
STEPS = {
    "eager": (),
    "compiled": ("--compile",),
    "eager, recompute some": ("--recompute", "some"),
    "eager, recompute": ("--recompute", "yes"),
    "eager, recompute groups": ("--recompute", "groups"),
    "compiled, recompute some": ("--compile", "--recompute", "some"),
    "compiled, recompute": ("--compile", "--recompute", "yes"),
}
WARM_UP = 3  # steps, until the allocator asks the system for nothing more
PRODUCTS = 10  # the fastest of so many is the rate beside a step


def main() -> None:
    """Measure inference, then training steps in fresh processes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--windows", type=int, default=16, help="in a batch")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--skip", nargs="*", choices=("inference", "others", "training"), default=[])
    parser.add_argument("--step", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--compile", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--recompute", choices=WAYS, default="no", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)
    if arguments.step:
        print(json.dumps(measure_step(arguments.compile, arguments.recompute, arguments.repeats)))
        return
    print(f"{arguments.threads} threads, float32, matrix product {GEMM_SIZE}³: {gemm_rate(5) / 1e9:.0f} GFLOP/s")
    if "inference" not in arguments.skip:
        inference(arguments.windows, arguments.repeats, "others" not in arguments.skip)
    if "training" not in arguments.skip:
        training(arguments.threads, arguments.repeats)


def fastest(run: Callable[[], object], repeats: int) -> float:
    """Seconds of the fastest of several runs, after one to warm up."""
    run()
    return min(seconds_of(run) for _ in range(repeats))


def seconds_of(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def gemm_rate(repeats: int) -> float:
    """FLOP/s of a large square matrix product."""
    return 2 * GEMM_SIZE**3 / fastest(_product(), repeats)


def _product() -> Callable[[], object]:
    first, second = torch.randn(2, GEMM_SIZE, GEMM_SIZE).unbind()
    return lambda: first @ second


def count_flops(run: Callable[[], object]) -> int:
    """Arithmetic of the matrix products and convolutions in one call."""
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


# --- inference -----------------------------------------------------------------------------------------------------


@torch.no_grad()
def inference(windows: int, repeats: int, others: bool) -> None:
    """Print windows/s, GFLOP a window and the share of the matrix-product rate of every network."""
    values = torch.randn(windows, 60, 125 * SECONDS)
    runs: dict[str, Callable[[], object]] = {}
    flops, errors = {}, {}
    for name, (preset, fields) in NETWORKS.items():
        torch.manual_seed(0)
        plain, compiled = (MDJPTModel(MDJPTConfig.preset(preset, **fields)).eval() for _ in range(2))
        compiled.load_state_dict(plain.state_dict())
        flops[name] = count_flops(lambda plain=plain: plain(values))
        wanted = plain(values).pooler_output
        compiled.compile_encoder(for_inference=True)
        errors[name] = float((compiled(values).pooler_output - wanted).norm() / wanted.norm())
        runs[name] = lambda plain=plain: plain(values)
        runs[name + ", compiled"] = lambda compiled=compiled: compiled(values)
    if others and find_spec("braindecode"):
        runs |= {name: other_network(name, windows)[1] for name in OTHERS}
    seconds = take_turns({"": _product(), **runs}, repeats)
    gemm = 2 * GEMM_SIZE**3 / seconds.pop("")
    rates = {name: windows / spent for name, spent in seconds.items()}
    print(f"\ninference, batches of {windows} windows; matrix product {gemm / 1e9:.0f} GFLOP/s in the same turns")
    print("| network | windows/s | GFLOP a window | of the matrix-product rate | difference from eager |")
    print("|---|---|---|---|---|")
    for name, rate in rates.items():
        arithmetic = flops.get(name.removesuffix(", compiled"))
        share = f"{arithmetic / windows / 1e9:.3f} | {rate * arithmetic / windows / gemm:.0%}" if arithmetic else " | "
        error = f"{errors[name.removesuffix(', compiled')]:.0e}" if name.endswith("compiled") else ""
        print(f"| {name} | {rate:.1f} | {share} | {error} |")
    for one, other in (("base, authors' block", "base"), ("fast", "base")):
        for end in ("", ", compiled"):
            print(f"{one}{end} / {other}{end}: {rates[one + end] / rates[other + end]:.2f} x the windows/s")


def take_turns(runs: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Seconds of the fastest call of each, one after the other in every round."""
    rounds = [{name: seconds_of(run) for name, run in runs.items()} for _ in range(repeats + 1)][1:]
    return {name: min(one[name] for one in rounds) for name in runs}


def other_network(name: str, windows: int) -> tuple[nn.Module, Callable[[], object]]:
    """A network of braindecode with random weights, and what runs it on windows at the rate it was made for."""
    import braindecode.models
    import mne

    from mdjpt_hf.modeling.montage_mdjpt import STANDARD_CHANNELS

    montage = mne.channels.make_standard_montage(template_montage())
    known = {channel.upper(): channel for channel in montage.ch_names}
    rate, names = OTHERS[name], [known[channel.upper()] for channel in STANDARD_CHANNELS]
    info = mne.create_info(names, rate, "eeg").set_montage(montage)
    options = {"n_chans": 60, "n_outputs": 2, "sfreq": rate, "input_window_seconds": SECONDS}
    network: nn.Module = getattr(braindecode.models, name)(chs_info=info["chs"], **options).eval()
    values = torch.randn(windows, 60, rate * SECONDS)
    told = {"ch_names": names} if name in _WITH_NAMES else {}
    return network, lambda: network(values, **told)


# --- training ------------------------------------------------------------------------------------------------------


def training(threads: int, repeats: int) -> None:
    """Print the ways to make a training step of the paper's network."""
    windows = 2 * sum(PAIRS)
    print(f"\ntraining step of the paper's network, {windows} windows, three forwards counted")
    print(
        "| step | seconds | windows/s | of the matrix-product rate | that rate | peak memory of the process | "
        "of its own |"
    )
    print("|---|---|---|---|---|---|---|")
    for name, options in STEPS.items():
        command = [sys.executable, __file__, "--step", "--threads", str(threads), "--repeats", str(repeats)]
        done = subprocess.run([*command, *options], check=True, capture_output=True, text=True)
        found = json.loads(done.stdout.splitlines()[-1])
        seconds = found["seconds"]
        print(
            f"| {name} | {seconds:.1f} | {windows / seconds:.1f} | {found['share']:.0%} ({found['low']:.0%} to "
            f"{found['high']:.0%}) | {found['gemm'] / 1e9:.0f} GFLOP/s | {found['peak'] / 1e9:.2f} GB | "
            f"{found['own'] / 1e9:.2f} GB |"
        )


def measure_step(compiled: bool, recompute: str, repeats: int) -> dict[str, float]:
    """One step of forward, gradient and Adam, in this process. Peak memory is that of the whole process."""
    model, batch = MDJPTForPreTraining(MDJPTConfig()).train(), step_batch()
    optimizer = torch.optim.Adam(model.parameters())
    flops = 3 * _forward_flops(model)
    use_way(model, recompute)
    if compiled:
        model.compile_encoder()

    def step() -> None:
        optimizer.zero_grad()
        model(**batch).loss.backward()
        optimizer.step()

    for _ in range(WARM_UP):
        step()
    products, seconds = [gemm_rate(PRODUCTS)], []
    for _ in range(repeats):
        seconds.append(seconds_of(step))
        products.append(gemm_rate(PRODUCTS))
    with PeakMemory() as own:  # looking costs time
        step()
    beside = [(before + after) / 2 for before, after in pairwise(products)]
    shares = [flops / spent / rate for spent, rate in zip(seconds, beside, strict=True)]
    found = {"seconds": median(seconds), "gemm": median(beside), "peak": peak_of_process(), "own": own.bytes}
    return found | {"share": median(shares), "low": min(shares), "high": max(shares)}


def _forward_flops(model: MDJPTForPreTraining) -> float:
    """Of all windows, from those of two: counting on all would hold all activations."""
    with torch.no_grad():
        few = count_flops(lambda: model.mdjpt(torch.randn(2, 60, 125 * SECONDS)))
    return few / 2 * 2 * sum(PAIRS)


if __name__ == "__main__":
    main()
