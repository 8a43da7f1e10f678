"""Windows as they come live, out of prepared corpora: from the past alone, session by session in the order of time."""

from typing import Any

import numpy as np
import torch

from mdjpt_hf.errors import CorpusError
from mdjpt_hf.finetuning.windows import LabelledDataset
from mdjpt_hf.modeling.feature_extraction_mdjpt import MDJPTFeatureExtractor
from mdjpt_hf.modeling.smoothing_mdjpt import online_normalise, running_mean
from mdjpt_hf.runtime.progress import Progress
from mdjpt_hf.streaming import StreamingEncoder

#: What a classifier for live use is made with, and says in its config: s of the past that are looked at, how fast the
#: statistics of training subjects fade (arXiv 2510.22197), and how many windows are smoothed over: at two seconds from
#: one to the next that is ten seconds, which follows a change soon and forgets the clip before.
CONTEXT, DECAY, SMOOTHED = 15.0, 0.99, 5
STREAMING: dict[str, Any] = {"context_seconds": CONTEXT, "decay": DECAY, "smoothing_windows": SMOOTHED}


def stream_features(encoder: Any, extractor: MDJPTFeatureExtractor, windows: LabelledDataset) -> torch.Tensor:
    """What a stream of their trial gives windows, `(windows, size)`; those that it cannot encode are left out of them.

    Args:
        encoder: The base model. windows: Those of the extractor's length and stride.

    Raises:
        CorpusError: If none can be encoded.
    """
    features = torch.full((len(windows), encoder.config.pooled_size), torch.nan)
    corpora, trials, starts = windows.windows.T
    numbers = np.unique(np.stack([corpora, trials]), axis=1).T
    streams: dict[tuple[Any, ...], StreamingEncoder] = {}
    with Progress(len(numbers), 0, "windows as they come live", "trial") as progress:
        for corpus, trial in numbers.tolist():
            own = np.flatnonzero((corpora == corpus) & (trials == trial))
            found = _stream(encoder, extractor, windows, (corpus, trial), streams)
            ends = starts[own] + windows.length
            known = [number for number, end in zip(own, ends.tolist(), strict=True) if end in found]
            for number in known:
                features[number] = torch.from_numpy(found[int(starts[number]) + windows.length])
            progress.advance()
    kept = np.flatnonzero(torch.isfinite(features).all(dim=1).numpy())
    if not len(kept):
        raise CorpusError(
            "no window of the corpora can be encoded live", value=len(windows), remedy="Check them with data validate"
        )
    windows.keep(kept)
    return features[kept]


def _stream(
    encoder: Any,
    extractor: MDJPTFeatureExtractor,
    windows: LabelledDataset,
    where: tuple[int, int],
    streams: dict[tuple[Any, ...], StreamingEncoder],
) -> dict[int, np.ndarray]:
    """Last sample + 1 of every window of a trial -> its features."""
    trials = windows.trial_sets[where[0]]
    names, rate = trials.ch_names[where[1]], trials.sampling_rate
    key = (names, rate)
    if key not in streams:
        streams[key] = StreamingEncoder(encoder, extractor, names, rate, context_seconds=CONTEXT)
    stream = streams[key]
    stream.reset()
    return {round(window.end * rate): window.features for window in stream.advance(trials.signal(where[1])).windows}


def normalise_online(
    windows: LabelledDataset, features: torch.Tensor, mean: np.ndarray, variance: np.ndarray
) -> torch.Tensor:
    """Normalise the features of every recording from the prior on, and smooth those of every trial, both in the order
    of time and from the past alone.

    Args:
        features: `(windows, size)`. mean, variance: `(size,)`, of training subjects.
    """
    found = torch.empty_like(features)
    corpora, trials, starts = windows.windows.T
    position = np.array([windows.trial_sets[c].trial[t] for c, t in zip(corpora, trials, strict=True)])
    for recording in np.unique(windows.recording):
        own = np.flatnonzero(windows.recording == recording)
        own = own[np.lexsort([starts[own], trials[own], position[own]])]
        values = online_normalise(features[own].numpy(), mean, variance, DECAY)
        changes = np.flatnonzero(np.diff(windows.trial[own])) + 1
        smoothed = [running_mean(part, SMOOTHED) for part in np.split(values, changes)]
        found[own] = torch.from_numpy(np.concatenate(smoothed))
    return found
