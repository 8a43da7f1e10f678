"""Training steps of two builds and several ways, in turns: `python benchmarks/turns.py --against CHECKOUT`.

Every build and way has a process of its own, which waits while another makes its step, so that all meet the same load.
Printed are medians of wall and processor time, the median over the rounds of the first one's time divided by its own,
and the peak of the process; the first is the other build with everything kept, or with everything made again if no way
but `yes` and `groups` is asked for. Steps are not counted until the allocator asks for nothing more.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import torch
from training_steps import PAIRS, peak_of_process, step_batch

WARM_UP = 5
HERE = Path(__file__).resolve().parents[1]


class Contestant:
    """A process that makes a step when it is told to."""

    def __init__(self, name: str, checkout: Path, way: str, options: argparse.Namespace):
        self.name, self.found = name, []
        command = [sys.executable, __file__, "--way", way, "--pairs", *map(str, options.pairs)]
        command += ["--preset", options.preset, "--threads", str(options.threads)]
        command += ["--compile"] if options.compile else []
        environment = os.environ | {"PYTHONPATH": str(checkout)}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def step(self) -> dict[str, float]:
        """Wall and processor seconds of one step, and the peak of the process in bytes."""
        self.process.stdin.write("step\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def main() -> None:
    """Let every build and way make its steps, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, default=HERE, help="another checkout of this package")
    parser.add_argument("--ways", nargs="+", default=["no", "some"])
    parser.add_argument("--preset", default="base")
    parser.add_argument("--pairs", type=int, nargs="+", default=PAIRS, help="clips of the pair of each corpus")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--compile", action="store_true", help="the encoder, in every build and way")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        make_steps(options)
        return
    first = "yes" if {*options.ways} <= {"yes", "groups"} else "no"
    contestants = [Contestant(f"{first}, the other build", options.against.resolve(), first, options)]
    contestants += [Contestant(way, HERE, way, options) for way in options.ways]
    for contestant in contestants:
        for _ in range(WARM_UP):
            contestant.step()
    for _ in range(options.rounds):
        for contestant in contestants:
            contestant.found.append(contestant.step())
    report(contestants, 2 * sum(options.pairs))


def report(contestants: list[Contestant], windows: int) -> None:
    """Print the table."""
    print(f"a step of {windows} windows, {len(contestants[0].found)} rounds")
    print("| way | seconds | of a processor | speed | by processor time | peak, GB |\n|---|---|---|---|---|---|")
    for one in contestants:
        cells = [f"{median(step[kind] for step in one.found):.2f}" for kind in ("wall", "processor")]
        for kind in ("wall", "processor"):
            rounds = zip(contestants[0].found, one.found, strict=True)
            cells.append(f"{median(base[kind] / step[kind] for base, step in rounds):.2f}")
        print(f"| {one.name} | {' | '.join(cells)} | {one.found[-1]['peak'] / 1e9:.2f} |")
        one.process.stdin.close()


def make_steps(options: argparse.Namespace) -> None:
    """A step of forward, gradient and Adam for every line that comes in. Builds before ways were named have two."""
    from mdjpt_hf import MDJPTConfig, MDJPTForPreTraining
    from mdjpt_hf.training.memory import give_back_large_blocks, keep_freed_memory

    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    model = MDJPTForPreTraining(MDJPTConfig.preset(options.preset)).train()
    batch, optimizer = step_batch(options.pairs), torch.optim.Adam(model.parameters())
    if options.way == "no":
        keep_freed_memory()
    elif options.way == "yes":
        give_back_large_blocks()
        model.activation_checkpointing_enable()
    else:
        from mdjpt_hf.training.ways import use_way

        use_way(model, options.way)
    if options.compile:
        model.compile_encoder()
    for _ in sys.stdin:
        wall, processor = time.perf_counter(), time.process_time()
        optimizer.zero_grad()
        model(**batch).loss.backward()
        optimizer.step()
        spent = {"wall": time.perf_counter() - wall, "processor": time.process_time() - processor}
        print(json.dumps(spent | {"peak": peak_of_process()}), flush=True)


if __name__ == "__main__":
    main()
