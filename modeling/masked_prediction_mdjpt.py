"""The loss of masked prediction as a plain function of tensors."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F


def masked_prediction(
    logits: Sequence[torch.Tensor], labels: torch.Tensor, token_mask: torch.Tensor, unmasked_weight: float = 0.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy with the pseudo-labels, averaged over tokens with their weights, for every granularity.

    Args:
        logits (`Sequence[torch.Tensor]`): One of shape `(batch, tokens, clusters)` per granularity.
        labels (`torch.Tensor` of shape `(batch, tokens, granularities)`): Integers.
        token_mask (`torch.Tensor` of shape `(batch, tokens)`): True where a token was hidden; those weigh 1.
        unmasked_weight (`float`): Weight of the others.

    Returns:
        Two tensors of shape `(granularities,)`: losses, and the share of hidden tokens predicted right (detached).
    """
    hidden = token_mask.float()
    weights = hidden + unmasked_weight * (1 - hidden)
    losses, accuracies = [], []
    for scores, wanted in zip(logits, labels.unbind(dim=-1), strict=True):
        terms = F.cross_entropy(scores.float().transpose(1, 2), wanted.long(), reduction="none")
        losses.append((terms * weights).sum() / weights.sum())
        right = (scores.detach().argmax(dim=-1) == wanted).float()
        accuracies.append((right * hidden).sum() / hidden.sum())
    return torch.stack(losses), torch.stack(accuracies)
