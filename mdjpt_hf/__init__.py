"""mdjpt-hf: joint pre-training on many EEG emotion corpora, native to the Hugging Face Hub.

Importing this registers the models with transformers' auto classes. It loads neither MNE nor datasets. The `mdjpt`
command registers them when it runs something: its help, its errors and its completion wait for no model, nor do the
processes in which it prepares data.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mdjpt_hf.importing import collection_paused, needs_no_models
from mdjpt_hf.version import __version__

if TYPE_CHECKING:
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

if not needs_no_models():
    with collection_paused():
        import_module("mdjpt_hf.auto").register()


def __getattr__(name: str) -> Any:
    """A public class, loaded with all the others when the first is asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with collection_paused():
        auto = import_module("mdjpt_hf.auto")
        auto.register()
    globals().update({public: getattr(auto, public) for public in __all__ if public != "__version__"})
    return globals()[name]
