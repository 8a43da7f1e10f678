"""The page itself: drop a recording, see emotion over time and which electrodes carried it."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from huggingface_hub import ModelCard
from transformers import pipeline
from transformers.utils import cached_file

from .figures import draw_head, draw_signal, draw_timeline
from .recognition import Recognition, recognise_uploads

TITLE = "Emotion from EEG"

INTRODUCTION = (
    "Drop a recording (EDF, BDF, SET, FIF, or a VHDR with its two companions) or pick an example. It is cleaned, put "
    "on 60 standard channels, cut into windows and read by the model. Uploads are deleted after ten to twenty minutes; "
    "results are not stored."
)

WARNING = (
    "**Not a medical device and no lie detector.** A model knows only the people, films and amplifiers it was trained "
    "on; on anyone else its answer may be wrong and still look sure. Do not use it to judge, select or watch people."
)

#: Kept after the last visitor, in s: uploads are personal data.
KEEP_UPLOADS = 600

MAX_UPLOAD = "512mb"

SMOOTHING = {"each window alone": "none", "with the windows before": "causal", "with those before and after": "lds"}


def build_app(model: str, examples: Sequence[str] = (), recogniser: Any = None) -> gr.Blocks:
    """The page for one model.

    Args:
        model: Folder or Hub id of a classifier saved with its code.
        examples: Paths of recordings to offer.
        recogniser: Its pipeline; without it the model's own code is run, as a Space must.

    Raises:
        ValueError: If it is no classifier; of the pipeline's kinds.
    """
    if recogniser is None:
        recogniser = pipeline(task="eeg-emotion-recognition", model=model, trust_remote_code=True)  # type: ignore[call-overload]

    def read(files: list[str] | None, smoothing: str, progress: gr.Progress = gr.Progress()):  # noqa: B008
        try:
            found = recognise_uploads(
                recogniser,
                files or [],
                SMOOTHING[smoothing],
                progress=lambda share, what: progress(share, desc=what),
            )
        except ValueError as error:  # what the recording lacks, in the extractor's own words
            return f"### This recording cannot be read\n\n{_escaped(str(error))}", None, None, None, "", None
        return (
            summary(found),
            draw_timeline(found),
            draw_head(found),
            draw_signal(found),
            montage(found),
            {"recording": found.name, **found.result, "evidence": found.evidence},
        )

    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(KEEP_UPLOADS, KEEP_UPLOADS)) as page:
        gr.Markdown(f"# {TITLE}\n\n{INTRODUCTION}\n\n{WARNING}\n\n{training_note(model)}")
        files = gr.File(label="Recording", file_count="multiple", elem_id="recording")
        if examples:
            gr.Examples([[[str(path)]] for path in examples], inputs=[files], label="Examples")
        smoothing = gr.Radio(list(SMOOTHING), value=next(iter(SMOOTHING)), label="Each answer is formed")
        button = gr.Button("Read emotion", variant="primary", elem_id="read")
        answer = gr.Markdown(elem_id="answer")
        timeline = _picture("Emotion over time", "timeline")
        with gr.Row():
            with gr.Column():
                head = _picture("Which electrodes carried the decision", "head")
            with gr.Column():
                signal = _picture("The signal where the answer is surest", "signal")
        with gr.Accordion("What was done to the recording", open=False):
            channels = gr.Markdown(elem_id="channels")
        with gr.Accordion("Everything as JSON", open=False):
            everything = gr.JSON(show_label=False, elem_id="everything")
        button.click(read, [files, smoothing], [answer, timeline, head, signal, channels, everything])
    return page


def _picture(heading: str, name: str) -> gr.Plot:
    gr.Markdown(f"#### {heading}")
    return gr.Plot(show_label=False, elem_id=name)  # a label would cover the top of the picture


def serve(model: str, examples: Sequence[str] = (), recogniser: Any = None, **options: Any) -> None:
    """Open the page on this machine and stay; options are those of `gradio.Blocks.launch`.

    Raises:
        OSError: If the port is taken.
    """
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    build_app(model, examples, recogniser).launch(max_file_size=MAX_UPLOAD, **options)


def summary(found: Recognition) -> str:
    """The answer, how sure it is, and what that is worth, as Markdown."""
    if found.ratings:
        rows = "\n".join(f"| {entry['label']} | {entry['score']:.2f} |" for entry in found.result["scores"])
        return f"### {_escaped(found.name)}\n\n| rating | mean over the recording |\n|---|---|\n{rows}"
    label, score = found.result["label"], found.result["score"]
    agreeing = (found.scores.argmax(axis=1) == found.labels.index(label)).mean()
    guess, worth = 1 / len(found.labels), found.result.get("certainty")
    return (
        f"### {label}: {score:.0%}{f' ({worth})' if worth else ''}\n\n"
        f"Mean over {len(found.onsets)} windows of {found.duration:g} s of {_escaped(found.name)}; {agreeing:.0%} of "
        f"them say so. Guessing among {len(found.labels)} labels would give {guess:.0%}. The model's confidence is not "
        "calibrated for your recording."
    )


def montage(found: Recognition) -> str:
    """What the extractor did, as Markdown."""
    report = found.report
    interpolated = ", ".join(report.interpolated) or "none"
    notes = "\n".join(f"- {_escaped(note)}" for note in found.result["notes"])
    return (
        f"**{len(report.ch_names)} electrodes found:** {', '.join(report.ch_names)}\n\n"
        f"**Bad, rebuilt from their neighbours:** {interpolated}\n\n"
        f"**Standard channels made from neighbours:** {', '.join(report.missing) or 'none'}\n\n{notes}\n\n"
        "The map shows by how much the score falls when an electrode is silenced (occlusion), over the "
        "windows with the highest score. It explains the model, not the brain."
    )


def training_note(model: str) -> str:
    """What is on record of the model's training, and whether all, some or none of it was simulated."""
    known = _training_record(model) or _training_card(model)
    if not known:
        return (
            "*What this model was trained on is not known: it has neither a model card nor a record of its training.*"
        )
    names, simulated = list(known), [name for name, kind in known.items() if kind]
    trained = f"*This model was trained on {_escaped(', '.join(names))}.*"
    if len(simulated) == len(names):
        return f"{trained} **All of it is simulated: it has never seen a person.**"
    if simulated:
        verb = "is" if len(simulated) == 1 else "are"
        told = f"{_escaped(', '.join(simulated))} {verb} simulated"
        return f"{trained} **Trained on simulated data in part: {told}, not recorded from people.**"
    if any(kind is None for kind in known.values()):
        return trained
    return f"{trained} None of it is simulated: all was recorded from people."


def _training_record(model: str) -> dict[str, bool | None]:
    """Datasets -> whether they are simulated, None where nobody says; by the record beside the weights."""
    try:
        datasets = json.loads(Path(str(cached_file(model, "run_record.json"))).read_text(encoding="utf-8"))["datasets"]
        return {str(entry["name"]): entry.get("simulated") for entry in datasets}
    except Exception:  # no record, no network, or one that is none: all mean that nothing is known
        return {}


def _training_card(model: str) -> dict[str, bool | None]:
    """The same by the card, which marks only a model of which all datasets are simulated."""
    try:
        data = ModelCard.load(Path(model, "README.md") if Path(model).is_dir() else model).data
        simulated = True if "simulated-data" in (data.tags or []) else None
        return {str(name): simulated for name in getattr(data, "datasets", None) or []}
    except Exception:  # as with the record
        return {}


def _escaped(text: str) -> str:
    """File names are a visitor's text: shown, never interpreted."""
    return "".join(f"\\{sign}" if sign in "\\`*_[]<>#|$" else sign for sign in text)
