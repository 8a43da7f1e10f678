"""What is compared: checkpoints, random weights, differential entropy, and others' networks."""

from mdjpt_hf.evaluation.encoders.checkpoints import BLOCK, EncoderSource, checkpoint_montage, model_encoder
from mdjpt_hf.evaluation.encoders.encoder import Encoder, Fit, first_windows, read_pool
from mdjpt_hf.evaluation.encoders.opening import is_checkpoint, open_encoders, shared_montage, usable, window_seconds
from mdjpt_hf.evaluation.encoders.training import EPOCHS, train_epochs

__all__ = [
    "BLOCK",
    "EPOCHS",
    "Encoder",
    "EncoderSource",
    "Fit",
    "checkpoint_montage",
    "first_windows",
    "is_checkpoint",
    "model_encoder",
    "open_encoders",
    "read_pool",
    "shared_montage",
    "train_epochs",
    "usable",
    "window_seconds",
]
