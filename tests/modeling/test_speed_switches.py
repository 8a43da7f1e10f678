"""Recomputing and compiling change neither results nor gradients, and compile once for batches of all corpora."""

import copy
import logging

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend
from torch.utils.flop_counter import FlopCounterMode

from mdjpt_hf.modeling import chunks_mdjpt, layers_mdjpt
from mdjpt_hf.modeling.chunks_mdjpt import KeptActivations
from mdjpt_hf.modeling.configuration_mdjpt import MDJPTConfig
from mdjpt_hf.modeling.modeling_mdjpt import MDJPTForPreTraining, MDJPTModel
from mdjpt_hf.training.ways import recompute_activations

SIZES = {"hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 2, "feature_size": 4, "spatial_channels": 5}
#: Stimuli of the pairs in a step: three corpora, then one, then two.
STEPS = ([3, 4, 2], [5], [2, 6])


def build(kind=MDJPTForPreTraining, **fields):
    torch.manual_seed(0)
    return kind(MDJPTConfig.preset("tiny", num_channels=6, **{**SIZES, **fields})).double().train()


def batch(stimuli, seed=0):
    """One pair of subjects for every corpus."""
    parts = [torch.full((2 * count,), corpus) for corpus, count in enumerate(stimuli)]
    groups = [torch.arange(2).repeat_interleave(count) + 2 * corpus for corpus, count in enumerate(stimuli)]
    clips = [torch.arange(count).repeat(2) + 100 * corpus for corpus, count in enumerate(stimuli)]
    generator = torch.Generator().manual_seed(seed)
    return {
        "input_values": torch.randn(2 * sum(stimuli), 6, 625, generator=generator).double(),
        "group_ids": torch.cat(groups),
        "dataset_ids": torch.cat(parts),
        "stimulus_ids": torch.cat(clips),
    }


def step(model, forward=None, **inputs):
    model.zero_grad()
    output = (model if forward is None else forward)(**inputs)
    output.loss.backward()
    return [output.loss.detach(), output.embeddings.detach(), *(p.grad.clone() for p in model.parameters())]


def close(found, wanted, tolerance=1e-9):
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("elements", [1, 2500, 2**19])
@pytest.mark.parametrize("block", ["mlla", "released"])
def test_recomputed_chunks_have_the_same_gradient(monkeypatch, elements, block):
    monkeypatch.setattr(chunks_mdjpt, "CPU_CHUNK_ELEMENTS", elements)
    model, inputs = build(block=block), batch(STEPS[0])
    wanted = step(model, **inputs)
    recompute_activations(model)
    close(step(model, **inputs), wanted)
    for parameter in model.mdjpt.channel_encoder.layers[0].parameters():
        parameter.requires_grad_(False)
    frozen = model.mdjpt.channel_encoder.layers[0].norm.weight
    model.zero_grad(set_to_none=True)
    model(**inputs).loss.backward()
    assert frozen.grad is None
    torch.testing.assert_close(model.mdjpt.channel_encoder.read_in.weight.grad.norm(), wanted_norm(model, wanted))


def wanted_norm(model, wanted):
    names = [name for name, _ in model.named_parameters()]
    return wanted[2 + names.index("mdjpt.channel_encoder.read_in.weight")].norm()


def test_the_gradient_of_windows_survives_recomputing():
    model = build(MDJPTModel)
    found = []
    for recompute in (False, True):
        if recompute:
            recompute_activations(model)
        windows = batch([3])["input_values"].requires_grad_()
        model(windows).pooler_output.square().sum().backward()
        found.append(windows.grad)
    assert found[0].abs().max() > 0
    torch.testing.assert_close(found[1], found[0], rtol=1e-5, atol=1e-12)


def test_nothing_of_a_chunk_is_kept():
    model, saved = build(), []
    recompute_activations(model)
    encoder = model.mdjpt.channel_encoder
    windows = batch([8])["input_values"]
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: saved.append(tensor) or tensor, lambda kept: kept):
        encoder(windows)
    storages = {tensor.untyped_storage().data_ptr() for tensor in saved}
    assert storages == {windows.untyped_storage().data_ptr()}


def test_recomputing_keeps_mixed_precision():
    model, inputs = build().float(), batch(STEPS[0])
    inputs["input_values"] = inputs["input_values"].float()
    found = []
    for recompute in (False, True):
        if recompute:
            recompute_activations(model)
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(**inputs).loss
        loss.backward()
        found.append([loss.detach(), *(p.grad.clone() for p in model.parameters())])
    # A parameter used in several chunks is cast, hence its gradient rounded, once for each.
    assert found[1][0] == found[0][0]
    for one, other in zip(*found, strict=True):
        assert torch.nn.functional.cosine_similarity(one.flatten(), other.flatten(), dim=0) > 0.99


def check_compiled_chunks(backend, recompute, threaded):
    model, counter = build(), CompileCounterWithBackend(backend)
    wanted = [step(model, **batch(stimuli)) for stimuli in STEPS]
    if recompute:
        recompute_activations(model)
    torch._dynamo.reset()
    model.compile_encoder(backend=counter)
    model.mdjpt.channel_encoder._threaded = threaded
    for stimuli, expected in zip(STEPS, wanted, strict=True):
        close(step(model, **batch(stimuli)), expected)
    assert counter.frame_count == 1 + recompute  # the first pass needs no graph for gradients, the second does


@pytest.mark.parametrize("recompute", [False, True])
def test_compiled_chunks_are_equal_and_compiled_once(recompute):
    check_compiled_chunks("aot_eager", recompute, threaded=False)


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("recompute", [False, True])
def test_chunks_in_threads_have_the_same_gradient_and_are_compiled_once(monkeypatch, two_threads, recompute):
    monkeypatch.setattr(chunks_mdjpt, "COMPILED_CPU_CHUNK_ELEMENTS", 2500)
    check_compiled_chunks("eager", recompute, threaded=True)  # the compiler's own backend takes minutes
    assert torch.get_num_threads() == 2


def test_threads_need_several_chunks_each_and_parameters_without_hooks(two_threads):
    encoder = build(MDJPTModel).channel_encoder
    assert encoder._threads(torch.empty(40, 3), 10) == 1
    encoder._threaded = True
    assert encoder._threads(torch.empty(40, 3), 10) == 2
    assert encoder._threads(torch.empty(39, 3), 10) == 1
    handle = encoder.read_in.weight.register_hook(lambda gradient: gradient)
    assert encoder._threads(torch.empty(40, 3), 10) == 1
    handle.remove()
    assert encoder._threads(torch.empty(40, 3), 10) == 2


def test_an_encoder_that_does_not_learn_keeps_nothing():
    model = build(MDJPTModel)
    model.channel_encoder.requires_grad_(False)
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: saved.append(tensor) or tensor, lambda kept: kept):
        features = model.channel_encoder(batch([3])["input_values"])
    assert not saved
    assert not features.requires_grad


def test_compiled_chunks_keep_a_part_of_what_they_compute(monkeypatch):
    kept, found, windows = [], [], batch([8])["input_values"]
    for share in (1.0, layers_mdjpt.KEPT_ACTIVATIONS):
        monkeypatch.setattr(layers_mdjpt, "KEPT_ACTIVATIONS", share)
        model, saved = build(MDJPTModel, hidden_size=16, intermediate_size=32), []
        torch._dynamo.reset()
        model.compile_encoder(backend="aot_eager_decomp_partition")
        with torch.autograd.graph.saved_tensors_hooks(
            lambda part, saved=saved: saved.append(part) or part, lambda x: x
        ):
            features = model.channel_encoder(windows)
        features.square().sum().backward()
        storages = {part.untyped_storage().data_ptr(): part.untyped_storage().nbytes() for part in saved}
        kept.append(sum(storages.values()))
        found.append([p.grad for p in model.channel_encoder.parameters()])
    close(found[1], found[0])
    assert kept[1] < 0.6 * kept[0]


@pytest.fixture
def rooms(monkeypatch):
    """Shapes of what was given room until the gradient is taken."""
    found, room = [], KeptActivations.room

    def noted(self, *shape, like):
        found.append(shape)
        return room(self, *shape, like=like)

    monkeypatch.setattr(KeptActivations, "room", noted)
    return found


def test_compiled_chunks_that_keep_little_keep_three_products_of_a_block(monkeypatch, two_threads, rooms, caplog):
    monkeypatch.setattr(chunks_mdjpt, "COMPILED_CPU_CHUNK_ELEMENTS", 2500)
    model, windows = build(hidden_size=16, intermediate_size=32, num_hidden_layers=2), batch([4])
    wanted, others = step(model, **windows), step(model, **batch([5]))
    model.keep_little()
    torch._dynamo.reset()
    torch._logging._internal.warning_once.cache_clear()
    model.compile_encoder(backend="aot_eager_decomp_partition")
    encoder = model.mdjpt.channel_encoder
    encoder._threaded = True
    close(step(model, **windows), wanted)
    tokens = encoder(windows["input_values"]).shape[-1]
    rows = chunks_mdjpt.chunk_length(torch.empty(1, tokens), 16, 6, compiled=True) * tokens
    chunks = 8 * 6 * tokens // rows
    assert rooms == [(rows, 16)] * 2 * 3 * chunks * 2  # of two blocks, and of the call that tells the tokens
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    with torch._dynamo.config.patch(error_on_recompile=True):
        close(step(model, **batch([5])), others)


@pytest.fixture
def little():
    """An encoder that keeps little, compiled, with one chunk."""
    model = build(MDJPTModel)
    model.keep_little()
    torch._dynamo.reset()
    model.compile_encoder(backend="aot_eager_decomp_partition")
    return model


@pytest.mark.parametrize("changed", ["weights", "windows"])
def test_what_changes_before_its_gradient_is_taken_is_an_error(little, rooms, changed):
    windows = batch([2])["input_values"]
    loss = little(windows).pooler_output.square().sum()
    assert rooms
    with torch.no_grad():
        (windows if changed == "windows" else little.channel_encoder.layers[0].out_proj.weight).mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_hooks_of_modules_meet_compiled_code_that_keeps_as_it_likes(little, rooms):
    seen = []
    little.channel_encoder.layers[0].register_forward_hook(lambda layer, given, result: seen.append(result.shape))
    little(batch([2])["input_values"]).pooler_output.square().sum().backward()
    assert seen and not rooms


def test_the_same_products_are_kept_where_first_weights_do_not_learn(rooms):
    model = build(MDJPTModel, hidden_size=16, intermediate_size=32, num_hidden_layers=2)
    model.channel_encoder.read_in.requires_grad_(False)
    model.keep_little()
    torch._dynamo.reset()
    model.compile_encoder(backend="aot_eager_decomp_partition")
    model(batch([2])["input_values"]).pooler_output.square().sum().backward()
    assert {size for _, size in rooms} == {16}  # none of the feed-forward, which are twice as wide


def test_torch_that_cannot_tell_an_export_makes_two_products_more(monkeypatch):
    """Below 2.8 the answer is always yes, and query, key and value are products of their own."""
    ends = (True, True, False, True)
    for answer, products in ((False, 1), (True, 3)):
        monkeypatch.setattr(layers_mdjpt, "is_exporting", lambda answer=answer: answer)
        assert layers_mdjpt.MLLALayer.kept_products() == (False, False, *[False] * products, *ends)


def test_a_copy_of_a_compiled_encoder_has_weights_of_its_own():
    model, windows = build(MDJPTModel), batch([2])["input_values"]
    model.compile_encoder(backend="eager")
    model(windows)
    other = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.5)
    plain = build(MDJPTModel)
    plain.load_state_dict(other.state_dict())
    close([other(windows).pooler_output], [plain(windows).pooler_output])


def test_the_authors_block_has_no_products_to_keep(rooms):
    model, windows = build(block="released"), batch([2])
    wanted = step(model, **windows)
    model.keep_little()
    model.compile_encoder(backend="eager")
    close(step(model, **windows), wanted)
    assert not rooms


def test_the_compiler_takes_its_own_arguments(monkeypatch):
    given = []
    monkeypatch.setattr(torch, "compile", lambda function, **options: given.append(options) or function)
    for options in ({}, {"mode": "max-autotune"}, {"backend": "eager"}, {"options": {"cpp_wrapper": False}}):
        build(MDJPTModel).compile_encoder(**options)
    common = {"fullgraph": True, "dynamic": False}
    assert given[::2] == given[1::2]  # also where little is kept
    assert given[0] == {**common, "options": {"cpp_wrapper": True}}
    assert given[2:6:2] == [{**common, "mode": "max-autotune"}, {**common, "backend": "eager"}]
    assert given[6] == {**common, "options": {"cpp_wrapper": False}}


@pytest.mark.skipif(not hasattr(torch.compiler, "is_exporting"), reason="one graph of any size needs torch 2.8")
def test_a_model_compiled_whole_is_equal_and_compiled_once():
    model = build()
    wanted = [step(model, **batch(stimuli)) for stimuli in STEPS]
    torch._dynamo.reset()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True, dynamic=True)
    close(step(model, compiled, **batch(STEPS[0])), wanted[0])
    with torch._dynamo.config.patch(error_on_recompile=True):
        for stimuli, expected in zip(STEPS[1:], wanted[1:], strict=True):
            close(step(model, compiled, **batch(stimuli)), expected)


@torch.no_grad()
def test_weights_compiled_in_give_the_same_features():
    model, windows = build(MDJPTModel).float().eval(), batch([3])["input_values"].float()
    wanted = model(windows).pooler_output
    model.compile_encoder(for_inference=True)
    found = model(windows).pooler_output
    assert (found - wanted).norm() < 1e-5 * wanted.norm()
    assert torch.equal(found, model(windows).pooler_output)


@pytest.mark.parametrize("compiled", [False, True])
def test_chunks_divide_the_channels_or_are_whole_windows(monkeypatch, compiled):
    sequences = torch.empty(6 * 7, 10, 1)
    for elements in (1, 39, 80, 159, 350, 1300, 10**6):
        monkeypatch.setattr(chunks_mdjpt, "CPU_CHUNK_ELEMENTS", elements)
        monkeypatch.setattr(chunks_mdjpt, "COMPILED_CPU_CHUNK_ELEMENTS", elements)
        length = chunks_mdjpt.chunk_length(sequences, 8, 6, compiled)
        assert length * 80 <= max(elements, 80)
        assert 6 % length == 0 or (length % 6 == 0 and not compiled)


@torch.no_grad()
def test_fast_is_at_least_six_times_cheaper_and_gives_features_of_the_same_size():
    windows, flops = torch.randn(1, 60, 625), {}
    for preset in ("base", "fast"):
        model = MDJPTModel(MDJPTConfig.preset(preset)).eval()
        with FlopCounterMode(display=False) as counter:
            size = model(windows).pooler_output.shape[1]
        assert size == 512
        flops[preset] = counter.get_total_flops()
    assert flops["base"] > 6 * flops["fast"]
