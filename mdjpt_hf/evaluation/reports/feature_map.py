"""Features before and after the encoder as a map (t-SNE), coloured by dataset, subject and emotion."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sklearn.manifold import TSNE
from sklearn.preprocessing import StandardScaler

from mdjpt_hf.errors import RecordError
from mdjpt_hf.evaluation.reports.canvas import COLOURS, colour_of, mark_of
from mdjpt_hf.runtime.writing import whole_file

#: Windows a file holds and a map shows at most.
SHOWN_WINDOWS = 1200
#: Rows of the picture at most; those before come first.
SHOWN_ROWS = 4

_COLUMNS = {"corpus": "dataset", "subject": "subject", "emotion": "emotion"}
_FEATURES = "features/"
#: How features are brought to one scale, and what that shows.
SCALES = {"as it comes": "as they come", "by recording": "each recording standardised by itself"}


@dataclass(frozen=True)
class FeatureSample:
    """Features of a sample of windows.

    Attributes:
        features: Encoder -> `(windows, size)`. before: Encoders that learnt nothing (DE, random weights).
        names: `corpus`, `subject`, `recording` and `emotion` of every window, `(windows,)` each.
    """

    features: Mapping[str, np.ndarray]
    before: tuple[str, ...]
    names: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.names["corpus"])


def write_sample(path: Path, sample: FeatureSample) -> None:
    """Write a sample as compressed NumPy arrays, so that the file is either the old one or the whole new one."""
    arrays: dict[str, Any] = {f"{_FEATURES}{name}": values for name, values in sample.features.items()}
    arrays |= {"before": np.array(sample.before, dtype=str), **sample.names}
    with whole_file(path) as partial, open(partial, "wb") as file:
        np.savez_compressed(file, **arrays)


def read_sample(path: Path) -> FeatureSample:
    """Read a sample.

    Raises:
        RecordError: If the file is none, or its arrays do not belong together.
    """
    try:
        with open(path, "rb") as file, np.load(file) as stored:
            arrays = {name: stored[name] for name in stored.files}
        features = {name[len(_FEATURES) :]: arrays[name] for name in arrays if name.startswith(_FEATURES)}
        names = {name: arrays[name] for name in (*_COLUMNS, "recording")}
        sample = FeatureSample(features, tuple(arrays["before"].tolist()), names)
    except (OSError, EOFError, ValueError, KeyError, TypeError, BadZipFile, zlib.error) as error:
        raise RecordError(
            f"is no sample of features: {error}", path=path, remedy="Run the evaluation again, into another folder"
        ) from error
    lengths = {len(values) for values in (*features.values(), *names.values())}
    if len(lengths) != 1:
        raise RecordError(
            f"has arrays of {sorted(lengths)} windows", path=path, value=sorted(lengths), remedy="Run it again"
        )
    return sample


def join_samples(samples: Sequence[FeatureSample]) -> FeatureSample:
    """Samples of several corpora as one, with the encoders that all have.

    A sample is left out if its corpora are in larger ones; more than `SHOWN_WINDOWS` windows are thinned evenly.
    """
    chosen: list[FeatureSample] = []
    for sample in sorted(samples, key=lambda sample: -len(np.unique(sample.names["corpus"]))):
        known = {name for other in chosen for name in other.names["corpus"].tolist()}
        if not known & set(sample.names["corpus"].tolist()):
            chosen.append(sample)
    shared = [name for name in chosen[0].features if all(_alike(sample, chosen[0], name) for sample in chosen)]
    share = min(1.0, SHOWN_WINDOWS / sum(map(len, chosen)))
    kept = [np.unique(np.linspace(0, len(part) - 1, max(1, round(share * len(part)))).astype(int)) for part in chosen]

    def joined(arrays: Sequence[np.ndarray]) -> np.ndarray:
        return np.concatenate([values[own] for values, own in zip(arrays, kept, strict=True)])

    names = {name: joined([part.names[name] for part in chosen]) for name in _COLUMNS}
    recording = [np.char.add(f"{number}/", part.names["recording"].astype(str)) for number, part in enumerate(chosen)]
    return FeatureSample(
        {name: joined([part.features[name] for part in chosen]) for name in shared},
        tuple(name for name in chosen[0].before if name in shared),
        {**names, "recording": joined(recording)},
    )


def _alike(sample: FeatureSample, other: FeatureSample, name: str) -> bool:
    return name in sample.features and sample.features[name].shape[1] == other.features[name].shape[1]


def draw_embedding(sample: FeatureSample, picture: Path, title: str, scale: str) -> None:
    """A row for every encoder, those before first, and a column each for dataset, subject and emotion.

    Args:
        scale: Of `SCALES`. As they come, everybody's windows tend to lie apart; standardised by recording, what is
            common to people can be seen.
    """
    after = [name for name in sample.features if name not in sample.before]
    rows = [("before", name) for name in sample.before][: SHOWN_ROWS - min(2, len(after))]
    rows = (rows + [("after", name) for name in after])[:SHOWN_ROWS]
    figure = Figure(figsize=(9.6, 2.9 * len(rows) + 1.2), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(rows) + 1, len(_COLUMNS), squeeze=False, height_ratios=[1] * len(rows) + [0.35])
    for number, (when, name) in enumerate(rows):
        places = _places(sample.features[name], sample.names["recording"], scale)
        for axes, (key, heading) in zip(panels[number], _COLUMNS.items(), strict=True):
            _scatter(axes, places, sample.names[key])
            axes.set_title(f"by {heading}" if not number else "", fontsize=10)
        panels[number][0].set_ylabel(f"{when}: {name}", fontsize=10)
    for axes, key in zip(panels[-1], _COLUMNS, strict=True):
        _legend(axes, sample.names[key])
    figure.suptitle(f"{title}\n{SCALES[scale]}; t-SNE of {len(sample)} windows", fontsize=11)
    figure.savefig(picture, dpi=110)


def _places(features: np.ndarray, recording: np.ndarray, scale: str) -> np.ndarray:
    """`(windows, 2)`."""
    values = np.empty(features.shape)
    groups = recording if scale == "by recording" else np.zeros(len(features))
    for group in np.unique(groups):
        values[groups == group] = StandardScaler().fit_transform(features[groups == group])
    perplexity = min(30.0, (len(values) - 1) / 3)
    return TSNE(perplexity=perplexity, init="pca", random_state=0, max_iter=500).fit_transform(values)


def _many(kinds: np.ndarray) -> bool:
    return len(kinds) > 2 * len(COLOURS)


def _scatter(axes: Axes, places: np.ndarray, names: np.ndarray) -> None:
    """Kinds in random order of shades where they are too many to name."""
    kinds = np.unique(names)
    shades = colormaps["viridis"](np.random.default_rng(0).permutation(np.linspace(0, 0.95, len(kinds))))
    for number, kind in enumerate(kinds):
        own = names == kind
        colour = shades[number] if _many(kinds) else colour_of(number)
        mark = "o" if _many(kinds) else mark_of(number)
        axes.scatter(places[own, 0], places[own, 1], s=7, color=colour, marker=mark, linewidths=0.5, alpha=0.8)
    axes.set(xticks=[], yticks=[])


def _legend(axes: Axes, names: np.ndarray) -> None:
    kinds = np.unique(names)
    axes.axis("off")
    if _many(kinds):
        axes.text(0.5, 1, f"{len(kinds)} of them, a shade each", ha="center", va="top", fontsize=9)
        return
    for number, kind in enumerate(kinds):
        axes.scatter([], [], s=25, color=colour_of(number), marker=mark_of(number), label=str(kind), linewidths=0.5)
    axes.legend(loc="upper center", ncols=1 + (len(kinds) > 4) + (len(kinds) > 10), fontsize=8, frameon=False)
