"""Group normalisation of recordings too long for one batch: moments accumulated in passes."""

import torch


class GroupMoments:
    """Mean and spread of every position over all windows and tokens of each group, gathered batch by batch.

    After all batches were added, `normalise` gives what [`group_normalise`] would have given on everything at once.
    Sums are kept in float64 and merged pairwise (Chan et al.), so hours of signal lose no precision.

    Args:
        eps (`float`): Added to the standard deviation.
    """

    def __init__(self, eps: float):
        self.eps = eps
        self.count: dict[int, int] = {}
        self.mean: dict[int, torch.Tensor] = {}
        self.squares: dict[int, torch.Tensor] = {}  # sum of squared distances from the mean

    def add(self, values: torch.Tensor, groups: torch.Tensor) -> None:
        """Take in `(batch, ..., tokens)` whose windows belong to `groups` `(batch,)`, small integers from 0."""
        for group in groups.unique().tolist():
            members = values[(groups == group).to(values.device)].double()
            mean = members.mean(dim=(0, -1))
            squares = (members - mean.unsqueeze(-1)).square().sum(dim=(0, -1))
            self._merge(group, members.shape[0] * members.shape[-1], mean, squares)

    def _merge(self, group: int, count: int, mean: torch.Tensor, squares: torch.Tensor) -> None:
        if group not in self.count:
            self.count[group], self.mean[group], self.squares[group] = count, mean, squares
            return
        before, total = self.count[group], self.count[group] + count
        shift = mean - self.mean[group]
        self.mean[group] = self.mean[group] + shift * (count / total)
        self.squares[group] = self.squares[group] + squares + shift.square() * (before * count / total)
        self.count[group] = total

    def normalise(self, values: torch.Tensor, groups: torch.Tensor) -> torch.Tensor:
        """z-score a batch with the moments of its groups; the same shape and dtype come back."""
        index = groups.tolist()
        mean = torch.stack([self.mean[group] for group in index]).unsqueeze(-1)
        variances = [self.squares[group] / max(1, self.count[group] - 1) for group in index]
        scale = torch.stack(variances).unsqueeze(-1).clamp_min(1e-16).sqrt() + self.eps
        precise = values if values.dtype == torch.float64 else values.float()  # as in group_normalise
        return ((precise - mean.to(precise.dtype)) / scale.to(precise.dtype)).to(values.dtype)
