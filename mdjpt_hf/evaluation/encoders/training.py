"""Training of classifiers on windows or features, with the answers after some of its epochs."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

#: Candidates of a network.
EPOCHS = 8


def train_epochs(
    network: nn.Module,
    inputs: torch.Tensor,
    targets: torch.Tensor,
    asked: torch.Tensor,
    generator: torch.Generator,
    batch_size: int,
    learning_rate: float = 5e-4,
    answers_after: Sequence[int] = range(1, EPOCHS + 1),
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = nn.functional.cross_entropy,
) -> np.ndarray:
    """Train a classifier with Adam to the last epoch of `answers_after`; its logits for `asked` after each of them.

    Args:
        loss: (logits, targets) of a batch -> what is minimised.
    """
    optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate, weight_decay=2.2e-3, fused=True)
    batch_size = max(8, min(batch_size, len(inputs) // 8))
    answers = []
    for epoch in range(1, max(answers_after) + 1):
        network.train()
        for batch in torch.randperm(len(inputs), generator=generator).split(batch_size):
            optimizer.zero_grad()
            loss(network(inputs[batch]), targets[batch]).backward()
            optimizer.step()
        if epoch not in answers_after:
            continue
        network.eval()
        with torch.no_grad():
            answers.append(torch.cat([network(part) for part in asked.split(512)]).numpy())
    return np.stack(answers)
