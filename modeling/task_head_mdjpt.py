"""The head, the loss and the pipeline that classifiers of every encoder share."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from .compatibility_mdjpt import initialization as init
from .smoothing_mdjpt import VARIANCE_FLOOR

#: While features still change, what the head knows of them reaches about so many windows back.
MEMORY = 1000
#: A feature that hardly moved in training is taken for one that moves this share of what the others do, so that it
#: cannot drown them on a person on whom it does move.
LEAST_SPREAD = 0.01
#: Names of what the head knows of its features, in a checkpoint.
STATISTICS = [r"classifier\.feature_mean$", r"classifier\.feature_variance$", r"classifier\.windows_seen$"]
#: The same of heads for live use; a checkpoint that should hold them and does not gets NaN, and so no answers.
PRIOR = [r"classifier\.prior_(mean|variance)$"]


class TaskHead(nn.Sequential):
    """Features `(batch, size)` -> scores `(batch, num_labels)`, through hidden layers with ReLU and dropout.

    Each feature is standardised first, by the mean and the variance it had in the windows the head was trained on.
    Both are buffers, hence part of every checkpoint. Pooled maps are shares of a softmax, thousandths that differ by
    thousandths: as they are, hundreds of steps move the layers behind them hardly at all.

    Chosen by measuring (`benchmarks/finetuning.py`, simulated data): on held-out subjects all ways to scale features do
    about as well, and better than none. Statistics of the training windows work for a single window, which z-scores
    over each recording do not, and a head with them fits what it is given: 0.92 of its training windows after 300
    steps, with layer normalisation 0.82, since what differs between windows stays small there beside what differs
    between features. Batch normalisation trains on other numbers than it answers with, and fails on a batch of one.

    In training mode every batch moves the statistics, so `Trainer` needs nothing but labels: at first they are those of
    all windows seen, later those of about the last `MEMORY`, since an encoder that trains too changes its features.
    No gradient goes through them.

    Args:
        size (`int`): Of the features. hidden_sizes (`Sequence[int]`): Of the hidden layers.
        dropout (`float`): Behind each of them. num_labels (`int`): Scores.
        standardises (`bool`): False for a head that was trained before heads did this; its statistics stay 0 and 1.
        online (`bool`): For live use: features are normalised online before, from `prior_mean` and `prior_variance`
            on, which training subjects had. `forward` takes every window for the first of a session, which the prior
            alone normalises; who knows the windows before it normalises by them as well, and asks `scores`.
    """

    prior_mean: torch.Tensor | None
    prior_variance: torch.Tensor | None
    feature_mean: torch.Tensor
    feature_variance: torch.Tensor
    windows_seen: torch.Tensor

    def __init__(
        self,
        size: int,
        hidden_sizes: Sequence[int],
        dropout: float,
        num_labels: int,
        standardises: bool = True,
        online: bool = False,
    ):
        sizes = [size, *hidden_sizes]
        hidden = [
            layer
            for width, following in zip(sizes[:-1], sizes[1:], strict=True)
            for layer in (nn.Linear(width, following), nn.ReLU(), nn.Dropout(dropout))
        ]
        super().__init__(*hidden, nn.Linear(sizes[-1], num_labels))
        self.standardises = standardises
        self.register_buffer("feature_mean", torch.zeros(size))
        self.register_buffer("feature_variance", torch.ones(size))
        self.register_buffer("windows_seen", torch.zeros((), dtype=torch.long))
        for name in ("prior_mean", "prior_variance"):
            self.register_buffer(name, torch.full((size,), torch.nan) if online else None)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Features `(windows, size)` -> `(windows, labels)`; in training mode they also count for the statistics."""
        features = self._as_first(features)
        if self.training and self.standardises:
            self._follow(features)
        return self.scores(features)

    @property
    def prior(self) -> tuple[torch.Tensor, ...]:
        """Mean and variance, `(size,)`, that training subjects had, for live use; else nothing."""
        known = self.prior_mean, self.prior_variance
        return tuple(part for part in known if part is not None)

    def _as_first(self, features: torch.Tensor) -> torch.Tensor:
        """Features normalised as those of the first window of a session, for live use; else as they are."""
        if self.prior_mean is None or self.prior_variance is None:
            return features
        dtype = torch.promote_types(features.dtype, torch.float32)
        spread = (self.prior_variance.to(dtype) + VARIANCE_FLOOR).sqrt()
        return ((features.to(dtype) - self.prior_mean.to(dtype)) / spread).to(features.dtype)

    def scores(self, features: torch.Tensor) -> torch.Tensor:
        """The same by the statistics as they are, of features that are normalised already where that is done online."""
        return super().forward(self.standardise(features))

    def standardise(self, features: torch.Tensor) -> torch.Tensor:
        """The features the layers see, of the same shape and dtype."""
        dtype = torch.promote_types(features.dtype, torch.float32)  # half precision would lose the small maps
        mean, variance = self.feature_mean.to(dtype), self.feature_variance.to(dtype)
        typical = variance.mean().sqrt()
        least = torch.where(typical > 0, LEAST_SPREAD * typical, 1.0)
        return ((features.to(dtype) - mean) / torch.maximum(variance.sqrt(), least)).to(features.dtype)

    @torch.no_grad()
    def fit_statistics(self, features: torch.Tensor) -> None:
        """Take the statistics from these features `(windows, size)` alone."""
        self.windows_seen.zero_()
        self._follow(features)

    def reset(self) -> None:
        """New weights and no statistics: for other labels."""
        self.standardises = True
        init_statistics(self)
        for layer in self:
            if isinstance(layer, nn.Linear):
                layer.reset_parameters()

    @torch.no_grad()
    def _follow(self, features: torch.Tensor) -> None:
        """Merge the moments of a batch into those held (Chan et al.)."""
        values, count = features.detach().to(self.feature_mean.dtype), len(features)
        share = torch.clamp(count / (self.windows_seen + count), min=count / (count + MEMORY))
        shift = values.mean(dim=0) - self.feature_mean
        variance = (1 - share) * self.feature_variance + share * values.var(dim=0, correction=0)
        self.feature_variance.copy_(variance + share * (1 - share) * shift.square())
        self.feature_mean.add_(share * shift)
        self.windows_seen += count


@torch.no_grad()
def init_statistics(head: TaskHead) -> None:
    """Before anything was seen: features pass as they are."""
    init.zeros_(head.feature_mean)
    init.ones_(head.feature_variance)
    init.zeros_(head.windows_seen)
    for prior in (head.prior_mean, head.prior_variance):
        if prior is not None:
            init.constant_(prior, torch.nan)


def task_head(config: Any, size: int, num_labels: int) -> TaskHead:
    """The head that a classifier's configuration describes; notes in it whether the head standardises."""
    if config.standardised_head is None:  # no classifier of today's wrote this file
        config.standardised_head = not any(
            name.endswith("ForSequenceClassification") for name in config.architectures or ()
        )
    sizes, dropout = config.classifier_hidden_sizes, config.classifier_dropout
    online = getattr(config, "streaming", None) is not None
    return TaskHead(size, sizes, dropout, num_labels, config.standardised_head, online)


def task_loss(logits: torch.Tensor, labels: torch.Tensor, problem_type: str | None) -> torch.Tensor:
    """Mean over what is known: class -1 and rating NaN mean unknown, as in the corpora.

    Args:
        logits (`torch.Tensor` of shape `(batch, num_labels)`).
        labels (`torch.Tensor`): `(batch,)` classes; `(batch, num_labels)` zeros and ones for
            `"multi_label_classification"`; `(batch,)` or `(batch, num_labels)` numbers for `"regression"`.
        problem_type (`str`, *optional*): Default: regression for a single output, else classes.
    """
    problem = problem_type or ("regression" if logits.shape[-1] == 1 else "single_label_classification")
    if problem == "regression":
        known = ~labels.isnan() if labels.is_floating_point() else torch.ones_like(labels, dtype=torch.bool)
        return F.mse_loss(logits.view_as(labels)[known], labels[known].to(logits.dtype))
    if problem == "multi_label_classification":
        return F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))
    return F.cross_entropy(logits, labels if labels.is_floating_point() else labels.long(), ignore_index=-1)


class CarriesPipeline:
    """For classifiers: what is saved opens with `pipeline("eeg-emotion-recognition")`."""

    config: Any
    classifier: TaskHead
    # Classifiers of before have none, and answer as they did.
    _keys_to_ignore_on_load_missing: Any = [*STATISTICS, *PRIOR]
    # The head computes its own mean loss, so Trainer must divide it by the accumulation steps.
    accepts_loss_kwargs = False

    def save_pretrained(self, save_directory, *args, **kwargs) -> None:
        """Save weights, config and code, and with them what the pipeline needs."""
        from .pipeline_mdjpt import CUSTOM_PIPELINES  # this import also makes the file travel with the checkpoint

        self.config.custom_pipelines = dict(CUSTOM_PIPELINES)
        self.config.standardised_head = self.classifier.standardises
        super().save_pretrained(save_directory, *args, **kwargs)  # type: ignore[misc]
