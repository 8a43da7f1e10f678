"""What workers of a cluster must see as this process does, and with what they compute the same numbers."""

import hashlib
import os
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import constants, try_to_load_from_cache
from transformers.utils import CONFIG_NAME

from mdjpt_hf.data.cluster import LIBRARIES, Cluster, on_cluster
from mdjpt_hf.data.corpora import TrialSet
from mdjpt_hf.data.storage import file_hash
from mdjpt_hf.data.streams import PREFIX
from mdjpt_hf.errors import ConfigurationError, CorpusError
from mdjpt_hf.runtime.threads import Threads, computing_with

#: Libraries that features depend on, beside those of every unit of work.
MODEL_LIBRARIES = (*LIBRARIES, "torch", "transformers")


@dataclass(frozen=True)
class Seen:
    """A file or folder as this process sees it: its absolute path, and a hash of its files.

    Names of the Hub are themselves, and have no hash, but the revision that was opened last.
    """

    name: str
    content: str = ""
    revision: str = ""

    @classmethod
    def of(cls, name: str | Path) -> "Seen":
        """What lies under a name; a model of the Hub, which was opened before, or a word such as `random`."""
        path = Path(name)
        if not path.exists():
            return cls(str(name), revision=_revision(str(name)))
        return cls(str(path.absolute()), _content(path))

    def check(self) -> None:
        """Refuse to go on where something else, or nothing, lies under the name.

        Raises:
            ConfigurationError: With the machine and the path.
        """
        if not self.content:
            return
        path = Path(self.name)
        if not path.exists():
            raise not_here(path)
        if _content(path) != self.content:
            raise ConfigurationError(
                f"on {platform.node()} there are other files than where the command runs",
                path=path,
                value=self.name,
                remedy="Give workers the same files: copy them again, or put them on a file system that all share",
            )

    def check_opened(self) -> None:
        """Refuse to go on where another revision of a model of the Hub was opened.

        Raises:
            ConfigurationError: With the machine and both revisions.
        """
        found = _revision(self.name) if self.revision else ""
        if found != self.revision:
            raise ConfigurationError(
                f"on {platform.node()} {self.name} is of revision {found or 'unknown'}, not {self.revision}",
                value=found,
                remedy="Give workers the same cache of the Hub, or download the model and give the folder",
            )


def not_here(path: str | Path) -> ConfigurationError:
    """What to say where a worker does not see a path."""
    return ConfigurationError(
        f"is not there for the worker on {platform.node()}",
        path=path,
        value=str(path),
        remedy="Workers need models, data and the place of the output under the same absolute names, on a file system "
        "that all share",
    )


def _revision(name: str) -> str:
    """Of a model that was opened from the Hub, as its cache has it; empty where there is none."""
    with suppress(ValueError):  # no name of the Hub
        found = try_to_load_from_cache(name, CONFIG_NAME, cache_dir=constants.HF_HUB_CACHE)
        return Path(found).parent.name if isinstance(found, str) else ""
    return ""


def _content(path: Path) -> str:
    files = sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]
    hashes = [f"{file.name} {file_hash(file)}" for file in files]
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def shared_source(source: str | Path) -> str:
    """A source of data by a name that means the same in every folder that a worker may stand in."""
    text = str(source)
    if text.startswith(PREFIX):
        return PREFIX + shared_source(text.removeprefix(PREFIX))
    return str(Path(text).absolute()) if os.path.exists(text) else text


def check_places(sources: Iterable[str]) -> None:
    """Refuse to go on where a worker does not see a source of [`shared_source`].

    Raises:
        ConfigurationError: With the path.
    """
    for source in sources:
        path = Path(source.removeprefix(PREFIX))
        if path.is_absolute() and not path.exists():
            raise not_here(path)


def check_corpora(trial_sets: Iterable[TrialSet], fingerprints: Mapping[str, str]) -> None:
    """Refuse corpora whose rows are others than where the command runs.

    Raises:
        ConfigurationError: With the corpus.
    """
    found = {trials.name: (trials.fingerprint, trials.folder) for trials in trial_sets}
    for name, fingerprint in fingerprints.items():
        own, folder = found.get(name, ("", ""))
        if own != fingerprint:
            raise ConfigurationError(
                f"on {platform.node()} the corpus {name} has other rows than where the command runs",
                path=folder,
                value=name,
                remedy="Give workers the same files: copy them again, or put them on a file system that all share",
            )


def everywhere(
    cluster: Cluster, function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]], what: Callable[[int], str]
) -> Iterator[tuple[int, Any]]:
    """Results of a function that computes with models, by the number of the arguments, as workers are done.

    Args:
        what: Number -> what is computed, for messages.

    Raises:
        CorpusError: If something was the end of every worker that tried.
        ConfigurationError: If the cluster or its workers cannot be used.
        Exception: What the function raises.
    """
    calls = [(Threads.here(), function, *one) for one in arguments]
    for number, result, died in on_cluster(cluster, _with_threads, calls, MODEL_LIBRARIES) if calls else ():
        if died:
            raise CorpusError(
                f"every worker that computed {what(number)} died, perhaps for want of memory",
                value=what(number),
                remedy="Give workers more memory, or fewer windows at a time",
            )
        yield number, result


def _with_threads(threads: Threads, function: Callable[..., Any], *arguments: Any) -> Any:
    with computing_with(threads):
        return function(*arguments)
