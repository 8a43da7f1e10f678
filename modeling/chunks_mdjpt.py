"""Sequences that do not know of each other, worked on as many at a time as fit into a cache."""

from collections.abc import Callable, Iterable

import torch
from torch import nn

#: Elements of one activation that are worked on at a time: about two megabytes stay in a CPU core's cache, and half of
#: that suits compiled code, which makes fewer passes; on an accelerator the bound only keeps memory finite.
CPU_CHUNK_ELEMENTS = 2**19
COMPILED_CPU_CHUNK_ELEMENTS = 2**18
ACCELERATOR_CHUNK_ELEMENTS = 2**27


def chunk_length(sequences: torch.Tensor, size: int, channels: int, compiled: bool = False) -> int:
    """How many sequences `(windows * channels, tokens, ...)` to take at a time, when a token becomes `size` numbers.

    Divides the channels, or is a multiple of them, so that chunks of most batches have one shape, which a compiler
    likes: on a CPU all of them.
    """
    budget = COMPILED_CPU_CHUNK_ELEMENTS if compiled else CPU_CHUNK_ELEMENTS
    if sequences.device.type != "cpu":
        budget = ACCELERATOR_CHUNK_ELEMENTS
    most = max(1, budget // (sequences.shape[1] * size))
    if most >= channels and not compiled:
        return most // channels * channels
    return next(length for length in range(min(most, channels), 0, -1) if channels % length == 0)


def apply_recomputing(
    function: Callable[[torch.Tensor], torch.Tensor],
    sequences: torch.Tensor,
    length: int,
    parameters: Iterable[nn.Parameter],
) -> torch.Tensor:
    """`function` on chunks, keeping nothing for the gradient: every chunk is computed again when its turn comes.

    A checkpoint for each chunk would do the same, but leaves holes in memory between its many small results.

    Args:
        function: Of some sequences, without randomness; uses `parameters`.
        sequences (`torch.Tensor` of shape `(count, ...)`). length (`int`): Of a chunk.

    Returns:
        `torch.Tensor` of shape `(count, ...)`.
    """
    return _Recomputing.apply(function, length, sequences, *parameters)


class _Recomputing(torch.autograd.Function):
    @staticmethod
    def forward(ctx, function, length, sequences, *parameters):
        ctx.function, ctx.length, ctx.parameters = function, length, parameters
        ctx.autocast = _autocast_state(sequences.device.type)
        ctx.save_for_backward(sequences)
        return fill_chunks(function, sequences, length)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        (sequences,) = ctx.saved_tensors
        wanted = ctx.needs_input_grad[2:]
        to_sequences = torch.empty_like(sequences) if wanted[0] else None
        learnt = [parameter for parameter, needed in zip(ctx.parameters, wanted[1:], strict=True) if needed]
        sums: list[torch.Tensor] = []
        for start in range(0, len(sequences), ctx.length):
            chunk = sequences[start : start + ctx.length].detach().requires_grad_(wanted[0])
            with torch.enable_grad(), torch.autocast(**ctx.autocast):
                result = ctx.function(chunk)
            inputs = [chunk, *learnt] if wanted[0] else learnt
            found = list(torch.autograd.grad(result, inputs, gradient[start : start + ctx.length]))
            if to_sequences is not None:
                to_sequences[start : start + ctx.length] = found.pop(0)
            sums = [total.add_(part) for total, part in zip(sums, found, strict=True)] if sums else found
        given = iter(sums)
        return None, None, to_sequences, *(next(given) if needed else None for needed in wanted[1:])


def fill_chunks(function: Callable, sequences: torch.Tensor, length: int) -> torch.Tensor:
    """`function` on chunks, without a gradient: results go straight to their place."""
    with torch.no_grad():
        first = function(sequences[:length])
        results = first.new_empty(len(sequences), *first.shape[1:])
        results[:length] = first
        for start in range(length, len(sequences), length):
            results[start : start + length] = function(sequences[start : start + length])
    return results


def _autocast_state(device_type: str) -> dict:
    """What `torch.autocast` needs to go on as it is now."""
    return {
        "device_type": device_type,
        "enabled": torch.is_autocast_enabled(device_type),
        "dtype": torch.get_autocast_dtype(device_type),
        "cache_enabled": torch.is_autocast_cache_enabled(),
    }
