"""BIDS folders: recordings, the files beside them, and the tables these hold.

Nothing here stands on mne-bids, which is made for studies that keep every rule of BIDS; those that can be downloaded do
not. What its version 0.20 does with them, each seen by running it (`docs/guides/corpora.md` has the table):

- `find_matching_paths` leaves out, without a word, pointers of git-annex whose content is not here, suffixes in
  capitals, and names with an entity that it does not know or in another order; it raises for the whole study where one
  label has a hyphen. `get_entities_from_fname` refuses that label, or cuts it there, so that `sub-a-1` is `sub-a-2`.
- `BIDSPath.find_matching_sidecar` compares letter by letter, takes the events of another run where a recording has
  none, and raises where a file that has nothing to do with it has an entity that it does not know.
- `read_raw_bids` reads `participants.tsv` at the root, which the process that recordings are read in may not see. It
  takes `trial_type` for what an event is, times for seconds whatever they are, and the header's units alone; it counts
  the events that lie outside, and raises where there are no durations.

What it writes is read here as it reads it itself: `tests/data_scripts/test_mne_bids.py`. What it finds can be chosen
from: [`bids_recordings`] takes its paths.
"""

import csv
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mdjpt_hf.errors import CorpusError

#: Formats that BIDS allows for EEG; the header of BrainVision stands for its three files.
SUFFIXES = (".edf", ".bdf", ".vhdr", ".set")
_ENTITY = re.compile(r"([A-Za-z]+)-([^_.]+)")
#: Folders of a study that hold no raw recordings of it.
_APART = ("derivatives", "sourcedata", "code", "stimuli", "phenotype")


def bids_recordings(source: Path, task: str = "", chosen: Iterable[str | os.PathLike[str]] | None = None) -> list[Path]:
    """The EEG recordings of a study, of one task or of all, in the order of their names.

    Args:
        chosen: Only these, such as `mne_bids.find_matching_paths` gives.

    Raises:
        CorpusError: If there are none, saying what was looked for; or if one that was chosen is none.
    """
    every = [path for path in sorted(source.glob("sub-*/**/*")) if _is_recording(path, source)]
    found = [path for path in every if not task or entities(path).get("task") == task.lower()]
    if not found:
        tasks = sorted({entities(path).get("task", "") for path in every} - {""})
        raise CorpusError(
            f"holds no recordings sub-*/**/*_eeg with one of {', '.join(SUFFIXES)}"
            + (f" of task {task!r}; its tasks are {', '.join(tasks) or 'none'}" if task else ""),
            path=source,
            value=task or str(source),
            remedy="Give the root of the BIDS study, the folder with dataset_description.json",
        )
    return found if chosen is None else _only(found, chosen, source)


def _is_recording(path: Path, source: Path) -> bool:
    return (
        path.suffix.lower() in SUFFIXES
        and path.stem.lower().endswith("_eeg")
        and not is_hidden(path.relative_to(source))
        and not set(path.relative_to(source).parts[:-1]) & set(_APART)
    )


def is_hidden(path: Path) -> bool:
    """Whether a name begins with a dot, as the `._` files do that macOS puts beside every file on foreign disks."""
    return any(part.startswith(".") for part in path.parts)


def _only(found: list[Path], chosen: Iterable[str | os.PathLike[str]], source: Path) -> list[Path]:
    by_place = {os.path.abspath(path): path for path in found}
    wanted = [os.path.abspath(path) for path in chosen]
    if unknown := [place for place in wanted if place not in by_place]:
        raise CorpusError(
            f"{len(unknown)} of {len(wanted)} chosen files are no recordings of {source}, or of another task",
            path=unknown[0],
            value=unknown[:5],
            remedy=f"Choose files of EEG: with mne_bids, suffixes='eeg' and extensions={list(SUFFIXES)}",
        )
    if not wanted:
        raise CorpusError("no recording was chosen", path=source, value=[], remedy="Choose some, or leave it to None")
    return [path for place, path in by_place.items() if place in set(wanted)]


def entities(path: Path) -> dict[str, str]:
    """`sub-01_task-x_eeg.edf` -> `{"sub": "01", "task": "x"}`, in lower case."""
    return {key.lower(): value.lower() for key, value in _ENTITY.findall(path.name)}


class Sidecars:
    """The files that say what is in recordings; every folder of a study is looked into once.

    They are found by the inheritance principle of BIDS 1.10, without regard to case: DENS (OpenNeuro ds003751) has
    `task-Emotion` in the names of signals and `task-emotion` in those of their events.
    """

    def __init__(self, source: Path):
        self.source = source
        self._listed: dict[Path, dict[str, list[tuple[Path, dict[str, str]]]]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_listed": {}}  # a worker looks into what its own recordings need

    def nearest(self, recording: Path, kind: str, like: Path | None = None) -> Path | None:
        """The first of [`applying`]; None where there is none."""
        return next(iter(self.applying(recording, kind, like)), None)

    def applying(self, recording: Path, kind: str, like: Path | None = None) -> list[Path]:
        """The files of a kind (`events.tsv`, `channels.tsv`) that belong to a recording: each folder's most specific.

        A recording has no `space`, the frame that positions are given in; a table of positions has one, as its frame.

        Args:
            like: The file that this one goes with, as a frame does with its positions; both are of one space.
        """
        known = entities(recording) | (entities(like) if like else {})
        return [
            max(fitting, key=lambda file: len(file[1]))[0]
            for folder in self._upwards(recording.parent)
            if (fitting := [file for file in self._files(folder).get(kind, []) if _applies(file[1], known)])
        ]

    def metadata(self, recording: Path, kind: str) -> dict[str, Any]:
        """The fields of JSON files: what a nearer one does not say, one above does.

        Raises:
            CorpusError: If one holds no JSON.
        """
        said: dict[str, Any] = {}
        for path in reversed(self.applying(recording, kind)):
            said |= read_json(path)
        return said

    def _upwards(self, folder: Path) -> list[Path]:
        """A folder and those above it, to the root of the study."""
        above = [folder, *folder.parents]
        return above[: above.index(self.source) + 1] if self.source in above else [folder]

    def _files(self, folder: Path) -> dict[str, list[tuple[Path, dict[str, str]]]]:
        """Kind, as the end of the name -> its files in a folder, each with its entities."""
        if folder not in self._listed:
            kinds = self._listed[folder] = {}
            for path in sorted(folder.iterdir()):
                if not is_hidden(Path(path.name)):
                    kinds.setdefault(path.name.lower().rpartition("_")[2], []).append((path, entities(path)))
        return self._listed[folder]


def _applies(told: dict[str, str], known: dict[str, str]) -> bool:
    """Whether a file with these entities speaks of what has those."""
    return all(known.get(key, value if key == "space" else "") == value for key, value in told.items())


def sidecar(recording: Path, source: Path, kind: str) -> Path | None:
    """The nearest and most specific file of a kind that belongs to one recording; [`Sidecars`] for those of many."""
    return Sidecars(source).nearest(recording, kind)


def read_tsv(path: Path) -> list[dict[str, str]]:
    """The lines of a table, with values stripped; `n/a` and the like stay as they are.

    Raises:
        CorpusError: If it cannot be read, or has no header.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, delimiter="\t")
            reader.fieldnames = [name.strip() for name in reader.fieldnames or []]
            lines = [{name: (value or "").strip() for name, value in line.items() if name} for line in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(
            f"the table cannot be read ({error})", path=path, remedy="Give tab-separated text in UTF-8 with a header"
        ) from error
    return lines


def read_json(path: Path) -> dict[str, Any]:
    """The content of a JSON file; empty where there is none.

    Raises:
        CorpusError: If it holds no JSON object.
    """
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise CorpusError(f"holds no JSON ({error})", path=path, remedy="Download it again") from error
    return content if isinstance(content, dict) else {}
