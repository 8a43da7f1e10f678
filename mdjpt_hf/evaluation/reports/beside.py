"""Which rows may stand beside which published table, and what is to be read with them."""

from collections.abc import Mapping, Sequence
from typing import Any

from mdjpt_hf.data.exposure import SAW_CORPUS, SAW_LABELS, exposure_note
from mdjpt_hf.evaluation.protocols import BENCHMARKS, Benchmark
from mdjpt_hf.evaluation.reports.cells import interval_cell, markdown

_TITLE = "## Beside published tables"

#: Shorter than elsewhere, where the corpus stands in the row.
_SEEN = {SAW_LABELS: "trained with its labels", SAW_CORPUS: "pre-trained on it"}


def beside_published(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """A section for every published column that a record may stand beside, and a line on those that stand alone.

    Only the protocol of a preset, unchanged, on a recorded corpus with its own classes stands beside anything.
    """
    parts = [part for benchmark in BENCHMARKS for part in _beside(benchmark, records)]
    alone = [
        f"{record['corpus']}, {title}"
        for record in records
        for title in record["results"]
        if not any(_fits(benchmark, record) for benchmark in BENCHMARKS)
    ]
    if not parts:
        return []
    rest = f"Beside no published table: {'; '.join(alone)}." if alone else ""
    return [_TITLE, *parts, *([rest] if rest else [])]


def _fits(benchmark: Benchmark, record: Mapping[str, Any]) -> bool:
    own_classes = record["data"] == "recorded" and record["target"] == "label"
    return own_classes and record["protocol_key"] == benchmark.protocol.key


def _beside(benchmark: Benchmark, records: Sequence[Mapping[str, Any]]) -> list[str]:
    fitting = [record for record in records if _fits(benchmark, record)]
    if not fitting:
        return []
    rows = [row for record in fitting for row in _rows(benchmark, record)]
    head = ["corpus", "encoder", benchmark.metric.replace("_", " "), "by"]
    notes = [f"- {text}" for text in dict.fromkeys(record["protocol"].get("one_stimulus", "") for record in fitting)]
    notes = [note for note in notes if note != "- "] + [f"- different here: {text}" for text in benchmark.differs]
    notes += [f"- not known of the benchmark: {text}" for text in benchmark.unknown]
    told = f"Figures of {benchmark.source} beside ours."
    return [f"### {benchmark.name}", told, markdown(head, rows), "\n".join(notes)]


def _rows(benchmark: Benchmark, record: Mapping[str, Any]) -> list[list[str]]:
    corpus = record["corpus"]
    figures = benchmark.figures.get(corpus, {})
    published = [[corpus, name, f"{figure:.3f}", benchmark.source] for name, figure in figures.items()]
    published = published or [[corpus, "none at hand", "", benchmark.source]]
    ours = []
    for entries in record["results"].values():
        for name, entry in entries.items():
            facts = record["encoders"].get(name, {})
            note = _SEEN.get(str(facts.get("saw_this_corpus"))) or exposure_note(facts)
            title = name + (f" ({note})" if note else "")
            ours.append([corpus, title, interval_cell(entry["metrics"][benchmark.metric]), "this report"])
    return published + ours
