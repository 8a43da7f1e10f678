"""The paper's claims (arXiv 2510.22197) on simulated corpora, where the truth is known: `python benchmarks/claims.py`.

For every seed one simulated world; on it every arm below is pre-trained as the default run without its guide is, for
800 steps, the last 240 with a falling learning rate: at a constant one, held-out pair retrieval of world 81 rose for
450 steps and not in the 600 after them (claims.md says by how much it still did in an arm). All are judged on the
corpus that none of them saw, on the same windows, splits and permutations:

1. joint over k = 1..4 corpora: with equal steps for every k, and with equal windows of every corpus (k/4 of the steps);
2. without inter-subject alignment (ISA), without attention (the block of the authors' program, which also lacks the
   gate, two residuals and the feed-forward), with positives of the same clip but of another moment;
3. covariance alignment (CDA) at weights 0, 0.01, 0.1 and 1, and alignment of correlations, which is ours, with two
   corpora in every step (and half of the steps), since a step of one corpus has nothing to align across;
4. against differential entropy, random weights and, with `--scratch`, EEGNet trained from scratch.

Protocols: zero-shot and few-shot within the unseen corpus, and cross-dataset: a classifier of the valence class trained
on all labelled corpora but the unseen one and tested there, with features standardised by recording and as they come; a
shift between corpora, which CDA is against, can matter in the last alone.

A claim holds if the 95 % interval of its mean difference over the subjects of all seeds lies above 0, its p-value is
below 0.05 after Holm's correction over the table, and every seed's own interval lies above 0. Intervals and p-values
are about subjects of these worlds; how much worlds differ is what the column of the seeds shows. Nothing is chosen
here, so what does not hold is printed like what does. Finished arms are kept: repeat the command after a break.
"""

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from mdjpt_hf.data.prepare import prepare
from mdjpt_hf.data.storage import write_json
from mdjpt_hf.data_scripts.simulated import SimulatedCorpora
from mdjpt_hf.evaluation.encoders import EncoderSource, open_encoders
from mdjpt_hf.evaluation.reports.records import read_records
from mdjpt_hf.evaluation.reports.scaling_figure import draw_scaling
from mdjpt_hf.evaluation.scores.statistics import holm, paired_p_value, subject_bootstrap

UNSEEN = "sim-30"
FULL, RIVAL = "joint-4", "braindecode:EEGNet"
#: A guide aligns subjects by itself, also where an arm is to do without; and the epochs of the worlds that were run.
UNGUIDED = ("--set", "guided_share=0", "--set", "steps_per_epoch=50")
#: Arms that differ from the joint run in one setting.
WITHOUT = {
    "no-isa": ("model.isa_weight=0",),
    "no-attention": ("model.block=released",),
    "misaligned": ("aligned_pairs=false",),
}
#: Arms of two corpora in a step, with what their covariances or correlations weigh.
SECOND_ORDER = {f"cda-{weight}": (f"model.cda_weight={weight}",) for weight in ("0", "0.01", "0.1", "1")} | {
    f"correlation-{weight}": (f"model.cda_weight={weight}", "model.covariance=correlation") for weight in ("0.1", "1")
}
#: Arms over k of the four corpora that are given k/4 of the steps.
EQUAL_WINDOWS = {f"joint-{count}-equal-windows": count for count in (1, 2, 3)}
#: Claim -> the arm it is about, and what that is above.
CLAIMS = {
    "four corpora beat one, equal steps": (FULL, "joint-1"),
    "four corpora beat two, equal steps": (FULL, "joint-2"),
    "four corpora beat three, equal steps": (FULL, "joint-3"),
    "four corpora beat one, equal windows a corpus": (FULL, "joint-1-equal-windows"),
    "four corpora beat two, equal windows a corpus": (FULL, "joint-2-equal-windows"),
    "four corpora beat three, equal windows a corpus": (FULL, "joint-3-equal-windows"),
    "ISA helps": (FULL, "no-isa"),
    "CDA helps, λ = 0.01 (the paper's)": ("cda-0.01", "cda-0"),
    "CDA helps, λ = 0.1": ("cda-0.1", "cda-0"),
    "CDA helps, λ = 1": ("cda-1", "cda-0"),
    "aligned correlations (ours) help, λ = 0.1": ("correlation-0.1", "cda-0"),
    "aligned correlations (ours) help, λ = 1": ("correlation-1", "cda-0"),
    "attention helps (the paper's block against the released one)": (FULL, "no-attention"),
    "alignment in time helps": (FULL, "misaligned"),
    "pre-training beats DE": (FULL, "DE"),
    "pre-training beats random weights": (FULL, "random weights"),
    "pre-training beats EEGNet from scratch": (FULL, RIVAL),
}


@dataclass(frozen=True)
class Size:
    """How much is computed. A `large` run is meant for a GPU: the paper's network at the paper's settings."""

    settings: tuple[str, ...]
    steps: int
    permutations: int
    scratch_permutations: int


SIZES = {
    "default": Size(("--config", "demo", *UNGUIDED), 800, 20, 1),
    "large": Size(("--config", "viewers"), 5000, 100, 20),
}


def main() -> None:
    """Pre-train all arms, judge them, and print which claims hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("outputs/claims"))
    parser.add_argument("--size", choices=SIZES, default="default")
    parser.add_argument("--seeds", type=int, nargs="+", default=[82, 83], help="a simulated world each")
    parser.add_argument("--workers", type=int, default=0, help="runs at a time; default one per core, or one GPU")
    parser.add_argument("--scratch", action="store_true", help="train EEGNet too; needs the extra [braindecode]")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of every run")
    arguments = parser.parse_args()
    started, size = time.perf_counter(), SIZES[arguments.size]
    if arguments.scratch:
        open_encoders((RIVAL,), EncoderSource())  # refuses at once, not after an hour, if braindecode is missing
    workers = arguments.workers or _devices()
    take_folder(arguments.out, {"size": arguments.size, "set": arguments.set})
    jobs = []
    for number, seed in enumerate(arguments.seeds):
        world = arguments.out / f"seed-{seed}"
        corpora = simulate(world / "data", seed)
        arms = _arms(world / "data", corpora, number, size.steps)
        jobs += [(world, seed, name, extra) for name, extra in arms.items()]
    threads = max(1, (os.cpu_count() or 1) // workers)
    common = [*size.settings, *_as_options(arguments.set)]
    with ThreadPoolExecutor(workers, initializer=_claim_device, initargs=(_gpus(),)) as pool:
        list(pool.map(lambda job: _pretrain(*job, common, threads), jobs))  # every job is a process of its own
        worlds = [(arguments.out / f"seed-{seed}", seed) for seed in arguments.seeds]
        list(pool.map(lambda world: _evaluate(*world, size, threads, arguments.scratch), worlds))
    judged = judge({seed: _scores(arguments.out / f"seed-{seed}") for seed in arguments.seeds})
    facts = {"data": "simulated", "size": arguments.size, "seeds": arguments.seeds, "minutes": _minutes(started)}
    rising = {str(world): _rising(world) for world, _ in worlds}
    write_json(arguments.out / "claims.json", {**facts, "retrieval_late_minus_early": rising, "claims": judged})
    text = render(judged, facts) + render_rising(rising)
    (arguments.out / "claims.md").write_text(text)
    for seed in arguments.seeds:
        _draw(arguments.out / f"seed-{seed}", seed)
    print(text)


def _devices() -> int:
    return torch.cuda.device_count() or os.cpu_count() or 1


class _Thread(threading.local):
    """What this thread adds to the environment of the processes it starts; workers set their own."""

    environment: dict[str, str] = {}


_THREAD = _Thread()


def _gpus() -> Iterator[int]:
    """Numbers of GPUs, round and round; none without GPUs."""
    return itertools.cycle(range(torch.cuda.device_count()))


def _claim_device(gpus: Iterator[int]) -> None:
    """Every worker keeps to one GPU."""
    number = next(gpus, None)
    _THREAD.environment = {} if number is None else {"CUDA_VISIBLE_DEVICES": str(number)}


def take_folder(out: Path, settings: dict) -> None:
    """Note the settings of the runs in a folder: what was run with others must not be taken for these."""
    path = out / "settings.json"
    if path.exists() and json.loads(path.read_text()) != settings:
        raise SystemExit(f"{out} was begun with {path.read_text().strip()}; choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    write_json(path, settings)


def _as_options(settings: list[str]) -> list[str]:
    return [part for setting in settings for part in ("--set", setting)]


def simulate(folder: Path, seed: int) -> list[str]:
    """One simulated world, every corpus in a folder of its own; the names of those to train on."""
    names = list(SimulatedCorpora(seed=seed).specs)
    for name in names:
        if not (folder / name).exists():
            prepare(SimulatedCorpora(seed=seed, corpora=(name,)), folder / name, workers=os.cpu_count() or 1)
    return [name for name in names if name != UNSEEN]


def _arms(data: Path, corpora: list[str], number: int, steps: int) -> dict[str, list[str]]:
    """Arm -> options of its run. Which corpora come first differs from seed to seed."""
    order = [*corpora[number % len(corpora) :], *corpora[: number % len(corpora)]]

    def over(count: int, steps: int) -> list[str]:
        given = [part for name in order[:count] for part in ("--data", str(data / name))]
        return [*given, "--steps", str(steps)]

    # a step is of one dataset, so the windows of a step do not depend on their number
    arms = {f"joint-{count}": over(count, steps) for count in range(1, len(order) + 1)}
    arms |= {name: over(count, round(steps * count / len(order))) for name, count in EQUAL_WINDOWS.items()}
    arms |= {name: [*arms[FULL], *_as_options(list(settings))] for name, settings in WITHOUT.items()}
    two = [*over(len(order), steps // 2), "--set", "datasets_per_step=2"]
    return arms | {name: [*two, *_as_options(list(settings))] for name, settings in SECOND_ORDER.items()}


def _pretrain(world: Path, seed: int, name: str, extra: list[str], common: list[str], threads: int) -> None:
    folder = world / name
    if (folder / "run_record.json").exists():
        return
    command = [sys.executable, "-m", "mdjpt_hf", "pretrain", *common, *extra, "--seed", str(seed)]
    where = ["--output-dir", str(folder), "--resume", "--set", f"num_threads={threads}"]
    run([*command, *where], world / f"{name}.log", threads)


#: Folder -> options of an evaluation of one world.
EVALUATIONS: dict[str, tuple[str, ...]] = {
    "evaluation": (),
    "across": ("--protocol", "cross-dataset", "--label", "valence_class", "--corpus", UNSEEN),
    "across-as-they-come": (
        *("--protocol", "cross-dataset", "--label", "valence_class", "--corpus", UNSEEN),
        *("--set", "normalisation=none"),
    ),
}


def _evaluate(world: Path, seed: int, size: Size, threads: int, scratch: bool) -> None:
    names = [FULL, *(f"joint-{count}" for count in (1, 2, 3)), *EQUAL_WINDOWS, *WITHOUT, *SECOND_ORDER]
    models = [*(str(world / name) for name in names), "random", "de"]
    effort = ["--permutations", str(size.permutations), "--scratch-permutations", str(size.scratch_permutations)]
    for folder, options in EVALUATIONS.items():
        out = world / folder
        if (out / "splits.json").exists():
            continue
        shutil.rmtree(out, ignore_errors=True)  # of an evaluation that was interrupted
        within = folder == "evaluation"
        data = [UNSEEN] if within else [path.name for path in sorted((world / "data").glob("[!.]*"))]
        given = [part for name in data for part in ("--data", str(world / "data" / name))]
        rivals = [RIVAL] if scratch and within else []
        command = [sys.executable, "-m", "mdjpt_hf", "evaluate", *models, *rivals, *given, *options]
        run([*command, "--seed", str(seed), *effort, "--out", str(out)], world / f"{folder}.log", threads)


def run(command: list[str], log: Path, threads: int) -> None:
    """A command in a process of its own, with so many threads; what it prints goes to `log`."""
    limits = {name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    print(f"{time.strftime('%H:%M')} {log.parent.name} {log.stem} ...", flush=True)
    with log.open("w") as file:
        done = subprocess.run(
            command, stdout=file, stderr=subprocess.STDOUT, env={**os.environ, **limits, **_THREAD.environment}
        )
    if done.returncode:
        raise SystemExit(f"{log.stem} failed:\n{log.read_text()[-2000:]}")


def _scores(world: Path) -> dict[str, dict[str, np.ndarray]]:
    """Protocol -> encoder -> score of every subject."""
    found = {}
    for record in read_records([world / folder for folder in EVALUATIONS]):
        raw = record["choices"]["normalisation"] == "none"
        for title, rows in record["results"].items():
            scores = {name: np.array(row["per_subject"], dtype=float) for name, row in rows.items()}
            found[f"{title}, features as they come" if raw else title] = scores
    return found


def _rising(world: Path) -> dict[str, float]:
    """Arm -> mean held-out pair retrieval of the last third of its steps, minus that of the third before."""
    rises = {}
    for path in sorted(world.glob("*/history.json")):
        told = [entry for entry in json.loads(path.read_text()) if "retrieval" in entry]
        steps, values = (np.array([entry[name] for entry in told]) for name in ("step", "retrieval"))
        thirds = [values[(steps > steps[-1] * low) & (steps <= steps[-1] * high)] for low, high in _THIRDS]
        rises[path.parent.name] = float(thirds[1].mean() - thirds[0].mean())
    return rises


_THIRDS = ((1 / 3, 2 / 3), (2 / 3, 1))


def _draw(world: Path, seed: int) -> None:
    """Accuracy against the number of corpora, a picture for each protocol; arms that lack something are left out."""
    left = {*WITHOUT, *SECOND_ORDER, *EQUAL_WINDOWS}
    for record in read_records([world / "evaluation"]):
        for title, rows in record["results"].items():
            shown = {name: row for name, row in rows.items() if name not in left}
            picture = world / f"scaling_{record['choices']['name']}.png"
            heading = f"{UNSEEN}, seed {seed} (simulated data): {title}"
            draw_scaling(shown, record["encoders"], picture, heading, record["score_name"])


def judge(scores: dict[int, dict[str, dict[str, np.ndarray]]]) -> list[dict]:
    """Every claim under every protocol: difference, interval, Holm-adjusted p-value, and on how many seeds it holds.

    Args:
        scores: Seed -> protocol -> encoder -> `(subjects,)`.
    """
    rows = []
    for protocol, encoders in next(iter(scores.values())).items():
        for claim, (arm, rival) in CLAIMS.items():
            if rival == RIVAL and rival not in encoders:
                continue  # not asked for; nor has a network trained from scratch a zero-shot score
            differences = [world[protocol][arm] - world[protocol][rival] for world in scores.values()]
            pooled = np.concatenate(differences)
            alone = [subject_bootstrap(values) for values in differences]
            interval = subject_bootstrap(pooled)
            rows.append(
                {
                    "claim": claim,
                    "protocol": protocol,
                    "arm": arm,
                    "score": float(np.mean([np.nanmean(world[protocol][arm]) for world in scores.values()])),
                    "rival": float(np.mean([np.nanmean(world[protocol][rival]) for world in scores.values()])),
                    "difference": [interval.mean, interval.low, interval.high],
                    "p": paired_p_value(pooled),
                    "per_seed": [[one.mean, one.low, one.high] for one in alone],
                    "seeds_above_0": sum(one.low > 0 for one in alone),
                }
            )
    for row, adjusted in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row["p_holm"] = adjusted
        everywhere = row["seeds_above_0"] == len(scores)
        row["holds"] = bool(row["difference"][1] > 0 and adjusted < 0.05 and everywhere)
    return rows


def render(judged: list[dict], facts: dict) -> str:
    """The judgement as Markdown."""
    seeds = len(facts["seeds"])
    lines = [
        f"# Simulated data: the paper's claims, size {facts['size']}, seeds {facts['seeds']}",
        "",
        f"Accuracy on {UNSEEN}, which no encoder saw; intervals over its simulated subjects, p-values Holm-adjusted"
        f" over this table. This call took {facts['minutes']:.0f} min.",
        "",
        "| claim | protocol | arm | the other | difference | p | seeds | verdict |",
        "|" + "---|" * 8,
    ]
    for row in judged:
        mean, low, high = row["difference"]
        cells = [row["claim"], row["protocol"], f"{row['score']:.3f}", f"{row['rival']:.3f}"]
        cells += [
            f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]",
            f"{row['p_holm']:.4f}",
            f"{row['seeds_above_0']} of {seeds}",
        ]
        lines.append("| " + " | ".join([*cells, "holds" if row["holds"] else "does NOT hold"]) + " |")
    failed = sum(not row["holds"] for row in judged)
    return "\n".join([*lines, "", f"{len(judged) - failed} of {len(judged)} hold.", ""])


def render_rising(rising: dict[str, dict[str, float]]) -> str:
    """Whether held-out pair retrieval still rose in the last third, as Markdown."""
    arms = next(iter(rising.values()))
    lines = ["", "Held-out pair retrieval, last third of the steps minus the third before, mean over seeds:", ""]
    means = {arm: np.mean([world[arm] for world in rising.values()]) for arm in arms}
    return "\n".join([*lines, ", ".join(f"{arm} {mean:+.3f}" for arm, mean in means.items()), ""])


def _minutes(started: float) -> float:
    return round((time.perf_counter() - started) / 60, 1)


if __name__ == "__main__":
    main()
