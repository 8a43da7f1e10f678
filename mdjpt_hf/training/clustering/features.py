"""What is clustered: one feature vector per token, z-scored within its recording.

Round 0 needs no network: log differential entropy in five bands of the 60 channels. Later rounds take a layer of the
network. Normalising per recording is what keeps clusters from naming subjects and datasets.
"""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
import torch

from mdjpt_hf.data.spectra import differential_entropy
from mdjpt_hf.data.tokens import Recording, TokenIndex

#: Length of the stretch around a token over which its band power is measured: what resolves the lowest band.
FRAME_SECONDS = 1.0
_BLOCK = 256  # tokens at a time, bounds memory in long trials

#: Features of a trial, (60, tokens * token_samples) -> (tokens, size).
TrialFeatures = Callable[[np.ndarray], np.ndarray]


def entropy_per_token(sampling_rate: float, token_samples: int) -> TrialFeatures:
    """Round 0: differential entropy of the second around each token; trials are mirrored at their ends."""
    frame = round(FRAME_SECONDS * sampling_rate)

    def features(signal: np.ndarray) -> np.ndarray:
        margin = (frame - token_samples) // 2
        padded = np.pad(signal, ((0, 0), (margin, frame - token_samples - margin)), mode="reflect")
        frames = np.lib.stride_tricks.sliding_window_view(padded, frame, axis=1)[:, ::token_samples]
        frames = frames.transpose(1, 0, 2)  # (tokens, channels, samples)
        blocks = [frames[start : start + _BLOCK] for start in range(0, len(frames), _BLOCK)]
        return np.concatenate([differential_entropy(block, sampling_rate) for block in blocks])

    return features


class TokenStates(Protocol):
    """An encoder that says something about every token of a window."""

    device: torch.device

    def token_states(self, input_values: torch.Tensor) -> torch.Tensor:
        """`(batch, channels, samples)` -> `(batch, tokens, size)`."""
        ...

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Weights."""
        ...

    def load_state_dict(self, state_dict: dict[str, torch.Tensor]) -> Any:
        """Weights."""
        ...

    def eval(self) -> Any:
        """Evaluation mode."""
        ...


def states_per_token(
    model: TokenStates, window_samples: int, token_samples: int, batch_size: int = 64
) -> TrialFeatures:
    """Later rounds: states of consecutive windows with nothing hidden; the last one ends the trial."""
    samples, length = token_samples, window_samples // token_samples

    @torch.no_grad()
    def features(signal: np.ndarray) -> np.ndarray:
        tokens = signal.shape[1] // samples
        starts = [*range(0, tokens - length, length), tokens - length]
        windows = torch.from_numpy(np.stack([signal[:, s * samples : (s + length) * samples] for s in starts]))
        states = [model.token_states(part.to(model.device)).float().cpu() for part in windows.split(batch_size)]
        found = torch.cat(states).numpy()
        last = tokens - length * (len(starts) - 1)  # what the windows before leave to the last one
        return np.concatenate([*found[:-1], found[-1][-last:]])

    return features


def recording_features(index: TokenIndex, features: TrialFeatures) -> Iterator[tuple[Recording, np.ndarray]]:
    """Every recording with the features of its tokens `(tokens, size)` float32, z-scored over the recording."""
    for recording in index.recordings:
        values = np.concatenate([features(index.signal(recording.dataset, int(i))) for i in recording.trials])
        values = (values - values.mean(axis=0)) / (values.std(axis=0) + 1e-6)
        yield recording, values.astype(np.float32)
