"""Checkpoints as encoders: opened once, their facts, their features by groups of windows."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModel, PreTrainedModel
from transformers.utils import FEATURE_EXTRACTOR_NAME, cached_file

from mdjpt_hf.data.facts import met_in_training, training_record
from mdjpt_hf.errors import CheckpointError
from mdjpt_hf.evaluation.encoders.encoder import Encoder, first_windows, read_pool
from mdjpt_hf.evaluation.encoders.transformers_models import encode_any
from mdjpt_hf.evaluation.protocols import Pool
from mdjpt_hf.modeling.configuration_mdjpt import MDJPTConfig
from mdjpt_hf.modeling.modeling_mdjpt import MDJPTModel
from mdjpt_hf.runtime.naming import model_name

#: Windows that the published program normalises together, whoever they are of.
BLOCK = 32
_BATCH = 128


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
            f"has a {FEATURE_EXTRACTOR_NAME} that cannot be read: {error}", path=name, remedy="Copy the original again"
        ) from error


def model_encoder(
    name: str, model: PreTrainedModel, weights: str = "pre-trained", record: Mapping[str, Any] | None = None
) -> Encoder:
    """A model that is there already as an encoder.

    Args:
        name: In tables. weights: "pre-trained" or "random", for records.
        record: Of its training, of which `datasets` counts; by default it was trained on nothing that is tested.
    """
    trained = {} if record is None else met_in_training(record)
    return _encoder(name, {**_facts(model.eval(), weights, ""), **trained}, model)


def open_checkpoint(name: str, source: EncoderSource) -> Encoder:
    """A folder or Hub id as an encoder.

    Raises:
        CheckpointError: If it cannot be opened.
    """
    model = source.model(name)
    facts = {**_facts(model, "pre-trained", name), **_training_facts(name)}
    return _encoder(model_name(name), facts, model)


def random_weights(source: EncoderSource, reference: str) -> Encoder:
    """The architecture of a checkpoint with new weights; by default the preset tiny."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(source.seed)
        like = source.model(reference) if reference else None
        model = MDJPTModel(MDJPTConfig.preset("tiny")) if like is None else type(like)(like.config)
    facts = _facts(model.eval().to(source.device), "random", model_name(reference) if reference else "preset tiny")
    return _encoder("random weights", {**facts, "pretrained_on": []}, model)


def _encoder(name: str, facts: dict[str, Any], model: PreTrainedModel) -> Encoder:
    return Encoder(name, facts, _encoding(model), rehearse=_rehearsal(model), recordings_alone=True)


def _facts(model: PreTrainedModel, weights: str, origin: str) -> dict[str, Any]:
    parameters = sum(parameter.numel() for parameter in model.parameters())
    name = model_name(origin) if Path(origin).exists() else origin  # no path of this machine goes on record
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
    return {"objective": record.get("objective", ""), **met_in_training(record)}


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
