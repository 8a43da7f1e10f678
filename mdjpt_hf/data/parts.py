"""Parts of a corpus that were prepared apart, such as by an array of jobs: chosen, and opened together as one.

A part is a prepared folder that says of which preparation it is a part, and of which units. Opened together, their
shards stand in one folder of the cache, as links and in the order of the whole: it is what one process would have made.
"""

import hashlib
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets import config

from mdjpt_hf.data.storage import CORPUS_FILE, folder_metadata, public_metadata, write_dataset_files, write_json
from mdjpt_hf.data_scripts.signatures import ONCE, refuse_copies
from mdjpt_hf.errors import ConfigurationError, CorpusError
from mdjpt_hf.runtime.ownership import lock_beside, owned
from mdjpt_hf.runtime.progress import LOGGER

#: The entry of `corpus.json` that makes a prepared folder a part.
PART = "part"
#: Subjects named in a line.
NAMED = 12
_SHARE = re.compile(r"(\d+)/(\d+)")
_PATIENCE = 3600.0


def chosen_units(text: str, units: Sequence[str]) -> list[str]:
    """Units of work that a text chooses, in their order.

    Args:
        text: `3` for the first three, `2/16` for the second of sixteen shares, or names with commas between them.
        units: All of them, subjects mostly.

    Raises:
        ConfigurationError: If it chooses none, or one that is not there.
    """
    share = _SHARE.fullmatch(text)
    named = [name.strip() for name in text.split(",")]
    if share and text not in units:
        number, count = map(int, share.groups())
        if not 1 <= number <= count:
            raise ConfigurationError(f"there is no share {text}", value=text, remedy="Give 1/16 to 16/16")
        found = list(units[number - 1 :: count])
    elif text.isdecimal() and text not in units:
        found = list(units[: int(text)])
    else:
        if unknown := [name for name in named if name not in units]:
            raise ConfigurationError(
                f"there is no subject {unknown[0]!r}", value=unknown, remedy=f"Use some of {', '.join(units[:20])}"
            )
        found = [unit for unit in units if unit in named]
    if not found:
        raise ConfigurationError(f"{text!r} chooses none of {len(units)} subjects", value=text, remedy="Choose more")
    return found


def part_of(
    key: str, metadata: Mapping[str, Any], chosen: Sequence[str], units: Sequence[str], text: str
) -> tuple[str, dict]:
    """Key and metadata of a part, given those of the whole, the units in it, all units, and what chose them."""
    own = hashlib.sha256(json.dumps([key, list(chosen)]).encode()).hexdigest()
    place = {"units": {unit: units.index(unit) for unit in chosen}, "of": len(units)}
    return own, {**metadata, PART: {"whole": key, **place, "all": list(units), "chosen": text}}


def part_in_words(folder: Path) -> str:
    """A line that says which part of a corpus a prepared folder is, and who is missing; empty for a whole one."""
    stored = folder_metadata(folder)
    part = stored.get(PART)
    if not part or len(part["units"]) == part["of"]:
        return ""
    share = part["chosen"] if _SHARE.fullmatch(part.get("chosen", "")) else ""
    return (
        f"{folder} is {f'part {share}' if share else 'a part'} of {', '.join(_names(folder))}, "
        f"{len(part['units'])} of {part['of']} subjects" + _missing([stored], "; missing are ")
    )


def _missing(stored: Sequence[Mapping[str, Any]], words: str) -> str:
    """Words and names of subjects in none of these parts; empty where parts of versions before do not say them."""
    there = {unit for one in stored for unit in one[PART]["units"]}
    names = [unit for unit in stored[0][PART].get("all", ()) if unit not in there]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{words}{', '.join(names[:NAMED])}{more}" if names else ""


def with_signatures(metadata: Mapping[str, Any], signatures: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata of a part with what its files are known by, which other parts are compared with; else as they are."""
    part = metadata.get(PART)
    return {**metadata, PART: {**part, "signatures": dict(signatures)}} if part else dict(metadata)


def check_out(out: Path, key: str, metadata: Mapping[str, Any]) -> None:
    """Refuse to put a part in the place of other people of the same preparation, as jobs of one `--out` would.

    Raises:
        CorpusError: If all of the corpus, or another part of it, lies there.
    """
    stored = folder_metadata(out)
    if PART not in metadata or stored.get("key") in (None, key):
        return
    whole = metadata[PART]["whole"]
    if whole in (stored["key"], stored.get(PART, {}).get("whole")):
        raise CorpusError(
            "holds " + ("other people" if PART in stored else "all people") + " of the same corpus, and is kept",
            path=out,
            value=list(metadata[PART]["units"]),
            remedy="Give each part an --out of its own: they open together",
        )


def parts_joined(folders: Sequence[Path]) -> list[Path]:
    """Prepared folders, with one folder in place of all parts of a corpus; who is in no part is said in a line.

    Raises:
        CorpusError: If parts hold the same people or the same recordings, or are of preparations that differ.
    """
    parts = {folder: found for folder in folders if (found := folder_metadata(folder).get(PART))}
    of: dict[tuple[str, ...], list[Path]] = {}
    for folder in parts:
        of.setdefault(_names(folder), []).append(folder)
    for own in of.values():
        if len(own) == 1 and (line := part_in_words(own[0])):
            LOGGER.warning("%s", line)
    together = {own[0]: _joined(own) for own in of.values() if len(own) > 1}
    later = {folder for own in of.values() for folder in own[1:]}
    return [together.get(folder, folder) for folder in folders if folder not in later]


def _names(folder: Path) -> tuple[str, ...]:
    return tuple(facts["name"] for facts in folder_metadata(folder).get("facts", []))


def _joined(folders: Sequence[Path]) -> Path:
    stored = [folder_metadata(folder) for folder in folders]
    _check_same(folders, stored)
    _check_apart(folders, stored)
    count = stored[0][PART]["of"]
    if missing := count - sum(len(one[PART]["units"]) for one in stored):
        who = f"{', '.join(_names(folders[0]))} are in no part{_missing(stored, ': ')}"
        LOGGER.warning("%d of %d subjects of %s", missing, count, who)
    told = [[str(folder.absolute()), one] for folder, one in zip(folders, stored, strict=True)]
    key = hashlib.sha256(json.dumps(told).encode())
    place = Path(config.HF_DATASETS_CACHE) / "mdjpt_hf" / f"parts-{key.hexdigest()[:32]}"
    if not (place / "state.json").is_file():
        place.parent.mkdir(parents=True, exist_ok=True)
        with owned(lock_beside(place), place, wait=_PATIENCE):
            if not (place / "state.json").is_file():
                _write(place, folders, stored)
    return place


def _check_same(folders: Sequence[Path], stored: Sequence[Mapping[str, Any]]) -> None:
    for folder, one in zip(folders, stored, strict=True):
        if one[PART]["whole"] != stored[0][PART]["whole"]:
            mine, theirs = one.get("options", {}), stored[0].get("options", {})
            names = [name for name in {**mine, **theirs} if mine.get(name) != theirs.get(name)]
            raise CorpusError(
                f"is a part of another preparation than {folders[0]}: not the same are {', '.join(names) or 'facts'}",
                path=folder,
                value=names,
                remedy="Prepare all parts of the same source with the same options and version",
            )


def _check_apart(folders: Sequence[Path], stored: Sequence[Mapping[str, Any]]) -> None:
    counts = Counter(unit for one in stored for unit in one[PART]["units"])
    if twice := sorted(unit for unit, count in counts.items() if count > 1):
        where = [str(folder) for folder, one in zip(folders, stored, strict=True) if twice[0] in one[PART]["units"]]
        raise CorpusError(
            f"subject {twice[0]!r} is in several parts: {', '.join(where)}",
            path=where[0],
            value=twice,
            remedy="Leave out the parts that hold somebody twice",
        )
    _check_recordings(folders, stored)
    _check_files(folders, stored)


def _check_recordings(folders: Sequence[Path], stored: Sequence[Mapping[str, Any]]) -> None:
    met: dict[tuple[float, float], tuple[Path, str]] = {}
    for folder, one in zip(folders, stored, strict=True):
        for entry in one.get("recordings", []):
            other, subject = met.setdefault((entry["mean"], entry["std"]), (folder, entry["subject"]))
            if other != folder:
                raise CorpusError(
                    f"holds a recording of subject {entry['subject']!r} that is subject {subject!r} in {other}",
                    path=folder,
                    value=(subject, entry["subject"]),
                    remedy=ONCE,
                )


def _check_files(folders: Sequence[Path], stored: Sequence[Mapping[str, Any]]) -> None:
    """By what files are known by, whichever trials of them there are."""
    signatures = {
        f"{file} of {folder}": values
        for folder, one in zip(folders, stored, strict=True)
        for file, values in one[PART].get("signatures", {}).items()
    }
    refuse_copies(signatures, folders[0])


def _write(place: Path, folders: Sequence[Path], stored: Sequence[Mapping[str, Any]]) -> None:
    staging = place.with_name(f".{place.name}.staging")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    found = [
        (one[PART]["units"][shard["unit"]], (folder / shard["file"]).absolute(), shard)
        for folder, one in zip(folders, stored, strict=True)
        for shard in one["shards"]
    ]
    shards: list[dict[str, Any]] = []
    for number, file, shard in sorted(found, key=lambda one: one[0]):
        name = f"data-{number:05d}-of-{stored[0][PART]['of']:05d}.arrow"
        _link(file, staging / name)
        shards.append({**shard, "file": name})
    recordings = [entry for one in stored for entry in one.get("recordings", [])]
    whole = {name: value for name, value in stored[0].items() if name != PART}
    corpus = {**whole, "key": stored[0][PART]["whole"], "shards": shards, "recordings": recordings}
    write_dataset_files(staging, shards, public_metadata(corpus, {}))
    write_json(staging / CORPUS_FILE, corpus)
    os.replace(staging, place)


def _link(file: Path, name: Path) -> None:
    try:
        os.symlink(file, name)
    except OSError:  # systems that let nobody make links
        shutil.copyfile(file, name)
