"""mdJPT as a transformers model: the encoder, its pre-training objective and a classification head.

Paper: Zhang et al., "mdJPT", NeurIPS 2025, arXiv 2510.22197. Stages and words are defined in `layers_mdjpt.py`.

Parameters of the paper's configuration: 752,960 with the projector. The authors' released program counts 754,114:
it also holds 992 of a convolution and 2 scales that it never uses, and 32 + 128 biases that the group normalisation
behind them cancels exactly. Those are left out here; everything else has the same shape.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel
from transformers.utils import ModelOutput

from .chunks_mdjpt import FreeBlocks
from .cluster_heads_mdjpt import ClusterHeads
from .compatibility_mdjpt import initialization as init
from .configuration_mdjpt import MDJPTConfig
from .encoding_mdjpt import EncodesRecordings
from .errors_mdjpt import SignalError
from .guide_mdjpt import guide_loss
from .layers_mdjpt import (
    ChannelEncoder,
    MLLALayer,
    Projector,
    ReleasedLayer,
    SpatialProjection,
    SpatiotemporalDynamics,
    TokenConv,
    average_patches,
    group_membership,
    group_normalise,
)
from .loading_mdjpt import SaysWhatIsNew
from .masked_prediction_mdjpt import masked_prediction
from .moments_mdjpt import GroupMoments
from .objectives_mdjpt import covariance_alignment, group_covariances, inter_subject_alignment
from .task_head_mdjpt import PRIOR, CarriesPipeline, TaskHead, init_statistics, task_head, task_loss


@dataclass
class MDJPTModelOutput(ModelOutput):
    """Output of [`MDJPTModel`].

    Args:
        last_hidden_state (`torch.Tensor` of shape `(batch, tokens, maps)`): Weighted maps over time.
        pooler_output (`torch.Tensor` of shape `(batch, maps)`): Their mean over time, the features for tasks.
        channel_features (`torch.Tensor` of shape `(batch, features, spatial_channels, tokens)`): The map F that the
            covariance alignment reads, before its group normalisation.
        covariances (`torch.Tensor` of shape `(groups, features, spatial_channels, spatial_channels)`): Γ of every
            group, in the order of their ids, where they were asked for.
    """

    last_hidden_state: torch.Tensor | None = None
    pooler_output: torch.Tensor | None = None
    channel_features: torch.Tensor | None = None
    covariances: torch.Tensor | None = None


@dataclass
class MDJPTForPreTrainingOutput(ModelOutput):
    """Output of [`MDJPTForPreTraining`]; the losses are None unless all ids are given.

    Args:
        loss (`torch.Tensor`, scalar): `isa_weight * isa_loss + cda_weight * cda_loss`, and where tokens were hidden
            `+ masked_weight * mean(masked_losses)`. In a guided step the first two have the share `1 - guide_weight`,
            and `guide_loss` has the rest.
        isa_loss (`torch.Tensor`, scalar): Inter-subject alignment, summed over datasets.
        cda_loss (`torch.Tensor`, scalar): Cross-dataset covariance alignment, over all processes.
        embeddings (`torch.Tensor` of shape `(batch, embedding)`): On the unit sphere.
        isa_terms (`torch.Tensor` of shape `(batch,)`): Every window's own contrastive term, detached.
        masked_losses, masked_accuracies (`torch.Tensor` of shape `(granularities,)`): Of masked prediction, detached.
        guide_loss (`torch.Tensor`, scalar): Of a guided step.
    """

    loss: torch.Tensor | None = None
    isa_loss: torch.Tensor | None = None
    cda_loss: torch.Tensor | None = None
    embeddings: torch.Tensor | None = None
    isa_terms: torch.Tensor | None = None
    masked_losses: torch.Tensor | None = None
    masked_accuracies: torch.Tensor | None = None
    guide_loss: torch.Tensor | None = None


@dataclass
class MDJPTClassifierOutput(ModelOutput):
    """Output of [`MDJPTForSequenceClassification`].

    Args:
        loss (`torch.Tensor`, scalar): Present when labels are given.
        logits (`torch.Tensor` of shape `(batch, num_labels)`): Scores, or ratings for regression.
    """

    loss: torch.Tensor | None = None
    logits: torch.Tensor | None = None


class MDJPTPreTrainedModel(SaysWhatIsNew, PreTrainedModel):
    """Initialisation and loading shared by the encoder and its heads."""

    config: MDJPTConfig
    config_class = MDJPTConfig  # read below transformers 5.0
    base_model_prefix = "mdjpt"
    _no_split_modules = [MLLALayer.__name__, ReleasedLayer.__name__]

    def compile_encoder(self, for_inference: bool = False, **options) -> None:
        """Compile the channel encoder, where nearly all arithmetic is, in place.

        On a CPU this is faster than `torch.compile` of the whole model, which works all the same: a chunk is compiled,
        whose activations stay in the cache, once for each length of window and whatever the batch. Training on a CPU
        works on as many chunks at once as torch has threads, where a batch has several for each; meanwhile torch has
        one thread in the whole process.

        Args:
            for_inference (`bool`): Weights become part of the compiled code, laid out as matrix products like them;
                changes to them are not seen any more, and gradients need a model that was not compiled so.
            options: Further arguments of `torch.compile`.
        """
        if for_inference:
            options["options"] = {"freezing": True, **options.get("options", {})}
        elif self.device.type == "cpu" and not options.keys() & {"backend", "mode"}:  # which exclude options
            # A chunk calls hundreds of small kernels: from C++, since Python between them is felt.
            options["options"] = {"cpp_wrapper": True, **options.get("options", {})}
        for module in self.modules():
            if isinstance(module, ChannelEncoder):
                module.compile_chunks(**options)

    def keep_little(self, enabled: bool = True) -> None:
        """Have the channel encoder keep five of a block's twenty-one activations, and make others again.

        A step of the paper's network then takes under a third of the memory and, where each of several threads has
        chunks of its own, no more time; with one thread 15 % more. After [`compile_encoder`] three are kept: two fifths
        of the memory of compiled steps, at 0.85 of their speed. The gradient is the same. Room for what is kept stays
        with the encoder for the next batch. Adapters, hooks, mixed precision and frozen first weights work as they do
        without. Checkpoints around the model and a whole model that is compiled gain nothing by it.

        Args:
            enabled (`bool`): False for the state of before, without that room.
        """
        for module in self.modules():
            if isinstance(module, ChannelEncoder):
                module.free_blocks = FreeBlocks() if enabled else None

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """PyTorch's own defaults, uniform in ±1/√fan-in, which the paper's program starts from."""
        if isinstance(module, nn.LayerNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)
        elif isinstance(module, ClusterHeads):
            init.copy_(module.counts, torch.tensor(module.max_clusters))
        elif isinstance(module, TaskHead):
            init_statistics(module)
        elif isinstance(module, SpatiotemporalDynamics):
            _uniform(module, fan_in=module.weight.shape[-2] * module.weight.shape[-1])
        elif isinstance(module, nn.Linear | nn.Conv1d | SpatialProjection | TokenConv):
            _uniform(module, fan_in=module.weight[0].numel())


def _windows(values: torch.Tensor, members: torch.Tensor) -> torch.Tensor:
    """Windows by ascending numbers; no copy of those that lie side by side, as they do in most steps."""
    first, last = int(members[0]), int(members[-1])
    return values[first : last + 1] if last - first + 1 == len(members) else values[members]


def _uniform(module: nn.Module, fan_in: int) -> None:
    bound = fan_in**-0.5
    for parameter in module.parameters(recurse=False):
        init.uniform_(parameter, -bound, bound)


class MDJPTModel(EncodesRecordings, MDJPTPreTrainedModel):
    """The encoder: windows of the 60 standard channels in, features of emotion-related dynamics out."""

    # Heads of the checkpoint it came with.
    _keys_to_ignore_on_load_unexpected = [r"^projector\.", r"^heads", r"^classifier\."]

    def __init__(self, config: MDJPTConfig):
        super().__init__(config)
        self.channel_encoder = ChannelEncoder(config)
        self.spatial_projection = SpatialProjection(config)
        self.dynamics = SpatiotemporalDynamics(config)
        self.post_init()

    def forward(
        self,
        input_values: torch.Tensor,
        group_ids: torch.Tensor | None = None,
        channel_tokens: torch.Tensor | None = None,
        covariances: bool = False,
        **kwargs,
    ) -> MDJPTModelOutput:
        """Encode windows.

        Args:
            input_values (`torch.Tensor` of shape `(batch, num_channels, samples)`): Windows from
                [`MDJPTFeatureExtractor`], at least one second long; of any floating type, computed in that of the
                weights.
            group_ids (`torch.Tensor` of shape `(batch,)`, *optional*): Windows with the same id are normalised
                together. Without it every window stands alone, so its output never depends on the batch.
            channel_tokens (`torch.Tensor` of shape `(batch, features, num_channels, tokens)`, *optional*): What
                [`encode_channels`] made of `input_values`, if that was done before.
            covariances (`bool`): Whether to compute those of the groups, which need `group_ids`.
            kwargs: Other keys of the feature extractor, ignored.

        Raises:
            SignalError: If the shape does not fit.
        """
        self._check_input(input_values, group_ids)
        membership, eps = group_membership(group_ids, input_values), self.config.group_norm_eps
        if channel_tokens is None:
            channel_tokens = self.encode_channels(input_values)
        features = group_normalise(channel_tokens, membership, eps)
        channel_features = self.spatial_projection(features)
        # Before the maps, so that its gradient is taken after theirs and does not wait in memory meanwhile.
        gammas = self._covariances(channel_features, group_ids) if covariances and group_ids is not None else None
        maps = self.dynamics(group_normalise(channel_features, membership, eps))
        return MDJPTModelOutput(maps.transpose(1, 2), maps.mean(dim=-1), channel_features, gammas)

    def _covariances(self, channel_features: torch.Tensor, group_ids: torch.Tensor) -> torch.Tensor:
        with torch.autocast(channel_features.device.type, enabled=False):
            precise = channel_features if channel_features.dtype == torch.float64 else channel_features.float()
            return group_covariances(precise, group_ids.to(precise.device), self.config.covariance)

    def encode_channels(self, input_values: torch.Tensor) -> torch.Tensor:
        """The first stage, which knows of no other channel: `(batch, num_channels, samples)` -> `channel_tokens`."""
        return self.channel_encoder(input_values.to(self.dtype))

    def token_states(self, input_values: torch.Tensor, group_ids: torch.Tensor | None = None) -> torch.Tensor:
        """Weighted maps of every `config.token_samples` samples, for masked prediction.

        Args:
            input_values, group_ids: See [`forward`].

        Returns:
            `torch.Tensor` of shape `(batch, samples // token_samples, maps)`: means over the patches whose middle lies
            in the token; of the nearest patch where none does.
        """
        states = self(input_values, group_ids).last_hidden_state
        return average_patches(states, input_values.shape[-1], self.config)

    @torch.no_grad()
    def encode_recording(
        self, input_values: torch.Tensor, group_ids: torch.Tensor | None = None, batch_size: int = 32
    ) -> torch.Tensor:
        """Features of whole recordings of any length, with memory bounded by the batch size.

        The same numbers as one call of `forward` on everything: the moments of each normalisation are accumulated
        in a pass of their own, so the encoder runs three times where one batch does not hold everything.

        Args:
            input_values (`torch.Tensor` of shape `(windows, num_channels, samples)`): Kept where it is; batches are
                moved to the model's device.
            group_ids (`torch.Tensor` of shape `(windows,)`, *optional*): Default: one recording. Ignored when the
                config says `group_mode="window"`.
            batch_size (`int`): Windows at a time.

        Returns:
            `torch.Tensor` of shape `(windows, maps)`, on the model's device.
        """
        if self.config.group_mode == "window":
            batches = input_values.split(batch_size)
            return torch.cat([self(batch.to(self.device)).pooler_output for batch in batches])
        if group_ids is None:
            group_ids = torch.zeros(len(input_values), dtype=torch.long)
        if len(input_values) <= batch_size:
            return self(input_values.to(self.device), group_ids.to(self.device)).pooler_output
        groups = group_ids.cpu().unique(return_inverse=True)[1]
        batches = list(zip(input_values.split(batch_size), groups.split(batch_size), strict=True))
        encoded = GroupMoments(self.config.group_norm_eps)
        projected = GroupMoments(self.config.group_norm_eps)
        for windows, ids in batches:
            encoded.add(self._encode(windows), ids)
        for windows, ids in batches:
            projected.add(self.spatial_projection(encoded.normalise(self._encode(windows), ids)), ids)
        pooled = []
        for windows, ids in batches:
            channel_features = self.spatial_projection(encoded.normalise(self._encode(windows), ids))
            pooled.append(self.dynamics(projected.normalise(channel_features, ids)).mean(dim=-1))
        return torch.cat(pooled)

    def _encode(self, windows: torch.Tensor) -> torch.Tensor:
        windows = windows.to(self.device)
        self._check_input(windows, None)
        return self.encode_channels(windows)

    def _check_input(self, input_values: torch.Tensor, group_ids: torch.Tensor | None) -> None:
        channels, shortest = (
            self.config.num_channels,
            max(self.config.sampling_rate, self.config.patch_length),
        )
        if input_values.dim() != 3 or input_values.shape[1] != channels or input_values.shape[2] < shortest:
            raise SignalError(
                f"input_values must have shape (batch, {channels}, at least {shortest} samples), "
                f"found {tuple(input_values.shape)}",
                value=tuple(input_values.shape),
                remedy="Prepare the recording with MDJPTFeatureExtractor",
            )
        if not torch.compiler.is_compiling() and not len(input_values):
            raise SignalError(
                "input_values hold no window",
                value=tuple(input_values.shape),
                remedy="Leave out recordings shorter than a window",
            )
        if group_ids is None:
            return
        found = tuple(group_ids.shape) if isinstance(group_ids, torch.Tensor) else type(group_ids).__name__
        if found != tuple(input_values.shape[:1]):
            raise SignalError(
                f"group_ids must have shape ({input_values.shape[0]},), found {found}",
                value=found,
                remedy="Give a tensor with one group id per window",
            )


class MDJPTForPreTraining(MDJPTPreTrainedModel):
    """The encoder with its projector and the two losses: inter-subject and cross-dataset alignment."""

    _keys_to_ignore_on_load_unexpected = [r"^classifier\."]

    #: Whether a training step takes one group after the other, keeping of each what its channels were encoded to and
    #: making maps again for the gradient: the joint losses need every group's embeddings and covariances, which are
    #: small. The gradient is the same.
    groups_apart = False

    def __init__(self, config: MDJPTConfig):
        super().__init__(config)
        self.mdjpt = MDJPTModel(config)
        self.projector = Projector(config)
        if config.max_clusters:
            maps = config.num_maps
            # Weighted maps are shares of a softmax, thousandths: without this the heads would hardly move them.
            self.heads_norm = nn.LayerNorm(maps)
            self.heads = ClusterHeads(maps, list(config.max_clusters), maps**-0.5)
        self.post_init()

    def forward(
        self,
        input_values: torch.Tensor,
        group_ids: torch.Tensor | None = None,
        dataset_ids: torch.Tensor | None = None,
        stimulus_ids: torch.Tensor | None = None,
        return_loss: bool = True,
        labels: torch.Tensor | None = None,
        token_mask: torch.Tensor | None = None,
        guide: torch.Tensor | None = None,
        guide_sets: torch.Tensor | None = None,
        guide_weight: torch.Tensor | float = 1.0,
        **kwargs,
    ) -> MDJPTForPreTrainingOutput:
        """Embed windows and, given all ids, compute the pre-training loss.

        Args:
            input_values (`torch.Tensor` of shape `(batch, num_channels, samples)`): At least
                `config.min_pretraining_samples` samples.
            group_ids (`torch.Tensor` of shape `(batch,)`, *optional*): One id per subject recording in the batch,
                unique across datasets.
            dataset_ids (`torch.Tensor` of shape `(batch,)`, *optional*): One id per dataset.
            stimulus_ids (`torch.Tensor` of shape `(batch,)`, *optional*): One id per (subject pair, clip, window
                start): every window has exactly one positive, of the same id in another group of its dataset. With
                `config.isa_pairs="all"` one per (clip, window start), in any number of groups.
            labels (`torch.Tensor` of shape `(batch, samples // token_samples, granularities)`, *optional*):
                Pseudo-labels, for a network with `config.max_clusters`; the windows are then encoded a second time,
                with tokens hidden, and the clusters of those predicted.
            token_mask (`torch.Tensor` of shape `(batch, samples // token_samples)`, *optional*): True where hidden.
            guide (`torch.Tensor` of shape `(batch, components)`, *optional*): In a guided step what viewers of each
                window's moment have in common, see [`guide_loss`]. All ids must be given as well.
            guide_sets (`torch.Tensor` of shape `(batch,)`, *optional*): One id per draw of people; all windows are one
                set without it.
            guide_weight (`float`): Its share of the loss; the rest is left to the alignment.

        Raises:
            SignalError: If the windows are too short for the projector, or have the wrong shape.
            ValueError: If some window has no positive, or several.
        """
        self._check_length(input_values)
        aligned = return_loss and not any(part is None for part in (group_ids, dataset_ids, stimulus_ids))
        embeddings, gammas, pooled = self._embed(input_values, group_ids, aligned)
        loss: torch.Tensor | None = None
        parts: dict[str, torch.Tensor] = {}
        if gammas is not None:
            loss, parts = self._align(embeddings, gammas, (group_ids, dataset_ids, stimulus_ids))
            if guide is not None:
                parts["guide_loss"] = self._guide(pooled, guide, guide_sets, group_ids)
                loss = loss + guide_weight * (parts["guide_loss"] - loss)
        if return_loss and labels is not None and token_mask is not None:
            masked_loss, more = self._predict_hidden(input_values, group_ids, labels, token_mask)
            loss, parts = masked_loss if loss is None else loss + masked_loss, {**parts, **more}
        return MDJPTForPreTrainingOutput(loss=loss, embeddings=embeddings, **parts)

    def _embed(
        self, input_values: torch.Tensor, group_ids: torch.Tensor | None, aligned: bool
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]:
        """Embeddings; where they will be aligned, every group's covariances; and pooled maps."""
        if group_ids is None or not (self.groups_apart and self.training and torch.is_grad_enabled()):
            return self._embed_groups(input_values, group_ids, aligned)

        def embed(members: torch.Tensor) -> tuple[torch.Tensor, Any]:
            given = _windows(input_values, members), group_ids[members], aligned
            tokens = self.mdjpt.encode_channels(given[0])  # computed again by itself, chunk after chunk
            return checkpoint(self._embed_groups, *given, tokens, use_reentrant=False, preserve_rng_state=False)

        members = [(group_ids == group).nonzero().squeeze(1) for group in group_ids.unique()]
        # Gradients are taken from the last to the first: the largest comes when least of others is kept.
        members.sort(key=len, reverse=True)
        parts = [embed(group) for group in members]
        order = torch.cat(members).argsort()
        embeddings, gammas, pooled = zip(*parts, strict=True)
        return torch.cat(embeddings)[order], torch.cat(gammas) if aligned else None, torch.cat(pooled)[order]

    def _embed_groups(
        self,
        input_values: torch.Tensor,
        group_ids: torch.Tensor | None,
        aligned: bool,
        channel_tokens: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]:
        encoded = self.mdjpt(input_values, group_ids, channel_tokens, covariances=aligned)
        membership = group_membership(group_ids, input_values)
        embeddings = self.projector(encoded.last_hidden_state.transpose(1, 2), membership)
        return embeddings, encoded.covariances, encoded.pooler_output

    def _align(
        self, embeddings: torch.Tensor, gammas: torch.Tensor, ids
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Both alignment losses, weighted and by name."""
        config = self.config
        group_ids, dataset_ids, stimulus_ids = (part.to(embeddings.device) for part in ids)
        with torch.autocast(embeddings.device.type, enabled=False):
            precise = embeddings.dtype if embeddings.dtype == torch.float64 else torch.float32
            isa_loss, terms = inter_subject_alignment(
                embeddings.to(precise),
                group_ids,
                dataset_ids,
                stimulus_ids,
                config.contrastive_temperature,
                several=config.isa_pairs == "all",
            )
            cda_loss = covariance_alignment(gammas)
        loss = config.isa_weight * isa_loss + config.cda_weight * cda_loss
        return loss, {"isa_loss": isa_loss, "cda_loss": cda_loss, "isa_terms": terms.detach()}

    def _guide(
        self, pooled: torch.Tensor, guide: torch.Tensor, sets: torch.Tensor | None, group_ids: Any
    ) -> torch.Tensor:
        sets = torch.zeros(len(pooled), dtype=torch.long) if sets is None else sets
        with torch.autocast(pooled.device.type, enabled=False):
            precise = pooled if pooled.dtype == torch.float64 else pooled.float()
            membership = group_membership(group_ids, precise)
            assert membership is not None  # aligned windows have groups
            return guide_loss(precise, guide.to(precise), sets.to(pooled.device), membership)

    def _predict_hidden(
        self,
        input_values: torch.Tensor,
        group_ids: torch.Tensor | None,
        labels: torch.Tensor,
        token_mask: torch.Tensor,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The loss of masked prediction, weighted, and its parts by name."""
        samples = token_mask.repeat_interleave(self.config.token_samples, dim=1)
        samples = F.pad(samples, (0, input_values.shape[-1] - samples.shape[1]))
        # Signals are scaled around 0, so 0 is what says nothing.
        states = self.mdjpt.token_states(input_values.masked_fill(samples[:, None], 0.0), group_ids)
        logits = self.heads(self.heads_norm(states))
        losses, accuracies = masked_prediction(logits, labels, token_mask, self.config.unmasked_weight)
        parts = {"masked_losses": losses.detach(), "masked_accuracies": accuracies}
        return self.config.masked_weight * losses.mean(), parts

    def _check_length(self, input_values: torch.Tensor) -> None:
        needed = self.config.min_pretraining_samples
        if input_values.shape[-1] < needed:
            raise SignalError(
                f"pre-training needs windows of at least {needed} samples "
                f"({needed / self.config.sampling_rate:.2f} s), found {input_values.shape[-1]}",
                value=int(input_values.shape[-1]),
                remedy="Use longer windows; MDJPTModel and the classifier take shorter ones",
            )


class MDJPTForSequenceClassification(CarriesPipeline, MDJPTPreTrainedModel):
    """The encoder with the paper's head: classes, several labels at once, or ratings (regression)."""

    _keys_to_ignore_on_load_unexpected = [r"^projector\.", r"^heads", *PRIOR]

    def __init__(self, config: MDJPTConfig):
        super().__init__(config)
        self.num_labels: int = len(config.id2label or {})
        self.mdjpt = MDJPTModel(config)
        self.classifier = task_head(config, config.num_maps, self.num_labels)
        self.post_init()

    def forward(
        self,
        input_values: torch.Tensor,
        group_ids: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        **kwargs,
    ) -> MDJPTClassifierOutput:
        """Classify windows.

        Args:
            input_values (`torch.Tensor` of shape `(batch, num_channels, samples)`): At least one second.
            group_ids (`torch.Tensor` of shape `(batch,)`, *optional*): See [`MDJPTModel`].
            labels (`torch.Tensor`, *optional*): Of the config's `problem_type`, see [`task_loss`].
        """
        logits = self.classifier(self.mdjpt(input_values, group_ids).pooler_output)
        loss = None if labels is None else task_loss(logits, labels, self.config.problem_type)
        return MDJPTClassifierOutput(loss, logits)


#: For transformers below 5.10, which copies from a local folder what this file names, and not what those files name.
_TRAVELS_WITH = """
from .bad_channels_mdjpt import
from .brainvision_mdjpt import
from .chunks_mdjpt import
from .companions_mdjpt import
from .confinement_mdjpt import
from .control_groups_mdjpt import
from .coverage_mdjpt import
from .edf_mdjpt import
from .electrodes_mdjpt import
from .elsewhere_mdjpt import
from .encoder_configuration_mdjpt import
from .encoder_gradient_mdjpt import
from .exchange_mdjpt import
from .feature_extraction_mdjpt import
from .filtering_mdjpt import
from .folders_mdjpt import
from .isolated_child_mdjpt import
from .isolated_mdjpt import
from .kernels_mdjpt import
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
    "MDJPTForPreTraining",
    "MDJPTForSequenceClassification",
    "MDJPTModel",
    "MDJPTPreTrainedModel",
]
