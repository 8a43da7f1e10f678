"""From uploaded files to everything the page shows."""

import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mne
import numpy as np

from .evidence import channel_evidence

#: Windows of which evidence is shown: those with the highest score for the recording's label.
EVIDENCE_WINDOWS = 8

_NAMED_FILE = re.compile(r"^\s*(?:DataFile|MarkerFile)\s*=(.*)$", re.MULTILINE | re.IGNORECASE)

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
        evidence: Electrode -> share of the score of the recording's label.
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

    @property
    def ratings(self) -> bool:
        """Whether the scores are ratings, not probabilities of classes."""
        return "label" not in self.result


def recognise_uploads(recogniser: Any, files: Sequence[str], *options: Any) -> Recognition:
    """[`recognise`] for files of strangers that together are one recording, each perhaps in a folder of its own.

    Raises:
        ValueError: If they are not one recording, or point to files that were not uploaded.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = gather(files, Path(folder))
        refuse_foreign_files(path)
        return recognise(recogniser, path, *options)


def recognise(
    recogniser: Any,
    path: Path,
    smoothing: str = "none",
    progress: Callable[[float, str], Any] = lambda share, what: None,
) -> Recognition:
    """Recognise emotion in a recording.

    Args:
        recogniser: An emotion pipeline.
        path: Of the recording.
        smoothing: Of the pipeline.
        progress: Called with the share that is done and what is being done.

    Raises:
        ValueError: Of the pipeline's kinds, if the recording cannot be used.
    """
    progress(0.05, "cleaning the recording")
    inputs = recogniser.preprocess(str(path))
    progress(0.3, f"encoding {len(inputs['onsets'])} windows")
    outputs = recogniser.forward(inputs, windows_at_once=32, smoothing=smoothing)
    result = recogniser.postprocess(outputs)
    scores = recogniser.scores(outputs["logits"]).numpy()
    labels = [recogniser.model.config.id2label[number] for number in range(scores.shape[1])]
    label = labels.index(result["label"]) if "label" in result else 0
    best = np.sort(np.argsort(-scores[:, label], kind="stable")[:EVIDENCE_WINDOWS])
    evidence = channel_evidence(
        recogniser,
        inputs["input_values"][best],
        inputs["report"].ch_names,
        label,
        lambda share: progress(0.6 + 0.4 * share, "silencing one electrode after the other"),
    )
    start = float(inputs["onsets"][scores[:, label].argmax()])
    shown = (start, start + inputs["duration"])
    signal, names, rate = _excerpt(path, inputs["report"], shown)
    return Recognition(
        name=path.name,
        signal=signal,
        ch_names=names,
        sampling_rate=rate,
        shown=shown,
        onsets=np.asarray(inputs["onsets"]),
        duration=inputs["duration"],
        labels=labels,
        scores=scores,
        result=result,
        report=inputs["report"],
        evidence=evidence,
    )


def gather(files: Sequence[str], folder: Path) -> Path:
    """Copy the files of one recording into a folder and return the one that opens it.

    Raises:
        ValueError: If there is none, or more than one recording.
    """
    if not files:
        raise ValueError("No file was given. Drop a recording, or pick an example")
    copies = [Path(shutil.copy(file, folder)) for file in files]
    if len(copies) == 1:
        return copies[0]
    headers = [copy for copy in copies if copy.suffix.lower() in HEADERS]
    if len(headers) != 1:
        names = ", ".join(copy.name for copy in copies)
        raise ValueError(
            f"{names} are not one recording. Give one file, or a header ({', '.join(HEADERS)}) with the files it names"
        )
    return headers[0]


def refuse_foreign_files(path: Path) -> None:
    """Headers name further files: those must have been uploaded too, or a header could ask for any file at all.

    Raises:
        ValueError: If one lies elsewhere.
    """
    if path.suffix.lower() in (".vhdr", ".ahdr"):
        named = [match.strip() for match in _NAMED_FILE.findall(path.read_text(encoding="latin-1"))]
    else:
        named = []
    try:
        opened = mne.io.read_raw(path, preload=False, verbose="ERROR").filenames if not named else ()
    except Exception:  # what cannot be opened is refused later, in the extractor's words
        opened = ()
    folder = path.parent.resolve()
    if any({"/", "\\"} & set(name) for name in named) or any(Path(name).resolve().parent != folder for name in opened):
        raise ValueError(
            f"{path.name} points to a file that was not uploaded. Drop it together with the files it names"
        )


def _excerpt(path: Path, report: Any, shown: tuple[float, float]) -> tuple[np.ndarray, list[str], float]:
    """The stretch as recorded: µV, names and rate of the electrodes that were used."""
    raw = mne.io.read_raw(path, preload=False, verbose="ERROR")
    recorded = {report.renamed.get(name, name): name for name in raw.ch_names}
    names = [name for name in report.ch_names if name in recorded]
    start, stop = (round(second * raw.info["sfreq"]) for second in shown)
    signal = raw.get_data([recorded[name] for name in names], start, min(stop, raw.n_times)) * 1e6
    return signal - signal.mean(axis=1, keepdims=True), names, float(raw.info["sfreq"])
