"""Model cards made from records: what a run, its configuration and its results say, and nothing typed by hand.

The words of every card stand in `model_cards/card.md`, those of a family in `model_cards/<family>.md`. The facts come
from `run_record.json`, from the records of results, and from what the user names (licence, base model). A card that
lacks one is refused with the list.
"""

import json
import math
from collections.abc import Collection, Iterator, Mapping
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from huggingface_hub import EvalResult, ModelCardData
from huggingface_hub.utils import yaml_dump

from mdjpt_hf.data.exposure import exposure_note, noted, of_encoder
from mdjpt_hf.data.facts import RECORD_FILE
from mdjpt_hf.errors import CardError

#: Where records of results stand in a model's folder.
RESULT_FILES = ("comparison.json", "results/*.json", "evaluation/*.json")

#: Names of a checkpoint's own row in records that name no encoders: those a training leaves beside its weights.
OWN_ROWS = ("pre-trained", "this model")

_FROM_RUN = "written by `mdjpt pretrain` to run_record.json; for other folders give it with --facts FILE.yaml"
#: Fact -> what it is, and how to give it.
REQUIRED = {
    "licence": "licence of the weights: give --licence, for example apache-2.0; terms of the training data may bind it",
    "datasets": f"training data: {_FROM_RUN}",
    "objective": f"what was learnt: {_FROM_RUN}",
    "parameters": f"number of parameters: {_FROM_RUN}",
    "steps": f"optimiser steps: {_FROM_RUN}",
    "seed": f"seed: {_FROM_RUN}",
    "checkpoint": f"which weights these are, and how they were chosen: {_FROM_RUN}",
    "software": f"versions of the software, by name: {_FROM_RUN}",
    "machine": f"device, its name, processes: {_FROM_RUN}",
    "wall_seconds": f"duration of the training: {_FROM_RUN}",
    "energy": f"kwh, and the assumption it rests on: {_FROM_RUN}",
}
#: The objective that learns both methods on mdJPT's encoder.
JOINT = "mdjpt+masked"
#: Family -> what to cite for its method.
PAPERS = {
    "mdjpt": """\
@inproceedings{zhang2025mdjpt,
  title     = {{mdJPT}: multi-dataset joint pre-training of emotional {EEG}},
  author    = {Zhang and others},
  booktitle = {NeurIPS},
  year      = {2025},
  note      = {arXiv:2510.22197}
}""",
    "masked_eeg": """\
@article{hu2024masked,
  title   = {Masked self-supervised pre-training model for {EEG}-based emotion recognition},
  author  = {Hu and Chen and Yan and Wu and Ding and Xu and Cheng},
  journal = {Computational Intelligence},
  volume  = {40},
  number  = {3},
  pages   = {e12659},
  year    = {2024},
  doi     = {10.1111/coin.12659}
}""",
}
_REQUIRED_OF = {
    "datasets": ("name", "title", "licence", "subjects", "trials", "hours", "preprocessing"),
    "results": ("corpus", "subjects", "classes", "windows", "protocol"),
    "energy": ("kwh", "assumption"),
    "machine": ("device", "name", "processes"),
}


def gather_facts(
    folder: Path, licence: str = "", base_model: str = "", extra: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What is known of the checkpoint in a folder.

    Args:
        folder: Made by `mdjpt pretrain`, or any folder with a saved model.
        licence: Of the weights; weights trained on simulated data alone are Apache-2.0 unless told otherwise.
        base_model: The Hub's name of the checkpoint this one was trained from.
        extra: Facts that the folder does not tell, by their names in `run_record.json`.

    Raises:
        CardError: If a record cannot be read.
    """
    config = _read(folder / "config.json")
    record = _read(folder / RECORD_FILE) if (folder / RECORD_FILE).is_file() else {}
    facts = {"family": config.get("model_type"), "architectures": config.get("architectures"), **record}
    facts["folder"] = folder.resolve().name
    facts["results"] = result_records(folder)
    facts |= dict(extra or {})
    datasets = facts.get("datasets") or []
    if not isinstance(datasets, list) or not all(isinstance(entry, dict) for entry in datasets):
        raise CardError("datasets must be a list of mappings", value=datasets, remedy="See datasets in run_record.json")
    simulated = bool(facts.get("datasets")) and all(entry.get("simulated") for entry in facts["datasets"])
    facts["licence"] = licence or facts.get("licence") or ("apache-2.0" if simulated else "")
    facts["base_model"] = base_model or facts.get("base_model", "")
    return facts


def result_records(folder: Path) -> list[dict[str, Any]]:
    """Records of results beside a checkpoint: those with a protocol and scores by it."""
    paths = sorted(path for pattern in RESULT_FILES for path in folder.glob(pattern))
    records = [_read(path) for path in paths]
    records = [record for record in records if isinstance(record, dict) and record.get("protocol")]
    return [record for record in records if record.get("results") or record.get("metrics")]


def missing_facts(facts: Mapping[str, Any]) -> list[str]:
    """What a card needs and the facts do not tell, one line each, with the way to give it."""
    missing = [f"{name}: {how}" for name, how in REQUIRED.items() if facts.get(name) in (None, "", [], {})]
    for name, parts in _REQUIRED_OF.items():
        value = facts.get(name) or []
        for number, entry in enumerate(value if isinstance(value, list) else [value]):
            where = f"{name}[{entry.get('name', number)}]" if isinstance(value, list) else name
            absent = [part for part in parts if entry.get(part) in (None, "", [], {})]
            missing += [f"{where}.{part}: {_FROM_RUN}" for part in absent]
    return missing


def model_card(facts: Mapping[str, Any], repo_id: str, files: Collection[str] = ()) -> str:
    """The card of a checkpoint, as `README.md` holds it.

    Args:
        facts: From [`gather_facts`].
        repo_id: `user/name`, for the examples.
        files: Paths that travel with the card; what is shown follows from them.

    Raises:
        CardError: If facts are missing, the family has no template, or a number is not finite.
    """
    missing = missing_facts(facts)
    if missing:
        raise CardError(
            f"the card of {repo_id} lacks {len(missing)} facts:\n- " + "\n- ".join(missing) + "\nNothing was sent",
            value=[line.partition(":")[0] for line in missing],
        )
    template = Template((resources.files("mdjpt_hf.model_cards") / "card.md").read_text(encoding="utf-8"))
    text = template.substitute(
        method=_method(facts),
        title=repo_id.rpartition("/")[2],
        summary=_summary(facts),
        version=facts["software"].get("mdjpt-hf", ""),
        usage=_usage(facts, repo_id, files),
        data=_data(facts["datasets"]),
        preprocessing=_preprocessing(facts["datasets"]),
        training=_training(facts, files),
        results="\n\n".join(map(_results, facts["results"])) or "None are on record, so none is claimed.",
        limits=_limits(facts),
        energy=f"About {facts['energy']['kwh']:g} kWh for this training run: {facts['energy']['assumption']}.",
        licence=_licences(facts),
        citation=_citations(facts),
    )
    return f"---\n{yaml_dump(_metadata(facts, repo_id)).strip()}\n---\n\n{text}"


# --- the part machines read ----------------------------------------------------------------------------------------


def _metadata(facts: Mapping[str, Any], repo_id: str) -> dict[str, Any]:
    scores = [score for record in facts["results"] for score in _scores(record, (facts.get("folder", ""), repo_id))]
    data = ModelCardData(
        license=facts["licence"],
        library_name="transformers",
        pipeline_tag="other",
        base_model=facts["base_model"] or None,
        tags=_tags(facts),
        datasets=[entry["name"] for entry in facts["datasets"]],
        metrics=sorted({score.metric_type for score in scores}) or None,
        model_name=repo_id.rpartition("/")[2],
        eval_results=scores or None,
    )
    metadata = data.to_dict()
    _check_plain(metadata)
    return metadata


def _tags(facts: Mapping[str, Any]) -> list[str]:
    simulated = all(entry.get("simulated") for entry in facts["datasets"])
    return ["eeg", "emotion-recognition", "pre-training", str(facts["family"])] + ["simulated-data"] * simulated


def _scores(record: Mapping[str, Any], names: Collection[str] = ()) -> Iterator[EvalResult]:
    """The model's own score under every protocol; the encoders it was compared with are in the text.

    Args:
        record: Of results. names: The model's folder and Hub id, by which a record of many encoders knows it.
    """
    for protocol, row in record.get("results", {}).items():
        found = _own_entry(record, row, names)
        if found is None:
            continue
        name, own = found
        interval, null = own["score"], own.get("null") or {}
        arguments = {
            "protocol": protocol,
            "interval_95": [round(float(interval["low"]), 4), round(float(interval["high"]), 4)],
            "subjects": len(record["subjects"]),
            **({"ratings": list(record["classes"])} if _rates(record) else {"classes": len(record["classes"])}),
        }
        if note := exposure_note(of_encoder(record, name)):
            arguments["encoder"] = note
        if null:
            arguments["permutation_null"] = round(float(null["mean"]), 4)
        yield EvalResult(
            task_type="other",
            task_name="EEG emotion recognition",
            dataset_type=record["corpus"],
            dataset_name=f"{record['corpus']}{_kind(record)}",
            dataset_split=record.get("split", "test"),
            dataset_args=dict(record["protocol"]),
            metric_type=record.get("score_name", "accuracy"),
            metric_name=f"{_score_name(record)}, {protocol}",
            metric_value=round(float(interval["mean"]), 4),
            metric_args=arguments,
        )


def _own_entry(
    record: Mapping[str, Any], row: Mapping[str, Any], names: Collection[str]
) -> tuple[str, Mapping[str, Any]] | None:
    """Name and entry of the model itself in a row of results; None where only others were scored."""
    if "encoders" not in record:
        return next(((name, row[name]) for name in OWN_ROWS if name in row), None)
    for name, entry in row.items():
        facts = record["encoders"].get(name, {})
        if facts.get("weights") == "pre-trained" and facts.get("origin", name) in names:
            return name, entry
    return None


def _rates(record: Mapping[str, Any]) -> bool:
    """Whether the record judges ratings; its `classes` are their names."""
    return record.get("score_name", "accuracy") != "accuracy"


def _kind(record: Mapping[str, Any]) -> str:
    return " (simulated)" if record.get("data") == "simulated" else ""


def _check_plain(value: Any, where: str = "card") -> None:
    """NumPy's numbers become Python objects in YAML and NaN becomes `.nan`, both without a word."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            _check_plain(part, f"{where}.{name}")
    elif type(value) is list:
        for number, part in enumerate(value):
            _check_plain(part, f"{where}[{number}]")
    elif type(value) not in (str, int, bool, type(None), float) or (type(value) is float and not math.isfinite(value)):
        raise CardError(
            f"{where} is {value!r}, a {type(value).__name__}; a card holds plain, finite values",
            value=where,
            remedy="Correct the record it comes from",
        )


# --- the part people read ------------------------------------------------------------------------------------------


def _method(facts: Mapping[str, Any]) -> str:
    """The words that hold for every checkpoint of a family, and those for masked prediction learnt beside it."""
    folder, family = resources.files("mdjpt_hf.model_cards"), str(facts["family"])
    if family not in PAPERS or not (folder / f"{family}.md").is_file():
        raise CardError(f"there is no model_cards/{family}.md", value=family, remedy="Push a known model")
    names = [family, "mdjpt_masked"] if facts["objective"] == JOINT else [family]
    return "\n\n".join((folder / f"{name}.md").read_text(encoding="utf-8").strip() for name in names)


def _summary(facts: Mapping[str, Any]) -> str:
    datasets, hours = facts["datasets"], sum(entry["hours"] for entry in facts["datasets"])
    subjects = sum(entry["subjects"] for entry in datasets)
    kind = "**simulated** recordings" if _all_simulated(facts) else "recordings"
    origin = f"from {facts['base_model']}" if facts["base_model"] else "from random weights"
    what = f"An EEG encoder of {facts['parameters']:,} parameters, trained {origin}"
    if is_classifier(facts):
        what = f"An EEG emotion classifier of {facts['parameters']:,} parameters, pre-trained and fine-tuned"
    return f"{what} on {hours:.1f} h of {kind} of {subjects} subjects in {len(datasets)} datasets."


def is_classifier(facts: Mapping[str, Any]) -> bool:
    """Whether the model was saved with an emotion head; an encoder alone would answer through random weights."""
    return any(name.endswith("ForSequenceClassification") for name in facts.get("architectures") or [])


def _all_simulated(facts: Mapping[str, Any]) -> bool:
    return all(entry.get("simulated") for entry in facts["datasets"])


def _usage(facts: Mapping[str, Any], repo_id: str, files: Collection[str]) -> str:
    if is_classifier(facts) and any(name.startswith("pipeline_") for name in files):
        return (
            "from transformers import pipeline\n\n"
            f'classify = pipeline("eeg-emotion-recognition", model="{repo_id}", trust_remote_code=True)\n'
            'print(classify("recording.edf"))  # features are normalised over the whole recording'
        )
    return (
        "from transformers import AutoFeatureExtractor, AutoModel\n\n"
        f'model = AutoModel.from_pretrained("{repo_id}", trust_remote_code=True)\n'
        f'extractor = AutoFeatureExtractor.from_pretrained("{repo_id}", trust_remote_code=True)\n'
        'inputs = extractor(raw, return_tensors="pt")  # mne.io.Raw, or array, ch_names=, sampling_rate=, unit=\n'
        "features = model(**inputs).pooler_output  # (windows, features)"
    )


def _data(datasets: list[Mapping[str, Any]]) -> str:
    head = ["dataset", "what it is", "licence or terms", "subjects", "trials", "hours", "preprocessing"]
    rows = [
        [
            entry["name"],
            entry["title"],
            entry["licence"],
            _subjects(entry),
            entry["trials"],
            f"{entry['hours']:.2f}",
            ", ".join(entry["preprocessing"]),
        ]
        for entry in datasets
    ]
    return _table(head, rows)


def _subjects(entry: Mapping[str, Any]) -> str:
    held_out = entry.get("held_out_subjects", 0)
    return f"{entry['subjects']}" + (f", {held_out} of them held out" if held_out else "")


def _preprocessing(datasets: list[Mapping[str, Any]]) -> str:
    """Every preset once, with its exact settings where they are on record."""
    settings = {name: entry.get("preprocessing_settings") for entry in datasets for name in entry["preprocessing"]}
    lines = []
    for name, values in settings.items():
        told = "; ".join(f"{key.replace('_', ' ')}: {value}" for key, value in (values or {}).items() if key != "id")
        lines.append(f"- `{name}`: {told}" if told else f"- `{name}`")
    return "\n".join(lines)


def _training(facts: Mapping[str, Any], files: Collection[str]) -> str:
    machine, minutes = facts["machine"], facts["wall_seconds"] / 60
    threads = f", {machine['threads']} threads each" if machine.get("threads") else ""
    software = ", ".join(f"{name} {version}" for name, version in facts["software"].items())
    lines = [
        f"- Objective `{facts['objective']}`, {facts['steps']:,} steps, seed {facts['seed']}.",
        f"- These weights: {facts['checkpoint']}.",
        f"- {minutes:.1f} minutes, {machine['processes']} × {machine['device']}{threads}, {machine['name']}.",
        f"- {software}.",
        *(f"- Differs from the paper: {departure}." for departure in facts.get("departures", [])),
    ]
    if "run.yaml" in files:
        data = "" if _all_simulated(facts) else " --data ..."
        lines.append(f"- `run.yaml` holds every setting: `mdjpt pretrain --config run.yaml{data}` repeats the run.")
    return "\n".join(lines)


def _results(record: Mapping[str, Any]) -> str:
    """A record as a table, with its protocol beneath."""
    if not record.get("results"):
        return _bare_metrics(record)
    names = list(next(iter(record["results"].values())))
    count = len(record["classes"])
    asked = f"ratings: {', '.join(record['classes'])}" if _rates(record) else f"{count} classes"
    intro = (
        f"{_score_name(record).capitalize()} on **{record['corpus']}**{_kind(record)}: "
        f"{len(record['subjects'])} subjects, {asked}, {record['windows']} windows. "
        "Mean over subjects with its 95 % interval"
    )
    rows = [
        [protocol, *(_interval(row[name]["score"]) for name in names)] for protocol, row in record["results"].items()
    ]
    head = ["protocol", *(noted(name, of_encoder(record, name)) for name in names)]
    nulls = [row[names[0]].get("null") for row in record["results"].values()]
    if any(nulls):
        intro, head = f"{intro}; the null is {names[0]} with permuted labels", [*head, "null"]
        rows = [[*row, _interval(null)] for row, null in zip(rows, nulls, strict=True)]
    protocol = "\n".join(f"- {name}: {value}" for name, value in record["protocol"].items())
    return f"{intro}.{_one_stimulus(record)}\n\n{_table(head, rows)}\n\nProtocol:\n\n{protocol}"


def _one_stimulus(record: Mapping[str, Any]) -> str:
    """What has to be said where a class was shown by a single stimulus."""
    note = record["protocol"].get("one_stimulus", "")
    return f"\n\n**⚠ {note}.**" if note else ""


def _score_name(record: Mapping[str, Any]) -> str:
    return str(record.get("score_name", "accuracy")).replace("_", " ")


def _bare_metrics(record: Mapping[str, Any]) -> str:
    """What has no interval over subjects: mean absolute errors of ratings, and scores on one person."""
    intro = f"**{record['corpus']}**{_kind(record)}: {len(record['subjects'])} subjects, {record['windows']} windows."
    errors = record["metrics"].get("mean_absolute_error")
    if errors is not None:
        head, rows = ["rating, from 0 to 1", "mean absolute error"], errors.items()
    else:
        head, rows = ["score", "on one person, which has no interval"], record["metrics"].items()
    table = _table(head, [[name.replace("_", " "), f"{value:.3f}"] for name, value in rows])
    protocol = "\n".join(f"- {name}: {value}" for name, value in record["protocol"].items())
    return f"{intro}{_one_stimulus(record)}\n\n{table}\n\nProtocol:\n\n{protocol}"


def _interval(values: Mapping[str, float] | None) -> str:
    return f"{values['mean']:.3f} [{values['low']:.3f}, {values['high']:.3f}]" if values else "–"


def _limits(facts: Mapping[str, Any]) -> str:
    lines = []
    if _all_simulated(facts):
        lines.append("- **Simulated data only.** It shows that the software works; it knows nothing of human EEG.")
    elif some := [entry["name"] for entry in facts["datasets"] if entry.get("simulated")]:
        lines.append(f"- **Trained on simulated data in part**: {', '.join(some)}.")
    if any(record.get("data") == "simulated" for record in facts["results"]):
        lines.append("- The results above are on simulated recordings and say nothing about people.")
    if not facts["results"]:
        lines.append("- Nobody has put a score of it on record.")
    return "\n".join(lines) or "- The results above hold for their corpora and protocols, and no further."


def _licences(facts: Mapping[str, Any]) -> str:
    names = ", ".join(entry["name"] for entry in facts["datasets"])
    return (
        f"Weights: `{facts['licence']}`. Code: Apache-2.0. The data keep their own terms, listed above; "
        f"none of {names} is part of this repository."
    )


def _citations(facts: Mapping[str, Any]) -> str:
    families = PAPERS if facts["objective"] == JOINT else [facts["family"]]
    papers, datasets = [PAPERS[family] for family in families], facts["datasets"]
    entries = [*papers, *dict.fromkeys(entry["citation"].strip() for entry in datasets if entry.get("citation"))]
    return "```bibtex\n" + "\n\n".join(entries) + "\n```"


def _table(head: list[str], rows: list[list[Any]]) -> str:
    """Markdown; a bar inside a cell would end it."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CardError(f"cannot be read: {error}", path=path, remedy="Make it again, or move it away") from error
