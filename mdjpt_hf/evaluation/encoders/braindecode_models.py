"""Networks of braindecode beside ours: small ones trained from scratch in every split, foundation models frozen."""

import hashlib
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from inspect import signature
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from huggingface_hub import snapshot_download
from safetensors.torch import load_file
from scipy.signal import resample_poly
from torch import nn

from mdjpt_hf.errors import CheckpointError, ConfigurationError, MDJPTError
from mdjpt_hf.evaluation.encoders.encoder import Encoder, Fit, first_windows, read_pool
from mdjpt_hf.evaluation.encoders.training import train_epochs
from mdjpt_hf.evaluation.protocols import Pool
from mdjpt_hf.modeling.electrodes_mdjpt import ELECTRODES
from mdjpt_hf.modeling.montage_mdjpt import STANDARD_CHANNELS

#: Trained on the training windows of every split; all others give frozen features.
FROM_SCRATCH = ("EEGNet", "ShallowFBCSPNet")
#: Hz that frozen networks were made for, where it is not 200.
RATES = {"EEGPT": 256, "SignalJEPA": 128, "BENDR": 256, "InterpolatedBENDR": 256}

#: Where braindecode's documentation says that pre-trained weights of a network lie on the Hub.
CHECKPOINTS = {
    "Labram": "braindecode/labram-pretrained",
    "InterpolatedLaBraM": "braindecode/labram-pretrained",
    "BIOT": "braindecode/biot-pretrained-six-datasets-18chs",
    "InterpolatedBIOT": "braindecode/biot-pretrained-six-datasets-18chs",
    "BENDR": "braindecode/braindecode-bendr",
    "InterpolatedBENDR": "braindecode/braindecode-bendr",
    "CBraMod": "braindecode/cbramod-pretrained",
    "CodeBrain": "braindecode/codebrain-pretrained",
    "EEGPT": "braindecode/eegpt-pretrained",
    "SignalJEPA": "braindecode/signal-jepa_without-chans",
}
LEARNING_RATE, BATCH = 1e-3, 64

#: Before this layer features are read; its weights may be new.
_OWN_HEAD = "final_layer"

#: Epochs that can be chosen. Eight, as a head has, leave a network that starts from nothing at chance.
ASKED_AFTER = (10, 20, 40)


def open_braindecode(name: str, seed: int) -> Encoder:
    """A network of `braindecode.models` by its class name.

    Frozen networks have their pre-trained weights where braindecode documents some and they can be reached, else random
    ones; the encoder's facts say which: `weights`, `source` and `revision`, or `why_random`.

    Args:
        name: `NAME`, or `NAME@SOURCE` for the weights in a folder or Hub repository, which must then be usable.
        seed: Of random weights.

    Raises:
        ConfigurationError: If braindecode is missing or broken, or has no such network.
        CheckpointError: If a source was given and cannot be had.
    """
    name, _, source = name.partition("@")
    models = _library()
    if not hasattr(models, name):
        known = ", ".join(sorted(part for part in dir(models) if part[:1].isupper()))
        raise ConfigurationError(f"braindecode has no network {name!r}", value=name, remedy=f"Use one of {known}")
    title = f"braindecode:{name}"
    facts = {"kind": title, "braindecode": importlib.import_module("braindecode").__version__, "pretrained_on": None}
    if name in FROM_SCRATCH:
        facts |= {"weights": "none: trained from scratch on the training windows of every split", "pretrained_on": []}
        network = getattr(models, name)
        fit, rehearse = partial(_from_scratch, network), partial(_rehearse_scratch, network)
        return Encoder(title, facts, fit=fit, rehearse=rehearse)
    weights = _find_weights(name, source)
    facts |= weights.facts
    frozen = _Frozen(getattr(models, name), seed, weights, facts)
    return Encoder(title, facts, frozen, rehearse=frozen.rehearse)


def _library() -> ModuleType:
    try:
        return importlib.import_module("braindecode.models")
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"this needs braindecode ({error})", value="braindecode", remedy="pip install 'mdjpt-hf[braindecode]'"
        ) from error
    except Exception as error:  # whatever stands in their files runs now
        raise ConfigurationError(
            f"braindecode cannot be imported: {error}",
            value="braindecode",
            remedy="A torchaudio made for another torch is the usual cause: install the one that belongs to yours",
        ) from error


# --- pre-trained weights -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Weights:
    """Pre-trained weights, or why there are none.

    Attributes:
        folder: Holds `config.json` and safetensors; None for random weights.
        facts: What records say. demanded: Whether somebody asked for just these.
    """

    folder: Path | None
    facts: dict[str, Any]
    demanded: bool = False


def _find_weights(name: str, source: str) -> _Weights:
    wanted = source or CHECKPOINTS.get(name, "")
    if not wanted:
        return _no_weights("braindecode documents no pre-trained weights of this network")
    try:
        folder, revision = fetch_checkpoint(wanted)
    except (OSError, ValueError) as error:
        if source:
            raise CheckpointError(
                f"cannot be reached: {error}", path=source, remedy="Give a folder or a Hub repository with safetensors"
            ) from error
        return _no_weights(f"{wanted} cannot be reached ({type(error).__name__})")
    public = Path(wanted).name if Path(wanted).is_dir() else wanted  # no path of this machine goes on record
    return _Weights(folder, {"weights": "pre-trained", "source": public, "revision": revision}, bool(source))


def _no_weights(reason: str) -> _Weights:
    return _Weights(None, {"weights": "random", "why_random": reason})


def fetch_checkpoint(source: str) -> tuple[Path, str]:
    """The folder of a checkpoint and its revision: a commit of the Hub, or the SHA-256 of a local folder's weights.

    Only configuration and safetensors are fetched, never pickles.

    Raises:
        OSError: If the Hub cannot be reached or has no such repository, or a folder lacks safetensors.
    """
    if Path(source).is_dir():
        digest = hashlib.sha256((Path(source) / "model.safetensors").read_bytes())
        return Path(source), f"sha256:{digest.hexdigest()}"
    folder = Path(snapshot_download(source, allow_patterns=["config.json", "*.safetensors"]))
    if not any(folder.glob("*.safetensors")):
        raise FileNotFoundError(f"{source} has no safetensors")
    return folder, folder.name


def _open_weights(network: Any, folder: Path, samples: int, rate: float) -> nn.Module:
    """The network with all of its weights but the last layer's from a folder.

    Raises:
        Exception: Of braindecode's or torch's, if they do not fit these windows.
    """
    state = load_file(next(folder.glob("*.safetensors")))
    if hasattr(network, "_TARGET_CHS_INFO"):  # made for its own channels, to which a new first layer interpolates
        model = _build(network, 2, samples, rate)
        model.load_state_dict({name: value for name, value in state.items() if _OWN_HEAD not in name}, strict=False)
    else:
        model = network.from_pretrained(str(folder), **_signal(samples, rate))
    renamed = getattr(model, "mapping", None) or {}
    known = {renamed.get(name, name) for name in state}
    parameters = [name for name, _ in model.named_parameters() if _OWN_HEAD not in name]
    absent = [name for name in parameters if name not in known and not name.startswith("interpolation_layer")]
    if absent:
        raise ValueError(f"{len(absent)} parameters have no weights, {absent[0]} for one")
    return model


def _signal(samples: int, rate: float) -> dict[str, Any]:
    """What networks are told of windows: the 60 standard channels with places in metres; rate in Hz."""
    channels = [
        {"ch_name": name, "kind": "eeg", "loc": np.array([*(mm / 1000 for mm in ELECTRODES[name]), *[0] * 9])}
        for name in STANDARD_CHANNELS
    ]
    seconds = {"n_times": samples, "sfreq": rate, "input_window_seconds": samples / rate}
    return {"chs_info": channels, "n_chans": len(channels), **seconds}


def _build(network: Any, classes: int, samples: int, rate: float) -> nn.Module:
    return network(n_outputs=classes, **_signal(samples, rate))


@contextmanager
def _theirs(network: Any, samples: int, rate: float) -> Iterator[None]:
    """Around what a network of braindecode does: its errors, of any class, become ours.

    Its constructors refuse channels and lengths with `ValueError`, `AssertionError` or what torch raises, and some
    fetch files.

    Raises:
        ConfigurationError: Of whatever is raised.
    """
    try:
        yield
    except MDJPTError:
        raise
    except Exception as error:
        reason = (" ".join(str(error).split()) or "without a reason")[:300]
        raise ConfigurationError(
            f"braindecode's {getattr(network, '__name__', network)} cannot take {len(STANDARD_CHANNELS)} channels and "
            f"{samples} samples at {rate:g} Hz ({type(error).__name__}: {reason})",
            value=getattr(network, "__name__", str(network)),
            remedy="Leave it out, or use another network",
        ) from error


# --- what they find ------------------------------------------------------------------------------------------------


def _from_scratch(network: Any, pool: Pool) -> Fit:
    def fit(train: np.ndarray, label: np.ndarray, asked: np.ndarray, seed: int) -> np.ndarray:
        windows, others = (torch.from_numpy(read_pool(pool, chosen)) for chosen in (train, asked))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            rate = pool.parts[0].trials.sampling_rate
            with _theirs(network, windows.shape[-1], rate):
                model = _build(network, len(pool.classes), windows.shape[-1], rate)
            generator = torch.Generator().manual_seed(seed)
            return train_epochs(
                model, windows, torch.as_tensor(label), others, generator, BATCH, LEARNING_RATE, ASKED_AFTER
            )

    return fit


def _rehearse_scratch(network: Any, pool: Pool) -> None:
    """Build a network and let it answer two windows.

    Raises:
        ConfigurationError: If it does not, or not with one score per class.
    """
    windows, rate, classes = first_windows(pool), pool.parts[0].trials.sampling_rate, len(pool.classes)
    with torch.random.fork_rng(devices=[]), torch.no_grad(), _theirs(network, windows.shape[-1], rate):
        scores = _build(network, classes, windows.shape[-1], rate)(windows)
        if scores.shape != (len(windows), classes):
            raise ValueError(f"it answers {len(windows)} windows with scores of shape {tuple(scores.shape)}")


class _Frozen:
    """What reaches a network's last layer, `(windows, size)`, from windows at the rate it was made for.

    Weights that turn out not to fit the windows are left out, which `facts` then say.
    """

    def __init__(self, network: Any, seed: int, weights: _Weights, facts: dict[str, Any]):
        self.network, self.seed, self.weights, self.facts = network, seed, weights, facts
        self.rate = RATES.get(getattr(network, "__name__", ""), 200)

    def __call__(self, pool: Pool, groups: str) -> np.ndarray:
        found = []
        model: nn.Module | None = None
        for start in range(0, len(pool), 32):
            windows = self._resampled(read_pool(pool, np.arange(start, min(start + 32, len(pool)))), pool)
            model = self._model(len(pool.classes), windows.shape[-1]) if model is None else model
            with _theirs(self.network, windows.shape[-1], self.rate):
                found.append(_before_last_layer(model, windows))
        return np.concatenate(found)

    def rehearse(self, pool: Pool) -> None:
        """Encode two windows.

        Raises:
            ConfigurationError: If the network cannot. CheckpointError: If weights that were asked for do not fit.
        """
        windows = self._resampled(first_windows(pool).numpy(), pool)
        model = self._model(len(pool.classes), windows.shape[-1])
        with _theirs(self.network, windows.shape[-1], self.rate):
            _before_last_layer(model, windows)

    def _resampled(self, windows: np.ndarray, pool: Pool) -> torch.Tensor:
        ratio = Fraction(self.rate / pool.parts[0].trials.sampling_rate).limit_denominator(1000)
        resampled = resample_poly(windows, ratio.numerator, ratio.denominator, axis=-1)
        return torch.from_numpy(resampled.astype(np.float32))

    def _model(self, classes: int, samples: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            if self.weights.folder is not None:
                try:
                    return _open_weights(self.network, self.weights.folder, samples, float(self.rate)).eval()
                except Exception as error:  # of any class, as with new weights
                    self._give_up(error)
            torch.manual_seed(self.seed)
            with _theirs(self.network, samples, self.rate):
                return _build(self.network, classes, samples, float(self.rate)).eval()

    def _give_up(self, error: Exception) -> None:
        source = self.facts.get("source") or self.weights.facts["source"]
        if self.weights.demanded:
            raise CheckpointError(
                f"does not fit {self.network.__name__} and these windows: {error}",
                path=source,
                remedy="Give weights of this network, or leave @SOURCE out",
            ) from error
        for name in self.weights.facts:
            self.facts.pop(name, None)
        reason = " ".join(str(error).split())[:200]
        self.facts.update(_no_weights(f"{source} does not fit these windows: {reason}").facts)


@torch.no_grad()
def _before_last_layer(model: nn.Module, windows: torch.Tensor) -> np.ndarray:
    caught: list[torch.Tensor] = []
    last = model.get_submodule(_OWN_HEAD)
    handle = last.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))
    wants_names = "ch_names" in signature(model.forward).parameters
    try:
        model(windows, ch_names=list(STANDARD_CHANNELS)) if wants_names else model(windows)
    finally:
        handle.remove()
    found = caught[0].float()
    return (found.flatten(1, -2).mean(dim=1) if found.ndim > 2 else found).numpy()  # tokens are averaged
