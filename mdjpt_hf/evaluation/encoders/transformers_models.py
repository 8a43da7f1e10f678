"""Models of transformers that were not made for this package, as encoders: how windows become what they take.

| model | is given |
|---|---|
| `past_values`, `num_input_channels` 60 or 1 (PatchTST, PatchTSMixer) | `(windows, samples, 60)`, or channels alone |
| speech encoders with convolutions (wav2vec2, HuBERT, WavLM, data2vec) | every channel alone, `(channels, samples)` |
| all others | `(windows, 60, samples)` under the name of their main input |

Features are the model's `pooler_output`, else the mean of its hidden states over time; where channels went in alone or
come out apart, theirs stand side by side.
"""

from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from mdjpt_hf.errors import ConfigurationError

_BATCH = 32

_REMEDY = (
    "Use a model that takes (windows, 60, samples) as its main input; PatchTST or PatchTSMixer with num_input_channels "
    "60 or 1 and context_length {samples}; or a speech encoder such as wav2vec2. For another kind write a "
    "PreTrainedModel around it that takes such windows and save it with its code"
)


@torch.no_grad()
def encode_any(model: PreTrainedModel, windows: torch.Tensor) -> np.ndarray:
    """Features of `(windows, 60, samples)` from any suitable model, `(windows, size)`.

    Raises:
        ConfigurationError: If the model takes no such windows, or gives no features of them.
    """
    found = [_encode(model, batch.to(model.device)).float().cpu().numpy() for batch in windows.split(_BATCH)]
    return np.concatenate(found)


def _encode(model: PreTrainedModel, batch: torch.Tensor) -> torch.Tensor:
    inputs = _as_input(model, batch)
    try:
        outputs = model(**{model.main_input_name: inputs})
    except (RuntimeError, ValueError, TypeError, IndexError, AttributeError, NotImplementedError) as error:
        reason = str(error).strip().split("\n")[0]
        shape = tuple(inputs.shape)
        raise _unsuitable(model, batch, f"refuses {model.main_input_name} of {shape}: {reason}") from error
    found = getattr(outputs, "pooler_output", None)
    found = _over_time(outputs[0]) if found is None else found
    if not isinstance(found, torch.Tensor) or not found.numel() or found.shape[0] % len(batch):
        given = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
        raise _unsuitable(model, batch, f"gives {given} for {len(batch)} windows, which are no features of them")
    return found.reshape(len(batch), -1)


def _as_input(model: PreTrainedModel, batch: torch.Tensor) -> torch.Tensor:
    alone = batch.flatten(0, 1)  # (windows * channels, samples)
    if model.main_input_name == "past_values":
        channels = getattr(model.config, "num_input_channels", None)
        if channels not in (1, batch.shape[1]):
            raise _unsuitable(model, batch, f"has num_input_channels {channels}")
        return alone[..., None] if channels == 1 else batch.transpose(1, 2)
    hears_one_channel = model.main_input_name == "input_values" and hasattr(model.config, "conv_kernel")
    return alone if hears_one_channel else batch


def _over_time(hidden: Any) -> Any:
    """Mean over the last axis but one of `(rows, [channels,] tokens, size)`; `(rows, size)` as it is."""
    if not isinstance(hidden, torch.Tensor) or hidden.ndim < 3:
        return hidden
    return hidden.mean(dim=-2)


def _unsuitable(model: PreTrainedModel, batch: torch.Tensor, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"{type(model).__name__} cannot encode windows of {tuple(batch.shape)}: it {why}",
        value=type(model).__name__,
        remedy=_REMEDY.format(samples=batch.shape[-1]),
    )
