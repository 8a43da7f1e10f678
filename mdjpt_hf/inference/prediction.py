"""Emotion in recordings, from the command line: a table, JSON, CSV, a picture."""

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers import AutoFeatureExtractor, AutoModelForSequenceClassification

from mdjpt_hf.demo.figures import draw_timeline
from mdjpt_hf.demo.recognition import Recognition, read_out
from mdjpt_hf.errors import ConfigurationError, SignalError
from mdjpt_hf.modeling.errors_mdjpt import is_ours
from mdjpt_hf.modeling.folders_mdjpt import is_folder_of_recordings, recordings_in
from mdjpt_hf.modeling.pipeline_mdjpt import EEGEmotionPipeline
from mdjpt_hf.runtime.writing import check_folder_of, check_picture, whole_file, writable, write_picture


def open_recogniser(model: str, trust_remote_code: bool = False, device: str | None = None) -> EEGEmotionPipeline:
    """The pipeline of a classifier, with this package's own code for models it knows.

    Args:
        model: Folder or Hub id. trust_remote_code: Run the model's own code.
        device: "cpu", "cuda", "cuda:1", "mps"; by default what transformers finds best.

    Raises:
        ConfigurationError: If the model cannot be opened, has no trained head, or the device is not there.
    """
    if Path(model).is_absolute() and not Path(model).exists():  # transformers would look for it at the Hub
        raise ConfigurationError(f"there is no folder {model}", value=model, remedy="Give the folder of a classifier")
    try:
        classifier = AutoModelForSequenceClassification.from_pretrained(model, trust_remote_code=trust_remote_code)
        extractor = AutoFeatureExtractor.from_pretrained(model, trust_remote_code=trust_remote_code)
    except (OSError, ValueError) as error:  # transformers' words for what is missing, unknown or untrusted
        raise ConfigurationError(
            f"{model} cannot be opened: {error}", value=model, remedy="Give a classifier"
        ) from error
    try:
        where: Any = device  # transformers takes names as well
        recogniser = EEGEmotionPipeline(model=classifier, feature_extractor=extractor, device=where)
    except (RuntimeError, ValueError, AssertionError) as error:  # torch's words for what is not there
        if is_ours(error):
            raise
        raise ConfigurationError(
            f"the device {device!r} cannot be used ({str(error).splitlines()[0]})", value=device, remedy="Try cpu"
        ) from error
    return recogniser


@dataclass
class Predictions:
    """What was found in several recordings.

    Attributes:
        found: In order. failed: Name of a recording -> why it could not be used, where others could.
        note: What holds for all of them.
    """

    found: list[Recognition] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    note: str = ""

    def __str__(self) -> str:
        return render_all(self)


def predict(model: str, path: Path | Sequence[Path], *outputs: Any, **options: Any) -> str:
    """The table to print of what [`predict_all`] finds, whose arguments these are.

    Raises:
        MDJPTError: If no recording, or the model, cannot be used.
    """
    return render_all(predict_all(model, path, *outputs, **options))


def predict_all(
    model: str,
    path: Path | Sequence[Path],
    smoothing: str = "none",
    json_path: Path | None = None,
    picture: Path | None = None,
    trust_remote_code: bool = False,
    csv_path: Path | None = None,
    stride: float | None = None,
    unit: str | None = None,
    device: str | None = None,
    batch_size: int | None = None,
) -> Predictions:
    """Recognise emotion in recordings, one after the other; one that cannot be used does not stop the others.

    Args:
        model, path, smoothing, json_path, picture, trust_remote_code: See [`predict`].
        csv_path: Where to write one line per window.
        stride: s between the starts of two windows; by default what the model was trained with.
        unit: What the numbers in the files really are, where headers are wrong: "uV", "mV" or "V".
        device: "cpu", "cuda", ... batch_size: Windows the model sees at a time.

    Raises:
        MDJPTError: If the model or none of the recordings can be used, or nothing can be written where it should.
    """
    paths = _listed(path)
    _check_outputs(paths, json_path, csv_path, picture)
    recogniser = open_recogniser(model, trust_remote_code, device)
    given = {"stride_seconds": stride, "unit": unit}
    stated = {name: value for name, value in given.items() if value is not None}
    forward = {"smoothing": smoothing} | ({"windows_at_once": batch_size} if batch_size else {})
    recogniser._sanitize_parameters(**stated, **forward)
    predictions = Predictions(note=_normalisation(recogniser))
    for one, name in zip(paths, _names(paths), strict=True):
        try:
            predictions.found.append(_recognise(recogniser, one, name, stated, forward))
        except ValueError as error:
            if not is_ours(error) or len(paths) == 1:
                raise
            predictions.failed[name] = str(error).removeprefix(f"{one}: ").removeprefix(f"{one.name}: ")
    if not predictions.found:
        name, why = next(iter(predictions.failed.items()))
        raise SignalError(
            f"none of {len(paths)} recordings can be used; the first: {name}: {why}",
            value=list(predictions.failed),
            remedy="Mend that one first",
        )
    _write(predictions, len(paths) > 1, json_path, csv_path, picture)
    return predictions


def _listed(path: Path | Sequence[Path]) -> list[Path]:
    given = [Path(path)] if isinstance(path, str | os.PathLike) else [Path(one) for one in path]
    paths = [one for entry in given for one in (recordings_in(entry) if is_folder_of_recordings(entry) else [entry])]
    if not paths:
        where = ", ".join(map(str, given))
        raise SignalError(f"no recording was found in {where}", value=where, remedy="Check the folder")
    return list({os.path.abspath(one): one for one in paths}.values())


def _names(paths: Sequence[Path]) -> list[str]:
    """What each recording is called: the end of its path, as long as it takes to tell all of them apart."""
    parts = [Path(os.path.abspath(path)).parts for path in paths]  # links stay: what they lead to may be a mere number
    length = 1
    while len({own[-length:] for own in parts}) < len(parts):
        length += 1
    return [Path(*own[-length:]).as_posix() for own in parts]


def _check_outputs(paths: list[Path], json_path: Path | None, csv_path: Path | None, picture: Path | None) -> None:
    if picture is not None and len(paths) > 1:
        raise ConfigurationError(
            f"--picture shows one recording, found {len(paths)}",
            value=len(paths),
            remedy="Use --csv or --json for several",
        )
    for out in filter(None, (json_path, csv_path)):
        check_folder_of(out)
    if picture is not None:
        check_picture(picture)


def _normalisation(recogniser: EEGEmotionPipeline) -> str:
    if getattr(recogniser.model.config, "group_mode", "window") == "window":
        return ""
    return "features were normalised over the whole of each recording: a window by itself would get other scores"


def _recognise(recogniser: EEGEmotionPipeline, path: Path, name: str, stated: dict, forward: dict) -> Recognition:
    inputs = recogniser.preprocess(path, **stated)
    return read_out(recogniser, name, inputs, recogniser.forward(inputs, **forward))


def _write(
    predictions: Predictions, several: bool, json_path: Path | None, csv_path: Path | None, picture: Path | None
) -> None:
    if json_path is not None:
        entries = [{"recording": one.name, **one.result} for one in predictions.found]
        entries += [{"recording": name, "error": why} for name, why in predictions.failed.items()]
        _put(json_path, json.dumps(entries if several else entries[0], indent=1))
    if csv_path is not None:
        _put(csv_path, _as_csv(predictions.found))
    if picture is not None:
        write_picture(draw_timeline(predictions.found[0]), picture)


def _put(path: Path, text: str) -> None:
    with writable(path), whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="")


def _as_csv(found: Sequence[Recognition]) -> str:
    """One line per window: recording, onset and duration in s, the likeliest label, and every score."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["recording", "onset", "duration", "label", *found[0].labels])
    for one in found:
        for onset, scores in zip(one.onsets, one.scores, strict=True):
            label = "" if one.ratings else one.labels[int(scores.argmax())]
            writer.writerow([one.name, f"{onset:g}", f"{one.duration:g}", label, *(f"{score:.6g}" for score in scores)])
    return text.getvalue()


def render_all(predictions: Predictions) -> str:
    """One recording window by window, or several with a line each; notes that several share stand once."""
    if len(predictions.found) == 1 and not predictions.failed:
        return render(predictions.found[0]) + (f"\n- {predictions.note}" if predictions.note else "")
    lines = [_summary(one) for one in predictions.found]
    lines += [f"{name}: not used: {why}" for name, why in predictions.failed.items()]
    counts = Counter(note for one in predictions.found for note in dict.fromkeys(one.result["notes"]))
    lines += [f"- {note}" + (f" ({count} recordings)" if count > 1 else "") for note, count in counts.items()]
    return "\n".join(lines + [f"- {predictions.note}"] * bool(predictions.note))


def _summary(found: Recognition) -> str:
    if found.ratings:
        means = zip(found.labels, found.scores.mean(axis=0), strict=True)
        return f"{found.name}: " + ", ".join(f"{label} {score:.2f}" for label, score in means)
    return f"{found.name}: {found.result['label']} ({found.result['score']:.0%})"


def render(found: Recognition) -> str:
    """One line per window, then the recording."""
    width = max(map(len, (*found.labels, "label")))
    lines = [f"{'onset (s)':>10}  " + "  ".join(f"{label:>{width}}" for label in found.labels)]
    for onset, scores in zip(found.onsets, found.scores, strict=True):
        lines.append(f"{onset:10.1f}  " + "  ".join(f"{score:{width}.2f}" for score in scores))
    whole = found.scores.mean(axis=0)
    lines.append(f"{'mean':>10}  " + "  ".join(f"{score:{width}.2f}" for score in whole))
    if not found.ratings:
        lines.append(_summary(found))
    return "\n".join(lines + [f"- {note}" for note in found.result["notes"]])
