"""The two pre-training losses of mdJPT as plain functions of tensors (arXiv 2510.22197, section 3)."""

import torch
import torch.distributed as dist

from .kernels_mdjpt import covariances, mean_covariances


def find_positives(
    group_ids: torch.Tensor, dataset_ids: torch.Tensor, stimulus_ids: torch.Tensor, several: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """Who is whose positive, and who is of the same group.

    Args:
        group_ids, dataset_ids, stimulus_ids (`torch.Tensor` of shape `(batch,)`): Integers. The positive of a window
            is the one with its `stimulus_ids` in another group of its dataset.
        several (`bool`): Whether a window may have a positive in several groups.

    Returns:
        Two boolean tensors of shape `(batch, batch)`.

    Raises:
        ValueError: If a window has no positive, or several that it may not have (not checked inside a compiled graph).
    """
    same_group = group_ids[:, None] == group_ids
    same_clip = (dataset_ids[:, None] == dataset_ids) & (stimulus_ids[:, None] == stimulus_ids)
    positives = same_clip & ~same_group
    if not torch.compiler.is_compiling():
        _check_positives(positives, same_clip & same_group, several)
    return positives, same_group


def _check_positives(positives: torch.Tensor, twice: torch.Tensor, several: bool) -> None:
    counts = positives.sum(dim=1)
    wrong = (counts < 1) | (twice.sum(dim=1) > 1) if several else counts != 1
    if wrong.any():
        window = int(wrong.nonzero()[0])
        wanted = "wanted 1 or more" if several else "wanted exactly 1"
        where = "two groups or more" if several else "exactly two groups"
        raise ValueError(
            f"window {window} of the batch has {int(counts[window])} positives, {wanted}: every "
            f"(dataset_ids, stimulus_ids) must occur in {where}, once in each"
        )


def inter_subject_alignment(
    embeddings: torch.Tensor,
    group_ids: torch.Tensor,
    dataset_ids: torch.Tensor,
    stimulus_ids: torch.Tensor,
    temperature: float,
    several: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """ISA: NT-Xent inside every subject pair; two subjects who see the same moment of the same clip agree.

    Every two subjects with a clip in common are a pair. In the paper a window belongs to one pair; where it belongs to
    several, it has a term in each, whose softmax is over the windows of these two subjects alone, as there.

    Args:
        embeddings (`torch.Tensor` of shape `(batch, size)`): On the unit sphere.
        group_ids, dataset_ids, stimulus_ids (`torch.Tensor` of shape `(batch,)`): See [`find_positives`].
        temperature (`float`): τ.
        several (`bool`): Whether a window may belong to several pairs.

    Returns:
        The loss (averaged over a pair's windows and a dataset's pairs, summed over datasets), and each window's own
        term, `(batch,)`, the mean over its pairs, from which the loss of every dataset can be read.
    """
    positives, same_group = find_positives(group_ids, dataset_ids, stimulus_ids, several)
    logits = embeddings @ embeddings.T / temperature
    itself = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    highest = logits.detach().amax(dim=1, keepdim=True)
    powers, members = (logits - highest).exp(), same_group.to(logits.dtype)
    own = (powers * (same_group & ~itself)).sum(dim=1, keepdim=True)
    # (batch, batch): window i's softmax with the subject of window j, at its positives j; exactly 0 without negatives.
    others = (own + powers @ members - powers).clamp_min(0.0)
    terms = torch.log1p(others / powers)
    sizes = members.sum(dim=1)
    share = positives / (sizes[:, None] + sizes)  # 1 / windows of the pair
    same_dataset = (dataset_ids[:, None] == dataset_ids).to(share.dtype)
    pairs = same_dataset @ share.sum(dim=1)  # of the window's dataset
    weights = share / pairs[:, None]
    return (weights * terms).sum(), (positives * terms).sum(dim=1) / positives.sum(dim=1)


#: Of a virtual channel, whose correlations would be noise below it.
_LEAST_VARIANCE = 1e-12


def window_covariances(channel_features: torch.Tensor, covariance: str = "true") -> torch.Tensor:
    """Covariance between virtual channels over tokens, per feature, with the diagonal set to zero.

    Args:
        channel_features (`torch.Tensor` of shape `(batch, features, channels, tokens)`): The map F.
        covariance (`str`): `"true"`, or `"released"` for the authors' program, which transposes the centred map and
            then reinterprets it row by row, so that what it multiplies is no longer channels by time; `"correlation"`
            for channels brought to one variance first, which is ours: group normalisation follows the map, so of second
            order only the correlations reach the embedding.

    Returns:
        `torch.Tensor` of shape `(batch, features, channels, channels)`.
    """
    if covariance == "released":
        centred = channel_features - channel_features.mean(dim=-1, keepdim=True)
        scrambled = centred.transpose(-1, -2).reshape(centred.shape)
        products = scrambled @ scrambled.transpose(-1, -2) / (channel_features.shape[-1] - 1)
    else:
        products = covariances(channel_features)
    if covariance == "correlation":
        spread = products.diagonal(dim1=-2, dim2=-1).clamp_min(_LEAST_VARIANCE).rsqrt()
        products = products * spread[..., None] * spread[..., None, :]
    return products * _off_diagonal(products)


def _off_diagonal(matrices: torch.Tensor) -> torch.Tensor:
    return 1 - torch.eye(matrices.shape[-1], dtype=matrices.dtype, device=matrices.device)


def group_covariances(
    channel_features: torch.Tensor, group_ids: torch.Tensor, covariance: str = "true"
) -> torch.Tensor:
    """Mean of the windows' covariances in every group: Γ of shape `(groups, features, channels, channels)`."""
    groups = group_ids.unique()
    membership = (groups[:, None] == group_ids).to(channel_features.dtype)
    average = membership / membership.sum(dim=1, keepdim=True)
    if covariance == "true":  # a mean of products, none of which need stay
        gammas = mean_covariances(channel_features, average)
        return gammas * _off_diagonal(gammas)
    return torch.einsum("sb,bdij->sdij", average, window_covariances(channel_features, covariance))


def cross_dataset_alignment(
    channel_features: torch.Tensor, group_ids: torch.Tensor, covariance: str = "true"
) -> torch.Tensor:
    """CDA: log(1 + Σ_d Σ_{s<t} ‖Γ_s − Γ_t‖_F) over all subject groups of all datasets in the global step.

    Args:
        channel_features (`torch.Tensor` of shape `(batch, features, channels, tokens)`): The map F.
        group_ids (`torch.Tensor` of shape `(batch,)`): Unique across datasets. Groups on other processes take part:
            their Γ are gathered with gradients.

    Returns:
        `torch.Tensor`: a scalar; 0 with fewer than two groups.
    """
    return covariance_alignment(group_covariances(channel_features, group_ids, covariance))


def covariance_alignment(gammas: torch.Tensor) -> torch.Tensor:
    """[`cross_dataset_alignment`] of the groups' own Γ.

    Args:
        gammas (`torch.Tensor` of shape `(groups, features, channels, channels)`): From [`group_covariances`].

    Returns:
        `torch.Tensor`: a scalar; 0 with fewer than two groups.
    """
    gammas = gather_with_gradient(gammas)
    flat = gammas.flatten(2).transpose(0, 1)  # (features, groups, channels * channels)
    return torch.log1p(_distances(flat).sum() / 2)  # every pair stands twice


def _distances(points: torch.Tensor) -> torch.Tensor:
    """Euclidean distances between all points, `(features, groups, size)` -> `(features, groups, groups)`.

    Subtracting before squaring keeps near-equal covariances apart, which the faster product form would not.
    """
    if not torch.compiler.is_compiling():
        return torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    # A compiler needs to know the number of groups for the above, and fuses this.
    squared = (points[:, :, None] - points[:, None]).square().sum(dim=-1)
    apart = squared > 0  # the root has no gradient at 0
    return torch.where(apart, squared, 1.0).sqrt() * apart


class _AllGather(torch.autograd.Function):
    """Concatenate a tensor over processes; its gradient is summed over the processes that used it."""

    @staticmethod
    def forward(ctx, tensor):
        ctx.length = len(tensor)
        parts = [torch.empty_like(tensor) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, tensor.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx, gradient):
        gradient = gradient.contiguous().clone()
        dist.all_reduce(gradient)
        start = dist.get_rank() * ctx.length
        return gradient[start : start + ctx.length]


def gather_with_gradient(tensor: torch.Tensor) -> torch.Tensor:
    """`(n, ...)` on each process -> `(processes * n, ...)` everywhere; the identity on a single process.

    The loss computed from the result is the same on every process, and its gradients add up to `processes` times the
    true one, which the averaging of distributed data parallel then undoes.
    """
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return tensor
    return _AllGather.apply(tensor)
