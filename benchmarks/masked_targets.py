"""What limits masked prediction on simulated corpora: `python benchmarks/masked_targets.py [--seeds 44 45 46]`.

For every seed one simulated world, on which the second method is pre-trained as its demonstration is, once with
pseudo-labels of principal components of the features and once with those of what viewers of the same moment share
(`masked.directions`), and beside them mdJPT as its own demonstration is. All are judged on the corpus that none saw, on
the same windows, splits and permutations, by `mdjpt evaluate --preset quick`. Finished runs are kept: repeat
the command after a break.

Claim: shared directions are above principal components, on every seed with a 95 % interval over subjects above 0, in
zero-shot (10-NN, stimulus excluded) and in few-shot on new stimuli.
"""

import argparse
import shutil
import sys
from pathlib import Path

from claims import UNSEEN, run, simulate, take_folder

from mdjpt_hf.evaluation.reports.records import read_records

#: Arm -> options of its run. The first is compared with all others.
ARMS = {
    "shared": ("--objective", "masked", "--set", "masked.directions=shared"),
    "variance": ("--objective", "masked", "--set", "masked.directions=variance"),
    "mdjpt": ("--objective", "mdjpt"),
}
JUDGED = ("zero-shot, 10-NN, stimulus excluded", "few-shot, new stimuli")


def main() -> None:
    """Pre-train all arms on every world, judge them, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("outputs/masked-targets"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[44, 45, 46], help="a simulated world each")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    take_folder(arguments.out, {"arms": {name: list(options) for name, options in ARMS.items()}})
    print(
        "| seed | protocol | "
        + " | ".join((*ARMS, "random weights", "DE", "shared − variance", "shared − mdjpt"))
        + " |"
    )
    for seed in arguments.seeds:
        world = arguments.out / f"seed-{seed}"
        pretrain(world, seed, arguments.threads)
        evaluate(world, seed, arguments.threads)
        report(world, seed)


def pretrain(world: Path, seed: int, threads: int) -> None:
    """Every arm on all corpora but the one that judges."""
    given = [part for name in simulate(world / "data", seed) for part in ("--data", str(world / "data" / name))]
    for name, options in ARMS.items():
        if not (world / name / "run_record.json").exists():
            command = [sys.executable, "-m", "mdjpt_hf", "pretrain", *given, *options, "--seed", str(seed), "--resume"]
            where = ["--output-dir", str(world / name), "--set", f"num_threads={threads}"]
            run([*command, *where], world / f"{name}.log", threads)


def evaluate(world: Path, seed: int, threads: int) -> None:
    """All arms at once, so that differences are of the same windows."""
    out = world / "evaluation"
    if (out / "splits.json").exists():
        return
    shutil.rmtree(out, ignore_errors=True)  # of an evaluation that was interrupted
    models = [*(str(world / name) for name in ARMS), "random", "de"]
    command = [sys.executable, "-m", "mdjpt_hf", "evaluate", *models, "--data", str(world / "data" / UNSEEN)]
    run([*command, "--preset", "quick", "--seed", str(seed), "--out", str(out)], world / "evaluation.log", threads)


def report(world: Path, seed: int) -> None:
    """A row for each of the protocols that are judged."""
    results = {
        title: row for record in read_records([world / "evaluation"]) for title, row in record["results"].items()
    }
    for title in JUDGED:
        row = results[title]
        scores = [f"{entry['score']['mean']:.3f}" for entry in row.values()]
        differences = [row[name]["reference_minus_this"] for name in ("variance", "mdjpt")]
        told = [f"{found['mean']:+.3f} [{found['low']:+.3f}, {found['high']:+.3f}]" for found in differences]
        print("| " + " | ".join((str(seed), title, *scores, *told)) + " |", flush=True)


if __name__ == "__main__":
    main()
