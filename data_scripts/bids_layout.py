"""BIDS folders: recordings, the files beside them, and the tables these hold.

Sidecars are found by the inheritance principle of BIDS 1.10, without regard to case: DENS (OpenNeuro ds003751) has
`task-Emotion` in the names of signals and `task-emotion` in those of their events, which mne-bids 0.20 does not pair.
"""

import csv
import json
import re
from pathlib import Path
from typing import Any

from mdjpt_hf.errors import CorpusError

#: Formats that BIDS allows for EEG; the header of BrainVision stands for its three files.
SUFFIXES = (".edf", ".bdf", ".vhdr", ".set")
_ENTITY = re.compile(r"([A-Za-z]+)-([^_.]+)")
#: Folders of a study that hold no raw recordings of it.
_APART = ("derivatives", "sourcedata", "code", "stimuli", "phenotype")


def bids_recordings(source: Path, task: str = "") -> list[Path]:
    """The EEG recordings of a study, of one task or of all, in the order of their names.

    Raises:
        CorpusError: If there are none; it says what was looked for.
    """
    found = [
        path
        for path in sorted(source.glob("sub-*/**/*"))
        if path.suffix.lower() in SUFFIXES
        and path.stem.lower().endswith("_eeg")
        and not set(path.relative_to(source).parts[:-1]) & set(_APART)
        and (not task or entities(path).get("task") == task.lower())
    ]
    if not found:
        tasks = sorted({entities(path).get("task", "") for path in source.glob("sub-*/**/*_eeg.*")} - {""})
        raise CorpusError(
            f"holds no recordings sub-*/**/*_eeg with one of {', '.join(SUFFIXES)}"
            + (f" of task {task!r}; its tasks are {', '.join(tasks) or 'none'}" if task else ""),
            path=source,
            value=task or str(source),
            remedy="Give the root of the BIDS study, the folder with dataset_description.json",
        )
    return found


def entities(path: Path) -> dict[str, str]:
    """`sub-01_task-x_eeg.edf` -> `{"sub": "01", "task": "x"}`, in lower case."""
    return {key.lower(): value.lower() for key, value in _ENTITY.findall(path.name)}


def sidecar(recording: Path, source: Path, kind: str) -> Path | None:
    """The file of a kind (`events.tsv`, `channels.tsv`) that belongs to a recording: the nearest and most specific.

    A recording has no `space`, the frame that positions are given in; a table of positions has, and so has its frame.
    """
    known = entities(recording)
    folder = recording.parent
    while True:
        fitting = [
            path
            for path in sorted(folder.iterdir())
            if path.name.lower().endswith(kind)
            and all(known.get(key, value if key == "space" else "") == value for key, value in entities(path).items())
        ]
        if fitting:
            return max(fitting, key=lambda path: len(entities(path)))
        if folder == source or source not in folder.parents:
            return None
        folder = folder.parent


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
