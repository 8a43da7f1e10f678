"""Registration with transformers: the auto classes open our checkpoints, and saving one copies its code."""

from typing import Any

from mdjpt_hf.runtime.torchaudio_guard import mend_torchaudio

mend_torchaudio()  # before transformers imports it

# ruff: noqa: E402
from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModel,
    AutoModelForPreTraining,
    AutoModelForSequenceClassification,
)
from transformers.pipelines import PIPELINE_REGISTRY

from mdjpt_hf.modeling.configuration_masked_eeg import MaskedEEGConfig
from mdjpt_hf.modeling.configuration_mdjpt import MDJPTConfig
from mdjpt_hf.modeling.feature_extraction_mdjpt import MDJPTFeatureExtractor
from mdjpt_hf.modeling.modeling_masked_eeg import (
    MaskedEEGForPreTraining,
    MaskedEEGForSequenceClassification,
    MaskedEEGModel,
)
from mdjpt_hf.modeling.modeling_mdjpt import MDJPTForPreTraining, MDJPTForSequenceClassification, MDJPTModel
from mdjpt_hf.modeling.pipeline_mdjpt import TASK, EEGEmotionPipeline

MODELS: dict[Any, dict[Any, Any]] = {
    MDJPTConfig: {
        AutoModel: MDJPTModel,
        AutoModelForPreTraining: MDJPTForPreTraining,
        AutoModelForSequenceClassification: MDJPTForSequenceClassification,
    },
    MaskedEEGConfig: {
        AutoModel: MaskedEEGModel,
        AutoModelForPreTraining: MaskedEEGForPreTraining,
        AutoModelForSequenceClassification: MaskedEEGForSequenceClassification,
    },
}


def register() -> None:
    """Register every class once; importing the package does it."""
    MDJPTFeatureExtractor.register_for_auto_class()
    for config_class, models in MODELS.items():
        AutoConfig.register(config_class.model_type, config_class, exist_ok=True)
        AutoFeatureExtractor.register(config_class, MDJPTFeatureExtractor, exist_ok=True)
        config_class.register_for_auto_class()
        for auto_class, model_class in models.items():
            auto_class.register(config_class, model_class, exist_ok=True)
            model_class.register_for_auto_class(auto_class.__name__)
    if TASK not in PIPELINE_REGISTRY.get_supported_tasks():
        PIPELINE_REGISTRY.register_pipeline(
            TASK, EEGEmotionPipeline, pt_model=AutoModelForSequenceClassification, type="multimodal"
        )
