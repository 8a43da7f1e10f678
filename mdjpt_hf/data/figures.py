"""A picture of a prepared folder: spectra by region, electrodes, and how long trials last."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.signal import welch

from mdjpt_hf.data.corpora import TrialSet, open_corpora
from mdjpt_hf.modeling.electrodes_mdjpt import ELECTRODES
from mdjpt_hf.runtime.writing import check_picture, write_picture

#: Region -> first letters of its electrodes' names.
REGIONS = {
    "frontal": ("Fp", "AF", "F"),
    "temporal": ("T", "FT", "TP"),
    "central": ("C", "FC", "CP"),
    "parietal": ("P",),
    "occipital": ("O", "PO"),
}
#: Trials whose spectra are averaged; spread evenly over the corpus.
SPECTRUM_TRIALS = 200


def draw_corpus(folder: str | Path, path: str | Path) -> None:
    """One row of pictures for every dataset in a prepared folder, of the format that the name says.

    Raises:
        CorpusError: If the folder is not a prepared corpus.
        ConfigurationError: If the name is none of a picture, or nothing can be written there.
    """
    check_picture(Path(path))
    sets = open_corpora([folder])
    figure = Figure(figsize=(13, 3.8 * len(sets)), layout="constrained")
    FigureCanvasAgg(figure)
    for row, trials in zip(figure.subplots(len(sets), 3, squeeze=False), sets, strict=True):
        _draw_spectra(row[0], trials)
        _draw_electrodes(row[1], trials)
        _draw_durations(row[2], trials)
    write_picture(figure, Path(path), dpi=90)


def region_of(name: str) -> str | None:
    """The region an electrode lies in, None for one that lies in none of `REGIONS`."""
    letters = name.rstrip("0123456789hz")
    return next((region for region, starts in REGIONS.items() if letters in starts), None)


def region_spectra(trials: TrialSet) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Frequencies `(bins,)` in Hz, and by region the median power density over trials and electrodes, µV²/Hz."""
    found: dict[str, list[np.ndarray]] = {}
    chosen = np.unique(np.linspace(0, len(trials) - 1, SPECTRUM_TRIALS).astype(int))
    length = min(round(4 * trials.sampling_rate), int(trials.n_samples[chosen].min()))
    for index in chosen.tolist():
        frequencies, power = welch(trials.signal(index), trials.sampling_rate, nperseg=length)
        for name, density in zip(trials.ch_names[index], power, strict=True):
            if region := region_of(name):
                found.setdefault(region, []).append(density)
    return frequencies, {region: np.median(found[region], axis=0) for region in REGIONS if region in found}


def _draw_spectra(axes: Axes, trials: TrialSet) -> None:
    frequencies, spectra = region_spectra(trials)
    shown = (frequencies >= 0.5) & (frequencies <= trials.sampling_rate / 2)
    for region, density in spectra.items():
        axes.loglog(frequencies[shown], density[shown], label=region)
    axes.set(xlabel="frequency (Hz)", ylabel="power density (µV²/Hz)", title=f"{trials.name}: spectra by region")
    axes.set_xticks([1, 2, 5, 10, 20, 50], ["1", "2", "5", "10", "20", "50"])
    if spectra:
        axes.set_ylim(bottom=1e-5 * max(density[shown].max() for density in spectra.values()))  # not the filter's floor
        axes.legend(frameon=False, fontsize="small")
    _bare(axes)


def _draw_electrodes(axes: Axes, trials: TrialSet) -> None:
    """The head from above, nose up: distance from the vertex is the angle on the sphere."""
    names = sorted({name for montage in set(trials.ch_names) for name in montage})
    placed = [name for name in names if name in ELECTRODES]
    centre = np.array(list(ELECTRODES.values())).mean(axis=0)
    for name in placed:
        x, y, z = np.array(ELECTRODES[name]) - centre
        across = np.hypot(x, y)
        angle = np.arctan2(across, z) / (np.pi / 2) / max(across, 1e-9)
        axes.plot(x * angle, y * angle, "o", color="tab:blue", markersize=4)
        axes.annotate(name, (x * angle, y * angle), fontsize=6, xytext=(0, 4), textcoords="offset points", ha="center")
    circle = np.linspace(0, 2 * np.pi, 200)
    axes.plot(1.1 * np.sin(circle), 1.1 * np.cos(circle), color="0.5", linewidth=1)
    axes.plot([-0.12, 0, 0.12], [1.09, 1.25, 1.09], color="0.5", linewidth=1)
    unplaced = ", ".join(name for name in names if name not in ELECTRODES)
    note = f"\nwithout a known place: {unplaced}" if unplaced else ""
    axes.set(aspect="equal", title=f"{len(names)} electrodes{note}")
    axes.axis("off")


def _draw_durations(axes: Axes, trials: TrialSet) -> None:
    seconds = trials.n_samples / trials.sampling_rate
    axes.hist(seconds, bins=30, range=(0, 1.1 * seconds.max()), color="tab:blue")
    subjects = len(np.unique(trials.subject))
    axes.set(
        xlabel="duration (s)",
        ylabel="trials",
        title=f"{len(trials)} trials of {subjects} subjects, {trials.hours:.1f} h",
    )
    _bare(axes)


def _bare(axes: Axes) -> None:
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
