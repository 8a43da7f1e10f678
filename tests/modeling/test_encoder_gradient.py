"""The channel encoder learns by a gradient of its own, which keeps little: the same numbers as autograd's."""

import copy
import pickle

import pytest
import torch

from mdjpt_hf import MDJPTConfig, MDJPTForPreTraining
from mdjpt_hf.modeling import layers_mdjpt
from mdjpt_hf.modeling.chunks_mdjpt import FreeBlocks
from mdjpt_hf.modeling.layers_mdjpt import ChannelEncoder

SIZES = {"hidden_size": 24, "intermediate_size": 40, "num_attention_heads": 3, "feature_size": 4}
WINDOWS, CHANNELS, SAMPLES, TOKENS = 2, 3, 92, 11


def encoder(std=0.3, **fields):
    torch.manual_seed(0)
    found = ChannelEncoder(MDJPTConfig(**SIZES | fields)).double()
    found.free_blocks = FreeBlocks()
    for parameter in found.parameters():
        torch.nn.init.normal_(parameter, std=std)
    return found


def gradients(network, windows, wanted=None):
    """Result and all gradients of one pass."""
    windows = windows.detach().requires_grad_()
    result = network(windows)
    weights = torch.linspace(-1, 1, result.numel(), dtype=result.dtype).view_as(result)
    learnt = wanted or list(network.parameters())
    return [result, *torch.autograd.grad((result * weights).sum(), [windows, *learnt])]


@pytest.fixture
def windows():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(WINDOWS, CHANNELS, SAMPLES, dtype=torch.float64, generator=generator)


@pytest.fixture
def plain(monkeypatch):
    def apply():
        monkeypatch.setattr(ChannelEncoder, "learns_by_itself", lambda self, sequences: False)

    return apply


def test_it_is_used_where_torch_cannot_tell_whether_a_graph_is_exported(windows, monkeypatch):
    """Below torch 2.8 the answer is always yes, which concerns compiled graphs alone."""
    monkeypatch.setattr(layers_mdjpt, "is_exporting", lambda: True)
    assert encoder().learns_by_itself(windows)


@pytest.mark.parametrize("ffn_norm", [False, True])
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("heads", [1, 3])
def test_result_and_gradients_are_those_of_the_modules(windows, plain, layers, ffn_norm, heads):
    network = encoder(num_hidden_layers=layers, ffn_norm=ffn_norm, num_attention_heads=heads)
    assert network.learns_by_itself(windows)
    own = gradients(network, windows)
    plain()
    for found, wanted in zip(own, gradients(network, windows), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-11, atol=1e-10)


def test_every_block_has_its_own_settings(windows, plain):
    network = encoder()
    second = network.layers[1]
    second.norm.eps, second.ffn_norm.eps, second.attention.eps, second.attention.num_heads = 0.5, 0.6, 0.7, 1
    own = gradients(network, windows)
    plain()
    for found, wanted in zip(own, gradients(network, windows), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-11, atol=1e-10)


def test_gradients_are_those_of_finite_differences(windows):
    network = encoder(hidden_size=6, intermediate_size=4, num_attention_heads=2)
    assert torch.autograd.gradcheck(network, (windows[:1, :2, :50].clone().requires_grad_(),))


def test_in_single_precision_it_is_as_near_to_the_truth_as_the_modules(plain):
    network = encoder(std=0.09, hidden_size=128, intermediate_size=256, num_attention_heads=8, feature_size=32)
    values = torch.randn(2, 3, 625, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    truth = gradients(network, values)
    own = gradients(network.float(), values.float())
    plain()
    for found, modules, wanted in zip(own, gradients(network, values.float()), truth, strict=True):
        assert (found - wanted).norm() <= 1e-6 * wanted.norm() + 2 * (modules - wanted).norm()


def test_five_activations_of_a_block_are_kept_and_patches_of_the_first(windows):
    kept, network = {}, encoder()
    weights = {parameter.data_ptr() for parameter in network.parameters()}

    def note(tensor):
        if tensor.data_ptr() not in weights:
            kept[tensor.data_ptr(), tensor.numel()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        network(windows.requires_grad_())
    tokens = WINDOWS * CHANNELS * TOKENS
    patches = tokens * network.patch_length
    of_blocks = 2 * tokens * (3 * SIZES["hidden_size"] + SIZES["intermediate_size"]) + tokens * SIZES["hidden_size"]
    assert sum(tensor.numel() for tensor in kept.values()) == of_blocks + patches


def change_type(block):
    block.out_proj.__class__ = Passed


def hook(block):
    block.gate_proj.register_forward_hook(lambda module, given, result: result * 2)


def hook_whole(block):
    block.register_forward_hook(lambda module, given, result: result * 2)


def offload(block):
    block.ffn_in.forward = lambda given: torch.zeros(*given.shape[:-1], SIZES["intermediate_size"], dtype=given.dtype)


class Passed(torch.nn.Linear):
    """A module that computes something else than its weights say, as an adapter does."""

    def forward(self, given):
        return super().forward(given) * 2


@pytest.mark.parametrize("change", [change_type, hook, hook_whole, offload], ids=lambda change: change.__name__)
def test_what_is_put_into_a_block_is_not_passed_over(windows, change):
    network = encoder()
    before = network(windows)
    change(network.layers[0])
    assert not network.learns_by_itself(windows)
    assert not torch.allclose(network(windows), before)


def test_what_is_put_around_the_blocks_is_not_passed_over(windows):
    for name in ("read_in", "read_out"):
        network = encoder()
        before = network(windows)
        getattr(network, name).__class__ = Passed
        assert not network.learns_by_itself(windows)
        assert not torch.allclose(network(windows), before)


def test_only_what_wants_a_gradient_gets_one(windows):
    network = encoder()
    every = dict(network.named_parameters())
    wanted = dict(zip(every, gradients(network, windows)[2:], strict=True))
    for name, parameter in every.items():
        parameter.requires_grad_("attention" in name or name.endswith("norm.weight"))
    learnt = [name for name, parameter in every.items() if parameter.requires_grad]
    found = gradients(network, windows, [every[name] for name in learnt])[2:]
    for name, gradient in zip(learnt, found, strict=True):
        torch.testing.assert_close(gradient, wanted[name])


def test_where_the_first_weights_do_not_learn_autograd_keeps_less(windows):
    network = encoder()
    for parameter in network.parameters():
        parameter.requires_grad_(parameter is network.read_out.weight)
    assert not network.learns_by_itself(windows)
    assert network.learns_by_itself(windows.clone().requires_grad_())


def test_a_weight_that_nothing_uses_has_no_gradient(windows):
    network = encoder()
    network.further = torch.nn.Linear(2, 2).double()
    network(windows).sum().backward()
    assert network.further.weight.grad is None
    assert network.read_in.weight.grad is not None


@pytest.mark.parametrize("threads", [1, 2])
def test_a_gradient_has_the_precision_of_its_forward_pass(windows, threads, monkeypatch):
    monkeypatch.setattr(layers_mdjpt, "chunk_length", lambda *args: 1)
    network, before = encoder().float(), torch.get_num_threads()
    learnt = list(network.parameters())
    torch.set_num_threads(threads)
    try:
        loss = network(windows.float()).square().sum()
        wanted = torch.autograd.grad(loss, learnt, retain_graph=True)
        with torch.autocast("cpu", torch.bfloat16):
            found = torch.autograd.grad(loss, learnt)
    finally:
        torch.set_num_threads(before)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, lambda: torch.autocast("cpu", torch.bfloat16)])
def test_where_no_plain_gradient_is_wanted_the_modules_answer(windows, mode):
    network = encoder().float()
    with mode():
        assert not network.learns_by_itself(windows.float())
    assert network.learns_by_itself(windows.float())


def blocks_of(network):
    return [block.data_ptr() for free in network.free_blocks._blocks.values() for block in free]


def test_the_next_batch_has_the_room_of_the_one_before(windows):
    network = encoder()
    first, room = gradients(network, windows), blocks_of(network)
    again = gradients(network, windows)
    assert len(room) == 1
    assert blocks_of(network) == room
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one, other)


def test_a_gradient_that_is_taken_later_has_room_of_its_own(windows):
    """Two batches before the first gradient, which is then taken twice: neither may write over the other."""
    network = encoder()
    wanted = gradients(network, windows)[2:], gradients(network, 2 * windows)[2:]
    weights = torch.linspace(-1, 1, WINDOWS * 4 * CHANNELS * TOKENS, dtype=torch.float64)
    losses = [(network(given) * weights.view(WINDOWS, 4, CHANNELS, TOKENS)).sum() for given in (windows, 2 * windows)]
    learnt = list(network.parameters())
    torch.autograd.grad(losses[0], learnt, retain_graph=True)
    gradients(network, -windows)  # of another batch in between
    for loss, gradient in zip(losses, wanted, strict=True):
        for one, other in zip(torch.autograd.grad(loss, learnt), gradient, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-11)


def test_copies_begin_without_the_room(windows):
    network = encoder()
    gradients(network, windows)
    assert blocks_of(network)
    for other in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert other.learns_by_itself(windows)
        assert not blocks_of(other)


@pytest.mark.parametrize("hooked", [False, True])
def test_a_hook_of_a_weight_meets_its_gradient_as_with_the_modules(windows, plain, hooked):
    network, met = encoder(), []
    if hooked:
        network.read_out.weight.register_hook(lambda gradient: met.append(gradient) or gradient * 3)
    own = gradients(network, windows)
    plain()
    for found, wanted in zip(own, gradients(network, windows), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-11, atol=1e-10)
    assert bool(met) == hooked


def test_a_whole_step_has_the_same_gradient_in_one_thread_and_two(plain, monkeypatch):
    """In many chunks, against modules and autograd."""
    torch.manual_seed(0)
    model = MDJPTForPreTraining(MDJPTConfig(**SIZES, num_channels=6)).double()
    model.keep_little()
    groups = torch.tensor([0] * 8 + [1] * 8)
    given = {"input_values": torch.randn(16, 6, 625, dtype=torch.float64), "group_ids": groups}
    given |= {"dataset_ids": torch.zeros(16, dtype=torch.long), "stimulus_ids": torch.arange(8).repeat(2)}
    monkeypatch.setattr(layers_mdjpt, "chunk_length", lambda *args: 6)

    def step(threads):
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            return torch.autograd.grad(model(**given).loss, list(model.parameters()))
        finally:
            torch.set_num_threads(before)

    one, two, again = step(1), step(2), step(2)
    plain()
    for first, second, third, wanted in zip(one, two, again, step(1), strict=True):
        torch.testing.assert_close(first, wanted, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(second, wanted, rtol=1e-9, atol=1e-12)
        assert torch.equal(second, third)


def test_little_is_kept_where_it_is_asked_for_and_until_it_is_not():
    model = MDJPTForPreTraining(MDJPTConfig(**SIZES, num_channels=6))
    patches = torch.zeros(1, 4, model.config.patch_length)
    states = []
    for enabled in (None, True, False):
        if enabled is not None:
            model.keep_little(enabled)
        states.append(model.mdjpt.channel_encoder.learns_by_itself(patches))
    assert states == [False, True, False]
