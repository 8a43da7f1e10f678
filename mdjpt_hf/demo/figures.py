"""The pictures of the page."""

import matplotlib
import mne
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from .recognition import Recognition

#: The same electrodes have another name before MNE 1.13.
TEMPLATE = "colin27_1005" if "colin27_1005" in mne.channels.get_builtin_montages() else "standard_1005"

#: Electrodes drawn at most; more would not be legible on a telephone.
TRACES = 16

#: Electrodes named on the head at most; the names of more would cover it.
NAMED = 32

#: Told apart also by readers who see few colours.
COLOURS = [matplotlib.colors.to_hex(colour) for colour in matplotlib.colormaps["tab10"].colors]  # type: ignore[attr-defined]


def draw_timeline(found: Recognition) -> Figure:
    """Scores of every label over time; the shown stretch is shaded."""
    figure = _figure(6.4, 3.2)
    axes = figure.subplots()
    centres = found.onsets + found.duration / 2
    for number, label in enumerate(found.labels):
        colour, marker = COLOURS[number % len(COLOURS)], "o" if len(centres) < 40 else None
        axes.plot(centres, found.scores[:, number], label=label, color=colour, marker=marker, markersize=3)
    axes.axvspan(*found.shown, color="0.5", alpha=0.2, linewidth=0)
    axes.set(xlabel="time in the recording (s)", ylabel="rating" if found.ratings else "probability")
    if not found.ratings:
        axes.set_ylim(0, 1)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.2), ncols=3, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def draw_head(found: Recognition) -> Figure:
    """Map of the evidence over the scalp, seen from above, nose up.

    Colours are full only where a map is beyond chance; one that is not stays blank, and says so.
    """
    figure = _figure(4.2, 3.8)
    axes = figure.subplots()
    names, values = list(found.evidence), np.array(list(found.evidence.values()))
    info = mne.create_info(names, 100, "eeg")
    info.set_montage(TEMPLATE, match_case=False)
    largest = float(np.abs(values).max(initial=0.0))
    is_noise = largest <= found.chance
    limit, named = largest or 1.0, len(names) <= NAMED
    picture, _ = mne.viz.plot_topomap(
        np.zeros_like(values) if is_noise else values,
        info,
        axes=axes,
        show=False,
        cmap="RdBu_r",
        vlim=(-limit, limit),
        names=names if named else None,
        sensors="k," if named else True,  # a dot would stand on the name, and without any there are no names
        contours=0,
        extrapolate="head",
    )
    for text in axes.texts:  # names stay legible on the darkest colours
        text.set_path_effects([withStroke(linewidth=2, foreground="white")])
    bar = figure.colorbar(picture, ax=axes, shrink=0.7)
    bar.set_label(f"{'rating' if found.ratings else 'probability'} lost without the electrode")
    if is_noise:
        axes.set_title("no electrode stands out from chance", fontsize=10)
    return figure


def draw_signal(found: Recognition) -> Figure:
    """The stretch with the highest score, as recorded."""
    chosen = np.unique(np.linspace(0, len(found.ch_names) - 1, TRACES).astype(int))
    figure = _figure(6.4, 1.2 + 0.25 * len(chosen))
    axes = figure.subplots()
    signal = found.signal[chosen]
    step = 4 * float(np.median(signal.std(axis=1))) or 1.0
    times = found.shown[0] + np.arange(signal.shape[1]) / found.sampling_rate
    places = -step * np.arange(len(chosen))
    axes.plot(times, signal.T + places, color="0.2", linewidth=0.6)
    axes.set_yticks(places, [found.ch_names[number] for number in chosen])
    axes.set(xlabel="time in the recording (s)", xlim=found.shown, title=f"{step:.0f} µV between two lines")
    axes.title.set_fontsize(10)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False)
    return figure


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    return figure
