"""Checkpoints of both families and a recording, for `open_checkpoints.py`: `python write_checkpoints.py FOLDER`."""

import sys
from pathlib import Path

import mne
import numpy as np
import torch

from mdjpt_hf import (
    MaskedEEGConfig,
    MaskedEEGForPreTraining,
    MaskedEEGForSequenceClassification,
    MaskedEEGModel,
    MDJPTConfig,
    MDJPTFeatureExtractor,
    MDJPTForPreTraining,
    MDJPTForSequenceClassification,
    MDJPTModel,
)

NAMES = ["Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2"]
KINDS = ("encoder", "pretraining", "classifier")
FAMILIES = {
    "mdjpt": (MDJPTConfig, (MDJPTModel, MDJPTForPreTraining, MDJPTForSequenceClassification)),
    "masked": (MaskedEEGConfig, (MaskedEEGModel, MaskedEEGForPreTraining, MaskedEEGForSequenceClassification)),
}


def write(folder: Path) -> None:
    """Small networks with random weights, nothing in them left to chance while they train."""
    for family, (config, classes) in FAMILIES.items():
        for kind, model_class in zip(KINDS, classes, strict=True):
            torch.manual_seed(0)
            model = model_class(config.preset("tiny", num_labels=3, classifier_dropout=0.0))
            model.save_pretrained(folder / f"{family}-{kind}")
            MDJPTFeatureExtractor().save_pretrained(folder / f"{family}-{kind}")
    signal = np.random.default_rng(1).normal(0, 2e-5, (len(NAMES), 20 * 250))
    raw = mne.io.RawArray(signal, mne.create_info(NAMES, 250, "eeg"), verbose="ERROR")
    raw.export(folder / "recording.edf", overwrite=True, verbose="ERROR")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
