"""Preparing: a corpus builder's units, read in parallel, become one dataset folder.

Every finished unit survives a crash: the same command goes on with the next one. The folder itself appears only when
it is complete, and a folder prepared with the same options and sources is left alone.
"""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from mdjpt_hf.data.cluster import Cluster, on_cluster
from mdjpt_hf.data.parts import check_out, chosen_units, part_of, with_signatures
from mdjpt_hf.data.storage import (
    CORPUS_FILE,
    REPORT_FILE,
    file_hash,
    public_metadata,
    write_dataset_files,
    write_json,
    write_shard,
)
from mdjpt_hf.data_scripts.base import CorpusBuilder, UnitReport
from mdjpt_hf.data_scripts.showings import told_apart
from mdjpt_hf.data_scripts.signatures import refuse_copies
from mdjpt_hf.errors import CorpusError, MDJPTError
from mdjpt_hf.modeling.signal_mdjpt import robust_scale
from mdjpt_hf.runtime.importing import workers_without_models
from mdjpt_hf.runtime.ownership import lock_beside, owned
from mdjpt_hf.runtime.progress import Progress
from mdjpt_hf.schema import Trial
from mdjpt_hf.version import __version__

#: Raised when rows would come out differently from the same sources, so that old folders are rebuilt.
PREPARED_FORMAT = 2


@dataclass(frozen=True)
class _Hands:
    """Who reads units: processes here, or a cluster."""

    workers: int
    cluster: Cluster | None = None


@dataclass
class Prepared:
    """What `prepare` did: the folder, whether it was built now, and the report."""

    folder: Path
    built: bool
    report: dict[str, Any]


def prepare(
    builder: CorpusBuilder,
    out: str | Path,
    workers: int = 1,
    progress: bool = True,
    skip_bad: bool = False,
    cluster: Cluster | None = None,
    subjects: str = "",
) -> Prepared:
    """Build a corpus into `out`, or find that it is there already.

    Args:
        builder (`CorpusBuilder`): Knows the corpus and where its files are.
        out (`str` or `Path`): The folder to make. A prepared folder with other options is replaced; any other
            non-empty folder is refused.
        workers (`int`): Processes that read units side by side. The bytes written do not depend on it.
        progress (`bool`): Show a progress bar.
        skip_bad (`bool`): Leave out units (subjects) that cannot be read and list them in the report, instead of
            stopping at the first one.
        cluster (`Cluster`): Workers elsewhere that read units in place of processes here. They must see the source
            and the folder of `out` under the same absolute names.
        subjects (`str`): Only these, see [`chosen_units`]: the folder is then a part of the corpus, and opens together
            with others.

    Raises:
        CorpusError: If the source cannot be read, the disk is full, or `out` holds something else, such as another
            part of the corpus. Units finished before are kept, and the same call goes on with the next one.
        ConfigurationError: If there are no such subjects.
        InUseError: If another process prepares the same folder.
    """
    out = Path(out)
    metadata, key = _described(builder)
    units = every = builder.units()
    if subjects:
        units = chosen_units(subjects, every)
        key, metadata = part_of(key, metadata, units, every, subjects)
    if found := _up_to_date(out, key, skip_bad):
        return found
    try:
        return _build(builder, units, out, metadata, key, _Hands(workers, cluster), progress, skip_bad)
    except OSError as error:
        raise CorpusError(
            f"cannot be written ({error.strerror or error}); what was finished before is kept",
            path=out,
            value=error.errno,
            remedy="Make the place writable, or choose another --out, and run the same command again",
        ) from error


def _build(
    builder: CorpusBuilder,
    units: list[str],
    out: Path,
    metadata: dict[str, Any],
    key: str,
    hands: _Hands,
    progress: bool,
    skip_bad: bool,
) -> Prepared:
    out.parent.mkdir(parents=True, exist_ok=True)
    with owned(lock_beside(out), out):
        if found := _up_to_date(out, key, skip_bad):  # made by another process in the meantime
            return found
        check_out(out, key, metadata)
        staging = out.parent / f".{out.name}.{key[:12]}.staging"
        staging.mkdir(exist_ok=True)
        _build_missing(builder, units, staging, hands, progress, skip_bad)
        report = _finish(staging, builder, units, metadata, key)
        _swap_in(staging, out)
    return Prepared(out, True, report)


def _up_to_date(out: Path, key: str, skip_bad: bool) -> Prepared | None:
    if _existing_key(out) != key:
        return None
    report = json.loads((out / REPORT_FILE).read_text(encoding="utf-8"))
    # what was skipped before is not passed over in silence now
    return Prepared(out, False, report) if skip_bad or not report.get("skipped") else None


def preparation_key(builder: CorpusBuilder) -> str:
    """Equal for builders that would make the same rows."""
    return _described(builder)[1]


def _described(builder: CorpusBuilder) -> tuple[dict[str, Any], str]:
    """What the corpus says of itself, and its key."""
    metadata = json.loads(json.dumps(builder.metadata()))
    content = json.dumps([PREPARED_FORMAT, metadata], sort_keys=True)
    return metadata, hashlib.sha256(content.encode()).hexdigest()


def _existing_key(out: Path) -> str | None:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    try:
        return json.loads((out / CORPUS_FILE).read_text(encoding="utf-8"))["key"]
    except (OSError, ValueError, KeyError):
        raise CorpusError(
            "exists and is not a prepared corpus", path=out, remedy="Choose another --out, or move it away"
        ) from None


def _build_missing(
    builder: CorpusBuilder, units: list[str], staging: Path, hands: _Hands, progress: bool, skip_bad: bool
) -> None:
    missing = [index for index in range(len(units)) if not _is_done(staging, index, skip_bad)]
    with Progress(len(units), len(units) - len(missing), "prepare", "unit", shown=progress) as shown:
        for unit in _run(builder, units, missing, staging, hands, skip_bad):
            shown.advance(unit)


def _is_done(staging: Path, index: int, skip_bad: bool) -> bool:
    """Whether a unit was read before; one that was skipped counts only while skipping is allowed."""
    file = _unit_file(staging, index)
    return file.exists() and (skip_bad or not json.loads(file.read_text(encoding="utf-8")).get("skipped"))


def _run(builder, units, missing, staging, hands, skip_bad) -> Iterator[str]:
    workers = hands.workers
    if hands.cluster is not None:
        arguments = [(builder, units[index], index, staging.absolute(), skip_bad) for index in missing]
        for number, _, died in on_cluster(hands.cluster, build_unit, arguments) if missing else ():
            if died:
                _note_death(staging, units[missing[number]], missing[number], skip_bad)
            yield units[missing[number]]
        return
    if workers <= 1:
        for index in missing:
            yield build_unit(builder, units[index], index, staging, skip_bad)
        return
    waiting = list(missing)
    while waiting:
        for index in _side_by_side(builder, units, waiting, staging, workers, skip_bad):
            waiting.remove(index)
            yield units[index]
        # A worker has died and taken the others with it. One of the first was its end: alone, they show which.
        for index in waiting[: workers + 1]:
            if not list(_side_by_side(builder, units, [index], staging, 1, skip_bad)):
                _note_death(staging, units[index], index, skip_bad)
            waiting.remove(index)
            yield units[index]


def _side_by_side(builder, units, missing, staging, workers, skip_bad) -> Iterator[int]:
    """Indices of the units as they are finished; ends early if a worker dies."""
    # A fresh interpreter per worker: forking after numerical libraries have started threads can hang.
    with ProcessPoolExecutor(min(workers, len(missing)), mp_context=get_context("spawn")) as pool:
        with workers_without_models():  # they start when they are given work
            futures = {pool.submit(build_unit, builder, units[i], i, staging, skip_bad): i for i in missing}
        try:
            for future in as_completed(futures):
                future.result()
                yield futures[future]
        except BrokenProcessPool:
            return
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)  # units under way finish and are kept
            raise


def _note_death(staging: Path, unit: str, index: int, skip_bad: bool) -> None:
    """A unit whose worker died: skipped like any other that cannot be read.

    Raises:
        CorpusError: If none may be skipped.
    """
    error = CorpusError(
        f"the process that read unit {unit!r} died, perhaps for want of memory; what was finished before is kept",
        value=unit,
        remedy="Give it more memory with fewer --workers, or leave the unit out with --skip-bad",
    )
    if not skip_bad:
        raise error
    _write_unit(staging, index, UnitReport(unit), skipped=str(error))


def build_unit(builder: CorpusBuilder, unit: str, index: int, staging: Path, skip_bad: bool = False) -> str:
    """Read one unit and write its shard, then the small file that says it is complete."""
    report = UnitReport(unit)
    scales = _ScaleCollector()
    shard = _shard_file(staging, index)
    skipped, rows, recordings = "", [], []
    try:
        # One thread per unit: sums must not depend on how many cores the machine has.
        with threadpool_limits(1):
            rows = write_shard(shard, scales.watch(told_apart(builder.read_unit(unit, report))))
        recordings = scales.recordings()
    except MDJPTError as error:
        if not skip_bad:
            raise
        skipped = str(error)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise CorpusError(
            f"the disk is full at unit {unit!r}; what was finished before is kept",
            path=staging,
            value=unit,
            remedy="Free some space and run the same command again; it goes on with this unit",
        ) from error
    _write_unit(staging, index, report, rows, recordings, skipped)
    return unit


def _write_unit(
    staging: Path,
    index: int,
    report: UnitReport,
    rows: Sequence[dict[str, Any]] = (),
    recordings: Sequence[dict[str, Any]] = (),
    skipped: str = "",
) -> None:
    """The small file that says a unit is done, or why it was skipped."""
    content = {
        "unit": report.unit,
        "skipped": skipped,
        "notes": report.notes,
        "rejected": report.rejected,
        "trials": [_summary(row) for row in rows],
        "recordings": list(recordings),
        "signatures": report.signatures,
        "sha256": "" if skipped else file_hash(_shard_file(staging, index)),
    }
    write_json(_unit_file(staging, index), content)


def _summary(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "dataset": row["dataset"],
        "subject": row["subject"],
        "seconds": row["n_samples"] / float(row["sampling_rate"]),
    }


class _ScaleCollector:
    """Collects each recording's signal while its trials pass by, then its robust mean and spread.

    Trials of a recording come one after the other, so only one recording is held at a time. Where they do not, its
    scale is not stored: who reads the corpus has all its trials and computes it.
    """

    def __init__(self) -> None:
        self._scales: dict[tuple[str, str, int], dict[str, Any] | None] = {}
        self._parts: list[np.ndarray] = []
        self._identity: tuple[str, str, int] | None = None

    def watch(self, trials: Iterable[Trial]) -> Iterator[Trial]:
        for trial in trials:
            identity = (trial.dataset, trial.subject, trial.session)
            if identity != self._identity:
                self._close()
                self._identity = identity
            self._parts.append(np.asarray(trial.signal, dtype=np.float32).ravel())
            yield trial

    def recordings(self) -> list[dict[str, Any]]:
        self._close()
        return [scale for scale in self._scales.values() if scale is not None]

    def _close(self) -> None:
        if self._identity is None:
            return
        dataset, subject, session = self._identity
        mean, std = robust_scale(np.concatenate(self._parts)[None])
        scale = {"dataset": dataset, "subject": subject, "session": session, "mean": float(mean), "std": float(std)}
        self._scales[self._identity] = None if self._identity in self._scales else scale
        self._parts, self._identity = [], None


def _finish(
    staging: Path, builder: CorpusBuilder, units: list[str], metadata: dict[str, Any], key: str
) -> dict[str, Any]:
    built = [
        {"skipped": "", "signatures": {}, **json.loads(_unit_file(staging, index).read_text(encoding="utf-8"))}
        for index in range(len(units))
    ]
    if not any(unit["trials"] for unit in built):
        reasons = [reason for unit in built for reason in (unit["skipped"], *unit["rejected"]) if reason]
        raise CorpusError(
            f"no usable trial in the whole source; left out: {'; '.join(reasons[:3]) or 'nothing'}",
            value=reasons,
            remedy="Check the source",
        )
    signatures = {file: values for unit in built for file, values in unit["signatures"].items()}
    refuse_copies(signatures)
    shards = []
    for index, unit in enumerate(built):
        if unit["skipped"]:
            continue
        name = f"data-{index:05d}-of-{len(units):05d}.arrow"
        if _shard_file(staging, index).exists():
            os.replace(_shard_file(staging, index), staging / name)
        shards.append({"file": name, "unit": unit["unit"], "rows": len(unit["trials"]), "sha256": unit["sha256"]})
    metadata = with_signatures(metadata, signatures)
    report = {"notes": builder.notes(), **_report(built)}
    recordings = [recording for unit in built for recording in unit["recordings"]]
    corpus = {
        "key": key,
        "package_version": __version__,
        **metadata,
        "shards": shards,
        "recordings": recordings,
    }
    shared = public_metadata(corpus, report)
    write_dataset_files(staging, shards, shared)
    write_json(staging / REPORT_FILE, report)
    write_json(staging / CORPUS_FILE, corpus)
    return report


def _report(built: list[dict[str, Any]]) -> dict[str, Any]:
    datasets: dict[str, dict[str, Any]] = {}
    for trial in (trial for unit in built for trial in unit["trials"]):
        entry = datasets.setdefault(trial["dataset"], {"subjects": set(), "trials": 0, "minutes": 0.0})
        entry["subjects"].add(trial["subject"])
        entry["trials"] += 1
        entry["minutes"] += trial["seconds"] / 60
    totals = {
        name: {**entry, "subjects": len(entry["subjects"]), "minutes": round(entry["minutes"], 2)}
        for name, entry in datasets.items()
    }
    units = [{part: unit[part] for part in ("unit", "notes", "rejected")} for unit in built]
    skipped = {unit["unit"]: unit["skipped"] for unit in built if unit["skipped"]}
    return {"datasets": totals, "skipped": skipped, "units": units}


def _swap_in(staging: Path, out: Path) -> None:
    """Replace `out` by the finished folder; the old one goes only when the new one stands."""
    for leftover in staging.glob("unit-*"):
        leftover.unlink()
    old = out.parent / f".{out.name}.old"
    if out.exists():
        shutil.rmtree(old, ignore_errors=True)
        os.replace(out, old)
    os.replace(staging, out)
    shutil.rmtree(old, ignore_errors=True)


def _shard_file(staging: Path, index: int) -> Path:
    return staging / f"unit-{index:05d}.arrow"


def _unit_file(staging: Path, index: int) -> Path:
    return staging / f"unit-{index:05d}.json"
