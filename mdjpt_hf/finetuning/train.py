"""Fine-tuning with transformers' Trainer: the head alone, the whole network, or low-rank additions to it."""

import math
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset
from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModelForSequenceClassification,
    EarlyStoppingCallback,
    EvalPrediction,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from mdjpt_hf.data.corpora import open_corpora
from mdjpt_hf.data.facts import RECORD_FILE
from mdjpt_hf.data.overlap import check_apart
from mdjpt_hf.data.sources import as_sources
from mdjpt_hf.data.storage import write_json
from mdjpt_hf.data.targets import Target, find_target
from mdjpt_hf.errors import CheckpointError, ConfigurationError
from mdjpt_hf.evaluation.encoders import checkpoint_montage
from mdjpt_hf.evaluation.scores import BalancedAccuracy
from mdjpt_hf.finetuning.records import effort, records
from mdjpt_hf.finetuning.scores import recording_features, side_score
from mdjpt_hf.finetuning.streamed import STREAMING, normalise_online, stream_features
from mdjpt_hf.finetuning.windows import LabelledDataset, RecordingSampler, split_subjects
from mdjpt_hf.modeling.task_head_mdjpt import task_loss
from mdjpt_hf.runtime.ownership import owned_output
from mdjpt_hf.runtime.progress import Progress

METHODS = ("head", "full", "lora")
SIDES = ("training", "validation")

#: Learning rates by method; the head's is that of arXiv 2510.22197, whose encoder stays as it is.
LEARNING_RATES = {"head": 5e-4, "full": 5e-5, "lora": 3e-4}

#: Training that nobody said the length of: so many times through the windows, and no fewer steps than these, since a
#: small corpus has two steps in an epoch and needs a hundred to be learnt. Where a head fits already, fewer are better:
#: three hundred steps unlearn what pre-training gave (docs/results/recipe.md).
EPOCHS, LEAST_STEPS = 8, {"head": 300, "full": 100, "lora": 100}
#: Validation subjects are asked after every epoch, but not before so many steps have gone by.
LEAST_STEPS_BETWEEN = 25
#: One or two people would choose a checkpoint by chance; from so many on, validation subjects choose.
LEAST_CHOOSERS = 3

#: Setting -> its least value.
_LEAST = {"epochs": 0, "steps": 0, "evaluation_steps": 0, "learning_rate": 0, "weight_decay": 0} | {
    "patience": 1,
    "batch_size": 1,
    "windows_together": 1,
    "lora_rank": 1,
}
_DEFAULTED = "0 stands for the default"


@dataclass(frozen=True)
class FinetuneConfig:
    """One fine-tuning.

    Args:
        model: Folder or Hub id of a pre-trained encoder, or of a classifier whose head is replaced.
        data: Corpora with labels: prepared or Parquet folders, `user/corpus` of the Hub, or `datasets.Dataset`s of the
            schema. output_dir: Made; refused if it holds a model.
        target: One of `TARGETS`. method: One of `METHODS`.
        epochs, steps: How long to train at most, in one or the other; by default (0) `EPOCHS`, and at least
            `LEAST_STEPS`. `full` and `lora` train a head for as long before. batch_size: Windows.
        learning_rate: 0 for that of the method. weight_decay: Of AdamW.
        validation_share: Of the subjects of every corpus, who never train. Where they are `LEAST_CHOOSERS` or more,
            the checkpoint with the best balanced accuracy on them is kept; else the last, and their score is no choice.
        evaluation_steps: Between two looks at them; by default (0) an epoch, and at least `LEAST_STEPS_BETWEEN`.
        patience: Looks without improvement before training stops.
        class_weights: Whether a rare class counts as much as a frequent one.
        stride_seconds: Between training windows. windows_together: Of a recording in a batch (full and lora).
        lora_rank: Of the additions. seed: Everything drawn follows from it.
        for_streaming: For live use: the head is trained, and everything scored, on windows as they come live: cleaned
            and scaled with the seconds before them, normalised online from the statistics of training subjects,
            smoothed over the windows before. With `full` and `lora` the encoder is trained first, on windows alone.
        trust_remote_code: Run code from the Hub for a model of another package.
    """

    model: str
    data: tuple[str, ...]
    output_dir: str
    target: str = "label"
    method: str = "head"
    epochs: int = 0
    steps: int = 0
    batch_size: int = 64
    learning_rate: float = 0.0
    weight_decay: float = 2.2e-3
    validation_share: float = 0.2
    evaluation_steps: int = 0
    patience: int = 5
    class_weights: bool = True
    stride_seconds: float = 5.0
    windows_together: int = 16
    lora_rank: int = 8
    seed: int = 0
    for_streaming: bool = False
    trust_remote_code: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", as_sources(self.data))
        if self.method not in METHODS:
            raise ConfigurationError(
                f"unknown method {self.method!r}", value=self.method, remedy=f"Use one of {', '.join(METHODS)}"
            )
        if not 0 < self.validation_share < 1:
            raise ConfigurationError(
                f"validation_share must lie between 0 and 1, found {self.validation_share}",
                value=self.validation_share,
                remedy="0.2 keeps one subject in five",
            )
        if not self.data:
            raise ConfigurationError("no data was given", value=(), remedy="Add --data FOLDER, a prepared corpus")
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if not least <= value < math.inf:  # NaN is neither
                raise ConfigurationError(
                    f"{name} must be a number of at least {least}, found {value}",
                    value=value,
                    remedy=_DEFAULTED if least == 0 and name != "weight_decay" else f"Use {least} or more",
                )
        if not 0 < self.stride_seconds < math.inf:
            raise ConfigurationError(
                f"stride_seconds must be a positive number of seconds, found {self.stride_seconds}",
                value=self.stride_seconds,
                remedy="Give seconds",
            )
        if self.epochs and self.steps:
            raise ConfigurationError(
                f"both epochs ({self.epochs}) and steps ({self.steps}) say how long to train",
                value=(self.epochs, self.steps),
                remedy="Give one of them",
            )


def finetune(config: FinetuneConfig) -> Path:
    """Train a classifier and save it with its extractor, its code and a record of how it was made.

    Raises:
        ConfigurationError: If settings, model and data do not go together.
        CorpusError: If the data has no such labels, or too few subjects, or two corpora hold the same recordings.
        CheckpointError: If the output folder holds a model already.
        InUseError: If another process writes the output folder.
    """
    with owned_output(Path(config.output_dir)):
        return _finetune(config, Path(config.output_dir))


def _finetune(config: FinetuneConfig, output: Path) -> Path:
    if (output / "config.json").exists():
        raise CheckpointError("already holds a model", path=output, remedy="Choose another folder")
    started = time.perf_counter()
    set_seed(config.seed)
    trial_sets = open_corpora(config.data, checkpoint_montage(config.model) or "positions")
    check_apart(trial_sets)
    target = find_target(trial_sets, config.target)
    model = _load(config, target)
    windows = LabelledDataset(trial_sets, target, model.config.window_seconds, config.stride_seconds)
    parts = _sides(config, windows)
    model, steps = _train(config, model, windows, parts)
    if config.for_streaming:
        windows, parts, more = _train_streamed(config, model, windows)
        steps += more
    scores = {side: side_score(model, windows, part) for side, part in zip(SIDES, parts, strict=True)}
    files = records(config, model, windows, parts, scores, _chosen_by(windows, parts[1]))
    files["finetune.json"]["verdict"] = [*target.notes, *files["finetune.json"]["verdict"]]
    files[RECORD_FILE] |= effort(model, steps, time.perf_counter() - started)
    _save(config, model, files, output)
    return output


def _sides(config: FinetuneConfig, windows: LabelledDataset) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the windows that train, and of those that validate."""
    validates = split_subjects(windows.subject, windows.label, config.validation_share, config.seed)
    return np.flatnonzero(~validates), np.flatnonzero(validates)


def _train(config: FinetuneConfig, model: Any, windows: LabelledDataset, parts) -> tuple[Any, int]:
    """By the method asked for; for live use, whose head is trained afterwards, what changes the encoder alone."""
    if config.for_streaming:
        mean, variance = model.classifier.prior
        mean.zero_()  # windows alone, as they are
        variance.fill_(1.0)
        if config.method == "head":
            return model, 0
    return _TRAINERS[config.method](config, model, windows, parts)


def _load(config: FinetuneConfig, target: Target) -> Any:
    labels = dict(enumerate(target.names))
    model = AutoModelForSequenceClassification.from_pretrained(
        config.model,
        trust_remote_code=config.trust_remote_code,
        id2label=labels,
        label2id={name: number for number, name in labels.items()},
        problem_type=target.problem_type,
        ignore_mismatched_sizes=True,
        **_mode(config),
    )
    model.classifier.reset()  # a head that was there knows other labels
    return model


def _mode(config: FinetuneConfig) -> dict[str, Any]:
    """What the config of the classifier says of live use."""
    if not config.for_streaming:
        return {"streaming": None}
    mode: dict[str, Any] = {"streaming": dict(STREAMING)}
    found = AutoConfig.from_pretrained(config.model, trust_remote_code=config.trust_remote_code)
    if hasattr(found, "group_mode"):  # windows of the other family stand alone anyway
        mode["group_mode"] = "window"
    return mode


def _chooses(windows: LabelledDataset, validation: np.ndarray) -> bool:
    """Whether there are validation subjects enough to choose a checkpoint by."""
    return len(np.unique(windows.subject[validation])) >= LEAST_CHOOSERS


def _chosen_by(windows: LabelledDataset, validation: np.ndarray) -> str:
    if _chooses(windows, validation):
        return "the checkpoint was chosen on these same validation subjects: optimistic by that choice"
    return "the last step: validation subjects chose nothing"


# ---- the three methods; each returns a plain classifier and the steps it took


class _Head(nn.Module):
    """The head on features that were computed once: the encoder does not change."""

    def __init__(self, classifier: Any):
        super().__init__()
        self.head = classifier.classifier
        self.problem_type = classifier.config.problem_type

    def forward(self, features: torch.Tensor, labels: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        logits = self.head.scores(features)  # its statistics are those of all training windows from the start
        if labels is None:
            return {"logits": logits}
        return {"loss": task_loss(logits, labels, self.problem_type), "logits": logits}


class _Features(Dataset):
    def __init__(self, features: torch.Tensor, labels: np.ndarray):
        self.features, self.labels = features, torch.as_tensor(labels)

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        return {"features": self.features[number], "labels": self.labels[number]}


def _train_head(config: FinetuneConfig, model: Any, windows: LabelledDataset, parts) -> tuple[Any, int]:
    features = recording_features(model, windows, np.arange(len(windows)))
    model.classifier.fit_statistics(features[parts[0]].to(model.device))
    sets = [_Features(features[part], windows.label[part]) for part in parts]
    return model, _fit(config, _Head(model), sets, windows, parts).steps


def _train_full(config: FinetuneConfig, model: Any, windows: LabelledDataset, parts) -> tuple[Any, int]:
    return _train_from_head(config, model, windows, parts, lambda: model, lambda trained: trained)


def _train_from_head(
    config: FinetuneConfig,
    model: Any,
    windows: LabelledDataset,
    parts,
    adapt: Callable[[], Any],
    merge: Callable[[Any], Any],
) -> tuple[Any, int]:
    """Change the encoder from where a head already fits it: a fresh head's gradients would spoil features that nothing
    is wrong with (Kumar et al. 2022, arXiv 2202.10054).

    Validation subjects, if they choose, may have been better off with the head alone, which is kept then.
    """
    _train_head(replace(config, method="head", learning_rate=0.0), model, windows, parts)
    before = {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
    adapted = adapt()
    sets = [torch.utils.data.Subset(windows, part.tolist()) for part in parts]
    fitted = _fit(config, adapted, sets, windows, parts)
    trained = merge(adapted)
    if fitted.selection is not None and fitted.selection < fitted.selection_before:
        trained.load_state_dict(before)
    return trained, fitted.steps


def _train_lora(config: FinetuneConfig, model: Any, windows: LabelledDataset, parts) -> tuple[Any, int]:
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise ConfigurationError(
            "lora needs peft", value="peft", remedy="Install it with `pip install 'mdjpt-hf[peft]'`"
        ) from error
    linear = [name for name, part in model.base_model.named_modules() if isinstance(part, nn.Linear)]
    prefix = model.base_model_prefix
    settings = LoraConfig(
        r=config.lora_rank,
        lora_alpha=2 * config.lora_rank,
        target_modules=[f"{prefix}.{name}" for name in linear],
        modules_to_save=["classifier"],
    )
    adapt, merge = (lambda: get_peft_model(model, settings)), (lambda adapted: adapted.merge_and_unload())
    return _train_from_head(config, model, windows, parts, adapt, merge)


_TRAINERS = {"head": _train_head, "full": _train_full, "lora": _train_lora}


def _train_streamed(
    config: FinetuneConfig, model: Any, windows: LabelledDataset
) -> tuple[LabelledDataset, tuple[np.ndarray, np.ndarray], int]:
    """A head on windows as they come live; those windows, the two sides, and the steps it took."""
    extractor = AutoFeatureExtractor.from_pretrained(config.model, trust_remote_code=config.trust_remote_code)
    streamed = LabelledDataset(windows.trial_sets, windows.target, extractor.window_seconds, extractor.stride_seconds)
    raw = stream_features(model.base_model, extractor, streamed)
    parts = _sides(config, streamed)
    head, training = model.classifier, raw[parts[0]].double()
    head.reset()
    for prior, value in zip(head.prior, (training.mean(dim=0), training.var(dim=0, correction=0)), strict=True):
        prior.copy_(value)
    features = normalise_online(streamed, raw, *(part.double().cpu().numpy() for part in head.prior))
    head.fit_statistics(features[parts[0]].to(model.device))
    sets = [_Features(features[part], streamed.label[part]) for part in parts]
    streamed.features = features
    return streamed, parts, _fit(replace(config, method="head"), _Head(model), sets, streamed, parts).steps


class _RecordingTrainer(Trainer):
    """Batches in which windows of a recording stay together."""

    sampler: RecordingSampler | None = None

    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> Any:
        return self.sampler or super()._get_train_sampler(*args, **kwargs)


class _Told(TrainerCallback):
    """Trainer's progress, told as that of all other work."""

    def __init__(self, progress: Progress):
        self.progress = progress

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        self.progress.advance()

    def on_log(self, *args: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        told = {"loss": "loss", "eval_selection": "validation"}
        numbers = [f"{told[name]} {float(value):.3f}" for name, value in (logs or {}).items() if name in told]
        if numbers:
            self.progress.tell(", ".join(numbers))


@dataclass(frozen=True)
class _Fitted:
    """Steps taken; and where validation subjects choose, how well they were told apart at best, and before."""

    steps: int
    selection: float | None = None
    selection_before: float = -math.inf


def _fit(config: FinetuneConfig, model: nn.Module, sets, windows: LabelledDataset, parts) -> _Fitted:
    training, validation = parts
    trainer = _RecordingTrainer(
        model=model,
        args=_arguments(config, len(training), _chooses(windows, validation)),
        train_dataset=sets[0],
        eval_dataset=sets[1],
        compute_metrics=_selection,
        compute_loss_func=_weighted_loss(config, windows, training),
        callbacks=[EarlyStoppingCallback(config.patience)] if _chooses(windows, validation) else [],
    )
    if config.method != "head":
        trainer.sampler = RecordingSampler(windows.recording[training], config.windows_together, config.seed)
    trainer.remove_callback(PrinterCallback)
    with Progress(trainer.args.max_steps, 0, "finetune", "step") as progress:
        chooses = _chooses(windows, validation) and config.method != "head"
        before = trainer.evaluate()["eval_selection"] if chooses else -math.inf
        trainer.add_callback(_Told(progress))
        trainer.train()
    shutil.rmtree(_scratch(config), ignore_errors=True)
    return _Fitted(trainer.state.global_step, trainer.state.best_metric, before)


def _arguments(config: FinetuneConfig, training_windows: int, chooses: bool) -> TrainingArguments:
    steps, between = schedule(config, training_windows)
    choosing: dict[str, Any] = {"eval_strategy": "no", "save_strategy": "no"}
    if chooses:
        choosing = {"eval_strategy": "steps", "save_strategy": "steps", "eval_steps": between, "save_steps": between}
        choosing |= {"save_total_limit": 2, "load_best_model_at_end": True}
    return TrainingArguments(
        output_dir=_scratch(config),
        max_steps=steps,
        per_device_train_batch_size=config.batch_size,
        per_device_eval_batch_size=config.batch_size,
        learning_rate=config.learning_rate or LEARNING_RATES[config.method],
        weight_decay=config.weight_decay,
        metric_for_best_model="selection",
        greater_is_better=True,
        remove_unused_columns=False,
        dataloader_pin_memory=torch.cuda.is_available(),
        logging_strategy="steps",
        logging_steps=between,
        label_names=["labels"],
        report_to=[],
        seed=config.seed,
        disable_tqdm=True,  # see `_Told`
        **choosing,
    )


def _scratch(config: FinetuneConfig) -> str:
    """Where checkpoints lie while training goes on."""
    return str(Path(config.output_dir) / ".training")


def schedule(config: FinetuneConfig, training_windows: int) -> tuple[int, int]:
    """Optimiser steps at most, and between two looks at validation subjects."""
    epoch = math.ceil(training_windows / config.batch_size)
    steps = config.steps or (
        config.epochs * epoch if config.epochs else max(EPOCHS * epoch, LEAST_STEPS[config.method])
    )
    between = config.evaluation_steps or max(epoch, LEAST_STEPS_BETWEEN)
    return steps, min(between, steps)


def _weighted_loss(config: FinetuneConfig, windows: LabelledDataset, training: np.ndarray):
    """Cross-entropy in which every class of the training subjects weighs the same; None for the model's own loss."""
    if not config.class_weights or windows.target.problem_type == "regression":
        return None
    counts = np.bincount(windows.label[training], minlength=len(windows.target.names))
    weights = np.where(counts > 0, len(training) / (np.maximum(counts, 1) * (counts > 0).sum()), 0.0)
    weight = torch.tensor(weights, dtype=torch.float32)

    def loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> torch.Tensor:
        logits = outputs["logits"]
        return nn.functional.cross_entropy(logits, labels, weight.to(logits.device), ignore_index=-1)

    return loss


def _selection(predicted: EvalPrediction) -> dict[str, float]:
    """What chooses the epoch: balanced accuracy, or minus the squared error of ratings."""
    scores, wanted = np.asarray(predicted.predictions), np.asarray(predicted.label_ids)
    if wanted.ndim == 1:
        found = BalancedAccuracy().compute(predictions=scores.argmax(axis=-1), references=wanted)
        assert found is not None
        return {"selection": found["balanced_accuracy"]}
    return {"selection": -float(np.nanmean((scores - wanted) ** 2))}


# ---- saving


def _save(config: FinetuneConfig, model: Any, files: dict[str, Any], output: Path) -> None:
    staging = output / ".saving"
    shutil.rmtree(staging, ignore_errors=True)
    model.cpu().save_pretrained(staging)
    extractor = AutoFeatureExtractor.from_pretrained(config.model, trust_remote_code=config.trust_remote_code)
    extractor.save_pretrained(staging)
    for name, content in files.items():
        (staging / name).parent.mkdir(exist_ok=True)
        write_json(staging / name, content)
    for file in staging.iterdir():
        file.replace(output / file.name)
    staging.rmdir()
