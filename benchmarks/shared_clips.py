"""Whether pairs across corpora that show the same clips help, simulated: `python benchmarks/shared_clips.py`.

For every seed a world in which two laboratories show the same clips to six people each, one with the amplifier of
`sim-62` and one with that of `sim-32`. The default network learns from both by the default recipe,

- with pairs within a laboratory alone (`pairs_across: no`): of the six people two are held out, so that a step has four
  viewers and half of the recipe's windows,
- the same with twice the steps, so that it takes as many windows as those that follow,
- with pairs across them that share a clip (`clips`): eight viewers,
- with pairs across them that share a moment (`moments`), which is known here: their trials begin together;

and all are judged on `sim-30`, which none of them saw, by the table of the default run: the same windows, splits and
permutations. A claim holds where the 95 % interval of a difference over all worlds' people lies above 0. Finished runs
stay: repeat the command after a break.
"""

import argparse
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from claims import UNSEEN, run, take_folder
from recipe import PROTOCOLS
from transformers import AutoModel

from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.data.prepare import prepare
from mdjpt_hf.data.storage import write_json
from mdjpt_hf.data_scripts.base import CorpusFacts, UnitReport
from mdjpt_hf.data_scripts.simulated import SimulatedCorpora
from mdjpt_hf.data_scripts.simulated_experiments import SPECS
from mdjpt_hf.evaluation.encoders import model_encoder
from mdjpt_hf.evaluation.quick import quick_table
from mdjpt_hf.evaluation.scores import Effort, subject_bootstrap
from mdjpt_hf.schema import Trial

SHOWN = "sim-62"
LABORATORIES = {"lab-a": ("sim-62", range(6)), "lab-b": ("sim-32", range(6, 12))}  # amplifier, people
STEPS = 160  # of the recipe
ARMS = {
    "no": ("no", STEPS),
    "no, as many windows": ("no", 2 * STEPS),
    "clips": ("clips", STEPS),
    "moments": ("moments", STEPS),
}
CLAIMS = (("clips", "no, as many windows"), ("moments", "no, as many windows"), ("clips", "no"), ("clips", "DE"))


class Laboratory(SimulatedCorpora):
    """Half of the people who see the clips of `SHOWN`, recorded with an amplifier of their own."""

    def __init__(self, name: str, seed: int):
        super().__init__(seed, corpora=[SHOWN])
        self.name, (amplifier, self.people) = name, LABORATORIES[name]
        self.specs = {SHOWN: replace(self.specs[SHOWN], amplifier=SPECS[amplifier].amplifier)}

    @property
    def facts(self) -> list[CorpusFacts]:
        """Of the laboratory, whose clips are those of the others."""
        return [replace(super().facts[0], name=self.name, stimulus_set=SHOWN)]

    def units(self) -> list[str]:
        """Its own people."""
        return [super(Laboratory, self).units()[number] for number in self.people]

    def read_unit(self, unit: str, report: UnitReport) -> Iterator[Trial]:
        """Trials of one person, under the laboratory's name."""
        for trial in super().read_unit(unit, report):
            yield replace(trial, dataset=self.name)

    def options(self) -> dict:
        """Those of the simulation, and the laboratory."""
        return {**super().options(), "laboratory": self.name}


def main() -> None:
    """Pre-train every arm of every seed, compare, and print what holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("outputs/shared-clips"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[301, 302, 303, 304, 305, 306])
    parser.add_argument("--workers", type=int, default=2, help="runs at a time, a thread each")
    arguments = parser.parse_args()
    take_folder(arguments.out, {"arms": list(ARMS)})
    for seed in arguments.seeds:
        _simulate(arguments.out / f"seed-{seed}" / "data", seed)
    jobs = [(arguments.out / f"seed-{seed}", seed, arm) for seed in arguments.seeds for arm in ARMS]
    with ThreadPoolExecutor(arguments.workers) as pool:
        list(pool.map(lambda job: _pretrain(*job), jobs))  # every job is a process of its own
    text = render({seed: _scores(arguments.out / f"seed-{seed}") for seed in arguments.seeds})
    (arguments.out / "shared_clips.md").write_text(text)
    print(text)


def _simulate(folder: Path, seed: int) -> None:
    builders = {name: Laboratory(name, seed) for name in LABORATORIES}
    for name, builder in {**builders, UNSEEN: SimulatedCorpora(seed=seed, corpora=[UNSEEN])}.items():
        if not (folder / name).exists():
            prepare(builder, folder / name, workers=2)


def _pretrain(world: Path, seed: int, arm: str) -> None:
    folder, (across, steps) = _folder(world, arm), ARMS[arm]
    if (folder / "run_record.json").exists():
        return
    data = [part for name in LABORATORIES for part in ("--data", str(world / "data" / name))]
    where = ["--output-dir", str(folder), "--resume", "--seed", str(seed), "--steps", str(steps)]
    settings = ["--set", "num_threads=1", "--set", f"pairs_across={across}"]
    run(["mdjpt", "pretrain", *data, *where, *settings], world / f"{folder.name}.log", threads=1)


def _folder(world: Path, arm: str) -> Path:
    return world / arm.replace(",", "").replace(" ", "-")


def _scores(world: Path) -> dict:
    """The table of one world, kept beside it."""
    path = world / "comparison.json"
    if not path.exists():
        (unseen,) = open_corpora([world / "data" / UNSEEN])
        models = [model_encoder(arm, AutoModel.from_pretrained(_folder(world, arm))) for arm in ARMS]
        write_json(path, quick_table(unseen, models, 5.0, Effort(permutations=2, zero_shot_permutations=20)))
    return json.loads(path.read_text())


def render(scores: dict[int, dict]) -> str:
    """Every seed, and differences over the people of all of them."""
    lines = [f"# Simulated data: two laboratories that show the same clips, judged on {UNSEEN}", ""]
    for protocol in PROTOCOLS:
        rows = {seed: record["results"][protocol] for seed, record in scores.items()}
        names = [*ARMS, "DE"]
        lines += [f"## {protocol}", "", f"| seed | {' | '.join(names)} |", "|" + "---|" * (1 + len(names))]
        means = {seed: [row[name]["score"]["mean"] for name in names] for seed, row in rows.items()}
        lines += [f"| {seed} | " + " | ".join(f"{mean:.3f}" for mean in row) + " |" for seed, row in means.items()]
        lines += ["| mean | " + " | ".join(f"{mean:.3f}" for mean in np.mean(list(means.values()), axis=0)) + " |", ""]
        for name, against in CLAIMS:
            gain = [_of(row, name) - _of(row, against) for row in rows.values()]
            interval = subject_bootstrap(np.concatenate(gain))
            verdict = "holds" if interval.low > 0 else "does not hold"
            lines.append(
                f"- {name} − {against}: {interval.mean:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}], {verdict}; "
                f"above 0 in {sum(np.mean(part) > 0 for part in gain)} of {len(gain)} worlds"
            )
        lines.append("")
    return "\n".join(lines)


def _of(row: dict, name: str) -> np.ndarray:
    return np.array(row[name]["per_subject"], dtype=float)


if __name__ == "__main__":
    main()
