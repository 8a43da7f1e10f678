"""Features of recordings and corpora as a table, for whatever comes after an encoder."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from transformers import AutoFeatureExtractor, AutoModel

from mdjpt_hf.data.corpora import TrialSet, open_corpora
from mdjpt_hf.data.labelled import LabelledWindows, all_windows
from mdjpt_hf.data.sources import holds_corpus
from mdjpt_hf.data.windows import read_windows
from mdjpt_hf.errors import ConfigurationError, MDJPTError, located
from mdjpt_hf.modeling.folders_mdjpt import is_folder_of_recordings, recordings_in
from mdjpt_hf.modeling.reading_mdjpt import read_file
from mdjpt_hf.runtime.writing import whole_file, writable

#: What a file of features may be called.
FORMATS = (".parquet", ".csv", ".npz")


@dataclass(frozen=True)
class Embeddings:
    """Features of windows, and where each window comes from.

    Attributes:
        features: `(windows, size)` float32.
        windows: A row per window. Of corpora: `dataset`, `subject`, `session`, `trial`, `stimulus`, `label`,
            `label_name` and `onset`, s from the start of the trial. Of recordings: `recording`, the name of the file
            (its number, if it was none), and `onset`, s on its own clock.
    """

    features: np.ndarray
    windows: pd.DataFrame

    def __len__(self) -> int:
        return len(self.features)

    def frame(self) -> pd.DataFrame:
        """Both side by side; features are `f0`, `f1`, ..."""
        names = [f"f{number}" for number in range(self.features.shape[1])]
        return pd.concat([self.windows, pd.DataFrame(self.features, columns=names)], axis=1)

    def write(self, path: str | Path) -> Path:
        """Write Parquet, CSV or NumPy's npz (`features` and a column each), by the name; whole or not at all.

        Raises:
            ConfigurationError: If the name ends otherwise, or nothing can be written there.
        """
        path = check_format(path)
        with writable(path), whole_file(path) as partial, open(partial, "wb") as file:
            if path.suffix == ".parquet":
                self.frame().to_parquet(file, index=False)
            elif path.suffix == ".csv":
                self.frame().to_csv(file, index=False)
            else:
                columns: dict[str, Any] = {name: _plain(self.windows[name].to_numpy()) for name in self.windows.columns}
                np.savez_compressed(file, features=self.features, **columns)
        return path


def _plain(values: np.ndarray) -> np.ndarray:
    """Texts as NumPy's own type, which needs no pickle."""
    return values.astype(str) if values.dtype.kind == "O" else values


def check_format(path: str | Path) -> Path:
    """The path, if features can be written under this name.

    Raises:
        ConfigurationError: If not.
    """
    path = Path(path)
    if path.suffix not in FORMATS:
        raise ConfigurationError(
            f"{path.name} is of no format that features have", value=path.suffix, remedy=f"Use {', '.join(FORMATS)}"
        )
    return path


def embed(
    model: str | Path | Any,
    sources: Any,
    *,
    stride_seconds: float | None = None,
    unit: str | None = None,
    batch_size: int = 32,
    device: str | None = None,
    trust_remote_code: bool = False,
) -> Embeddings:
    """Features of every window of corpora or recordings; each recording is normalised as a whole, without labels.

    Args:
        model: Folder or Hub id of an encoder or a classifier, or the model itself.
        sources: A corpus (prepared or Parquet folder, `user/corpus`, `datasets.Dataset`), a recording (a file in any
            format that MNE opens, an `mne.io.Raw`), a folder of recordings, or a list of either kind.
        stride_seconds: Between the starts of windows; by default a window, so that they do not overlap.
        unit: What the numbers in the files really are, where headers are wrong.
        batch_size: Windows at a time. device: "cpu", "cuda", ...

    Raises:
        ConfigurationError: If corpora and recordings are mixed, the model cannot be opened, or the stride is no length.
        MDJPTError: What reading them raises, with the file in front.
    """
    if stride_seconds is not None and not 0 < stride_seconds < float("inf"):
        raise ConfigurationError(
            f"stride_seconds must be a positive number, found {stride_seconds}", value=stride_seconds, remedy="Give s"
        )
    sources = list(sources) if isinstance(sources, list | tuple) else [sources]
    corpora = [holds_corpus(source) for source in sources]
    if not sources or any(corpora) != all(corpora):
        raise ConfigurationError(
            "corpora and recordings have other columns, and cannot be in one table" if sources else "nothing was given",
            value=[str(source)[:80] for source in sources],
            remedy="Embed them one after the other",
        )
    encoder = open_encoder(model, device, trust_remote_code)
    if all(corpora):
        parts = [_of_corpus(encoder, trials, stride_seconds, batch_size) for trials in open_corpora(sources)]
    else:
        extractor = _extractor(encoder, model, trust_remote_code)
        parts = [
            _of_recording(encoder, extractor, source, name, stride_seconds, unit, batch_size)
            for name, source in _recordings(sources)
        ]
    windows = pd.concat([part.windows for part in parts], ignore_index=True)
    return Embeddings(np.concatenate([part.features for part in parts]), windows)


def open_encoder(model: Any, device: str | None = None, trust_remote_code: bool = False) -> Any:
    """The encoder in a folder or of the Hub, or within a model that is there already.

    Raises:
        ConfigurationError: If it cannot be opened, or the device is not there.
    """
    if not isinstance(model, str | Path):
        return model.base_model.eval()
    try:
        found = AutoModel.from_pretrained(str(model), trust_remote_code=trust_remote_code).eval()
        return found.to(device) if device else found
    except (OSError, ValueError, RuntimeError, AssertionError) as error:
        if isinstance(error, MDJPTError):
            raise
        raise ConfigurationError(
            f"{model} cannot be opened: {str(error).splitlines()[0]}", value=str(model), remedy="Give an encoder"
        ) from error


def _extractor(encoder: Any, model: Any, trust_remote_code: bool) -> Any:
    if isinstance(model, str | Path):
        return AutoFeatureExtractor.from_pretrained(str(model), trust_remote_code=trust_remote_code)
    return encoder.feature_extractor()


def _recordings(sources: Iterable[Any]) -> Iterable[tuple[str | int, Any]]:
    for number, source in enumerate(sources):
        if not isinstance(source, str | Path):
            yield number, source
        elif is_folder_of_recordings(Path(source)):
            yield from ((str(path.relative_to(source)), path) for path in recordings_in(Path(source)))
        else:
            yield Path(source).name, Path(source)


def _of_recording(
    encoder: Any, extractor: Any, source: Any, name: str | int, stride: float | None, unit: str | None, batch_size: int
) -> Embeddings:
    recording = read_file(source, unit)[0] if isinstance(source, Path) else source
    stated = {} if isinstance(source, Path) or unit is None else {"unit": unit}
    stride = stride or extractor.window_seconds
    try:
        found = extractor(recording, return_tensors="pt", stride_seconds=stride, **stated)
    except MDJPTError as error:
        raise located(error, str(source) if isinstance(source, Path) else "") from error
    features = encoder.encode_recording(found["input_values"], batch_size=batch_size).float().cpu().numpy()
    return Embeddings(features, pd.DataFrame({"recording": name, "onset": found["window_onsets"].numpy()}))


def _of_corpus(encoder: Any, trials: TrialSet, stride: float | None, batch_size: int) -> Embeddings:
    rate, seconds = trials.sampling_rate, encoder.config.window_seconds
    if rate != encoder.config.sampling_rate:
        raise ConfigurationError(
            f"dataset {trials.name!r} has {rate:g} Hz, the model reads {encoder.config.sampling_rate} Hz",
            path=trials.folder,
            value=rate,
            remedy="Prepare it again with `mdjpt data prepare`",
        )
    windows = all_windows(trials, seconds, stride)
    columns = {
        "dataset": trials.name,
        "subject": windows.subject,
        "session": trials.session[windows.index.trial],
        "trial": trials.trial[windows.index.trial],
        "stimulus": windows.stimulus,
        "label": windows.label,
        "label_name": _names(trials.label_names, windows.label),
        "onset": windows.index.start / rate,
    }
    return Embeddings(_features(encoder, windows, batch_size), pd.DataFrame(columns))


def _features(encoder: Any, windows: LabelledWindows, batch_size: int) -> np.ndarray:
    """Features of every window, `(windows, size)`; the encoder is given each recording as a whole, without labels."""
    features = np.empty((len(windows), encoder.config.pooled_size), dtype=np.float32)
    for recording in np.unique(windows.recording):
        chosen = np.flatnonzero(windows.recording == recording)
        values = torch.from_numpy(read_windows(windows.trials, windows.index, chosen))
        features[chosen] = encoder.encode_recording(values, batch_size=batch_size).float().cpu().numpy()
    return features


def _names(known: Sequence[str], labels: np.ndarray) -> list[str]:
    return [known[label] if 0 <= label < len(known) else "" for label in labels.tolist()]
