"""From uploaded files to everything the page shows."""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .evidence import chance_level, electrode_losses

#: Windows of which evidence is shown: those with the highest score for the recording's label.
EVIDENCE_WINDOWS = 8

#: Suffixes that open a recording which consists of several files, likeliest first.
HEADERS = (".vhdr", ".ahdr", ".set")


@dataclass
class Recognition:
    """What was found in one recording.

    Attributes:
        name: Of the file.
        signal: `(channels, samples)` in µV as recorded, of the shown stretch; ch_names: its rows; sampling_rate: Hz.
        shown: (start, end) in s of that stretch.
        onsets: `(windows,)` in s. duration: s of a window.
        labels: Names. scores: `(windows, labels)`.
        result: What the pipeline returns. report: What the extractor did.
        evidence: Electrode -> share of the score of the recording's label. chance: What the largest would stay below
            by chance.
    """

    name: str
    signal: np.ndarray
    ch_names: list[str]
    sampling_rate: float
    shown: tuple[float, float]
    onsets: np.ndarray
    duration: float
    labels: list[str]
    scores: np.ndarray
    result: dict[str, Any]
    report: Any
    evidence: dict[str, float]
    chance: float

    @property
    def label(self) -> int:
        """Number of the recording's label; of ratings the first."""
        return 0 if self.ratings else self.labels.index(self.result["label"])

    @property
    def ratings(self) -> bool:
        """Whether the scores are ratings, not probabilities of classes."""
        return "label" not in self.result


def recognise_uploads(recogniser: Any, files: Sequence[str], smoothing: str = "none", **options: Any) -> Recognition:
    """[`recognise`] for files of strangers that together are one recording, each perhaps in a folder of its own.

    Raises:
        ValueError: If they are not one recording, or point to files that were not uploaded.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = gather(files, Path(folder))
        try:
            return recognise(recogniser, path, smoothing, foreign=True, **options)
        finally:
            recogniser.warm_up()


def recognise(
    recogniser: Any,
    path: Path,
    smoothing: str = "none",
    progress: Callable[[float, str], Any] = lambda share, what: None,
    foreign: bool = False,
) -> Recognition:
    """Recognise emotion in a recording.

    Args:
        recogniser: An emotion pipeline.
        path: Of the recording.
        smoothing: Of the pipeline.
        progress: Called with the share that is done and what is being done.
        foreign: The file is a stranger's; its folder holds nothing but what belongs to it.

    Raises:
        ValueError: Of the pipeline's kinds, if the recording cannot be used.
    """
    progress(0.05, "cleaning the recording")
    recording, notes = recogniser.read(path, foreign=foreign)
    inputs = recogniser.preprocess(recording)
    inputs["notes"] = [*notes, *inputs["notes"]]
    progress(0.3, f"encoding {len(inputs['onsets'])} windows")
    outputs = recogniser.forward(inputs, windows_at_once=32, smoothing=smoothing)
    found = read_out(recogniser, path.name, inputs, outputs)
    scores = found.scores[:, found.label]
    best = np.sort(np.argsort(-scores, kind="stable")[:EVIDENCE_WINDOWS])
    lost = electrode_losses(
        recogniser,
        inputs["input_values"][best],
        inputs["report"].ch_names,
        found.label,
        lambda share: progress(0.6 + 0.4 * share, "silencing one electrode after the other"),
    )
    signal, names, rate = _excerpt(recording, inputs["report"], int(scores.argmax()), inputs["duration"])
    return replace(
        found,
        signal=signal,
        ch_names=names,
        sampling_rate=rate,
        evidence={name: float(values.mean()) for name, values in lost.items()},
        chance=chance_level(np.array([*lost.values()])),
    )


def read_out(recogniser: Any, name: str, inputs: dict[str, Any], outputs: dict[str, Any]) -> Recognition:
    """What the pipeline's steps found, with neither signal nor evidence; the likeliest window is the one shown."""
    scores, report = recogniser.scores(outputs["logits"]).numpy(), inputs["report"]
    found = Recognition(
        name=name,
        signal=np.empty((0, 0)),
        ch_names=report.ch_names,
        sampling_rate=report.sampling_rate,
        shown=(0.0, inputs["duration"]),
        onsets=np.asarray(inputs["onsets"]),
        duration=inputs["duration"],
        labels=[recogniser.model.config.id2label[number] for number in range(scores.shape[1])],
        scores=scores,
        result=recogniser.postprocess(outputs),
        report=report,
        evidence={},
        chance=float("inf"),
    )
    start = float(found.onsets[scores[:, found.label].argmax()])
    return replace(found, shown=(start, start + found.duration))


def gather(files: Sequence[str], folder: Path) -> Path:
    """Copy the files of one recording into a folder and return the one that opens it.

    Raises:
        ValueError: If there is none, or more than one recording.
    """
    if not files:
        raise ValueError("No file was given. Drop a recording, or pick an example")
    names = [Path(file).name for file in files]
    if len(set(names)) < len(names):
        raise ValueError(f"Two files are called {max(names, key=names.count)}. Give the files of one recording")
    copies = [Path(shutil.copy(file, folder)) for file in files]
    if len(copies) == 1:
        return copies[0]
    headers = [copy for copy in copies if copy.suffix.lower() in HEADERS]
    if len(headers) != 1:
        raise ValueError(
            f"{', '.join(names)} are not one recording. Give one file, "
            f"or a header ({', '.join(HEADERS)}) with the files it names"
        )
    return headers[0]


def _excerpt(recording: Any, report: Any, window: int, seconds: float) -> tuple[np.ndarray, list[str], float]:
    """A window as recorded: µV, names and rate of the electrodes that were used."""
    names = [name for name in report.ch_names if name in recording.ch_names]
    start, length = report.first_samples[window], round(seconds * recording.sampling_rate)
    electrodes = [recording.ch_names.index(name) for name in names]
    signal = np.asarray(recording.signal[electrodes, start : start + length], dtype=float)
    return signal - signal.mean(axis=1, keepdims=True), names, float(recording.sampling_rate)
