"""Which network is `fast`, and what it loses: `python benchmarks/ablation.py [--steps N] [--more-steps N]`.

One simulated world for each seed. The paper's network and smaller ones (fewer tokens, half the width, one layer) are
pre-trained on four of its corpora with the same steps, batches and settings, and judged on the fifth, which none saw:
the same windows, splits and permutations. Prints cost, accuracy, and the difference from the paper's network with its
95 % interval over subjects. `--more-steps 8` gives the smaller ones eight times the steps, which take about as long.
`--workers 2` trains two networks at a time, each on its share of the cores. Finished networks are kept: repeat the
command after a break.
"""

import argparse
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from claims import UNGUIDED, UNSEEN, run, simulate, take_folder
from model import count_flops, take_turns

from mdjpt_hf import MDJPTConfig, MDJPTModel
from mdjpt_hf.evaluation.reports.records import read_records
from mdjpt_hf.evaluation.scores.statistics import subject_bootstrap


def tokens(stride: int, pool: int, dilations: list[int]) -> dict:
    """Tokens further apart; steps along time keep their length in seconds."""
    kernels = ("map_attention_kernel", "map_attention_pool", "projector_pool")
    return {"patch_stride": stride, "dilations": dilations, **dict.fromkeys(kernels, pool)}


#: What each network changes in the paper's.
TOKENS_49, TOKENS_30 = tokens(12, 8, [1, 2, 3, 6]), tokens(20, 5, [1, 2, 3, 5])
NARROW, SHALLOW = {"hidden_size": 64, "intermediate_size": 128}, {"num_hidden_layers": 1}
NETWORKS: dict[str, dict] = {
    "base": {},
    "30-tokens_shallow": TOKENS_30 | SHALLOW,
    "30-tokens_narrow": TOKENS_30 | NARROW,
    "49-tokens_narrow_shallow": TOKENS_49 | NARROW | SHALLOW,
    "30-tokens_narrow_shallow": TOKENS_30 | NARROW | SHALLOW,
}


def main() -> None:
    """Pre-train all networks, judge them, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("outputs/ablation"))
    parser.add_argument("--steps", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[51], help="a simulated world each")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS), help="base among them")
    parser.add_argument("--more-steps", type=int, default=1, help="times the steps, for all but base")
    parser.add_argument("--workers", type=int, default=1, help="networks that are trained at a time")
    arguments = parser.parse_args()
    if "base" not in arguments.networks:
        parser.error("base must be among the networks: the others are compared with it")
    kept = ("steps", "learning_rate", "networks", "more_steps")
    take_folder(arguments.out, {name: getattr(arguments, name) for name in kept})
    threads = max(1, (os.cpu_count() or 1) // arguments.workers)
    for seed in arguments.seeds:
        world = arguments.out / f"seed-{seed}"
        simulate(world / "data", seed)
        with ThreadPoolExecutor(arguments.workers) as pool:  # every network is a process of its own
            runs = [pool.submit(pretrain, world, seed, name, arguments, threads) for name in arguments.networks]
        for finished in runs:
            finished.result()  # raises what it raised
        evaluate(world, seed, arguments.networks)
    text = render([arguments.out / f"seed-{seed}" for seed in arguments.seeds], arguments)
    (arguments.out / "ablation.md").write_text(text)
    print(text)


def pretrain(world: Path, seed: int, name: str, arguments: argparse.Namespace, threads: int) -> None:
    """One network, unless it is there."""
    if (world / name / "run_record.json").exists():
        return
    steps = arguments.steps * (1 if name == "base" else arguments.more_steps)
    model = {f"model.{key}": json.dumps(value) for key, value in {"preset": "base", **NETWORKS[name]}.items()}
    settings = {"learning_rate": arguments.learning_rate, "compile": "true", "num_threads": threads, **model}
    options = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    data = [part for path in sorted((world / "data").glob("[!.]*")) if path.name != UNSEEN for part in ("--data", path)]
    where = ["--config", "demo", *UNGUIDED, "--seed", seed, "--steps", steps, "--output-dir", world / name, "--resume"]
    call(["pretrain", *where, *options, *data], world / f"{name}.log", threads)


def evaluate(world: Path, seed: int, networks: list[str]) -> None:
    """The networks beside random weights and differential entropy."""
    if not (world / "evaluation" / "splits.json").exists():
        models = [*(world / name for name in networks), "random", "de"]
        options = ["--data", world / "data" / UNSEEN, "--seed", seed, "--out", world / "evaluation"]
        call(["evaluate", *models, *options], world / "evaluation.log", os.cpu_count() or 1)


def call(arguments: list, log: Path, threads: int) -> None:
    """A command of the package."""
    run([sys.executable, "-m", "mdjpt_hf", *map(str, arguments)], log, threads)


@torch.no_grad()
def costs() -> dict[str, tuple[float, float]]:
    """GFLOP a window, and windows/s in inference, of every network."""
    values, models = torch.randn(8, 60, 625), {}
    for name, fields in NETWORKS.items():
        models[name] = MDJPTModel(MDJPTConfig(**fields)).eval()
    flops = {name: count_flops(lambda model=model: model(values)) for name, model in models.items()}
    seconds = take_turns({name: lambda model=model: model(values) for name, model in models.items()}, 5)
    return {name: (flops[name] / len(values) / 1e9, len(values) / seconds[name]) for name in models}


def render(worlds: list[Path], arguments: argparse.Namespace) -> str:
    """The table as Markdown."""
    scores = _scores(worlds)
    cost = costs()
    lines = [
        f"Simulated data, seeds {arguments.seeds}: {arguments.steps} steps of 64 windows (but for base "
        f"{arguments.more_steps} times as many), learning rate {arguments.learning_rate:g}; "
        f"accuracy on {UNSEEN}, which no network saw.",
        "",
        "| network | GFLOP a window | windows/s | " + " | ".join(f"{title} | − base" for title in scores) + " |",
        "|" + "---|" * (3 + 2 * len(scores)),
    ]
    for name in next(iter(scores.values())):
        cells = [f"{cost[name][0]:.2f}", f"{cost[name][1]:.1f}"] if name in cost else ["", ""]
        for encoders in scores.values():
            difference = subject_bootstrap(encoders[name] - encoders["base"])
            cells.append(f"{np.nanmean(encoders[name]):.3f}")
            interval = f"{difference.mean:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}]"
            cells.append("" if name == "base" else interval)
        lines.append("| " + " | ".join([name, *cells]) + " |")
    return "\n".join([*lines, ""])


def _scores(worlds: list[Path]) -> dict[str, dict[str, np.ndarray]]:
    """Protocol -> encoder -> scores of the subjects of all worlds."""
    scores: dict[str, dict[str, list[float]]] = {}
    for world in worlds:
        for record in read_records([world / "evaluation"]):
            for title, rows in record["results"].items():
                for name, row in rows.items():
                    scores.setdefault(title, {}).setdefault(name, []).extend(row["per_subject"])
    return {
        title: {name: np.array(values, dtype=float) for name, values in rows.items()} for title, rows in scores.items()
    }


if __name__ == "__main__":
    main()
