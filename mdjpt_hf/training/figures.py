"""Pictures of a run."""

from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def draw_losses(history: list[dict[str, Any]], path: Path, title: str) -> None:
    """Losses and held-out pair retrieval over steps, as a PNG."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    losses, retrieval = figure.subplots(1, 2)
    for name in _series_names(history, lambda name: name == "loss" or name.startswith("isa/")):
        steps, values = _series(history, name)
        losses.plot(steps, values, label=name, linewidth=2.2 if name == "loss" else 1.2)
    losses.set(xlabel="step", ylabel="loss", title=title)
    losses.legend(fontsize="small")
    for name in _series_names(history, lambda name: name.startswith("retrieval")):
        steps, values = _series(history, name)
        retrieval.plot(steps, values, "o-", label=name.removeprefix("retrieval/"), markersize=4)
    retrieval.set(xlabel="step", ylabel="top-1 accuracy", title="pair retrieval, subjects not trained on")
    retrieval.set_ylim(0, 1)
    if retrieval.lines:
        retrieval.legend(fontsize="small")
    for axes in (losses, retrieval):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


def _series_names(history, wanted) -> list[str]:
    return list(dict.fromkeys(name for entry in history for name in entry if wanted(name)))


def _series(history, name: str) -> tuple[list[int], list[float]]:
    points = [(entry["step"], entry[name]) for entry in history if name in entry]
    return [step for step, _ in points], [value for _, value in points]
