"""The authors' released mdJPT program written out the slow, obvious way, for tests and benchmarks.

Written from the method's equations and from the observed behaviour of the program, never from its code. It computes
everything, including what the program throws away, with the parameter names and shapes of its checkpoints. No line
of it is shared with the package.
"""

import math
import zlib

import numpy as np
import torch
import torch.nn.functional as F

EPS_STD, EPS_ATTENTION = 1e-3, 1e-5


# --- weights and inputs that anybody can make again ----------------------------------------------------------------


def seeded_parameter(tag: str, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """One parameter of the checkpoint, float32."""
    values = seeded_input(tag, name, shape)
    if len(shape) > 1:
        values *= 1.5 / np.sqrt(int(np.prod(shape[1:])))
    elif len(shape) == 1 and "norm" in name and name.endswith("weight"):
        values = 1 + 0.1 * values
    elif len(shape) == 0:
        values = np.float32(0.25)
    else:
        values *= 0.1
    return values


def seeded_input(tag: str, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal float32 numbers."""
    rng = np.random.default_rng(zlib.crc32(f"{tag}:{name}".encode()))
    return rng.standard_normal(shape).astype(np.float32)


def released_shapes(
    depth=2, hidden=128, patch=32, wide=256, features=32, virtual=64, filters=4, taps=3, kernel=15, kernels=4
) -> dict[str, tuple[int, ...]]:
    """Every parameter of a checkpoint with its shape."""
    maps = features * filters * kernels
    weights = {
        "uni_mlp.fc": (virtual, 60),
        "MLLA.encoder.read_in": (hidden, patch),
        "MLLA.encoder.read_out": (features, hidden),
    }
    scales = []
    for block in (f"MLLA.encoder.blocks.{index}" for index in range(depth)):
        scales.append(f"{block}.self_attn.lnr_attn.scale")
        square = ("self_attn.W_Q", "self_attn.W_K", "self_attn.W_V", "self_attn.to_out.0")
        weights |= {f"{block}.{name}": (hidden, hidden) for name in (*square, "act_proj", "in_proj", "out_proj")}
        weights |= {f"{block}.ff.0": (wide, hidden), f"{block}.ff.3": (hidden, wide)}
        weights |= {f"{block}.{name}": (hidden, 1, 3) for name in ("cpe1", "cpe2", "dwc")}
        weights |= {f"{block}.{name}": (hidden,) for name in ("norm1", "norm2")}
    weights["cnn_encoder.timeConv"] = (features, 1, 1, 30)
    for number in range(1, kernels + 1):
        weights[f"cnn_encoder.msConv{number}"] = (features * filters, 1, virtual, taps)
    weights |= {"cnn_encoder.att_conv": (maps, 1, 1, kernel), "cnn_encoder.att_pointConv": (maps, maps, 1, 1)}
    weights |= {f"cnn_encoder.timeConv{number}": (maps, 1, 1, taps) for number in (1, 2)}
    shapes = {f"{name}.weight": shape for name, shape in weights.items()}
    shapes |= {f"{name}.bias": shape[:1] for name, shape in weights.items()}
    return shapes | {name: () for name in scales}


def seeded_state(tag: str, shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """A whole `state_dict`."""
    return {name: torch.tensor(seeded_parameter(tag, name, tuple(shape))) for name, shape in shapes.items()}


# --- the network ---------------------------------------------------------------------------------------------------


def released_program(state, windows, groups, *, stride=6, heads=8, dilations=(1, 3, 6, 12), pool=15) -> dict:
    """All outputs for windows `(B, 60, T)` with group ids `(B,)`, in the dtype of the windows."""
    state = {name: tensor.to(windows.dtype) for name, tensor in state.items()}
    encoded = normalise_groups(encode_channels(state, windows, stride, heads), groups)
    mixed = torch.einsum("sc,bcnd->bdsn", state["uni_mlp.fc.weight"], encoded)
    channel_features = F.relu(mixed + state["uni_mlp.fc.bias"][:, None])  # (B, d, 64, N)
    normal = normalise_groups(channel_features.movedim(-1, 2), groups).movedim(2, -1)
    weighted = dynamics(state, normal, dilations, pool)  # (B, maps, N)
    return {
        "encoded": encoded,
        "channel_features": channel_features,
        "features": weighted.mean(dim=-1),
        "embedding": project(state, weighted, groups, pool),
    }


def linear(state, name, x):
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def token_conv(state, name, x):
    weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
    return F.conv1d(x.transpose(1, 2), weight, bias, padding=1, groups=len(weight)).transpose(1, 2)


def normalise_groups(values, groups):
    """`(B, position, N, ...)`: z-score over the windows (axis 0) and tokens (axis 2) of every group."""
    out = torch.empty_like(values)
    for group in groups.unique():
        own = values[groups == group]
        mean, std = own.mean(dim=(0, 2), keepdim=True), own.std(dim=(0, 2), keepdim=True)
        out[groups == group] = (own - mean) / (std + EPS_STD)
    return out


def encode_channels(state, windows, stride, heads):
    """`(B, C, T)` -> `(B, C, N, d)`."""
    B, C, _ = windows.shape
    patch = state["MLLA.encoder.read_in.weight"].shape[1]
    x = linear(state, "MLLA.encoder.read_in", windows.reshape(B * C, -1).unfold(-1, patch, stride))
    index = 0
    while f"MLLA.encoder.blocks.{index}.norm1.weight" in state:
        x = released_block(state, f"MLLA.encoder.blocks.{index}", x, heads)
        index += 1
    return linear(state, "MLLA.encoder.read_out", x).view(B, C, x.shape[1], -1)


def released_block(state, block, x, heads):
    x = x + token_conv(state, f"{block}.cpe1", x)
    residual = x
    h = F.layer_norm(x, x.shape[-1:], state[f"{block}.norm1.weight"], state[f"{block}.norm1.bias"])
    gate = F.silu(linear(state, f"{block}.act_proj", h))
    u = F.silu(token_conv(state, f"{block}.dwc", linear(state, f"{block}.in_proj", h)))
    x = residual + linear(state, f"{block}.out_proj", attention(state, block, u, heads) * gate)
    x = x + token_conv(state, f"{block}.cpe2", x)
    x = x + linear(state, f"{block}.ff.3", F.gelu(linear(state, f"{block}.ff.0", x)))
    return u  # x, the paper's result, is thrown away


def attention(state, block, u, heads):
    S, N, D = u.shape
    q, k, v = (linear(state, f"{block}.self_attn.W_{x}", u).view(S, N, heads, D // heads) for x in "QKV")
    q, k = F.elu(q) + 1, F.elu(k) + 1
    above = torch.einsum("snhi,shij->snhj", q, torch.einsum("snhi,snhj->shij", k, v))
    below = torch.einsum("snhi,shi->snh", q, k.sum(dim=1))
    return linear(state, f"{block}.self_attn.to_out.0", (above / (below + EPS_ATTENTION)[..., None]).reshape(S, N, D))


def dynamics(state, features, dilations, pool):
    """`(B, d, S, N)` -> `(B, maps, N)`."""
    maps = []
    for number, dilation in enumerate(dilations, start=1):
        weight, bias = (state[f"cnn_encoder.msConv{number}.{kind}"] for kind in ("weight", "bias"))
        padding = (weight.shape[-1] - 1) * dilation
        padded = F.pad(features, (padding // 2, padding - padding // 2))
        maps.append(F.conv2d(padded, weight, bias, dilation=(1, dilation), groups=features.shape[1]))
    maps = torch.cat(maps, dim=1)  # (B, maps, 1, N)
    kernel = state["cnn_encoder.att_conv.weight"]
    padded = F.pad(maps, (kernel.shape[-1] - 1, 0))
    scores = F.relu(F.conv2d(padded, kernel, state["cnn_encoder.att_conv.bias"], groups=maps.shape[1]))
    scores = F.avg_pool2d(F.pad(scores, (pool - 1, 0)), (1, pool), stride=1)
    scores = F.conv2d(scores, state["cnn_encoder.att_pointConv.weight"], state["cnn_encoder.att_pointConv.bias"])
    return (scores.softmax(dim=1) * F.relu(maps)).squeeze(2)


def project(state, weighted, groups, pool):
    """`(B, maps, N)` -> `(B, embedding)`."""
    z = normalise_groups(F.avg_pool1d(weighted, pool), groups)
    for number in (1, 2):
        weight, bias = (state[f"cnn_encoder.timeConv{number}.{kind}"] for kind in ("weight", "bias"))
        z = F.relu(F.conv1d(z, weight[:, :, 0], bias, groups=len(weight)))
    z = normalise_groups(z, groups).flatten(1)
    return z / z.norm(dim=1, keepdim=True)


# --- losses --------------------------------------------------------------------------------------------------------


def contrastive_loss(embedding, temperature=0.07) -> float:
    """NT-Xent of one dataset: the first half is one subject, the second half the other, same order of clips."""
    count = len(embedding)
    total = 0.0
    for i in range(count):
        positive = (i + count // 2) % count
        logits = [float(embedding[i] @ embedding[j]) / temperature for j in range(count) if j != i]
        highest = max(logits)
        normaliser = highest + math.log(sum(math.exp(logit - highest) for logit in logits))
        total += normaliser - float(embedding[i] @ embedding[positive]) / temperature
    return total / count


def alignment_loss(channel_features, groups, scrambled: bool) -> float:
    """log(1 + the distances of all pairs of group covariances), summed over features."""
    tokens = channel_features.shape[-1]
    centred = channel_features - channel_features.mean(dim=-1, keepdim=True)
    if scrambled:  # written as (time, channel), then read as if it were (channel, time)
        centred = centred.transpose(-1, -2).contiguous().view(channel_features.shape)
    covariance = torch.einsum("bdit,bdjt->bdij", centred, centred) / (tokens - 1)
    covariance[..., range(covariance.shape[-1]), range(covariance.shape[-1])] = 0
    means = [covariance[groups == group].mean(dim=0) for group in groups.unique()]
    total = 0.0
    for s, first in enumerate(means):
        for second in means[s + 1 :]:
            total += sum(float((a - b).square().sum().sqrt()) for a, b in zip(first, second, strict=True))
    return math.log(1 + total)


# --- channels, normalisation and smoothing -------------------------------------------------------------------------


def project_channels(ranking: list[list[str]], names: list[str], signal: np.ndarray) -> np.ndarray:
    """Recorded `(..., C, T)` -> standard `(..., 60, T)`; `ranking` is the file of neighbours, row by row."""
    index = {name.upper(): position for position, name in enumerate(names)}
    rows = []
    for channel, *neighbours in ranking:
        serving = [channel] if channel in index else [name for name in neighbours if name in index][:3]
        rows.append(np.mean([signal[..., index[name], :] for name in serving], axis=0))
    return np.stack(rows, axis=-2)


def normalise_online(x, mean0, variance0, decay=0.99) -> np.ndarray:
    out = np.empty(np.shape(x))
    for t in range(len(x)):
        past = np.asarray(x[: t + 1], dtype=np.float64)
        weight = decay**t
        mean, variance = past.mean(axis=0), past.var(axis=0)
        spread = weight * variance0 + (1 - weight) * variance + 1e-10
        out[t] = (past[t] - (weight * mean0 + (1 - weight) * mean)) / np.sqrt(spread)
    return out


def smooth_scalar(x, causal=False) -> np.ndarray:
    """Kalman filter, then the Rauch-Tung-Striebel smoother, of one feature."""
    mean, variance = (x[0] if causal else np.mean(x)), 0.01
    means, variances = [], []
    for t, value in enumerate(x):
        if t:
            variance = variance + 1e-4
        gain = variance / (variance + 1.0)
        mean, variance = mean + gain * (value - mean), (1 - gain) * variance
        means.append(mean)
        variances.append(variance)
    smoothed = list(means)
    for t in range(len(x) - 2, -1, -1) if not causal else ():
        smoothed[t] = means[t] + variances[t] / (variances[t] + 1e-4) * (smoothed[t + 1] - means[t])
    return np.array(smoothed)
