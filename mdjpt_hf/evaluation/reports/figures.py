"""Pictures of records: who was mistaken for what, how subjects differ, how far confidence can be trusted."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mdjpt_hf.evaluation.reports.canvas import SHOWN, bare, canvas, colour_of, mark_of

_LONGEST_NAME = 16  # signs of a subject's name under an axis


def draw_confusion(rows: Mapping[str, Any], classes: list[str], path: Path, title: str) -> None:
    """One matrix per encoder: of the windows of a class, the share taken for each."""
    shown = list(rows.items())[:SHOWN]
    figure, panels = canvas(1, len(shown), 1.8 + 0.55 * len(classes), 1.9 + 0.45 * len(classes))
    for axes, (name, entry) in zip(panels[0], shown, strict=True):
        counts = np.array(entry["confusion"], dtype=float)
        share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(share, vmin=0, vmax=1, cmap="Blues")
        for true, found in np.ndindex(share.shape):
            colour = "white" if share[true, found] > 0.55 else "black"
            axes.text(found, true, f"{share[true, found]:.2f}", ha="center", va="center", fontsize=8, color=colour)
        axes.set_xticks(range(len(classes)), classes, rotation=40, ha="right", fontsize=8)
        axes.set_yticks(range(len(classes)), classes, fontsize=8)
        axes.set(title=name, xlabel="recognised", ylabel="true" if axes is panels[0][0] else "")
    figure.suptitle(title, fontsize=9)
    figure.savefig(path, dpi=110)


def draw_ratings(rows: Mapping[str, Any], rating: str, path: Path, title: str) -> None:
    """Ratings found against those reported, a panel per encoder; on the line both are equal."""
    shown = list(rows.items())[:SHOWN]
    everything = np.concatenate([_numbers(entry["answers"]["found"]) for _, entry in shown])
    low, high = min(0.0, float(np.nanmin(everything))), max(1.0, float(np.nanmax(everything)))
    figure, panels = canvas(1, len(shown), 3.4, 3.7)
    for number, (axes, (name, entry)) in enumerate(zip(panels[0], shown, strict=True)):
        reported, found = (_numbers(entry["answers"][side]) for side in ("reported", "found"))
        axes.axline((0, 0), slope=1, color="0.6", linestyle="--", linewidth=1)
        axes.plot(reported, found, "o", color=colour_of(number), markersize=3, alpha=0.5, markeredgewidth=0)
        axes.set(xlabel=f"{rating} reported", ylabel=f"{rating} found" if not number else "", xlim=(-0.05, 1.05))
        axes.set_ylim(low - 0.05, high + 0.05)
        axes.set_title(f"{name}: CCC {entry['score']['mean']:.2f}", fontsize=9)
        bare(axes)
    figure.suptitle(title, fontsize=9)
    figure.savefig(path, dpi=110)


def draw_subjects(
    rows: Mapping[str, Any], subjects: list[str], path: Path, title: str, score_name: str = "accuracy"
) -> None:
    """Score of every subject, sorted by the first encoder's, with means, intervals and nulls beside them.

    Args:
        subjects: Names, in the order of each entry's `per_subject`.
    """
    figure, panels = canvas(1, 2, 5.2, 4.2)
    dots, means = panels[0]
    _name_subjects(dots, figure, subjects)
    order = np.argsort(_numbers(next(iter(rows.values()))["per_subject"]))
    for number, (name, entry) in enumerate(rows.items()):
        colour, mark = colour_of(number), mark_of(number)
        dots.plot(_numbers(entry["per_subject"])[order], mark, color=colour, label=name, markersize=5, alpha=0.8)
        score, null = entry["score"], entry["null"]
        means.plot([number, number], [null["low"], null["high"]], color="0.75", linewidth=12, solid_capstyle="butt")
        means.plot([number, number], [score["low"], score["high"]], color=colour, linewidth=2)
        means.plot(number, score["mean"], mark, color=colour)
    low = 0.0 if score_name == "accuracy" else -1.0
    dots.set_xticklabels([_short(subjects[number]) for number in order])
    dots.set(xlabel=f"subjects, sorted by {next(iter(rows))}", ylabel=score_name, ylim=(low, 1.02))
    figure.legend(*dots.get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize=8, frameon=False)
    means.set_xticks(range(len(rows)), list(rows), rotation=20, ha="right", fontsize=8)
    means.set(ylim=(low, 1.02), xlim=(-0.6, len(rows) - 0.4), title="mean, 95 % interval; grey: null")
    means.title.set_fontsize(9)
    for axes in (dots, means):
        axes.grid(axis="y", alpha=0.3)
        bare(axes)
    figure.suptitle(title, fontsize=9)
    figure.savefig(path, dpi=110)


def _name_subjects(dots: Axes, figure: Figure, subjects: list[str]) -> None:
    """Room for every name below its own place, the wider the more there are."""
    width, height = figure.get_size_inches()
    wide = max(width / 2, 0.12 * len(subjects) + 0.8)
    figure.set_size_inches(wide + width / 2, height)
    grid = dots.get_gridspec()
    assert grid is not None  # every panel of a canvas lies in one
    grid.set_width_ratios([wide, width / 2])
    dots.set_xticks(range(len(subjects)))
    dots.tick_params(axis="x", labelrotation=90, labelsize=8 if len(subjects) <= 25 else 6)
    dots.set_xlim(-0.6, len(subjects) - 0.4)


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def draw_confidence(rows: Mapping[str, Any], path: Path, title: str) -> None:
    """Left the reliability diagram, right the accuracy on the windows a classifier is most sure of."""
    figure, panels = canvas(1, 2, 4.8, 4)
    diagram, abstaining = panels[0]
    diagram.plot([0, 1], [0, 1], "--", color="0.6", linewidth=1)
    for number, (name, entry) in enumerate(list(rows.items())[:SHOWN]):
        colour = colour_of(number)
        bins = {key: _numbers(values) for key, values in entry["reliability"].items()}
        held = bins["share"] > 0.005  # a bin of a few windows says nothing
        error = entry["metrics"]["expected_calibration_error"]["mean"]
        label = f"{name} (error per subject {error:.2f})"
        diagram.plot(bins["confidence"][held], bins["accuracy"][held], "o-", markersize=4, label=label, color=colour)
        abstaining.plot(entry["abstention"]["answered"], entry["abstention"]["accuracy"], color=colour)
    diagram.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="confidence", ylabel="accuracy", title="reliability")
    abstaining.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="share of windows answered", ylabel="accuracy on them")
    abstaining.set_title("abstaining where unsure")
    figure.legend(*diagram.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    for axes in (diagram, abstaining):
        axes.grid(alpha=0.3)
        bare(axes)
    figure.suptitle(title, fontsize=9)
    figure.savefig(path, dpi=110)


def _numbers(values: list[Any]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], dtype=float)
