"""Pictures of a run."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_losses(history: list[dict[str, Any]], path: Path, title: str, guess: float, chance: float | None) -> None:
    """Losses and held-out pair retrieval over steps, as a PNG.

    What is minimised in guided steps is left out: weights move from the guide's loss to the others, so that it rises
    while each of them falls.

    Args:
        guess: What a dataset's contrastive loss is where nothing is known. chance: The same of retrieval.
    """
    figure = _empty_figure(10, 4)
    losses, retrieval = figure.subplots(1, 2)
    for name in _series_names(history, lambda name: name in ("loss", "guide") or name.startswith("isa/")):
        steps, values = _series([entry for entry in history if name != "loss" or "guide" not in entry], name)
        losses.plot(steps, values, label=name, linewidth=2.2 if name == "loss" else 1.2)
    losses.axhline(guess, color="0.4", linestyle="--", linewidth=1, label="guessing (isa)")
    losses.set(xlabel="step", ylabel="loss", title=title)
    losses.legend(fontsize="small")
    if chance is not None:
        retrieval.axhline(chance, color="0.4", linestyle="--", linewidth=1, label="guessing")
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


def _empty_figure(width: float, height: float) -> "Figure":
    """A figure of a size in inches. Matplotlib is loaded here and not with the module, so that runs start sooner."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


#: What can be guessed about hidden tokens without the signal, and how its line is drawn.
_GUESSES = {"unigram": ":", "majority": "--", "recording": "-."}


def draw_masked(history: list[dict[str, Any]], path: Path, title: str) -> None:
    """Losses, masked accuracy beside what can be guessed, and what clusters are like in every round, as a PNG."""
    figure = _empty_figure(12, 8)
    (losses, accuracy), (sizes, named) = figure.subplots(2, 2)
    rounds = [entry for entry in history if "round" in entry]
    granularities = range(1, 1 + len(_series_names(rounds, lambda name: name.startswith("clusters/"))))
    for name in ("loss", *(f"masked/{g}" for g in granularities)):
        losses.plot(*_series(history, name), label=name, linewidth=2.2 if name == "loss" else 1.2)
    losses.set(xlabel="step", ylabel="loss (nats)", title=title)
    last = max((entry["step"] for entry in history), default=0)
    for g in granularities:
        line = accuracy.plot(*_series(history, f"accuracy/{g}"), "o-", label=f"granularity {g}", markersize=4)[0]
        for guess, style in _GUESSES.items():
            steps, values = _series(rounds, f"guess/{guess}/{g}")
            label = guess if g == 1 else None
            accuracy.step(
                [*steps, last],
                [*values, values[-1]],
                style,
                where="post",
                color=line.get_color(),
                alpha=0.7,
                label=label,
            )
    accuracy.set(xlabel="step", ylabel="accuracy", yscale="log", title="hidden tokens of subjects not trained on")
    numbers = [entry["round"] for entry in rounds]
    for g in granularities:
        line = sizes.plot(numbers, [entry[f"clusters/{g}"] for entry in rounds], "o-", label=f"clusters {g}")[0]
        perplexity = [entry[f"perplexity/{g}"] for entry in rounds]
        sizes.plot(numbers, perplexity, "x--", color=line.get_color(), label=f"perplexity {g}")
    sizes.set(xlabel="round", yscale="log", title="clusters chosen, and perplexity", xticks=numbers)
    finest = granularities[-1]
    for name in _series_names(rounds, lambda name: name.startswith("nmi/") and name.endswith(f"/{finest}")):
        named.plot(numbers, [entry[name] for entry in rounds], "o-", label=name.split("/")[1])
    named.set(xlabel="round", title=f"normalised mutual information, granularity {finest}", xticks=numbers)
    for axes in (losses, accuracy, sizes, named):
        axes.legend(fontsize="x-small", loc="lower right" if axes is accuracy else "best")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


def _series_names(history, wanted) -> list[str]:
    return list(dict.fromkeys(name for entry in history for name in entry if wanted(name)))


def _series(history, name: str) -> tuple[list[int], list[float]]:
    points = [(entry["step"], entry[name]) for entry in history if name in entry]
    return [step for step, _ in points], [value for _, value in points]
