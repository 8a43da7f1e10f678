"""Open studies from NEMAR by `nemar-py`: sizes first, resumed, every file compared with the checksum that is published.

nemar-py 0.3 fetches what it is told, goes on where it stopped and compares at the end. Two things are done here: a file
that does not match is taken away, since nemar-py would take its size for proof ever after; and only what is needed of a
study is asked for, with its terms.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from mdjpt_hf.data.storage import write_json
from mdjpt_hf.data_scripts.studies import STUDIES, OpenStudy
from mdjpt_hf.errors import ConfigurationError, CorpusError, require
from mdjpt_hf.runtime.ownership import lock_beside, owned
from mdjpt_hf.runtime.writing import writable

DATA_URL = "https://data.nemar.org/"
#: Beside the files: what was downloaded, under which terms, with every checksum.
RECORD = "mdjpt_download.json"
#: Folders of a study that hold no recordings.
_APART = ("derivatives", "sourcedata", "code", "stimuli")
_DESCRIPTION = "dataset_description.json"


@dataclass(frozen=True)
class DownloadPlan:
    """What is to be downloaded.

    Attributes:
        study: Which. version: At NEMAR. subjects: Chosen, of `of` in the whole study.
        files: Of nemar-py: `path`, `size` in bytes, a checksum.
        missing: Bytes that are not in the folder yet.
    """

    study: OpenStudy
    version: str
    subjects: tuple[str, ...]
    of: int
    files: tuple[Any, ...]
    missing: int

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size or 0 for file in self.files)

    def told(self) -> str:
        """The plan in a line."""
        return (
            f"{self.study.title}; version {self.version}; {len(self.subjects)} of {self.of} subjects, "
            f"{len(self.files)} files, {_in_words(self.size)}, of which {_in_words(self.missing)} are missing"
        )


def plan_download(
    name: str, out: str | Path, subjects: str = "", derivatives: bool = False, data_url: str = ""
) -> DownloadPlan:
    """What a study consists of, and how large it is; nothing is downloaded but its list of files.

    Args:
        name: Of `STUDIES`. out: The folder it will be in.
        subjects: `3` for the first three, `sub-01,sub-07` for these; empty for all.
        derivatives: Also what its owners computed of these subjects.
        data_url: Where NEMAR answers, with https; `DATA_URL` by default.

    Raises:
        ConfigurationError: If the study or a subject is unknown, or the extra is missing.
        CorpusError: If NEMAR cannot be reached, or does not have it.
    """
    require("nemar", "download", "mdjpt data download")
    import nemar

    if name not in STUDIES:
        raise ConfigurationError(f"no study {name!r}", value=name, remedy=f"Use one of {', '.join(STUDIES)}")
    study = STUDIES[name]
    with _told_as_ours(name), nemar.NEMARClient(data_url=data_url or DATA_URL) as client:
        index = client.fetch_index(study.nemar)
        version = index.resolve_version(None)
        manifest = tuple(client.fetch_manifest(index, version))
    people = sorted({found.group() for file in manifest if (found := re.match(r"sub-[^/]+(?=/)", file.path))})
    chosen = _chosen(subjects, people)
    files = tuple(file for file in manifest if _is_wanted(file.path, chosen, derivatives))
    missing = sum(file.size or 0 for file in files if not _has_size(Path(out) / file.path, file.size))
    return DownloadPlan(study, version.version, chosen, len(people), files, missing)


def download(plan: DownloadPlan, out: str | Path, tell: Callable[[str], None] = print) -> None:
    """Fetch what is missing, compare everything, and keep the terms beside it.

    Args:
        out: The folder; what lies in it already is kept, if it is what was published.
        tell: Takes the terms, as soon as they are known and before any recording is fetched.

    Raises:
        CorpusError: If the disk is too small, the connection is lost, a file is not the one published, or the folder
            holds another study or version. Files that were finished stay; the same call goes on.
        ConfigurationError: If the folder cannot be made.
        InUseError: If another process downloads into the same folder.
    """
    out = Path(out)
    _check_disk(plan, out)
    with writable(out):
        out.mkdir(parents=True, exist_ok=True)
    with owned(lock_beside(out), out):
        before = _recorded(plan, out)
        first = [file for file in plan.files if "/" not in file.path]
        _fetch(first, plan, out)
        licence = read_licence(out)
        tell(f"licence: {'; '.join(filter(None, (f'{licence} ({_DESCRIPTION})', plan.study.terms)))}")
        _fetch(plan.files, plan, out)
        content = {
            "study": plan.study.nemar,
            "title": plan.study.title,
            "version": plan.version,
            "licence": licence,
            "terms": plan.study.terms,
            "subjects": sorted({*before.get("subjects", []), *plan.subjects}),
            "files": before.get("files", {}) | {file.path: _published(file) for file in plan.files},
        }
        write_json(out / RECORD, content)


def _recorded(plan: DownloadPlan, out: Path) -> dict[str, Any]:
    """What an earlier download of the same study left on record; empty where there was none.

    Raises:
        CorpusError: If it is of another study, or people of another version would stand beside those of this one.
    """
    try:
        record = dict(json.loads((out / RECORD).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}
    others = set(record.get("subjects", [])) - set(plan.subjects)
    was, now = ((record.get("study"), record.get("version")), (plan.study.nemar, plan.version))
    if was[0] != now[0] or (others and was != now):
        raise CorpusError(
            f"holds {was[0]} in version {was[1]}, and {now[0]} in version {now[1]} is asked for",
            path=out,
            value=was,
            remedy="Choose another --out, or ask for all subjects that are there",
        )
    return record


def read_licence(folder: Path) -> str:
    """The licence that `dataset_description.json` names, or that it names none."""
    path = folder / _DESCRIPTION
    try:
        told = json.loads(path.read_text(encoding="utf-8-sig")).get("License")
    except (OSError, ValueError, AttributeError):
        told = None
    return str(told) if told else f"not stated in {_DESCRIPTION}"


def _fetch(files: Sequence[Any], plan: DownloadPlan, out: Path) -> None:
    import nemar

    with _told_as_ours(plan.study.nemar):
        try:
            nemar.download_files(files, out)
        except nemar.NemarError:
            _take_away_damaged(files, out)
            raise


def _take_away_damaged(files: Sequence[Any], out: Path) -> None:
    """A file of the right size that holds something else would be taken for the right one next time."""
    for file in files:
        path = out / file.path
        if path.is_file() and not _is_published(file, path):
            path.unlink()


def _is_published(file: Any, path: Path) -> bool:
    if not _has_size(path, file.size):
        return False
    algorithm, _, wanted = _published(file).partition(":")
    if not wanted:
        return True
    digest = hashlib.new("sha1" if algorithm == "git" else algorithm, usedforsecurity=False)
    if algorithm == "git":  # the hash that git gives to a file
        digest.update(b"blob %d\0" % path.stat().st_size)
    with path.open("rb") as content:
        while block := content.read(2**20):
            digest.update(block)
    return digest.hexdigest() == wanted.lower()


def _published(file: Any) -> str:
    """`algorithm:digest`, the strongest that is published of a file; empty for none."""
    known = {"sha256": file.sha256, "git": file.git_sha1, "md5": file.md5}
    return next((f"{algorithm}:{digest}" for algorithm, digest in known.items() if digest), "")


def _is_wanted(path: str, subjects: Sequence[str], derivatives: bool) -> bool:
    parts = PurePosixPath(path).parts
    if parts[0] == "derivatives":
        return derivatives and any(part in subjects for part in parts)
    if parts[0] in _APART or parts[0].startswith("."):
        return False
    return not parts[0].startswith("sub-") or parts[0] in subjects


def _chosen(text: str, people: Sequence[str]) -> tuple[str, ...]:
    if not text:
        return tuple(people)
    if text.isdigit() and int(text) > 0:
        return tuple(people[: int(text)])
    named = tuple(part.strip() for part in text.split(","))
    if unknown := [name for name in named if name not in people]:
        raise ConfigurationError(
            f"there are no subjects {', '.join(unknown)}",
            value=unknown,
            remedy=f"Give how many, or names with commas between them: {', '.join(people[:3])}, ...",
        )
    return named


def _check_disk(plan: DownloadPlan, out: Path) -> None:
    place = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.exists())
    free = shutil.disk_usage(place).free
    if plan.missing > free:
        raise CorpusError(
            f"{_in_words(plan.missing)} are missing, and {_in_words(free)} are free there",
            path=out,
            value=plan.missing,
            remedy="Choose another --out, or fewer --subjects",
        )


@contextmanager
def _told_as_ours(name: str) -> Iterator[None]:
    import httpx
    import nemar

    try:
        yield
    except (nemar.NemarError, httpx.HTTPError, OSError) as error:
        reason = str(error).rstrip(". ")
        raise CorpusError(
            f"cannot be downloaded ({reason}); what was finished before is kept",
            path=name,
            value=reason,
            remedy="Check the connection and run the same command again, which goes on from here",
        ) from error


def _has_size(path: Path, size: int | None) -> bool:
    return path.is_file() and (size is None or path.stat().st_size == size)


def _in_words(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size} bytes"
