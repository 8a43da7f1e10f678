"""Emotion in a recording, from the command line: a table, JSON, a picture."""

import json
from pathlib import Path

from transformers import AutoFeatureExtractor, AutoModelForSequenceClassification

from mdjpt_hf.demo.figures import draw_timeline
from mdjpt_hf.demo.recognition import Recognition, recognise
from mdjpt_hf.errors import ConfigurationError
from mdjpt_hf.modeling.pipeline_mdjpt import EEGEmotionPipeline


def open_recogniser(model: str, trust_remote_code: bool = False) -> EEGEmotionPipeline:
    """The pipeline of a classifier, with this package's own code for models it knows.

    Raises:
        ConfigurationError: If the model cannot be opened, or has no trained head.
    """
    try:
        classifier = AutoModelForSequenceClassification.from_pretrained(model, trust_remote_code=trust_remote_code)
        extractor = AutoFeatureExtractor.from_pretrained(model, trust_remote_code=trust_remote_code)
    except (OSError, ValueError) as error:  # transformers' words for what is missing, unknown or untrusted
        raise ConfigurationError(
            f"{model} cannot be opened: {error}", value=model, remedy="Give a classifier"
        ) from error
    recogniser = EEGEmotionPipeline(model=classifier, feature_extractor=extractor)
    if not recogniser.has_trained_head:
        raise ConfigurationError(
            f"{model} has no emotion head", value=model, remedy="Fine-tune it first, with `mdjpt finetune`"
        )
    return recogniser


def predict(
    model: str,
    path: Path,
    smoothing: str = "none",
    json_path: Path | None = None,
    picture: Path | None = None,
    trust_remote_code: bool = False,
) -> str:
    """Recognise emotion in a recording.

    Args:
        model: Folder or Hub id of a classifier.
        path: Of the recording; files that belong to it lie beside it.
        smoothing: Of the pipeline: none, causal or lds.
        json_path, picture: Where to write everything, and the scores over time.
        trust_remote_code: Run the model's own code, which models of this package do not need.

    Returns:
        The table to print.

    Raises:
        MDJPTError: If the recording or the model cannot be used.
    """
    recogniser = open_recogniser(model, trust_remote_code)
    found = recognise(recogniser, path, smoothing)
    if json_path is not None:
        json_path.write_text(json.dumps({"recording": found.name, **found.result}, indent=1))
    if picture is not None:
        draw_timeline(found).savefig(picture)
    return render(found)


def render(found: Recognition) -> str:
    """One line per window, then the recording."""
    width = max(map(len, (*found.labels, "label")))
    lines = [f"{'onset (s)':>10}  " + "  ".join(f"{label:>{width}}" for label in found.labels)]
    for onset, scores in zip(found.onsets, found.scores, strict=True):
        lines.append(f"{onset:10.1f}  " + "  ".join(f"{score:{width}.2f}" for score in scores))
    whole = found.scores.mean(axis=0)
    lines.append(f"{'mean':>10}  " + "  ".join(f"{score:{width}.2f}" for score in whole))
    if not found.ratings:
        lines.append(f"{found.name}: {found.result['label']} ({found.result['score']:.0%})")
    return "\n".join(lines + [f"- {note}" for note in found.result["notes"]])
