"""Sequences that do not know of each other, worked on as many at a time as fit into a cache."""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from contextvars import copy_context
from math import prod
from typing import TypeVar

import torch
from torch import nn
from torch.autograd.graph import get_gradient_edge, saved_tensors_hooks

from .compatibility_mdjpt import changes_of, gradient_is_taken_again

#: Elements of one activation that are worked on at a time: about two megabytes stay in a CPU core's cache, and half of
#: that suits compiled code, which makes fewer passes; on an accelerator the bound only keeps memory finite.
CPU_CHUNK_ELEMENTS = 2**19
COMPILED_CPU_CHUNK_ELEMENTS = 2**18
ACCELERATOR_CHUNK_ELEMENTS = 2**27

#: Of a block of [`KeptActivations`]: much more than a chunk keeps, much less than a batch does; and of a cache line.
KEPT_BLOCK_ELEMENTS = 2**24
ALIGNED_ELEMENTS = 32

Item = TypeVar("Item")
Result = TypeVar("Result")


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


class FreeBlocks:
    """Blocks of memory that stay for the next batch; a copy of whatever holds them begins without any.

    What a batch keeps comes to gigabytes: given back and asked for anew, or cut up by what is allocated in between, it
    costs time or half as much memory again.
    """

    def __init__(self) -> None:
        self._blocks: dict[tuple[torch.dtype, int], list[torch.Tensor]] = defaultdict(list)

    def take(self, elements: int, like: torch.Tensor) -> torch.Tensor:
        """A free block of so many numbers, or a new one."""
        free = self._blocks[like.dtype, elements]
        try:
            return free.pop()
        except IndexError:
            return like.new_empty(elements)

    def give_back(self, block: torch.Tensor) -> None:
        """Let a block be used again: nothing may refer to it any more."""
        self._blocks[block.dtype, len(block)].append(block)

    def __reduce__(self) -> tuple[type["FreeBlocks"], tuple[()]]:
        return FreeBlocks, ()


class KeptActivations:
    """Room for what chunks keep until the gradient is taken, one behind the other in large blocks, for each thread.

    Small results that stay, between temporary ones that go, would leave a heap full of holes: half as much memory
    again. An accelerator's allocator keeps the two apart itself.

    Args:
        free (`FreeBlocks`, *optional*): Where blocks come from; without it a result has room of its own, for what
            stays no longer than a chunk.
    """

    def __init__(self, free: FreeBlocks | None = None) -> None:
        self._free, self._of_thread = free, threading.local()
        self._blocks: list[torch.Tensor] = []

    def room(self, *shape: int, like: torch.Tensor) -> torch.Tensor:
        """An uninitialised tensor of a shape, of the dtype and on the device of another one."""
        if like.device.type != "cpu" or self._free is None:
            return like.new_empty(shape)
        count, own = prod(shape), self._of_thread
        block: torch.Tensor | None = getattr(own, "block", None)
        if block is None or own.used + count > len(block) or block.dtype != like.dtype:
            block = own.block = self._free.take(max(count, KEPT_BLOCK_ELEMENTS), like)
            self._blocks.append(block)
            own.used = 0
        start = own.used
        own.used += -(-count // ALIGNED_ELEMENTS) * ALIGNED_ELEMENTS
        # Not a view: those count changes of all that shares the block, and a gradient would miss its activations.
        strides = torch.empty(shape, device="meta").stride()
        return like.new_empty(0).set_(block.untyped_storage(), start, shape, strides)

    def keeping(self, function: Callable[[torch.Tensor], torch.Tensor], weights: Iterable[torch.Tensor]) -> Callable:
        """`function`, which does not know of this room, with what its gradient needs moved here.

        What is a part of something else, as of `weights` or what `function` is given, stays where it is, and so does
        what is on an accelerator.
        """
        own = {weight.untyped_storage().data_ptr() for weight in weights}

        def run(given: torch.Tensor) -> torch.Tensor:
            def move(tensor: torch.Tensor) -> tuple[torch.Tensor, int]:
                storage = tensor.untyped_storage()
                dense = tensor.is_contiguous() and storage.nbytes() == tensor.nbytes
                elsewhere = tensor.device.type != "cpu" or tensor.dtype != given.dtype
                if dense and not elsewhere and storage.data_ptr() not in own:
                    tensor = self.room(*tensor.shape, like=tensor).copy_(tensor.detach())
                return tensor, changes_of(tensor)

            with saved_tensors_hooks(move, _unchanged):
                return function(given)

        return run

    def give_back(self) -> None:
        """Let others use the blocks: once the gradient is taken, nothing of them is wanted any more."""
        self._of_thread = threading.local()
        while self._free is not None and self._blocks:
            self._free.give_back(self._blocks.pop())


def _unchanged(kept: tuple[torch.Tensor, int]) -> torch.Tensor:
    """What was kept, if it is as it was: torch itself asks only about what no hook has seen."""
    tensor, changes = kept
    if changes_of(tensor) != changes:
        raise RuntimeError(
            "what this gradient needs was modified by an inplace operation (weights or windows, after the model was "
            "called): call the model again"
        )
    return tensor


def apply_in_chunks(
    function: Callable[[torch.Tensor], torch.Tensor],
    sequences: torch.Tensor,
    length: int,
    parameters: Iterable[nn.Parameter],
    recompute: bool = False,
    threads: int = 1,
    kept: KeptActivations | None = None,
    first_alone: bool = True,
) -> torch.Tensor:
    """`function` on chunks, with a gradient, which is summed in the order of the chunks whoever comes first.

    Args:
        function: Of some sequences, without randomness; uses `parameters`, whose hooks, if any, meet the gradient of
            every chunk and then that of all.
        sequences (`torch.Tensor` of shape `(count, ...)`). length (`int`): Of a chunk.
        recompute (`bool`): Keep nothing for the gradient and compute every chunk again when its turn comes. A
            checkpoint for each chunk would do the same, but leaves holes in memory between its many small results.
        threads (`int`): Work on so many chunks at once, see [`in_threads`], each with activations of its own.
        kept (`KeptActivations`, *optional*): What `function` keeps, given back when the gradient is taken.
        first_alone (`bool`): The first chunk before all others, see [`in_threads`].

    Returns:
        `torch.Tensor` of shape `(count, ...)`.
    """
    return _InChunks.apply(function, length, recompute, threads, kept, first_alone, sequences, *parameters)


def fill_chunks(function: Callable, sequences: torch.Tensor, length: int, threads: int = 1) -> torch.Tensor:
    """`function` on chunks of `length` of `(sequences, ...)`, no gradient; results go straight to their place."""
    return _place(lambda start: function(sequences[start : start + length]), sequences, length, threads)


def in_threads(
    work: Callable[[Item], Result], items: Sequence[Item], threads: int, first_alone: bool = True
) -> Iterator[Result]:
    """`work` on every item, results in the items' order.

    Every thread has an item of its own and kernels of one thread, as torch has meanwhile in the whole process: cores
    that share a kernel wait for each other at its end, and kernels here are small. That helps only work that lets go of
    Python's lock.

    Args:
        threads (`int`): So many items are worked on at once.
        first_alone (`bool`): Before all others, so that a compiler compiles once.
    """
    if threads == 1:
        yield from map(work, items)
        return
    before, context = torch.get_num_threads(), copy_context()
    torch.set_num_threads(1)
    try:
        if first_alone:
            yield work(items[0])
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield from pool.map(lambda item: context.copy().run(work, item), items[1 if first_alone else 0 :])
    finally:
        torch.set_num_threads(before)


class _InChunks(torch.autograd.Function):
    """Every chunk has a graph of its own, kept from the first pass or made in the second."""

    @staticmethod
    def forward(ctx, function, length, recompute, threads, activations, first_alone, sequences, *parameters):
        modes, wanted = _modes(sequences.device.type), ctx.needs_input_grad[6]

        def graph(chunk: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            with modes(), torch.enable_grad():
                chunk = chunk.detach().requires_grad_(wanted)
                return chunk, function(chunk)

        def keep(start: int) -> torch.Tensor:
            chunk, result = graph(sequences[start : start + length])
            with torch.enable_grad():
                # Of a view: an edge to a function that is written in Python holds nothing in torch 2.6, and dangles.
                ctx.graphs[start] = chunk, get_gradient_edge(result.view_as(result))
            return result.detach()

        ctx.graph, ctx.length, ctx.threads, ctx.parameters = graph, length, threads, parameters
        ctx.activations, ctx.first_alone, ctx.modes = activations, first_alone, modes
        ctx.graphs = None if recompute else {}
        if recompute:
            ctx.save_for_backward(sequences)
            return fill_chunks(function, sequences, length, threads)
        return _place(keep, sequences, length, threads, first_alone)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        wanted, length = ctx.needs_input_grad[6:], ctx.length
        saved, again = ctx.saved_tensors, gradient_is_taken_again()
        learnt = [parameter for parameter, needed in zip(ctx.parameters, wanted[1:], strict=True) if needed]

        def gradients(start: int) -> list[torch.Tensor]:
            if ctx.graphs is None:
                chunk, result = ctx.graph(saved[0][start : start + length])
            elif start in ctx.graphs:
                chunk, result = ctx.graphs[start] if again else ctx.graphs.pop(start)
            else:
                raise RuntimeError("this gradient was taken already and its activations are gone: call the model again")
            inputs = [chunk, *learnt] if wanted[0] else learnt
            of_chunk = gradient[start : start + length]
            with ctx.modes():
                found = torch.autograd.grad([result], inputs, [of_chunk], retain_graph=again, allow_unused=True)
            return list(found)

        to_sequences: list[torch.Tensor] = []
        sums: list[torch.Tensor | None] = []  # None: of a weight that the function does not use
        starts = range(0, len(gradient), length)
        for found in in_threads(gradients, starts, ctx.threads, ctx.first_alone):
            if wanted[0]:
                to_sequences.append(found.pop(0))
            parts = zip(sums, found, strict=True)
            sums = [part if part is None else total + part for total, part in parts] if sums else found
        if ctx.activations is not None and not again:
            ctx.activations.give_back()
        given = iter(sums)
        to_parameters = [next(given) if needed else None for needed in wanted[1:]]
        return None, None, None, None, None, None, torch.cat(to_sequences) if wanted[0] else None, *to_parameters


def _place(
    compute: Callable[[int], torch.Tensor],
    sequences: torch.Tensor,
    length: int,
    threads: int,
    first_alone: bool = True,
) -> torch.Tensor:
    """Chunks, computed from where they start, in one tensor: many small ones would leave holes in memory."""
    modes = _modes(sequences.device.type)
    results: list[torch.Tensor] = []
    lock = threading.Lock()

    def place(start: int) -> None:
        with modes(), torch.no_grad():
            part = compute(start)
            with lock:
                if not results:
                    results.append(part.new_empty(len(sequences), *part.shape[1:]))
            results[0][start : start + length] = part

    for _ in in_threads(place, range(0, len(sequences), length), threads, first_alone):
        pass
    return results[0]


def _modes(device: str) -> Callable[[], AbstractContextManager]:
    """Enters, in whichever thread, the inference mode and the mixed precision of this one."""
    inference, enabled = torch.is_inference_mode_enabled(), torch.is_autocast_enabled(device)
    dtype, cache = torch.get_autocast_dtype(device), torch.is_autocast_cache_enabled()

    @contextmanager
    def enter() -> Iterator[None]:
        with torch.inference_mode(inference), torch.autocast(device, dtype, enabled, cache):
            yield

    return enter
