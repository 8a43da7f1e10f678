"""The channel encoder with a gradient of its own, which keeps few of its activations.

An activation of a training step costs memory twice: the room, and the way there and back. Kept is what a matrix product
would have to make again and what little cannot be had from that; everything between products is made again from it in
the cache, and with it the gate, query, key and value, whose products are a tenth of a step's arithmetic. What goes into
the first block is made again from patches, which are fewer numbers. What leaves the last one is never wanted: it is a
sum of two parts, and the gradient of the weights behind it follows from these.
"""

from collections.abc import Iterable, Sequence
from itertools import islice
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


class ReadParameters(NamedTuple):
    """Weights from patches to the tokens of the first block, and from those of the last one to features."""

    read_in: Weight
    read_in_bias: Weight
    read_out: Weight


class BlockSettings(NamedTuple):
    """What a block computes with besides its weights: heads, and the eps of attention and of both normalisations."""

    num_heads: int
    attention_eps: float
    norm_eps: float
    ffn_norm_eps: float


def encode_keeping_little(
    patches: torch.Tensor,
    settings: Sequence[BlockSettings],
    read: ReadParameters,
    blocks: Sequence[BlockParameters],
    kept: KeptActivations,
) -> torch.Tensor:
    """What [`ChannelEncoder`] computes with the paper's blocks, for patches or weights that want a gradient.

    Args:
        patches (`torch.Tensor` of shape `(sequences, tokens, patch)`): Of the dtype of the weights.
        settings, blocks: Of one block or more; the last one's feed-forward has no output bias.
        kept: Where activations stay until the gradient is taken.

    Returns:
        `torch.Tensor` of shape `(sequences, tokens, features)`.
    """
    return _Encoder.apply(patches, settings, kept, *read, *(weight for block in blocks for weight in block))


class _Activations(NamedTuple):
    """What is kept of a block besides its tokens, which are `first` before the attention and `second` behind it."""

    projected: torch.Tensor
    answer: torch.Tensor
    second: torch.Tensor
    inner: torch.Tensor


KEPT_OF_BLOCK = len(_Activations.__annotations__)


class _FeedForward(NamedTuple):
    """What is made again of a feed-forward; its result is added to `third`."""

    third: torch.Tensor
    normed: torch.Tensor
    moments: list[torch.Tensor] | None
    active: torch.Tensor


class _Encoder(torch.autograd.Function):
    @staticmethod
    def forward(ctx, patches, settings, kept, *parameters):
        read, blocks = _by_name(parameters, len(settings))
        entering, activations = [F.linear(patches, read.read_in, read.read_in_bias)], []
        for p, of_block in zip(blocks, settings, strict=True):
            passing = KeptActivations() if p is blocks[-1] else kept
            found, result = _through_block(entering[-1], of_block, p, kept, passing)
            entering.append(result)
            activations += found
        ctx.settings = settings
        ctx.save_for_backward(patches, *entering[1:-1], *activations, *parameters)
        return F.linear(entering[-1], read.read_out)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        saved, count = iter(ctx.saved_tensors), len(ctx.settings)
        patches, *entering = islice(saved, count)
        activations = [_Activations(*islice(saved, KEPT_OF_BLOCK)) for _ in range(count)]
        read, blocks = _by_name(saved, count)
        gradient, learnt = gradient.contiguous(), []
        for number in reversed(range(count)):
            p, settings, kept, found = blocks[number], ctx.settings[number], activations[number], {}
            again = _feed_forward_again(kept, settings, p)
            if number == count - 1:
                to_read_out = _gradient_of_read_out(gradient, again, p)
                gradient = gradient @ read.read_out
            to_second = _back_through_feed_forward(gradient, kept, again, p, found)
            tokens = entering[number - 1] if number else F.linear(patches, read.read_in, read.read_in_bias)
            gradient = _back_to_tokens(to_second, tokens, kept, settings, p, found)
            learnt[:0] = [None if weight is None else found[name] for name, weight in zip(NAMES, p, strict=True)]
        rows = _rows(gradient)
        to_read_in = rows.T @ patches.reshape(len(rows), -1)
        to_patches = gradient @ read.read_in if ctx.needs_input_grad[0] else None
        return to_patches, None, None, to_read_in, rows.sum(dim=0), to_read_out, *learnt


def _by_name(parameters: Iterable[torch.Tensor], count: int) -> tuple[ReadParameters, list[BlockParameters]]:
    parts = iter(parameters)
    read = ReadParameters(*islice(parts, len(ReadParameters.__annotations__)))
    return read, [BlockParameters(*islice(parts, len(NAMES))) for _ in range(count)]


def _through_block(
    tokens: torch.Tensor, settings: BlockSettings, p: BlockParameters, kept: KeptActivations, passing: KeptActivations
) -> tuple[_Activations, torch.Tensor]:
    """What is kept of a block, and its result, in whatever room `passing` has."""
    first, hidden, _ = _enter(tokens, settings, p, kept)
    projected = _product(hidden, p.value, p.value_bias, kept)
    gate = F.silu(F.linear(hidden, p.gate, p.gate_bias), inplace=True)
    value = F.silu(convolve_tokens(projected, p.conv_inside, p.conv_inside_bias), inplace=True)
    attended = _attend(value, settings, p).values
    answer = _product(attended, p.attention_out, p.attention_out_bias, kept)
    second = _add_product(first, gate.mul_(answer), p.out, p.out_bias)
    third, normed, _ = _enter_feed_forward(second, settings, p, passing)
    inner = _product(normed, p.ffn_in, p.ffn_in_bias, kept)
    return _Activations(projected, answer, second, inner), _add_product(third, F.gelu(inner), p.ffn_out, p.ffn_out_bias)


def _enter(tokens: torch.Tensor, settings: BlockSettings, p: BlockParameters, room: KeptActivations | None = None):
    """Tokens with their neighbours, the same normalised, and the moments for that."""
    first = _with_neighbours(tokens, p.conv_before, p.conv_before_bias, room)
    hidden, *moments = torch.native_layer_norm(first, first.shape[-1:], p.norm, p.norm_bias, settings.norm_eps)
    return first, hidden, moments


def _enter_feed_forward(
    second: torch.Tensor, settings: BlockSettings, p: BlockParameters, room: KeptActivations | None = None
):
    third = _with_neighbours(second, p.conv_after, p.conv_after_bias, room)
    if p.ffn_norm is None:
        return third, third, None
    normed, *moments = torch.native_layer_norm(
        third, third.shape[-1:], p.ffn_norm, p.ffn_norm_bias, settings.ffn_norm_eps
    )
    return third, normed, moments


def _with_neighbours(tokens: torch.Tensor, weight: Weight, bias: Weight, room: KeptActivations | None) -> torch.Tensor:
    place = None if room is None else room.room(*tokens.shape, like=tokens)
    return convolve_tokens(tokens, weight, bias, residual=True, out=place)


def _feed_forward_again(kept: _Activations, settings: BlockSettings, p: BlockParameters) -> _FeedForward:
    third, normed, moments = _enter_feed_forward(kept.second, settings, p)
    return _FeedForward(third, normed, moments, F.gelu(kept.inner))


def _product(given: torch.Tensor, weight: Weight, bias: Bias, kept: KeptActivations) -> torch.Tensor:
    """A linear layer whose result is kept."""
    result = kept.room(*given.shape[:-1], len(weight), like=given)
    if bias is None:
        torch.mm(_rows(given), weight.T, out=_rows(result))
    else:
        torch.addmm(bias, _rows(given), weight.T, out=_rows(result))
    return result


def _add_product(base: torch.Tensor, given: torch.Tensor, weight: Weight, bias: Bias) -> torch.Tensor:
    """A linear layer added to `base`, in its place."""
    if bias is not None:
        base.add_(bias)
    _rows(base).addmm_(_rows(given), weight.T)
    return base


def _attend(value: torch.Tensor, settings: BlockSettings, p: BlockParameters) -> Attended:
    """Three products instead of one: each part lies densely in memory, which everything behind it needs."""
    biases = (None, None, None) if p.qkv_bias is None else p.qkv_bias.chunk(3)
    query, key, value = (F.linear(value, weight, bias) for weight, bias in zip(p.qkv.chunk(3), biases, strict=True))
    return attend(query, key, value, settings.num_heads, settings.attention_eps)


def _gradient_of_read_out(gradient: torch.Tensor, again: _FeedForward, p: BlockParameters) -> torch.Tensor:
    """Of the weights that read the last block's result, `third` and a product, without making that product again."""
    columns = _rows(gradient).T
    return torch.addmm(columns @ _rows(again.third), columns @ _rows(again.active), p.ffn_out.T)


def _back_through_feed_forward(gradient, kept: _Activations, again: _FeedForward, p, found) -> torch.Tensor:
    """From the gradient of the block's result to that of the tokens behind the attention."""
    to_inner = _back_through_linear(gradient, again.active, p.ffn_out, "ffn_out", found)
    to_inner = aten.gelu_backward(to_inner, kept.inner)
    to_third = _back_through_linear(to_inner, again.normed, p.ffn_in, "ffn_in", found)
    if again.moments is not None:
        norm = again.moments, p.ffn_norm, p.ffn_norm_bias
        to_third = _back_through_norm(to_third, again.third, *norm, "ffn_norm", found)
    to_third += gradient
    return _back_through_conv(to_third, kept.second, p.conv_after, "conv_after", found, residual=True)


def _back_to_tokens(to_second, tokens, kept: _Activations, settings, p, found) -> torch.Tensor:
    """From the gradient of the tokens behind the attention, which is used up, to that of the block's tokens."""
    first, hidden, moments = _enter(tokens, settings, p)
    raw_gate = F.linear(hidden, p.gate, p.gate_bias)
    gate = F.silu(raw_gate)
    to_gated = _back_through_linear(to_second, gate * kept.answer, p.out, "out", found)
    to_gate = aten.silu_backward(to_gated * kept.answer, raw_gate)
    to_projected = _back_through_attention(to_gated.mul_(gate), kept.projected, settings, p, found)
    to_hidden = _back_through_linear(to_gate, hidden, p.gate, "gate", found)
    to_hidden = _back_through_linear(to_projected, hidden, p.value, "value", found, onto=to_hidden)
    to_first = to_second.add_(_back_through_norm(to_hidden, first, moments, p.norm, p.norm_bias, "norm", found))
    return _back_through_conv(to_first, tokens, p.conv_before, "conv_before", found, residual=True)


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


def _back_through_linear(gradient, given, weight, name, found, onto: torch.Tensor | None = None) -> torch.Tensor:
    """Notes the gradients of a product's weight and bias, returns that of what was given to it, added to `onto`."""
    rows = _rows(gradient)
    found[name] = rows.T @ _rows(given)
    found[f"{name}_bias"] = rows.sum(dim=0)
    if onto is None:
        return (rows @ weight).view(*gradient.shape[:-1], -1)
    _rows(onto).addmm_(rows, weight)
    return onto


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
