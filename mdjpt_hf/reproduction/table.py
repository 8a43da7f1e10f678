"""Records and published figures side by side: `table.json` with everything, `table.md` to read."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mdjpt_hf.data.exposure import exposure_note, is_marked, of_encoder
from mdjpt_hf.data.facts import RECORD_FILE
from mdjpt_hf.data.storage import write_json
from mdjpt_hf.evaluation.reports import read_records
from mdjpt_hf.reproduction.differences import differences, numbered
from mdjpt_hf.reproduction.plan import PRESETS, PROTOCOLS, Corpus, Plan
from mdjpt_hf.reproduction.published import ABSTRACT, AVERAGES, CORPORA, PUBLISHED, SYSTEM, Published, published

TABLE_FILE, JSON_FILE = "table.md", "table.json"
MARK = "⚠"
NOT_PUBLISHED = "not published"

#: Encoders of every row, by their names in records.
ENCODERS = ("pre-trained", "random weights", "DE")


def write_table(plan: Plan) -> Path:
    """Write both tables of what is finished by now; nothing in them depends on when or how often a run was killed."""
    rows = [row for corpus in plan.corpora for row in _rows(plan, corpus)]
    out = Path(plan.task.out)
    content = {
        "format": 1,
        "seed": plan.task.seed,
        "permutations": plan.task.permutations,
        "rows": rows,
        "published_averages": [{"what": what, "value": value, "source": ABSTRACT} for what, value in AVERAGES],
        "published_otherwise": [_figure(figure) for figure in PUBLISHED if figure.protocol not in PROTOCOLS],
    }
    write_json(out / JSON_FILE, content)
    (out / TABLE_FILE).write_text(_markdown(content), encoding="utf-8")
    return out / TABLE_FILE


# --- rows ----------------------------------------------------------------------------------------------------------


def _rows(plan: Plan, corpus: Corpus) -> list[dict[str, Any]]:
    """A row per protocol and preset; `scores` is empty where it has not been run."""
    rows = []
    for protocol in PROTOCOLS:
        for preset in PRESETS:
            record = _record(plan.folder(corpus) / preset, protocol)
            row = {
                "corpus": corpus.name,
                "title": CORPORA[corpus.name].title if corpus.name in CORPORA else corpus.name,
                "protocol": protocol,
                "preset": preset,
                "published": [_figure(figure) for figure in published(corpus.name, protocol)],
                "scores": {},
            }
            rows.append(row | (_scored(plan, corpus, record) if record else {}))
    return rows


def _record(folder: Path, protocol: str) -> dict[str, Any] | None:
    if not folder.is_dir():
        return None
    return next(record for record in read_records([folder]) if record["choices"]["name"] == protocol)


def _scored(plan: Plan, corpus: Corpus, record: Mapping[str, Any]) -> dict[str, Any]:
    encoder = Path(plan.without(corpus).output_dir)
    run, network = (json.loads((encoder / name).read_text(encoding="utf-8")) for name in (RECORD_FILE, "config.json"))
    remarks = {entry.name: entry.remark for entry in plan.corpora}
    ((title, results),) = record["results"].items()
    made = record["data"] == "simulated"
    return {
        "title_of_protocol": title,
        "label": record["target"],
        "classes": record["classes"],
        "subjects": len(record["subjects"]),
        "windows": record["windows"],
        "trained_on": [entry["name"] for entry in run["datasets"]],
        "data": "simulated" if made else ("not the whole corpus" if corpus.remark else record["data"]),
        "data_remark": corpus.remark,
        "optimistic": record["optimistic"],
        "protocol_key": record["protocol_key"],
        "splits": record["splits"]["hash"],
        "scores": {name: _score(results[name]) for name in ENCODERS},
        "marked": [name for name in ENCODERS if is_marked(of_encoder(record, name))],
        "differences": [*differences(record, run, network, remarks), *_to_be_read_with(record)],
    }


def _to_be_read_with(record: Mapping[str, Any]) -> list[str]:
    """What a record says of clips that are new to nobody, or are the same thing as a class."""
    notes = {name: exposure_note(of_encoder(record, name)) for name in ENCODERS}
    one = record["protocol"].get("one_stimulus", "")
    return [*(f"{MARK} {name}: {note}" for name, note in notes.items() if note), *([f"{MARK} {one}"] if one else [])]


def _score(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Accuracy with its interval over subjects, the null of the same protocol, and AUROC; all from 0 to 1."""
    auroc = entry["metrics"].get("auroc", {})
    return {
        "accuracy": {key: entry["score"][key] for key in ("mean", "low", "high")},
        "null": {key: entry["null"][key] for key in ("mean", "low", "high")},
        "p_value": entry["p_value"],
        "auroc": {key: auroc.get(key) for key in ("mean", "low", "high")},
    }


def _figure(figure: Published) -> dict[str, Any]:
    return {
        "corpus": figure.corpus,
        "protocol": figure.protocol,
        "system": figure.system,
        "metric": figure.metric,
        "per_cent": figure.value,
        "text": figure.text,
        "source": figure.source,
        "secondary": figure.secondary,
        "note": figure.note,
    }


# --- Markdown ------------------------------------------------------------------------------------------------------


def _markdown(content: Mapping[str, Any]) -> str:
    rows = content["rows"]
    done = [row for row in rows if row["scores"]]
    everywhere, texts, numbers = numbered([row["differences"] for row in done])
    sources = _sources(rows)
    own = {id(row): listed for row, listed in zip(done, numbers, strict=True)}
    parts = [
        "# Leave one dataset out: ours beside the published figures",
        _intro(done),
        _table([_line(row, own.get(id(row), []), sources) for row in rows]),
        "Sources of published figures:\n\n" + "\n".join(f"- [{mark}] {source}" for source, mark in sources.items()),
        *_elsewhere(content),
    ]
    if done:
        parts += ["## What differs from the paper", "In every row:\n\n" + "\n".join(f"- {text}" for text in everywhere)]
    if texts:
        listed = "\n".join(f"{number}. {text}" for number, text in enumerate(texts, 1))
        parts.append(f"In the rows that name the number:\n\n{listed}")
    return "\n\n".join(part for part in parts if part) + "\n"


def _intro(done: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        "Each corpus is left out in turn: an encoder is pre-trained on the others without labels, then evaluated on "
        "it. Accuracy in per cent, mean over subjects with a 95 % bootstrap interval over them; the null is what the "
        f"same protocol scores when labels are permuted. {MARK} marks the preset `paper`, which switches on choices "
        "that flatter: some look at the tested subjects; before a figure it says that the encoder was trained on the "
        "very clips of this row, shown by another corpus. The figures of the paper come from choices like "
        "these and say nothing about the honest rows.",
    ]
    made = sorted({row["title"] for row in done if row["data"] == "simulated"})
    if made:
        lines.append(f"**SIMULATED recordings: {', '.join(made)}. Their numbers say nothing about people.**")
    parts = {f"{row['title']} ({row['data_remark']})" for row in done if row["data"] == "not the whole corpus"}
    if parts:
        lines.append(
            f"**NOT the published corpora, but parts of them or made-up files: {', '.join(sorted(parts))}. "
            "Their numbers must not be compared with published ones.**"
        )
    return "\n\n".join(lines)


def _sources(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Source -> its letter."""
    names = dict.fromkeys(figure["source"] for row in rows for figure in row["published"])
    return {name: chr(ord("a") + number) for number, name in enumerate(names)}


_HEAD = (
    "left out",
    "protocol",
    "pre-trained",
    "random weights",
    "DE",
    "null of pre-trained",
    "AUROC of pre-trained",
    f"published {SYSTEM}",
    "published others",
    "differs also in",
)


def _line(row: Mapping[str, Any], numbers: Sequence[int], sources: Mapping[str, str]) -> list[str]:
    mark = f"{MARK} " if row["preset"] == "paper" else ""
    ours = [figure for figure in row["published"] if figure["system"] == SYSTEM]
    others = [figure for figure in row["published"] if figure["system"] != SYSTEM]
    scores = row["scores"]
    first = scores["pre-trained"] if scores else None
    return [
        row["title"] + _kind(row),
        f"{mark}{row['protocol']}, {row['preset']}",
        *(_marked(name, row) + _interval(scores[name]["accuracy"]) if scores else "not run" for name in ENCODERS),
        _interval(first["null"]) if first else "",
        _per_cent(first["auroc"]["mean"]) if first else "",
        "; ".join(_cited(figure, sources) for figure in ours) or NOT_PUBLISHED,
        "; ".join(f"{figure['system']} {_cited(figure, sources)}" for figure in others) or "–",
        ", ".join(map(str, numbers)),
    ]


def _marked(encoder: str, row: Mapping[str, Any]) -> str:
    return f"{MARK} " if encoder in row.get("marked", []) else ""


def _kind(row: Mapping[str, Any]) -> str:
    if not row["scores"]:
        return ""
    marks = {"simulated": " (SIMULATED)", "not the whole corpus": " (NOT THE WHOLE CORPUS)"}
    return marks.get(row["data"], "") + f", {len(row['classes'])} classes"


def _cited(figure: Mapping[str, Any], sources: Mapping[str, str]) -> str:
    note = f" ({figure['note']})" if figure["note"] else ""
    return f"{figure['text']}{note} [{sources[figure['source']]}]"


def _elsewhere(content: Mapping[str, Any]) -> list[str]:
    """Published figures that stand in no row."""
    lines = [f"- {entry['what']}: {entry['value']} ({entry['source']})" for entry in content["published_averages"]]
    lines += [
        f"- {CORPORA[entry['corpus']].title}, {entry['protocol']}, {entry['system']}: {entry['metric']} "
        f"{entry['text']} ({entry['source']})"
        for entry in content["published_otherwise"]
    ]
    return ["Published figures that no row can show:\n\n" + "\n".join(lines)]


def _interval(values: Mapping[str, float]) -> str:
    return f"{_per_cent(values['mean'])} [{_per_cent(values['low'])}, {_per_cent(values['high'])}]"


def _per_cent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def _table(lines: Sequence[Sequence[str]]) -> str:
    rows = [_HEAD, ["---"] * len(_HEAD), *lines]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in rows)
