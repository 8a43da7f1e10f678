"""An encoder as a scikit-learn transformer."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from mdjpt_hf.errors import ConfigurationError
from mdjpt_hf.inference.features import open_encoder


class EEGEncoder(TransformerMixin, BaseEstimator):
    """Recordings or trials to features, in `Pipeline` and `cross_val_score`.

    Every recording of `X` is made into windows and normalised by itself, so that features of one never depend on which
    others are there, and nothing is learnt in `fit`: a cross-validation around it does not leak. Trials therefore need
    at least a window (5 s by default) each.

    Unlike most transformers it takes no table of numbers: `X` is an array `(recordings, channels, samples)`, or a list
    of arrays `(channels, samples)` or `mne.io.Raw`. It says so in its tags, and scikit-learn's `check_estimator`, which
    knows tables alone, passes over it with a warning.

    Args:
        model: Folder or Hub id of an encoder or classifier.
        ch_names: Names of the channels of arrays. sampling_rate: Hz of arrays.
        unit: "uV", "mV" or "V"; by default µV for arrays, V for `mne.io.Raw`.
        pooling: "mean" of the windows' features, or "mean+std", twice as many.
        stride_seconds: Between the starts of windows; by default a window.
        batch_size: Windows at a time. device: "cpu", "cuda", ...

    Attributes:
        n_features_out_: Features of a recording, after `fit`.
    """

    def __init__(
        self,
        model: str = "",
        ch_names: Sequence[str] | None = None,
        sampling_rate: float | None = None,
        unit: str | None = None,
        pooling: str = "mean",
        stride_seconds: float | None = None,
        batch_size: int = 32,
        device: str | None = None,
    ):
        self.model = model
        self.ch_names = ch_names
        self.sampling_rate = sampling_rate
        self.unit = unit
        self.pooling = pooling
        self.stride_seconds = stride_seconds
        self.batch_size = batch_size
        self.device = device

    def fit(self, X: Any, y: Any = None) -> "EEGEncoder":
        """Open the model; the data are looked at, not learnt from.

        Raises:
            ConfigurationError: If the model cannot be opened, `pooling` is unknown, or `X` holds no recordings.
        """
        if self.pooling not in ("mean", "mean+std"):
            raise ConfigurationError(f"pooling is {self.pooling!r}", value=self.pooling, remedy="Use mean or mean+std")
        _check(X)
        self.encoder_ = self._open()
        self.extractor_ = self.encoder_.feature_extractor()
        self.n_features_out_ = self.encoder_.config.pooled_size * (1 + (self.pooling == "mean+std"))
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Features of every recording, `(recordings, n_features_out_)` float32.

        Raises:
            MDJPTError: If one cannot be used; trials shorter than a window are such.
        """
        check_is_fitted(self, "encoder_")
        _check(X)
        names = None if self.ch_names is None else list(self.ch_names)
        found = [
            self.encoder_.encode(
                recording,
                ch_names=None if _is_raw(recording) else names,
                sampling_rate=None if _is_raw(recording) else self.sampling_rate,
                unit=self.unit,
                stride_seconds=self.stride_seconds,
                batch_size=self.batch_size,
                feature_extractor=self.extractor_,
            )
            for recording in X
        ]
        means = np.stack([features.mean(axis=0) for features in found])
        if self.pooling == "mean":
            return means
        return np.concatenate([means, [features.std(axis=0) for features in found]], axis=1)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """`f0`, `f1`, ..."""
        check_is_fitted(self, "encoder_")
        return np.array([f"f{number}" for number in range(self.n_features_out_)], dtype=object)

    def _open(self) -> Any:
        if not self.model:
            raise ConfigurationError("model is not given", value=self.model, remedy="Name a folder or Hub id")
        return open_encoder(self.model, self.device)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.requires_fit = True
        return tags


def _is_raw(recording: Any) -> bool:
    return not isinstance(recording, np.ndarray | list)


def _check(X: Any) -> None:
    """Recordings, not a table of numbers."""
    shape = getattr(X, "shape", None)
    wanted = "X must hold recordings: an array (recordings, channels, samples), or a list of them"
    if shape is not None and len(shape) != 3:
        raise ConfigurationError(f"{wanted}; found shape {shape}", value=shape, remedy="Give whole trials")
    if not len(X):
        raise ConfigurationError(f"{wanted}; found none", value=0, remedy="Give at least one")
