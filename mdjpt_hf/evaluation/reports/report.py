"""`mdjpt report`: records as tables, tests and figures in Markdown; what is not comparable is not put side by side."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mdjpt_hf.data.exposure import is_marked, noted
from mdjpt_hf.errors import RecordError
from mdjpt_hf.evaluation.reports.beside import beside_published
from mdjpt_hf.evaluation.reports.cells import interval_cell, markdown
from mdjpt_hf.evaluation.reports.records import comparability, read_records
from mdjpt_hf.evaluation.reports.report_figures import embeddings, figures
from mdjpt_hf.evaluation.scores import SCORE_OF_RATINGS, holm, paired_p_value, subject_bootstrap

REPORT_FILE = "report.md"
MARK = "⚠"
#: Stands by p-values that more permutations could have made smaller.
TOO_FEW = "†"

#: Score of a record -> heading.
SCORES = {"accuracy": "accuracy", SCORE_OF_RATINGS: "CCC"}

_RATING_METRICS = {"pearson_r": "Pearson r", "root_mean_squared_error": "RMSE"}
_METRICS = {
    "balanced_accuracy": "balanced acc.",
    "macro_f1": "macro-F1",
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "cohen_kappa": "kappa",
    "expected_calibration_error": "ECE",
}


def write_report(paths: Sequence[Path], out: Path) -> Path:
    """Read records and write `report.md` with its figures.

    Raises:
        RecordError: If a file is no record, or the same encoder stands in two comparable records.
    """
    records = read_records(paths)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    tables = merge(records)
    simulated = all(record["data"] == "simulated" for record in records)
    parts = [f"# Results{' on simulated data' if simulated else ''}", _intro(simulated)]
    for corpus in dict.fromkeys(record["corpus"] for record in tables):
        own = [record for record in tables if record["corpus"] == corpus]
        one = dict.fromkeys(_one_stimulus(record) for record in own)
        parts += [f"## {corpus}", _facts(own[0]), *filter(None, one), *_tables(own), _paired(own), _protocols(own)]
        parts += [part for number, record in enumerate(own) for part in figures(record, out, f"{corpus}_{number}")]
    parts += beside_published(tables)
    parts += embeddings(paths, out, simulated)
    (out / REPORT_FILE).write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return out / REPORT_FILE


def merge(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Records of the same protocol, splits, data, classes and windows become one; all others stay apart.

    Raises:
        RecordError: If an encoder would have two scores in one.
    """
    merged: dict[tuple[Any, ...], dict[str, Any]] = {}
    for record in records:
        key = comparability(record)
        if key not in merged:
            merged[key] = {**record, "results": {title: dict(row) for title, row in record["results"].items()}}
            continue
        for title, row in record["results"].items():
            known = merged[key]["results"].setdefault(title, {})
            twice = sorted(set(known) & set(row))
            if twice:
                raise RecordError(
                    f"{', '.join(twice)} has two records of {title} on {record['corpus']}",
                    value=twice,
                    remedy="Give one of them, or rename the model's folder",
                )
            known |= row
        for name in ("encoders", "permutations"):
            merged[key][name] = merged[key][name] | record[name]
    return list(merged.values())


def _intro(simulated: bool) -> str:
    made = "The recordings are **simulated**: nothing here says anything about people. " if simulated else ""
    return (
        f"{made}Accuracy (for ratings CCC, the concordance correlation) is the mean over subjects with a "
        "95 % bootstrap interval over them. The null is what the same "
        "protocol scores when the labels are permuted; chance is not one over the number of classes. p is the share of "
        f"permutations that score as much, Holm-adjusted over the tables of a corpus. {MARK} marks protocols with "
        "choices that flatter; they have tables of their own and must not be compared with the others. Before an "
        f"encoder, {MARK} says that its checkpoint was fine-tuned with labels of this very corpus, perhaps of the "
        "people and stimuli tested, or that it was trained on people of another corpus who watched the very stimuli "
        "tested, which are then new in no row: its score says little about others."
    )


def _facts(record: Mapping[str, Any]) -> str:
    kind = "simulated" if record["data"] == "simulated" else "recorded"
    return (
        f"{len(record['subjects'])} tested subjects, {record['windows']} windows, {record['stimuli']} stimuli, {kind}; "
        f"{record['target']}: {', '.join(record['classes'])}."
    )


def _one_stimulus(record: Mapping[str, Any]) -> str:
    note = record["protocol"].get("one_stimulus", "")
    return f"**{MARK} {note}.**" if note else ""


# --- tables --------------------------------------------------------------------------------------------------------


def _rows(records: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, Mapping[str, Any], Mapping[str, Any]]]:
    """(title, encoder, entry, record) of every row; titles that several protocols share are numbered."""
    titles = [title for record in records for title in record["results"]]
    rows = []
    for number, record in enumerate(records, 1):
        for title, row in record["results"].items():
            name = f"{title} [{number}]" if titles.count(title) > 1 else title
            rows += [(name, encoder, entry, record) for encoder, entry in row.items()]
    return rows


def _tables(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """An honest table and, apart from it, a marked one."""
    rows = _rows(records)
    adjusted = _p_cells(rows)
    tables = []
    kinds = dict.fromkeys((score, flatters) for flatters in (False, True) for score in _scores(records))
    for score, optimistic in kinds:
        chosen = [
            _row(*row, p_value)
            for row, p_value in zip(rows, adjusted, strict=True)
            if bool(row[3]["optimistic"]) == optimistic and row[3]["score_name"] == score
        ]
        if chosen:
            head = ["protocol", "encoder", SCORES[score], "null", "p (Holm)", *_columns(score).values(), "n"]
            title = f"**{MARK} Optimistic: not comparable with the table above**\n\n" if optimistic else ""
            tables.append(title + markdown(head, chosen))
    if any(cell.endswith(TOO_FEW) for cell in adjusted):
        tables.append(
            f"{TOO_FEW} No score could have reached p = 0.05 here: for {len(rows)} tests after Holm's correction that "
            f"takes {20 * len(rows) - 1} permutations (`--permutations`, `--scratch-permutations`). ≤ marks the "
            "smallest p there can be."
        )
    return tables


def _p_cells(rows: Sequence[tuple[str, str, Mapping[str, Any], Mapping[str, Any]]]) -> list[str]:
    """Holm-adjusted p-values of rows, marked where no score could have come to 0.05 with so few permutations."""
    values = [entry["p_value"] for _, _, entry, _ in rows]
    cells = []
    for number, (adjusted, (_, encoder, _, record)) in enumerate(zip(holm(values), rows, strict=True)):
        floor = 1 / (1 + record["permutations"].get(encoder, math.inf))
        lowest = holm([*values[:number], min(floor, values[number]), *values[number + 1 :]])[number]
        at_floor = "≤ " if values[number] <= floor + 1e-6 else ""  # records round
        cells.append(f"{at_floor}{adjusted:.3f} {TOO_FEW}" if lowest > 0.05 else f"{adjusted:.3f}")
    return cells


def _scores(records: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(record["score_name"] for record in records))


def _columns(score: str) -> Mapping[str, str]:
    """Metric -> heading of its column."""
    return _METRICS if score == "accuracy" else _RATING_METRICS


def _row(title: str, encoder: str, entry: Mapping[str, Any], record: Mapping[str, Any], p_value: str) -> list[str]:
    mark = f"{MARK} " if record["optimistic"] else ""
    facts = record["encoders"][encoder]
    notes = [" (random weights)"] if "why_random" in facts else []
    metrics = [entry["metrics"].get(name, {}).get("mean") for name in _columns(record["score_name"])]
    return [
        mark + title,
        noted(encoder, facts, MARK) + "".join(notes),
        interval_cell(entry["score"]),
        interval_cell(entry["null"]),
        p_value,
        *("–" if value is None else f"{value:.3f}" for value in metrics),
        str(sum(score is not None for score in entry["per_subject"])),
    ]


def _marked(encoder: str, facts: Mapping[str, Any]) -> str:
    return f"{MARK} {encoder}" if is_marked(facts) else encoder


def _paired(records: Sequence[Mapping[str, Any]]) -> str:
    """Every encoder against the first of its protocol, subject by subject."""
    found = []
    for title, encoder, entry, record in _rows(records):
        first = next(name for row in record["results"].values() for name in row)
        if encoder != first:
            reference = next(row[first] for row in record["results"].values())
            difference = _numbers(reference["per_subject"]) - _numbers(entry["per_subject"])
            pair = " − ".join(_marked(name, record["encoders"][name]) for name in (first, encoder))
            found.append((title, pair, difference, record))
    if not found:
        return ""
    adjusted = holm([paired_p_value(difference) for _, _, difference, _ in found])
    rows = []
    for (title, pair, difference, record), p_value in zip(found, adjusted, strict=True):
        interval = subject_bootstrap(difference)
        cell = f"{interval.mean:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]"
        rows.append([(f"{MARK} " if record["optimistic"] else "") + title, pair, cell, f"{p_value:.4f}"])
    head = ["protocol", "pair", "difference in the score", "p (sign flips over subjects, Holm)"]
    return "Paired over subjects:\n\n" + markdown(head, rows)


def _protocols(records: Sequence[Mapping[str, Any]]) -> str:
    """Every choice of every protocol."""
    lines = ["What was done:", ""]
    for title, record in dict((row[0], row[3]) for row in _rows(records)).items():
        choices = "; ".join(f"{name}: {value}" for name, value in record["protocol"].items())
        permutations = ", ".join(f"{name} {count}" for name, count in record["permutations"].items())
        lines.append(
            f"- **{title}**: {choices}. Splits `{record['splits']['hash'][:12]}` ({record['splits']['count']}), "
            f"seed {record['seed']}; permutations: {permutations}."
        )
    return "\n".join(lines)


def _numbers(values: Sequence[Any]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], dtype=float)
