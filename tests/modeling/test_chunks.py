"""Chunks in threads give the numbers of one call, in any number of threads, kept or computed again."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import torch
from torch import nn
from torch._functorch import config as functorch_config

from mdjpt_hf.modeling import chunks_mdjpt
from mdjpt_hf.modeling.chunks_mdjpt import FreeBlocks, KeptActivations, apply_in_chunks, fill_chunks, in_threads

LENGTH = 4  # the last chunk is shorter


@pytest.fixture(autouse=True)
def threads_of_torch():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3)).double()


@pytest.fixture
def sequences():
    return torch.randn(23, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def gradients(network, sequences, run):
    sequences = sequences.clone().requires_grad_()
    result = run(sequences)
    weights = torch.linspace(-1, 1, result.numel(), dtype=result.dtype).view_as(result)
    return [result.detach(), *torch.autograd.grad((result * weights).sum(), [sequences, *network.parameters()])]


@pytest.mark.parametrize("recompute", [False, True])
def test_results_and_gradients_are_those_of_one_call(network, sequences, recompute):
    wanted, found = gradients(network, sequences, network), []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        found.append(
            gradients(
                network,
                sequences,
                lambda given, threads=threads: apply_in_chunks(
                    network, given, LENGTH, network.parameters(), recompute, threads
                ),
            )
        )
        assert torch.get_num_threads() == threads
    for one, other, expected in zip(found[0], found[1], wanted, strict=True):
        torch.testing.assert_close(one, expected, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(other, expected, rtol=1e-12, atol=1e-12)
    assert all(torch.equal(one, other) for one, other in zip(found[1], found[2], strict=True))


@pytest.mark.parametrize("recompute", [False, True])
def test_what_does_not_learn_gets_no_gradient(network, sequences, recompute):
    network[0].requires_grad_(False)
    torch.set_num_threads(2)
    apply_in_chunks(network, sequences, LENGTH, network.parameters(), recompute, 2).square().sum().backward()
    wanted = torch.autograd.grad(network(sequences).square().sum(), [network[2].weight, network[2].bias])
    assert network[0].weight.grad is None
    for parameter, expected in zip(network[2].parameters(), wanted, strict=True):
        torch.testing.assert_close(parameter.grad, expected)


def test_a_gradient_that_was_taken_is_not_there_twice(network, sequences):
    total = apply_in_chunks(network, sequences, LENGTH, network.parameters(), threads=1).sum()
    total.backward()
    with pytest.raises(RuntimeError, match="a second time"):
        total.backward()


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_gradient_whose_graph_is_retained_can_be_taken_twice(network, sequences, recompute, threads):
    total = apply_in_chunks(network, sequences, LENGTH, network.parameters(), recompute, threads).sum()
    once = torch.autograd.grad(total, list(network.parameters()), retain_graph=True)
    again = torch.autograd.grad(total, list(network.parameters()))
    assert all(torch.equal(first, second) for first, second in zip(once, again, strict=True))


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_have_the_modes_of_their_caller(network, sequences, threads):
    torch.set_num_threads(threads)
    network.float()
    seen = []

    def look(chunk):
        seen.append((torch.is_inference_mode_enabled(), torch.is_grad_enabled()))
        return network(chunk)

    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        filled = fill_chunks(look, sequences.float(), LENGTH, threads)
    assert filled.dtype == torch.bfloat16
    assert set(seen) == {(True, False)}
    with torch.autocast("cpu", torch.bfloat16):
        learnt = apply_in_chunks(look, sequences.float(), LENGTH, network.parameters(), True, threads)
    learnt.float().sum().backward()  # chunks computed again, outside, are in bfloat16 as well
    assert learnt.dtype == torch.bfloat16
    assert set(seen) == {(True, False), (False, False), (False, True)}


def test_items_are_worked_on_at_once_by_kernels_of_one_thread():
    torch.set_num_threads(2)
    together = Barrier(2, timeout=20)  # breaks where nobody else comes

    def work(item):
        if item:
            together.wait()
        return item, torch.get_num_threads()

    assert list(in_threads(work, range(7), 2)) == [(item, 1) for item in range(7)]
    assert torch.get_num_threads() == 2


def test_threads_see_the_context_of_their_caller_and_leave_the_threads_of_torch():
    torch.set_num_threads(3)
    with functorch_config.patch(activation_memory_budget=0.25):
        seen = list(in_threads(lambda _: functorch_config.activation_memory_budget, range(5), 2))
    assert seen == [0.25] * 5
    assert torch.get_num_threads() == 3


def test_parameters_that_share_a_gradient_get_it_once_each(sequences):
    first, second = (nn.Parameter(torch.zeros(5, dtype=torch.float64)) for _ in range(2))
    result = apply_in_chunks(lambda chunk: chunk + (first + second), sequences, LENGTH, [first, second])
    result.sum().backward()
    assert first.grad.tolist() == second.grad.tolist() == [23 * 6] * 5


def test_an_error_in_a_thread_is_raised_and_threads_are_as_before():
    torch.set_num_threads(2)

    def work(item):
        if item == 5:
            raise ValueError("five")
        return item

    with pytest.raises(ValueError, match="five"):
        list(in_threads(work, range(9), 2))
    assert torch.get_num_threads() == 2


def test_what_is_kept_lies_in_one_block_and_counts_its_changes_apart(monkeypatch):
    monkeypatch.setattr(chunks_mdjpt, "KEPT_BLOCK_ELEMENTS", 4096)
    kept, like = KeptActivations(FreeBlocks()), torch.zeros(1, dtype=torch.float64)
    first, second = kept.room(3, 5, like=like), kept.room(2, 7, like=like)
    large = kept.room(100, 100, like=like)
    blocks = [part.untyped_storage().data_ptr() for part in (first, second, large)]
    assert blocks[0] == blocks[1] != blocks[2]
    first.fill_(1.0)
    second.fill_(2.0)
    assert torch.equal(first, torch.ones(3, 5, dtype=torch.float64)) and first.is_contiguous()
    before = second._version
    first.add_(1)
    assert second._version == before
    assert large.shape == (100, 100) and large.dtype == torch.float64
    apart = KeptActivations()
    places = [apart.room(3, like=like).untyped_storage().nbytes() for _ in range(2)]
    assert places == [24, 24]


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values):
        return values * 2

    @staticmethod
    def backward(ctx, gradient):
        return gradient * 2


def test_a_function_that_ends_in_one_written_in_python_keeps_its_graph(network, sequences):
    """In torch 2.6 nothing else holds such a graph: its gradient ended the process."""
    sequences.requires_grad_()
    result = apply_in_chunks(lambda part: Doubled.apply(network(part)), sequences, 2, network.parameters())
    (twice,) = torch.autograd.grad(result.sum(), sequences)
    (once,) = torch.autograd.grad(network(sequences).sum(), sequences)
    torch.testing.assert_close(twice, 2 * once)


def test_what_a_function_keeps_is_moved_if_nothing_else_holds_it():
    rooms = []

    class Noted(KeptActivations):
        def room(self, *shape, like):
            rooms.append(shape)
            return super().room(*shape, like=like)

    def function(values):
        product = (values * 2) @ weight.T  # keeps what was doubled, and the weight
        return (product * product[:, :1]).sum(dim=1)  # keeps the product, and a column of it

    weight = torch.ones(3, 4, dtype=torch.float64, requires_grad=True)
    given = torch.arange(8.0, dtype=torch.float64).view(2, 4).requires_grad_()
    found = [Noted(FreeBlocks()).keeping(function, [weight])(given), function(given)]
    assert rooms == [(2, 4), (2, 3)]
    moved, stayed = (torch.autograd.grad(result.sum(), [given, weight]) for result in found)
    assert all(map(torch.equal, moved, stayed))


def test_threads_keep_in_blocks_of_their_own_which_are_used_again(monkeypatch):
    monkeypatch.setattr(chunks_mdjpt, "KEPT_BLOCK_ELEMENTS", 4096)
    free, like, both_hold_one = FreeBlocks(), torch.zeros(1), Barrier(2)

    def block(kept):
        found = kept.room(3, like=like).untyped_storage().data_ptr()
        both_hold_one.wait(timeout=30)
        return found

    seen = []
    for _ in range(2):
        kept = KeptActivations(free)
        with ThreadPoolExecutor(2) as threads:
            seen.append(set(threads.map(block, [kept, kept])))
        kept.give_back()
    assert len(seen[0]) == 2
    assert seen[1] == seen[0]
