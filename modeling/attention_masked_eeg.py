"""The Transformer layers of the masked model: rotary positions, attention over all tokens, a gated feed-forward.

What transformers' own encoders of 2025 compute (EuroBERT's, which trained the checkpoints of before), written out:
their modules are no public interface, and move with the versions that a checkpoint has to outlive.
"""

import torch
import torch.nn.functional as F
from torch import nn
from transformers.activations import ACT2FN

from .compatibility_mdjpt import GradientCheckpointingLayer
from .configuration_masked_eeg import MaskedEEGConfig


class RMSNorm(nn.Module):
    """Each state divided by its root mean square, taken in float32 (Zhang & Sennrich 2019)."""

    def __init__(self, size: int, eps: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """`(..., size)` -> the same shape and dtype."""
        precise = states.to(torch.float32)
        precise = precise * torch.rsqrt(precise.pow(2).mean(-1, keepdim=True) + self.eps)
        return self.weight * precise.to(states.dtype)


def rotary_positions(states: torch.Tensor, config: MaskedEEGConfig) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosine and sine of every token's angles (Su et al. 2021), each `(1, 1, tokens, head size)`.

    Args:
        states (`torch.Tensor` of shape `(batch, tokens, hidden)`): For number, device and dtype.
        config: Its `rope_parameters` hold the base.
    """
    size, device = config.hidden_size // config.num_attention_heads, states.device
    steps = torch.arange(0, size, 2, dtype=torch.float32, device=device) / size
    frequencies = 1.0 / ((config.rope_parameters or {})["rope_theta"] ** steps)
    angles = torch.arange(states.shape[1], device=device).float()[:, None] * frequencies
    angles = torch.cat([angles, angles], dim=-1)[None, None]
    return angles.cos().to(states.dtype), angles.sin().to(states.dtype)


def _rotate(values: torch.Tensor, positions: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    first, second = values.chunk(2, dim=-1)
    return values * positions[0] + torch.cat([-second, first], dim=-1) * positions[1]


class Attention(nn.Module):
    """Every token attends to every other."""

    def __init__(self, config: MaskedEEGConfig):
        super().__init__()
        self.config, self.num_heads, self.dropout = config, config.num_attention_heads, config.attention_dropout
        size, bias = config.hidden_size, config.attention_bias
        self.q_proj, self.k_proj = nn.Linear(size, size, bias=bias), nn.Linear(size, size, bias=bias)
        self.v_proj, self.o_proj = nn.Linear(size, size, bias=bias), nn.Linear(size, size, bias=bias)

    def forward(
        self, states: torch.Tensor, positions: tuple[torch.Tensor, torch.Tensor], weigh: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """`(batch, tokens, hidden)` -> the same, and weights `(batch, heads, tokens, tokens)` where asked for."""
        parts = (projection(states) for projection in (self.q_proj, self.k_proj, self.v_proj))
        query, key, value = (part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for part in parts)
        query, key = _rotate(query, positions), _rotate(key, positions)
        dropout, weights = self.dropout if self.training else 0.0, None
        if weigh or getattr(self.config, "_attn_implementation", "sdpa") == "eager":
            scores = query @ key.transpose(2, 3) * query.shape[-1] ** -0.5
            weights = F.dropout(scores.softmax(dim=-1, dtype=torch.float32).to(query.dtype), dropout, self.training)
            attended = weights @ value
        else:
            attended = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
        return self.o_proj(attended.transpose(1, 2).flatten(2)), weights


class FeedForward(nn.Module):
    """A gated feed-forward (Shazeer 2020)."""

    def __init__(self, config: MaskedEEGConfig):
        super().__init__()
        size, inner, bias = config.hidden_size, config.intermediate_size, config.mlp_bias
        self.gate_proj, self.up_proj = nn.Linear(size, inner, bias=bias), nn.Linear(size, inner, bias=bias)
        self.down_proj = nn.Linear(inner, size, bias=bias)
        self.act_fn = ACT2FN[config.hidden_act]

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """`(batch, tokens, hidden)` -> the same shape."""
        return self.down_proj(self.act_fn(self.gate_proj(states)) * self.up_proj(states))


class EncoderLayer(GradientCheckpointingLayer):
    """Attention and feed-forward, each behind a norm and beside a residual."""

    def __init__(self, config: MaskedEEGConfig):
        super().__init__()
        self.self_attn, self.mlp = Attention(config), FeedForward(config)
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(
        self, states: torch.Tensor, positions: tuple[torch.Tensor, torch.Tensor], weigh: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """`(batch, tokens, hidden)` -> the same, and the weights of [`Attention`]."""
        attended, weights = self.self_attn(self.input_layernorm(states), positions, weigh)
        states = states + attended
        return states + self.mlp(self.post_attention_layernorm(states)), weights
