"""The head, the loss and the pipeline that classifiers of every encoder share."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn


def task_head(size: int, hidden_sizes: Sequence[int], dropout: float, num_labels: int) -> nn.Sequential:
    """Features `(batch, size)` -> scores `(batch, num_labels)`, through hidden layers with ReLU and dropout."""
    sizes = [size, *hidden_sizes]
    hidden = [
        layer
        for width, following in zip(sizes[:-1], sizes[1:], strict=True)
        for layer in (nn.Linear(width, following), nn.ReLU(), nn.Dropout(dropout))
    ]
    return nn.Sequential(*hidden, nn.Linear(sizes[-1], num_labels))


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

    def save_pretrained(self, save_directory, *args, **kwargs) -> None:
        """Save weights, config and code, and with them what the pipeline needs."""
        from .pipeline_mdjpt import CUSTOM_PIPELINES  # this import also makes the file travel with the checkpoint

        self.config.custom_pipelines = dict(CUSTOM_PIPELINES)
        super().save_pretrained(save_directory, *args, **kwargs)  # type: ignore[misc]
