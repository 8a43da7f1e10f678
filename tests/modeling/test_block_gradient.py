"""The paper's block learns by a gradient of its own, which keeps little: the same numbers as autograd's."""

import pytest
import torch

from mdjpt_hf import MDJPTConfig, MDJPTForPreTraining
from mdjpt_hf.modeling import layers_mdjpt
from mdjpt_hf.modeling.layers_mdjpt import MLLALayer

SIZES = {"hidden_size": 24, "intermediate_size": 40, "num_attention_heads": 3}


def layer(is_last=False, std=0.3, **fields):
    torch.manual_seed(0)
    block = MLLALayer(MDJPTConfig(**SIZES | fields), is_last).double()
    block.keeps_little = True
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=std)
    return block


def gradients(block, tokens, wanted=None):
    """Result and all gradients of one pass."""
    tokens = tokens.detach().requires_grad_()
    result = block(tokens)
    weights = torch.linspace(-1, 1, result.numel(), dtype=result.dtype).view_as(result)
    learnt = wanted or list(block.parameters())
    return [result, *torch.autograd.grad((result * weights).sum(), [tokens, *learnt])]


@pytest.fixture
def tokens():
    return torch.randn(4, 11, SIZES["hidden_size"], dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def plain(monkeypatch):
    def apply():
        monkeypatch.setattr(MLLALayer, "learns_by_itself", lambda self, tokens: False)

    return apply


@pytest.mark.parametrize("ffn_norm", [False, True])
@pytest.mark.parametrize("is_last", [False, True])
@pytest.mark.parametrize("heads", [1, 3])
def test_result_and_gradients_are_those_of_the_modules(tokens, plain, is_last, ffn_norm, heads):
    block = layer(is_last, ffn_norm=ffn_norm, num_attention_heads=heads)
    assert block.learns_by_itself(tokens)
    own = gradients(block, tokens)
    plain()
    for found, wanted in zip(own, gradients(block, tokens), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-11, atol=1e-11)


def test_gradients_are_those_of_finite_differences(tokens):
    block = layer(hidden_size=6, intermediate_size=4, num_attention_heads=2)
    few = tokens[:2, :4, :6].clone().requires_grad_()
    assert torch.autograd.gradcheck(block, (few,))


def test_in_single_precision_it_is_as_near_to_the_truth_as_the_modules(plain):
    block = layer(std=0.09, hidden_size=128, intermediate_size=256, num_attention_heads=8)
    values = torch.randn(6, 99, 128, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    truth = gradients(block, values)
    own = gradients(block.float(), values.float())
    plain()
    for found, modules, wanted in zip(own, gradients(block, values.float()), truth, strict=True):
        assert (found - wanted).norm() <= 1e-6 * wanted.norm() + 2 * (modules - wanted).norm()


def test_six_activations_are_kept(tokens):
    kept, block = {}, layer()
    weights = {parameter.data_ptr() for parameter in block.parameters()}

    def note(tensor):
        if tensor.data_ptr() not in weights:
            kept[tensor.data_ptr()] = tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        block(tokens.requires_grad_())
    ratio = SIZES["intermediate_size"] / SIZES["hidden_size"]
    assert sum(kept.values()) == pytest.approx(tokens.numel() * (4 + ratio))


class Passed(torch.nn.Linear):
    """A module that computes something else than its weights say, as an adapter does."""

    def forward(self, given):
        return super().forward(given) * 2


def change_type(block):
    block.out_proj.__class__ = Passed


def hook(block):
    block.gate_proj.register_forward_hook(lambda module, given, result: result * 2)


def offload(block):
    block.ffn_in.forward = lambda given: torch.zeros(*given.shape[:-1], SIZES["intermediate_size"], dtype=given.dtype)


@pytest.mark.parametrize("change", [change_type, hook, offload], ids=lambda change: change.__name__)
def test_what_is_put_into_a_block_is_not_passed_over(tokens, change):
    block = layer()
    before = block(tokens)
    change(block)
    assert not block.learns_by_itself(tokens)
    assert not torch.allclose(block(tokens), before)


def test_only_what_wants_a_gradient_gets_one(tokens):
    block = layer()
    every = dict(block.named_parameters())
    wanted = dict(zip(every, gradients(block, tokens)[2:], strict=True))
    for name, parameter in every.items():
        parameter.requires_grad_("attention" in name or name == "norm.weight")
    learnt = [name for name, parameter in every.items() if parameter.requires_grad]
    found = gradients(block, tokens, [every[name] for name in learnt])[2:]
    for name, gradient in zip(learnt, found, strict=True):
        torch.testing.assert_close(gradient, wanted[name])


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, lambda: torch.autocast("cpu", torch.bfloat16)])
def test_where_no_plain_gradient_is_wanted_the_modules_answer(tokens, mode):
    block = layer().float()
    with mode():
        assert not block.learns_by_itself(tokens.float())
    assert block.learns_by_itself(tokens.float())


def test_a_whole_step_has_the_same_gradient_in_one_thread_and_two(plain, monkeypatch):
    """In many chunks, against modules and autograd."""
    torch.manual_seed(0)
    model = MDJPTForPreTraining(MDJPTConfig(**SIZES, num_channels=6, feature_size=4)).double()
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
    model = MDJPTForPreTraining(MDJPTConfig(**SIZES, num_channels=6, feature_size=4))
    layers = [module for module in model.modules() if isinstance(module, MLLALayer)]
    tokens = torch.zeros(1, 4, SIZES["hidden_size"])
    states = []
    for enabled in (None, True, False):
        if enabled is not None:
            model.keep_little(enabled)
        states.append([block.learns_by_itself(tokens) for block in layers])
    assert states == [[False, False], [True, True], [False, False]]
