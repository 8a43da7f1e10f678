"""mdjpt-hf: joint pre-training on many EEG emotion corpora, native to the Hugging Face Hub.

After importing this, transformers' auto classes know the models. Nothing large is loaded for it: they are registered
when the auto classes, or classes of ours, are first imported. The `mdjpt` command registers them when it runs
something, and the processes in which it prepares data never do.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mdjpt_hf.former_names import keep_former_names
from mdjpt_hf.runtime.first_use import register_at_first_use
from mdjpt_hf.runtime.importing import collection_paused, needs_no_models
from mdjpt_hf.version import __version__

if TYPE_CHECKING:
    from mdjpt_hf.data.loading import load_corpus
    from mdjpt_hf.evaluation.run import Evaluation, evaluate
    from mdjpt_hf.finetuning.train import FinetuneConfig, finetune
    from mdjpt_hf.inference.embedding import embed
    from mdjpt_hf.inference.estimator import EEGEncoder
    from mdjpt_hf.inference.prediction import predict_all as predict
    from mdjpt_hf.modeling.configuration_masked_eeg import MaskedEEGConfig
    from mdjpt_hf.modeling.configuration_mdjpt import MDJPTConfig
    from mdjpt_hf.modeling.feature_extraction_mdjpt import MDJPTFeatureExtractor
    from mdjpt_hf.modeling.modeling_masked_eeg import (
        MaskedEEGForPreTraining,
        MaskedEEGForSequenceClassification,
        MaskedEEGModel,
    )
    from mdjpt_hf.modeling.modeling_mdjpt import MDJPTForPreTraining, MDJPTForSequenceClassification, MDJPTModel
    from mdjpt_hf.modeling.pipeline_mdjpt import EEGEmotionPipeline
    from mdjpt_hf.pretraining import pretrain
    from mdjpt_hf.training.config import RunConfig

#: What the commands do, as functions, with their settings: name -> "module:name".
_WORK = {
    "EEGEncoder": "mdjpt_hf.inference.estimator:EEGEncoder",
    "Evaluation": "mdjpt_hf.evaluation.run:Evaluation",
    "FinetuneConfig": "mdjpt_hf.finetuning.train:FinetuneConfig",
    "RunConfig": "mdjpt_hf.training.config:RunConfig",
    "embed": "mdjpt_hf.inference.embedding:embed",
    "evaluate": "mdjpt_hf.evaluation.run:evaluate",
    "finetune": "mdjpt_hf.finetuning.train:finetune",
    "load_corpus": "mdjpt_hf.data.loading:load_corpus",
    "predict": "mdjpt_hf.inference.prediction:predict_all",
    "pretrain": "mdjpt_hf.pretraining:pretrain",
}

__all__ = [
    "EEGEmotionPipeline",
    "EEGEncoder",
    "Evaluation",
    "FinetuneConfig",
    "MDJPTConfig",
    "MDJPTFeatureExtractor",
    "MDJPTForPreTraining",
    "MDJPTForSequenceClassification",
    "MDJPTModel",
    "MaskedEEGConfig",
    "MaskedEEGForPreTraining",
    "MaskedEEGForSequenceClassification",
    "MaskedEEGModel",
    "RunConfig",
    "__version__",
    "embed",
    "evaluate",
    "finetune",
    "load_corpus",
    "predict",
    "pretrain",
]

keep_former_names()
if not needs_no_models():
    register_at_first_use()


def __getattr__(name: str) -> Any:
    """A public class, loaded with all the others when the first is asked for, or what a command does."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _WORK:
        with collection_paused():
            import_module("mdjpt_hf.runtime.registration").register()
            module, _, own_name = _WORK[name].partition(":")
            found = getattr(import_module(module), own_name)
        globals()[name] = found
        return found
    with collection_paused():
        auto = import_module("mdjpt_hf.runtime.registration")
        auto.register()
    globals().update({public: getattr(auto, public) for public in __all__ if public not in {"__version__", *_WORK}})
    return globals()[name]
