"""Score against the number of corpora an encoder was pre-trained on."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mdjpt_hf.data.exposure import exposure_note
from mdjpt_hf.evaluation.reports.canvas import bare, canvas, colour_of

#: Drawn as lines across, with their interval: what no pre-training gives.
_REFERENCES = {"DE": "--", "random weights": ":"}


@dataclass(frozen=True)
class ScalingPoint:
    """One pre-trained encoder: its kind of model, how many corpora it was trained on, and its score."""

    name: str
    kind: str
    corpora: int
    score: Mapping[str, float]
    saw_tested: bool


def scaling_points(rows: Mapping[str, Any], encoders: Mapping[str, Any]) -> list[ScalingPoint]:
    """The pre-trained encoders whose training corpora are on record, if their numbers differ; else none.

    Args:
        rows: Name -> entry of a record. encoders: Name -> facts of it, `pretrained_on` among them.
    """
    points = []
    for name, entry in rows.items():
        facts = encoders.get(name, {})
        if facts.get("weights") == "pre-trained" and facts.get("pretrained_on"):
            seen = bool(exposure_note(facts))
            corpora = len(set(facts["pretrained_on"]))
            points.append(ScalingPoint(name, facts.get("kind", ""), corpora, entry["score"], seen))
    return points if len({point.corpora for point in points}) > 1 else []


def draw_scaling(rows: Mapping[str, Any], encoders: Mapping[str, Any], path: Path, title: str, score: str) -> bool:
    """Points with 95 % intervals, a line through the means of each number, and what no pre-training gives.

    Returns:
        Whether there was something to draw: see [`scaling_points`].
    """
    points = scaling_points(rows, encoders)
    if not points:
        return False
    figure, panels = canvas(1, 1, 6.4, 4.2)
    axes = panels[0, 0]
    kinds = list(dict.fromkeys(point.kind for point in points))
    for number, kind in enumerate(kinds):
        _draw_kind(axes, [point for point in points if point.kind == kind], colour_of(number), kind)
    for number, (name, style) in enumerate(_REFERENCES.items()):
        if name in rows:
            found, shade = rows[name]["score"], ("0.25", "0.55")[number]
            axes.axhspan(found["low"], found["high"], color=shade, alpha=0.12, linewidth=0)
            axes.axhline(found["mean"], color=shade, linestyle=style, label=name)
    axes.set_xticks(sorted({point.corpora for point in points}))
    axes.set(xlabel="corpora the encoder was pre-trained on", ylabel=f"{score}, mean and 95 % interval")
    axes.margins(x=0.08)
    axes.grid(axis="y", alpha=0.3)
    bare(axes)
    figure.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    figure.suptitle(title, fontsize=10)
    figure.savefig(path, dpi=110)
    return True


def _draw_kind(axes: Any, points: list[ScalingPoint], colour: str, kind: str) -> None:
    """Encoders with as many corpora stand beside each other; a hollow mark saw the tested corpus or its stimuli."""
    counts = sorted({point.corpora for point in points})
    means = []
    for count in counts:
        same = [point for point in points if point.corpora == count]
        means.append(np.mean([point.score["mean"] for point in same]))
        for place, point in zip(count + 0.06 * (np.arange(len(same)) - (len(same) - 1) / 2), same, strict=True):
            score = point.score
            axes.plot([place, place], [score["low"], score["high"]], color=colour, linewidth=1.5)
            face = "white" if point.saw_tested else colour
            axes.plot(place, score["mean"], "o", color=colour, markerfacecolor=face, markersize=6)
    axes.plot(counts, means, color=colour, linewidth=1, alpha=0.7, zorder=0)
    for label, hollow in ((f"{kind}", False), (f"{kind}, tested corpus or its stimuli seen", True)):
        if any(point.saw_tested == hollow for point in points):
            axes.plot([], [], "o", color=colour, markerfacecolor="white" if hollow else colour, label=label)
