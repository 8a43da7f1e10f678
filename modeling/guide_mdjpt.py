"""A guide of the first steps (ours): windows should be alike in their maps as they are alike in what is given.

Given is what viewers of the moment have in common, found before the first step in closed form.
"""

import torch

from .layers_mdjpt import group_normalise

#: Added to deviations of pooled maps, which are shares of a softmax: thousandths.
_EPS = 1e-6
#: Of a kernel's norm.
_LEAST = 1e-12


def guide_loss(
    pooled: torch.Tensor, guide: torch.Tensor, sets: torch.Tensor, membership: torch.Tensor | None
) -> torch.Tensor:
    """One less the centred alignment of two kernels (Cortes et al. 2012; CKA in Kornblith et al. 2019), mean over sets.

    Args:
        pooled (`torch.Tensor` of shape `(batch, maps)`): Maps averaged over time, here z-scored over each group.
        guide (`torch.Tensor` of shape `(batch, components)`): What viewers of a window's moment have in common.
        sets (`torch.Tensor` of shape `(batch,)`): Which windows are compared: those of the people of one draw.
        membership (`torch.Tensor` of shape `(batch, batch)`): From [`group_membership`].

    Returns:
        `torch.Tensor`: a scalar from 0, where windows are alike in both in the same way, to 1, where nothing is.
    """
    scores = group_normalise(pooled[..., None], membership, _EPS).squeeze(-1)
    own = [sets == number for number in sets.unique()]
    return torch.stack([_unlike(scores[part], guide[part]) for part in own]).mean()


def _unlike(scores: torch.Tensor, guide: torch.Tensor) -> torch.Tensor:
    ours, theirs = _centred(scores @ scores.T), _centred(guide @ guide.T)
    return 1 - (ours * theirs).sum() / (ours.norm() * theirs.norm()).clamp_min(_LEAST)


def _centred(kernel: torch.Tensor) -> torch.Tensor:
    rows = kernel - kernel.mean(dim=0, keepdim=True)
    return rows - rows.mean(dim=1, keepdim=True)
