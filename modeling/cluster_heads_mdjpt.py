"""Heads that predict clusters: one per granularity, of which only the clusters of the present round are switched on."""

import torch
from torch import nn


class ClusterHeads(nn.ModuleList):
    """One linear head per granularity.

    Args:
        size (`int`): Of a token's state.
        max_clusters (`list[int]`): Outputs of each head, coarse to fine.
        initializer_range (`float`): Deviation of the weights that [`renew`] draws.
    """

    counts: torch.Tensor

    def __init__(self, size: int, max_clusters: list[int], initializer_range: float):
        super().__init__([nn.Linear(size, clusters) for clusters in max_clusters])
        self.max_clusters, self.initializer_range = list(max_clusters), initializer_range
        # How many clusters each granularity has in the present round; the rest of its head is switched off.
        self.register_buffer("counts", torch.empty(len(max_clusters), dtype=torch.long))

    def forward(self, states: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """`(batch, tokens, size)` -> one `(batch, tokens, clusters)` each; absent clusters at minus infinity."""
        logits = []
        for head, count in zip(self, self.counts, strict=True):
            scores = head(states)
            absent = torch.arange(scores.shape[-1], device=scores.device) >= count
            logits.append(scores.masked_fill(absent, float("-inf")))
        return tuple(logits)

    @torch.no_grad()
    def renew(self, counts: list[int]) -> None:
        """Start anew for clusters that mean something else than those before.

        Args:
            counts (`list[int]`): Clusters of each granularity, at most `max_clusters`.
        """
        self.counts.copy_(torch.tensor(counts))
        for name, parameter in self.named_parameters():
            if name.endswith("weight"):
                nn.init.normal_(parameter, std=self.initializer_range)
            else:
                nn.init.zeros_(parameter)
