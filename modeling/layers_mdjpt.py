"""Layers of mdJPT, from the smallest to the whole stages (arXiv 2510.22197, section 3).

Words used here: a *window* is `(channels, samples)`; a *token* is one patch in time of one channel; a *feature* is one
of the encoder's outputs per token; a *map* is one output of the dilated convolutions; a *group* is the set of windows
of one subject's recording that are normalised together.

    input (batch, channels, samples)
      -> ChannelEncoder       (batch, features, channels, tokens)           one set of weights for every channel
      -> group normalisation
      -> SpatialProjection    (batch, features, spatial channels, tokens)   read by the covariance alignment
      -> group normalisation
      -> SpatiotemporalDynamics  (batch, maps, tokens)                      its mean over tokens is the feature vector
      -> Projector            (batch, embedding)                            pre-training only
"""

from collections.abc import Callable
from functools import partial
from itertools import chain
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from .chunks_mdjpt import FreeBlocks, KeptActivations, apply_in_chunks, chunk_length, fill_chunks
from .compatibility_mdjpt import (
    GradientCheckpointingLayer,
    activation_memory_budget,
    is_exporting,
    keep_products,
    without_advice_on_checkpoints,
)
from .configuration_mdjpt import MDJPTConfig
from .encoder_gradient_mdjpt import BlockParameters, BlockSettings, ReadParameters, encode_keeping_little
from .kernels_mdjpt import group_z_score, linear, linear_attention, token_conv

#: Share of its activations that compiled code keeps for the gradient: it holds matrix products and computes what lies
#: between them again, in the cache, which takes less time than bringing it from memory, and half the memory.
KEPT_ACTIVATIONS = 0.5

#: Windows whose maps are computed again at a time, where they are not kept.
AGAIN_AT_ONCE = 8


def group_membership(group_ids: torch.Tensor | None, reference: torch.Tensor) -> torch.Tensor | None:
    """Which windows share a group: `(batch, batch)` of 0 and 1, or None when every window is its own group.

    A matrix instead of `unique()` keeps compiled graphs whole.
    """
    if group_ids is None:
        return None
    return (group_ids[:, None] == group_ids[None, :]).to(device=reference.device, dtype=torch.float32)


def average_patches(states: torch.Tensor, num_samples: int, config: MDJPTConfig) -> torch.Tensor:
    """From patches to stretches of `config.token_samples`: means over the patches whose middle lies in a stretch.

    Args:
        states (`torch.Tensor` of shape `(batch, patches, size)`): One per patch.
        num_samples (`int`): Of the window.

    Returns:
        `torch.Tensor` of shape `(batch, num_samples // token_samples, size)`; a stretch without a patch of its own has
        the state of the nearest.
    """
    tokens, device = num_samples // config.token_samples, states.device
    middle = torch.arange(states.shape[1], device=device) * config.patch_stride + (config.patch_length - 1) / 2
    token = (torch.arange(tokens, device=device) + 0.5) * config.token_samples
    distance = (middle - token[:, None]).abs()
    own = distance <= config.token_samples / 2
    nearest = F.one_hot(distance.argmin(dim=1), states.shape[1]).bool()
    weights = torch.where(own.any(dim=1, keepdim=True), own, nearest).to(states.dtype)
    return (weights / weights.sum(dim=1, keepdim=True)) @ states


def group_normalise(values: torch.Tensor, membership: torch.Tensor | None, eps: float) -> torch.Tensor:
    """z-score every position over all windows and tokens of its group: `(x - mean) / (std + eps)`.

    Args:
        values (`torch.Tensor` of shape `(batch, ..., tokens)`): What to normalise; statistics are taken in float32.
        membership (`torch.Tensor` of shape `(batch, batch)`, *optional*): From [`group_membership`].
        eps (`float`): Added to the unbiased (n - 1) standard deviation.

    Returns:
        `torch.Tensor` of the same shape and dtype.
    """
    dtype = values.dtype
    with torch.autocast(values.device.type, enabled=False):
        values = values if dtype == torch.float64 else values.float()
        if membership is not None:
            membership = membership.to(values.dtype)
        return group_z_score(values, membership, eps).to(dtype)


class TokenConv(nn.Module):
    """Depth-wise convolution over tokens, 3 taps, zero padding: `(sequences, tokens, size)`, see [`token_conv`]."""

    def __init__(self, size: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(size, 1, 3))
        self.bias = nn.Parameter(torch.empty(size))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """`(sequences, tokens, size)` -> the same shape."""
        return token_conv(tokens, self.weight, self.bias)


class LinearAttention(nn.Module):
    """Softmax-free attention with kernel φ(z) = ELU(z) + 1, linear in the number of tokens (Han et al. 2024)."""

    def __init__(self, config: MDJPTConfig):
        super().__init__()
        self.num_heads = config.num_attention_heads
        self.eps = config.attention_eps
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.out_proj = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """`(sequences, tokens, hidden)` -> the same shape; every head attends to all tokens."""
        size = tokens.shape[-1]
        if torch.compiler.is_compiling() and not is_exporting():  # compilers do not place gradients as three need them
            query, key, value = self.qkv(tokens).chunk(3, dim=-1)
        else:
            # Three products instead of one: each part lies densely in memory, which everything behind it needs.
            parts = (slice(start, start + size) for start in range(0, 3 * size, size))
            query, key, value = (linear(tokens, self.qkv.weight[part], self.qkv.bias[part]) for part in parts)
        return self.out_proj(linear_attention(query, key, value, self.num_heads, self.eps))


class MLLALayer(nn.Module):
    """The paper's block: gated linear attention between local convolutions, then a feed-forward.

    Args:
        is_last (`bool`): The group normalisation behind the last block cancels a constant added to its output, so
            the last feed-forward has no output bias: it could never learn.
    """

    def __init__(self, config: MDJPTConfig, is_last: bool):
        super().__init__()
        size = config.hidden_size
        self.conv_before = TokenConv(size)
        self.norm = nn.LayerNorm(size)
        self.gate_proj = nn.Linear(size, size)
        self.in_proj = nn.Linear(size, size)
        self.conv_inside = TokenConv(size)
        self.attention = LinearAttention(config)
        self.out_proj = nn.Linear(size, size)
        self.conv_after = TokenConv(size)
        self.ffn_norm = nn.LayerNorm(size) if config.ffn_norm else nn.Identity()
        self.ffn_in = nn.Linear(size, config.intermediate_size)
        self.ffn_out = nn.Linear(config.intermediate_size, size, bias=not is_last)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """`(sequences, tokens, hidden)` -> the same shape."""
        tokens = tokens + self.conv_before(tokens)
        hidden = self.norm(tokens)
        gate = F.silu(self.gate_proj(hidden))
        value = F.silu(self.conv_inside(self.in_proj(hidden)))
        tokens = tokens + self.out_proj(self.attention(value) * gate)
        tokens = tokens + self.conv_after(tokens)
        return tokens + self.ffn_out(F.gelu(self.ffn_in(self.ffn_norm(tokens))))

    def settings(self) -> BlockSettings:
        """What the block computes with besides its weights."""
        norm = self.ffn_norm if isinstance(self.ffn_norm, nn.LayerNorm) else self.norm
        return BlockSettings(self.attention.num_heads, self.attention.eps, self.norm.eps, norm.eps)

    @staticmethod
    def kept_products() -> tuple[bool, ...]:
        """Of its matrix products in their order: whose results compiled code keeps where it is to keep little.

        They are the attention's answer and what is added to the tokens; every other is one product away from these or
        from the block's tokens.
        """
        gate, value, inner = False, False, False
        query_key_value = (False,) * (3 if is_exporting() else 1)  # as `LinearAttention` does
        answer, second, result = True, True, True
        return (gate, value, *query_key_value, answer, second, inner, result)

    def weights(self) -> BlockParameters:
        """Its weights by name."""
        attention, ffn_norm = self.attention, self.ffn_norm
        value_path = (self.conv_before, self.norm, self.gate_proj, self.in_proj, self.conv_inside, attention.qkv)
        way_out = (attention.out_proj, self.out_proj, self.conv_after, ffn_norm, self.ffn_in, self.ffn_out)
        parts: tuple[Any, ...] = (*value_path, *way_out)
        weights: list[Any] = [getattr(part, name, None) for part in parts for name in ("weight", "bias")]
        return BlockParameters(*weights)


class ReleasedLayer(nn.Module):
    """What the authors' program computes in place of its block: the value path alone.

    It returns `u` and discards the attention, the gate, both later residuals and the feed-forward, so this layer
    neither holds nor computes them.
    """

    def __init__(self, config: MDJPTConfig, is_last: bool):
        super().__init__()
        self.conv_before = TokenConv(config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size)
        self.in_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.conv_inside = TokenConv(config.hidden_size)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """`(sequences, tokens, hidden)` -> the same shape: the value path alone, as the authors' program returns it."""
        hidden = self.norm(tokens + self.conv_before(tokens))
        return F.silu(self.conv_inside(self.in_proj(hidden)))


class ChannelEncoder(nn.Module):
    """Tokens of every channel on its own, with shared weights: `(B, C, T)` -> `(B, features, C, tokens)`."""

    #: Set by `keep_little`: where it keeps what the gradient needs.
    free_blocks: FreeBlocks | None = None
    #: Set by `activation_checkpointing_enable`.
    gradient_checkpointing = False
    _encode_chunk: Callable[[torch.Tensor], torch.Tensor] | None = None
    _encode_chunk_keeping_little: Callable[[torch.Tensor], torch.Tensor] | None = None
    _threaded = False

    def __init__(self, config: MDJPTConfig):
        super().__init__()
        self.patch_length, self.patch_stride = config.patch_length, config.patch_stride
        self.read_in = nn.Linear(config.patch_length, config.hidden_size)
        layer = MLLALayer if config.block == "mlla" else ReleasedLayer
        last = config.num_hidden_layers - 1
        self.layers = nn.ModuleList(layer(config, is_last=index == last) for index in range(last + 1))
        # The bias would be cancelled by the group normalisation that follows; the released block carries none either.
        self.read_out = nn.Linear(config.hidden_size, config.feature_size, bias=False)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """`(batch, channels, samples)` -> `(batch, features, channels, tokens)`, not yet group-normalised."""
        B, C, _ = windows.shape
        sequences = windows.flatten(0, 1).unfold(-1, self.patch_length, self.patch_stride)  # (B*C, N, patch)
        N = sequences.shape[1]
        features = self._encode_in_chunks(sequences, C)  # (B*C, N, features)
        return features.view(B, C, N, -1).permute(0, 3, 1, 2)  # (B, features, C, N)

    def _encode(self, sequences: torch.Tensor, kept: KeptActivations | None = None) -> torch.Tensor:
        """Patches to features; with the gradient that keeps little, if there is room for what it `kept`."""
        if kept is not None:
            layers: Any = self.layers
            settings, blocks = [layer.settings() for layer in layers], [layer.weights() for layer in layers]
            read = ReadParameters(self.read_in.weight, self.read_in.bias, self.read_out.weight)
            return encode_keeping_little(sequences, settings, read, blocks, kept)
        tokens = self.read_in(sequences)
        for layer in self.layers:
            tokens = layer(tokens)
        return self.read_out(tokens)

    def _encode_keeping_products(self, sequences: torch.Tensor) -> torch.Tensor:
        """Patches to features for a compiler, told of which products it keeps results; it makes all else again."""
        layers: Any = self.layers
        of_layers = [layer.kept_products() for layer in layers]
        kept = (False, *chain.from_iterable(of_layers), False)  # the first reads patches, the last features
        # Of patches that overlap, the first would be another kind of product where its weights do not learn.
        return checkpoint(
            self._encode, sequences.contiguous(), use_reentrant=False, context_fn=partial(keep_products, kept)
        )

    def learns_by_itself(self, sequences: torch.Tensor) -> bool:
        """Whether the gradient that keeps little is asked for and will do: of plain modules in plain precision.

        Adapters, hooks of modules and quantised or offloaded weights live in modules that it would pass over. Where the
        first weights do not learn, autograd needs less than it keeps.
        """
        if self.free_blocks is None or not torch.is_grad_enabled() or torch.compiler.is_compiling():
            return False
        return (
            (sequences.requires_grad or self.read_in.weight.requires_grad)
            and not torch.is_autocast_enabled(sequences.device.type)
            and all(type(weight) is nn.Parameter and weight.dtype == sequences.dtype for weight in self.parameters())
            and self._has_plain_modules()
        )

    def _has_plain_modules(self) -> bool:
        return all(_is_plain(module) for child in self.children() for module in child.modules())

    def __getstate__(self) -> dict[str, Any]:
        """A copy is not compiled: the code would go on with the weights of the original."""
        return {name: value for name, value in self.__dict__.items() if name not in _OF_THE_ORIGINAL}

    def compile_chunks(self, **options) -> None:
        """Compile what is done to one chunk, when it is first done; see [`MDJPTPreTrainedModel.compile_encoder`]."""
        compiled = partial(torch.compile, fullgraph=True, dynamic=False, **options)
        self._encode_chunk = compiled(self._encode)
        self._encode_chunk_keeping_little = compiled(self._encode_keeping_products)
        # Only code that is called from C++ lets go of Python's lock.
        self._threaded = (options.get("options") or {}).get("cpp_wrapper", False)

    def _encode_in_chunks(self, sequences: torch.Tensor, channels: int) -> torch.Tensor:
        """A graph traced from outside must not depend on the batch: no chunks there."""
        if torch.compiler.is_compiling():
            return self._encode(sequences)
        compiled, encode = self._encode_chunk is not None, self._encode_chunk or self._encode
        size = self.read_in.out_features
        length = chunk_length(sequences, size, channels, compiled)
        if not (torch.is_grad_enabled() and self._learns(sequences)):
            return fill_chunks(encode, sequences, length)
        recompute = self.gradient_checkpointing and self.training
        little = not compiled and self.learns_by_itself(sequences)
        threads, kept = self._threads(sequences, length, little), None
        if little:
            kept = KeptActivations(None if recompute else self.free_blocks)
            encode = partial(self._encode, kept=kept)
        elif self._encode_chunk_keeping_little and not recompute and self._can_keep_products():
            kept = KeptActivations(self.free_blocks)
            encode = kept.keeping(self._encode_chunk_keeping_little, self.parameters())
        # Both are asked when a graph is compiled. Chunks computed again are compiled then, without them, and keep all.
        with activation_memory_budget(KEPT_ACTIVATIONS), without_advice_on_checkpoints():
            if recompute or threads > 1 or (kept and not self._hooked()):
                return apply_in_chunks(encode, sequences, length, self.parameters(), recompute, threads, kept, compiled)
            return torch.cat([encode(chunk) for chunk in sequences.split(length)])

    def _learns(self, sequences: torch.Tensor) -> bool:
        return sequences.requires_grad or any(parameter.requires_grad for parameter in self.parameters())

    def _threads(self, sequences: torch.Tensor, length: int, little: bool = False) -> int:
        """How many chunks to work on at once: one, unless each of torch's threads has several to do.

        Only work that lets go of Python's lock gains: code that is called from C++, or, where `little` is kept, few
        large operations.
        """
        threads = torch.get_num_threads()
        several = sequences.device.type == "cpu" and len(sequences) >= 2 * threads * length
        return threads if several and (self._threaded or little) and not self._hooked() else 1

    def _can_keep_products(self) -> bool:
        """Whether compiled code is to keep little, and makes the products that it is told of and no others."""
        return self.free_blocks is not None and self._has_plain_modules() and not self._hooked()

    def _hooked(self) -> bool:
        """Whether a weight has a hook, which would meet the gradient of every chunk."""
        return any(getattr(parameter, "_backward_hooks", None) for parameter in self.parameters())


#: Modules whose forward is what [`encode_keeping_little`] computes, and nothing else.
_PLAIN = (nn.Linear, nn.LayerNorm, nn.Identity, nn.ModuleList, TokenConv, LinearAttention, MLLALayer)


#: What [`ChannelEncoder.compile_chunks`] sets.
_OF_THE_ORIGINAL = ("_encode_chunk", "_encode_chunk_keeping_little", "_threaded")

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def _is_plain(module: nn.Module) -> bool:
    hooked = any(getattr(module, name, None) for name in _HOOKS)
    return type(module) in _PLAIN and "forward" not in module.__dict__ and not hooked


class SpatialProjection(GradientCheckpointingLayer):
    """Recorded to virtual channels, then ReLU: `(B, f, C, N)` -> `(B, f, S, N)`."""

    def __init__(self, config: MDJPTConfig):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(config.spatial_channels, config.num_channels))
        self.bias = nn.Parameter(torch.empty(config.spatial_channels))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """`(batch, features, channels, tokens)` -> the map F, `(batch, features, spatial_channels, tokens)`."""
        B, f, C, N = features.shape
        dense = features.permute(0, 2, 3, 1).reshape(B, C, N * f)  # as the channel encoder leaves them: no copy
        projected = torch.baddbmm(self.bias[:, None], self.weight.expand(B, -1, -1), dense)
        return F.relu(projected.view(B, -1, N, f).permute(0, 3, 1, 2).contiguous())


class SpatiotemporalDynamics(GradientCheckpointingLayer):
    """Dilated convolutions over space and time, weighted by an attention over maps: `(B, f, S, N)` -> `(B, maps, N)`.

    Maps are ordered dilation first, then feature, then filter.
    """

    #: Whether what is computed again for the gradient is so a few windows at a time: where little else is kept, a step
    #: would need most of its memory here. Gradients of weights are then summed in another order.
    few_at_a_time = False

    def __init__(self, config: MDJPTConfig):
        super().__init__()
        self.dilations = tuple(config.dilations)
        self.taps = config.filter_taps
        shape = (len(self.dilations), config.feature_size, config.filters_per_feature)
        self.weight = nn.Parameter(torch.empty(*shape, config.spatial_channels, self.taps))
        self.bias = nn.Parameter(torch.empty(*shape))
        self.pool = config.map_attention_pool
        kernel = config.map_attention_kernel
        self.attention_conv = nn.Conv1d(config.num_maps, config.num_maps, kernel, groups=config.num_maps)
        self.attention_mix = nn.Linear(config.num_maps, config.num_maps)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Group-normalised F -> weighted maps Z, `(batch, maps, tokens)`."""
        maps = self._convolve(features)
        return self._attention(maps) * F.relu(maps)

    def __call__(self, features: torch.Tensor) -> torch.Tensor:
        """[`forward`], with whatever the layer does around it."""
        if not (self.few_at_a_time and self.training) or torch.compiler.is_compiling():
            return super().__call__(features)
        return torch.cat([super(SpatiotemporalDynamics, self).__call__(part) for part in features.split(AGAIN_AT_ONCE)])

    def _convolve(self, features: torch.Tensor) -> torch.Tensor:
        """All dilations as one matrix product over channels, then shifted sums over taps."""
        B, f, _, N = features.shape
        L, _, m, S, K = self.weight.shape
        kernel = self.weight.permute(1, 0, 2, 4, 3).reshape(f, L * m * K, S)
        taps = (kernel @ features).view(B, f, L, m, K, N)
        # Taken apart at once: the gradient of every index of its own would be as large as all of them.
        maps = [self._sum_taps(part, dilation) for part, dilation in zip(taps.unbind(2), self.dilations, strict=True)]
        return (torch.stack(maps, dim=1) + self.bias[..., None]).view(B, L * f * m, N)

    def _sum_taps(self, taps: torch.Tensor, dilation: int) -> torch.Tensor:
        """`(B, f, m, taps, N)` -> `(B, f, m, N)`: tap k reads `(k - centre) * dilation` tokens away."""
        N, centre = taps.shape[-1], self.taps // 2
        reach = centre * dilation
        padded = F.pad(taps, (reach, reach)).unbind(-2)
        shifted = [part[..., tap * dilation : tap * dilation + N] for tap, part in enumerate(padded)]
        return torch.stack(shifted).sum(dim=0)

    def _attention(self, maps: torch.Tensor) -> torch.Tensor:
        """Softmax over maps at every token, looking back in time only."""
        smooth = F.relu(self.attention_conv(F.pad(maps, (self.attention_conv.kernel_size[0] - 1, 0))))
        smooth = F.avg_pool1d(F.pad(smooth, (self.pool - 1, 0)), self.pool, stride=1)  # padding zeros count
        scores = self.attention_mix(smooth.transpose(1, 2))
        return scores.softmax(dim=-1).transpose(1, 2)


class Projector(nn.Module):
    """Maps to an embedding on the unit sphere, for the contrastive loss only: `(B, maps, N)` -> `(B, embedding)`."""

    def __init__(self, config: MDJPTConfig):
        super().__init__()
        self.pool, self.eps = config.projector_pool, config.group_norm_eps
        size, taps = config.num_maps, config.filter_taps
        self.conv_first = nn.Conv1d(size, size, taps, groups=size)
        self.conv_second = nn.Conv1d(size, size, taps, groups=size)

    def forward(self, maps: torch.Tensor, membership: torch.Tensor | None) -> torch.Tensor:
        """`(batch, maps, tokens)` -> `(batch, embedding)` of unit length; `membership` from [`group_membership`]."""
        pooled = group_normalise(F.avg_pool1d(maps, self.pool), membership, self.eps)
        projected = F.relu(self.conv_second(F.relu(self.conv_first(pooled))))
        projected = group_normalise(projected, membership, self.eps)
        return F.normalize(projected.flatten(1), dim=-1)
