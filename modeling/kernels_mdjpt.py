"""Two elementwise kernels of the channel encoder, written for memory traffic, each with its own gradient.

The encoder's time goes into moving activations, not into arithmetic. Both functions below touch each activation as
few times as plain tensor operations allow, and save only what their gradient needs. A compiler fuses the plain
formulas itself, so compiled graphs use those.
"""

import torch
import torch.nn.functional as F


def token_conv(tokens: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Depth-wise convolution over tokens, 3 taps, zero padding.

    Args:
        tokens (`torch.Tensor` of shape `(sequences, tokens, size)`).
        weight (`torch.Tensor` of shape `(size, 1, 3)`), bias (`torch.Tensor` of shape `(size,)`).

    Returns:
        `torch.Tensor` of shape `(sequences, tokens, size)`.
    """
    if torch.compiler.is_compiling():
        previous, current, following = weight.squeeze(1).unbind(dim=1)
        padded = F.pad(tokens, (0, 0, 1, 1))
        return bias + tokens * current + padded[:, :-2] * previous + padded[:, 2:] * following
    return _TokenConv.apply(tokens, weight.to(tokens.dtype), bias.to(tokens.dtype))


def positive_features(values: torch.Tensor) -> torch.Tensor:
    """φ(z) = ELU(z) + 1, that is z + 1 above zero and exp(z) below."""
    if torch.compiler.is_compiling():
        return F.elu(values) + 1
    return _PositiveFeatures.apply(values)


class _TokenConv(torch.autograd.Function):
    """Tokens and features are one flat axis, so a neighbour in time lies `size` places away and nothing is copied."""

    @staticmethod
    def forward(ctx, tokens, weight, bias):
        S, N, D = tokens.shape
        previous, current, following = _along_tokens(weight.squeeze(1).T, N)
        flat = tokens.reshape(S, N * D)
        mixed = torch.addcmul(bias.repeat(N), flat, current)
        mixed[:, D:].addcmul_(flat[:, :-D], previous[D:])
        mixed[:, :-D].addcmul_(flat[:, D:], following[D:])
        ctx.save_for_backward(tokens, weight)
        return mixed.view(S, N, D)

    @staticmethod
    def backward(ctx, gradient):
        tokens, weight = ctx.saved_tensors
        S, N, D = tokens.shape
        previous, current, following = _along_tokens(weight.squeeze(1).T, N)
        flat, gradient = tokens.reshape(S, N * D), gradient.reshape(S, N * D)
        to_tokens = gradient * current
        to_tokens[:, :-D].addcmul_(gradient[:, D:], previous[D:])
        to_tokens[:, D:].addcmul_(gradient[:, :-D], following[D:])
        products = (gradient[:, D:] * flat[:, :-D], gradient * flat, gradient[:, :-D] * flat[:, D:])
        to_weight = torch.stack([_over_tokens(product, D) for product in products], dim=1).unsqueeze(1)
        return to_tokens.view(S, N, D), to_weight, _over_tokens(gradient, D)


def _along_tokens(taps: torch.Tensor, num_tokens: int) -> torch.Tensor:
    """`(3, size)` -> `(3, tokens * size)`: long rows keep the vector units busy."""
    return taps.repeat(1, num_tokens)


def _over_tokens(product: torch.Tensor, size: int) -> torch.Tensor:
    """`(sequences, tokens * size)` summed to `(size,)`."""
    return product.sum(dim=0).view(-1, size).sum(dim=0)


class _PositiveFeatures(torch.autograd.Function):
    """The derivative of φ is min(φ, 1), so the result is all that is saved."""

    @staticmethod
    def forward(ctx, values):
        features = values.clamp_max(0).exp_().add_(values.clamp_min(0))
        ctx.save_for_backward(features)
        return features

    @staticmethod
    def backward(ctx, gradient):
        (features,) = ctx.saved_tensors
        return features.clamp_max(1).mul_(gradient)
