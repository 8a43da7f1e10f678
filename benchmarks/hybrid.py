"""mdJPT, masked EEG and both under the same records.

    python benchmarks/hybrid.py --mdjpt RUN... --masked RUN... --joint RUN...

Each RUN is the folder of a finished run on simulated data, the last ones of objective `mdjpt+masked`; the n-th of every
kind must have the same seed. The encoders, and mdJPT and masked side by side (`fused`), are scored on the same windows
of the corpus that none was trained on, which lies with the runs of masked. One network cannot be initialised from the
other: no weight of one has a place in the other, hence the joint objective on mdJPT's encoder.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from transformers import AutoModel

import mdjpt_hf  # noqa: F401 - registers the models
from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.evaluation.encoders import Encoder, model_encoder
from mdjpt_hf.evaluation.quick import quick_table, render
from mdjpt_hf.training.config import load_run_config

JUDGED = ("zero-shot, 10-NN, stimulus excluded", "few-shot, new stimuli")


def fused(one: Encoder, other: Encoder) -> Encoder:
    """Two encoders as one, features side by side; the table z-scores every feature per recording afterwards."""

    def features(pool, groups: str) -> np.ndarray:
        return np.concatenate([one.features(pool, groups), other.features(pool, groups)], axis=1)

    return Encoder("fused", {"weights": "pre-trained", "kind": f"{one.name} and {other.name}"}, features)


def main() -> None:
    """Print one table per seed, then who wins and by how much on average."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mdjpt", nargs="+", type=Path, required=True)
    parser.add_argument("--masked", nargs="+", type=Path, required=True)
    parser.add_argument("--joint", nargs="+", type=Path, default=[])
    parser.add_argument("--out", type=Path, help="where the records are written as JSON")
    arguments = parser.parse_args()
    kinds = {"mdJPT": arguments.mdjpt, "masked": arguments.masked, "joint": arguments.joint}
    kinds = {kind: runs for kind, runs in kinds.items() if runs}
    records = [_compare(dict(zip(kinds, runs, strict=True))) for runs in zip(*kinds.values(), strict=True)]
    for record in records:
        print(f"seed {record['seed']}\n\n{render(record)}\n")
    for protocol in JUDGED:
        _judge(protocol, [record["results"][protocol] for record in records])
    if arguments.out:
        arguments.out.write_text(json.dumps(records, indent=1))


def _compare(runs: dict[str, Path]) -> dict:
    configs = {kind: load_run_config(str(run / "run.yaml")) for kind, run in runs.items()}
    seeds = {kind: config.seed for kind, config in configs.items()}
    if len(set(seeds.values())) > 1:
        raise SystemExit(f"the runs {[str(run) for run in runs.values()]} have seeds {seeds}")
    unseen = configs["masked"].unseen_corpus
    trials = next(trials for trials in open_corpora([runs["masked"] / "data"]) if trials.name == unseen)
    encoders = {kind: model_encoder(kind, AutoModel.from_pretrained(run)) for kind, run in runs.items()}
    encoders["fused"] = fused(encoders["mdJPT"], encoders["masked"])
    return {**quick_table(trials, list(encoders.values()), 5.0), "seed": seeds["masked"]}


def _judge(protocol: str, rows: list[dict]) -> None:
    """Who is ahead on average, and whether mdJPT, the reference of every record, is clearly behind or ahead."""
    means = {name: np.mean([row[name]["score"]["mean"] for row in rows]) for name in rows[0]}
    best = max(means, key=means.__getitem__)
    scores = ", ".join(f"{name} {means[name]:.3f}" for name in sorted(means, key=means.__getitem__, reverse=True))
    print(f"{protocol}: {best} is ahead ({scores})")
    for name in means:
        differences = [row[name].get("reference_minus_this") for row in rows]
        if None in differences:
            continue  # the reference itself
        clear = all(found["low"] > 0 for found in differences) or all(found["high"] < 0 for found in differences)
        found = ", ".join(f"{one['mean']:+.3f} [{one['low']:+.3f}, {one['high']:+.3f}]" for one in differences)
        print(f"  mdJPT - {name}: {found}; {'clear' if clear else 'not clear'} on all seeds")


if __name__ == "__main__":
    main()
