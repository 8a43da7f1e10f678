"""Judge the claims of docs/results/simulated_claims.md: `python benchmarks/claims_simulated.py RUN RUN RUN`.

Each RUN is the folder of a finished default run; its `comparison.json` is read, and labels are permuted anew on its
own data for the last claim.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from transformers import AutoModel

import mdjpt_hf  # noqa: F401 - registers the model
from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.evaluation.encoders import model_encoder
from mdjpt_hf.evaluation.protocols import honest, open_pool
from mdjpt_hf.evaluation.readout import Features, asker
from mdjpt_hf.evaluation.scores import labellings

NEIGHBOURS = "zero-shot, 10-NN, stimulus excluded"
FEW_SHOT = "few-shot, new stimuli"
FRESH_PERMUTATIONS, FRESH_SEED = 100, 987


def main() -> None:
    """Print every claim with its numbers, per seed and on average."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    runs = parser.parse_args().runs
    records = [json.loads((run / "comparison.json").read_text()) for run in runs]
    print("simulated data; seeds", [record["seed"] for record in records])
    for protocol in records[0]["results"]:
        scores = {name: _scores(records, protocol, name) for name in records[0]["results"][protocol]}
        print(f"{protocol}: " + "; ".join(f"{name} {_list(values)}" for name, values in scores.items()))
    verdicts = [_advantage(records, "DE", 0.05), _advantage(records, "random weights", 0.10)]
    verdicts += [_few_shot(records), _entropy_above_null(records), _permuted(runs, records)]
    print("all claims hold" if all(verdicts) else "NOT all claims hold")


def _scores(records, protocol: str, name: str) -> np.ndarray:
    return np.array([record["results"][protocol][name]["score"]["mean"] for record in records])


def _list(values) -> str:
    return " ".join(f"{value:.3f}" for value in values)


def _say(claim: str, holds: bool) -> bool:
    print(f"{'holds' if holds else 'FAILS'}: {claim}")
    return holds


def _advantage(records, name: str, margin: float) -> bool:
    rows = [record["results"][NEIGHBOURS][name]["reference_minus_this"] for record in records]
    mean = float(np.mean([row["mean"] for row in rows]))
    intervals = ", ".join(f"{row['mean']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]" for row in rows)
    holds = mean >= margin and all(row["low"] > 0 for row in rows)
    return _say(f"{NEIGHBOURS}: pre-trained - {name} = {mean:+.3f} (wanted {margin:+.2f}); {intervals}", holds)


def _few_shot(records) -> bool:
    difference = _scores(records, FEW_SHOT, "pre-trained") - _scores(records, FEW_SHOT, "DE")
    return _say(f"{FEW_SHOT}: pre-trained - DE = {difference.mean():+.3f} ({_list(difference)})", difference.mean() > 0)


def _entropy_above_null(records) -> bool:
    rows = [record["results"][NEIGHBOURS]["DE"] for record in records]
    text = ", ".join(f"{row['score']['low']:.3f} > {row['null']['high']:.3f}" for row in rows)
    return _say(f"DE above its null ({text})", all(row["score"]["low"] > row["null"]["high"] for row in rows))


def _permuted(runs: list[Path], records) -> bool:
    """Labels dealt anew, with another seed: their mean lies in the null, and few of them outside."""
    holds, lines = True, []
    for run, record in zip(runs, records, strict=True):
        model = AutoModel.from_pretrained(run)
        trials = next(t for t in open_corpora([run / "data"]) if t.name == record["corpus"])
        pool = open_pool([trials], "label", model.config.window_seconds)
        ask = asker(Features(pool), model_encoder("pre-trained", model), honest("zero-shot"), [], FRESH_SEED)
        dealt = labellings(pool, FRESH_PERMUTATIONS, FRESH_SEED)[1:]
        fresh = np.array([(ask(one).probabilities.argmax(axis=1) == one.label).mean() for one in dealt])
        null = record["results"][NEIGHBOURS]["pre-trained"]["null"]
        outside = float(((fresh < null["low"]) | (fresh > null["high"])).mean())
        lines.append(f"{fresh.mean():.3f} in [{null['low']:.3f}, {null['high']:.3f}], {outside:.0%} outside")
        holds &= null["low"] <= fresh.mean() <= null["high"] and outside <= 0.15
    return _say("permuted labels within their null: " + "; ".join(lines), holds)


if __name__ == "__main__":
    main()
