"""Everything that turns windows into features or classes, opened by a name: checkpoints, baselines, other libraries.

All see the same windows: on the 60 standard channels, scaled by one robust scale per recording.
"""

from collections.abc import Callable, Sequence

import numpy as np

from mdjpt_hf.data.spectra import differential_entropy
from mdjpt_hf.errors import ConfigurationError, MDJPTError
from mdjpt_hf.evaluation.encoders.braindecode_models import open_braindecode
from mdjpt_hf.evaluation.encoders.checkpoints import (
    EncoderSource,
    checkpoint_montage,
    open_checkpoint,
    random_weights,
)
from mdjpt_hf.evaluation.encoders.encoder import Encoder, read_pool
from mdjpt_hf.evaluation.protocols import Pool
from mdjpt_hf.modeling.montage_mdjpt import STANDARD_CHANNELS


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
    checkpoints = [name for name in (*names, source.reference) if name and is_checkpoint(name)]
    told = {name: montage for name in checkpoints if (montage := checkpoint_montage(name))}
    if len(set(told.values())) > 1:
        raise ConfigurationError(
            f"the models want different montages: {', '.join(f'{name} {found}' for name, found in told.items())}",
            value=told,
            remedy="Evaluate models of one montage at a time, each time with another --out",
        )
    return next(iter(told.values()), "positions")


def _reference(names: Sequence[str], source: EncoderSource) -> str:
    return source.reference or next((name for name in names if is_checkpoint(name)), "")


def is_checkpoint(name: str) -> bool:
    """Whether a name of a table is a folder or Hub id, and no word such as `random`."""
    return name not in ("random", "de") and not name.startswith("braindecode:")


def _open(name: str, names: Sequence[str], source: EncoderSource) -> Encoder:
    if name == "de":
        return Encoder(
            "DE", {"kind": "differential entropy in five bands", "weights": "none"}, _entropy, recordings_alone=True
        )
    if name.startswith("braindecode:"):
        return open_braindecode(name.partition(":")[2], source.seed)
    return random_weights(source, _reference(names, source)) if name == "random" else open_checkpoint(name, source)


def _entropy(pool: Pool, groups: str) -> np.ndarray:
    """On the channels that were recorded, where all trials have the same; across corpora on all standard ones."""
    recorded = pool.recorded if len(pool.parts) == 1 and not pool.among_others else []
    channels = [STANDARD_CHANNELS.index(name) for name in recorded or STANDARD_CHANNELS]
    found = []
    for part, start in zip(pool.parts, pool.offsets, strict=True):
        for number in range(start, start + len(part)):
            (window,) = read_pool(pool, np.array([number]))
            found.append(differential_entropy(window[channels], part.trials.sampling_rate))
    return np.stack(found)


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
