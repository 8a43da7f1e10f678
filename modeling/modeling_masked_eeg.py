"""Masked EEG pre-training as a transformers model: the encoder, its objective and a classification head.

In the style of Hu et al. 2024 (doi 10.1111/coin.12659): tokens are hidden, and the clusters they belong to are
predicted from the context on both sides, at several granularities, from an intermediate and from the last layer.
"""

from dataclasses import dataclass
from functools import wraps
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.utils import ModelOutput

from .attention_masked_eeg import EncoderLayer, RMSNorm, rotary_positions
from .cluster_heads_mdjpt import ClusterHeads
from .compatibility_mdjpt import initialization as init
from .configuration_masked_eeg import MaskedEEGConfig
from .encoding_mdjpt import EncodesRecordings
from .errors_mdjpt import SignalError
from .layers_masked_eeg import ConvTokenizer, sinusoid_filters
from .loading_mdjpt import SaysWhatIsNew
from .masked_prediction_mdjpt import masked_prediction
from .task_head_mdjpt import PRIOR, CarriesPipeline, TaskHead, init_statistics, task_head, task_loss


@dataclass
class MaskedEEGModelOutput(ModelOutput):
    """Output of [`MaskedEEGModel`].

    Args:
        last_hidden_state (`torch.Tensor` of shape `(batch, tokens, hidden)`): Of the last layer, normalised.
        pooler_output (`torch.Tensor` of shape `(batch, 2 * hidden)`): Means over tokens of the intermediate and the
            last state, the features for tasks.
        intermediate_state (`torch.Tensor` of shape `(batch, tokens, hidden)`): Of `config.intermediate_layer`,
            normalised; what is clustered for the next round.
        hidden_states (`tuple`, *optional*): Of every layer, with `output_hidden_states=True`.
        attentions (`tuple`, *optional*): With `output_attentions=True`.
    """

    last_hidden_state: torch.Tensor | None = None
    pooler_output: torch.Tensor | None = None
    intermediate_state: torch.Tensor | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None
    attentions: tuple[torch.Tensor, ...] | None = None


@dataclass
class MaskedEEGForPreTrainingOutput(ModelOutput):
    """Output of [`MaskedEEGForPreTraining`]; the losses are None unless labels are given.

    Args:
        loss (`torch.Tensor`, scalar): `(masked + w * intermediate) / (1 + w)`, both averaged over granularities, with
            w = `config.intermediate_weight`.
        masked_losses, intermediate_losses (`torch.Tensor` of shape `(granularities,)`): Last and intermediate layer,
            detached.
        masked_accuracies (`torch.Tensor` of shape `(granularities,)`): Of the last layer on hidden tokens, detached.
        logits (`tuple` of `torch.Tensor` of shape `(batch, tokens, max_clusters)`): One per granularity, of the last
            layer; clusters that the round does not have are at minus infinity.
        hidden_states, attentions (`tuple`, *optional*): As in [`MaskedEEGModelOutput`].
    """

    loss: torch.Tensor | None = None
    masked_losses: torch.Tensor | None = None
    intermediate_losses: torch.Tensor | None = None
    masked_accuracies: torch.Tensor | None = None
    logits: tuple[torch.Tensor, ...] | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None
    attentions: tuple[torch.Tensor, ...] | None = None


@dataclass
class MaskedEEGClassifierOutput(ModelOutput):
    """Output of [`MaskedEEGForSequenceClassification`].

    Args:
        loss (`torch.Tensor`, scalar): Present when labels are given.
        logits (`torch.Tensor` of shape `(batch, num_labels)`): Scores, or ratings for regression.
        hidden_states, attentions (`tuple`, *optional*): As in [`MaskedEEGModelOutput`].
    """

    loss: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None
    attentions: tuple[torch.Tensor, ...] | None = None


def _or_tuple(forward: Any) -> Any:
    """A `forward` whose output comes as a plain tuple with `return_dict=False`, or where the config says so."""

    @wraps(forward)
    def either(self, *args, return_dict: bool | None = None, **kwargs):
        output = forward(self, *args, **kwargs)
        as_output = getattr(self.config, "return_dict", True) if return_dict is None else return_dict
        return output if as_output else output.to_tuple()

    return either


class MaskedEEGPreTrainedModel(SaysWhatIsNew, PreTrainedModel):
    """Initialisation and loading shared by the encoder and its heads."""

    config: MaskedEEGConfig
    config_class = MaskedEEGConfig  # read below transformers 5.0
    base_model_prefix = "masked_eeg"
    _no_split_modules = [EncoderLayer.__name__]
    _supports_sdpa = True

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Normal weights as in transformers' own encoders; the tokeniser's filters start as sinusoids."""
        if isinstance(module, nn.Linear | nn.Conv1d):
            init.normal_(module.weight, mean=0.0, std=self.config.initializer_range)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, RMSNorm):
            init.ones_(module.weight)
        elif isinstance(module, ConvTokenizer):
            init.copy_(module.temporal.weight, sinusoid_filters(self.config))
            init.normal_(module.spatial.weight, std=self.config.num_channels**-0.5)
            init.normal_(module.projection.weight, std=module.projection.in_features**-0.5)
        elif isinstance(module, MaskedEEGForPreTraining):
            init.normal_(module.mask_embedding, std=1.0)
        elif isinstance(module, ClusterHeads):
            init.copy_(module.counts, torch.tensor(module.max_clusters))
        elif isinstance(module, TaskHead):
            init_statistics(module)


class MaskedEEGModel(EncodesRecordings, MaskedEEGPreTrainedModel):
    """The encoder: windows of the 60 standard channels in, one state per 0.2 s and features for tasks out."""

    _keys_to_ignore_on_load_unexpected = [r"^heads\.", r"^classifier\.", r"^mask_embedding$"]

    def __init__(self, config: MaskedEEGConfig):
        super().__init__(config)
        self.tokenizer = ConvTokenizer(config)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.num_hidden_layers))
        self.intermediate_norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_init()

    @_or_tuple
    def forward(
        self,
        input_values: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        group_ids: torch.Tensor | None = None,
        window_onsets: torch.Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        **kwargs,
    ) -> MaskedEEGModelOutput:
        """Encode windows; a window's output never depends on the others in its batch.

        Args:
            input_values (`torch.Tensor` of shape `(batch, num_channels, samples)`): Windows from
                [`MDJPTFeatureExtractor`], at least one second long; made for 2 to 30 s. Of any floating type, computed
                in that of the weights.
            inputs_embeds (`torch.Tensor` of shape `(batch, tokens, hidden)`, *optional*): Tokens, in place of
                `input_values`.
            group_ids, window_onsets: Other keys of the feature extractor, ignored.
            output_hidden_states, output_attentions (`bool`, *optional*): Default: as the config says.

        Raises:
            SignalError: If the shape does not fit.
        """
        states = self.embed(input_values) if inputs_embeds is None else inputs_embeds
        positions = rotary_positions(states, self.config)
        every, attentions = [states], []
        wanted = self._wanted("output_hidden_states", output_hidden_states)
        traced = self._wanted("output_attentions", output_attentions)
        for layer in self.layers:
            states, weights = layer(states, positions, traced)
            every.append(states)
            attentions.append(weights)
        last = self.norm(states)
        intermediate = self.intermediate_norm(every[self.config.intermediate_layer])
        pooled = torch.cat([intermediate.mean(dim=1), last.mean(dim=1)], dim=-1)
        return MaskedEEGModelOutput(
            last, pooled, intermediate, tuple(every) if wanted else None, tuple(attentions) if traced else None
        )

    def _wanted(self, flag: str, asked: bool | None) -> bool:
        return bool(getattr(self.config, flag, False) if asked is None else asked)

    def embed(self, input_values: torch.Tensor | None) -> torch.Tensor:
        """Tokens of windows, `(batch, num_channels, samples)` -> `(batch, tokens, hidden)`.

        Raises:
            SignalError: If the shape does not fit.
        """
        channels, shortest = self.config.num_channels, max(self.config.sampling_rate, self.config.token_samples)
        shape: tuple[int, ...] = () if input_values is None else tuple(input_values.shape)
        if input_values is None or len(shape) != 3 or shape[1] != channels or shape[2] < shortest:
            raise SignalError(
                f"input_values must have shape (batch, {channels}, at least {shortest} samples), found {shape}",
                value=shape,
                remedy="Prepare the recording with MDJPTFeatureExtractor",
            )
        return self.tokenizer(input_values.to(self.dtype))

    def token_states(self, input_values: torch.Tensor) -> torch.Tensor:
        """What is clustered: the intermediate layer, `(batch, channels, samples)` -> `(batch, tokens, hidden)`."""
        return self(input_values).intermediate_state

    @torch.no_grad()
    def encode_recording(
        self, input_values: torch.Tensor, group_ids: torch.Tensor | None = None, batch_size: int = 32
    ) -> torch.Tensor:
        """Features of whole recordings of any length, with memory bounded by the batch size.

        Args:
            input_values (`torch.Tensor` of shape `(windows, num_channels, samples)`): Kept where it is; batches are
                moved to the model's device.
            group_ids: Accepted as [`MDJPTModel`] does, and ignored: every window stands alone.
            batch_size (`int`): Windows at a time.

        Returns:
            `torch.Tensor` of shape `(windows, 2 * hidden)`, on the model's device.
        """
        batches = input_values.split(batch_size)
        return torch.cat([self(batch.to(self.device)).pooler_output for batch in batches])


class MaskedEEGForPreTraining(MaskedEEGPreTrainedModel):
    """The encoder with one prediction head per granularity, which reads the intermediate and the last layer."""

    _keys_to_ignore_on_load_unexpected = [r"^classifier\."]

    def __init__(self, config: MaskedEEGConfig):
        super().__init__(config)
        self.masked_eeg = MaskedEEGModel(config)
        self.mask_embedding = nn.Parameter(torch.empty(config.hidden_size))
        self.heads = ClusterHeads(config.hidden_size, list(config.max_clusters), config.initializer_range)
        self.post_init()

    @_or_tuple
    def forward(
        self,
        input_values: torch.Tensor,
        labels: torch.Tensor | None = None,
        token_mask: torch.Tensor | None = None,
        return_loss: bool = True,
        **kwargs,
    ) -> MaskedEEGForPreTrainingOutput:
        """Hide tokens, encode, and predict the cluster of every token.

        Args:
            input_values (`torch.Tensor` of shape `(batch, num_channels, samples)`): See [`MaskedEEGModel`].
            labels (`torch.Tensor` of shape `(batch, tokens, granularities)`, *optional*): Pseudo-labels.
            token_mask (`torch.Tensor` of shape `(batch, tokens)`, *optional*): True for tokens to hide; needed for
                a loss. Some and not all of a window's tokens should be hidden.
            kwargs: Passed on to [`MaskedEEGModel`].
        """
        tokens = self.masked_eeg.embed(input_values)
        if token_mask is not None:
            tokens = torch.where(token_mask[..., None], self.mask_embedding.to(tokens.dtype), tokens)
        encoded = self.masked_eeg(inputs_embeds=tokens, return_dict=True, **kwargs)
        logits = self.heads(encoded.last_hidden_state)
        traced = {"logits": logits, "hidden_states": encoded.hidden_states, "attentions": encoded.attentions}
        if labels is None or token_mask is None or not return_loss:
            return MaskedEEGForPreTrainingOutput(**traced)
        weight, unmasked = self.config.intermediate_weight, self.config.unmasked_weight
        masked, accuracies = masked_prediction(logits, labels, token_mask, unmasked)
        intermediate, _ = masked_prediction(self.heads(encoded.intermediate_state), labels, token_mask, unmasked)
        loss = (masked.mean() + weight * intermediate.mean()) / (1 + weight)
        parts = (masked.detach(), intermediate.detach(), accuracies)
        return MaskedEEGForPreTrainingOutput(loss, *parts, **traced)


class MaskedEEGForSequenceClassification(CarriesPipeline, MaskedEEGPreTrainedModel):
    """The encoder with a task head: classes, several labels at once, or ratings (regression)."""

    _keys_to_ignore_on_load_unexpected = [r"^heads\.", r"^mask_embedding$", *PRIOR]

    def __init__(self, config: MaskedEEGConfig):
        super().__init__(config)
        self.masked_eeg = MaskedEEGModel(config)
        self.num_labels: int = len(config.id2label or {})
        self.classifier = task_head(config, config.pooled_size, self.num_labels)
        self.post_init()

    @_or_tuple
    def forward(
        self, input_values: torch.Tensor, labels: torch.Tensor | None = None, **kwargs
    ) -> MaskedEEGClassifierOutput:
        """Classify windows.

        Args:
            input_values (`torch.Tensor` of shape `(batch, num_channels, samples)`): At least one second.
            labels (`torch.Tensor`, *optional*): Of the config's `problem_type`, see [`task_loss`].
            kwargs: Passed on to [`MaskedEEGModel`].
        """
        encoded = self.masked_eeg(input_values, return_dict=True, **kwargs)
        logits = self.classifier(encoded.pooler_output)
        loss = None if labels is None else task_loss(logits, labels, self.config.problem_type)
        return MaskedEEGClassifierOutput(loss, logits, encoded.hidden_states, encoded.attentions)


#: For transformers below 5.10, which copies from a local folder what this file names, and not what those files name.
_TRAVELS_WITH = """
from .bad_channels_mdjpt import
from .brainvision_mdjpt import
from .companions_mdjpt import
from .confinement_mdjpt import
from .control_groups_mdjpt import
from .coverage_mdjpt import
from .edf_mdjpt import
from .electrodes_mdjpt import
from .elsewhere_mdjpt import
from .encoder_configuration_mdjpt import
from .exchange_mdjpt import
from .feature_extraction_mdjpt import
from .filtering_mdjpt import
from .folders_mdjpt import
from .isolated_child_mdjpt import
from .isolated_mdjpt import
from .median_mdjpt import
from .mne_mdjpt import
from .montage_mdjpt import
from .neuroscan_mdjpt import
from .opening_mdjpt import
from .pipeline_mdjpt import
from .polyphase_mdjpt import
from .ranges_mdjpt import
from .raw_mdjpt import
from .reading_mdjpt import
from .released_neighbours_mdjpt import
from .signal_mdjpt import
from .smoothing_mdjpt import
from .sources_mdjpt import
from .splines_mdjpt import
from .stored_mdjpt import
from .stretches_mdjpt import
from .timeline_mdjpt import
"""

__all__ = [
    "MaskedEEGForPreTraining",
    "MaskedEEGForSequenceClassification",
    "MaskedEEGModel",
    "MaskedEEGPreTrainedModel",
]
