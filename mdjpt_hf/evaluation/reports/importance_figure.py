"""Where on the head a result rests: a map of the probability lost without each electrode."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mne
import numpy as np
from matplotlib.patheffects import withStroke

from mdjpt_hf.evaluation.reports.canvas import SHOWN, canvas
from mdjpt_hf.modeling.mne_mdjpt import template_montage

#: More names than these would cover the map.
NAMED = 40


def draw_importance(rows: Mapping[str, Any], path: Path, title: str) -> bool:
    """One head per encoder, seen from above, nose up, all on one scale.

    Returns:
        Whether there was something to draw: an encoder whose electrodes were silenced.
    """
    shown = [(name, entry["importance"]) for name, entry in rows.items() if "importance" in entry][:SHOWN]
    shown = [(name, found) for name, found in shown if found["electrodes"]]
    if not shown:
        return False
    limit = max(float(np.abs(found["probability"]).max()) for _, found in shown) or 1.0
    figure, panels = canvas(1, len(shown), 4.0, 3.9)
    for axes, (name, found) in zip(panels[0], shown, strict=True):
        info = mne.create_info(found["electrodes"], 100, "eeg")
        info.set_montage(template_montage(), match_case=False)
        named = len(found["electrodes"]) <= NAMED
        picture, _ = mne.viz.plot_topomap(
            np.array(found["probability"]),
            info,
            axes=axes,
            show=False,
            cmap="RdBu_r",
            vlim=(-limit, limit),
            names=found["electrodes"] if named else None,
            sensors="k," if named else True,  # a dot would stand on the name, and without any there are no names
            contours=0,
            extrapolate="head",
        )
        for text in axes.texts:  # names stay legible on the darkest colours
            text.set_path_effects([withStroke(linewidth=2, foreground="white")])
        axes.set_title(name, fontsize=10)
    bar = figure.colorbar(picture, ax=panels[0].tolist(), shrink=0.75)
    bar.set_label("probability of the true class\nlost without the electrode", fontsize=9)
    figure.suptitle(title, fontsize=10)
    figure.savefig(path, dpi=110)
    return True
