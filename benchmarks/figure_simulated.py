"""Draw what simulated EEG looks like: `python benchmarks/figure_simulated.py --out docs/images/simulated.png`."""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import mne
import numpy as np
from scipy import signal

from mdjpt_hf.data_scripts.simulated import SimulatedCorpora
from mdjpt_hf.data_scripts.simulated_head import montage_positions, recording_info
from mdjpt_hf.preprocessing import preprocess

REGIONS = {
    "frontal": ["F3", "F1", "Fz", "F2", "F4"],
    "temporal": ["T7", "T8", "TP7", "TP8"],
    "central": ["C3", "C1", "Cz", "C2", "C4"],
    "occipital": ["O1", "Oz", "O2", "PO7", "PO8"],
}
TRACES = ["Fp1", "Fp2", "F3", "Fz", "F4", "T7", "C3", "Cz", "C4", "T8", "P3", "Pz", "P4", "O1", "Oz", "O2"]
TRACE_SECONDS, TRACE_STEP = 5.0, 75.0  # s; µV between neighbouring traces
RATE = 125.0


def main() -> None:
    """Simulate one session, draw it and save the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/images/simulated.png"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--subject", default="s02")
    arguments = parser.parse_args()
    builder = SimulatedCorpora(seed=arguments.seed, corpora=["sim-62"])
    recording = builder.recording("sim-62", arguments.subject, 1)
    amplifier = builder.specs["sim-62"].amplifier
    names = list(amplifier.ch_names)
    # Only resampled, so that mains and slow waves show; broken channels repaired for the maps.
    clean = preprocess(recording.signal, names, amplifier.sampling_rate, "basic", recording.bads)
    raw = recording.signal - np.median(recording.signal, axis=0)
    figure = draw(raw, clean.signal, names, amplifier.sampling_rate, recording.bads)
    figure.suptitle(f"Simulated EEG (not human data): sim-62, subject {arguments.subject}, session 1", fontsize=12)
    figure.savefig(arguments.out, dpi=75, pil_kwargs={"optimize": True})
    print(f"wrote {arguments.out}, {arguments.out.stat().st_size / 1000:.0f} kB")


def draw(raw: np.ndarray, clean: np.ndarray, names: list[str], rate: float, bads: list[str]) -> plt.Figure:
    """Spectra of the raw recording, maps and traces of the preprocessed one.

    Args:
        raw: `(channels, samples)` µV at `rate`. clean: `(channels, samples)` µV at `RATE`.
    """
    figure = plt.figure(figsize=(15, 6.2), layout="constrained")
    grid = figure.add_gridspec(2, 3, width_ratios=[1.1, 0.7, 1.3])
    good = [name for name in names if name not in bads]
    plot_spectra(figure.add_subplot(grid[:, 0]), raw, names, good, rate)
    frequencies, power = signal.welch(clean, RATE, nperseg=500)
    alpha = power[:, (frequencies >= 8) & (frequencies <= 12)].mean(axis=1)
    plot_map(figure, figure.add_subplot(grid[0, 1]), alpha, names, "alpha power, 8-12 Hz", "µV²/Hz")
    blink = blink_map(clean, names)
    plot_map(figure, figure.add_subplot(grid[1, 1]), blink, names, "mean blink", "µV")
    plot_traces(figure.add_subplot(grid[:, 2]), clean, names)
    return figure


def plot_spectra(axes: plt.Axes, raw: np.ndarray, names: list[str], good: list[str], rate: float) -> None:
    """Power spectral density of each region, before any filter."""
    frequencies, power = signal.welch(raw, rate, nperseg=round(4 * rate))
    shown = (frequencies >= 1) & (frequencies <= 80)
    for region, members in REGIONS.items():
        rows = [names.index(name) for name in members if name in good]
        axes.loglog(frequencies[shown], np.median(power[rows], axis=0)[shown], label=region)
    axes.set(xlabel="frequency (Hz)", ylabel="power spectral density (µV²/Hz)", title="spectra before any filter")
    ticks = [1, 2, 5, 10, 20, 50]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.legend(frameon=False)


def blink_map(clean: np.ndarray, names: list[str]) -> np.ndarray:
    """`(channels,)` mean µV at the peaks of Fp1 and Fp2."""
    frontal = clean[[names.index("Fp1"), names.index("Fp2")]].mean(axis=0)
    peaks, _ = signal.find_peaks(frontal, height=0.5 * frontal.max(), distance=60)
    return clean[:, peaks].mean(axis=1)


def plot_map(figure: plt.Figure, axes: plt.Axes, values: np.ndarray, names: list[str], title: str, unit: str) -> None:
    """One value per channel over the scalp."""
    positions = montage_positions()
    info = recording_info({name: positions[name] for name in names})
    image, _ = mne.viz.plot_topomap(values, info, axes=axes, show=False, contours=4, res=96)
    figure.colorbar(image, ax=axes, shrink=0.7, label=unit)
    axes.set_title(title)


def plot_traces(axes: plt.Axes, clean: np.ndarray, names: list[str]) -> None:
    """Five seconds around the first blink of the second stimulus."""
    frontal = clean[names.index("Fp1")]
    start = 4000 + int(np.argmax(frontal[4000:8000])) - round(2 * RATE)
    window = clean[:, start : start + round(TRACE_SECONDS * RATE)]
    time = np.arange(window.shape[1]) / RATE
    for row, name in enumerate(TRACES):
        axes.plot(time, window[names.index(name)] - row * TRACE_STEP, color="black", linewidth=0.7)
    axes.set_yticks([-row * TRACE_STEP for row in range(len(TRACES))], TRACES)
    axes.set(xlabel="time (s)", title=f"traces, 0.5-47 Hz, average reference ({TRACE_STEP:.0f} µV between lines)")
    axes.set_xlim(0, TRACE_SECONDS)


if __name__ == "__main__":
    main()
