"""Networks of braindecode beside ours: small ones trained from scratch in every split, foundation models frozen."""

import importlib
from fractions import Fraction
from inspect import signature
from types import ModuleType
from typing import Any

import numpy as np
import torch
from scipy.signal import resample_poly
from torch import nn

from mdjpt_hf.errors import ConfigurationError
from mdjpt_hf.evaluation.encoders import Encoder, read_pool
from mdjpt_hf.evaluation.pool import Pool
from mdjpt_hf.evaluation.readout import Fit, train_epochs
from mdjpt_hf.modeling.electrodes_mdjpt import ELECTRODES
from mdjpt_hf.modeling.montage_mdjpt import STANDARD_CHANNELS

#: Trained on the training windows of every split; all others give frozen features.
FROM_SCRATCH = ("EEGNet", "ShallowFBCSPNet")
#: Hz that frozen networks were made for, where it is not 200.
RATES = {"EEGPT": 256}
LEARNING_RATE, BATCH = 1e-3, 64

#: Epochs that can be chosen: fewer than of a head, since asking these networks takes as long as training them.
ASKED_AFTER = (2, 4, 8)


def open_braindecode(name: str, seed: int) -> Encoder:
    """A network of `braindecode.models` by its class name.

    Raises:
        ConfigurationError: If braindecode is missing or broken, or has no such network.
    """
    models = _library()
    if not hasattr(models, name):
        known = ", ".join(sorted(part for part in dir(models) if part[:1].isupper()))
        raise ConfigurationError(f"braindecode has no network {name!r}", value=name, remedy=f"Use one of {known}")
    title = f"braindecode:{name}"
    facts = {"kind": title, "braindecode": importlib.import_module("braindecode").__version__, "pretrained_on": None}
    if name in FROM_SCRATCH:
        facts |= {"weights": "none: trained from scratch on the training windows of every split", "pretrained_on": []}
        return Encoder(title, facts, fit=lambda pool: _from_scratch(getattr(models, name), pool))
    frozen = _Frozen(getattr(models, name), seed)
    return Encoder(title, {**facts, "weights": "random"}, frozen)


def _library() -> ModuleType:
    try:
        return importlib.import_module("braindecode.models")
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"this needs braindecode ({error})", value="braindecode", remedy="pip install 'mdjpt-hf[braindecode]'"
        ) from error
    except (ImportError, OSError, RuntimeError) as error:
        raise ConfigurationError(
            f"braindecode cannot be imported: {error}",
            value="braindecode",
            remedy="A torchaudio made for another torch is the usual cause: install the one that belongs to yours",
        ) from error


def _build(network: Any, classes: int, samples: int, rate: float) -> nn.Module:
    """For the 60 standard channels; locations in metres, rate in Hz."""
    channels = [
        {"ch_name": name, "kind": "eeg", "loc": np.array([0, 0, 0, *(mm / 1000 for mm in ELECTRODES[name]), *[0] * 6])}
        for name in STANDARD_CHANNELS
    ]
    return network(chs_info=channels, n_outputs=classes, n_times=samples, sfreq=rate)


def _from_scratch(network: Any, pool: Pool) -> Fit:
    def fit(train: np.ndarray, label: np.ndarray, asked: np.ndarray, seed: int) -> np.ndarray:
        windows, others = (torch.from_numpy(read_pool(pool, chosen)) for chosen in (train, asked))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = _build(network, len(pool.classes), windows.shape[-1], pool.parts[0].trials.sampling_rate)
            generator = torch.Generator().manual_seed(seed)
            return train_epochs(
                model, windows, torch.as_tensor(label), others, generator, BATCH, LEARNING_RATE, ASKED_AFTER
            )

    return fit


class _Frozen:
    """What reaches a network's last layer, `(windows, size)`, from windows at the rate it was made for."""

    def __init__(self, network: Any, seed: int):
        self.network, self.seed = network, seed
        self.rate = RATES.get(network.__name__, 200)

    def __call__(self, pool: Pool, groups: str) -> np.ndarray:
        found = []
        model: nn.Module | None = None
        ratio = Fraction(self.rate / pool.parts[0].trials.sampling_rate).limit_denominator(1000)
        for start in range(0, len(pool), 32):
            windows = read_pool(pool, np.arange(start, min(start + 32, len(pool))))
            windows = resample_poly(windows, ratio.numerator, ratio.denominator, axis=-1).astype(np.float32)
            model = self._model(len(pool.classes), windows.shape[-1]) if model is None else model
            found.append(_before_last_layer(model, torch.from_numpy(windows)))
        return np.concatenate(found)

    def _model(self, classes: int, samples: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return _build(self.network, classes, samples, float(self.rate)).eval()


@torch.no_grad()
def _before_last_layer(model: nn.Module, windows: torch.Tensor) -> np.ndarray:
    caught: list[torch.Tensor] = []
    last = model.get_submodule("final_layer")
    handle = last.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))
    wants_names = "ch_names" in signature(model.forward).parameters
    try:
        model(windows, ch_names=list(STANDARD_CHANNELS)) if wants_names else model(windows)
    finally:
        handle.remove()
    found = caught[0].float()
    return (found.flatten(1, -2).mean(dim=1) if found.ndim > 2 else found).numpy()  # tokens are averaged
