"""Kernels written for memory traffic, each with its own gradient.

The model's time goes into moving activations, not into arithmetic. The functions below touch each activation as few
times as plain tensor operations allow, and save only what their gradient needs. A compiler fuses plain formulas
itself, so compiled graphs use those; two have a gradient of their own there as well, because the compiler's choice of
what to write down and what to compute again costs more than it saves.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F

from .compatibility_mdjpt import is_exporting


def token_conv(tokens: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Depth-wise convolution over tokens, 3 taps, zero padding.

    Args:
        tokens (`torch.Tensor` of shape `(sequences, tokens, size)`).
        weight (`torch.Tensor` of shape `(size, 1, 3)`), bias (`torch.Tensor` of shape `(size,)`).

    Returns:
        `torch.Tensor` of shape `(sequences, tokens, size)`.
    """
    kernel = _CompiledTokenConv if torch.compiler.is_compiling() else _TokenConv
    return kernel.apply(tokens, weight.to(tokens.dtype), bias.to(tokens.dtype))


def linear(values: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """`F.linear`; in an exported graph over rows, since runtimes add a bias within a product of matrices alone."""
    if not (torch.compiler.is_compiling() and is_exporting()):
        return F.linear(values, weight, bias)
    return F.linear(values.flatten(0, -2), weight, bias).unflatten(0, values.shape[:-1])


def linear_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, num_heads: int, eps: float
) -> torch.Tensor:
    """Softmax-free attention of every head, linear in the number of tokens, with φ(z) = ELU(z) + 1.

    Per head: `y_i = φ(q_i)ᵀ Σ_j φ(k_j) v_jᵀ / (φ(q_i)ᵀ Σ_j φ(k_j) + eps)`.

    Args:
        query, key, value (`torch.Tensor` of shape `(sequences, tokens, size)`): Heads side by side in `size`.
        num_heads (`int`): Divides `size`.
        eps (`float`): Added to the denominator.

    Returns:
        `torch.Tensor` of shape `(sequences, tokens, size)`.
    """
    if torch.compiler.is_compiling() and is_exporting():
        return _exported_attention(query, key, value, num_heads, eps)
    kernel = _CompiledLinearAttention if torch.compiler.is_compiling() else _LinearAttention
    return kernel.apply(query, key, value, num_heads, eps)


def group_z_score(values: torch.Tensor, membership: torch.Tensor | None, eps: float) -> torch.Tensor:
    """`(x - mean) / (std + eps)` over all windows and tokens of a group, at every position of its own.

    Args:
        values (`torch.Tensor` of shape `(batch, ..., tokens)`): Float32 or float64.
        membership (`torch.Tensor` of shape `(batch, batch)`, *optional*): 1 where two windows share a group, of the
            dtype of `values`; without it every window is a group.
        eps (`float`): Added to the unbiased standard deviation.

    Returns:
        `torch.Tensor` of the same shape.
    """
    if not torch.compiler.is_compiling():
        return _GroupZScore.apply(values, membership, eps)
    count = _group_counts(values, membership)
    centred = values - _sum_over_group(values, membership) / count
    std = _deviation(_sum_over_group(centred.square(), membership), count)
    return centred / (std + eps)


def covariances(values: torch.Tensor) -> torch.Tensor:
    """Unbiased covariance between rows, over tokens.

    Args:
        values (`torch.Tensor` of shape `(batch, ..., channels, tokens)`).

    Returns:
        `torch.Tensor` of shape `(batch, ..., channels, channels)`.
    """
    return _covariances(values) if torch.compiler.is_compiling() else _Covariances.apply(values)


def mean_covariances(values: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Weighted sums over windows of their [`covariances`], which are never held all at once.

    Args:
        values (`torch.Tensor` of shape `(batch, ..., channels, tokens)`).
        weights (`torch.Tensor` of shape `(groups, batch)`): Without a gradient; a mean's add up to 1.

    Returns:
        `torch.Tensor` of shape `(groups, ..., channels, channels)`.
    """
    if torch.compiler.is_compiling():
        return _weighted(weights, _covariances(values))
    return _MeanCovariances.apply(values, weights)


def _weighted(weights: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """`(groups, batch)` and `(batch, ...)` -> `(groups, ...)`."""
    return (weights @ values.flatten(1)).unflatten(1, values.shape[1:])


def _covariances(values: torch.Tensor) -> torch.Tensor:
    centred = values - values.mean(dim=-1, keepdim=True)
    return centred @ centred.transpose(-1, -2) / (values.shape[-1] - 1)


#: Windows whose values are centred at a time: the copy that this takes need not be one of the whole batch.
CENTRED_AT_ONCE = 8


class _Covariances(torch.autograd.Function):
    """Saves the values, which others hold as well, and centres them again: `(G + Gᵀ) (x - mean) / (n - 1)`."""

    @staticmethod
    def forward(ctx, values):
        ctx.save_for_backward(values)
        return torch.cat([_covariances(part) for part in values.split(CENTRED_AT_ONCE)])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        (values,) = ctx.saved_tensors
        return _through_covariances(values, (_both_ways(part, values) for part in gradient.split(CENTRED_AT_ONCE)))


class _MeanCovariances(torch.autograd.Function):
    """The same for sums over windows: the gradient of each is that of its groups, by its weights."""

    @staticmethod
    def forward(ctx, values, weights):
        ctx.save_for_backward(values, weights)
        parts = zip(values.split(CENTRED_AT_ONCE), weights.split(CENTRED_AT_ONCE, dim=1), strict=True)
        return sum(_weighted(of_part, _covariances(part)) for part, of_part in parts)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        values, weights = ctx.saved_tensors
        both = _both_ways(gradient, values)
        parts = (_weighted(of_part, both) for of_part in weights.T.split(CENTRED_AT_ONCE))
        return _through_covariances(values, parts), None


def _both_ways(gradient: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """`(G + Gᵀ) / (n - 1)`: each of two channels gets the gradient of their covariance."""
    return (gradient + gradient.transpose(-1, -2)) / (values.shape[-1] - 1)


def _through_covariances(values: torch.Tensor, gradients: Iterable[torch.Tensor]) -> torch.Tensor:
    """The gradient of values, from [`_both_ways`] of their covariances, of so many windows as are centred at a time."""
    result = torch.empty_like(values, memory_format=torch.contiguous_format)
    parts = (values.split(CENTRED_AT_ONCE), gradients, result.split(CENTRED_AT_ONCE))
    for part, of_part, place in zip(*parts, strict=True):
        torch.matmul(of_part, part - part.mean(dim=-1, keepdim=True), out=place)
    return result


class _TokenConv(torch.autograd.Function):
    """See [`convolve_tokens`] and [`token_conv_gradients`]."""

    @staticmethod
    def forward(ctx, tokens, weight, bias):
        ctx.save_for_backward(tokens, weight)
        return convolve_tokens(tokens, weight, bias)

    @staticmethod
    def backward(ctx, gradient):
        return token_conv_gradients(*ctx.saved_tensors, gradient)


def convolve_tokens(
    tokens: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    residual: bool = False,
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    """[`token_conv`] without a gradient, and with the tokens themselves added if `residual`; written to `out`.

    Tokens and features are one flat axis, so a neighbour in time lies `size` places away and nothing is copied.
    """
    S, N, D = tokens.shape
    previous, current, following = _along_tokens(weight, N, residual)
    flat = tokens.reshape(S, N * D)
    place = None if out is None else out.view(S, N * D)
    mixed = torch.addcmul(bias.repeat(N), flat, current, out=place)
    mixed[:, D:].addcmul_(flat[:, :-D], previous[D:])
    mixed[:, :-D].addcmul_(flat[:, D:], following[D:])
    return mixed.view(S, N, D)


def token_conv_gradients(
    tokens: torch.Tensor, weight: torch.Tensor, gradient: torch.Tensor, residual: bool = False
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Gradients of [`convolve_tokens`] with respect to tokens, weight and bias."""
    S, N, D = tokens.shape
    previous, current, following = _along_tokens(weight, N, residual)
    flat, gradient = tokens.reshape(S, N * D), gradient.reshape(S, N * D)
    to_tokens = gradient * current
    to_tokens[:, :-D].addcmul_(gradient[:, D:], previous[D:])
    to_tokens[:, D:].addcmul_(gradient[:, :-D], following[D:])
    products = (gradient[:, D:] * flat[:, :-D], gradient * flat, gradient[:, :-D] * flat[:, D:])
    to_weight = torch.stack([_over_tokens(product, D) for product in products], dim=1).unsqueeze(1)
    return to_tokens.view(S, N, D), to_weight, _over_tokens(gradient, D)


def _along_tokens(weight: torch.Tensor, num_tokens: int, residual: bool) -> torch.Tensor:
    """Taps `(size, 1, 3)` -> `(3, tokens * size)`: long rows keep the vector units busy."""
    taps = weight.squeeze(1).T
    if residual:
        taps = taps + torch.tensor([[0.0], [1.0], [0.0]], dtype=taps.dtype, device=taps.device)
    return taps.repeat(1, num_tokens)


def _over_tokens(product: torch.Tensor, size: int) -> torch.Tensor:
    """`(sequences, tokens * size)` summed to `(size,)`."""
    return product.sum(dim=0).view(-1, size).sum(dim=0)


class _CompiledTokenConv(torch.autograd.Function):
    """The same for a compiler, which would compute again what a neighbour in time needs, and read taps one by one."""

    @staticmethod
    def forward(ctx, tokens, weight, bias):
        ctx.save_for_backward(tokens, weight)
        previous, current, following = _in_memory(weight.squeeze(1).T)
        before, after = _neighbours(_in_memory(tokens))
        return bias + tokens * current + before * previous + after * following

    @staticmethod
    def backward(ctx, gradient):
        tokens, weight = ctx.saved_tensors
        gradient = _in_memory(gradient)
        previous, current, following = _in_memory(weight.squeeze(1).T)
        before, after = _neighbours(gradient)
        to_tokens = gradient * current + after * previous + before * following
        # Over sequences first: their rows stay in the cache from one vector of the sum to the next.
        sums = [(part * tokens).sum(dim=0).sum(dim=0) for part in (after, gradient, before)]
        return to_tokens, torch.stack(sums, dim=1).unsqueeze(1), gradient.sum(dim=0).sum(dim=0)


def _in_memory(values: torch.Tensor) -> torch.Tensor:
    """Values that a compiler writes down, rather than computing them again wherever they are read.

    Its way to say so is a view by strides, whose owner must exist. A graph for export has no use for that.
    """
    values = values.contiguous()
    return values if is_exporting() else values.as_strided(values.shape, values.stride())


def _neighbours(tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The token before and the token after each, zero at the ends: `(sequences, tokens, size)`."""
    padded = F.pad(tokens, (0, 0, 1, 1))
    return padded[:, :-2], padded[:, 2:]


class _GroupZScore(torch.autograd.Function):
    """Saves the z-scores alone; the gradient is `(g - mean g) / (std + eps) - z Σ(g z) / ((n - 1) std)`.

    A position without spread lacks the last term: there the deviation is a constant.
    """

    @staticmethod
    def forward(ctx, values, membership, eps):
        count = _group_counts(values, membership)
        scores = values - _sum_over_group(values, membership) / count
        squares = [part.square().sum(dim=-1, keepdim=True) for part in scores.split(CENTRED_AT_ONCE)]
        spread = _over_group(torch.cat(squares), membership)
        std = _deviation(spread, count)
        scale = 1 / (std + eps)
        scores *= scale
        varies = (spread / (count - 1).clamp_min(1) > NO_SPREAD).to(values.dtype)
        ctx.save_for_backward(scores, membership, count, scale, varies / (std * (count - 1).clamp_min(1)))
        return scores

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        scores, membership, count, scale, share = ctx.saved_tensors
        mean = _sum_over_group(gradient, membership) / count
        parts = (whole.split(CENTRED_AT_ONCE) for whole in (gradient, scores))
        products = [(part * of_part).sum(dim=-1, keepdim=True) for part, of_part in zip(*parts, strict=True)]
        along = _over_group(torch.cat(products), membership) * share
        return torch.addcmul(-mean * scale, gradient, scale).addcmul_(scores, along, value=-1), None, None


#: Variance below which a position counts as constant; keeps the gradient of the root finite, far below any eps.
NO_SPREAD = 1e-16


def _group_counts(values: torch.Tensor, membership: torch.Tensor | None) -> torch.Tensor:
    """Tokens in the group of every window, `(batch, 1, ..., 1)`."""
    count = torch.full((), values.shape[-1], dtype=values.dtype, device=values.device)
    return count if membership is None else count * membership.sum(dim=1).view(-1, *[1] * (values.dim() - 1))


def _sum_over_group(values: torch.Tensor, membership: torch.Tensor | None) -> torch.Tensor:
    """Sum over tokens and the windows of each group, `(batch, ..., 1)`; every window carries its group's sum."""
    return _over_group(values.sum(dim=-1, keepdim=True), membership)


def _over_group(sums: torch.Tensor, membership: torch.Tensor | None) -> torch.Tensor:
    """From every window's own sums, `(batch, ..., 1)`, to those of its group."""
    if membership is None:
        return sums
    return (membership @ sums.flatten(1)).view_as(sums)


def _deviation(spread: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    """Standard deviation from a sum of squares; a group of one token has no spread either."""
    return (spread / (count - 1).clamp_min(1)).clamp_min(NO_SPREAD).sqrt()


#: Heads narrower than this share one matrix product, in which the products between different heads are masked out:
#: a few wasted multiplications cost less than copying every head to a place of its own.
HEAD_BLOCK = 16
#: The same in exported graphs: `fast` is a twentieth faster in onnxruntime 1.31 with 32 than with 16 or 64.
EXPORTED_BLOCK = 32


class _LinearAttention(torch.autograd.Function):
    """See [`attend`] and [`attention_gradients`]."""

    @staticmethod
    def forward(ctx, query, key, value, num_heads, eps):
        attended = attend(query, key, value, num_heads, eps)
        ctx.num_heads = num_heads
        ctx.save_for_backward(*attended[:-1], *attended.summaries)
        return attended.values

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        parts = len(Attended.__annotations__) - 1
        attended = Attended(*ctx.saved_tensors[:parts], list(ctx.saved_tensors[parts:]))
        return *attention_gradients(attended, gradient, ctx.num_heads), None, None


class Attended(NamedTuple):
    """Linear attention's result, `values`, with what its gradient needs: φ of query and key, and sums of every head."""

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    values: torch.Tensor
    denominator: torch.Tensor
    total: torch.Tensor
    summaries: list[torch.Tensor]


def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, num_heads: int, eps: float) -> Attended:
    """[`linear_attention`] without a gradient. Heads are worked on where they lie, several narrow ones at a time."""
    query, key = _positive_features(query), _positive_features(key)
    total = key.sum(dim=1, keepdim=True)  # Σ_j φ(k_j)
    denominator = _spread(_over_heads(query * total, num_heads) + eps, query)
    blocks, mask = _head_blocks(query, num_heads)
    values, summaries = torch.empty_like(query), []
    for block in blocks:
        summary = torch.bmm(key[..., block].mT, value[..., block]).mul_(mask)  # Σ_j φ(k_j) v_jᵀ
        summaries.append(summary)
        values[..., block] = torch.bmm(query[..., block], summary)
    return Attended(query, key, value, values.div_(denominator), denominator, total, summaries)


def attention_gradients(
    attended: Attended, gradient: torch.Tensor, num_heads: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Gradients of [`linear_attention`] with respect to query, key and value.

    With `n = g / denominator` for the incoming gradient g, and `w` the sums of `n * y` over each head, a gradient is a
    product of what was saved with `n`, less what `w` changes through the denominator; the derivative of φ is
    min(φ, 1), so φ itself is all that it needs.
    """
    query, key, value, values, denominator, total, summaries = attended
    blocks, mask = _head_blocks(query, num_heads)
    numerator = gradient / denominator
    weight = _spread(_over_heads(numerator * values, num_heads), query)
    to_query, to_key, to_value = (torch.empty_like(part) for part in (query, key, value))
    for block, summary in zip(blocks, summaries, strict=True):
        q, k, v, n = (part[..., block] for part in (query, key, value, numerator))
        to_summary = torch.bmm(q.mT, n).mul_(mask)
        to_query[..., block] = torch.bmm(n, summary.mT)
        to_key[..., block] = torch.bmm(v, to_summary.mT)
        to_value[..., block] = torch.bmm(k, to_summary)
    to_query.addcmul_(weight, total, value=-1)
    to_key -= (weight * query).sum(dim=1, keepdim=True)
    return to_query.mul_(query.clamp_max(1)), to_key.mul_(key.clamp_max(1)), to_value


class _CompiledLinearAttention(torch.autograd.Function):
    """The same for a compiler, which joins what lies between products, but lays heads one behind the other for those.

    Saves what the projections around it hold anyway, and a summary for each head.
    """

    @staticmethod
    def forward(ctx, query, key, value, num_heads, eps):
        q, k = _rectified(query), _rectified(key)
        total = k.sum(dim=1, keepdim=True)
        denominator = _over_heads(q * total, num_heads) + eps  # (S, N, heads, 1)
        summary = torch.bmm(_apart(k, num_heads).mT, _apart(value, num_heads))  # (S * heads, size, size)
        attended = torch.bmm(_apart(q, num_heads), summary)
        attended = _together(attended, num_heads) / _spread(denominator, query)
        ctx.num_heads = num_heads
        ctx.save_for_backward(query, key, value, attended, denominator, summary, total)
        return attended

    @staticmethod
    def backward(ctx, gradient):
        query, key, value, attended, denominator, summary, total = ctx.saved_tensors
        heads = ctx.num_heads
        q, k = _rectified(query), _rectified(key)
        numerator = gradient / _spread(denominator, query)
        weight = _spread(_over_heads(numerator * attended, heads), query)  # of minus the denominator
        apart = _apart(numerator, heads)
        to_summary = torch.bmm(_apart(q, heads).mT, apart)
        to_query = _together(torch.bmm(apart, summary.mT), heads) - weight * total
        to_key = _together(torch.bmm(_apart(value, heads), to_summary.mT), heads)
        to_key = to_key - (weight * q).sum(dim=1, keepdim=True)
        to_value = _together(torch.bmm(_apart(k, heads), to_summary), heads)
        gradients = to_query * q.clamp_max(1), to_key * k.clamp_max(1), to_value
        return *map(_in_memory, gradients), None, None


def _exported_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, num_heads: int, eps: float
) -> torch.Tensor:
    """The same for other runtimes, which join little: heads stay where they lie, and what would be moved is multiplied.

    Products over several heads at once, of which a mask keeps what is within a head, cost less there than laying heads
    one behind the other.
    """
    q, k = (values.clamp_max(0).exp() + values.clamp_min(0) for values in (query, key))
    blocks, mask = _head_blocks(query, num_heads, EXPORTED_BLOCK)
    attended = []
    for block in blocks:
        part, total = q[..., block], k[..., block].sum(dim=1, keepdim=True)
        summary = (k[..., block].transpose(1, 2) @ value[..., block]) * mask
        attended.append((part @ summary) / ((part * total) @ mask + eps))
    return torch.cat(attended, dim=-1)


def _rectified(values: torch.Tensor) -> torch.Tensor:
    """φ(z) = ELU(z) + 1."""
    return torch.where(values > 0, values + 1, values.clamp_max(0).exp())


def _over_heads(values: torch.Tensor, num_heads: int) -> torch.Tensor:
    """Sums over the features of every head: `(S, N, size)` -> `(S, N, heads, 1)`."""
    return values.unflatten(-1, (num_heads, -1)).sum(dim=-1, keepdim=True)


def _spread(sums: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """A head's number for each of its features: `(S, N, heads, 1)` -> `(S, N, size)`."""
    S, N, heads, _ = sums.shape
    return sums.expand(S, N, heads, like.shape[-1] // heads).reshape(S, N, -1)


def _apart(tokens: torch.Tensor, num_heads: int) -> torch.Tensor:
    """`(S, N, size)` -> `(S * heads, N, head size)`."""
    return tokens.unflatten(-1, (num_heads, -1)).transpose(1, 2).flatten(0, 1)


def _together(apart: torch.Tensor, num_heads: int) -> torch.Tensor:
    """The way back."""
    return apart.unflatten(0, (-1, num_heads)).transpose(1, 2).flatten(2)


def _positive_features(values: torch.Tensor) -> torch.Tensor:
    """φ(z) = ELU(z) + 1, that is exp(z) below zero and z + 1 above; a power of two is the faster exponential."""
    return values.mul(math.log2(math.e)).clamp_max_(0).exp2_().add_(values.clamp_min(0))


def _head_blocks(tokens: torch.Tensor, num_heads: int, at_least: int = HEAD_BLOCK) -> tuple[list[slice], torch.Tensor]:
    """Slices of the last axis that hold whole heads, and which columns of a slice belong to the same head."""
    size = tokens.shape[-1] // num_heads
    per_block = next(
        n for n in range(1, num_heads + 1) if num_heads % n == 0 and (n * size >= at_least or n == num_heads)
    )
    width = per_block * size
    head = torch.arange(width, device=tokens.device) // size
    mask = (head[:, None] == head[None, :]).to(tokens.dtype)
    return [slice(start, start + width) for start in range(0, num_heads * size, width)], mask
