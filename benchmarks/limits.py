"""Whether a step of the paper's size fits under a limit of memory: `python benchmarks/limits.py --limits 24 12 6 2`.

The paper's own step has 284 windows: pairs of 15, 24, 15, 20, 28 and 40 clips, a pair of each corpus. Under every
limit (GB of 10^9 bytes) a process of its own builds the network, chooses its way as a run with `recompute: auto` does,
and makes one step of forward, gradient and Adam; the next way follows where memory does not suffice after all. Printed
are the way, what it was expected to need, the peak and the seconds.

A limit is a control group where this user may make one (root, version 1 or 2), as containers and batch systems have
it; elsewhere, or with `--address-space`, it is one of addresses (`ulimit -v`), which counts what is reserved too. A
process that the system kills is told as such.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from accelerate import Accelerator

from mdjpt_hf import MDJPTConfig, MDJPTForPreTraining
from mdjpt_hf.errors import ConfigurationError
from mdjpt_hf.training.fitting import Way, choose_way, is_out_of_memory, next_way, use_way

PAIRS = (15, 24, 15, 20, 28, 40)  # SEED, SEED-IV, SEED-V, SEED-VII, FACED, DEAP: clips that a pair has seen
GROUPS = Path("/sys/fs/cgroup")


def main() -> None:
    """Start a process under every limit and print what it says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limits", type=float, nargs="+", default=[24.0, 12.0, 6.0, 2.0], help="GB")
    parser.add_argument("--address-space", action="store_true", help="limit addresses, not memory")
    parser.add_argument("--pairs", type=int, nargs="+", default=PAIRS, help="clips of the pair of each corpus")
    parser.add_argument("--step", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        print(json.dumps(step(arguments.pairs)))
        return
    print(f"a step of {2 * sum(arguments.pairs)} windows, paper's network, {torch.get_num_threads()} threads")
    print("| limit, GB | recompute | expected, GB | peak of the process, GB | seconds |")
    print("|---|---|---|---|---|")
    for limit in arguments.limits:
        print(f"| {limit:g} | {' | '.join(told(limit, arguments))} |", flush=True)


def told(limit: float, arguments: argparse.Namespace) -> list[str]:
    """The cells of a limit."""
    command = [sys.executable, __file__, "--step", "--pairs", *map(str, arguments.pairs)]
    start = partial(enter, limit, arguments.address_space)  # before the first byte of it is counted
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=start)
    if done.returncode:
        return [f"ended by {-done.returncode}" if done.returncode < 0 else done.stderr.strip().splitlines()[-1], *"---"]
    found = json.loads(done.stdout.splitlines()[-1])
    needed = f"{found['needed'] / 1e9:.2f}" if found["needed"] else "-"
    return [" then ".join(found["ways"]), needed, f"{found['peak'] / 1e9:.2f}", f"{found['seconds']:.0f}"]


def enter(limit: float, addresses: bool) -> None:
    """Put this process under a limit of GB."""
    size = int(limit * 1e9)
    if addresses or not _control_group(size):
        resource.setrlimit(resource.RLIMIT_AS, (size, size))


def _control_group(size: int) -> bool:
    """Whether this process could be put into a group of its own."""
    second = (GROUPS / "cgroup.controllers").exists()
    lines = dict(line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines())
    above = GROUPS / lines[""].lstrip("/") if second else GROUPS / "memory" / lines.get("memory", "").lstrip("/")
    folder = above / f"mdjpt-limit-{os.getpid()}"
    try:
        folder.mkdir()
        (folder / ("memory.max" if second else "memory.limit_in_bytes")).write_text(str(size))
        (folder / "cgroup.procs").write_text(str(os.getpid()))
    except OSError:
        return False
    return True


def step(pairs: list[int]) -> dict[str, Any]:
    """A step in the way that fits: ways tried, bytes expected of the last, peak, seconds."""
    model, batch = MDJPTForPreTraining(MDJPTConfig()).train(), paper_batch(pairs)
    objective: Any = SimpleNamespace(
        steps=[batch], rounds=lambda: [range(1)], rehearse=lambda model, part: _without_loss(model, part)
    )
    optimizer = torch.optim.Adam(model.parameters())
    way = choose_way(model, objective, Accelerator(cpu=True))
    ways = []
    while True:
        use_way(model, way.name)
        ways.append(way.name)
        started = time.perf_counter()
        try:
            optimizer.zero_grad()
            model(**batch).loss.backward()
            optimizer.step()
            break
        except (RuntimeError, MemoryError) as error:
            name = next_way(model, way.name)
            if not is_out_of_memory(error) or name is None:
                raise ConfigurationError("no way fits", value=ways, remedy="Use fewer windows") from error
            way = Way(name, way.needed, way.free)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"ways": ways, "needed": way.needed.get(way.name), "peak": peak, "seconds": time.perf_counter() - started}


def _without_loss(model: Any, part: dict[str, torch.Tensor]) -> torch.Tensor:
    return model(part["input_values"], part["group_ids"]).embeddings.square().mean()


def paper_batch(pairs: list[int]) -> dict[str, torch.Tensor]:
    """Two people of every corpus, each with a window of every clip that both have seen."""
    groups = [torch.full((count,), 2 * number + half) for number, count in enumerate(pairs) for half in range(2)]
    stimuli = [torch.arange(count) + 100 * number for number, count in enumerate(pairs) for _ in range(2)]
    ids = torch.cat(groups)
    values = torch.randn(len(ids), 60, 625, generator=torch.Generator().manual_seed(0))
    return {"input_values": values, "group_ids": ids, "dataset_ids": ids // 2, "stimulus_ids": torch.cat(stimuli)}


if __name__ == "__main__":
    main()
