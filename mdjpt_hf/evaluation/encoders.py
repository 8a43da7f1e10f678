"""Everything that turns windows into features or classes, opened by a name: checkpoints, baselines, other libraries.

All see the same windows: on the 60 standard channels, scaled by one robust scale per recording.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModel, PreTrainedModel
from transformers.utils import FEATURE_EXTRACTOR_NAME, cached_file

from mdjpt_hf.data.corpora import TrialSet
from mdjpt_hf.data.facts import labelled_datasets, training_record
from mdjpt_hf.data.windows import read_windows
from mdjpt_hf.errors import CheckpointError, ConfigurationError, MDJPTError
from mdjpt_hf.evaluation.features import differential_entropy
from mdjpt_hf.evaluation.pool import Pool
from mdjpt_hf.evaluation.readout import Fit
from mdjpt_hf.evaluation.transformers_models import encode_any
from mdjpt_hf.modeling.configuration_mdjpt import MDJPTConfig
from mdjpt_hf.modeling.modeling_mdjpt import MDJPTModel
from mdjpt_hf.modeling.montage_mdjpt import silence_electrode

#: Windows that the published program normalises together, whoever they are of.
BLOCK = 32
_BATCH = 128


@dataclass(frozen=True)
class Encoder:
    """An entry of a table.

    Attributes:
        name: In tables. facts: What it is, for records; `weights` says pre-trained, random or none.
        features: (pool, encoder_groups) -> `(windows, size)`; None for networks trained anew in every split.
        fit: pool -> a classifier trained on windows; None for features.
        rehearse: Tries two windows of a pool, so that what cannot work is known before anything is computed; raises an
            `MDJPTError`. None where nothing can go wrong.
    """

    name: str
    facts: dict[str, Any]
    features: Callable[[Pool, str], np.ndarray] | None = None
    fit: Callable[[Pool], Fit] | None = None
    rehearse: Callable[[Pool], Any] | None = None


@dataclass(frozen=True)
class EncoderSource:
    """What names are opened with.

    Args:
        reference: Folder or Hub id whose architecture `random` has; by default the first of the table, else the
            preset tiny.
        seed: Of random weights. trust_remote_code: Whether a checkpoint may run code of its own.
        device: Where checkpoints and random weights compute, in torch's words.
    """

    reference: str = ""
    seed: int = 0
    trust_remote_code: bool = False
    device: str = "cpu"
    _opened: dict[str, PreTrainedModel] = field(default_factory=dict, repr=False)

    def model(self, name: str) -> PreTrainedModel:
        """A checkpoint, opened once.

        Raises:
            CheckpointError: If it cannot be opened.
        """
        if name not in self._opened:
            try:
                model = AutoModel.from_pretrained(name, trust_remote_code=self.trust_remote_code)
            except (OSError, ValueError, ImportError) as error:
                raise CheckpointError(
                    f"cannot be opened as a model: {error}",
                    path=name,
                    remedy="Give a folder or Hub id with a saved model; --trust-remote-code lets its own code run",
                ) from error
            self._opened[name] = model.eval().to(self.device)
        return self._opened[name]


def open_encoders(names: Sequence[str], source: EncoderSource) -> list[Encoder]:
    """Open encoders by name: a folder, a Hub id, `random`, `de`, or `braindecode:NAME`.

    Raises:
        CheckpointError: If a checkpoint cannot be opened.
        ConfigurationError: If two have the same name, or braindecode is wanted but missing.
    """
    encoders = [_open(name, names, source) for name in names]
    titles = [encoder.name for encoder in encoders]
    if len(set(titles)) < len(titles):
        raise ConfigurationError(
            f"two models have the same name: {', '.join(titles)}", value=titles, remedy="Rename a folder"
        )
    return encoders


def window_seconds(names: Sequence[str], source: EncoderSource) -> float:
    """Length of a window, as the reference wants it, else 5 s."""
    reference = _reference(names, source)
    return float(getattr(source.model(reference).config, "window_seconds", 5.0)) if reference else 5.0


def shared_montage(names: Sequence[str], source: EncoderSource) -> str:
    """How recorded channels become the 60 standard ones: as the extractors of the checkpoints say, else by positions.

    Raises:
        ConfigurationError: If checkpoints disagree: all are given the same windows.
    """
    checkpoints = [name for name in (*names, source.reference) if name and _is_checkpoint(name)]
    told = {name: montage for name in checkpoints if (montage := checkpoint_montage(name))}
    if len(set(told.values())) > 1:
        raise ConfigurationError(
            f"the models want different montages: {', '.join(f'{name} {found}' for name, found in told.items())}",
            value=told,
            remedy="Evaluate models of one montage at a time, each time with another --out",
        )
    return next(iter(told.values()), "positions")


def checkpoint_montage(name: str) -> str:
    """What the extractor of a folder or Hub id does about missing channels; empty where it has none that tells.

    Raises:
        CheckpointError: If the extractor's settings are no JSON.
    """
    try:
        path = Path(str(cached_file(name, FEATURE_EXTRACTOR_NAME)))
        return str(json.loads(path.read_text(encoding="utf-8")).get("montage", ""))
    except OSError:
        return ""
    except (ValueError, AttributeError) as error:
        raise CheckpointError(
            f"has a {FEATURE_EXTRACTOR_NAME} that cannot be read: {error}",
            path=name,
            remedy="Copy it again from where the model was saved",
        ) from error


def _reference(names: Sequence[str], source: EncoderSource) -> str:
    return source.reference or next((name for name in names if _is_checkpoint(name)), "")


def _is_checkpoint(name: str) -> bool:
    return name not in ("random", "de") and not name.startswith("braindecode:")


def _open(name: str, names: Sequence[str], source: EncoderSource) -> Encoder:
    if name == "de":
        return Encoder("DE", {"kind": "differential entropy in five bands", "weights": "none"}, _entropy)
    if name.startswith("braindecode:"):
        from mdjpt_hf.evaluation.braindecode_models import open_braindecode

        return open_braindecode(name.partition(":")[2], source.seed)
    reference = _reference(names, source)
    if name == "random":
        return _random(source, reference)
    model = source.model(name)
    facts = {**_facts(model, "pre-trained", name), **_training_facts(name)}
    return Encoder(Path(name).name, facts, _encoding(model), rehearse=_rehearsal(model))


def _random(source: EncoderSource, reference: str) -> Encoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(source.seed)
        like = source.model(reference) if reference else None
        model = MDJPTModel(MDJPTConfig.preset("tiny")) if like is None else type(like)(like.config)
    facts = _facts(model.eval().to(source.device), "random", Path(reference).name or "preset tiny")
    return Encoder("random weights", {**facts, "pretrained_on": []}, _encoding(model), rehearse=_rehearsal(model))


def _facts(model: PreTrainedModel, weights: str, origin: str) -> dict[str, Any]:
    parameters = sum(parameter.numel() for parameter in model.parameters())
    name = Path(origin).name if Path(origin).exists() else origin  # no path of this machine goes on record
    return {
        "kind": type(model).__name__,
        "origin": name,
        "weights": weights,
        "parameters": parameters,
        "device": model.device.type,
    }


def _training_facts(name: str) -> dict[str, Any]:
    """The objective of a checkpoint, the corpora it was trained on (None where not on record), those with labels."""
    record = training_record(name)
    if record is None:
        return {"pretrained_on": None}
    return {
        "objective": record.get("objective", ""),
        "pretrained_on": [entry["name"] for entry in record["datasets"]],
        "trained_with_labels_of": labelled_datasets(record),
    }


def read_pool(pool: Pool, chosen: np.ndarray) -> np.ndarray:
    """Windows by their numbers, `(windows, 60, samples)` float32."""
    part = np.searchsorted(pool.offsets, chosen, side="right") - 1
    found: np.ndarray | None = None
    for number in np.unique(part):
        own = part == number
        windows = pool.parts[number]
        numbers = chosen[own] - pool.offsets[number]
        values = read_windows(windows.trials, windows.index, numbers)
        if pool.silenced:
            _silence(values, windows.trials, windows.index.trial[numbers], pool.silenced)
        found = np.empty((len(chosen), *values.shape[1:]), dtype=np.float32) if found is None else found
        found[own] = values
    assert found is not None  # somebody asked for windows
    return found


def _silence(values: np.ndarray, trials: TrialSet, trial: np.ndarray, electrode: str) -> None:
    """Leave an electrode out of windows of the trials `(windows,)`, in place; where it was not recorded, nothing is."""
    for number in np.unique(trial):
        if electrode in trials.ch_names[number]:
            shares = trials.projection(number)[:, trials.ch_names[number].index(electrode)]
            silenced = silence_electrode(values[trial == number], shares)
            assert silenced is not None  # standard channels alone are silenced
            values[trial == number] = silenced


def _entropy(pool: Pool, groups: str) -> np.ndarray:
    found = []
    for part, start in zip(pool.parts, pool.offsets, strict=True):
        for number in range(start, start + len(part)):
            (window,) = read_pool(pool, np.array([number]))
            found.append(differential_entropy(window, part.trials.sampling_rate))
    return np.stack(found)


def _encoding(model: PreTrainedModel) -> Callable[[Pool, str], np.ndarray]:
    """Features as the model pools them; one that was not made here knows no groups and takes each window alone."""
    groups_matter = hasattr(model, "encode_recording")

    def features(pool: Pool, groups: str) -> np.ndarray:
        values: np.ndarray | None = None
        for chosen, ids in _blocks(pool, groups):
            windows = torch.from_numpy(read_pool(pool, chosen))
            together = torch.from_numpy(ids)
            found = _encode_recording(model, windows, together) if groups_matter else encode_any(model, windows)
            values = np.empty((len(pool), found.shape[1]), dtype=np.float32) if values is None else values
            values[chosen] = found
        assert values is not None  # a pool has windows
        return values

    return features


def _rehearsal(model: PreTrainedModel) -> Callable[[Pool], Any]:
    def rehearse(pool: Pool) -> None:
        windows = first_windows(pool)
        if hasattr(model, "encode_recording"):
            _encode_recording(model, windows, torch.zeros(len(windows), dtype=torch.long))
        else:
            encode_any(model, windows)

    return rehearse


def first_windows(pool: Pool) -> torch.Tensor:
    """Two windows to try an encoder on, `(2, 60, samples)`; one where there are no more."""
    return torch.from_numpy(read_pool(pool, np.arange(min(2, len(pool)))))


def usable(encoders: Sequence[Encoder], pool: Pool, say: Callable[[str], None]) -> list[Encoder]:
    """Those encoders that can take the windows of a pool; why the others cannot is said.

    Raises:
        MDJPTError: If none can; that of the first.
    """
    found, failures = [], []
    for encoder in encoders:
        try:
            if encoder.rehearse is not None:
                encoder.rehearse(pool)
            found.append(encoder)
        except MDJPTError as error:
            failures.append((encoder.name, error))
    if not found:
        raise failures[0][1]
    for name, failure in failures:
        say(f"{name} is passed over: {failure}")
    return found


def _blocks(pool: Pool, groups: str):
    """Window numbers to encode at once, and which of them are normalised together."""
    recorded = np.lexsort((pool.order, pool.recording))
    if groups == "blocks-of-32":
        for start in range(0, len(pool), BLOCK):
            chosen = recorded[start : start + BLOCK]
            yield chosen, np.zeros(len(chosen), dtype=np.int64)
        return
    for recording in np.unique(pool.recording):
        chosen = recorded[pool.recording[recorded] == recording]
        yield chosen, np.arange(len(chosen)) if groups == "window" else np.zeros(len(chosen), dtype=np.int64)


def _encode_recording(model: Any, windows: torch.Tensor, ids: torch.Tensor) -> np.ndarray:
    return model.encode_recording(windows, ids, batch_size=_BATCH).float().cpu().numpy()
