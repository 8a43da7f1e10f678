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
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from accelerate import Accelerator
from training_steps import peak_of_process, step_batch

from mdjpt_hf import MDJPTConfig, MDJPTForPreTraining
from mdjpt_hf.errors import ConfigurationError
from mdjpt_hf.training.fitting import Way, choose_way, is_out_of_memory
from mdjpt_hf.training.ways import next_way, use_way

PAIRS = (15, 24, 15, 20, 28, 40)  # SEED, SEED-IV, SEED-V, SEED-VII, FACED, DEAP: clips that a pair has seen
GROUPS = Path("/sys/fs/cgroup")
_SECOND = (GROUPS / "cgroup.controllers").exists()  # version 2


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
    with suppress(OSError):  # there was none, or another is in it
        _group(os.getpid()).rmdir()
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
    """Whether this process could be put into the group that its parent removes."""
    folder = _group(os.getppid())
    try:
        folder.mkdir(exist_ok=True)
        (folder / ("memory.max" if _SECOND else "memory.limit_in_bytes")).write_text(str(size))
        (folder / "cgroup.procs").write_text(str(os.getpid()))
    except OSError:
        return False
    return True


def _group(owner: int) -> Path:
    """The folder of a control group below that of this process."""
    lines = dict(line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines())
    above = GROUPS / lines[""].lstrip("/") if _SECOND else GROUPS / "memory" / lines.get("memory", "").lstrip("/")
    return above / f"mdjpt-limit-{owner}"


def step(pairs: list[int]) -> dict[str, Any]:
    """A step in the way that fits: ways tried, bytes expected of the last, peak, seconds."""
    model, batch = MDJPTForPreTraining(MDJPTConfig()).train(), step_batch(pairs)
    optimizer = torch.optim.Adam(model.parameters())
    way = choose_way(model, stand_in(batch), Accelerator(cpu=True))
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
    return {
        "ways": ways,
        "needed": way.needed.get(way.name),
        "peak": peak_of_process(),
        "seconds": time.perf_counter() - started,
    }


def stand_in(batch: dict[str, torch.Tensor]) -> Any:
    """What choosing a way asks of an objective: its steps, and the features of a few of their windows."""
    return SimpleNamespace(steps=[batch], rounds=lambda: [range(1)], rehearse=_features)


def _features(model: Any, part: dict[str, torch.Tensor]) -> torch.Tensor:
    return model(part["input_values"], part["group_ids"]).embeddings.square().mean()


if __name__ == "__main__":
    main()
