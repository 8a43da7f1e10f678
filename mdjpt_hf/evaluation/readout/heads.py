"""The published head."""

import numpy as np
import torch
from torch import nn

from mdjpt_hf.evaluation.encoders import train_epochs


def mlp(train: np.ndarray, label: np.ndarray, others: np.ndarray, classes: int, seed: int) -> np.ndarray:
    """The published head after each epoch, `(epochs, windows, classes)` logits.

    Batches have 256 windows, or fewer where an epoch would have less than eight steps.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sizes = [train.shape[1], 128, 64]
        hidden = [
            layer
            for size, following in zip(sizes[:-1], sizes[1:], strict=True)
            for layer in (nn.Linear(size, following), nn.ReLU(), nn.Dropout(0.1))
        ]
        network = nn.Sequential(*hidden, nn.Linear(sizes[-1], classes))
        inputs, targets, asked = (torch.as_tensor(values) for values in (train, label, others))
        return train_epochs(network, inputs.float(), targets, asked.float(), generator, batch_size=256)
