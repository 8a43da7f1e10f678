"""The pictures of a report, as lines of Markdown that show them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mdjpt_hf.data.exposure import is_marked, of_encoder
from mdjpt_hf.evaluation.reports.feature_map import SCALES, draw_embedding, join_samples, read_sample
from mdjpt_hf.evaluation.reports.figures import draw_confidence, draw_confusion, draw_ratings, draw_subjects
from mdjpt_hf.evaluation.reports.importance_figure import draw_importance
from mdjpt_hf.evaluation.reports.scaling_figure import draw_scaling
from mdjpt_hf.evaluation.scores import SCORE_OF_RATINGS

_SCORES = {SCORE_OF_RATINGS: "concordance (CCC)"}


def figures(record: Mapping[str, Any], out: Path, name: str) -> list[str]:
    """Draw what a record holds into `out`, in files that start with `name`."""
    parts = []
    kind = " (simulated data)" if record["data"] == "simulated" else ""
    one = " (class and stimulus are the same thing)" if record["protocol"].get("one_stimulus") else ""
    for title, rows in record["results"].items():
        heading = f"{record['corpus']}{kind}: {title}{one}"
        encoders = {_marked(encoder, record): row for encoder, row in rows.items()}

        def path(part: str) -> Path:
            return out / f"{name}_{part}.png"

        score = _SCORES.get(record["score_name"], record["score_name"])
        draw_subjects(encoders, _own_names(record), path("subjects"), heading, score)
        if record["score_name"] == SCORE_OF_RATINGS:
            draw_ratings(encoders, record["target"], path("ratings"), heading)
            drawn = ["subjects", "ratings"]
        else:
            draw_confusion(encoders, record["classes"], path("confusion"), heading)
            draw_confidence(encoders, path("confidence"), heading)
            drawn = ["confusion", "subjects", "confidence"]
        if draw_scaling(rows, record["encoders"], path("scaling"), heading, score):
            drawn.append("scaling")
        if draw_importance(encoders, path("importance"), heading):
            drawn.append("importance")
        parts += [f"### {title}", *(f"![{part} of {heading}]({path(part).name})" for part in drawn)]
    return parts


def _marked(encoder: str, record: Mapping[str, Any]) -> str:
    return f"⚠ {encoder}" if is_marked(of_encoder(record, encoder)) else encoder


def _own_names(record: Mapping[str, Any]) -> list[str]:
    """Subjects by the names their corpus gives them; in records the corpus stands in front."""
    return [str(name).removeprefix(f"{record['corpus']}/") for name in record["subjects"]]


def embeddings(paths: Sequence[Path], out: Path, simulated: bool) -> list[str]:
    """Draw the features of all corpora together, before and after the encoder; for each way to group windows.

    Raises:
        RecordError: If a file of features beside the records is damaged.
    """
    folders = {path if path.is_dir() else path.parent for path in map(Path, paths)}
    files = sorted(file for folder in folders for file in folder.glob("features_*.npz"))
    parts = []
    for groups in sorted({file.stem.rpartition("_")[2] for file in files}):
        sample = join_samples([read_sample(file) for file in files if file.stem.endswith(f"_{groups}")])
        title = f"features before and after the encoder{' (simulated data)' if simulated else ''}"
        for scale in SCALES:
            picture = f"features_{groups}_{scale.replace(' ', '_')}.png"
            draw_embedding(sample, out / picture, title, scale)
            parts.append(f"![{title}, {SCALES[scale]}]({picture})")
    return ["## Features", *parts] if parts else []
