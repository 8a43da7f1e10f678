"""The table at the end of a demonstration run: the preset `quick` on models in memory, beside differential entropy.

What it says is what `mdjpt evaluate MODEL de --preset quick` says of the same model and corpus.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mdjpt_hf.data.corpora import TrialSet
from mdjpt_hf.data.exposure import exposure_note, noted, of_encoder
from mdjpt_hf.evaluation.encoders import Encoder, EncoderSource, open_encoders
from mdjpt_hf.evaluation.engine import score_corpus
from mdjpt_hf.evaluation.protocols import fitting, pool_for, preset_named
from mdjpt_hf.evaluation.readout import Features
from mdjpt_hf.evaluation.reports import plain
from mdjpt_hf.evaluation.scores import Effort, Interval

_PRESET = "quick"
#: What the records of a table have in common.
_SHARED = ("data", "corpus", "subjects", "classes", "windows", "stimuli", "seed", "permutations")


def quick_table(
    trials: TrialSet, encoders: Sequence[Encoder], seconds: float, effort: Effort | None = None
) -> dict[str, Any]:
    """Score encoders, and differential entropy, in every row of the preset.

    Args:
        trials: The corpus nobody was trained on. encoders: The first is compared with all others.
        seconds: Length of a window. effort: Permutations and seed; by default the preset's.

    Returns:
        `dict`: In plain JSON: the protocol, and under `results` a row of entries for every title.
    """
    preset = preset_named(_PRESET)
    effort = effort or Effort(permutations=preset.permutations)
    protocols = [protocol for name in preset.protocols for protocol in preset.rows(name)]
    everybody = [*encoders, *open_encoders(["de"], EncoderSource())]
    pool, used = pool_for([trials], trials.name, protocols[0], "label", seconds)
    fitted = dict.fromkeys(fitting(protocol, pool, trials.name, ())[0] for protocol in protocols)
    features = Features(pool)
    records = [
        score_corpus(features, used, trials.name, everybody, protocol, effort, metrics=False) for protocol in fitted
    ]
    shared = {name: records[0][name] for name in _SHARED}
    results = {title: row for record in records for title, row in record["results"].items()}
    saw = {name: _saw(facts) for name, facts in records[0]["encoders"].items() if exposure_note(facts)}
    return plain({**shared, "protocol": _told_once(records), "results": results} | ({"saw": saw} if saw else {}))


def _saw(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if name.startswith("saw_")}


def _told_once(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The choices that all rows share, then those of each row."""
    told = {title: record["protocol"] for record in records for title in record["results"]}
    first, *others = told.values()
    common = {name: value for name, value in first.items() if all(one.get(name) == value for one in others)}
    own = {
        title: "; ".join(f"{name}: {value}" for name, value in words.items() if name not in common)
        for title, words in told.items()
    }
    return {**common, **own}


def render(record: Mapping[str, Any]) -> str:
    """The record as a Markdown table; "simulated" stands in its title."""
    names = list(next(iter(record["results"].values())))
    title = (
        f"Simulated data: accuracy on {record['corpus']} ({len(record['subjects'])} simulated subjects never seen, "
        f"{len(record['classes'])} classes, {record['windows']} windows)"
    )
    shown = [noted(name, of_encoder(record, name)) for name in names]
    head = ["protocol", *shown, "null (" + names[0] + ")", *(f"{names[0]} − {name}" for name in names[1:])]
    note = record["protocol"].get("one_stimulus", "")
    lines = [title, "", *([f"{note}.", ""] if note else []), "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for protocol, row in record["results"].items():
        cells = [protocol, *(str(Interval(**row[name]["score"])) for name in names)]
        cells.append(str(Interval(**row[names[0]]["null"])))
        cells += [_signed(Interval(**row[name]["reference_minus_this"])) for name in names[1:]]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _signed(interval: Interval) -> str:
    return f"{interval.mean:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]"
