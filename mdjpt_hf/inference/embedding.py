"""Features of recordings and corpora as a table, for whatever comes after an encoder."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mdjpt_hf.data.cluster import Cluster
from mdjpt_hf.data.corpora import open_corpora, require_rate
from mdjpt_hf.data.elsewhere import Seen
from mdjpt_hf.data.labelled import LabelledWindows, all_windows
from mdjpt_hf.data.sources import holds_corpus
from mdjpt_hf.errors import ConfigurationError
from mdjpt_hf.inference.embedding_elsewhere import Work, check_sendable, corpora_features, recordings_features
from mdjpt_hf.inference.features import features_of, open_encoder, open_extractor, recording_features
from mdjpt_hf.modeling.folders_mdjpt import is_folder_of_recordings, recordings_in
from mdjpt_hf.runtime.writing import check_folder_of, whole_file, writable

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
        ConfigurationError: If not, or its folder does not exist.
    """
    path = Path(path)
    check_folder_of(path)
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
    cluster: Cluster | None = None,
) -> Embeddings:
    """Features of every window of corpora or recordings; each recording is normalised as a whole, without labels.

    Args:
        model: Folder or Hub id of an encoder or a classifier, or the model itself.
        sources: A corpus (prepared or Parquet folder, `user/corpus`, `datasets.Dataset`), a recording (a file in any
            format that MNE opens, an `mne.io.Raw`), a folder of recordings, or a list of either kind.
        stride_seconds: Between the starts of windows; by default a window, so that they do not overlap.
        unit: What the numbers in the files really are, where headers are wrong.
        batch_size: Windows at a time. device: "cpu", "cuda", ...
        cluster: Workers that encode a person, or a recording, each, in place of this process. They need the model and
            the data under the same absolute names; the numbers are those of one process on a machine of their kind.

    Raises:
        ConfigurationError: If corpora and recordings are mixed, the model cannot be opened, or the stride is no
            length; if workers cannot be reached, or do not see what this process sees.
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
    name = check_sendable(model) if cluster is not None else ""
    encoder = open_encoder(model, device, trust_remote_code)
    work = Work(Seen.of(name) if name else Seen(""), device, trust_remote_code, stride_seconds, unit, batch_size)
    if all(corpora):
        return _of_corpora(encoder, sources, work, cluster)
    return _of_recordings(encoder, open_extractor(encoder, model, trust_remote_code), sources, work, cluster)


def _of_corpora(encoder: Any, sources: Sequence[Any], work: Work, cluster: Cluster | None) -> Embeddings:
    sets = open_corpora(sources)
    for trials in sets:
        require_rate(trials, encoder.config.sampling_rate)
    windows = [all_windows(trials, encoder.config.window_seconds, work.stride) for trials in sets]
    if cluster is None:
        features = [features_of(encoder, own, work.batch_size) for own in windows]
    else:
        features = corpora_features(cluster, work, sources, windows)
    return Embeddings(np.concatenate(features), pd.concat([_told(own) for own in windows], ignore_index=True))


def _of_recordings(
    encoder: Any, extractor: Any, sources: Sequence[Any], work: Work, cluster: Cluster | None
) -> Embeddings:
    names, files = zip(*_recordings(sources), strict=True)
    if cluster is None:
        settings = (work.stride, work.unit, work.batch_size)
        found = [recording_features(encoder, extractor, file, *settings) for file in files]
    else:
        found = recordings_features(cluster, work, files)
    told = [pd.DataFrame({"recording": name, "onset": onsets}) for name, (_, onsets) in zip(names, found, strict=True)]
    return Embeddings(np.concatenate([values for values, _ in found]), pd.concat(told, ignore_index=True))


def _recordings(sources: Iterable[Any]) -> Iterable[tuple[str | int, Any]]:
    for number, source in enumerate(sources):
        if not isinstance(source, str | Path):
            yield number, source
        elif is_folder_of_recordings(Path(source)):
            yield from ((str(path.relative_to(source)), path) for path in recordings_in(Path(source)))
        else:
            yield Path(source).name, Path(source)


def _told(windows: LabelledWindows) -> pd.DataFrame:
    """What is known of the windows of a corpus."""
    trials = windows.trials
    return pd.DataFrame(
        {
            "dataset": trials.name,
            "subject": windows.subject,
            "session": trials.session[windows.index.trial],
            "trial": trials.trial[windows.index.trial],
            "stimulus": windows.stimulus,
            "label": windows.label,
            "label_name": _names(trials.label_names, windows.label),
            "onset": windows.index.start / trials.sampling_rate,
        }
    )


def _names(known: Sequence[str], labels: np.ndarray) -> list[str]:
    return [known[label] if 0 <= label < len(known) else "" for label in labels.tolist()]
