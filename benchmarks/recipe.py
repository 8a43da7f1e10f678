"""The recipe of the default run against the one before it, on simulated corpora: `python benchmarks/recipe.py`.

For every seed one simulated world; on it the default network is pre-trained

- as the default was before: two subjects of two corpora in a step, 650 steps, about 41,600 windows;
- by today's recipe with a quarter of those windows, and with as many;

and all are judged on the corpus that none of them saw, by the table of the default run: the same windows, splits and
permutations. Nothing is chosen here: the recipe was found on other seeds (docs/results/recipe.md). Finished runs stay:
repeat the command after a break.
"""

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from claims import UNSEEN, run, simulate, take_folder
from transformers import AutoModel

from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.data.storage import write_json
from mdjpt_hf.evaluation.encoders import model_encoder
from mdjpt_hf.evaluation.quick import quick_table
from mdjpt_hf.evaluation.scores import Effort, subject_bootstrap

#: What the default was, as settings of today's program.
BEFORE = (
    "viewers=2",
    "clips=0",
    "decay_share=0",
    "guided_share=0",
    "datasets_per_step=2",
    "learning_rate=3.0e-3",
    "model.contrastive_temperature=0.2",
)
STEPS = 650  # of 64 windows, before and now
ARMS = {"before": (BEFORE, STEPS), "a quarter": ((), STEPS // 4), "as many": ((), STEPS)}
PROTOCOLS = ("zero-shot, 10-NN, stimulus excluded", "few-shot, new stimuli")


def main() -> None:
    """Pre-train every arm of every seed, compare, and print whether the recipe keeps what is said of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("outputs/recipe"))
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[201, 202, 203, 204, 205, 206], help="a simulated world each"
    )
    parser.add_argument("--workers", type=int, default=2, help="runs at a time, a thread each")
    parser.add_argument("--network", default="tiny", help="preset of the network")
    parser.add_argument("--steps", type=int, default=STEPS, help="of the arms with all windows")
    parser.add_argument("--learning-rate", type=float, help="of today's recipe, for another network")
    arguments = parser.parse_args()
    take_folder(arguments.out, {"network": arguments.network, "steps": arguments.steps, "arms": list(ARMS)})
    for seed in arguments.seeds:
        simulate(arguments.out / f"seed-{seed}" / "data", seed)
    jobs = [(arguments, seed, name) for seed in arguments.seeds for name in ARMS]
    with ThreadPoolExecutor(arguments.workers) as pool:
        list(pool.map(lambda job: _pretrain(*job), jobs))  # every job is a process of its own
    scores = {seed: _scores(arguments.out / f"seed-{seed}") for seed in arguments.seeds}
    text = render(scores, arguments.network)
    (arguments.out / "recipe.md").write_text(text)
    print(text)


def _pretrain(arguments: argparse.Namespace, seed: int, name: str) -> None:
    world, (settings, steps) = arguments.out / f"seed-{seed}", ARMS[name]
    folder = world / name.replace(" ", "-")
    if (folder / "run_record.json").exists():
        return
    options = [part for setting in settings for part in ("--set", setting)]
    if arguments.learning_rate and name != "before":
        options += ["--learning-rate", str(arguments.learning_rate)]
    options += [
        "--set",
        f"model.preset={arguments.network}",
        "--set",
        "num_threads=1",
        "--set",
        f"leave_out=[{UNSEEN}]",
    ]
    where = ["--data", str(world / "data"), "--output-dir", str(folder), "--resume", "--seed", str(seed)]
    steps = round(steps * arguments.steps / STEPS)
    run(["mdjpt", "pretrain", *where, "--steps", str(steps), *options], world / f"{folder.name}.log", threads=1)


def _scores(world: Path) -> dict:
    """The table of one world, kept beside it."""
    path = world / "comparison.json"
    if not path.exists():
        (unseen,) = open_corpora([world / "data" / UNSEEN])
        models = [model_encoder(name, AutoModel.from_pretrained(world / name.replace(" ", "-"))) for name in ARMS]
        record = quick_table(unseen, models, 5.0, Effort(permutations=2, zero_shot_permutations=20))
        retrieval = {name: _retrieval(world / name.replace(" ", "-")) for name in ARMS}
        write_json(path, {**record, "retrieval": retrieval})
    return json.loads(path.read_text())


def _retrieval(folder: Path) -> list[float]:
    """Held-out pair retrieval, as it was logged."""
    history = json.loads((folder / "history.json").read_text())
    return [entry["retrieval"] for entry in history if "retrieval" in entry]


def render(scores: dict[int, dict], network: str) -> str:
    """Every seed, and what holds on all of them."""
    lines = [f"# Simulated data: the recipe on {UNSEEN}, network {network}", ""]
    for protocol in PROTOCOLS:
        rows = {seed: record["results"][protocol] for seed, record in scores.items()}
        found = {name: [row[name]["score"]["mean"] for row in rows.values()] for name in (*ARMS, "DE")}
        lines += [
            f"## {protocol}",
            "",
            "| seed | before | a quarter | as many | DE | a quarter − before | as many − before |",
        ]
        lines.append("|" + "---|" * 7)
        for number, (seed, row) in enumerate(rows.items()):
            gains = [_gain(row, name) for name in ("a quarter", "as many")]
            lines.append(
                f"| {seed} | " + " | ".join([*(f"{found[name][number]:.3f}" for name in found), *gains]) + " |"
            )
        kept = [quarter >= before for quarter, before in zip(found["a quarter"], found["before"], strict=True)]
        gain = np.mean(found["as many"]) - np.mean(found["before"])
        means = " | ".join(f"{np.mean(values):.3f}" for values in found.values())
        lines += [f"| mean | {means} | | {gain:+.3f} |", ""]
        lines += [f"A quarter of the windows reaches what all did before on {sum(kept)} of {len(kept)} seeds.", ""]
    return "\n".join(lines)


def _gain(row: dict, name: str) -> str:
    values = [np.array(row[arm]["per_subject"], dtype=float) for arm in (name, "before")]
    interval = subject_bootstrap(values[0] - values[1])
    return f"{interval.mean:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]"


if __name__ == "__main__":
    main()
