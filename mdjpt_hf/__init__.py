"""mdjpt-hf: joint pre-training on many EEG emotion corpora, native to the Hugging Face Hub.

Importing this registers the models with transformers' auto classes. It loads neither MNE nor datasets.
"""

from mdjpt_hf.importing import collection_paused

with collection_paused():
    from mdjpt_hf.auto import register
    from mdjpt_hf.modeling.configuration_masked_eeg import MaskedEEGConfig
    from mdjpt_hf.modeling.configuration_mdjpt import MDJPTConfig
    from mdjpt_hf.modeling.feature_extraction_mdjpt import MDJPTFeatureExtractor
    from mdjpt_hf.modeling.modeling_masked_eeg import (
        MaskedEEGForPreTraining,
        MaskedEEGForSequenceClassification,
        MaskedEEGModel,
    )
    from mdjpt_hf.modeling.modeling_mdjpt import (
        MDJPTForPreTraining,
        MDJPTForSequenceClassification,
        MDJPTModel,
    )
    from mdjpt_hf.modeling.pipeline_mdjpt import EEGEmotionPipeline
    from mdjpt_hf.version import __version__

register()

__all__ = [
    "EEGEmotionPipeline",
    "MDJPTConfig",
    "MDJPTFeatureExtractor",
    "MDJPTForPreTraining",
    "MDJPTForSequenceClassification",
    "MDJPTModel",
    "MaskedEEGConfig",
    "MaskedEEGForPreTraining",
    "MaskedEEGForSequenceClassification",
    "MaskedEEGModel",
    "__version__",
]
