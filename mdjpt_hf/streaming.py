"""Emotion while it happens: samples are pushed, and every few seconds a window is encoded from nothing but the past."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mdjpt_hf.errors import ConfigurationError, MDJPTError, SignalError, located
from mdjpt_hf.modeling.feature_extraction_mdjpt import MDJPTFeatureExtractor
from mdjpt_hf.modeling.signal_mdjpt import microvolts_per
from mdjpt_hf.modeling.smoothing_mdjpt import OnlineNormaliser


@dataclass(frozen=True)
class StreamedWindow:
    """One window of a live signal.

    Attributes:
        onset, end: s since the first sample pushed; nothing after `end` was used.
        features: `(size,)`, normalised if a prior was given.
        logits: `(labels,)` of a classifier; None for an encoder.
    """

    onset: float
    end: float
    features: np.ndarray
    logits: np.ndarray | None


class StreamingEncoder:
    """Encodes a live signal, causally.

    Every `stride_seconds` the extractor cleans and scales the last `context_seconds` as if they were a recording, and
    the window that ends now is encoded as a group of its own. So the whole past up to `context_seconds` decides how a
    window is filtered, which channels are bad, and the scale; a longer context is steadier and costs more.

    Args:
        model: An encoder, or a classifier whose logits are wanted as well; of ours, in evaluation mode afterwards. A
            classifier should have been fine-tuned on features made the same way (`group_mode="window"`).
        extractor (`MDJPTFeatureExtractor`): Its window and stride are used.
        ch_names: Of the channels pushed.
        sampling_rate: Hz. unit: "uV", "mV" or "V". bads: Names of channels known to be bad.
        context_seconds: Of the past that is looked at; at least a window.
        prior_mean, prior_variance: `(size,)`, of training subjects: features are then normalised online
            (arXiv 2510.22197), starting from these.
        decay: Of that prior, per window.

    Raises:
        MDJPTError: If channels, rate or unit cannot be used.
    """

    def __init__(
        self,
        model: Any,
        extractor: MDJPTFeatureExtractor,
        ch_names: Sequence[str],
        sampling_rate: float,
        unit: str = "uV",
        bads: Iterable[str] = (),
        context_seconds: float = 15.0,
        prior_mean: Any = None,
        prior_variance: Any = None,
        decay: float = 0.99,
    ):
        microvolts_per(unit)  # an unknown one is refused now
        window, stride = extractor.window_seconds, extractor.stride_seconds
        if context_seconds < window:
            raise ConfigurationError(
                f"context_seconds is {context_seconds:g}, a window lasts {window:g} s",
                value=context_seconds,
                remedy=f"Use at least {window:g}",
            )
        if (prior_mean is None) != (prior_variance is None):
            raise ConfigurationError(
                "a prior needs mean and variance", value=[prior_mean, prior_variance], remedy="Give both, or neither"
            )
        self.model, self.extractor = model.eval(), extractor
        self.ch_names, self.sampling_rate, self.unit, self.bads = list(ch_names), float(sampling_rate), unit, list(bads)
        self.window, self.context = round(window * sampling_rate), round(context_seconds * sampling_rate)
        self.stride = max(1, round(stride * sampling_rate))
        self.normaliser = None if prior_mean is None else OnlineNormaliser(prior_mean, prior_variance, decay)
        self._buffer = np.empty((len(self.ch_names), 0))
        self._pushed, self._next = 0, self.window  # samples so far, and those that the next window waits for
        # Names and rate are refused now rather than after the first window.
        extractor(np.random.default_rng(0).normal(size=(len(self.ch_names), self.window)), **self._stated("uV"))

    def _stated(self, unit: str) -> dict[str, Any]:
        return {"ch_names": self.ch_names, "sampling_rate": self.sampling_rate, "unit": unit, "bads": self.bads}

    def push(self, samples: Any) -> list[StreamedWindow]:
        """Take in samples, and encode every window that is complete by now.

        Samples of the right shape are always taken, and the clock goes on, whatever is raised: a window that cannot be
        used is lost, and the next ones are encoded again once the cause is out of what they look at. Samples that hold
        NaN or infinity are a gap: nothing before it is looked at by windows after it.

        Args:
            samples (array of shape `(channels, samples)`): Any number of them, following those before. For samples a
                device has dropped push NaN, so that the clock stays right.

        Returns:
            None, one or several windows, in order.

        Raises:
            SignalError: If the shape does not fit; nothing is taken then.
            MDJPTError: If a window cannot be used. The message names the stretches that are lost, and the attribute
                `windows` holds those of this call that were encoded.
        """
        samples = np.asarray(samples, dtype=float)
        if samples.ndim != 2 or len(samples) != len(self.ch_names):
            raise SignalError(
                f"samples must have shape ({len(self.ch_names)}, any number), found {samples.shape}",
                value=samples.shape,
                remedy="Push (channels, samples) in the order of ch_names",
            )
        found: list[StreamedWindow] = []
        failures: list[tuple[float, Exception]] = []
        try:
            while samples.shape[1]:
                samples = self._take(samples)
                if self._pushed == self._next:
                    self._next += self.stride
                    try:
                        found.append(self._encode())
                    except Exception as error:  # told when all samples are taken
                        failures.append((self._pushed / self.sampling_rate, error))
        finally:  # an interruption, which is nobody's error, loses the windows of this call and no more
            while samples.shape[1]:
                samples = self._take(samples)
                self._next += self.stride if self._pushed == self._next else 0
        if failures:
            raise self._lost(failures, found) from failures[0][1]
        return found

    def _take(self, samples: np.ndarray) -> np.ndarray:
        """Take samples up to the end of the next window; the rest of them."""
        taken = min(samples.shape[1], self._next - self._pushed)
        self._buffer = np.concatenate([self._buffer, samples[:, :taken]], axis=1)[:, -self.context :]
        self._pushed += taken
        return samples[:, taken:]

    def _lost(self, failures: list[tuple[float, Exception]], found: list[StreamedWindow]) -> Exception:
        """The first error, with the stretches of all windows that are lost in front."""
        length = self.window / self.sampling_rate
        stretches = ", ".join(f"{end - length:g} to {end:g} s" for end, _ in failures)
        error = failures[0][1]
        if isinstance(error, MDJPTError):
            error = located(error, f"lost the window from {stretches}")
        else:
            error.add_note(f"lost the window from {stretches}")
        error.windows = found  # type: ignore[attr-defined]
        return error

    @torch.no_grad()
    def _encode(self) -> StreamedWindow:
        """The window that ends with the last sample pushed."""
        gaps = np.flatnonzero(~np.isfinite(self._buffer).all(axis=0))
        past = self._buffer[:, gaps[-1] + 1 if len(gaps) else 0 :]
        if past.shape[1] < self.window:
            raise SignalError(
                "samples hold NaN or infinity",
                value=float("nan"),
                remedy="Nothing is wrong with windows from a window's length after the gap on",
            )
        windows = last_window(self.extractor, past, **self._stated(self.unit))
        encoder = self.model.base_model
        features = encoder(torch.from_numpy(windows).to(encoder.device)).pooler_output.float().cpu().numpy()
        if self.normaliser is not None:
            features = self.normaliser.push(features[0])[None]
        head = getattr(self.model, "classifier", None)
        logits = None
        if head is not None:
            logits = head(torch.from_numpy(features).to(encoder.device, encoder.dtype))[0].float().cpu().numpy()
        end = self._pushed / self.sampling_rate
        return StreamedWindow(end - self.window / self.sampling_rate, end, features[0], logits)


def last_window(extractor: MDJPTFeatureExtractor, signal: np.ndarray, **stated: Any) -> np.ndarray:
    """The window that ends where a signal `(channels, samples)` ends, `(1, 60, samples)`; all of it is looked at.

    Args:
        stated: `ch_names`, `sampling_rate` and what else the extractor is told.
    """
    rate = extractor.sampling_rate
    samples = int(signal.shape[1] / stated["sampling_rate"] * rate + 1e-6)
    before = samples - round(extractor.window_seconds * rate)
    stride = max(before, 1) / rate
    return extractor(signal, stride_seconds=stride, **stated)["input_values"][-1:]
