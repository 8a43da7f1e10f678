"""Emotion over time from a recording: `pipeline("eeg-emotion-recognition", model=..., trust_remote_code=True)`."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers.pipelines import Pipeline

from .compatibility_mdjpt import check_versions  # noqa: F401  # before anything that older versions lack
from .errors_mdjpt import ConfigurationError, SignalError, is_ours, located
from .folders_mdjpt import is_folder_of_recordings, recordings_in
from .isolated_mdjpt import STRANGERS, Limits
from .raw_mdjpt import Recording
from .reading_mdjpt import read_file, warm_up
from .signal_mdjpt import microvolts_per
from .smoothing_mdjpt import lds_smooth, online_normalise, running_mean

TASK = "eeg-emotion-recognition"

SMOOTHING = ("none", "causal", "lds")

DEFAULT_BATCH = 32

#: What may be said of a recording given as a dict.
_STATED = {"signal", "ch_names", "sampling_rate", "unit"}

#: What a checkpoint's `config.json` says so that `pipeline` finds this class beside the weights.
CUSTOM_PIPELINES = {
    TASK: {
        "impl": "pipeline_mdjpt.EEGEmotionPipeline",
        "pt": ["AutoModelForSequenceClassification"],
        "type": "multimodal",
    }
}


#: Below so many times what guessing gives, a decision is called one.
_GUESS, _SURE = 1.5, 0.7


def certainty(score: float, labels: int) -> str:
    """What a probability of the likeliest of so many labels is worth, in the words of every door to a model."""
    if score < _GUESS / labels:
        return "hardly more than a guess"
    return "unsure" if score < _SURE else "fairly sure"


class EEGEmotionPipeline(Pipeline):
    """Recognises emotion in every window of a recording and in the recording as a whole.

    Features are normalised over the whole recording, as during training, unless the model's config says
    `group_mode="window"`: a window's result then still depends on the other windows of its recording, never on other
    recordings.
    """

    model: Any
    feature_extractor: Any
    _load_feature_extractor: Any = True
    _load_tokenizer: Any = False
    _load_image_processor: Any = False
    _load_processor: Any = False

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        if self.feature_extractor is None:  # transformers 4.44 looks for none where it does not know the task
            from .feature_extraction_mdjpt import MDJPTFeatureExtractor

            config = self.model.config
            revision = getattr(config, "_commit_hash", None)
            self.feature_extractor = MDJPTFeatureExtractor.from_pretrained(
                config.name_or_path, **({"revision": revision} if revision else {})
            )
        if not self.has_trained_head:
            name = self.model.config.name_or_path or type(self.model).__name__
            raise ConfigurationError(
                f"{name} has no emotion head: it is an encoder, whose answers would be those of a new head",
                value=name,
                remedy="Fine-tune it first, with `mdjpt finetune` or Trainer, and give the classifier",
            )

    def __call__(self, inputs: Any, batch_size: int | None = None, **kwargs: Any) -> Any:  # type: ignore[override]
        """Recognise emotion in one recording or in each of a list.

        Args:
            inputs: A path to a recording in any format that MNE opens, what `read` gave, an `mne.io.Raw`, an array
                `(channels, samples)` with `ch_names` and `sampling_rate` as keywords, a dict of `signal`, `ch_names`,
                `sampling_rate` and, optionally, `unit`, or a list of any of these; or a folder, whose recordings are
                taken in the order of their sorted paths.
            batch_size: Windows that the model sees at a time.
            ch_names, sampling_rate, unit: Of arrays; Hz, and "uV" (default), "mV" or "V".
            window_seconds, stride_seconds: Length of a window and distance between the starts of two; by default those
                the model was trained with.
            smoothing: "none"; "causal": each window's features take those before it into account; "lds": also those
                after it. Features are normalised over the whole recording before, so none of these is for live use.
            top_k: Only the k likeliest labels.

        Returns:
            For each recording a dict: `label`, `score` and `scores` of the recording (mean over its windows), `windows`
            with `onset` and `duration` in s and `label`, `score`, `scores` of each, and `notes` on what was done to
            the recording, and `certainty`: "hardly more than a guess", "unsure" or "fairly sure", of the recording as a
            whole. Ratings (regression) have `scores` alone, several labels at once no certainty.

        Raises:
            MDJPTError: One of its kinds, if a recording cannot be used; it names file, value and remedy.
        """
        if isinstance(inputs, tuple):
            inputs = list(inputs)
        if isinstance(inputs, str | os.PathLike) and is_folder_of_recordings(Path(inputs)):
            inputs = [str(path) for path in recordings_in(Path(inputs))]
        if isinstance(inputs, list) and not inputs:
            raise SignalError("no recording was given", value=[], remedy="Give at least one")
        # the base class would stack recordings of different length into batches
        windows_at_once = batch_size or getattr(self, "_batch_size", None) or DEFAULT_BATCH
        return super().__call__(inputs, batch_size=1, windows_at_once=windows_at_once, **kwargs)

    @property
    def has_trained_head(self) -> bool:
        """Whether there is a head, and not one that was put on an encoder when it was opened and only guesses.

        A head that was made with its encoder, and says so nowhere, is somebody's own.
        """
        head, saved_as = getattr(self.model, "classifier", None), self.model.config.architectures
        if head is None or not saved_as or any(name.endswith("ForSequenceClassification") for name in saved_as):
            return head is not None
        return bool(head.windows_seen > 0)  # fine-tuned since

    def _sanitize_parameters(self, **kwargs: Any) -> tuple[dict, dict, dict]:
        stages = (
            ("ch_names", "sampling_rate", "unit", "window_seconds", "stride_seconds"),
            ("windows_at_once", "smoothing"),
            ("top_k",),
        )
        unknown = sorted(set(kwargs) - {name for stage in stages for name in stage})
        if unknown:
            raise ConfigurationError(
                f"unknown options {', '.join(unknown)}",
                value=unknown,
                remedy=f"Use some of {', '.join(name for stage in stages for name in stage)}",
            )
        if kwargs.get("smoothing", "none") not in SMOOTHING:
            raise ConfigurationError(
                f"smoothing must be one of {', '.join(SMOOTHING)}, found {kwargs['smoothing']!r}",
                value=kwargs["smoothing"],
                remedy="causal: the windows before count; lds: also those after",
            )
        if kwargs.get("unit") is not None:
            microvolts_per(kwargs["unit"])
        preprocess, forward, postprocess = ({k: v for k, v in kwargs.items() if k in stage} for stage in stages)
        return preprocess, forward, postprocess

    def read(
        self, path: str | os.PathLike, unit: str | None = None, foreign: bool = False
    ) -> tuple[Recording, list[str]]:
        """The scalp EEG of a file, and notes on it; the pipeline takes it like any other recording.

        A file is read in a process of its own, which can read nothing but the folder the file lies in.

        Args:
            path: In any format that MNE opens.
            unit: What the values really are, where the file's header is wrong.
            foreign: It comes from somebody else: reading may take 4 GiB and three minutes.

        Raises:
            MDJPTError: If the file cannot be read or used, or takes too much.
        """
        return read_file(path, unit, STRANGERS if foreign else Limits())

    @staticmethod
    def warm_up() -> None:
        """Let the process that will read the next file stand ready; for servers, before every file."""
        warm_up()

    def preprocess(self, inputs: Any, **options: Any) -> dict[str, Any]:  # type: ignore[override]
        """Windows of one recording, still as arrays: long recordings move to the device batch by batch.

        Returns:
            `input_values` `(windows, 60, samples)`, `onsets` in s, and what the extractor reports.

        Raises:
            MDJPTError: If the recording cannot be read or used, with the file in front.
        """
        path, notes = "", list[str]()
        stated: dict[str, Any] = {}
        if isinstance(inputs, str | os.PathLike):
            path = str(inputs)
            inputs, notes = self.read(inputs, options.pop("unit", None))
        elif isinstance(inputs, dict):
            inputs, stated = _stated_recording(inputs)
        windows = options.get("window_seconds") or self.feature_extractor.window_seconds
        try:
            found = self.feature_extractor(inputs, **{**options, **stated})
        except Exception as error:
            if not is_ours(error):
                raise
            raise located(error, path) from error
        return {
            "input_values": found["input_values"],
            "onsets": found["window_onsets"],
            "duration": float(windows),
            "report": found.report,
            "notes": [*notes, *(note for note in found.report.notes if note not in notes)],
        }

    def _forward(  # type: ignore[override]
        self, model_inputs: dict[str, Any], windows_at_once: int = DEFAULT_BATCH, smoothing: str = "none"
    ) -> dict[str, Any]:
        windows = torch.from_numpy(model_inputs["input_values"])
        breaks = model_inputs["report"].breaks
        return {**model_inputs, "logits": self.logits(windows, windows_at_once, smoothing, breaks)}

    @torch.no_grad()
    def logits(
        self, windows: torch.Tensor, windows_at_once: int, smoothing: str = "none", breaks: Sequence[int] = ()
    ) -> torch.Tensor:
        """Scores before they become probabilities, `(windows, labels)`, of the windows `(windows, 60, samples)` of one
        recording; smoothing starts anew at every window in `breaks`.

        Raises:
            ConfigurationError: If scores are not numbers, as weights with NaN give them.
        """
        encoder, head = self.model.base_model, self.model.classifier
        features = encoder.encode_recording(windows, batch_size=windows_at_once)
        values, stretches = features.float().cpu().numpy(), list(breaks)
        settings = getattr(self.model.config, "streaming", None)
        if settings is not None:  # made for live use: from the past alone, here as well
            mean, variance = (part.double().cpu().numpy() for part in head.prior)
            values = online_normalise(values, mean, variance, settings["decay"])
        if smoothing != "none":
            values = np.concatenate([lds_smooth(part, smoothing == "causal") for part in np.split(values, stretches)])
        elif settings is not None:
            remembered = settings["smoothing_windows"]
            values = np.concatenate([running_mean(part, remembered) for part in np.split(values, stretches)])
        logits = head.scores(torch.from_numpy(values).to(features)).float().cpu()
        if not torch.isfinite(logits).all():
            raise ConfigurationError(
                "the model's scores are not numbers: its weights hold NaN or infinity, or overflow in this precision",
                value=str(encoder.dtype),
                remedy="Load the weights again, in float32",
            )
        return logits

    def postprocess(self, model_outputs: dict[str, Any], top_k: int | None = None) -> dict[str, Any]:  # type: ignore[override]
        """Scores as plain numbers, ready for JSON."""
        scores = self.scores(model_outputs["logits"]).numpy()
        ratings = self.model.config.problem_type == "regression"
        windows = [
            {"onset": float(onset), "duration": model_outputs["duration"], **self._result(row, top_k, ratings)}
            for onset, row in zip(model_outputs["onsets"], scores, strict=True)
        ]
        whole, notes = self._result(scores.mean(axis=0), top_k, ratings), list(model_outputs["notes"])
        if not ratings and self.model.config.problem_type != "multi_label_classification":
            labels = scores.shape[1]
            whole["certainty"] = certainty(whole["score"], labels)
            if whole["score"] < _GUESS / labels:
                found = f"{whole['label']} with {whole['score']:.0%} is hardly more than a guess"
                notes.append(f"{found}: guessing among {labels} labels gives {1 / labels:.0%}")
        return {**whole, "windows": windows, "notes": notes}

    def scores(self, logits: torch.Tensor) -> torch.Tensor:
        """Probabilities, or ratings as they are, `(windows, labels)`."""
        problem = self.model.config.problem_type
        if problem == "regression":
            return logits
        return logits.sigmoid() if problem == "multi_label_classification" else logits.softmax(dim=-1)

    def _result(self, row: np.ndarray, top_k: int | None, ratings: bool) -> dict[str, Any]:
        names = self.model.config.id2label
        scores = [{"label": names[i], "score": float(row[i])} for i in range(len(row))]
        if ratings:
            return {"scores": scores}
        scores.sort(key=lambda entry: entry["score"], reverse=True)
        return {**scores[0], "scores": scores[:top_k]}


def _stated_recording(inputs: dict[str, Any]) -> tuple[np.ndarray, dict[str, Any]]:
    """The signal of a recording given as a dict, and what was stated with it."""
    stated = dict(inputs)
    if "signal" not in stated or set(stated) - _STATED:
        raise SignalError(
            f"a recording given as a dict needs 'signal', found {sorted(map(str, stated))}",
            value=sorted(map(str, stated)),
            remedy=f"Give {', '.join(sorted(_STATED))}",
        )
    return np.asarray(stated.pop("signal")), stated


#: For transformers below 5.10, which copies from a local folder what this file names, and not what those files name.
_TRAVELS_WITH = """
from .bad_channels_mdjpt import
from .brainvision_mdjpt import
from .companions_mdjpt import
from .confinement_mdjpt import
from .control_groups_mdjpt import
from .coverage_mdjpt import
from .edf_mdjpt import
from .electrodes_mdjpt import
from .elsewhere_mdjpt import
from .exchange_mdjpt import
from .filtering_mdjpt import
from .isolated_child_mdjpt import
from .median_mdjpt import
from .mne_mdjpt import
from .montage_mdjpt import
from .neuroscan_mdjpt import
from .opening_mdjpt import
from .polyphase_mdjpt import
from .ranges_mdjpt import
from .released_neighbours_mdjpt import
from .sources_mdjpt import
from .splines_mdjpt import
from .stored_mdjpt import
from .stretches_mdjpt import
from .timeline_mdjpt import
"""

__all__ = ["CUSTOM_PIPELINES", "TASK", "EEGEmotionPipeline", "certainty"]
