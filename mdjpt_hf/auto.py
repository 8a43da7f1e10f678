"""Registration with transformers: the auto classes open our checkpoints, and saving one copies its code."""

from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModel,
    AutoModelForPreTraining,
    AutoModelForSequenceClassification,
)
from transformers.pipelines import PIPELINE_REGISTRY

from mdjpt_hf.modeling.configuration_mdjpt import MDJPTConfig
from mdjpt_hf.modeling.feature_extraction_mdjpt import MDJPTFeatureExtractor
from mdjpt_hf.modeling.modeling_mdjpt import (
    MDJPTForPreTraining,
    MDJPTForSequenceClassification,
    MDJPTModel,
)
from mdjpt_hf.modeling.pipeline_mdjpt import TASK, EEGEmotionPipeline

MODELS = {
    AutoModel: MDJPTModel,
    AutoModelForPreTraining: MDJPTForPreTraining,
    AutoModelForSequenceClassification: MDJPTForSequenceClassification,
}


def register() -> None:
    """Register every class once; importing the package does it."""
    AutoConfig.register(MDJPTConfig.model_type, MDJPTConfig, exist_ok=True)
    AutoFeatureExtractor.register(MDJPTConfig, MDJPTFeatureExtractor, exist_ok=True)
    MDJPTConfig.register_for_auto_class()
    MDJPTFeatureExtractor.register_for_auto_class()
    for auto_class, model_class in MODELS.items():
        auto_class.register(MDJPTConfig, model_class, exist_ok=True)
        model_class.register_for_auto_class(auto_class.__name__)
    if TASK not in PIPELINE_REGISTRY.get_supported_tasks():
        PIPELINE_REGISTRY.register_pipeline(
            TASK, EEGEmotionPipeline, pt_model=AutoModelForSequenceClassification, type="multimodal"
        )
