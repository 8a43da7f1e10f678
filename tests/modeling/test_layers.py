"""Every layer against a slow version written from the method's equations: loops and sums in float64."""

import functools
import math
from itertools import product

import pytest
import torch
import torch.nn.functional as F

from mdjpt_hf.modeling import chunks_mdjpt, kernels_mdjpt
from mdjpt_hf.modeling.configuration_mdjpt import MDJPTConfig
from mdjpt_hf.modeling.layers_mdjpt import group_membership, group_normalise
from mdjpt_hf.modeling.modeling_mdjpt import MDJPTForPreTraining
from mdjpt_hf.modeling.moments_mdjpt import GroupMoments

GROUPS = torch.tensor([4, 9, 4, 4, 9])

#: Every size differs from every other, so that no two axes can be confused.
SIZES = {
    "sampling_rate": 20,
    "window_seconds": 3.5,
    "num_channels": 7,
    "patch_length": 10,
    "patch_stride": 4,
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 17,
    "feature_size": 5,
    "spatial_channels": 6,
    "filters_per_feature": 2,
    "dilations": [1, 3, 4],
    "map_attention_kernel": 4,
    "map_attention_pool": 3,
    "projector_pool": 2,
}


def settings(**overrides):
    return MDJPTConfig(**{**SIZES, **overrides})


def randomised(**overrides):
    """The whole model in float64, every parameter drawn anew: norms and biases must count too."""
    model = MDJPTForPreTraining(settings(**overrides)).double().eval()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return model


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def agree(found, wanted):
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-10)


# The method, slowly. `p` maps parameter names of one layer to tensors.


def named(layer):
    return {name: parameter.detach() for name, parameter in layer.named_parameters()}


def linear(x, p, name):
    bias = p.get(f"{name}.bias", torch.zeros((), dtype=x.dtype))
    return torch.einsum("...i,oi->...o", x, p[f"{name}.weight"]) + bias


def layer_norm(x, p, name):
    mean = x.mean(-1, keepdim=True)
    variance = ((x - mean) ** 2).mean(-1, keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt() * p[f"{name}.weight"] + p[f"{name}.bias"]


def silu(x):
    return x / (1 + torch.exp(-x))


def gelu(x):
    return x * (1 + torch.erf(x / math.sqrt(2))) / 2


def phi(z):
    return torch.where(z > 0, z + 1, torch.exp(z.clamp_max(0)))


def depthwise_over_tokens(x, p, name):
    """(S, N, D), kernel 3, zero padding 1, one filter per feature."""
    weight, bias = p[f"{name}.weight"], p[f"{name}.bias"]
    out = torch.zeros_like(x)
    for token, tap in product(range(x.shape[1]), range(3)):
        if 0 <= token + tap - 1 < x.shape[1]:
            out[:, token] += weight[:, 0, tap] * x[:, token + tap - 1]
    return out + bias


def linear_attention(x, p, heads, eps=1e-5, prefix=""):
    S, N, D = x.shape
    size = D // heads
    weights, biases = p[f"{prefix}qkv.weight"].split(D), p[f"{prefix}qkv.bias"].split(D)
    q, k, v = (x @ weight.T + bias for weight, bias in zip(weights, biases, strict=True))
    out = torch.zeros_like(x)
    for s, h, i in product(range(S), range(heads), range(N)):
        part = slice(h * size, (h + 1) * size)
        closeness = [phi(q[s, i, part]) @ phi(k[s, j, part]) for j in range(N)]
        total = sum(c * v[s, j, part] for j, c in enumerate(closeness))
        out[s, i, part] = total / (sum(closeness) + eps)
    return linear(out, p, f"{prefix}out_proj")


def mlla_block(x, p, heads, ffn_norm):
    x = x + depthwise_over_tokens(x, p, "conv_before")
    r, h = x, layer_norm(x, p, "norm")
    g = silu(linear(h, p, "gate_proj"))
    u = silu(depthwise_over_tokens(linear(h, p, "in_proj"), p, "conv_inside"))
    x = r + linear(linear_attention(u, p, heads, prefix="attention.") * g, p, "out_proj")
    x = x + depthwise_over_tokens(x, p, "conv_after")
    h = layer_norm(x, p, "ffn_norm") if ffn_norm else x
    return x + linear(gelu(linear(h, p, "ffn_in")), p, "ffn_out")


def released_block(x, p):
    x = x + depthwise_over_tokens(x, p, "conv_before")
    return silu(depthwise_over_tokens(linear(layer_norm(x, p, "norm"), p, "in_proj"), p, "conv_inside"))


def patches(windows, length, stride):
    count = (windows.shape[-1] - length) // stride + 1
    return torch.stack([windows[..., n * stride : n * stride + length] for n in range(count)], dim=-2)


def channel_encoder(windows, encoder, config):
    p, out = named(encoder), []
    for window in windows:  # (C, T)
        x = linear(patches(window, config.patch_length, config.patch_stride), p, "read_in")
        for layer in encoder.layers:
            block = mlla_block if config.block == "mlla" else released_block
            extra = (config.num_attention_heads, config.ffn_norm) if config.block == "mlla" else ()
            x = block(x, named(layer), *extra)
        out.append(linear(x, p, "read_out").permute(2, 0, 1))
    return torch.stack(out)


def group_norm(values, ids, eps=1e-3):
    out = torch.zeros_like(values)
    for group in set(ids.tolist()):
        members = [index for index, one in enumerate(ids.tolist()) if one == group]
        for place in product(*(range(size) for size in values.shape[1:-1])):
            samples = torch.cat([values[(index, *place)] for index in members])
            mean = samples.sum() / len(samples)
            std = (((samples - mean) ** 2).sum() / (len(samples) - 1)).sqrt()
            for index in members:
                out[(index, *place)] = (values[(index, *place)] - mean) / (std + eps)
    return out


def spatial_projection(features, p):
    out = torch.einsum("oc,bfcn->bfon", p["weight"], features)
    return (out + p["bias"][None, None, :, None]).clamp_min(0)


def dilated_maps(features, p, dilations):
    """Grouped 2-D convolutions; the padding in time is p = (taps - 1) * dilation, floor(p / 2) of it on the left."""
    f, taps, out = features.shape[1], p["weight"].shape[-1], []
    for index, dilation in enumerate(dilations):
        padding = (taps - 1) * dilation
        padded = F.pad(features, (padding // 2, padding - padding // 2))
        weight = p["weight"][index].flatten(0, 1).unsqueeze(1)  # (f * m, 1, S, taps)
        bias = p["bias"][index].flatten()
        out.append(F.conv2d(padded, weight, bias, dilation=(1, dilation), groups=f).squeeze(2))
    return torch.cat(out, dim=1)


def causal_attention(maps, p, pool):
    B, M, N = maps.shape
    kernel = p["attention_conv.weight"].shape[-1]
    smooth = torch.zeros_like(maps)
    for n, tap in product(range(N), range(kernel)):
        if n - (kernel - 1) + tap >= 0:
            smooth[..., n] += p["attention_conv.weight"][:, 0, tap] * maps[..., n - (kernel - 1) + tap]
    smooth = (smooth + p["attention_conv.bias"][:, None]).clamp_min(0)
    pooled = torch.stack([smooth[..., max(0, n - pool + 1) : n + 1].sum(-1) / pool for n in range(N)], -1)
    scores = torch.einsum("om,bmn->bon", p["attention_mix.weight"], pooled)
    scores = torch.exp(scores + p["attention_mix.bias"][:, None])
    return scores / scores.sum(dim=1, keepdim=True)


def dynamics(features, p, config):
    maps = dilated_maps(features, p, config.dilations)
    return causal_attention(maps, p, config.map_attention_pool) * maps.clamp_min(0)


def projector(maps, ids, p, pool):
    length = maps.shape[-1] // pool
    x = torch.stack([maps[..., n * pool : (n + 1) * pool].mean(-1) for n in range(length)], -1)
    x = group_norm(x, ids)
    for name in ("conv_first", "conv_second"):
        weight, bias = p[f"{name}.weight"], p[f"{name}.bias"]
        taps = weight.shape[-1]
        steps = range(x.shape[-1] - taps + 1)
        x = torch.stack([(weight[:, 0] * x[..., n : n + taps]).sum(-1) + bias for n in steps], -1)
        x = x.clamp_min(0)
    x = group_norm(x, ids).reshape(len(maps), -1)  # map-major
    return x / (x**2).sum(-1, keepdim=True).sqrt()


# Layers


@pytest.mark.parametrize("tokens", [1, 2, 6])
def test_token_convolution(tokens):
    layer = randomised().mdjpt.channel_encoder.layers[0].conv_before
    x = noise(4, tokens, 12)
    wanted = depthwise_over_tokens(x, {"c.weight": layer.weight, "c.bias": layer.bias}, "c")
    agree(layer(x), wanted)
    agree(layer(x.transpose(0, 1).contiguous().transpose(0, 1)), wanted)


def test_linear_attention():
    attention = randomised().mdjpt.channel_encoder.layers[0].attention
    x = 2 * noise(2, 6, 12)
    agree(attention(x), linear_attention(x, named(attention), heads=3))
    attention.eps = 0.3
    agree(attention(x), linear_attention(x, named(attention), heads=3, eps=0.3))


@pytest.mark.parametrize("ffn_norm", [True, False])
@pytest.mark.parametrize("index", [0, 1])
def test_block_of_the_paper(index, ffn_norm):
    layer = randomised(ffn_norm=ffn_norm).mdjpt.channel_encoder.layers[index]
    assert (layer.ffn_out.bias is None) == (index == 1)
    x = noise(3, 6, 12)
    agree(layer(x), mlla_block(x, named(layer), 3, ffn_norm))


def test_block_of_the_released_program():
    layer = randomised(block="released").mdjpt.channel_encoder.layers[0]
    x = noise(3, 6, 12)
    agree(layer(x), released_block(x, named(layer)))
    assert {name.split(".")[0] for name in named(layer)} == {"conv_before", "norm", "in_proj", "conv_inside"}


@pytest.mark.parametrize("block", ["mlla", "released"])
@pytest.mark.parametrize("chunk_elements", [1, 700, 2**19])
def test_channel_encoder(monkeypatch, block, chunk_elements):
    monkeypatch.setattr(chunks_mdjpt, "CPU_CHUNK_ELEMENTS", chunk_elements)
    model = randomised(block=block)
    encoder, windows = model.mdjpt.channel_encoder, noise(2, 7, 33)
    assert encoder(windows).shape == (2, 5, 7, 6)  # the last 3 samples fill no patch
    agree(encoder(windows), channel_encoder(windows, encoder, model.config))


@pytest.mark.parametrize("ids", [GROUPS, torch.zeros(5, dtype=torch.long), torch.arange(5), None])
def test_group_normalisation(ids):
    values = 3 * noise(5, 2, 3, 4) + 7
    alone = torch.arange(5) if ids is None else ids
    found = group_normalise(values, group_membership(ids, values), 1e-3)
    agree(found, group_norm(values, alone))


def test_group_normalisation_accumulated_in_passes():
    values, ids = 3 * noise(7, 2, 3, 4) + 1e4, torch.tensor([0, 1, 0, 0, 1, 1, 0])
    moments = GroupMoments(1e-3)
    for start, end in ((0, 1), (1, 3), (3, 7)):
        moments.add(values[start:end], ids[start:end])
    wanted = group_norm(values, ids)
    found = [moments.normalise(values[s:e], ids[s:e]) for s, e in ((0, 4), (4, 7))]
    torch.testing.assert_close(torch.cat(found), wanted, rtol=1e-7, atol=1e-7)


def test_group_normalisation_keeps_the_dtype_and_does_its_sums_in_float32():
    values = (noise(5, 2, 3, 40) + 4).to(torch.bfloat16)
    wanted = group_norm(values.double(), GROUPS)
    found = group_normalise(values, group_membership(GROUPS, values), 1e-3)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.double(), wanted, rtol=5e-3, atol=1e-6)
    moments, ids = GroupMoments(1e-3), GROUPS.eq(9).long()
    moments.add(values, ids)
    found = moments.normalise(values, ids)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.double(), wanted, rtol=5e-3, atol=1e-6)


def test_a_constant_position_becomes_zero_with_finite_gradients():
    values = torch.full((3, 2, 5), 0.1, requires_grad=True)
    normalised = group_normalise(values, group_membership(torch.tensor([0, 0, 1]), values), 1e-3)
    normalised.square().sum().backward()
    assert normalised.abs().max() < 1e-3
    assert values.grad.isfinite().all()


def test_a_single_token_is_normalised_to_zero():
    values = noise(3, 2, 1)
    agree(group_normalise(values, None, 1e-3), torch.zeros_like(values))
    moments, ids = GroupMoments(1e-3), torch.arange(3)
    moments.add(values, ids)
    agree(moments.normalise(values, ids), torch.zeros_like(values))


def test_spatial_projection():
    projection, features = randomised().mdjpt.spatial_projection, noise(2, 5, 7, 9)
    agree(projection(features), spatial_projection(features, named(projection)))


@pytest.mark.parametrize("overrides", [{}, {"filter_taps": 5}, {"filter_taps": 1}, {"dilations": [12, 2]}])
def test_dilated_convolutions(overrides):
    layer, features = randomised(**overrides).mdjpt.dynamics, noise(2, 5, 6, 11)
    agree(layer._convolve(features), dilated_maps(features, named(layer), layer.dilations))


def test_spatiotemporal_dynamics():
    model = randomised()
    layer, features = model.mdjpt.dynamics, noise(2, 5, 6, 11)
    agree(layer(features), dynamics(features, named(layer), model.config))
    maps = layer._convolve(features)
    agree(layer._attention(maps), causal_attention(maps, named(layer), 3))


def test_attention_over_maps_never_looks_ahead():
    layer, maps = randomised().mdjpt.dynamics, noise(2, 30, 11)
    later = maps.clone()
    later[..., 6:] += 5
    before, after = layer._attention(maps), layer._attention(later)
    agree(after[..., :6], before[..., :6])
    assert (after[..., 6] - before[..., 6]).abs().max() > 1e-3
    agree(before.sum(dim=1), torch.ones(2, 11, dtype=torch.float64))


@pytest.mark.parametrize("tokens", [12, 13, 16])
def test_projector(tokens):
    layer, maps = randomised().projector, noise(5, 30, tokens)
    found = layer(maps, group_membership(GROUPS, maps))
    assert found.shape == (5, 30 * (tokens // 2 - 4))
    agree(found, projector(maps, GROUPS, named(layer), pool=2))


@pytest.mark.parametrize("overrides", [{}, {"block": "released"}])
def test_whole_model(overrides):
    model, windows = randomised(**overrides), noise(3, 7, 57)
    config, base, ids = model.config, model.mdjpt, GROUPS[:3]
    features = group_norm(channel_encoder(windows, base.channel_encoder, config), ids)
    channel_features = spatial_projection(features, named(base.spatial_projection))
    maps = dynamics(group_norm(channel_features, ids), named(base.dynamics), config)
    with torch.no_grad():
        found, embedded = base(windows, ids), model(windows, ids)
    agree(found.channel_features, channel_features)
    agree(found.last_hidden_state, maps.transpose(1, 2))
    agree(found.pooler_output, maps.sum(-1) / maps.shape[-1])
    agree(embedded.embeddings, projector(maps, ids, named(model.projector), config.projector_pool))


# Kernels with gradients of their own


def conv_inputs(tokens=4):
    shapes = (2, tokens, 3), (3, 1, 3), (3,)
    return [noise(*shape, seed=seed).requires_grad_() for seed, shape in enumerate(shapes)]


def plain_conv(tokens, weight, bias):
    return F.conv1d(tokens.transpose(1, 2), weight, bias, padding=1, groups=len(bias)).transpose(1, 2)


@pytest.mark.parametrize("tokens", [1, 2, 4])
def test_gradients_of_the_token_convolution(tokens):
    assert torch.autograd.gradcheck(kernels_mdjpt.token_conv, conv_inputs(tokens))
    upstream = noise(2, tokens, 3, seed=9)
    found = torch.autograd.grad(kernels_mdjpt.token_conv(*(ours := conv_inputs(tokens))), ours, upstream)
    wanted = torch.autograd.grad(plain_conv(*(plain := conv_inputs(tokens))), plain, upstream)
    for one, other in zip(found, wanted, strict=True):
        agree(one, other)


def attention_inputs(tokens=4, size=8, spread=1.0):
    return [(spread * noise(3, tokens, size, seed=seed)).requires_grad_() for seed in (4, 5, 6)]


def plain_attention(query, key, value, heads, eps):
    """One head, one query at a time."""
    parts = [part.chunk(heads, dim=-1) for part in (phi(query), phi(key), value)]
    attended = []
    for q, k, v in zip(*parts, strict=True):
        scores = q @ k.transpose(1, 2)  # every query against every key
        attended.append(scores @ v / (scores.sum(-1, keepdim=True) + eps))
    return torch.cat(attended, dim=-1)


# sizes on both sides of HEAD_BLOCK: heads alone, several together, all together
@pytest.mark.parametrize(("size", "heads"), [(8, 1), (8, 4), (24, 4), (48, 6), (64, 4), (40, 2)])
@pytest.mark.parametrize("tokens", [1, 5])
def test_linear_attention_and_its_gradients(size, heads, tokens):
    ours, plain = attention_inputs(tokens, size, 2.0), attention_inputs(tokens, size, 2.0)
    found = kernels_mdjpt.linear_attention(*ours, heads, 0.1)
    wanted = plain_attention(*plain, heads, 0.1)
    agree(found, wanted)
    upstream = noise(size, 3, tokens, seed=9).permute(1, 2, 0)  # arrives in another memory order
    for one, other in zip(
        torch.autograd.grad(found, ours, upstream), torch.autograd.grad(wanted, plain, upstream), strict=True
    ):
        agree(one, other)


@pytest.mark.parametrize(("size", "heads"), [(8, 4), (64, 8), (96, 2), (40, 2)])  # on both sides of EXPORTED_BLOCK
def test_an_exported_graph_has_the_same_attention(size, heads):
    class Attend(torch.nn.Module):
        def forward(self, query, key, value):
            return kernels_mdjpt.linear_attention(query, key, value, heads, 0.1)

    inputs = [part.detach() for part in attention_inputs(5, size, 2.0)]
    exported = torch.export.export(Attend(), tuple(inputs)).module()
    agree(exported(*inputs), plain_attention(*inputs, heads, 0.1))


@pytest.mark.parametrize("kernel", ["attention", "z-score"])
def test_a_second_derivative_that_is_not_known_is_refused(kernel):
    """Saved are results, not what they came from: autograd would go on as if they were constants."""
    query, key, value = attention_inputs()
    if kernel == "attention":
        result = kernels_mdjpt.linear_attention(query, key, value, 2, 1e-3)
    else:
        result = kernels_mdjpt.group_z_score(query, None, 1e-3)
    (first,) = torch.autograd.grad(result.pow(3).sum(), query, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        first.square().sum().backward()


def test_gradients_of_linear_attention_by_differences():
    assert torch.autograd.gradcheck(lambda *x: kernels_mdjpt.linear_attention(*x, 2, 1e-3), attention_inputs())


def test_attention_far_from_zero_stays_finite():
    extreme = torch.tensor([-800.0, -90.0, 0.0, 90.0, 1e8])
    inputs = [extreme.repeat(1, 3, 1).requires_grad_() for _ in range(3)]
    attended = kernels_mdjpt.linear_attention(*inputs, 5, 1e-5)
    attended.sum().backward()
    # alone in its head, every value is attended to in full, except where the weights vanish beside eps
    torch.testing.assert_close(attended[0, 0, 2:].detach(), extreme[2:], rtol=1e-4, atol=1e-4)
    assert attended[0, 0, :2].abs().max() < 1e-6
    assert all(part.grad.isfinite().all() for part in inputs)


@pytest.mark.parametrize("grouped", [True, False])
def test_gradients_of_the_group_z_score(grouped):
    ids = torch.tensor([0, 1, 0, 1, 0])
    membership = (ids[:, None] == ids).double() if grouped else None
    x = noise(5, 2, 3, 4)
    x[:, 1, 2] = 0.25  # a position without spread
    eps = 0.1

    def score(values):
        return kernels_mdjpt.group_z_score(values, membership, eps)

    upstream, values = noise(4, 5, 2, 3, seed=9).permute(1, 2, 3, 0), x.clone().requires_grad_()
    scores = score(values)
    agree(scores, group_norm(x, ids if grouped else torch.arange(5), eps))
    (found,) = torch.autograd.grad(scores, values, upstream)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.compiler, "is_compiling", lambda: True)
        plain = score(values)
    assert type(plain.grad_fn) is not type(scores.grad_fn)
    agree(found, torch.autograd.grad(plain, values, upstream)[0])
    varying = x[:, 0].clone().requires_grad_()
    assert torch.autograd.gradcheck(score, [varying])


def test_gradients_arriving_in_another_memory_order():
    upstream = noise(3, 2, 4, seed=9).permute(1, 2, 0)
    found = torch.autograd.grad(kernels_mdjpt.token_conv(*(ours := conv_inputs())), ours, upstream)
    wanted = torch.autograd.grad(plain_conv(*(plain := conv_inputs())), plain, upstream)
    for one, other in zip(found, wanted, strict=True):
        agree(one, other)


def test_compiled_graphs_use_the_same_formulas(monkeypatch):
    x = conv_inputs()
    attend = functools.partial(kernels_mdjpt.linear_attention, *attention_inputs(size=24), 4, 1e-3)
    eager = kernels_mdjpt.token_conv(*x), attend()
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    compiled = kernels_mdjpt.token_conv(*x), attend()
    for one, other in zip(eager, compiled, strict=True):
        agree(one, other)
        assert type(one.grad_fn) is not type(other.grad_fn)  # another path was taken
