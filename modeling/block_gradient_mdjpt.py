"""The paper's block with a gradient of its own, which keeps six activations of the block's twenty-one.

An activation of a training step costs memory twice: the room, and the way there and back. Kept is what a matrix product
would have to make again and what little cannot be had from that; everything between products is made again from it in
the cache, and with it the gate, query, key and value, whose products are a tenth of a step's arithmetic.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F

from .chunks_mdjpt import KeptActivations
from .kernels_mdjpt import Attended, attend, attention_gradients, convolve_tokens, token_conv_gradients

Weight = torch.Tensor
Bias = torch.Tensor | None
aten = torch.ops.aten


class BlockParameters(NamedTuple):
    """Weights of one block; the names are those of its modules."""

    conv_before: Weight
    conv_before_bias: Weight
    norm: Weight
    norm_bias: Bias
    gate: Weight
    gate_bias: Bias
    value: Weight
    value_bias: Bias
    conv_inside: Weight
    conv_inside_bias: Weight
    qkv: Weight
    qkv_bias: Bias
    attention_out: Weight
    attention_out_bias: Bias
    out: Weight
    out_bias: Bias
    conv_after: Weight
    conv_after_bias: Weight
    ffn_norm: Weight | None
    ffn_norm_bias: Bias
    ffn_in: Weight
    ffn_in_bias: Bias
    ffn_out: Weight
    ffn_out_bias: Bias


NAMES = tuple(BlockParameters.__annotations__)


class BlockSettings(NamedTuple):
    """What a block computes with besides its weights: heads, and the eps of attention and of both normalisations."""

    num_heads: int
    attention_eps: float
    norm_eps: float
    ffn_norm_eps: float


def gated_block(
    tokens: torch.Tensor, settings: BlockSettings, parameters: BlockParameters, kept: KeptActivations
) -> torch.Tensor:
    """What [`MLLALayer`] computes, for tokens or weights that want a gradient.

    Args:
        tokens (`torch.Tensor` of shape `(sequences, tokens, hidden)`): Contiguous, of the dtype of the weights.
        kept: Where activations stay until the gradient is taken; the result is one, since what follows keeps it.

    Returns:
        `torch.Tensor` of the same shape.
    """
    return _GatedBlock.apply(tokens, settings, kept, *parameters)


class _GatedBlock(torch.autograd.Function):
    """Tokens before the attention are `first`, behind it `second`, before the feed-forward `third`."""

    @staticmethod
    def forward(ctx, tokens, settings, kept, *parameters):
        p = BlockParameters(*parameters)
        first, hidden, _ = _enter(tokens, settings, p)
        projected = _product(hidden, p.value, p.value_bias, kept)
        gate = F.silu(F.linear(hidden, p.gate, p.gate_bias), inplace=True)
        value = F.silu(convolve_tokens(projected, p.conv_inside, p.conv_inside_bias), inplace=True)
        attended = _attend(value, settings, p).values
        answer = _product(attended, p.attention_out, p.attention_out_bias, kept)
        second = _product(gate.mul_(answer), p.out, p.out_bias, kept, onto=first)
        third, normed, _ = _enter_feed_forward(second, settings, p)
        inner = _product(normed, p.ffn_in, p.ffn_in_bias, kept)
        ctx.settings = settings
        ctx.save_for_backward(tokens, projected, answer, second, inner, *parameters)
        return _product(F.gelu(inner), p.ffn_out, p.ffn_out_bias, kept, onto=third)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        tokens, projected, answer, second, inner, *parameters = ctx.saved_tensors
        p = BlockParameters(*parameters)
        found: dict[str, torch.Tensor] = {}
        gradient = gradient.contiguous()
        to_second = _back_through_feed_forward(gradient, second, inner, ctx.settings, p, found)
        first, hidden, moments = _enter(tokens, ctx.settings, p)
        raw_gate = F.linear(hidden, p.gate, p.gate_bias)
        gate = F.silu(raw_gate)
        to_gated = _back_through_linear(to_second, gate * answer, p.out, "out", found)
        to_gate = aten.silu_backward(to_gated * answer, raw_gate)
        to_projected = _back_through_attention(to_gated.mul_(gate), projected, ctx.settings, p, found)
        to_hidden = _back_through_linear(to_gate, hidden, p.gate, "gate", found)
        to_hidden += _back_through_linear(to_projected, hidden, p.value, "value", found)
        to_first = to_second.add_(_back_through_norm(to_hidden, first, moments, p.norm, p.norm_bias, "norm", found))
        to_tokens = _back_through_conv(to_first, tokens, p.conv_before, "conv_before", found, residual=True)
        to_weights = (None if weight is None else found[name] for name, weight in zip(NAMES, p, strict=True))
        return to_tokens, None, None, *to_weights


def _enter(tokens: torch.Tensor, settings: BlockSettings, p: BlockParameters):
    """Tokens with their neighbours, the same normalised, and the moments for that."""
    first = convolve_tokens(tokens, p.conv_before, p.conv_before_bias, residual=True)
    hidden, *moments = torch.native_layer_norm(first, first.shape[-1:], p.norm, p.norm_bias, settings.norm_eps)
    return first, hidden, moments


def _enter_feed_forward(second: torch.Tensor, settings: BlockSettings, p: BlockParameters):
    third = convolve_tokens(second, p.conv_after, p.conv_after_bias, residual=True)
    if p.ffn_norm is None:
        return third, third, None
    normed, *moments = torch.native_layer_norm(
        third, third.shape[-1:], p.ffn_norm, p.ffn_norm_bias, settings.ffn_norm_eps
    )
    return third, normed, moments


def _product(given, weight, bias, kept: KeptActivations, onto: torch.Tensor | None = None) -> torch.Tensor:
    """A linear layer whose result is kept, added to `onto`, which is used up."""
    result = kept.room(*given.shape[:-1], len(weight), like=given)
    base = bias if onto is None else onto if bias is None else onto.add_(bias)
    if base is None:
        torch.mm(_rows(given), weight.T, out=_rows(result))
    else:
        torch.addmm(base if base.dim() == 1 else _rows(base), _rows(given), weight.T, out=_rows(result))
    return result


def _attend(value: torch.Tensor, settings: BlockSettings, p: BlockParameters) -> Attended:
    """Three products instead of one: each part lies densely in memory, which everything behind it needs."""
    biases = (None, None, None) if p.qkv_bias is None else p.qkv_bias.chunk(3)
    query, key, value = (F.linear(value, weight, bias) for weight, bias in zip(p.qkv.chunk(3), biases, strict=True))
    return attend(query, key, value, settings.num_heads, settings.attention_eps)


def _back_through_feed_forward(gradient, second, inner, settings, p, found) -> torch.Tensor:
    """From the gradient of the block's result to that of the tokens behind the attention."""
    to_inner = _back_through_linear(gradient, F.gelu(inner), p.ffn_out, "ffn_out", found)
    to_inner = aten.gelu_backward(to_inner, inner)
    third, normed, moments = _enter_feed_forward(second, settings, p)
    to_third = _back_through_linear(to_inner, normed, p.ffn_in, "ffn_in", found)
    if moments is not None:
        to_third = _back_through_norm(to_third, third, moments, p.ffn_norm, p.ffn_norm_bias, "ffn_norm", found)
    to_third += gradient
    return _back_through_conv(to_third, second, p.conv_after, "conv_after", found, residual=True)


def _back_through_attention(to_answer, projected, settings, p, found) -> torch.Tensor:
    """From the gradient of the attention's result to that of what went into the convolution before it."""
    mixed = convolve_tokens(projected, p.conv_inside, p.conv_inside_bias)
    value = F.silu(mixed)
    attended = _attend(value, settings, p)
    to_attended = _back_through_linear(to_answer, attended.values, p.attention_out, "attention_out", found)
    parts = attention_gradients(attended, to_attended, settings.num_heads)
    flat, rows = _rows(value), [_rows(part) for part in parts]
    found["qkv"] = torch.cat([part.T @ flat for part in rows])
    found["qkv_bias"] = torch.cat([part.sum(dim=0) for part in rows])
    (first, *others), (weight, *weights) = rows, p.qkv.chunk(3)
    to_value = first @ weight
    for part, weight in zip(others, weights, strict=True):
        to_value.addmm_(part, weight)
    to_mixed = aten.silu_backward(to_value.view_as(value), mixed)
    return _back_through_conv(to_mixed, projected, p.conv_inside, "conv_inside", found)


def _back_through_linear(gradient, given, weight, name, found) -> torch.Tensor:
    """Notes the gradients of a product's weight and bias, returns that of what was given to it."""
    rows = _rows(gradient)
    found[name] = rows.T @ _rows(given)
    found[f"{name}_bias"] = rows.sum(dim=0)
    return (rows @ weight).view(*gradient.shape[:-1], -1)


def _back_through_norm(gradient, given, moments, weight, bias, name, found) -> torch.Tensor:
    result, found[name], found[f"{name}_bias"] = aten.native_layer_norm_backward(
        gradient, given, given.shape[-1:], *moments, weight, bias, [True, True, True]
    )
    return result


def _back_through_conv(gradient, given, weight, name, found, residual=False) -> torch.Tensor:
    result, found[name], found[f"{name}_bias"] = token_conv_gradients(given, weight, gradient, residual)
    return result


def _rows(values: torch.Tensor) -> torch.Tensor:
    """`(sequences, tokens, size)` -> `(sequences * tokens, size)`."""
    return values.view(-1, values.shape[-1])
